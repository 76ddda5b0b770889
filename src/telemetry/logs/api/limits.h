// SPDX-License-Identifier: Apache-2.0
// A tenant's limits for logs: Loki's names (limits_config), in `logs.limits` of the configuration and per tenant under
// `logs:` of the overrides file. What concerns writing a row is the store's (`store`); the rest is enforced here.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/store/limits.h"

namespace tocayo::logs::api {

enum class OtlpAction : unsigned char { index_label, structured_metadata, drop };
struct OtlpRule {
  OtlpAction action = OtlpAction::structured_metadata;
  std::vector<std::string> attributes;
  std::string regex;  // anchored; "" for none
};
struct OtlpRules {
  bool ignore_defaults = false;  // of the resource attributes that become labels
  std::vector<OtlpRule> resource;
  std::vector<OtlpRule> scope;
  std::vector<OtlpRule> log;
};

// A query that is refused: all that are set must fit.
struct BlockedQuery {
  std::string pattern;                      // the whole text without surrounding white space; "" for any
  bool regex = false;                       // `pattern` is a regular expression that is found in the text
  std::vector<std::string> types;           // of "metric", "filter", "limited"; empty for all
  std::uint32_t hash = 0;                   // FNV-1 of the text, instead of a pattern
  std::map<std::string, std::string> tags;  // of X-Query-Tags, compared without regard to case
};

struct LogLimits {
  TenantLimits store;
  std::vector<std::string> discover_service_name;  // empty: no service_name is made up
  bool discover_log_levels = true;
  OtlpRules otlp;
  std::int64_t max_entries_limit_per_query = 100'000;
  std::int64_t max_query_series = 20'000;
  std::int64_t max_streams_matchers_per_query = 1'000;
  std::int64_t max_concurrent_tail_requests = 5'000;
  std::int64_t volume_max_series = 1'000;
  std::int64_t cardinality_limit = 100'000;
  std::chrono::milliseconds query_timeout{60'000};
  std::chrono::milliseconds max_query_length{0};  // 0: no limit
  std::chrono::milliseconds max_query_lookback{0};
  std::chrono::milliseconds max_query_range{0};  // of the [range] of an aggregation
  std::uint64_t max_query_bytes_read = 0;        // of the lines that a query covers; 0: no limit
  std::vector<std::string> required_labels;      // that every selector must name
  std::int64_t minimum_labels_number = 0;        // matchers that every selector must have
  std::vector<BlockedQuery> blocked_queries;
  bool volume_enabled = true;
  bool allow_deletes = true;

  LogLimits();
  // `logs.compat: loki`: Loki's own defaults.
  static LogLimits of_loki();
};

// Of a read over several tenants: the smallest of each number that is set, and what any of them refuses.
std::shared_ptr<const LogLimits> smallest_limits(std::vector<std::shared_ptr<const LogLimits>> tenants);

// Reads a mapping of limits over `base`. bad_input with the place of the mistake.
Result<LogLimits> parse_log_limits(std::string_view yaml, std::string_view file, const LogLimits& base);
// As Loki's limits_config, for GET /config/tenant/v1/limits (YAML) and …/drilldown-limits (JSON).
std::string limits_yaml(const LogLimits& limits);
std::string limits_json(const LogLimits& limits);

// The limits in effect. Thread-safe; what it hands out never changes.
class LogLimitsService {
 public:
  explicit LogLimitsService(LogLimits base) : base_(std::make_shared<const LogLimits>(std::move(base))) {}
  std::shared_ptr<const LogLimits> of(std::string_view tenant) const;
  // Replaces everything: the base, and the `logs:` parts of an overrides file's text. On an error nothing changes.
  Result<> reload(LogLimits base, std::string_view overrides_text, std::string_view overrides_file);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const LogLimits> base_;
  std::map<std::string, std::shared_ptr<const LogLimits>, std::less<>> tenants_;
};

}  // namespace tocayo::logs::api
