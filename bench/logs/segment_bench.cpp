// SPDX-License-Identifier: Apache-2.0
// Cost and size of one segment on lines of the usual kinds, or on the lines of files: CPU to write, bytes against
// zstd -3, needles found.   segment_bench [--rows N] [FILE…]
#include <fmt/format.h>
#include <time.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

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

}  // namespace

int main(int argc, char** argv) {
  std::size_t rows = 1'000'000;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rows") == 0 && i + 1 < argc) {
      rows = std::strtoull(argv[++i], nullptr, 10);
    } else {
      files.emplace_back(argv[i]);
    }
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
  auto writer = must(SegmentWriter::create(path, {.tenant = "bench"}));
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
