// SPDX-License-Identifier: Apache-2.0
#include "logs/api/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "core/text.h"
#include "core/time.h"
#include "core/yaml.h"
#include "logql/syntax/parser.h"
#include "logs/api/level_detect.h"

namespace tocayo::logs::api {

namespace {

constexpr double kMegabyte = 1 << 20;

// A number of megabytes ("4"), or a size with its unit ("4MB").
Result<> read_size(yaml::Fields& fields, const std::string& key, std::size_t& out) {
  std::uint64_t bytes = out;
  TRY(fields.read_bytes(key, bytes));
  out = bytes;
  return {};
}
Result<> read_count(yaml::Fields& fields, const std::string& key, std::size_t& out) {
  auto number = static_cast<std::int64_t>(out);
  TRY(fields.read(key, number));
  if (number < 0) return std::unexpected(fields.error(key, "must not be negative"));
  out = static_cast<std::size_t>(number);
  return {};
}
Result<> read_rate(yaml::Fields& fields, const std::string& key, double& out) {
  if (!fields.has(key)) return {};
  std::uint64_t bytes = 0;
  TRY(fields.read_bytes(key, bytes));
  out = static_cast<double>(bytes);
  return {};
}
Result<> read_megabytes(yaml::Fields& fields, const std::string& key, double& out) {
  double megabytes = out / kMegabyte;
  TRY(fields.read(key, megabytes));
  if (megabytes < 0) return std::unexpected(fields.error(key, "must not be negative"));
  out = megabytes * kMegabyte;
  return {};
}
Result<> read_time(yaml::Fields& fields, const std::string& key, std::chrono::nanoseconds& out) {
  auto value = std::chrono::duration_cast<std::chrono::milliseconds>(out);
  TRY(fields.read(key, value));
  out = value;
  return {};
}
Result<> read_seconds(yaml::Fields& fields, const std::string& key, std::chrono::seconds& out) {
  std::chrono::milliseconds value = out;
  TRY(fields.read(key, value));
  out = std::chrono::duration_cast<std::chrono::seconds>(value);
  return {};
}

Result<std::vector<RetentionRule>> read_retention(const YAML::Node& list, std::string_view file) {
  std::vector<RetentionRule> rules;
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "retention_stream must be a list"));
  for (const auto& item : list) {
    yaml::Fields fields(item, file);
    TRY(fields.open());
    RetentionRule rule;
    std::string selector;
    std::int64_t priority = 0;
    std::chrono::milliseconds period{0};
    TRY(fields.read("selector", selector));
    TRY(fields.read("priority", priority));
    TRY(fields.read("period", period));
    TRY(fields.finish());
    auto matchers = logql::parse_matchers(selector);
    // One bad selector refuses the whole policy: a guess might delete everything.
    if (!matchers) return std::unexpected(fields.error("selector", matchers.error().message));
    if (period.count() <= 0) return std::unexpected(fields.error("period", "must be positive"));
    rule.matchers = std::move(*matchers);
    rule.priority = static_cast<int>(priority);
    rule.period = std::chrono::duration_cast<std::chrono::seconds>(period);
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<std::vector<OtlpRule>> read_otlp_rules(const YAML::Node& list, std::string_view file) {
  std::vector<OtlpRule> rules;
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "must be a list of rules"));
  for (const auto& item : list) {
    yaml::Fields fields(item, file);
    TRY(fields.open());
    OtlpRule rule;
    std::string action = "structured_metadata";
    TRY(fields.read("action", action));
    TRY(fields.read("attributes", rule.attributes));
    TRY(fields.read("regex", rule.regex));
    TRY(fields.finish());
    if (action == "index_label") {
      rule.action = OtlpAction::index_label;
    } else if (action == "drop") {
      rule.action = OtlpAction::drop;
    } else if (action != "structured_metadata") {
      return std::unexpected(fields.error("action", "must be index_label, structured_metadata or drop"));
    }
    if (rule.attributes.empty() == rule.regex.empty()) {
      return std::unexpected(fields.error("action", "a rule needs either attributes or a regex"));
    }
    if (!rule.regex.empty()) {
      if (auto matcher = Matcher::create(Matcher::Type::regex, "attribute", rule.regex); !matcher) {
        return std::unexpected(fields.error("regex", matcher.error().message));
      }
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<> read_otlp(const YAML::Node& node, std::string_view file, OtlpRules& rules) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  if (fields.has("resource_attributes")) {
    yaml::Fields resource(fields.get("resource_attributes"), file);
    TRY(resource.open());
    TRY(resource.read("ignore_defaults", rules.ignore_defaults));
    if (resource.has("attributes_config"))
      rules.resource = TRY(read_otlp_rules(resource.get("attributes_config"), file));
    TRY(resource.finish());
  }
  if (fields.has("scope_attributes")) rules.scope = TRY(read_otlp_rules(fields.get("scope_attributes"), file));
  if (fields.has("log_attributes")) rules.log = TRY(read_otlp_rules(fields.get("log_attributes"), file));
  return fields.finish();
}

Result<std::vector<BlockedQuery>> read_blocked(const YAML::Node& list, std::string_view file) {
  std::vector<BlockedQuery> out;
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "blocked_queries must be a list"));
  for (const auto& item : list) {
    yaml::Fields fields(item, file);
    TRY(fields.open());
    BlockedQuery one;
    std::int64_t hash = 0;
    TRY(fields.read("pattern", one.pattern));
    TRY(fields.read("regex", one.regex));
    TRY(fields.read("types", one.types));
    TRY(fields.read("hash", hash));
    TRY(fields.read("tags", one.tags));
    TRY(fields.finish());
    if (hash < 0 || hash > 0xFFFFFFFFLL) return std::unexpected(fields.error("hash", "must be a 32-bit number"));
    one.hash = static_cast<std::uint32_t>(hash);
    for (const auto& type : one.types) {
      if (type != "metric" && type != "filter" && type != "limited")
        return std::unexpected(fields.error("types", "are metric, filter and limited"));
    }
    // A pattern that does not compile would block nothing without a word.
    if (one.regex) {
      if (auto matcher = Matcher::create(Matcher::Type::regex, "query", one.pattern); !matcher)
        return std::unexpected(fields.error("pattern", matcher.error().message));
    }
    out.push_back(std::move(one));
  }
  return out;
}

// Loki's limits that have no meaning here: how its own parts divide work, cache and keep indexes. They are taken so
// that a limits_config can be used as it is.
constexpr const char* kWithoutMeaning[] = {
    "ingestion_rate_strategy",
    "max_streams_per_user",
    "max_chunks_per_query",
    "max_query_parallelism",
    "tsdb_max_query_parallelism",
    "tsdb_max_bytes_per_shard",
    "tsdb_sharding_strategy",
    "tsdb_precompute_chunks",
    "max_cache_freshness_per_query",
    "max_metadata_cache_freshness",
    "max_stats_cache_freshness",
    "max_queriers_per_tenant",
    "max_query_capacity",
    "query_ready_index_num_days",
    "split_queries_by_interval",
    "split_metadata_queries_by_interval",
    "split_recent_metadata_queries_by_interval",
    "recent_metadata_query_window",
    "split_instant_metric_queries_by_interval",
    "split_ingester_queries_by_interval",
    "engine_results_cache_time_bucket_interval",
    "min_sharding_lookback",
    "max_querier_bytes_read",
    "use_owned_stream_count",
    "shard_streams",
    "index_gateway_shard_size",
    "index_gateway_max_capacity",
    "bloom_gateway_enable_filtering",
    "bloom_creation_enabled",
    "ingestion_partitions_tenant_shard_size",
};

Result<LogLimits> read_limits(const YAML::Node& node, std::string_view file, const LogLimits& base) {
  LogLimits limits = base;
  auto& store = limits.store;
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(read_megabytes(fields, "ingestion_rate_mb", store.ingestion_rate));
  TRY(read_megabytes(fields, "ingestion_burst_size_mb", store.ingestion_burst_size));
  TRY(read_rate(fields, "per_stream_rate_limit", store.per_stream_rate_limit));
  TRY(read_rate(fields, "per_stream_rate_limit_burst", store.per_stream_rate_limit_burst));
  TRY(read_size(fields, "max_line_size", store.max_line_size));
  TRY(fields.read("max_line_size_truncate", store.max_line_size_truncate));
  TRY(fields.read("max_line_size_truncate_identifier", store.max_line_size_truncate_identifier));
  TRY(read_count(fields, "max_label_names_per_series", store.max_label_names_per_series));
  TRY(read_count(fields, "max_label_name_length", store.max_label_name_length));
  TRY(read_count(fields, "max_label_value_length", store.max_label_value_length));
  TRY(read_count(fields, "max_global_streams_per_user", store.max_streams));
  TRY(read_count(fields, "max_label_values_per_day", store.max_label_values_per_day));
  TRY(fields.read("reject_old_samples", store.reject_old_samples));
  TRY(read_time(fields, "reject_old_samples_max_age", store.reject_old_samples_max_age));
  TRY(read_time(fields, "creation_grace_period", store.creation_grace_period));
  TRY(fields.read("allow_structured_metadata", store.allow_structured_metadata));
  TRY(read_size(fields, "max_structured_metadata_size", store.max_structured_metadata_size));
  TRY(read_count(fields, "max_structured_metadata_entries_count", store.max_structured_metadata_entries_count));
  TRY(fields.read("enforced_labels", store.enforced_labels));
  std::string until;
  TRY(fields.read("block_ingestion_until", until));
  if (!until.empty()) {
    auto time = parse_time(until);
    if (!time) return std::unexpected(fields.error("block_ingestion_until", time.error().message));
    store.block_ingestion_until = *time;
  }
  std::int64_t status = store.block_ingestion_status_code;
  TRY(fields.read("block_ingestion_status_code", status));
  if (status < 200 || status > 599)
    return std::unexpected(fields.error("block_ingestion_status_code", "must be an HTTP status"));
  store.block_ingestion_status_code = static_cast<int>(status);
  TRY(read_seconds(fields, "retention_period", store.retention_period));
  if (fields.has("retention_stream"))
    store.retention_stream = TRY(read_retention(fields.get("retention_stream"), file));
  if (fields.has("discover_service_name")) {
    limits.discover_service_name.clear();
    TRY(fields.read("discover_service_name", limits.discover_service_name));
  }
  TRY(fields.read("discover_log_levels", limits.discover_log_levels));
  if (fields.has("otlp_config")) TRY(read_otlp(fields.get("otlp_config"), file, limits.otlp));
  TRY(fields.read("max_entries_limit_per_query", limits.max_entries_limit_per_query));
  TRY(fields.read("max_query_series", limits.max_query_series));
  TRY(fields.read("max_streams_matchers_per_query", limits.max_streams_matchers_per_query));
  TRY(fields.read("max_concurrent_tail_requests", limits.max_concurrent_tail_requests));
  TRY(fields.read("volume_max_series", limits.volume_max_series));
  TRY(fields.read("cardinality_limit", limits.cardinality_limit));
  TRY(fields.read("query_timeout", limits.query_timeout));
  TRY(fields.read("max_query_length", limits.max_query_length));
  TRY(fields.read("max_query_lookback", limits.max_query_lookback));
  TRY(fields.read("max_query_range", limits.max_query_range));
  TRY(fields.read_bytes("max_query_bytes_read", limits.max_query_bytes_read));
  TRY(fields.read("required_labels", limits.required_labels));
  TRY(fields.read("minimum_labels_number", limits.minimum_labels_number));
  if (fields.has("blocked_queries")) limits.blocked_queries = TRY(read_blocked(fields.get("blocked_queries"), file));
  TRY(fields.read("volume_enabled", limits.volume_enabled));
  for (const char* key : kWithoutMeaning) (void)fields.get(key);
  std::string deletion = limits.allow_deletes ? "filter-and-delete" : "disabled";
  TRY(fields.read("deletion_mode", deletion));
  if (deletion != "disabled" && deletion != "filter-only" && deletion != "filter-and-delete") {
    return std::unexpected(fields.error("deletion_mode", "must be disabled, filter-only or filter-and-delete"));
  }
  limits.allow_deletes = deletion != "disabled";
  TRY(fields.finish());
  return limits;
}

std::string duration_text(std::chrono::nanoseconds value) {
  return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(value));
}

boost::json::object shown(const LogLimits& limits) {
  const auto& store = limits.store;
  boost::json::object out;
  out["ingestion_rate_mb"] = store.ingestion_rate / kMegabyte;
  out["ingestion_burst_size_mb"] = store.ingestion_burst_size / kMegabyte;
  out["per_stream_rate_limit"] = static_cast<std::int64_t>(store.per_stream_rate_limit);
  out["per_stream_rate_limit_burst"] = static_cast<std::int64_t>(store.per_stream_rate_limit_burst);
  out["max_line_size"] = store.max_line_size;
  out["max_line_size_truncate"] = store.max_line_size_truncate;
  out["max_label_names_per_series"] = store.max_label_names_per_series;
  out["max_label_name_length"] = store.max_label_name_length;
  out["max_label_value_length"] = store.max_label_value_length;
  out["max_global_streams_per_user"] = store.max_streams;
  out["max_label_values_per_day"] = store.max_label_values_per_day;
  out["reject_old_samples"] = store.reject_old_samples;
  out["reject_old_samples_max_age"] = duration_text(store.reject_old_samples_max_age);
  out["creation_grace_period"] = duration_text(store.creation_grace_period);
  out["allow_structured_metadata"] = store.allow_structured_metadata;
  out["max_structured_metadata_size"] = store.max_structured_metadata_size;
  out["max_structured_metadata_entries_count"] = store.max_structured_metadata_entries_count;
  out["discover_service_name"] = boost::json::value_from(limits.discover_service_name);
  out["discover_log_levels"] = limits.discover_log_levels;
  out["max_entries_limit_per_query"] = limits.max_entries_limit_per_query;
  out["max_query_series"] = limits.max_query_series;
  out["max_streams_matchers_per_query"] = limits.max_streams_matchers_per_query;
  out["max_concurrent_tail_requests"] = limits.max_concurrent_tail_requests;
  out["volume_max_series"] = limits.volume_max_series;
  out["volume_enabled"] = limits.volume_enabled;
  out["cardinality_limit"] = limits.cardinality_limit;
  out["query_timeout"] = duration_text(limits.query_timeout);
  out["max_query_length"] = duration_text(limits.max_query_length);
  out["max_query_lookback"] = duration_text(limits.max_query_lookback);
  out["max_query_range"] = duration_text(limits.max_query_range);
  out["max_query_bytes_read"] = limits.max_query_bytes_read;
  out["required_labels"] = boost::json::value_from(limits.required_labels);
  out["minimum_labels_number"] = limits.minimum_labels_number;
  boost::json::array blocked;
  for (const auto& one : limits.blocked_queries) {
    boost::json::object item{{"pattern", one.pattern}, {"regex", one.regex}};
    if (!one.types.empty()) item["types"] = boost::json::value_from(one.types);
    if (one.hash != 0) item["hash"] = one.hash;
    if (!one.tags.empty()) item["tags"] = boost::json::value_from(one.tags);
    blocked.push_back(std::move(item));
  }
  out["blocked_queries"] = std::move(blocked);
  out["retention_period"] = duration_text(store.retention_period);
  boost::json::array rules;
  for (const auto& rule : store.retention_stream) {
    std::string selector;
    for (const auto& matcher : rule.matchers) selector += (selector.empty() ? "{" : ", ") + matcher.to_string();
    rules.push_back(
        {{"selector", selector + "}"}, {"priority", rule.priority}, {"period", duration_text(rule.period)}});
  }
  out["retention_stream"] = std::move(rules);
  out["deletion_mode"] = limits.allow_deletes ? "filter-and-delete" : "disabled";
  return out;
}

}  // namespace

LogLimits::LogLimits() : discover_service_name(default_service_names()) {}

LogLimits LogLimits::of_loki() {
  LogLimits limits;
  auto& store = limits.store;
  store.ingestion_rate = 4 * kMegabyte;
  store.ingestion_burst_size = 6 * kMegabyte;
  store.per_stream_rate_limit = 3 * kMegabyte;
  store.per_stream_rate_limit_burst = 15 * kMegabyte;
  store.max_line_size = 256 << 10;
  store.max_line_size_truncate = false;
  store.max_label_names_per_series = 15;
  store.max_streams = 5'000;
  store.reject_old_samples = true;
  store.max_structured_metadata_size = 64 << 10;
  store.max_structured_metadata_entries_count = 128;
  limits.max_entries_limit_per_query = 5'000;
  limits.max_query_series = 500;
  limits.max_concurrent_tail_requests = 10;
  limits.max_query_length = std::chrono::hours(721);
  return limits;
}

namespace {

// Of two limits of which 0 is none.
template <typename T>
T smaller_set(T a, T b) {
  if (a == T{} || b == T{}) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

std::shared_ptr<const LogLimits> smallest_limits(std::vector<std::shared_ptr<const LogLimits>> tenants) {
  if (tenants.size() == 1) return std::move(tenants[0]);
  LogLimits all = *tenants[0];
  for (std::size_t i = 1; i < tenants.size(); ++i) {
    const auto& one = *tenants[i];
    for (auto number :
         {&LogLimits::max_entries_limit_per_query, &LogLimits::max_query_series,
          &LogLimits::max_streams_matchers_per_query, &LogLimits::volume_max_series, &LogLimits::cardinality_limit}) {
      all.*number = smaller_set(all.*number, one.*number);
    }
    for (auto time : {&LogLimits::query_timeout, &LogLimits::max_query_length, &LogLimits::max_query_lookback,
                      &LogLimits::max_query_range}) {
      all.*time = smaller_set(all.*time, one.*time);
    }
    all.max_query_bytes_read = smaller_set(all.max_query_bytes_read, one.max_query_bytes_read);
    all.minimum_labels_number = std::max(all.minimum_labels_number, one.minimum_labels_number);
    all.volume_enabled = all.volume_enabled && one.volume_enabled;
    for (const auto& name : one.required_labels) {
      if (std::ranges::find(all.required_labels, name) == all.required_labels.end())
        all.required_labels.push_back(name);
    }
    all.blocked_queries.insert(all.blocked_queries.end(), one.blocked_queries.begin(), one.blocked_queries.end());
  }
  return std::make_shared<const LogLimits>(std::move(all));
}

Result<LogLimits> parse_log_limits(std::string_view text, std::string_view file, const LogLimits& base) {
  const auto node = TRY(yaml::parse(text, file));
  return read_limits(node, file, base);
}

std::string limits_json(const LogLimits& limits) { return boost::json::serialize(shown(limits)); }

std::string limits_yaml(const LogLimits& limits) {
  // JSON values are YAML values.
  std::string out;
  for (const auto& [key, value] : shown(limits)) {
    out += fmt::format("{}: {}\n", std::string_view(key), boost::json::serialize(value));
  }
  return out;
}

std::shared_ptr<const LogLimits> LogLimitsService::of(std::string_view tenant) const {
  std::scoped_lock lock(mutex_);
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? base_ : found->second;
}

Result<> LogLimitsService::reload(LogLimits base, std::string_view overrides_text, std::string_view overrides_file) {
  std::map<std::string, std::shared_ptr<const LogLimits>, std::less<>> tenants;
  const auto document = TRY(yaml::parse(overrides_text, overrides_file));
  const auto overrides = document.IsMap() ? document["overrides"] : YAML::Node();
  if (overrides.IsDefined() && overrides.IsMap()) {
    for (const auto& entry : overrides) {
      if (!entry.second.IsMap()) continue;
      const auto logs = entry.second["logs"];
      if (!logs.IsDefined() || logs.IsNull()) continue;
      tenants[entry.first.as<std::string>()] =
          std::make_shared<const LogLimits>(TRY(read_limits(logs, overrides_file, base)));
    }
  }
  std::scoped_lock lock(mutex_);
  base_ = std::make_shared<const LogLimits>(std::move(base));
  tenants_ = std::move(tenants);
  return {};
}

}  // namespace tocayo::logs::api
