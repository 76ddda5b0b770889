// SPDX-License-Identifier: Apache-2.0
// Private to jmespath: the tree that the parser (jmespath_parse.cpp) makes and the walk (jmespath.cpp) reads.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/logs/jmespath.h"

namespace tocayo::agent {

struct JmesPath::Node {
  enum class Kind : unsigned char {
    current,     // @
    field,       // text
    index,       // number
    slice,       // bounds
    literal,     // value
    chain,       // left.right, left | right: right is asked of what left gives
    projection,  // left[*].right, left[a:b].right
    values,      // left.*.right
    flatten,     // left[].right
    filter,      // left[?third].right
    list,        // [a, b]
    hash,        // {x: a, y: b}, names
    any,         // left || right
    both,        // left && right
    negation,    // !left
    compare,     // left text right
    call,        // text(children)
    reference,   // &left
  };
  Kind kind = Kind::current;
  std::string text;
  std::int64_t number = 0;
  std::optional<std::int64_t> bounds[3];
  boost::json::value value;
  std::vector<std::unique_ptr<Node>> children;
  std::vector<std::string> names;
};

using JmesNode = JmesPath::Node;
Result<std::unique_ptr<JmesNode>> parse_jmespath(std::string_view text);
// Arity of a function: at least, at most (-1: any); {-1, -1}: there is none of the name.
std::pair<int, int> jmespath_arity(std::string_view name);

}  // namespace tocayo::agent
