// SPDX-License-Identifier: Apache-2.0
// What a tenant may do. Names, units and defaults are Mimir's (specs/metrics.md §3), so that its `limits:` block and
// its runtime configuration paste in. This room holds the values; the stores enforce what they are given.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"

namespace tocayo::tenancy {

struct BlockedQuery {
  std::string pattern;
  bool regex = false;
  std::string reason;
  bool operator==(const BlockedQuery&) const = default;
};
struct LimitedQuery {
  std::string query;
  std::chrono::milliseconds allowed_frequency{0};
  bool operator==(const LimitedQuery&) const = default;
};
struct BlockedRequest {
  std::string path;
  std::string method;
  std::map<std::string, std::string> query_params;  // parameter -> value, or "=~regex"
  bool operator==(const BlockedRequest&) const = default;
};

// 0 (or an empty value) switches a limit off unless its line says otherwise. The defaults here are those with login
// required; defaults(false) is what holds with login off.
struct Limits {
  // Writing
  double request_rate = 0;  // push requests/s
  std::int64_t request_burst_size = 0;
  double ingestion_rate = 10'000;  // samples/s
  std::int64_t ingestion_burst_size = 200'000;
  double ingestion_burst_factor = 0;
  bool service_overload_status_code_on_rate_limit_enabled = false;
  std::int64_t max_global_series_per_user = 150'000;
  std::int64_t max_global_series_per_metric = 0;
  std::int64_t max_global_metadata_per_user = 0;
  std::int64_t max_global_metadata_per_metric = 0;
  std::int64_t max_global_exemplars_per_user = 100'000;  // size of the ring; 0: no exemplars (Mimir's default is 0)
  std::int64_t max_label_name_length = 1'024;
  std::int64_t max_label_value_length = 2'048;
  std::int64_t max_label_names_per_series = 30;
  std::int64_t max_label_names_per_info_series = 80;
  std::int64_t max_metadata_length = 1'024;
  bool enforce_metadata_metric_name = true;
  std::chrono::milliseconds creation_grace_period{10 * 60'000};
  std::chrono::milliseconds past_grace_period{0};
  std::chrono::milliseconds out_of_order_time_window{2 * 3'600'000};  // Mimir: 0
  bool native_histograms_ingestion_enabled = true;
  std::int64_t max_native_histogram_buckets = 0;
  bool reduce_native_histogram_over_max_buckets = true;
  std::vector<std::string> drop_labels;
  std::string metric_relabel_configs;  // YAML of the list, as core/relabel reads it
  bool accept_ha_samples = false;
  std::string ha_cluster_label = "cluster";
  std::string ha_replica_label = "__replica__";
  std::int64_t max_label_value_cardinality = 0;  // ours: values per label name before they become __overflow__
  // Reading
  std::int64_t max_fetched_chunks_per_query = 2'000'000;
  std::int64_t max_fetched_series_per_query = 0;
  std::int64_t max_fetched_chunk_bytes_per_query = 0;
  std::int64_t max_estimated_memory_consumption_per_query = 0;
  std::chrono::milliseconds max_query_lookback{0};
  std::chrono::milliseconds max_total_query_length{0};
  std::chrono::milliseconds max_partial_query_length{0};
  std::chrono::milliseconds max_labels_query_length{0};
  std::int64_t max_series_query_limit = 0;
  std::int64_t max_query_expression_size_bytes = 0;
  std::int64_t max_query_parallelism = 14;
  std::vector<BlockedQuery> blocked_queries;
  std::vector<LimitedQuery> limited_queries;
  std::vector<BlockedRequest> blocked_requests;
  std::chrono::milliseconds results_cache_ttl{7LL * 24 * 3'600'000};
  std::chrono::milliseconds results_cache_ttl_for_out_of_order_time_window{10 * 60'000};
  std::chrono::milliseconds max_cache_freshness{10 * 60'000};
  bool align_queries_with_step = false;
  std::vector<std::string> enabled_promql_experimental_functions;  // "all", or names
  // Cardinality
  bool cardinality_analysis_enabled = true;  // Mimir: false
  std::int64_t cardinality_analysis_max_results = 500;
  std::int64_t label_names_and_values_results_max_size_bytes = 400 << 20;
  std::int64_t active_series_results_max_size_bytes = 400 << 20;
  std::map<std::string, std::string> active_series_custom_trackers;  // name -> selector
  std::map<std::string, std::string> active_series_additional_custom_trackers;
  // Keeping
  std::chrono::milliseconds compactor_blocks_retention_period{0};  // 0: metrics.retention.time
  bool compactor_block_upload_enabled = false;
  bool compactor_block_upload_validation_enabled = true;
  bool compactor_block_upload_verify_chunks = true;
  std::int64_t compactor_block_upload_max_block_size_bytes = 0;
  // Rules
  std::int64_t ruler_max_rules_per_rule_group = 20;
  std::int64_t ruler_max_rule_groups_per_tenant = 70;

  bool operator==(const Limits&) const = default;
  // With login off every count and rate limit is off: only the process' memory guard protects.
  static Limits defaults(bool login_required);
};

// One field, for whoever walks over all of them (YAML, JSON, metrics).
struct LimitField {
  std::string_view name;
  std::variant<double Limits::*, std::int64_t Limits::*, bool Limits::*, std::chrono::milliseconds Limits::*,
               std::string Limits::*, std::vector<std::string> Limits::*, std::map<std::string, std::string> Limits::*>
      member;
  bool off_without_login = false;  // a count or rate limit
};
const std::vector<LimitField>& limit_fields();  // without the three lists of objects

struct ParsedLimits {
  Limits limits;
  std::vector<std::string> warnings;  // "file:line:column: …": keys of Mimir that have no effect here
};
struct ParsedOverrides {
  std::map<std::string, std::shared_ptr<const Limits>, std::less<>> tenants;
  std::vector<std::string> warnings;
};

// A `limits:` block (the mapping below that key), on top of `base`. bad_input "<file>:<line>:<column>: …"; unknown keys
// are errors with the nearest known one, keys of Mimir that we do not have are warnings.
Result<ParsedLimits> parse_limits(std::string_view yaml, std::string_view file, const Limits& base);
// The overrides file: `overrides: {tenant: {…}}`, other top-level keys of Mimir's runtime configuration are warnings.
Result<ParsedOverrides> parse_overrides(std::string_view yaml, std::string_view file, const Limits& base);
// All fields as the YAML that parse_limits reads; with `base` only those that differ from it. `indent` spaces before
// each line.
std::string to_yaml(const Limits& limits, const Limits* base, int indent);

}  // namespace tocayo::tenancy
