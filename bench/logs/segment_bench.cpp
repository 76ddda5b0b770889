// SPDX-License-Identifier: Apache-2.0
// Cost and size of one segment on lines of the usual kinds, or on the lines of files: CPU to write, bytes against
// zstd -3, needles found.   segment_bench [--rows N] [--level N] [--otlp] [FILE…]
// With --corpus MIB the lines of side_by_side (300 hosts x 12 services), cut every 256 MiB into four segments as the
// store does, and its queries without server and engine, on one core.
// With --otlp: what structured metadata that is equal on every row of a stream costs.
#include <fmt/format.h>
#include <time.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>

#include "logs/segment.h"
#include "logs/segment/sample_lines.h"

using namespace tocayo;
using namespace tocayo::logs;

namespace {

double cpu() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::cerr << result.error().message << '\n';
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Lines {
  std::string text;
  std::vector<std::size_t> ends;
  void add(std::string_view line) {
    text += line;
    ends.push_back(text.size());
  }
  std::string_view at(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

void query(const SegmentReader& reader, const char* name, const LineFilter& filter) {
  Selection selection{.start = INT64_MIN, .end = INT64_MAX, .line_filters = {filter}};
  std::vector<std::uint32_t> map(reader.streams().size());
  for (std::uint32_t i = 0; i < map.size(); ++i) map[i] = i;
  for (const char* state : {"first", "warm"}) {
    const auto start = cpu();
    ScanStats stats;
    const auto compiled = must(compile(selection));
    for (std::uint32_t group = 0; group < reader.groups().size(); ++group) {
      must(reader.scan(
          group, *compiled, map, INT64_MIN, INT64_MAX, Context{},
          [](std::span<const Row>) -> Result<bool> { return true; }, stats));
    }
    fmt::print("{:<28} {:<5} {:9.2f} ms  {} rows, {} of {} groups skipped, {:.1f} MB read\n", name, state,
               (cpu() - start) * 1e3, stats.rows_selected, stats.groups_skipped, stats.groups,
               static_cast<double>(stats.bytes_read) / 1e6);
  }
}

// What side_by_side pushes, as segments.
void corpus(std::uint64_t bytes, std::uint32_t level) {
  constexpr int kHosts = 300;
  constexpr int kServices = 12;
  constexpr std::int64_t kDay = 86'400'000'000'000;
  constexpr std::int64_t kStart = 1'795'478'400'000'000'000;
  struct Stream {
    std::string text;
    struct Row {
      TimestampNs time;
      std::size_t begin;
      std::size_t end;
    };
    std::vector<Row> rows;
  };
  struct Zstd {
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), &ZSTD_freeCCtx};
    std::string pending;
    std::uint64_t size = 0;
    void flush(bool last) {
      std::string out(ZSTD_compressBound(pending.size()) + 1024, '\0');
      ZSTD_inBuffer input{pending.data(), pending.size(), 0};
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      while (ZSTD_compressStream2(context.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue) != 0 &&
             (last || input.pos < input.size)) {
        size += std::exchange(output.pos, 0);
      }
      size += output.pos;
      pending.clear();
    }
  };
  std::vector<Zstd> zstd(kServices);
  std::vector<Stream> streams(kHosts * kServices);  // by host, then service: ascending labels
  std::vector<std::shared_ptr<SegmentReader>> readers;
  std::vector<std::filesystem::path> paths;
  std::mt19937_64 random(20261124);
  const std::uint64_t expected = bytes / 108;
  std::uint64_t made = 0;
  std::uint64_t raw = 0;
  std::uint64_t cut = 0;
  std::uint64_t file_bytes = 0;
  double seconds = 0;
  auto write = [&] {
    const auto start = cpu();
    for (std::size_t part = 0; part < 4; ++part) {
      const auto path = std::filesystem::temp_directory_path() / fmt::format("tocayo-bench-{}.tseg", paths.size());
      auto writer = must(SegmentWriter::create(path, {.tenant = "bench", .level = level}));
      for (std::size_t s = 0; s < streams.size(); ++s) {
        auto& stream = streams[s];
        if ((s * 0x9E3779B97F4A7C15ULL >> 62) != part || stream.rows.empty()) continue;
        must(writer.start_stream(Labels{{"host", fmt::format("host-{:03}", s / kServices)},
                                        {"service", fmt::format("service-{:02}", s % kServices)}}));
        std::ranges::stable_sort(stream.rows, {}, &Stream::Row::time);
        const LabelView level_of{"detected_level", s % 5 == 0 ? "info" : "unknown"};
        for (const auto& [time, begin, end] : stream.rows) {
          must(writer.add({.time = time,
                           .line = std::string_view(stream.text).substr(begin, end - begin),
                           .metadata = {&level_of, 1}}));
        }
        stream = {};
      }
      file_bytes += must(writer.finish()).file_bytes;
      paths.push_back(path);
    }
    seconds += cpu() - start;
    cut = 0;
  };
  while (raw < bytes) {
    const auto service = static_cast<std::size_t>(random() % kServices);
    const auto host = static_cast<std::size_t>(random() % kHosts);
    auto& stream = streams[host * kServices + service];
    for (int i = 0; i < 60; ++i, ++made) {
      const auto time =
          kStart + static_cast<std::int64_t>(static_cast<double>(made) / static_cast<double>(expected) * kDay) % kDay;
      auto line = sample::line(static_cast<unsigned>(service % 5), random, time);
      if (made == expected / 2) line += " trace_id=feedfacecafebeef";
      raw += line.size() + 1;
      cut += line.size();
      zstd[service].pending += line + "\n";
      const auto begin = stream.text.size();
      stream.text += line;
      stream.rows.push_back({time + i, begin, stream.text.size()});
    }
    if (zstd[service].pending.size() > (1U << 20)) zstd[service].flush(false);
    if (cut >= (256U << 20)) write();
  }
  if (cut != 0) write();
  std::uint64_t peer = 0;
  for (auto& of_service : zstd) {
    of_service.flush(true);
    peer += of_service.size;
  }
  fmt::print("{} lines, {:.1f} MB; segments written in {:.1f} CPU s a GB; {:.2f} MB; zstd -3 {:.2f} MB; ratio {:.3f}\n",
             made, static_cast<double>(raw) / 1e6, seconds / static_cast<double>(raw) * 1e9,
             static_cast<double>(file_bytes) / 1e6, static_cast<double>(peer) / 1e6,
             static_cast<double>(file_bytes) / static_cast<double>(peer));
  for (const auto& path : paths) readers.push_back(must(SegmentReader::open(path)));
  fmt::print("{}", to_text(must(readers.front()->report(6))));
  const std::vector<std::pair<const char*, LineFilter>> filters = {
      {"Q1 needle, one hit", {.operands = {"feedfacecafebeef"}}},
      {"Q2 absent needle", {.operands = {"0123456789abcdef01"}}},
      {"Q4 frequent word", {.operands = {"error"}}},
      {"Q5 regex with literal",
       {.kind = LineFilter::Kind::regex, .operands = {"Failed password for (root|admin) from 10\\.1\\d\\."}}},
      {"Q6 regex without literal", {.kind = LineFilter::Kind::regex, .operands = {"[0-9]{4}[x-z][0-9]"}}},
      {"Q6b the same, hex digits", {.kind = LineFilter::Kind::regex, .operands = {"[0-9]{4}[a-f][0-9]{3}[a-f]{2}"}}},
      {"Q6c by RE2 over lines", {.kind = LineFilter::Kind::regex, .operands = {"[0-9]{4}\\pL[0-9]{6}"}}},
      {"Q7 needle in any case", {.kind = LineFilter::Kind::regex, .operands = {"(?i)FEEDFACECAFEBEEF"}}},
      {"Q13 negated", {.negated = true, .operands = {"GET", "INFO", "level"}}},
      {"all rows, no lines", {.operands = {""}}}};
  for (const auto& [name, filter] : filters) {
    for (const bool lines : {false, true}) {
      Selection selection{.start = INT64_MIN, .end = INT64_MAX, .line_filters = {filter}};
      selection.want_line = selection.want_metadata = lines;
      std::vector<double> times;
      ScanStats stats;
      for (int round = 0; round < 4; ++round) {
        const auto start = cpu();
        stats = {};
        const auto compiled = must(compile(selection));
        for (const auto& reader : readers) {
          const std::vector<std::uint32_t> map(reader->streams().size(), 0);
          for (std::uint32_t group = 0; group < reader->groups().size(); ++group) {
            must(reader->scan(
                group, *compiled, map, INT64_MIN, INT64_MAX, Context{},
                [](std::span<const Row>) -> Result<bool> { return true; }, stats));
          }
        }
        if (round != 0) times.push_back((cpu() - start) * 1e3);
      }
      std::ranges::sort(times);
      fmt::print("{:<26} {:<10} {:9.2f} CPU ms  {} rows, {} of {} groups skipped, {:.1f} MB read\n", name,
                 lines ? "with lines" : "counted", times[1], stats.rows_selected, stats.groups_skipped, stats.groups,
                 static_cast<double>(stats.bytes_read) / 1e6);
    }
  }
  for (const auto& path : paths) std::filesystem::remove(path);
}

// Lines as OpenTelemetry sends them: ten pairs of the resource, equal on every row of a stream, a trace and a span.
// Once as they are, once with the number of the set in the place of the ten pairs, once without them.
void otlp(std::size_t rows, std::uint32_t level) {
  constexpr std::size_t kServices = 12;
  constexpr std::size_t kPods = 25;
  constexpr std::size_t kPairs = 10;
  const char* const names[kPairs] = {
      "k8s_pod_name",        "k8s_node_name", "k8s_deployment_name", "host_name",          "service_version",
      "service_instance_id", "container_id",  "cloud_region",        "telemetry_sdk_name", "deployment_environment"};
  for (const char* how : {"ten pairs", "a set's number", "none"}) {
    std::mt19937_64 random(7);
    const auto path = std::filesystem::temp_directory_path() / "tocayo-bench.tseg";
    double seconds = 0;
    std::uint64_t raw = 0;
    auto writer = must(SegmentWriter::create(path, {.tenant = "bench", .level = level}));
    for (std::size_t stream = 0; stream < kServices * kPods; ++stream) {
      const auto service = stream / kPods;
      const auto pod = fmt::format("service-{:02}-{}-{}", service, sample::hex(random, 9), sample::hex(random, 5));
      const std::string values[kPairs] = {pod,
                                          fmt::format("ip-10-0-{}-{}", stream % 7, stream % 13),
                                          fmt::format("service-{:02}", service),
                                          fmt::format("ip-10-0-{}-{}.internal", stream % 7, stream % 13),
                                          fmt::format("1.{}.{}", service, service * 3),
                                          sample::hex(random, 32),
                                          sample::hex(random, 64),
                                          stream % 2 == 0 ? "eu-west-1" : "us-east-1",
                                          "opentelemetry",
                                          "production"};
      const auto set = std::to_string(stream);
      std::vector<std::string> lines;
      std::vector<std::string> ids;
      TimestampNs time = 1'764'000'000'000'000'000;
      for (std::size_t i = 0; i < rows / (kServices * kPods); ++i) {
        lines.push_back(
            sample::line(static_cast<unsigned>(service % 5), random, time + static_cast<TimestampNs>(i) * 1'000'000));
        ids.push_back(sample::hex(random, 32));
        ids.push_back(sample::hex(random, 16));
        raw += lines.back().size();
      }
      const auto start = cpu();
      must(writer.start_stream(Labels{{"pod", fmt::format("{:03}", stream)}, {"service_name", values[2]}}));
      std::vector<LabelView> metadata;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        metadata.clear();
        if (how[0] == 't') {
          for (std::size_t k = 0; k < kPairs; ++k) metadata.push_back({names[k], values[k]});
        } else if (how[0] == 'a') {
          metadata.push_back({"set", set});
        }
        metadata.push_back({"span_id", ids[2 * i + 1]});
        metadata.push_back({"trace_id", ids[2 * i]});
        must(writer.add({.time = time += 1'000'000, .line = lines[i], .metadata = metadata}));
      }
      seconds += cpu() - start;
    }
    const auto start = cpu();
    const auto info = must(writer.finish());
    seconds += cpu() - start;
    fmt::print("{:<15} {} rows, {:.1f} MB of lines: {} bytes, {:.2f} CPU us a row\n", how, info.rows,
               static_cast<double>(raw) / 1e6, info.file_bytes, seconds / static_cast<double>(info.rows) * 1e6);
    std::filesystem::remove(path);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rows = 1'000'000;
  std::uint64_t corpus_mib = 0;
  std::uint32_t level = 0;
  std::vector<std::string> files;
  bool resources = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rows") == 0 && i + 1 < argc) {
      rows = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--level") == 0 && i + 1 < argc) {
      level = static_cast<std::uint32_t>(std::strtoul(argv[++i], nullptr, 10));
    } else if (std::strcmp(argv[i], "--otlp") == 0) {
      resources = true;
    } else if (std::strcmp(argv[i], "--corpus") == 0 && i + 1 < argc) {
      corpus_mib = std::strtoull(argv[++i], nullptr, 10);
    } else {
      files.emplace_back(argv[i]);
    }
  }
  if (resources) {
    otlp(rows, level);
    return 0;
  }
  if (corpus_mib != 0) {
    corpus(corpus_mib << 20, level);
    return 0;
  }
  std::vector<Lines> streams;
  std::mt19937_64 random(1);
  TimestampNs time = 1'764'000'000'000'000'000;
  std::vector<std::vector<TimestampNs>> times;
  if (files.empty()) {
    streams.resize(5);
    times.resize(5);
    for (std::size_t i = 0; i < rows; ++i) {
      time += static_cast<TimestampNs>(random() % 20) * 1'000'000;
      const auto kind = static_cast<unsigned>(random() % 5);
      streams[kind].add(sample::line(kind, random, time));
      times[kind].push_back(time);
    }
  } else {
    for (const auto& file : files) {
      std::ifstream in(file);
      std::string line;
      auto& stream = streams.emplace_back();
      auto& at = times.emplace_back();
      while (std::getline(in, line)) {
        stream.add(line);
        at.push_back(time += 1'000'000);
      }
    }
  }
  std::uint64_t raw = 0;
  std::uint64_t zstd = 0;
  std::uint64_t count = 0;
  for (const auto& stream : streams) {
    raw += stream.text.size() + stream.ends.size();
    count += stream.ends.size();
    std::string joined;
    for (std::size_t i = 0; i < stream.ends.size(); ++i) {
      joined += stream.at(i);
      joined += '\n';
    }
    std::string packed(ZSTD_compressBound(joined.size()), '\0');
    zstd += ZSTD_compress(packed.data(), packed.size(), joined.data(), joined.size(), 3);
  }
  const auto path = std::filesystem::temp_directory_path() / "tocayo-bench.tseg";
  const auto start = cpu();
  auto writer = must(SegmentWriter::create(path, {.tenant = "bench", .level = level}));
  for (std::size_t s = 0; s < streams.size(); ++s) {
    if (streams[s].ends.empty()) continue;
    must(writer.start_stream(Labels{{"stream", fmt::format("{:04}", s)}}));
    for (std::size_t i = 0; i < streams[s].ends.size(); ++i)
      must(writer.add({.time = times[s][i], .line = streams[s].at(i), .metadata = {}}));
  }
  const auto info = must(writer.finish());
  const auto seconds = cpu() - start;
  fmt::print("{} lines, {:.1f} MB raw; written in {:.2f} CPU s = {:.1f} s a GB, {:.2f} us a line\n", count,
             static_cast<double>(raw) / 1e6, seconds, seconds / static_cast<double>(raw) * 1e9,
             seconds / static_cast<double>(count) * 1e6);
  fmt::print("{:.2f} MB = {:.3f} of raw; zstd -3 {:.2f} MB; ratio to zstd -3: {:.3f}\n",
             static_cast<double>(info.file_bytes) / 1e6,
             static_cast<double>(info.file_bytes) / static_cast<double>(raw), static_cast<double>(zstd) / 1e6,
             static_cast<double>(info.file_bytes) / static_cast<double>(zstd));
  const auto opening = cpu();
  const auto reader = must(SegmentReader::open(path));
  fmt::print("open: {:.2f} ms, {} groups\n", (cpu() - opening) * 1e3, info.groups);
  fmt::print("{}", to_text(must(reader->report(8))));
  const auto middle = streams.back().ends.size() / 2;
  query(*reader, "absent needle",
        {.kind = LineFilter::Kind::contains, .negated = false, .operands = {"not in these lines"}});
  query(*reader, "absent trace id",
        {.kind = LineFilter::Kind::contains, .negated = false, .operands = {"0123456789abcdef"}});
  query(*reader, "one line's tail",
        {.kind = LineFilter::Kind::contains,
         .negated = false,
         .operands = {std::string(streams.back().at(middle).substr(streams.back().at(middle).size() / 2))}});
  query(*reader, "frequent: error", {.kind = LineFilter::Kind::contains, .negated = false, .operands = {"error"}});
  query(*reader, "absent, any case", {.kind = LineFilter::Kind::regex, .negated = false, .operands = {"(?i)NotThere"}});
  query(*reader, "regex without literal",
        {.kind = LineFilter::Kind::regex, .negated = false, .operands = {"[0-9]{9}[x-z]"}});
  must(reader->verify());
  std::filesystem::remove(path);
}
