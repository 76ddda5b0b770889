// SPDX-License-Identifier: Apache-2.0
// JMESPath (jmespath.org/specification.html): the expressions of the json stage.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::agent {

// A compiled expression. Immutable, cheap to copy, thread-safe.
class JmesPath {
 public:
  // bad_input: what is wrong and at which character.
  static Result<JmesPath> compile(std::string_view text);
  // Null where there is nothing. bad_input when a function is called with the wrong types.
  Result<boost::json::value> search(const boost::json::value& data) const;
  // When the expression is only names joined by dots, those: then search() is a walk. Else empty.
  const std::vector<std::string>& simple() const { return simple_; }

  struct Node;

 private:
  explicit JmesPath(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;  // shared: immutable
  std::vector<std::string> simple_;
};

}  // namespace tocayo::agent
