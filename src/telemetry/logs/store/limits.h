// SPDX-License-Identifier: Apache-2.0
// What the store enforces of a tenant's limits. Names, meanings and reasons are those of Loki's limits_config; a count
// or rate of 0 switches the limit off.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/time.h"

namespace tocayo::logs {

// Keeps lines of the streams that match for `period`, whatever the general period is.
struct RetentionRule {
  std::vector<Matcher> matchers;
  int priority = 0;  // the highest decides; of equal ones the shortest period
  std::chrono::seconds period{0};
};

struct TenantLimits {
  double ingestion_rate = 0;         // bytes of lines and metadata a second
  double ingestion_burst_size = 0;   // bytes
  double per_stream_rate_limit = 0;  // bytes of lines a second
  double per_stream_rate_limit_burst = 0;
  std::size_t max_line_size = 1 << 20;
  bool max_line_size_truncate = true;  // longer lines are cut and end in the identifier; false: refused
  std::string max_line_size_truncate_identifier = "...[truncated]";
  std::size_t max_label_names_per_series = 40;
  std::size_t max_label_name_length = 1024;
  std::size_t max_label_value_length = 2048;
  std::size_t max_streams = 1'000'000;  // max_global_streams_per_user
  // Of one label within a day (UTC): beyond it the label is kept with each row and splits no more streams.
  std::size_t max_label_values_per_day = 50'000;
  bool reject_old_samples = false;
  std::chrono::nanoseconds reject_old_samples_max_age = std::chrono::hours(24 * 7);
  std::chrono::nanoseconds creation_grace_period = std::chrono::minutes(10);
  bool allow_structured_metadata = true;
  std::size_t max_structured_metadata_size = 256 << 10;
  std::size_t max_structured_metadata_entries_count = 512;
  TimestampMs block_ingestion_until = 0;  // 0: not blocked
  int block_ingestion_status_code = 260;
  std::vector<std::string> enforced_labels;
  std::chrono::seconds retention_period{0};  // 0: for ever
  std::vector<RetentionRule> retention_stream;
};

// Called for every append and query: must be cheap. Thread-safe. Never gives null.
using LimitsOf = std::function<std::shared_ptr<const TenantLimits>(std::string_view tenant)>;

}  // namespace tocayo::logs
