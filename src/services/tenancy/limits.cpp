// SPDX-License-Identifier: Apache-2.0
#include "tenancy/limits.h"

#include "core/time.h"

namespace tocayo::tenancy {

const std::vector<LimitField>& limit_fields() {
  using L = Limits;
  constexpr bool kOff = true;
  static const std::vector<LimitField> fields = {
      {"request_rate", &L::request_rate, kOff},
      {"request_burst_size", &L::request_burst_size, kOff},
      {"ingestion_rate", &L::ingestion_rate, kOff},
      {"ingestion_burst_size", &L::ingestion_burst_size, kOff},
      {"ingestion_burst_factor", &L::ingestion_burst_factor, kOff},
      {"service_overload_status_code_on_rate_limit_enabled", &L::service_overload_status_code_on_rate_limit_enabled},
      {"max_global_series_per_user", &L::max_global_series_per_user, kOff},
      {"max_global_series_per_metric", &L::max_global_series_per_metric, kOff},
      {"max_global_metadata_per_user", &L::max_global_metadata_per_user, kOff},
      {"max_global_metadata_per_metric", &L::max_global_metadata_per_metric, kOff},
      {"max_global_exemplars_per_user", &L::max_global_exemplars_per_user},
      {"max_label_name_length", &L::max_label_name_length},
      {"max_label_value_length", &L::max_label_value_length},
      {"max_label_names_per_series", &L::max_label_names_per_series, kOff},
      {"max_label_names_per_info_series", &L::max_label_names_per_info_series, kOff},
      {"max_metadata_length", &L::max_metadata_length},
      {"enforce_metadata_metric_name", &L::enforce_metadata_metric_name},
      {"creation_grace_period", &L::creation_grace_period},
      {"past_grace_period", &L::past_grace_period},
      {"out_of_order_time_window", &L::out_of_order_time_window},
      {"native_histograms_ingestion_enabled", &L::native_histograms_ingestion_enabled},
      {"max_native_histogram_buckets", &L::max_native_histogram_buckets, kOff},
      {"reduce_native_histogram_over_max_buckets", &L::reduce_native_histogram_over_max_buckets},
      {"drop_labels", &L::drop_labels},
      {"accept_ha_samples", &L::accept_ha_samples},
      {"ha_cluster_label", &L::ha_cluster_label},
      {"ha_replica_label", &L::ha_replica_label},
      {"max_label_value_cardinality", &L::max_label_value_cardinality, kOff},
      {"max_fetched_chunks_per_query", &L::max_fetched_chunks_per_query, kOff},
      {"max_fetched_series_per_query", &L::max_fetched_series_per_query, kOff},
      {"max_fetched_chunk_bytes_per_query", &L::max_fetched_chunk_bytes_per_query, kOff},
      {"max_estimated_memory_consumption_per_query", &L::max_estimated_memory_consumption_per_query, kOff},
      {"max_query_lookback", &L::max_query_lookback},
      {"max_total_query_length", &L::max_total_query_length},
      {"max_partial_query_length", &L::max_partial_query_length},
      {"max_labels_query_length", &L::max_labels_query_length},
      {"max_series_query_limit", &L::max_series_query_limit, kOff},
      {"max_query_expression_size_bytes", &L::max_query_expression_size_bytes, kOff},
      {"max_query_parallelism", &L::max_query_parallelism},
      {"results_cache_ttl", &L::results_cache_ttl},
      {"results_cache_ttl_for_out_of_order_time_window", &L::results_cache_ttl_for_out_of_order_time_window},
      {"max_cache_freshness", &L::max_cache_freshness},
      {"align_queries_with_step", &L::align_queries_with_step},
      {"enabled_promql_experimental_functions", &L::enabled_promql_experimental_functions},
      {"cardinality_analysis_enabled", &L::cardinality_analysis_enabled},
      {"cardinality_analysis_max_results", &L::cardinality_analysis_max_results},
      {"label_names_and_values_results_max_size_bytes", &L::label_names_and_values_results_max_size_bytes},
      {"active_series_results_max_size_bytes", &L::active_series_results_max_size_bytes},
      {"active_series_custom_trackers", &L::active_series_custom_trackers},
      {"active_series_additional_custom_trackers", &L::active_series_additional_custom_trackers},
      {"compactor_blocks_retention_period", &L::compactor_blocks_retention_period},
      {"compactor_block_upload_enabled", &L::compactor_block_upload_enabled},
      {"compactor_block_upload_validation_enabled", &L::compactor_block_upload_validation_enabled},
      {"compactor_block_upload_verify_chunks", &L::compactor_block_upload_verify_chunks},
      {"compactor_block_upload_max_block_size_bytes", &L::compactor_block_upload_max_block_size_bytes},
      {"ruler_max_rules_per_rule_group", &L::ruler_max_rules_per_rule_group, kOff},
      {"ruler_max_rule_groups_per_tenant", &L::ruler_max_rule_groups_per_tenant, kOff},
  };
  return fields;
}

Limits Limits::defaults(bool login_required) {
  Limits out;
  if (login_required) return out;
  for (const LimitField& field : limit_fields()) {
    if (!field.off_without_login) continue;
    if (auto* number = std::get_if<double Limits::*>(&field.member)) out.** number = 0;
    if (auto* count = std::get_if<std::int64_t Limits::*>(&field.member)) out.** count = 0;
  }
  return out;
}

}  // namespace tocayo::tenancy
