// SPDX-License-Identifier: Apache-2.0
// Device filters with node_exporter's rules: unanchored regular expressions, exclude before include.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace re2 {
class RE2;
}

namespace tocayo::agent {

// The two regular expressions of one filter; empty = not set.
struct FilterOption {
  std::string include;
  std::string exclude;
};

// Decides once per name and remembers the answer, so that no regex runs while collecting. Not thread-safe.
class Filter {
 public:
  // bad_input when an expression does not compile, or when both are set (`flag` names them in the message).
  static Result<> check(const FilterOption& option, std::string_view flag);
  // An option that passed check().
  explicit Filter(const FilterOption& option);
  ~Filter();
  Filter(Filter&&) noexcept;

  bool ignored(std::string_view name);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::unique_ptr<re2::RE2> include_;
  std::unique_ptr<re2::RE2> exclude_;
  std::unordered_map<std::string, bool, Hash, std::equal_to<>> known_;
};

}  // namespace tocayo::agent
