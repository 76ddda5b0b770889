// SPDX-License-Identifier: Apache-2.0
// A server under measurement: what it uses, the queries it is asked, how long its answers take.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/server_process.h"

namespace tocayo::bench {

using Steady = std::chrono::steady_clock;
double milliseconds(Steady::time_point since);
double median(std::vector<double> values);
double percentile(std::vector<double> values, double part);  // part in [0, 1]

// One JSON line on standard output.
void tell(std::string_view measure, std::string_view who, double value, std::string_view unit);

// A running server that takes the corpus.
struct System {
  std::string name;
  std::string base;  // URL
  std::string push;  // path of Loki's push API
  pid_t pid = 0;     // 0: not ours to measure
};

struct Usage {
  double cpu = 0;   // seconds, user and system
  double rss = 0;   // bytes resident
  double anon = 0;  // of them not of files
};
Usage usage_of(pid_t pid);

// Looks at a process ten times a second and keeps the highest it saw.
class PeakMemory {
 public:
  explicit PeakMemory(pid_t pid);
  double rss() const { return rss_; }
  double anon() const { return anon_; }

 private:
  std::atomic<double> rss_{0};
  std::atomic<double> anon_{0};
  std::jthread thread_;  // last: ends first
};

struct Query {
  const char* name;
  std::string logql;
  bool lines = true;
  std::vector<std::string> rg = {};  // the same with ripgrep; empty: there is none
  std::string logsql = {};           // the same for VictoriaLogs; empty: there is none
  bool at_noon = false;              // asked for one moment, not for the whole day
};
// Needles are whole words for VictoriaLogs, which its index of words serves best; what is counted must be the same
// lines.
std::vector<Query> queries();

struct Timed {
  double median = 0;  // ms; 0: not asked; when the reply has no status the answer took longer than this
  double first = 0;   // ms of the first time, before anything of its answer is kept
  testing::HttpReply reply;
};
// Asks once to warm and five times for the median; less often when that takes more than 20 s.
// An answer is waited for as long as `patience`.
constexpr std::chrono::seconds kPatience{300};
Timed ask(const std::string& url, const std::string& form, std::chrono::seconds patience = kPatience);
Timed ask_get(const std::string& url, std::chrono::seconds patience = kPatience);
testing::HttpReply post_form(const std::string& url, const std::string& form,
                             std::chrono::seconds patience = kPatience);
// What a page of logs asks when it opens (Q12): names and paths with their parameters.
std::vector<std::pair<std::string, std::string>> page_opening(std::int64_t start, std::int64_t end);
// The form of a query over [start, end].
std::string logql_form(const Query& query, std::int64_t start, std::int64_t end);

// Q1 to Q9 by eight users at once while 20 MB/s come in. False: something failed.
bool measure_users(const System& system, std::chrono::seconds duration);

}  // namespace tocayo::bench
