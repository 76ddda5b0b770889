// SPDX-License-Identifier: Apache-2.0
// What the store alone costs: R1 of the specification (targets × series per target, nine labels, 20 scrapes), then a
// restart after a kill. One JSON line per measure. Usage: metrics_store_bench [targets] [per_target] [scrapes]
// [batch|interval|off] [labels|refs|wire1|wire2]
// `wire1` and `wire2` send remote write bodies through decompression, decoder and series cache, as the API does.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "metrics/remote_write.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"
#include "metrics/store.h"

namespace {

using namespace tocayo;
using namespace tocayo::metrics;
using Clock_ = std::chrono::steady_clock;

std::uint64_t status_kib(const char* key) {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  char line[256];
  std::uint64_t value = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, key, std::strlen(key)) == 0) std::sscanf(line + std::strlen(key), ": %lu", &value);
  }
  std::fclose(file);
  return value;
}
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
double since(Clock_::time_point start) { return std::chrono::duration<double>(Clock_::now() - start).count(); }

Labels labels_of(int target, int i) {
  return {{"__name__", "node_metric_" + std::to_string(i / 4) + "_total"},
          {"cluster", "production-eu-1"},
          {"container", "node-exporter"},
          {"device", "device-" + std::to_string(i % 4)},
          {"instance", fmt::format("10.0.{}.{}:9100", target / 250, target % 250)},
          {"job", "node-exporter"},
          {"mode", i % 2 == 0 ? "user" : "system"},
          {"namespace", "monitoring"},
          {"pod", fmt::format("node-exporter-{:05}", target)}};
}

struct Arguments {
  int targets = 200, per_target = 1000, scrapes = 20;
  journal::SyncMode mode = journal::SyncMode::interval;
  std::string source = "refs";
};

// Bodies of one scrape, a request per target.
class Sender {
 public:
  explicit Sender(const std::vector<std::vector<Labels>>& labels) {
    for (const auto& target : labels) {
      auto& pairs = labels_.emplace_back();
      for (const Labels& set : target) {
        test::Pairs& list = pairs.emplace_back();
        for (const Label& label : set) list.emplace_back(label.name, label.value);
      }
    }
  }
  std::string body(std::size_t target, int version, std::span<const FloatRow> rows) const {
    const auto fill = [&](auto&& request) {
      for (std::size_t i = 0; i < rows.size(); ++i) request.sample(labels_[target][i], rows[i].value, rows[i].time);
      return snappy_block_encode(request.body());
    };
    return version == 1 ? fill(test::RequestV1()) : fill(test::RequestV2());
  }

 private:
  std::vector<std::vector<test::Pairs>> labels_;
};

// What the API does with a body.
class Door {
 public:
  void push(Store& store, std::string_view compressed, int version, TimestampMs now, std::size_t expected) {
    if (!snappy_block_decode(compressed, 100 << 20, body_)) std::abort();
    rows_.reset({}, now);
    std::uint64_t generation = 0;
    {
      SeriesCache::Lookup known = cache_.begin({});
      generation = known.generation();
      if (!decoder_.decode(version == 1 ? RemoteWriteVersion::v1 : RemoteWriteVersion::v2, body_, rows_, &known))
        std::abort();
    }
    auto result = sync_wait(store.append("bench", rows_.batch()));
    if (!result || result->floats_written != expected) std::abort();
    if (const auto seen = rows_.seen(); !seen.empty()) cache_.learn(generation, seen);
  }
  std::size_t memory_bytes() const { return cache_.memory_bytes(); }

 private:
  std::string body_;
  IngestRows rows_;
  RemoteWriteDecoder decoder_;
  SeriesCache cache_;
};

StoreOptions options_of(const std::string& dir, const Arguments& arguments) {
  StoreOptions options;
  options.dir = dir;
  options.wal_mode = arguments.mode;
  return options;
}

void ingest(const std::string& dir, const Arguments& a) {
  auto store = std::move(*Store::open(options_of(dir, a)));
  // The senders' side is built before and not counted.
  std::vector<std::vector<Labels>> labels(static_cast<std::size_t>(a.targets));
  for (int t = 0; t < a.targets; ++t) {
    for (int i = 0; i < a.per_target; ++i) labels[static_cast<std::size_t>(t)].push_back(labels_of(t, i));
  }
  const Sender sender(labels);
  std::vector<std::vector<SeriesRef>> refs(labels.size(),
                                           std::vector<SeriesRef>(static_cast<std::size_t>(a.per_target)));
  std::vector<FloatRow> rows(static_cast<std::size_t>(a.per_target));
  std::vector<SeriesRows> series(static_cast<std::size_t>(a.per_target));
  const std::uint64_t rss_before = status_kib("VmRSS");
  const TimestampMs base = Clock::system().now_ms() - a.scrapes * 15'000;
  const double samples = static_cast<double>(a.targets) * a.per_target;
  std::uint64_t seed = 1;
  const int wire = a.source == "wire1" ? 1 : a.source == "wire2" ? 2 : 0;
  Door door;
  double building = 0;  // bodies: the sender's work
  double first_cpu = 0;
  double steady_cpu = 0;
  double steady_wall = 0;
  for (int scrape = 0; scrape < a.scrapes; ++scrape) {
    const double cpu = cpu_seconds();
    const auto start = Clock_::now();
    building = 0;
    for (std::size_t t = 0; t < labels.size(); ++t) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        const double value =
            i % 4 == 0 ? 17.0 : static_cast<double>(i) * 1000 + scrape * 64 + static_cast<double>(seed >> 57);
        rows[i] = {base + scrape * 15'000 + static_cast<TimestampMs>(t) * 7, value};
        series[i] = {.ref = a.source == "refs" ? refs[t][i] : 0, .labels = &labels[t][i], .floats = {&rows[i], 1}};
      }
      if (wire != 0) {
        const double before = cpu_seconds();
        const std::string body = sender.body(t, wire, rows);
        building += cpu_seconds() - before;
        door.push(*store, body, wire, base + a.scrapes * 15'000, rows.size());
        continue;
      }
      auto result = sync_wait(store->append("bench", {.series = series, .metadata = {}}));
      if (!result || result->floats_written != rows.size()) std::abort();
      for (std::size_t i = 0; i < rows.size(); ++i) refs[t][i] = series[i].ref;
    }
    if (scrape == 0) {
      first_cpu = cpu_seconds() - cpu - building;
    } else {
      steady_cpu += cpu_seconds() - cpu - building;
      steady_wall += since(start) - building;
    }
  }
  const double steady = samples * (a.scrapes - 1);
  std::uint64_t wal = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir + "/wal"))
    wal += entry.is_regular_file() ? entry.file_size() : 0;
  const MemoryUse use = store->memory();
  fmt::print(
      "{{\"series\":{},\"scrapes\":{},\"cpu_us_per_new_series\":{:.2f},\"cpu_us_per_sample\":{:.3f},\"wall_us_per_"
      "sample\":{:.3f}}}\n",
      samples, a.scrapes, first_cpu / samples * 1e6, steady_cpu / steady * 1e6, steady_wall / steady * 1e6);
  fmt::print(
      "{{\"rss_bytes_per_series\":{:.0f},\"accounted\":{:.0f},\"symbols\":{:.0f},\"labels\":{:.0f},\"postings\":{:.0f},"
      "\"series\":{:.0f},\"open\":{:.0f}}}\n",
      static_cast<double>(status_kib("VmRSS") - rss_before) * 1024 / samples,
      static_cast<double>(use.total()) / samples, static_cast<double>(use.symbols) / samples,
      static_cast<double>(use.labels) / samples, static_cast<double>(use.postings) / samples,
      static_cast<double>(use.series) / samples, static_cast<double>(use.open) / samples);
  if (wire != 0) {
    fmt::print("{{\"sender_cache_bytes_per_series\":{:.1f}}}\n", static_cast<double>(door.memory_bytes()) / samples);
  }
  fmt::print("{{\"wal_bytes_per_sample\":{:.2f}}}\n", static_cast<double>(wal) / (samples * a.scrapes));
  auto query = [&](const char* name, std::vector<Matcher> matchers) {
    const auto start = Clock_::now();
    const double cpu = cpu_seconds();
    auto querier = store->querier("bench");
    auto set = querier->select(matchers, {.start = base, .end = base + 3'600'000}, Context());
    const double selected = since(start);
    const double select_cpu = cpu_seconds() - cpu;
    SampleColumns columns;
    std::size_t read = 0;
    for (std::size_t i = 0; i < (*set)->size(); ++i) {
      (void)(*set)->read(i, columns);
      read += columns.times.size();
    }
    fmt::print(
        "{{\"query\":\"{}\",\"series\":{},\"samples\":{},\"select_ms\":{:.2f},\"select_cpu_ms\":{:.2f},\"total_cpu_"
        "ms\":{:.2f},\"total_ms\":{:.2f}}}\n",
        name, (*set)->size(), read, selected * 1e3, select_cpu * 1e3, (cpu_seconds() - cpu) * 1e3, since(start) * 1e3);
  };
  query("one metric", {Matcher::equal("__name__", "node_metric_7_total")});
  query("pod regex", {*Matcher::create(Matcher::Type::regex, "pod", "node-exporter-.*")});
  std::fflush(stdout);
  ::_exit(0);  // as a kill would: no checkpoint
}

void recover(const std::string& dir, const Arguments& a) {
  const double cpu = cpu_seconds();
  const auto start = Clock_::now();
  auto store = std::move(*Store::open(options_of(dir, a)));
  fmt::print("{{\"restart_seconds\":{:.3f},\"restart_cpu_seconds\":{:.3f},\"rss_mib\":{},\"series\":{}}}\n",
             since(start), cpu_seconds() - cpu, status_kib("VmRSS") / 1024, store->head_stats("bench", 1).series);
  auto seal = Clock_::now();
  const double seal_cpu = cpu_seconds();
  (void)store->seal();
  const double sealing = cpu_seconds() - seal_cpu;
  ::malloc_trim(0);
  std::uint64_t disk = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir + "/segments"))
    disk += entry.is_regular_file() ? entry.file_size() : 0;
  fmt::print(
      "{{\"seal_seconds\":{:.3f},\"seal_cpu_seconds\":{:.3f},\"segment_bytes_per_sample\":{:.2f},\"rss_anon_mib_"
      "after\":{}}}\n",
      since(seal), sealing, static_cast<double>(disk) / (static_cast<double>(a.targets) * a.per_target * a.scrapes),
      status_kib("RssAnon") / 1024);
  (void)store->close();
  store.reset();
  seal = Clock_::now();
  store = std::move(*Store::open(options_of(dir, a)));
  fmt::print("{{\"clean_restart_seconds\":{:.3f}}}\n", since(seal));
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  log::set_level(log::Level::error);
  Arguments a;
  if (argc > 1) a.targets = std::atoi(argv[1]);
  if (argc > 2) a.per_target = std::atoi(argv[2]);
  if (argc > 3) a.scrapes = std::atoi(argv[3]);
  if (argc > 4) {
    if (auto mode = journal::parse_sync_mode(argv[4])) a.mode = *mode;
  }
  if (argc > 5) a.source = argv[5];
  std::string pattern = (std::filesystem::temp_directory_path() / "tocayo-bench-XXXXXX").string();
  const std::string dir = ::mkdtemp(pattern.data());
  for (auto* part : {&ingest, &recover}) {
    const pid_t child = ::fork();
    if (child == 0) part(dir, a);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) std::fprintf(stderr, "a part of the benchmark failed\n");
  }
  std::filesystem::remove_all(dir);
  return 0;
}
