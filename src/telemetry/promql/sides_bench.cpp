// SPDX-License-Identifier: Apache-2.0
// What evaluating both sides of an operator at once gives: the same queries over the same store on one thread, with
// only series in parallel, and with sides too. One JSON line per query: best of `rounds`, milliseconds of wall clock
// and of processor time. Usage: promql_sides_bench [series of each side] [rounds]
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "core/log.h"
#include "core/pool.h"
#include "core/task.h"
#include "metrics/store.h"
#include "promql/engine.h"

namespace {

using namespace tocayo;
using Steady = std::chrono::steady_clock;

constexpr int kScrapes = 120;

double cpu_ms() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

void fill(metrics::Store& store, int count, TimestampMs base) {
  std::vector<Labels> labels;
  for (const char* name : {"a_total", "b_total"}) {
    for (int i = 0; i < count; ++i) {
      labels.push_back(Labels{{"__name__", name},
                              {"cluster", "production-eu-1"},
                              {"instance", fmt::format("10.0.{}.{}:9100", i / 250 % 250, i % 250)},
                              {"job", fmt::format("job-{}", i % 20)},
                              {"pod", fmt::format("pod-{:06}", i)}});
    }
  }
  std::vector<metrics::SeriesRef> refs(labels.size());
  std::vector<metrics::FloatRow> rows(labels.size());
  std::vector<metrics::SeriesRows> series(labels.size());
  for (int scrape = 0; scrape < kScrapes; ++scrape) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      rows[i] = {base + scrape * 15'000, static_cast<double>(scrape) * static_cast<double>(i % 97)};
      series[i] = {.ref = refs[i], .labels = &labels[i], .floats = {&rows[i], 1}};
    }
    auto result = sync_wait(store.append("bench", {.series = series, .metadata = {}}));
    if (!result || result->floats_written != rows.size()) std::abort();
    for (std::size_t i = 0; i < labels.size(); ++i) refs[i] = series[i].ref;
  }
}

struct Measure {
  double wall = 1e18, cpu = 0;
};

Measure run(const promql::Engine& engine, const metrics::Querier& querier, const char* expr, TimestampMs end, int steps,
            Pool* pool, int rounds) {
  promql::QueryOptions options;
  options.pool = pool;
  Measure best;
  for (int round = 0; round < rounds; ++round) {
    const double cpu = cpu_ms();
    const auto start = Steady::now();
    auto outcome =
        steps == 1 ? engine.instant(querier, expr, end, options)
                   : engine.range(querier, expr, end - (steps - 1) * 15'000, end, promql::Duration(15'000), options);
    const double wall = std::chrono::duration<double, std::milli>(Steady::now() - start).count();
    if (!outcome) {
      fmt::print(stderr, "{}: {}\n", expr, outcome.error().message());
      std::exit(1);
    }
    if (wall < best.wall) best = {wall, cpu_ms() - cpu};
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 50'000, rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  char dir[] = "/tmp/promql_sides_bench.XXXXXX";
  if (::mkdtemp(dir) == nullptr) return 1;
  {
    metrics::StoreOptions options;
    options.dir = dir;
    auto store = std::move(*metrics::Store::open(options));
    const TimestampMs base = Clock::system().now_ms() / 15'000 * 15'000 - kScrapes * 15'000;
    const TimestampMs end = base + (kScrapes - 1) * 15'000;
    fill(*store, count, base);
    const auto querier = store->querier("bench");
    Pool pool("queries", std::max(8U, 4 * std::thread::hardware_concurrency()));
    const promql::Engine both, series_only(promql::EngineOptions{.inline_below = std::chrono::hours(1)});
    for (const int steps : {1, 80}) {
      for (const char* expr : {"sum by (job) (rate(a_total[5m])) / sum by (job) (rate(b_total[5m]))",
                               "sum(a_total) / sum(b_total)", "sum(rate(a_total[5m])) / count(rate(a_total[5m]))",
                               "sum(rate(a_total{job='job-1'}[5m])) / sum(rate(b_total{job='job-1'}[5m]))"}) {
        const Measure one = run(series_only, *querier, expr, end, steps, nullptr, rounds);
        const Measure series = run(series_only, *querier, expr, end, steps, &pool, rounds);
        const Measure sides = run(both, *querier, expr, end, steps, &pool, rounds);
        fmt::print(
            "{{\"expr\":\"{}\",\"series\":{},\"steps\":{},\"one_thread_ms\":{:.1f},\"series_ms\":{:.1f},\"sides_ms\":{:"
            ".1f},"
            "\"one_thread_cpu_ms\":{:.1f},\"series_cpu_ms\":{:.1f},\"sides_cpu_ms\":{:.1f}}}\n",
            expr, count, steps, one.wall, series.wall, sides.wall, one.cpu, series.cpu, sides.cpu);
      }
    }
  }
  std::filesystem::remove_all(dir);
  return 0;
}
