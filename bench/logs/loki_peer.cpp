// SPDX-License-Identifier: Apache-2.0
#include "bench/logs/loki_peer.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <thread>

namespace tocayo::bench {

namespace {

// Its own loki-local-config.yaml, without the pattern ingester (which costs it CPU that no query here needs), with its
// default log level, and without the limits that would refuse a corpus loaded at once.
std::string configuration(const std::filesystem::path& data, int http, int grpc) {
  return fmt::format(R"(auth_enabled: false
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {}
  grpc_server_max_concurrent_streams: 1000
  grpc_server_max_recv_msg_size: 104857600
  grpc_server_max_send_msg_size: 104857600
  http_server_read_timeout: 10m
  http_server_write_timeout: 10m
  log_level: warn
common:
  instance_addr: 127.0.0.1
  path_prefix: {}
  storage:
    filesystem:
      chunks_directory: {}/chunks
      rules_directory: {}/rules
  replication_factor: 1
  ring:
    kvstore:
      store: inmemory
query_range:
  results_cache:
    cache:
      embedded_cache:
        enabled: true
        max_size_mb: 100
schema_config:
  configs:
    - from: 2020-10-24
      store: tsdb
      object_store: filesystem
      schema: v13
      index:
        prefix: index_
        period: 24h
frontend:
  encoding: protobuf
limits_config:
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
  max_global_streams_per_user: 0
  max_query_series: 100000
  query_timeout: 10m
  reject_old_samples: false
  volume_enabled: true
analytics:
  reporting_enabled: false
)",
                     http, grpc, data.string(), data.string(), data.string());
}

}  // namespace

bool Loki::flush() const {
  const auto reply = testing::http_request("POST", system.base + "/flush", "", {}, std::chrono::minutes(10));
  if (reply.status / 100 != 2) return false;
  // It answers at once: done when no chunk waits in memory any more.
  return testing::eventually(
      [&] {
        std::this_thread::sleep_for(std::chrono::seconds(1));  // asking costs it CPU that is counted
        const auto metrics = testing::http_get(system.base + "/metrics").body;
        constexpr std::string_view kChunks = "\nloki_ingester_memory_chunks ";
        const auto at = metrics.find(kChunks);
        return at != std::string::npos && std::atof(metrics.c_str() + at + kChunks.size()) == 0;
      },
      std::chrono::minutes(20));
}

std::unique_ptr<Loki> start_loki(const std::filesystem::path& work) {
  const char* binary = std::getenv("TOCAYO_BENCH_LOKI");
  if (binary == nullptr || *binary == '\0') return nullptr;
  auto loki = std::make_unique<Loki>();
  loki->data = work / "loki";
  loki->files = loki->data / "files";
  std::filesystem::create_directories(loki->files);
  const int http = testing::free_port();
  const int grpc = testing::free_port();
  const auto file = work / "loki.yaml";
  std::ofstream(file) << configuration(loki->data, http, grpc);
  loki->system = {"loki", fmt::format("http://127.0.0.1:{}", http), "/loki/api/v1/push"};
  loki->process = std::make_unique<testing::Process>(
      // It writes chunks and index into the directory where it runs.
      std::vector<std::string>{"/bin/sh", "-c", "cd \"$1\" && exec \"$2\" -target=all -config.file=\"$3\"", "loki",
                               std::filesystem::absolute(loki->files).string(),
                               std::filesystem::absolute(binary).string(), std::filesystem::absolute(file).string()},
      work / "loki.log");
  loki->system.pid = loki->process->pid();
  if (!testing::eventually([&] { return testing::http_get(loki->system.base + "/ready").status == 200; },
                           std::chrono::minutes(2))) {
    fmt::print("Loki did not start: {}\n", loki->process->log());
    return nullptr;
  }
  return loki;
}

}  // namespace tocayo::bench
