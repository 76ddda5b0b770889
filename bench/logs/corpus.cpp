// SPDX-License-Identifier: Apache-2.0
#include "bench/logs/corpus.h"

#include <fmt/format.h>
#include <zstd.h>

#include <atomic>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <protozero/pbf_writer.hpp>
#include <thread>

#include "logs/segment/sample_lines.h"

namespace tocayo::bench {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

struct Row {
  std::int64_t time = 0;
  std::string line;
  std::string trace;  // empty: none
};

constexpr int kTracedKind = 2;
constexpr int kTraceRows = 12;

std::string body_of(int service, int host, const std::vector<Row>& rows) {
  std::string body;
  protozero::pbf_writer request(body);
  {
    protozero::pbf_writer stream(request, 1);
    stream.add_string(1, fmt::format("{{host=\"host-{:03}\", service=\"service-{:02}\"}}", host, service));
    for (const auto& [time, line, trace] : rows) {
      protozero::pbf_writer entry(stream, 2);
      {
        protozero::pbf_writer at(entry, 1);
        at.add_int64(1, time / 1'000'000'000);
        at.add_int32(2, static_cast<std::int32_t>(time % 1'000'000'000));
      }
      entry.add_string(2, line);
      if (trace.empty()) continue;
      protozero::pbf_writer metadata(entry, 3);
      metadata.add_string(1, "trace");
      metadata.add_string(2, trace);
    }
  }
  return body;
}

json::object stream_of(int service, int host, const std::vector<Row>& rows) {
  json::array values;
  for (const auto& [time, line, trace] : rows) {
    json::array value{std::to_string(time), line};
    if (!trace.empty()) value.push_back(json::object{{"trace", trace}});
    values.push_back(std::move(value));
  }
  return {{"stream", {{"host", fmt::format("host-{:03}", host)}, {"service", fmt::format("service-{:02}", service)}}},
          {"values", std::move(values)}};
}

}  // namespace

Corpus generate(const fs::path& directory, std::uint64_t bytes, bool as_json, const Send& send) {
  Corpus corpus{.directory = directory, .bytes = 0, .lines = 0, .zstd = 0, .errors = 0, .traced = 0};
  fs::create_directories(directory);
  std::mt19937_64 random(20261124);
  std::mt19937_64 traces(20261126);
  std::string trace;
  const std::uint64_t expected_lines = bytes / 108;
  std::vector<std::ofstream> files;
  for (int s = 0; s < kServices; ++s) files.emplace_back(directory / fmt::format("service-{:02}.log", s));
  std::string pending;
  std::uint64_t made = 0;
  while (corpus.bytes < bytes) {
    // A burst of one host's service, as an agent sends it.
    const int service = static_cast<int>(random() % kServices);
    const int host = static_cast<int>(random() % kHosts);
    std::vector<Row> rows;
    for (int i = 0; i < 60; ++i, ++made) {
      const auto time =
          kStart +
          static_cast<std::int64_t>(static_cast<double>(made) / static_cast<double>(expected_lines) * kDay) % kDay;
      auto line = logs::sample::line(static_cast<unsigned>(service % 5), random, time);
      if (made == expected_lines / 2) line += " " + std::string(kNeedle);
      for (char& c : line) c = c == '\n' ? ' ' : c;
      files[static_cast<std::size_t>(service)] << line << '\n';
      corpus.bytes += line.size() + 1;
      corpus.errors += line.find("error") != std::string::npos ? 1 : 0;
      if (service % 5 == kTracedKind && i % kTraceRows == 0) {
        trace = corpus.traced == 0 && made >= expected_lines / 2 ? kTrace : logs::sample::hex(traces, 16);
      }
      corpus.traced += service % 5 == kTracedKind && trace == kTrace ? 1 : 0;
      rows.push_back({time + i, std::move(line), service % 5 == kTracedKind ? trace : std::string()});
    }
    corpus.lines += rows.size();
    if (as_json) {
      pending += pending.empty() ? R"({"streams":[)" : ",";
      pending += json::serialize(stream_of(service, host, rows));
    } else {
      pending += body_of(service, host, rows);
    }
    if (pending.size() > (1U << 20)) send(std::exchange(pending, {}) + (as_json ? "]}" : ""));
  }
  if (!pending.empty()) send(pending + (as_json ? "]}" : ""));
  for (auto& file : files) file.close();
  return corpus;
}

std::uint64_t generate_tail(std::uint64_t bytes, std::int64_t span, const Send& send) {
  std::mt19937_64 random(20261125);
  std::string pending;
  std::uint64_t made = 0;
  while (made < bytes) {
    const int service = static_cast<int>(random() % kServices);
    const int host = static_cast<int>(random() % kHosts);
    std::vector<Row> rows;
    for (int i = 0; i < 60; ++i) {
      const auto part = static_cast<double>(made) / static_cast<double>(bytes);
      const auto time = kStart + kDay + static_cast<std::int64_t>(part * static_cast<double>(span));
      auto line = logs::sample::line(static_cast<unsigned>(service % 5), random, time);
      for (char& c : line) c = c == '\n' ? ' ' : c;
      made += line.size() + 1;
      rows.push_back({time + i, std::move(line), {}});
    }
    pending += body_of(service, host, rows);
    if (pending.size() > (1U << 20)) send(std::exchange(pending, {}));
  }
  if (!pending.empty()) send(std::move(pending));
  return made;
}

std::uint64_t zstd_size(const fs::path& directory) {
  std::uint64_t total = 0;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, 3);
  std::vector<char> in(1 << 20);
  std::vector<char> out(ZSTD_CStreamOutSize());
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    while (true) {
      file.read(in.data(), static_cast<std::streamsize>(in.size()));
      ZSTD_inBuffer input{in.data(), static_cast<std::size_t>(file.gcount()), 0};
      const bool last = file.gcount() < static_cast<std::streamsize>(in.size());
      std::size_t left = 1;
      while (input.pos < input.size || (last && left != 0)) {
        ZSTD_outBuffer output{out.data(), out.size(), 0};
        left = ZSTD_compressStream2(context.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
        total += output.pos;
        if (ZSTD_isError(left) != 0) return 0;
      }
      if (last) break;
    }
  }
  return total;
}

std::uint64_t xz_size(const fs::path& directory) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) files.push_back(entry.path().string());
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> total{0};
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 2; ++i) {
      workers.emplace_back([&] {
        for (std::size_t at = next++; at < files.size(); at = next++) {
          std::unique_ptr<FILE, int (*)(FILE*)> out(::popen(("xz -9e -T1 -c '" + files[at] + "' | wc -c").c_str(), "r"),
                                                    &::pclose);
          unsigned long long size = 0;
          if (!out || std::fscanf(out.get(), "%llu", &size) != 1) return;
          total += size;
        }
      });
    }
  }
  return total;
}

void remember(const Corpus& corpus) {
  std::ofstream(corpus.directory.string() + ".json") << json::serialize(json::object{{"bytes", corpus.bytes},
                                                                                     {"lines", corpus.lines},
                                                                                     {"zstd", corpus.zstd},
                                                                                     {"errors", corpus.errors},
                                                                                     {"traced", corpus.traced}});
}

std::optional<Corpus> remembered(const fs::path& directory) {
  std::ifstream file(directory.string() + ".json");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (text.empty()) return std::nullopt;
  const auto facts = json::parse(text);
  const auto number = [&](const char* name) { return facts.at(name).to_number<std::uint64_t>(); };
  return Corpus{.directory = directory,
                .bytes = number("bytes"),
                .lines = number("lines"),
                .zstd = number("zstd"),
                .errors = number("errors"),
                .traced = number("traced")};
}

}  // namespace tocayo::bench
