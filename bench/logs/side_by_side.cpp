// SPDX-License-Identifier: Apache-2.0
// Logs: a deterministic corpus, pushed through Loki's API, then queries; beside ripgrep on the raw files and zstd -3 of
// them. One JSON line a measure, then a table.
//   logs_side_by_side [--bytes 1GiB] [--target URL] [--format protobuf|json] [--work DIR]
//                     [--only all|ingest|restart|queries|users|load|peers] [--patience SECONDS] [--xz yes]
// A target is any running server with Loki's API. `ingest` leaves out the queries; `restart` keeps all lines in the
// journal, kills the server and measures how long it takes to be ready again; `users` asks with eight users at once
// while lines come in (part of `all`). With --work, raw files and data stay in DIR, where `queries`, `users` and
// `peers` find them again instead of loading them; `load` only loads the peers, `peers` loads them where that was not
// done and asks all. A peer's answer is waited for as long as --patience says (300). VictoriaLogs is started
// beside it, loaded with the same bodies and asked the same in its own language when TOCAYO_BENCH_VICTORIALOGS names
// its binary, Loki when TOCAYO_BENCH_LOKI does. A peer that is not there is reported absent, never estimated.
#include <fmt/format.h>
#include <snappy.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>

#include "bench/logs/corpus.h"
#include "bench/logs/loki_peer.h"
#include "bench/logs/system.h"
#include "tests/support/server_process.h"

namespace tocayo::bench {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

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

constexpr std::chrono::seconds kUsersTime{40};

struct Options {
  std::uint64_t bytes = 1ULL << 30;
  std::string target;
  bool as_json = false;
  std::string only = "all";
  fs::path work;  // empty: a temporary directory
  bool xz = false;
  std::chrono::seconds patience = kPatience;  // with a peer's answer
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

struct Ingested {
  Corpus corpus;
  int refused = 0;
  double seconds = 0;
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
  });
  {
    std::scoped_lock lock(mutex);
    done = true;
  }
  wake.notify_all();
  senders.clear();
  const double seconds = milliseconds(started) / 1e3;
  result.refused = refused;
  result.seconds = seconds;
  tell("refused pushes", system.name, refused, "");
  tell("ingest, generator included", system.name, static_cast<double>(result.corpus.bytes) / 1e6 / seconds, "MB/s");
  return result;
}

// Loads a system of ours and tells what that cost and what the files weigh. `flush` ends when the lines are on disk.
Ingested load(const System& system, const fs::path& raw, const Options& wanted, const std::function<void()>& flush) {
  const auto before = usage_of(system.pid);
  PeakMemory peak(system.pid);
  auto ingested = ingest(system, raw, wanted.bytes, wanted.as_json);
  flush();
  const auto after = usage_of(system.pid);
  tell("ingest, cutting included", system.name,
       (after.cpu - before.cpu) / (static_cast<double>(ingested.corpus.bytes) / 1e9), "CPU s/GB");
  tell("peak memory while ingesting", system.name, peak.rss() / 1e6, "MB");
  tell("of it not of files, at most", system.name, peak.anon() / 1e6, "MB");
  return ingested;
}

void tell_size(const std::string& name, std::uint64_t size, std::uint64_t zstd) {
  tell("segments", name, static_cast<double>(size) / 1e6, "MB");
  tell("size", name + " / zstd -3", static_cast<double>(size) / static_cast<double>(zstd), "");
}

Timed ask_logql(const System& system, const Query& query, std::chrono::seconds patience = kPatience) {
  return ask(system.base + "/loki/api/v1/query_range", logql_form(query, kStart, kStart + kDay), patience);
}

Timed ask_logsql(const System& system, const Query& query, std::chrono::seconds patience) {
  if (query.logsql.empty()) return {};
  std::string form = "query=" + testing::url_encode(query.logsql);
  if (query.at_noon) {
    form += fmt::format("&start={}&end={}", kStart + kDay / 2 - kDay / 24, kStart + kDay / 2);
    return ask(system.base + "/select/logsql/query", form, patience);
  }
  form += fmt::format("&start={}&end={}", kStart, kStart + kDay - 1);
  form += query.lines ? "&limit=1000" : query.name[1] == '4' ? "&step=1m" : "&step=1h";
  return ask(system.base + (query.lines ? "/select/logsql/query" : "/select/logsql/stats_query_range"), form, patience);
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
  return {.median = median(times), .reply = {.status = 200, .headers = {}, .body = {}}};
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
  if (timed.reply.status == 0) return fmt::format("> {:.0f}", timed.median);
  return timed.reply.status == 200 ? fmt::format("{:.1f}", timed.median) : fmt::format("FAILED {}", timed.reply.status);
}

std::string ratio(const Timed& own, const Timed& peer) {
  if (peer.median == 0 || (peer.reply.status != 200 && peer.reply.status != 0)) return "-";
  return fmt::format("{}{:.1f}x", peer.reply.status == 0 ? "> " : "", peer.median / own.median);
}

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

// The opening of a page of logs.
void compare_page(const System& own, const System* loki, std::chrono::seconds patience = kPatience) {
  double together = 0;
  for (const auto& [name, path] : page_opening(kStart, kStart + kDay)) {
    const Timed mine = ask_get(own.base + path);
    const Timed theirs = loki ? ask_get(loki->base + path, patience) : Timed{};
    together += mine.median;
    fmt::print("{:<34} {:>10.1f} {:>10} {:>10} {:>9}\n", name, mine.first, cell(mine), loki ? cell(theirs) : "",
               ratio(mine, theirs));
    if (mine.reply.status != 200) fmt::print("  {}\n", mine.reply.body.substr(0, 200));
  }
  fmt::print("{:<34} {:>10} {:>10.1f}\n", "Q12 together", "", together);
}

void compare(const System& own, const System* victoria, const Corpus& corpus,
             std::chrono::seconds patience = kPatience) {
  const auto rg = testing::find_program("rg");
  fmt::print("{:<34} {:>10} {:>10} {:>10} {:>9} {:>13} {:>9}\n", "query (median of 5, ms)", "first", own.name,
             rg ? "rg" : "rg absent", "ratio", victoria ? "victorialogs" : "", victoria ? "ratio" : "");
  for (const auto& query : queries()) {
    const Timed mine = ask_logql(own, query);
    const Timed grep = rg ? ask_rg(*rg, query, corpus.directory) : Timed{};
    const Timed theirs = victoria ? ask_logsql(*victoria, query, patience) : Timed{};
    fmt::print("{:<34} {:>10.1f} {:>10} {:>10} {:>9} {:>13} {:>9}\n", query.name, mine.first, cell(mine), cell(grep),
               ratio(mine, grep), cell(theirs), ratio(mine, theirs));
    for (const Timed* timed : {&mine, &theirs}) {
      if (timed->median != 0 && timed->reply.status != 200) fmt::print("  {}\n", timed->reply.body.substr(0, 200));
      if (timed->median != 0 && query.name[1] == '1' && query.name[2] == ' ' &&
          timed->reply.body.find(kNeedle) == std::string::npos)
        fmt::print("  the needle was not found\n");
      if (timed->median != 0 && query.name[2] == '4' && occurrences(timed->reply.body, "trace_id=") < corpus.traced)
        fmt::print("  lines of the trace are missing\n");
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

// The same questions in the same language.
void compare_loki(const System& own, const System& loki, std::chrono::seconds patience) {
  fmt::print("{:<34} {:>10} {:>10} {:>9}\n", "query (median of 5, ms)", own.name, loki.name, "ratio");
  for (const auto& query : queries()) {
    const Timed mine = ask_logql(own, query);
    const Timed theirs = ask_logql(loki, query, patience);
    fmt::print("{:<34} {:>10} {:>10} {:>9}\n", query.name, cell(mine), cell(theirs), ratio(mine, theirs));
    if (theirs.reply.status != 200) fmt::print("  {}\n", theirs.reply.body.substr(0, 200));
    if (!query.lines) fmt::print("  counted {}, loki {}\n", sum_of(mine.reply), sum_of(theirs.reply));
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
  if (wanted.only == "users") return measure_users(target, kUsersTime) ? 0 : 1;
  const auto ingested = ingest(target, work / "raw", wanted.bytes, wanted.as_json);
  if (wanted.only == "restart") return 2;
  if (wanted.only != "ingest") compare(target, nullptr, ingested.corpus);
  return ingested.refused == 0 ? 0 : 1;
}

int run(const Options& wanted) {
  std::optional<testing::TempDir> temporary;
  if (wanted.work.empty()) temporary.emplace();
  const fs::path work = temporary ? temporary->path() : wanted.work;
  if (!wanted.target.empty()) return run_target(wanted, work);
  const bool peers_only = wanted.only == "peers";
  const bool again = peers_only || wanted.only == "load" || wanted.only == "queries" || wanted.only == "users";
  auto kept = remembered(work / "raw");
  if (again && !kept) {
    fmt::print(stderr, "--only {} needs --work with the directory of a run that has loaded its data\n", wanted.only);
    return 2;
  }
  testing::Server::Options options;
  options.sets = {"server.log_level=warn"};
  options.data_dir = work / "data";
  if (wanted.only == "restart") {
    for (const char* set : {"logs.head.cut_bytes=64GiB", "logs.head.memory=64GiB", "logs.head.cut_age=24h"})
      options.sets.emplace_back(set);
  }
  testing::Server server(std::move(options));
  if (!server.start(std::chrono::minutes(2))) return 1;
  const System own{"tocayo", server.url(""), "/loki/api/v1/push", server.process().pid()};
  if (wanted.only == "restart") {
    const auto ingested = ingest(own, work / "raw", wanted.bytes, wanted.as_json);
    return restart(server, ingested.corpus.lines);
  }
  Ingested ingested;
  if (!again) {
    ingested = load(own, work / "raw", wanted, [&] {
      (void)testing::http_request("POST", own.base + "/flush", "", {{"X-Tocayo-Csrf", "1"}}, std::chrono::minutes(10));
    });
    ingested.corpus.zstd = zstd_size(ingested.corpus.directory);
    remember(ingested.corpus);
    kept = ingested.corpus;
  }
  const Corpus& corpus = *kept;
  tell("corpus", "", static_cast<double>(corpus.bytes) / 1e9, "GB");
  tell("corpus lines", "", static_cast<double>(corpus.lines), "lines");
  tell("raw files", "zstd -3", static_cast<double>(corpus.zstd) / 1e6, "MB");
  tell_size(own.name, size_of(server.data_dir(), ".tseg"), corpus.zstd);
  if (wanted.xz) {
    const auto xz = static_cast<double>(xz_size(corpus.directory));
    tell("raw files", "xz -9e", xz / 1e6, "MB");
    if (xz != 0)
      tell("size", own.name + " / xz -9e", static_cast<double>(size_of(server.data_dir(), ".tseg")) / xz, "");
  }
  if (wanted.only == "users") return measure_users(own, kUsersTime) ? 0 : 1;
  const bool with_peers = peers_only || !again || wanted.only == "load";
  const fs::path loaded = work / "peers-loaded";
  const bool have_data = peers_only && fs::exists(loaded);
  const auto victoria = !with_peers ? nullptr : start_victoria(work);
  if (victoria && !have_data) {
    (void)load(victoria->system, work / "raw", wanted,
               [&] { (void)testing::http_get(victoria->system.base + "/internal/force_flush"); });
  }
  if (victoria) tell_size("victorialogs", settled_size(victoria->data), corpus.zstd);
  const auto loki = !with_peers ? nullptr : start_loki(work);
  if (loki && !have_data) {
    (void)load(loki->system, work / "raw", wanted, [&] {
      if (!loki->flush()) fmt::print("Loki has not written everything\n");
    });
  }
  if (loki) tell_size("loki", settled_size(loki->files), corpus.zstd);
  if (wanted.only == "load") {
    std::ofstream(loaded) << "yes\n";
    if (victoria) victoria->process->signal(SIGTERM);
    if (loki) loki->process->signal(SIGTERM);
    std::this_thread::sleep_for(std::chrono::seconds(20));  // they write what they hold
    return 0;
  }
  if (wanted.only == "ingest") return ingested.refused == 0 ? 0 : 1;
  compare(own, victoria ? &victoria->system : nullptr, corpus, wanted.patience);
  compare_page(own, loki ? &loki->system : nullptr, wanted.patience);
  if (loki) {
    compare_loki(own, loki->system, wanted.patience);
    loki->process->signal(SIGTERM);
  } else {
    fmt::print("Loki: absent (TOCAYO_BENCH_LOKI names its binary)\n");
  }
  if (!victoria) fmt::print("VictoriaLogs: absent (TOCAYO_BENCH_VICTORIALOGS names its binary)\n");
  if (victoria) victoria->process->signal(SIGTERM);
  bool good = ingested.refused == 0;
  if (wanted.only == "all") good = measure_users(own, kUsersTime) && good;
  server.kill9();
  const auto at = Steady::now();
  if (!server.start(std::chrono::minutes(2))) return 1;
  tell("ready after kill -9", own.name, milliseconds(at), "ms");
  return good ? 0 : 1;
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
    } else if (std::strcmp(argv[i], "--work") == 0) {
      options.work = argv[i + 1];
    } else if (std::strcmp(argv[i], "--patience") == 0) {
      options.patience = std::chrono::seconds(std::atoi(argv[i + 1]));
    } else if (std::strcmp(argv[i], "--xz") == 0) {
      options.xz = std::strcmp(argv[i + 1], "yes") == 0;
    } else if (std::strcmp(argv[i], "--only") == 0) {
      options.only = argv[i + 1];
    }
  }
  return tocayo::bench::run(options);
}
