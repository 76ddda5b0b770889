// SPDX-License-Identifier: Apache-2.0
// What a tenant may send, as far as the door can judge it without the store. Names and defaults are Mimir's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::metrics {

// 0 switches a limit off, except where it says otherwise.
struct IngestLimits {
  std::size_t max_label_name_length = 1024;   // bytes
  std::size_t max_label_value_length = 2048;  // bytes
  std::size_t max_label_names_per_series = 0;
  std::size_t max_label_names_per_info_series = 0;
  std::size_t max_metadata_length = 1024;  // bytes; help is cut, names and units are refused
  std::int64_t creation_grace_period_ms = 600'000;
  std::int64_t past_grace_period_ms = 0;
  std::size_t max_native_histogram_buckets = 0;
  bool reduce_native_histogram_over_max_buckets = true;
};

// "<text> (err-mimir-<id>)", followed by the configuration key to raise when there is one.
std::string with_error_id(std::string text, std::string_view id, std::string_view limit_key = {});

// What was refused, by reason; the text of the first refusal is kept whole, the others only counted.
class Rejections {
 public:
  struct Reason {
    std::string_view name;  // static: snake case of the error id
    std::size_t count;
  };

  // `text` is only called for the first refusal.
  template <typename Text>
  void add(std::string_view reason, std::size_t count, Text&& text, ErrorKind kind = ErrorKind::bad_input) {
    bump(reason, count);
    if (!first_error_) first_error_ = Error{kind, text()};
  }
  // Counted, but no reason to refuse the request (exemplars of remote write 1.0).
  void add_silently(std::string_view reason, std::size_t count) { bump(reason, count); }

  void clear() {
    reasons_.clear();
    first_error_.reset();
  }
  bool failed() const { return first_error_.has_value(); }
  const std::optional<Error>& first_error() const { return first_error_; }
  const std::vector<Reason>& reasons() const { return reasons_; }

 private:
  void bump(std::string_view reason, std::size_t count) {
    for (Reason& known : reasons_) {
      if (known.name == reason) {
        known.count += count;
        return;
      }
    }
    reasons_.push_back({reason, count});
  }

  std::vector<Reason> reasons_;  // a handful at most
  std::optional<Error> first_error_;
};

}  // namespace tocayo::metrics
