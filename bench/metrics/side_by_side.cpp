// SPDX-License-Identifier: Apache-2.0
// ./dev bench metrics: the same data and queries against Tocayo, Prometheus and VictoriaMetrics on this machine, one
// after another. One JSON line per measure, then a table of ratios. Peers that are not installed are reported absent.
//   metrics_side_by_side [--targets N] [--scrapes N] [--protocol 1|2] [--only SYSTEM]
//                        [--skip-r1] [--skip-r3] [--skip-churn]
#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <thread>

#include "bench/metrics/measures.h"
#include "bench/metrics/population.h"

namespace tocayo::bench {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
double median_query_ms(System& system, const std::string& endpoint, const std::string& parameters, double& cold) {
  std::vector<double> times;
  for (int i = 0; i < 6; ++i) {
    auto start = Clock::now();
    auto reply = testing::http_get(system.query_url(endpoint) + "?" + parameters);
    double ms = since(start) * 1000;
    if (reply.status != 200) {
      std::fprintf(stderr, "%s: %s: %d %s\n", system.name().c_str(), parameters.c_str(), reply.status,
                   reply.body.substr(0, 200).c_str());
      return -1;
    }
    if (i == 0)
      cold = ms;
    else
      times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void run_r1(System& system, Measures& out, int targets, int scrapes) {
  const std::string& who = system.name();
  Population population(targets, 1000, 0.25, 1);
  std::int64_t end = now_ms() / 15'000 * 15'000;
  std::int64_t start = end - static_cast<std::int64_t>(scrapes) * 15'000;
  Cost before = system.cost();
  Cost first{};
  double wall = 0;
  for (int i = 0; i < scrapes; ++i) {
    auto bodies = population.scrape(start + (i + 1) * 15'000LL, 1000, system.protocol());
    auto began = Clock::now();
    if (push_all(system, bodies) > 0) return;
    wall += since(began);
    if (i == 0) first = system.cost();
  }
  Cost after = system.cost();
  double series = static_cast<double>(population.size());
  out.add("R1 RSS growth per active series, B", who, (after.rss_bytes - before.rss_bytes) / series);
  out.add("R1 CPU per new series, us", who, (first.cpu_seconds - before.cpu_seconds) / series * 1e6);
  out.add("R1 CPU per sample, whole run, us", who, (after.cpu_seconds - before.cpu_seconds) / series / scrapes * 1e6);
  out.add("R1 CPU per sample, after the first scrape, us", who,
          (after.cpu_seconds - first.cpu_seconds) / series / (scrapes - 1) * 1e6);
  out.add("R1 wall per sample, us", who, wall / series / scrapes * 1e6);

  std::string at = std::to_string(end / 1000);
  std::string range = "&start=" + std::to_string(start / 1000 + 15) + "&end=" + at + "&step=15";
  struct Query {
    const char* title;
    const char* endpoint;
    std::string parameters;
  };
  const Query queries[] = {
      {"count({pod=~\"node-exporter-.*\"})", "query", "query=count(%7Bpod%3D~%22node-exporter-.*%22%7D)&time=" + at},
      {"sum by (mode)({job=\"node-exporter\"}) range", "query_range",
       "query=sum+by+(mode)(%7Bjob%3D%22node-exporter%22%7D)" + range},
      {"sum by (job)(rate(bench_metric_3_total[1m])) range", "query_range",
       "query=sum+by+(job)(rate(bench_metric_3_total%5B1m%5D))" + range},
      {"one series range", "query_range",
       "query=bench_metric_3_total%7Binstance%3D%2210.0.0.7%3A9100%22%2Cmode%3D%22idle%22%2Cdevice%3D%22dev0%22%"
       "2Ccontainer%3D%22c0%22%7D" +
           range},
      {"/series of all", "series",
       "match[]=%7Bjob%3D~%22.%2B%22%7D&start=" + std::to_string(start / 1000) + "&end=" + at},
      {"label values of pod", "label/pod/values", "start=" + std::to_string(start / 1000) + "&end=" + at},
  };
  for (const Query& query : queries) {
    double cold = -1;
    double warm = median_query_ms(system, query.endpoint, query.parameters, cold);
    if (warm < 0) continue;
    out.add(std::string(query.title) + ", cold ms", who, cold);
    out.add(std::string(query.title) + ", warm ms", who, warm);
  }
  system.kill9();
  auto began = Clock::now();
  if (system.start()) out.add("R1 kill -9 to ready, s", who, since(began));
}

// Twice the same two hours, without and with churn, in a process of its own each.
void run_churns(const std::string& name, int protocol, Measures& out) {
  constexpr int kTargets = 20;
  double bytes[2] = {};
  for (const bool churn : {false, true}) {
    auto system = System::find(name);
    system->set_protocol(protocol);
    system->set_option("metrics.head.idle_timeout=" + std::to_string(4 * kChurnIntervalSeconds) + "s");
    if (!system->start()) return;
    const double empty = system->cost().rss_bytes;
    const double full = run_churn(*system, kTargets, churn);
    if (full < 0) return;
    bytes[churn ? 1 : 0] = full - empty;
    system->stop();
  }
  out.add("churn: RSS growth per live series without churn, B", name, bytes[0] / kTargets / 1000);
  out.add("churn: RSS growth per live series with 10 % replaced every 5 min, B", name, bytes[1] / kTargets / 1000);
  out.add("churn: with / without", name, bytes[1] / bytes[0]);
}

}  // namespace
}  // namespace tocayo::bench

int main(int argc, char** argv) {
  using namespace tocayo::bench;
  int targets = 200, scrapes = 20, protocol = 1, r3 = 960;
  bool r1 = true, churn = true;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--targets" && i + 1 < argc)
      targets = std::atoi(argv[++i]);
    else if (argument == "--scrapes" && i + 1 < argc)
      scrapes = std::atoi(argv[++i]);
    else if (argument == "--protocol" && i + 1 < argc)
      protocol = std::atoi(argv[++i]);
    else if (argument == "--only" && i + 1 < argc)
      only = argv[++i];
    else if (argument == "--skip-r1")
      r1 = false;
    else if (argument == "--skip-r3")
      r3 = 0;
    else if (argument == "--skip-churn")
      churn = false;
    else
      return std::fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
  }
  Measures measures;
  for (const std::string name : {"tocayo", "victoria-metrics", "prometheus"}) {
    if (!only.empty() && name != only) continue;
    if (!System::find(name)) {
      std::printf("{\"system\":\"%s\",\"absent\":true}\n", name.c_str());
      continue;
    }
    if (r1) {
      auto system = System::find(name);
      system->set_protocol(protocol);
      if (system->start())
        run_r1(*system, measures, targets, scrapes);
      else
        std::fprintf(stderr, "%s did not start\n", name.c_str());
    }
    if (r3 > 0) {
      auto system = System::find(name);
      system->set_protocol(protocol);
      system->set_option("metrics.head.idle_timeout=5s");
      if (system->start())
        run_size(*system, measures, r3);
      else
        std::fprintf(stderr, "%s did not start\n", name.c_str());
    }
    if (churn) run_churns(name, protocol, measures);
  }
  measures.print_table();
  return 0;
}
