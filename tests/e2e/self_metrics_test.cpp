// SPDX-License-Identifier: Apache-2.0
// The names that the stock dashboards and alerts of Prometheus and Mimir ask of a server.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

TEST(SelfMetrics, NamesOfTheMixins) {
  Server server;
  ASSERT_TRUE(server.start());
  ASSERT_EQ(http_get(server.url("/api/v1/query?query=up")).status, 200);
  ASSERT_EQ(http_get(server.url("/api/v1/query_exemplars?query=up")).status, 200);
  const auto reply = http_get(server.url("/metrics"));
  ASSERT_EQ(reply.status, 200);
  for (const char* name : {"prometheus_build_info",
                           "prometheus_config_last_reload_successful",
                           "prometheus_engine_queries",
                           "prometheus_engine_queries_concurrent_max",
                           "prometheus_engine_query_duration_seconds",
                           "prometheus_engine_query_samples_total",
                           "prometheus_tsdb_head_series",
                           "prometheus_tsdb_head_chunks",
                           "prometheus_tsdb_head_samples_appended_total",
                           "prometheus_tsdb_head_series_created_total",
                           "prometheus_tsdb_head_series_removed_total",
                           "prometheus_tsdb_compactions_failed_total",
                           "prometheus_tsdb_wal_segment_current",
                           "prometheus_tsdb_clean_start",
                           "prometheus_tsdb_out_of_order_samples_total",
                           "cortex_build_info",
                           "cortex_request_duration_seconds",
                           "cortex_querier_request_duration_seconds",
                           "cortex_ingester_memory_series",
                           "cortex_ingester_memory_users",
                           "cortex_ingester_queried_series",
                           "cortex_ingester_queried_samples",
                           "cortex_ingester_queried_exemplars",
                           "cortex_ingester_tsdb_head_max_timestamp_seconds",
                           "cortex_ingester_tsdb_storage_blocks_bytes",
                           "cortex_ingester_tsdb_exemplar_exemplars_appended_total",
                           "cortex_query_frontend_queue_length",
                           "cortex_query_frontend_queue_duration_seconds",
                           "cortex_query_frontend_retries",
                           "cortex_limits_defaults",
                           "cortex_runtime_config_last_reload_successful",
                           "process_memory_map_areas",
                           "process_memory_map_areas_limit",
                           "tocayo_metrics_api_query_memory_bytes"}) {
    EXPECT_NE(reply.body.find("\n# TYPE " + std::string(name) + " "), std::string::npos) << name;
  }
  EXPECT_NE(reply.body.find("\nprometheus_tsdb_clean_start 1\n"), std::string::npos) << "a first start is a clean one";
}

TEST(SelfMetrics, CleanStartTellsACrash) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto clean = [&] {
    const std::string body = http_get(server.url("/metrics")).body;
    const auto at = body.find("\nprometheus_tsdb_clean_start ");
    return at == std::string::npos ? '?' : body[at + 29];
  };
  ASSERT_EQ(http_request("POST", server.url("/api/v1/import/prometheus"), "a 1\n").status, 204);
  server.kill9();
  ASSERT_TRUE(server.start());
  EXPECT_EQ(clean(), '0');
  EXPECT_EQ(server.stop(), 0);
  ASSERT_TRUE(server.start());
  EXPECT_EQ(clean(), '1');
}

}  // namespace
}  // namespace tocayo::testing
