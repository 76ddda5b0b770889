// SPDX-License-Identifier: Apache-2.0
// ./dev bench metrics: the same data and queries against Tocayo, Prometheus and VictoriaMetrics on this machine, one
// after another. One JSON line per measure, then a table of ratios. Peers that are not installed are reported absent.
//   metrics_side_by_side [--targets N] [--scrapes N] [--protocol 1|2] [--skip-r3] [--only SYSTEM]
#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <thread>

#include "bench/metrics/population.h"
#include "bench/metrics/system.h"

namespace tocayo::bench {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Measures {
  std::map<std::string, std::map<std::string, double>> values;  // measure -> system -> value
  std::vector<std::string> order;
  void add(const std::string& measure, const std::string& system, double value) {
    if (!values.contains(measure)) order.push_back(measure);
    values[measure][system] = value;
    boost::json::object line{{"measure", measure}, {"system", system}, {"value", value}};
    std::printf("%s\n", boost::json::serialize(line).c_str());
    std::fflush(stdout);
  }
};

// Sends bodies over two connections; returns how many were refused.
int push_all(System& system, const std::vector<std::string>& bodies) {
  std::atomic<std::size_t> next{0};
  std::atomic<int> refused{0};
  std::vector<std::jthread> senders;
  for (int s = 0; s < 2; ++s) {
    senders.emplace_back([&] {
      for (std::size_t i = next++; i < bodies.size(); i = next++) {
        auto reply = testing::http_request("POST", system.push_url(), bodies[i],
                                           testing::remote_write_headers(system.protocol()));
        if (reply.status / 100 != 2 && refused++ == 0) {
          std::fprintf(stderr, "%s refused: %d %s\n", system.name().c_str(), reply.status,
                       reply.body.substr(0, 300).c_str());
        }
      }
    });
  }
  senders.clear();
  return refused;
}

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

void run_r3(System& system, Measures& out, int scrapes) {
  Population population(5, 1000, 0.25, 3);
  std::int64_t end = now_ms() / 15'000 * 15'000;
  std::int64_t start = end - static_cast<std::int64_t>(scrapes) * 15'000;
  for (int i = 0; i < 40; ++i) push_all(system, population.scrape(start + i * 15'000LL, 1000, system.protocol()));
  Cost before = system.cost();
  for (int i = 40; i < scrapes; ++i) push_all(system, population.scrape(start + i * 15'000LL, 1000, system.protocol()));
  Cost after = system.cost();
  double samples = static_cast<double>(population.size()) * (scrapes - 40);
  out.add("R3 CPU per sample, steady, us", system.name(), (after.cpu_seconds - before.cpu_seconds) / samples * 1e6);
  system.stop();
  out.add("R3 disk per sample after a clean stop (log included), B", system.name(),
          system.disk_bytes() / static_cast<double>(population.size()) / scrapes);
}

}  // namespace
}  // namespace tocayo::bench

int main(int argc, char** argv) {
  using namespace tocayo::bench;
  int targets = 200, scrapes = 20, protocol = 1, r3 = 960;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--targets") == 0 && i + 1 < argc)
      targets = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--scrapes") == 0 && i + 1 < argc)
      scrapes = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--protocol") == 0 && i + 1 < argc)
      protocol = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc)
      only = argv[++i];
    else if (std::strcmp(argv[i], "--skip-r3") == 0)
      r3 = 0;
    else
      return std::fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
  }
  Measures measures;
  const std::vector<std::string> names = {"tocayo", "victoria-metrics", "prometheus"};
  for (const std::string& name : names) {
    if (!only.empty() && name != only) continue;
    for (int run = 0; run < (r3 ? 2 : 1); ++run) {
      auto system = System::find(name);
      if (!system) {
        std::printf("{\"system\":\"%s\",\"absent\":true}\n", name.c_str());
        break;
      }
      system->set_protocol(protocol);
      if (!system->start()) {
        std::fprintf(stderr, "%s did not start\n", name.c_str());
        break;
      }
      if (run == 0)
        run_r1(*system, measures, targets, scrapes);
      else
        run_r3(*system, measures, r3);
    }
  }
  std::printf("\n%-62s %12s %12s %12s %8s %8s\n", "measure", "tocayo", "victoria", "prometheus", "/VM", "/Prom");
  for (const std::string& measure : measures.order) {
    auto& row = measures.values[measure];
    auto text = [&](const std::string& name) {
      char buffer[32];
      if (!row.contains(name)) return std::string("-");
      std::snprintf(buffer, sizeof buffer, "%.4g", row[name]);
      return std::string(buffer);
    };
    auto ratio = [&](const std::string& name) {
      char buffer[32];
      if (!row.contains(name) || !row.contains("tocayo") || row[name] == 0) return std::string("-");
      std::snprintf(buffer, sizeof buffer, "%.3f", row["tocayo"] / row[name]);
      return std::string(buffer);
    };
    std::printf("%-62s %12s %12s %12s %8s %8s\n", measure.c_str(), text("tocayo").c_str(),
                text("victoria-metrics").c_str(), text("prometheus").c_str(), ratio("victoria-metrics").c_str(),
                ratio("prometheus").c_str());
  }
  return 0;
}
