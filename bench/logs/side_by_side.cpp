// SPDX-License-Identifier: Apache-2.0
// Logs: a deterministic corpus, pushed through Loki's API, then queries; beside ripgrep on the raw files and zstd -3 of
// them. One JSON line a measure, then a table.
//   logs_side_by_side [--bytes 1GiB] [--target URL] [--format protobuf|json] [--only all|ingest|restart]
// A target is any running server with Loki's API. `ingest` leaves out the queries; `restart` keeps all lines in the
// journal, kills the server and measures how long it takes to be ready again.
// VictoriaLogs is started beside it, loaded with the same bodies and asked the same in its own language when
// TOCAYO_BENCH_VICTORIALOGS names its binary; Loki is compared as a target. A peer that is not there is reported
// absent, never estimated.
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
#include <functional>
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

// Once it no longer changes: what is in memory goes to the disk every few seconds.
std::uint64_t settled_size(const fs::path& directory) {
  std::uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::seconds(6));
    const auto now = size_of(directory, "");
    if (now == last) break;
    last = now;
  }
  return last;
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
  std::string logsql = {};      // the same for VictoriaLogs; empty: there is none
};

// Needles are whole words for VictoriaLogs, which its index of words serves best; what is counted must be the same
// lines.
std::vector<Query> queries() {
  const std::string all = "{service=~\"service-.*\"}";
  return {
      {"Q1 needle, one hit", all + " |= `feedfacecafebeef`", true, {"-F", "feedfacecafebeef"}, "feedfacecafebeef"},
      {"Q2 absent needle", all + " |= `0123456789abcdef01`", true, {"-F", "0123456789abcdef01"}, "0123456789abcdef01"},
      {"Q3 frequent word, newest 1,000", all + " |= `error`", true, {}, "~\"error\""},
      {"Q4 count of a word a minute",
       "sum(count_over_time(" + all + " |= `error` [1m]))",
       false,
       {"-c", "-F", "error"},
       "~\"error\" | stats count() as lines"},
      {"Q5 regex with literal",
       "sum(count_over_time(" + all + " |~ `Failed password for (root|admin) from 10\\.1\\d\\.` [1h]))",
       false,
       {"-c", "Failed password for (root|admin) from 10\\.1[0-9]\\."},
       "~\"Failed password for (root|admin) from 10\\\\.1[0-9]\\\\.\" | stats count() as lines"},
      {"Q6 regex without literal",
       "sum(count_over_time(" + all + " |~ `[0-9]{4}[x-z][0-9]` [1h]))",
       false,
       {"-c", "[0-9]{4}[x-z][0-9]"},
       "~\"[0-9]{4}[x-z][0-9]\" | stats count() as lines"},
      {"Q7 needle in any case",
       all + " |~ `(?i)FEEDFACECAFEBEEF`",
       true,
       {"-i", "-F", "FEEDFACECAFEBEEF"},
       "i(FEEDFACECAFEBEEF)"},
      {"Q8 json filter on a number",
       "sum(count_over_time({service=\"service-01\"} | json | status >= 500 [1h]))",
       false,
       {},
       "{service=\"service-01\"} | unpack_json fields (status) | filter status:>=500 | stats count() as lines"},
      {"Q9 rate by level", "sum by (detected_level) (rate(" + all + " [5m]))", false, {}},
      {"Q10 quantile of a duration",
       "quantile_over_time(0.99, {service=\"service-02\"} | logfmt | unwrap duration(duration) [1h]) by (service)",
       false,
       {}},
      {"Q13 three negations",
       "sum(count_over_time(" + all + " != `GET` != `INFO` != `level` [1h]))",
       false,
       {},
       "!~\"GET\" !~\"INFO\" !~\"level\" | stats count() as lines"}};
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

// A running server that takes the corpus.
struct System {
  std::string name;
  std::string base;  // URL
  std::string push;  // path of Loki's push API
  pid_t pid = 0;     // 0: not ours to measure
};

struct Ingested {
  Corpus corpus;
  int refused = 0;
  double peak = 0;  // bytes of resident memory
};

// Two senders, as two connections; compressed before, so that the server's CPU is all that its clock counts.
Ingested ingest(const System& system, const fs::path& raw, std::uint64_t bytes, bool as_json) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::queue<std::string> waiting;
  bool done = false;
  std::atomic<int> refused{0};
  Ingested result;
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
            testing::http_request("POST", system.base + system.push, body,
                                  {{"Content-Type", as_json ? "application/json" : "application/x-protobuf"}});
        if (reply.status / 100 != 2) ++refused;
      }
    });
  }
  const auto started = Steady::now();
  result.corpus = generate(raw, bytes, as_json, [&](std::string body) {
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
    if (system.pid != 0) result.peak = std::max(result.peak, usage_of(system.pid).rss);
  });
  {
    std::scoped_lock lock(mutex);
    done = true;
  }
  wake.notify_all();
  senders.clear();
  const double seconds = milliseconds(started) / 1e3;
  result.refused = refused;
  tell("refused pushes", system.name, refused, "");
  tell("ingest, generator included", system.name, static_cast<double>(result.corpus.bytes) / 1e6 / seconds, "MB/s");
  return result;
}

// Loads a system of ours and tells what that cost and what the files weigh. `flush` ends when the lines are on disk.
Ingested load(const System& system, const fs::path& raw, const Options& wanted, const std::function<void()>& flush) {
  const auto before = usage_of(system.pid);
  auto ingested = ingest(system, raw, wanted.bytes, wanted.as_json);
  flush();
  const auto after = usage_of(system.pid);
  tell("ingest, cutting included", system.name,
       (after.cpu - before.cpu) / (static_cast<double>(ingested.corpus.bytes) / 1e9), "CPU s/GB");
  tell("peak memory while ingesting", system.name, ingested.peak / 1e6, "MB");
  return ingested;
}

void tell_size(const std::string& name, std::uint64_t size, std::uint64_t zstd) {
  tell("segments", name, static_cast<double>(size) / 1e6, "MB");
  tell("size", name + " / zstd -3", static_cast<double>(size) / static_cast<double>(zstd), "");
}

const testing::HttpHeaders kForm = {{"Content-Type", "application/x-www-form-urlencoded"}};

struct Timed {
  double median = 0;  // ms; 0: not asked
  testing::HttpReply reply;
};

// Asks once to warm and five times for the median.
Timed ask(const std::string& url, const std::string& form) {
  Timed timed;
  std::vector<double> times;
  for (int i = 0; i < 6; ++i) {
    const auto at = Steady::now();
    timed.reply = testing::http_request("POST", url, form, kForm, std::chrono::minutes(5));
    if (i != 0) times.push_back(milliseconds(at));
  }
  timed.median = median(times);
  return timed;
}

Timed ask_logql(const System& system, const Query& query) {
  std::string form =
      "query=" + testing::url_encode(query.logql) + fmt::format("&start={}&end={}", kStart, kStart + kDay);
  form += query.lines ? "&limit=1000" : query.name[1] == '4' ? "&step=60" : "&step=3600";
  return ask(system.base + "/loki/api/v1/query_range", form);
}

Timed ask_logsql(const System& system, const Query& query) {
  if (query.logsql.empty()) return {};
  std::string form =
      "query=" + testing::url_encode(query.logsql) + fmt::format("&start={}&end={}", kStart, kStart + kDay - 1);
  form += query.lines ? "&limit=1000" : query.name[1] == '4' ? "&step=1m" : "&step=1h";
  return ask(system.base + (query.lines ? "/select/logsql/query" : "/select/logsql/stats_query_range"), form);
}

Timed ask_rg(const std::string& rg, const Query& query, const fs::path& raw) {
  if (query.rg.empty()) return {};
  std::string command = rg + " --no-messages -j2 -a";
  for (const auto& argument : query.rg) command += " '" + argument + "'";
  command += " " + raw.string() + " > /dev/null";
  std::vector<double> times;
  for (int i = 0; i < 4; ++i) {
    const auto at = Steady::now();
    if (std::system(command.c_str()) < 0) return {};
    if (i != 0) times.push_back(milliseconds(at));
  }
  return {median(times), {.status = 200, .headers = {}, .body = {}}};
}

// The sum of all points of a matrix, as Loki and VictoriaLogs both give it.
double sum_of(const testing::HttpReply& reply) {
  double sum = 0;
  if (reply.status != 200) return sum;
  for (const auto& series : json::parse(reply.body).at("data").at("result").as_array()) {
    for (const auto& point : series.at("values").as_array())
      sum += std::atof(std::string(point.as_array()[1].as_string()).c_str());
  }
  return sum;
}

std::string cell(const Timed& timed) {
  if (timed.median == 0) return "-";
  return timed.reply.status == 200 ? fmt::format("{:.1f}", timed.median) : fmt::format("FAILED {}", timed.reply.status);
}

std::string ratio(const Timed& own, const Timed& peer) {
  if (peer.median == 0 || peer.reply.status != 200) return "-";
  return fmt::format("{:.1f}x", peer.median / own.median);
}

void compare(const System& own, const System* victoria, const Corpus& corpus) {
  const auto rg = testing::find_program("rg");
  fmt::print("{:<34} {:>10} {:>10} {:>9} {:>13} {:>9}\n", "query (median of 5, ms)", own.name, rg ? "rg" : "rg absent",
             "ratio", victoria ? "victorialogs" : "", victoria ? "ratio" : "");
  for (const auto& query : queries()) {
    const Timed mine = ask_logql(own, query);
    const Timed grep = rg ? ask_rg(*rg, query, corpus.directory) : Timed{};
    const Timed theirs = victoria ? ask_logsql(*victoria, query) : Timed{};
    fmt::print("{:<34} {:>10} {:>10} {:>9} {:>13} {:>9}\n", query.name, cell(mine), cell(grep), ratio(mine, grep),
               cell(theirs), ratio(mine, theirs));
    for (const Timed* timed : {&mine, &theirs}) {
      if (timed->median != 0 && timed->reply.status != 200) fmt::print("  {}\n", timed->reply.body.substr(0, 200));
      if (timed->median != 0 && query.name[1] == '1' && query.name[2] == ' ' &&
          timed->reply.body.find(kNeedle) == std::string::npos)
        fmt::print("  the needle was not found\n");
    }
    if (!query.lines && !query.rg.empty()) {
      fmt::print("  counted {}", sum_of(mine.reply));
      if (theirs.median != 0) fmt::print(", victorialogs {}", sum_of(theirs.reply));
      if (query.name[1] == '4') fmt::print(" of {} lines with the word", corpus.errors);
      fmt::print("\n");
    }
    std::fflush(stdout);
  }
}

// VictoriaLogs, started on a directory of its own with the defaults of its single binary; null when it is not there.
struct Victoria {
  System system;
  fs::path data;
  std::unique_ptr<testing::Process> process;
};
std::unique_ptr<Victoria> start_victoria(const fs::path& work) {
  const char* binary = std::getenv("TOCAYO_BENCH_VICTORIALOGS");
  if (binary == nullptr || *binary == '\0') return nullptr;
  auto victoria = std::make_unique<Victoria>();
  const int port = testing::free_port();
  victoria->data = work / "victorialogs";
  victoria->system = {"victorialogs", fmt::format("http://127.0.0.1:{}", port), "/insert/loki/api/v1/push"};
  victoria->process = std::make_unique<testing::Process>(
      std::vector<std::string>{binary, "-storageDataPath=" + victoria->data.string(), "-retentionPeriod=100y",
                               "-loki.disableMessageParsing",  // else it splits JSON lines into fields
                               fmt::format("-httpListenAddr=127.0.0.1:{}", port)},
      work / "victorialogs.log");
  victoria->system.pid = victoria->process->pid();
  if (!testing::eventually([&] { return testing::http_get(victoria->system.base + "/health").status == 200; })) {
    fmt::print("VictoriaLogs did not start: {}\n", victoria->process->log());
    return nullptr;
  }
  return victoria;
}

int run_target(const Options& wanted, const fs::path& work) {
  const System target{"target", wanted.target, "/loki/api/v1/push"};
  const auto ingested = ingest(target, work / "raw", wanted.bytes, wanted.as_json);
  if (wanted.only == "restart") return 2;
  if (wanted.only != "ingest") compare(target, nullptr, ingested.corpus);
  return ingested.refused == 0 ? 0 : 1;
}

int run(const Options& wanted) {
  testing::TempDir work;
  if (!wanted.target.empty()) return run_target(wanted, work.path());
  testing::Server::Options options;
  options.sets = {"server.log_level=warn"};
  if (wanted.only == "restart") {
    for (const char* set : {"logs.head.cut_bytes=64GiB", "logs.head.memory=64GiB", "logs.head.cut_age=24h"})
      options.sets.emplace_back(set);
  }
  testing::Server server(std::move(options));
  if (!server.start()) return 1;
  const System own{"tocayo", server.url(""), "/loki/api/v1/push", server.process().pid()};
  if (wanted.only == "restart") {
    const auto ingested = ingest(own, work.path() / "raw", wanted.bytes, wanted.as_json);
    return restart(server, ingested.corpus.lines);
  }
  const auto ingested = load(own, work.path() / "raw", wanted, [&] {
    (void)testing::http_request("POST", own.base + "/flush", "", {{"X-Tocayo-Csrf", "1"}}, std::chrono::minutes(10));
  });
  const Corpus& corpus = ingested.corpus;
  tell("corpus", "", static_cast<double>(corpus.bytes) / 1e9, "GB");
  tell("corpus lines", "", static_cast<double>(corpus.lines), "lines");
  const auto zstd = zstd_size(corpus.directory);
  tell("raw files", "zstd -3", static_cast<double>(zstd) / 1e6, "MB");
  tell_size(own.name, size_of(server.data_dir(), ".tseg"), zstd);
  const auto victoria = start_victoria(work.path());
  if (victoria) {
    (void)load(victoria->system, work.path() / "raw", wanted,
               [&] { (void)testing::http_get(victoria->system.base + "/internal/force_flush"); });
    tell_size("victorialogs", settled_size(victoria->data), zstd);
  }
  if (wanted.only == "ingest") return ingested.refused == 0 ? 0 : 1;
  compare(own, victoria ? &victoria->system : nullptr, corpus);
  fmt::print("Loki: absent (give --target URL of a running one)\n");
  if (!victoria) fmt::print("VictoriaLogs: absent (TOCAYO_BENCH_VICTORIALOGS names its binary)\n");
  server.kill9();
  const auto at = Steady::now();
  if (!server.start(std::chrono::minutes(2))) return 1;
  tell("ready after kill -9", own.name, milliseconds(at), "ms");
  return ingested.refused == 0 ? 0 : 1;
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
