// SPDX-License-Identifier: Apache-2.0
#include "agent/host/filter.h"

#include <re2/re2.h>

namespace tocayo::agent {
namespace {

constexpr std::size_t kMaxKnown = 8192;  // names of short-lived devices must not pile up

std::unique_ptr<re2::RE2> compile(const std::string& pattern) {
  if (pattern.empty()) return nullptr;
  return std::make_unique<re2::RE2>(pattern, re2::RE2::Quiet);
}

}  // namespace

Result<> Filter::check(const FilterOption& option, std::string_view flag) {
  if (!option.include.empty() && !option.exclude.empty()) {
    return fail(ErrorKind::bad_input, std::string(flag) + "-include and -exclude are mutually exclusive");
  }
  for (const std::string* pattern : {&option.include, &option.exclude}) {
    auto regex = compile(*pattern);
    if (regex != nullptr && !regex->ok()) {
      return fail(ErrorKind::bad_input,
                  std::string(flag) + ": regular expression \"" + *pattern + "\": " + regex->error());
    }
  }
  return {};
}

Filter::Filter(const FilterOption& option) : include_(compile(option.include)), exclude_(compile(option.exclude)) {}
Filter::~Filter() = default;
Filter::Filter(Filter&&) noexcept = default;

bool Filter::ignored(std::string_view name) {
  if (include_ == nullptr && exclude_ == nullptr) return false;
  if (auto found = known_.find(name); found != known_.end()) return found->second;
  re2::StringPiece piece(name.data(), name.size());
  bool ignored = (exclude_ != nullptr && re2::RE2::PartialMatch(piece, *exclude_)) ||
                 (include_ != nullptr && !re2::RE2::PartialMatch(piece, *include_));
  if (known_.size() >= kMaxKnown) known_.clear();
  known_.emplace(name, ignored);
  return ignored;
}

}  // namespace tocayo::agent
