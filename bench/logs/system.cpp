// SPDX-License-Identifier: Apache-2.0
#include "bench/logs/system.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>

#include "bench/logs/corpus.h"

namespace tocayo::bench {

namespace json = boost::json;

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
    if (line.starts_with("RssAnon:")) usage.anon = std::atof(line.c_str() + 8) * 1024;
  }
  return usage;
}

PeakMemory::PeakMemory(pid_t pid)
    : thread_([this, pid](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          const auto usage = usage_of(pid);
          rss_ = std::max(rss_.load(), usage.rss);
          anon_ = std::max(anon_.load(), usage.anon);
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
      }) {}

double milliseconds(Steady::time_point since) {
  return std::chrono::duration<double, std::milli>(Steady::now() - since).count();
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::min(last, std::floor(part * static_cast<double>(values.size()))))];
}

double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

void tell(std::string_view measure, std::string_view who, double value, std::string_view unit) {
  fmt::print("{}\n",
             json::serialize(json::object{{"measure", measure}, {"system", who}, {"value", value}, {"unit", unit}}));
  std::fflush(stdout);
}

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
      {"Q9 rate by level", "sum by (detected_level) (rate(" + all + " [5m]))", false},
      {"Q10 quantile of a duration",
       "quantile_over_time(0.99, {service=\"service-02\"} | logfmt | unwrap duration(duration) [1h]) by (service)",
       false},
      {.name = "Q11 ten largest traces of an hour",
       .logql = "topk(10, sum by (trace) (count_over_time({service=\"service-02\"} | trace != `` [1h])))",
       .lines = false,
       .logsql = "{service=\"service-02\"} trace:* | stats by (trace) count() as lines | sort by (lines desc) limit 10",
       .at_noon = true},
      {"Q13 three negations",
       "sum(count_over_time(" + all + " != `GET` != `INFO` != `level` [1h]))",
       false,
       {},
       "!~\"GET\" !~\"INFO\" !~\"level\" | stats count() as lines"},
      {"Q14 a trace id in metadata",
       all + " | trace = `" + std::string(kTrace) + "`",
       true,
       {},
       "trace:=" + std::string(kTrace)}};
}

testing::HttpReply post_form(const std::string& url, const std::string& form, std::chrono::seconds patience) {
  return testing::http_request("POST", url, form, {{"Content-Type", "application/x-www-form-urlencoded"}}, patience);
}

namespace {
constexpr double kSlow = 20'000;  // ms after which a slow query is not asked again

Timed timed(const std::function<testing::HttpReply()>& once) {
  Timed timed;
  std::vector<double> times;
  double spent = 0;
  for (int i = 0; i < 6 && (i == 0 || spent < kSlow); ++i) {
    const auto at = Steady::now();
    timed.reply = once();
    const double took = milliseconds(at);
    spent += took;
    if (i == 0) {
      timed.first = took;
    } else {
      times.push_back(took);
    }
  }
  timed.median = times.empty() ? timed.first : median(times);
  return timed;
}
}  // namespace

Timed ask(const std::string& url, const std::string& form, std::chrono::seconds patience) {
  return timed([&] { return post_form(url, form, patience); });
}
Timed ask_get(const std::string& url, std::chrono::seconds patience) {
  return timed([&] { return testing::http_request("GET", url, "", {}, patience); });
}

std::vector<std::pair<std::string, std::string>> page_opening(std::int64_t start, std::int64_t end) {
  const auto range = fmt::format("start={}&end={}", start, end);
  const auto all = testing::url_encode("{service=~\"service-.*\"}");
  return {{"Q12 labels", "/loki/api/v1/labels?" + range},
          {"Q12 series", "/loki/api/v1/series?" + range + "&match[]=" + testing::url_encode("{host=\"host-001\"}")},
          {"Q12 volume", "/loki/api/v1/index/volume?" + range + "&targetLabels=service&query=" + all},
          {"Q12 patterns",
           "/loki/api/v1/patterns?" + range + "&step=3600&query=" + testing::url_encode("{service=\"service-03\"}")}};
}

std::string logql_form(const Query& query, std::int64_t start, std::int64_t end) {
  if (query.at_noon) start = end = kStart + kDay / 2;
  std::string form = "query=" + testing::url_encode(query.logql) + fmt::format("&start={}&end={}", start, end);
  form += query.lines ? "&limit=1000" : query.name[1] == '4' ? "&step=60" : "&step=3600";
  return form;
}

}  // namespace tocayo::bench
