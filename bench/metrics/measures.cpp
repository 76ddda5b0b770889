// SPDX-License-Identifier: Apache-2.0
#include "bench/metrics/measures.h"

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "tests/support/remote_write_body.h"

namespace tocayo::bench {

void Measures::add(const std::string& measure, const std::string& system, double value) {
  if (!values.contains(measure)) order.push_back(measure);
  values[measure][system] = value;
  boost::json::object line{{"measure", measure}, {"system", system}, {"value", value}};
  std::printf("%s\n", boost::json::serialize(line).c_str());
  std::fflush(stdout);
}

void Measures::print_table() const {
  std::printf("\n%-62s %12s %12s %12s %8s %8s\n", "measure", "tocayo", "victoria", "prometheus", "/VM", "/Prom");
  for (const std::string& measure : order) {
    const auto& row = values.at(measure);
    const auto text = [&](const std::string& name) {
      char buffer[32];
      if (!row.contains(name)) return std::string("-");
      std::snprintf(buffer, sizeof buffer, "%.4g", row.at(name));
      return std::string(buffer);
    };
    const auto ratio = [&](const std::string& name) {
      char buffer[32];
      if (!row.contains(name) || !row.contains("tocayo") || row.at(name) == 0) return std::string("-");
      std::snprintf(buffer, sizeof buffer, "%.3f", row.at("tocayo") / row.at(name));
      return std::string(buffer);
    };
    std::printf("%-62s %12s %12s %12s %8s %8s\n", measure.c_str(), text("tocayo").c_str(),
                text("victoria-metrics").c_str(), text("prometheus").c_str(), ratio("victoria-metrics").c_str(),
                ratio("prometheus").c_str());
  }
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

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

}  // namespace tocayo::bench
