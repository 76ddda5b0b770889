// SPDX-License-Identifier: Apache-2.0
#include "main/wiring.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "core/text.h"
#include "main/health.h"

namespace tocayo {
namespace {

std::size_t count(std::int64_t value) { return static_cast<std::size_t>(std::max<std::int64_t>(value, 0)); }

}  // namespace

Result<promql::EngineOptions> engine_options(const Config& config) {
  promql::EngineOptions options;
  options.timeout = config.duration("metrics.query.timeout");
  options.max_samples = count(config.integer("metrics.query.max_samples"));
  options.lookback = config.duration("metrics.query.lookback_delta");
  options.default_subquery_step = [step = config.duration("metrics.query.default_eval_interval")](promql::Duration) {
    return step;
  };
  const std::pair<std::string, bool*> known[] = {
      {"promql-experimental-functions", &options.features.experimental_functions},
      {"promql-duration-expr", &options.features.duration_expressions},
      {"promql-extended-range-selectors", &options.features.extended_ranges},
      {"promql-binop-fill-modifiers", &options.features.fill_modifiers},
      {"promql-delayed-name-removal", &options.features.delayed_name_removal},
      {"use-start-timestamps", &options.features.use_start_timestamps},
      {"type-and-unit-labels", &options.features.type_and_unit_labels},
      {"promql-per-step-stats", &options.features.per_step_stats}};
  for (const std::string& feature : config.list("metrics.features")) {
    auto it =
        std::find_if(std::begin(known), std::end(known), [&](const auto& entry) { return entry.first == feature; });
    if (it == std::end(known)) {
      std::vector<std::string> names;
      for (const auto& [name, flag] : known) names.push_back(name);
      std::string near = nearest(feature, names);
      return fail(ErrorKind::bad_input,
                  fmt::format("{}: metrics.features: unknown feature \"{}\"{}", config.origin("metrics.features"),
                              feature, near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
    *it->second = true;
  }
  return options;
}

Result<metrics::StoreOptions> store_options(const Config& config) {
  metrics::StoreOptions options;
  options.dir = config.text("storage.data_dir") + "/metrics";
  options.shards = count(config.integer("metrics.shards"));
  options.wal_mode = TRY(journal::parse_sync_mode(config.text("metrics.wal.mode")));
  options.wal_segment_size = config.bytes("metrics.wal.segment_size");
  options.checkpoint_interval = config.duration("metrics.wal.checkpoint_interval");
  options.head_window = config.duration("metrics.head.window");
  options.head_idle_timeout = config.duration("metrics.head.idle_timeout");
  options.retention = config.duration("metrics.retention.time");
  options.memory_limit = config.bytes("memory.limit");
  if (options.memory_limit == 0) options.memory_limit = default_memory_limit();
  return options;
}

metrics::StoreLimits store_limits(const tenancy::Limits& from, std::chrono::milliseconds default_retention) {
  metrics::StoreLimits limits;
  limits.max_global_series_per_user = count(from.max_global_series_per_user);
  limits.max_global_series_per_metric = count(from.max_global_series_per_metric);
  limits.max_global_exemplars_per_user = count(from.max_global_exemplars_per_user);
  limits.max_global_metadata_per_user = count(from.max_global_metadata_per_user);
  limits.max_global_metadata_per_metric = count(from.max_global_metadata_per_metric);
  limits.out_of_order_time_window = from.out_of_order_time_window;
  limits.creation_grace_period = from.creation_grace_period;
  limits.past_grace_period = from.past_grace_period;
  limits.retention =
      from.compactor_blocks_retention_period.count() > 0 ? from.compactor_blocks_retention_period : default_retention;
  return limits;
}

metrics::api::ApiLimits api_limits(const tenancy::Limits& from) {
  metrics::api::ApiLimits limits;
  limits.ingest.max_label_name_length = count(from.max_label_name_length);
  limits.ingest.max_label_value_length = count(from.max_label_value_length);
  limits.ingest.max_label_names_per_series = count(from.max_label_names_per_series);
  limits.ingest.max_label_names_per_info_series = count(from.max_label_names_per_info_series);
  limits.ingest.max_metadata_length = count(from.max_metadata_length);
  limits.ingest.creation_grace_period_ms = from.creation_grace_period.count();
  limits.ingest.past_grace_period_ms = from.past_grace_period.count();
  limits.ingest.native_histograms = from.native_histograms_ingestion_enabled;
  limits.ingest.max_native_histogram_buckets = count(from.max_native_histogram_buckets);
  limits.ingest.reduce_native_histogram_over_max_buckets = from.reduce_native_histogram_over_max_buckets;
  limits.ingest.rules = metrics::ingest_rules_or_none(from.drop_labels, from.metric_relabel_configs);
  limits.ingest.out_of_order_time_window_ms = from.out_of_order_time_window.count();
  limits.request_rate = from.request_rate;
  limits.request_burst_size = count(from.request_burst_size);
  limits.ingestion_rate = from.ingestion_rate;
  limits.ingestion_burst_size = count(from.ingestion_burst_size);
  limits.ingestion_burst_factor = from.ingestion_burst_factor;
  limits.overload_status_on_rate_limit = from.service_overload_status_code_on_rate_limit_enabled;
  return limits;
}

namespace {

// A pattern of the configuration, which was checked when it was read. One that does not compile matches only itself.
metrics::api::TextPattern pattern_of(const std::string& text, bool regex) {
  auto pattern = metrics::api::TextPattern::create(text, regex);
  if (!pattern) pattern = metrics::api::TextPattern::create(text, false);
  return std::move(*pattern);
}

}  // namespace

metrics::api::QueryLimits query_limits(const tenancy::Limits& from) {
  metrics::api::QueryLimits limits;
  limits.fetch.max_series = count(from.max_fetched_series_per_query);
  limits.fetch.max_chunks = count(from.max_fetched_chunks_per_query);
  limits.fetch.max_chunk_bytes = count(from.max_fetched_chunk_bytes_per_query);
  limits.fetch.max_memory = count(from.max_estimated_memory_consumption_per_query);
  limits.max_query_expression_size_bytes = count(from.max_query_expression_size_bytes);
  limits.max_query_lookback = from.max_query_lookback;
  limits.max_total_query_length = from.max_total_query_length;
  limits.max_partial_query_length = from.max_partial_query_length;
  limits.max_labels_query_length = from.max_labels_query_length;
  limits.max_series_query_limit = count(from.max_series_query_limit);
  limits.max_query_parallelism = count(from.max_query_parallelism);
  limits.align_queries_with_step = from.align_queries_with_step;
  for (const std::string& name : from.enabled_promql_experimental_functions) {
    if (name == "all") limits.all_experimental_functions = true;
    limits.experimental_functions.push_back(name);
  }
  for (const auto& query : from.blocked_queries)
    limits.blocked_queries.push_back(pattern_of(query.pattern, query.regex));
  for (const auto& query : from.limited_queries)
    limits.limited_queries.push_back({query.query, query.allowed_frequency});
  for (const auto& request : from.blocked_requests) {
    metrics::api::QueryLimits::BlockedRequest block{request.path, request.method, {}};
    for (const auto& [name, value] : request.query_params) {
      const bool regex = value.starts_with("=~");
      block.params.emplace(name, pattern_of(regex ? value.substr(2) : value, regex));
    }
    limits.blocked_requests.push_back(std::move(block));
  }
  return limits;
}

std::shared_ptr<const metrics::api::QueryLimits> QueryLimitsCache::get(std::string_view tenant) {
  std::shared_ptr<const tenancy::Limits> now = limits_.limits(tenant);
  std::lock_guard lock(mutex_);
  if (auto it = known_.find(now.get()); it != known_.end()) return it->second.compiled;
  if (known_.size() >= kMaxVersions) known_.clear();
  auto compiled = std::make_shared<const metrics::api::QueryLimits>(query_limits(*now));
  const tenancy::Limits* address = now.get();
  known_.emplace(address, Entry{std::move(now), compiled});
  return compiled;
}

namespace {

// A ULID that is always the same for one segment: its newest sample's time, then a hash of which one it is.
std::string ulid_of(std::string_view tenant, const metrics::BlockStats& block) {
  static constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const std::string which = fmt::format("{} {}", tenant, block.sequence);
  const std::uint64_t random[2] = {hash64(which), hash64(which, 1)};
  auto time = static_cast<std::uint64_t>(std::max<TimestampMs>(block.max_time, 0));
  std::string ulid(26, '0');
  for (int i = 9; i >= 0; --i, time >>= 5) ulid[static_cast<std::size_t>(i)] = kAlphabet[time & 31];
  for (std::size_t i = 0; i < 16; ++i) ulid[10 + i] = kAlphabet[(random[i / 8] >> (i % 8 * 5)) & 31];
  return ulid;
}

}  // namespace

void connect_store(metrics::api::ApiDependencies& api, StoreGate& gate) {
  namespace m = metrics::api;
  api.appender = &gate;
  api.querier = [&gate](std::string_view tenant) -> Result<std::shared_ptr<const metrics::Querier>> {
    auto* store = TRY(gate.ready());
    return store->querier(tenant);
  };
  api.exemplars = [&gate](std::string_view tenant, std::span<const std::vector<Matcher>> matchers, TimestampMs start,
                          TimestampMs end, const Context&) -> Result<std::vector<m::ExemplarSeries>> {
    auto* store = TRY(gate.ready());
    std::vector<m::ExemplarSeries> result;
    for (auto& series : TRY(store->exemplars(tenant, matchers, start, end))) {
      result.push_back({std::move(series.labels), std::move(series.exemplars)});
    }
    return result;
  };
  api.metadata = [&gate](std::string_view tenant,
                         std::string_view metric) -> Result<std::vector<metrics::MetadataRow>> {
    auto* store = TRY(gate.ready());
    return store->metadata(tenant, metric, 0, 0);
  };
  api.blocks = [&gate](std::string_view tenant) -> Result<std::vector<m::BlockInfo>> {
    auto* store = TRY(gate.ready());
    std::vector<m::BlockInfo> result;
    for (const auto& block : store->blocks(tenant)) {
      // Prometheus' end of a block is exclusive.
      result.push_back(
          {ulid_of(tenant, block), block.min_time, block.max_time + 1, block.samples, block.series, block.series, 1});
    }
    return result;
  };
  api.head_status = [&gate](std::string_view tenant, std::size_t limit) -> Result<m::HeadStatus> {
    auto* store = TRY(gate.ready());
    auto stats = store->head_stats(tenant, limit);
    auto pairs = [](const std::vector<metrics::HeadStats::Count>& from) {
      m::HeadStatus::Counts to;
      for (const auto& entry : from) to.emplace_back(entry.name, entry.value);
      return to;
    };
    m::HeadStatus status;
    status.series = stats.series;
    status.label_pairs = stats.label_pairs;
    status.chunks = stats.chunks;
    status.min_time = stats.min_time;
    status.max_time = stats.max_time;
    status.series_by_metric = pairs(stats.series_by_metric);
    status.values_by_label = pairs(stats.values_by_label);
    status.memory_by_label = pairs(stats.bytes_by_label);
    status.series_by_label_pair = pairs(stats.series_by_pair);
    return status;
  };
}

}  // namespace tocayo
