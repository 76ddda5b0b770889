// SPDX-License-Identifier: Apache-2.0
// What the log store costs: CPU per line of append and cut, speed of replay and of scans over the head.
//
//   logs_store_bench [lines] [streams]       default 2,000,000 lines in 300 streams, one stream a request
//   logs_store_bench 1000000 1000000 wide    one line a stream, 1,000 streams a request
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "db/testing.h"
#include "logs/store/store.h"

namespace {

using namespace tocayo;
using namespace tocayo::logs;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

long resident_mib() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  unsigned long long total = 0;
  unsigned long long resident = 0;
  if (file != nullptr) {
    if (std::fscanf(file, "%llu %llu", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<long>(resident * static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE)) >> 20);
}

// CPU and wall time of one phase.
class Phase {
 public:
  explicit Phase(std::string name) : name_(std::move(name)) {}
  void end(double lines, double bytes) const {
    const double cpu = cpu_seconds() - cpu_;
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    fmt::print("{:<28} {:>7.2f} s cpu {:>7.2f} s wall {:>8.0f} ns/line {:>7.1f} cpu-s/GB {:>8.0f} MB/s wall\n", name_,
               cpu, wall, cpu / lines * 1e9, cpu / bytes * 1e9, bytes / wall / 1e6);
  }

 private:
  std::string name_;
  double cpu_ = cpu_seconds();
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void check(const Result<>& result) {
  if (result) return;
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

// One line in each of many streams: what a stream costs.
int run_wide(Store& store, std::size_t stream_count) {
  constexpr std::size_t kRequest = 1000;
  const TimestampNs now = Clock::system().now_ms() * 1'000'000;
  const long before = resident_mib();
  const std::string line(120, 'x');
  double bytes = 0;
  Phase append("append, a line a stream");
  for (std::size_t done = 0; done < stream_count; done += kRequest) {
    std::vector<Labels> labels;
    std::vector<EntryRow> rows;
    for (std::size_t i = done; i < done + kRequest; ++i) {
      labels.push_back(Labels{{"service_name", "service-" + std::to_string(i % 12)},
                              {"namespace", "shop"},
                              {"cluster", "eu-1"},
                              {"pod", "pod-" + std::to_string(i)}});
      rows.push_back({now - static_cast<TimestampNs>(i), line, {}});
      bytes += static_cast<double>(line.size());
    }
    std::vector<StreamRows> streams;
    for (std::size_t i = 0; i < kRequest; ++i) streams.push_back({0, &labels[i], {&rows[i], 1}});
    if (auto result = sync_wait(store.append("bench", streams)); !result || result->lines_written != kRequest) return 1;
  }
  append.end(static_cast<double>(stream_count), bytes);
  fmt::print("{} streams: {} bytes of memory each\n", store.stats("bench").streams,
             (resident_mib() - before) * 1024 * 1024 / static_cast<long>(stream_count));
  auto querier = store.querier("bench");
  auto timed = [&](std::string_view name, const auto& query) {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    const std::size_t found = query();
    fmt::print("{:<28} {:>7.1f} ms cpu {:>7.1f} ms wall, {} found\n", name, (cpu_seconds() - cpu) * 1e3,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * 1e3, found);
  };
  const std::vector<Matcher> one[] = {{Matcher::equal("pod", "pod-77777")}};
  timed("label names", [&] { return querier->label_names({}, 0, now + 1, {})->names.size(); });
  timed("values of service_name",
        [&] { return querier->label_values("service_name", {}, 0, now + 1, {})->names.size(); });
  timed("values of pod", [&] { return querier->label_values("pod", {}, 0, now + 1, {})->names.size(); });
  timed("series of one pod", [&] { return querier->series(one, 0, now + 1, {})->size(); });
  return 0;
}

struct Batch {
  std::vector<std::string> lines;
  std::vector<EntryRow> rows;
};

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 2'000'000;
  const std::size_t stream_count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 300;
  constexpr std::size_t kBatch = 1000;
  db::testing::TemporaryDirectory directory;
  auto database = db::testing::open_database(directory.path() / "bench.db");
  StoreOptions options;
  options.dir = (directory.path() / "logs").string();
  options.database = database.get();
  options.background = false;
  options.head_memory = 64ULL << 30;
  options.cut_bytes = 64ULL << 30;
  auto opened = Store::open(options);
  if (!opened) {
    fmt::print(stderr, "{}\n", opened.error().message);
    return 1;
  }
  auto store = std::move(*opened);

  if (argc > 3) return run_wide(*store, stream_count);

  std::mt19937_64 random(1);
  std::vector<Labels> labels;
  for (std::size_t i = 0; i < stream_count; ++i) {
    labels.push_back(Labels{{"service_name", "service-" + std::to_string(i % 12)},
                            {"namespace", "shop"},
                            {"pod", "pod-" + std::to_string(i)},
                            {"detected_level", "info"}});
  }
  const LabelView metadata[] = {{"detected_level", "info"}};
  const TimestampNs start = Clock::system().now_ms() * 1'000'000 - 3'600'000'000'000;
  double bytes = 0;
  double seconds = 0;
  std::size_t number = 0;
  // Lines are made outside the measured time, a block at a time.
  std::vector<StreamRef> refs(stream_count, 0);
  double wall = 0;
  for (std::size_t done = 0; done < count;) {
    std::vector<Batch> block(64);
    for (Batch& batch : block) {
      batch.lines.reserve(kBatch);
      for (std::size_t i = 0; i < kBatch; ++i) {
        batch.lines.push_back(
            fmt::format("{{\"method\":\"GET\",\"path\":\"/api/users/"
                        "{}\",\"status\":{},\"duration\":{:.3f},\"trace\":\"{:016x}\",\"msg\":"
                        "\"request handled by worker {}\"}}",
                        random() % 100'000, random() % 10 == 0 ? 500 : 200, static_cast<double>(random() % 1000) / 1000,
                        random(), random() % 32));
        bytes += static_cast<double>(batch.lines.back().size());
      }
      for (const std::string& line : batch.lines) {
        batch.rows.push_back({start + static_cast<TimestampNs>(number++) * 1000, line, metadata});
      }
    }
    const double cpu = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    for (Batch& batch : block) {
      const std::size_t stream = (done / kBatch) % stream_count;
      StreamRows rows[1] = {{refs[stream], &labels[stream], batch.rows}};
      auto result = sync_wait(store->append("bench", rows));
      if (!result || result->lines_written != kBatch) {
        fmt::print(stderr, "append failed\n");
        return 1;
      }
      refs[stream] = rows[0].ref;
      done += kBatch;
    }
    seconds += cpu_seconds() - cpu;
    wall += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  const double total = static_cast<double>(number);
  fmt::print("{} lines, {:.0f} MB, {} streams, batches of {}\n", number, bytes / 1e6, stream_count, kBatch);
  fmt::print("{:<28} {:>7.2f} s cpu {:>7.2f} s wall {:>8.0f} ns/line {:>7.1f} cpu-s/GB {:>8.0f} MB/s wall\n",
             "append (durable)", seconds, wall, seconds / total * 1e9, seconds / bytes * 1e9, bytes / wall / 1e6);

  auto scan_all = [&](const std::string& name, Selection selection) {
    selection.start = 0;
    selection.end = std::numeric_limits<TimestampNs>::max();
    Phase phase(name);
    auto scan = store->querier("bench")->select(selection, {});
    std::size_t found = 0;
    ScanStats stats;
    for (std::size_t m = 0; m < (*scan)->morsels().size(); ++m) {
      check((*scan)->scan(
          m, selection.start, selection.end, {},
          [&](std::span<const Row> rows) -> Result<bool> {
            found += rows.size();
            return true;
          },
          stats));
    }
    phase.end(total, bytes);
    return found;
  };
  Selection needle;
  needle.line_filters = {{LineFilter::Kind::contains, false, {"trace\":\"0123456789abcdef"}}};
  scan_all("head: absent needle", needle);
  needle.line_filters = {{LineFilter::Kind::contains, false, {"\"status\":500"}}};
  scan_all("head: frequent word", needle);
  scan_all("head: all rows", {});

  store.reset();
  {
    Phase phase("replay");
    store = std::move(*Store::open(options));
    phase.end(total, bytes);
  }
  {
    Phase phase("cut to segments");
    check(store->flush());
    phase.end(total, bytes);
  }
  const TenantStats stats = store->stats("bench");
  fmt::print("segments: {}, {:.1f} MB on disk, {:.3f} of raw; peak memory {} MiB\n", stats.segments,
             static_cast<double>(stats.segment_file_bytes) / 1e6,
             static_cast<double>(stats.segment_file_bytes) / static_cast<double>(stats.segment_raw_bytes), peak_mib());
  return 0;
}
