// SPDX-License-Identifier: Apache-2.0
// Logs: a deterministic corpus, pushed through Loki's API, then queries; beside ripgrep on the raw files and zstd -3 of
// them. One JSON line a measure, then a table.
//   logs_side_by_side [--bytes 1GiB] [--target URL] [--format protobuf|json] [--only all|ingest|restart]
// A target is any running server with Loki's API. `ingest` leaves out the queries; `restart` keeps all lines in the
// journal, kills the server and measures how long it takes to be ready again.
// Loki and VictoriaLogs are compared when a target is given; without one they are reported absent, never estimated.
#include <fmt/format.h>
#include <snappy.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <protozero/pbf_writer.hpp>
#include <queue>
#include <thread>

#include "logs/segment/sample_lines.h"
#include "tests/support/server_process.h"

namespace tocayo::bench {
namespace {

using Steady = std::chrono::steady_clock;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kHosts = 300;
constexpr int kServices = 12;
constexpr std::int64_t kDay = 86'400'000'000'000;
constexpr std::int64_t kStart = 1'795'478'400'000'000'000;  // 2026-11-24 00:00 UTC
constexpr std::string_view kNeedle = "trace_id=feedfacecafebeef";

struct Corpus {
  fs::path directory;
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  std::uint64_t zstd = 0;
  std::array<std::uint64_t, kServices> lines_of{};
  std::uint64_t errors = 0;  // lines with "error"
};

std::string body_of(int service, int host, const std::vector<std::pair<std::int64_t, std::string>>& rows) {
  std::string body;
  protozero::pbf_writer request(body);
  {
    protozero::pbf_writer stream(request, 1);
    stream.add_string(1, fmt::format("{{host=\"host-{:03}\", service=\"service-{:02}\"}}", host, service));
    for (const auto& [time, line] : rows) {
      protozero::pbf_writer entry(stream, 2);
      {
        protozero::pbf_writer at(entry, 1);
        at.add_int64(1, time / 1'000'000'000);
        at.add_int32(2, static_cast<std::int32_t>(time % 1'000'000'000));
      }
      entry.add_string(2, line);
    }
  }
  return body;
}

json::object stream_of(int service, int host, const std::vector<std::pair<std::int64_t, std::string>>& rows) {
  json::array values;
  for (const auto& [time, line] : rows) values.push_back(json::array{std::to_string(time), line});
  return {{"stream", {{"host", fmt::format("host-{:03}", host)}, {"service", fmt::format("service-{:02}", service)}}},
          {"values", std::move(values)}};
}

// Calls send(uncompressed bodies of about 1 MiB) while the raw files are written.
template <class Send>
Corpus generate(const fs::path& directory, std::uint64_t bytes, bool as_json, const Send& send) {
  Corpus corpus{.directory = directory};
  fs::create_directories(directory);
  std::mt19937_64 random(20261124);
  const std::uint64_t expected_lines = bytes / 108;
  std::vector<std::ofstream> files;
  for (int s = 0; s < kServices; ++s) files.emplace_back(directory / fmt::format("service-{:02}.log", s));
  std::string pending;
  std::uint64_t made = 0;
  while (corpus.bytes < bytes) {
    // A burst of one host's service, as an agent sends it.
    const int service = static_cast<int>(random() % kServices);
    const int host = static_cast<int>(random() % kHosts);
    std::vector<std::pair<std::int64_t, std::string>> rows;
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
      ++corpus.lines_of[static_cast<std::size_t>(service)];
      rows.emplace_back(time + i, std::move(line));
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

// zstd -3 of each file, as a user would keep it.
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

struct Usage {
  double cpu = 0;
  double rss = 0;
};
Usage usage_of(pid_t pid) {
  Usage usage;
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  const auto paren = text.rfind(')');
  if (paren == std::string::npos) return usage;
  std::istringstream fields(text.substr(paren + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i) fields >> skip;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  usage.cpu = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) usage.rss = std::atof(line.c_str() + 6) * 1024;
  }
  return usage;
}

std::uint64_t size_of(const fs::path& directory, std::string_view ending) {
  std::uint64_t total = 0;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(directory, error)) {
    if (entry.is_regular_file() && entry.path().string().ends_with(ending)) total += entry.file_size();
  }
  return total;
}

double milliseconds(Steady::time_point since) {
  return std::chrono::duration<double, std::milli>(Steady::now() - since).count();
}

void tell(std::string_view measure, std::string_view who, double value, std::string_view unit) {
  fmt::print("{}\n",
             json::serialize(json::object{{"measure", measure}, {"system", who}, {"value", value}, {"unit", unit}}));
  std::fflush(stdout);
}

struct Query {
  const char* name;
  std::string logql;
  bool lines = true;
  std::vector<std::string> rg;  // the same with ripgrep; empty: there is none
};

std::vector<Query> queries() {
  const std::string all = "{service=~\"service-.*\"}";
  return {{"Q1 needle, one hit", all + " |= `feedfacecafebeef`", true, {"-F", "feedfacecafebeef"}},
          {"Q2 absent needle", all + " |= `0123456789abcdef01`", true, {"-F", "0123456789abcdef01"}},
          {"Q3 frequent word, newest 1,000", all + " |= `error`", true, {}},
          {"Q4 count of a word a minute",
           "sum(count_over_time(" + all + " |= `error` [1m]))",
           false,
           {"-c", "-F", "error"}},
          {"Q5 regex with literal",
           "sum(count_over_time(" + all + " |~ `Failed password for (root|admin) from 10\\.1\\d\\.` [1h]))",
           false,
           {"-c", "Failed password for (root|admin) from 10\\.1[0-9]\\."}},
          {"Q6 regex without literal",
           "sum(count_over_time(" + all + " |~ `[0-9]{4}[x-z][0-9]` [1h]))",
           false,
           {"-c", "[0-9]{4}[x-z][0-9]"}},
          {"Q7 needle in any case", all + " |~ `(?i)FEEDFACECAFEBEEF`", true, {"-i", "-F", "FEEDFACECAFEBEEF"}},
          {"Q8 json filter on a number",
           "sum(count_over_time({service=\"service-01\"} | json | status >= 500 [1h]))",
           false,
           {}},
          {"Q9 rate by level", "sum by (detected_level) (rate(" + all + " [5m]))", false, {}},
          {"Q10 quantile of a duration",
           "quantile_over_time(0.99, {service=\"service-02\"} | logfmt | unwrap duration(duration) [1h]) by (service)",
           false,
           {}},
          {"Q13 three negations", "sum(count_over_time(" + all + " != `GET` != `INFO` != `level` [1h]))", false, {}}};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Options {
  std::uint64_t bytes = 1ULL << 30;
  std::string target;
  bool as_json = false;
  std::string only = "all";
};

// Kills the server and counts what is there afterwards.
int restart(testing::Server& server, std::uint64_t lines) {
  double journal = 0;
  for (const auto& entry : fs::recursive_directory_iterator(server.data_dir() / "logs" / "wal")) {
    if (entry.is_regular_file()) journal += static_cast<double>(entry.file_size());
  }
  tell("journal", "tocayo", journal / 1e6, "MB");
  server.kill9();
  const auto at = Steady::now();
  if (!server.start(std::chrono::minutes(2))) return 1;
  tell("ready after kill -9", "tocayo", milliseconds(at), "ms");
  const auto usage = usage_of(server.process().pid());
  tell("until then", "tocayo", usage.cpu, "CPU s");
  tell("memory then", "tocayo", usage.rss / 1e6, "MB");
  const auto reply =
      testing::http_request("POST", server.url("/loki/api/v1/query"),
                            "query=" + testing::url_encode("sum(count_over_time({service=~\"service-.*\"}[2d]))") +
                                fmt::format("&time={}", kStart + kDay + kDay / 2),
                            {{"Content-Type", "application/x-www-form-urlencoded"}}, std::chrono::minutes(5));
  double found = 0;
  if (reply.status == 200) {
    for (const auto& series : json::parse(reply.body).at("data").at("result").as_array())
      found += std::atof(std::string(series.at("value").as_array()[1].as_string()).c_str());
  } else {
    fmt::print("{} {}\n", reply.status, reply.body);
  }
  tell("lines after it", "tocayo", found, fmt::format("of {}", lines));
  return found == static_cast<double>(lines) ? 0 : 1;
}

int run(const Options& wanted) {
  const auto& [bytes, target, as_json, only] = wanted;
  testing::TempDir work;
  std::unique_ptr<testing::Server> server;
  std::string base = target;
  std::string who = "target";
  if (target.empty()) {
    who = "tocayo";
    testing::Server::Options options;
    options.sets = {"server.log_level=warn"};
    if (only == "restart") {
      for (const char* set : {"logs.head.cut_bytes=64GiB", "logs.head.memory=64GiB", "logs.head.cut_age=24h"})
        options.sets.emplace_back(set);
    }
    server = std::make_unique<testing::Server>(std::move(options));
    if (!server->start()) return 1;
    base = server->url("");
  }
  // Two senders, as two connections; compressed before, so that the clock of the server's CPU is all that counts.
  std::mutex mutex;
  std::condition_variable_any wake;
  std::queue<std::string> waiting;
  bool done = false;
  std::atomic<int> refused{0};
  double peak = 0;
  const auto before = server ? usage_of(server->process().pid()) : Usage{};
  std::vector<std::jthread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.emplace_back([&] {
      while (true) {
        std::string body;
        {
          std::unique_lock lock(mutex);
          wake.wait(lock, [&] { return done || !waiting.empty(); });
          if (waiting.empty()) return;
          body = std::move(waiting.front());
          waiting.pop();
          wake.notify_all();
        }
        const auto reply =
            testing::http_request("POST", base + "/loki/api/v1/push", body,
                                  {{"Content-Type", as_json ? "application/json" : "application/x-protobuf"}});
        if (reply.status != 204) ++refused;
      }
    });
  }
  const auto started = Steady::now();
  const auto corpus = generate(work.path() / "raw", bytes, as_json, [&](std::string body) {
    std::string packed;
    if (as_json) {
      packed = std::move(body);
    } else {
      snappy::Compress(body.data(), body.size(), &packed);
    }
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return waiting.size() < 8; });
    waiting.push(std::move(packed));
    wake.notify_all();
    if (server) peak = std::max(peak, usage_of(server->process().pid()).rss);
  });
  {
    std::scoped_lock lock(mutex);
    done = true;
  }
  wake.notify_all();
  senders.clear();
  const double seconds = milliseconds(started) / 1e3;
  const double gigabytes = static_cast<double>(corpus.bytes) / 1e9;
  tell("corpus", "", gigabytes, "GB");
  tell("corpus lines", "", static_cast<double>(corpus.lines), "lines");
  tell("refused pushes", who, refused, "");
  tell("ingest, generator included", who, static_cast<double>(corpus.bytes) / 1e6 / seconds, "MB/s");
  if (only == "restart") return server ? restart(*server, corpus.lines) : 2;
  if (server) {
    (void)testing::http_request("POST", base + "/flush", "", {{"X-Tocayo-Csrf", "1"}}, std::chrono::minutes(10));
    const auto after = usage_of(server->process().pid());
    tell("ingest, cutting included", who, (after.cpu - before.cpu) / gigabytes, "CPU s/GB");
    tell("peak memory while ingesting", who, peak / 1e6, "MB");
    const auto segments = size_of(server->data_dir(), ".tseg");
    const auto zstd = zstd_size(corpus.directory);
    tell("segments", who, static_cast<double>(segments) / 1e6, "MB");
    tell("raw files", "zstd -3", static_cast<double>(zstd) / 1e6, "MB");
    tell("size", "tocayo / zstd -3", static_cast<double>(segments) / static_cast<double>(zstd), "");
  }
  if (only == "ingest") return refused == 0 ? 0 : 1;
  const auto rg = testing::find_program("rg");
  fmt::print("{:<34} {:>12} {:>12} {:>9}\n", "query (median of 5, ms)", who, rg ? "rg" : "rg absent", "ratio");
  for (const auto& query : queries()) {
    std::string form =
        "query=" + testing::url_encode(query.logql) + fmt::format("&start={}&end={}", kStart, kStart + kDay);
    form += query.lines ? "&limit=1000" : query.name[1] == '4' ? "&step=60" : "&step=3600";
    std::vector<double> times;
    testing::HttpReply reply;
    for (int i = 0; i < 6; ++i) {  // the first warms
      const auto at = Steady::now();
      reply = testing::http_request("POST", base + "/loki/api/v1/query_range", form,
                                    {{"Content-Type", "application/x-www-form-urlencoded"}}, std::chrono::minutes(5));
      if (i != 0) times.push_back(milliseconds(at));
    }
    double peer = 0;
    if (rg && !query.rg.empty()) {
      std::string command = *rg + " --no-messages -j2 -a";
      for (const auto& argument : query.rg) command += " '" + argument + "'";
      command += " " + corpus.directory.string() + " > /dev/null";
      std::vector<double> rg_times;
      for (int i = 0; i < 4; ++i) {
        const auto at = Steady::now();
        if (std::system(command.c_str()) < 0) break;
        if (i != 0) rg_times.push_back(milliseconds(at));
      }
      peer = median(rg_times);
    }
    const double own = median(times);
    fmt::print("{:<34} {:>12.1f} {:>12} {:>9}{}\n", query.name, own, peer > 0 ? fmt::format("{:.1f}", peer) : "-",
               peer > 0 ? fmt::format("{:.1f}x", peer / own) : "-",
               reply.status == 200 ? "" : fmt::format("  FAILED {}: {}", reply.status, reply.body.substr(0, 200)));
    if (query.name[1] == '1' && query.name[2] == ' ' && reply.body.find(kNeedle) == std::string::npos)
      fmt::print("  the needle was not found\n");
    if (query.name[1] == '4' && reply.status == 200) {
      double sum = 0;
      for (const auto& series : json::parse(reply.body).at("data").at("result").as_array()) {
        for (const auto& point : series.at("values").as_array())
          sum += std::atof(std::string(point.as_array()[1].as_string()).c_str());
      }
      fmt::print("  counted {} of {} lines with the word\n", sum, corpus.errors);
    }
  }
  if (target.empty()) {
    fmt::print("Loki: absent; VictoriaLogs: absent (give --target URL of a running one)\n");
    server->kill9();
    const auto at = Steady::now();
    if (!server->start(std::chrono::minutes(2))) return 1;
    tell("ready after kill -9", who, milliseconds(at), "ms");
  }
  return refused == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tocayo::bench

int main(int argc, char** argv) {
  tocayo::bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--bytes") == 0) {
      char* unit = nullptr;
      const double number = std::strtod(argv[i + 1], &unit);
      options.bytes = static_cast<std::uint64_t>(number * (std::strncmp(unit, "G", 1) == 0   ? 1 << 30
                                                           : std::strncmp(unit, "M", 1) == 0 ? 1 << 20
                                                                                             : 1));
    } else if (std::strcmp(argv[i], "--target") == 0) {
      options.target = argv[i + 1];
    } else if (std::strcmp(argv[i], "--format") == 0) {
      options.as_json = std::strcmp(argv[i + 1], "json") == 0;
    } else if (std::strcmp(argv[i], "--only") == 0) {
      options.only = argv[i + 1];
    }
  }
  return tocayo::bench::run(options);
}
