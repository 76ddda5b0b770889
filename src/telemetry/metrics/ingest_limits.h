// SPDX-License-Identifier: Apache-2.0
// What a tenant may send, as far as the door can judge it without the store. Names and defaults are Mimir's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/relabel.h"

namespace tocayo::metrics {

// What is done to the labels of every series before they are checked: first the rules, which also see the tenant's name
// as `__meta_tenant_id`, then the removal of labels. Series that a rule drops, or that have no label left, are not
// stored; that is not an error.
struct IngestRules {
  std::vector<RelabelRule> relabel;      // metric_relabel_configs, compiled
  std::vector<std::string> drop_labels;  // names
};

// From a tenant's limits: names, and the YAML of a list of rules. Null when there is nothing to do. The same input
// gives the same object, so that it can be asked for with every request. Rules that cannot be read are bad_input;
// callers that cannot fail take ingest_rules_or_none(), which logs that once. Thread-safe.
Result<std::shared_ptr<const IngestRules>> ingest_rules(std::span<const std::string> drop_labels,
                                                        std::string_view relabel_yaml);
std::shared_ptr<const IngestRules> ingest_rules_or_none(std::span<const std::string> drop_labels,
                                                        std::string_view relabel_yaml);

// 0 switches a limit off, except where it says otherwise.
struct IngestLimits {
  std::size_t max_label_name_length = 1024;   // bytes
  std::size_t max_label_value_length = 2048;  // bytes
  std::size_t max_label_names_per_series = 0;
  std::size_t max_label_names_per_info_series = 0;
  std::size_t max_metadata_length = 1024;  // bytes; help is cut, names and units are refused
  std::int64_t creation_grace_period_ms = 600'000;
  std::int64_t past_grace_period_ms = 0;  // behind the out-of-order window, as Mimir counts
  std::int64_t out_of_order_time_window_ms = 7'200'000;
  bool native_histograms = true;  // false: they are dropped and counted, which is no error (Mimir)
  std::size_t max_native_histogram_buckets = 0;
  bool reduce_native_histogram_over_max_buckets = true;
  std::shared_ptr<const IngestRules> rules;  // shared by all requests that see the same limits; null: none
};

// "<text> (err-mimir-<id>)", followed by the configuration key to raise when there is one.
std::string with_error_id(std::string text, std::string_view id, std::string_view limit_key = {});

// What was refused, by reason; the text of the first refusal is kept whole, the others only counted.
class Rejections {
 public:
  struct Reason {
    std::string_view name;  // static: snake case of the error id
    std::size_t count;
    bool silent = false;  // no reason to refuse the request
  };

  // `text` is only called for the first refusal.
  template <typename Text>
  void add(std::string_view reason, std::size_t count, Text&& text, ErrorKind kind = ErrorKind::bad_input) {
    bump(reason, count, false);
    if (!first_error_) first_error_ = Error{kind, text()};
  }
  // Counted, but no reason to refuse the request (exemplars of remote write 1.0, relabelling).
  void add_silently(std::string_view reason, std::size_t count) { bump(reason, count, true); }

  void clear() {
    reasons_.clear();
    first_error_.reset();
  }
  bool failed() const { return first_error_.has_value(); }
  const std::optional<Error>& first_error() const { return first_error_; }
  const std::vector<Reason>& reasons() const { return reasons_; }

 private:
  void bump(std::string_view reason, std::size_t count, bool silent) {
    for (Reason& known : reasons_) {
      if (known.name == reason) {
        known.count += count;
        known.silent &= silent;
        return;
      }
    }
    reasons_.push_back({reason, count, silent});
  }

  std::vector<Reason> reasons_;  // a handful at most
  std::optional<Error> first_error_;
};

}  // namespace tocayo::metrics
