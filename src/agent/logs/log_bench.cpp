// SPDX-License-Identifier: Apache-2.0
// CPU time from a log file to a compressed push request: agent_log_bench [MiB] [stages.yaml]
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/logs/log_agent.h"
#include "core/log.h"
#include "core/text.h"
#include "core/yaml.h"

namespace {

using namespace tocayo;
using namespace tocayo::agent;
using namespace std::chrono_literals;

// Takes everything at once: what is measured is ours alone.
class Nowhere final : public http::Client {
 public:
  Task<Result<http::ClientResponse>> send(http::ClientRequest request, Context) override {
    bytes += request.body.size();
    co_return http::ClientResponse{.status = 204};
  }
  std::atomic<std::uint64_t> bytes{0};
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

constexpr const char* kStages =
    "[{json: {expressions: {level: , time: , msg: }}}, {labels: {level: }},"
    " {timestamp: {source: time, format: RFC3339Nano}}]";

int run(std::size_t mebibytes, const std::string& stages, const char* name) {
  const auto dir = std::filesystem::temp_directory_path() / "tocayo-log-bench";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  std::uint64_t lines = 0, size = 0;
  {
    std::ofstream out(dir / "a.log");
    while (size < mebibytes << 20) {
      const auto line = fmt::format(
          R"({{"time":"2026-11-24T10:{:02}:{:02}.{:09}Z","level":"{}","msg":"GET /api/users/{} took {} ms","trace":"{:016x}"}})"
          "\n",
          lines / 60000 % 60, lines / 1000 % 60, lines * 7919 % 1'000'000'000, lines % 50 == 0 ? "error" : "info",
          lines * 31 % 100'000, lines * 17 % 900, lines * 0x9E3779B97F4A7C15ULL);
      out << line;
      size += line.size();
      ++lines;
    }
  }
  std::vector<std::string> warnings;
  auto node = yaml::parse(fmt::format("scrape_configs: [{{job_name: a, pipeline_stages: {}, static_configs: [{{labels: "
                                      "{{job: a, __path__: {}/*.log}}}}]}}]",
                                      stages, dir.string()),
                          "bench");
  auto config =
      node ? parse_logs_node(*node, "bench", "/", warnings) : Result<LogsConfig>(std::unexpected(node.error()));
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message);
    return 1;
  }
  Nowhere client;
  LogDestination to;
  to.name = "bench";
  to.url = "http://nowhere/";
  to.batch_wait = 50ms;
  LogQueueOptions queue_options;
  queue_options.dir = (dir / "queue").string();
  auto queue = LogQueue::open(std::move(queue_options), std::move(to), client);
  if (!queue) return 1;
  auto sink = std::make_shared<QueueSink>();
  std::shared_ptr<LogQueue> shared = std::move(*queue);
  sink->set({shared});
  LogAgentOptions options;
  options.jobs = std::move(config->jobs);
  options.positions_file = (dir / "positions").string();
  options.own_lines = false;
  options.first_bytes = 0;
  auto agent = LogAgent::create(std::move(options), sink);
  if (!agent) return 1;
  const double before = cpu_seconds();
  const auto began = std::chrono::steady_clock::now();
  (*agent)->start();
  while (shared->status().delivered < lines) std::this_thread::sleep_for(1ms);
  const double cpu = cpu_seconds() - before;
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  (*agent)->stop();
  const double mib = static_cast<double>(size) / (1 << 20);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{}: {:.0f} MiB, {} lines: {:.2f} s of CPU, {:.0f} MiB a CPU second ({:.2f} s wall), {:.1f} MiB sent, {} MiB RSS "
      "at most\n",
      name, mib, lines, cpu, mib / cpu, wall, static_cast<double>(client.bytes) / (1 << 20), usage.ru_maxrss / 1024);
  shared->stop(0ms);
  std::filesystem::remove_all(dir);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  log::set_level(log::Level::warn);
  const std::size_t mebibytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 256;
  if (argc > 2) {
    const auto text = read_file(argv[2]);
    return text ? run(mebibytes, *text, argv[2]) : 1;
  }
  const int plain = run(mebibytes, "[]", "no stages");
  return plain != 0 ? plain : run(mebibytes, kStages, "json, labels, timestamp");
}
