// SPDX-License-Identifier: Apache-2.0
// The live tail under load: watchers with distinct queries, lines at a fixed rate; how long a line takes from its
// acknowledgement until it is handed to each socket, and what that costs.
//
//   logs_tail_bench [watchers] [queries] [lines a second] [seconds]      default 5000 200 20000 10
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "logs/api/tail_test_support.h"
#include "logs/store/temporary_store.h"

namespace {

using namespace tocayo;
using namespace tocayo::logs;
using Steady = std::chrono::steady_clock;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What the watchers saw. Lines carry the moment of their acknowledgement's batch as `at=<ns>`.
class Latencies {
 public:
  void message(const std::string& text) {
    const auto now = Steady::now().time_since_epoch().count();
    std::vector<double> found;
    for (std::size_t at = text.find("batch="); at != std::string::npos; at = text.find("batch=", at + 6)) {
      const auto batch = std::strtoull(text.c_str() + at + 6, nullptr, 10);
      const auto acknowledged = moments_[batch % kMoments].load();
      found.push_back(static_cast<double>(now - acknowledged) / 1e6);
    }
    std::scoped_lock lock(mutex_);
    values_.insert(values_.end(), found.begin(), found.end());
  }
  // The batch may be seen from now on.
  void acknowledged(std::uint64_t batch) { moments_[batch % kMoments] = Steady::now().time_since_epoch().count(); }
  std::vector<double> sorted() {
    std::scoped_lock lock(mutex_);
    std::sort(values_.begin(), values_.end());
    return values_;
  }

 private:
  static constexpr std::size_t kMoments = 1 << 20;
  std::vector<std::atomic<Steady::rep>> moments_ = std::vector<std::atomic<Steady::rep>>(kMoments);
  std::mutex mutex_;
  std::vector<double> values_;
};

}  // namespace

int main(int argc, char** argv) {
  auto argument = [&](int i, std::size_t standard) { return argc > i ? std::strtoul(argv[i], nullptr, 10) : standard; };
  const std::size_t watchers = argument(1, 5000);
  const std::size_t queries = argument(2, 200);
  const std::size_t rate = argument(3, 20'000);
  const std::size_t seconds = argument(4, 10);
  constexpr std::size_t kBatch = 20;  // lines of a stream in a request of 10 streams
  constexpr std::size_t kStreams = 10;
  Pool pool("compute", 2);
  StoreOptions options;
  options.journal_mode = journal::SyncMode::interval;  // the tail is measured, not the disk
  options.pool = &pool;
  auto opened = logs::testing::TemporaryStore::open(std::move(options));
  if (!opened) {
    fmt::print(stderr, "{}\n", opened.error().message);
    return 1;
  }
  logs::testing::TemporaryStore& store = **opened;
  Registry registry;
  logql::Engine engine{logql::EngineOptions{}};
  auto limits = std::make_shared<const api::LogLimits>();
  api::TailHub hub(*store, engine, pool, [limits](std::string_view) { return limits; }, registry, Clock::system());
  Latencies latencies;
  std::vector<std::unique_ptr<api::testing::FakeWatcher>> sockets;
  for (std::size_t i = 0; i < watchers; ++i) {
    // Half look for a word in all streams, half tail one service.
    const std::size_t query = i % queries;
    const std::string text =
        query % 2 == 0 ? fmt::format(R"({{service=~".+"}} |= "user-{:04}")", query)
                       : fmt::format(R"({{service="service-{:02}"}} |~ "user-0*{}\\b" | logfmt)", query % 12, query);
    sockets.push_back(std::make_unique<api::testing::FakeWatcher>(
        hub, "bench", text, [&](const std::string& message) { latencies.message(message); }));
  }
  auto& gauge = registry.gauge("tocayo_logs_api_tail_watchers", "Sockets that tail logs.");
  while (gauge.value() < static_cast<double>(watchers)) std::this_thread::sleep_for(std::chrono::milliseconds(10));

  std::mt19937_64 random(1);
  const double cpu = cpu_seconds();
  const auto begin = Steady::now();
  const std::size_t requests = rate * seconds / (kBatch * kStreams);
  for (std::size_t request = 0; request < requests; ++request) {
    std::this_thread::sleep_until(
        begin +
        std::chrono::duration<double>(static_cast<double>(request * kBatch * kStreams) / static_cast<double>(rate)));
    std::vector<Labels> labels;
    std::vector<std::string> lines;
    for (std::size_t s = 0; s < kStreams; ++s) {
      labels.push_back(Labels{{"host", fmt::format("host-{:03}", random() % 300)},
                              {"service", fmt::format("service-{:02}", random() % 12)}});
      for (std::size_t i = 0; i < kBatch; ++i) {
        lines.push_back(
            fmt::format("level=info msg=\"request handled\" user=user-{:04} duration=0.{:03}s status=200 batch={} ",
                        random() % 5000, random() % 1000, request));
      }
    }
    const TimestampNs now = Clock::system().now_ms() * 1'000'000;
    std::vector<std::vector<EntryRow>> rows(kStreams);
    std::vector<StreamRows> streams;
    for (std::size_t s = 0; s < kStreams; ++s) {
      for (std::size_t i = 0; i < kBatch; ++i)
        rows[s].push_back({now + static_cast<TimestampNs>(i), lines[s * kBatch + i], {}});
      streams.push_back({0, &labels[s], rows[s]});
    }
    latencies.acknowledged(request);  // not yet, but a line may be on its way before append() has returned
    if (auto done = sync_wait(store->append("bench", streams)); !done) {
      fmt::print(stderr, "{}\n", done.error().message);
      return 1;
    }
  }
  const double sent = std::chrono::duration<double>(Steady::now() - begin).count();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const double used = cpu_seconds() - cpu;
  const auto values = latencies.sorted();
  sockets.clear();
  if (values.empty()) {
    fmt::print(stderr, "nobody got a line\n");
    return 1;
  }
  auto quantile = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  fmt::print("{} watchers, {} queries, {:.0f} lines/s for {:.1f} s: {:.2f} CPU s/s, {} deliveries\n", watchers, queries,
             static_cast<double>(requests * kBatch * kStreams) / sent, sent, used / sent, values.size());
  fmt::print("from the journal to hand-over: p50 {:.1f} ms, p99 {:.1f} ms, worst {:.1f} ms\n", quantile(0.5),
             quantile(0.99), values.back());
  return 0;
}
