// SPDX-License-Identifier: Apache-2.0
#include "bench/metrics/population.h"

#include <span>

namespace tocayo::bench {

Population::Population(int targets, int series_per_target, double constant_share, unsigned seed) : random_(seed) {
  static const char* kModes[] = {"idle", "user", "system", "iowait", "irq", "softirq", "steal", "nice"};
  std::uniform_real_distribution<double> share(0, 1);
  for (int t = 0; t < targets; ++t) {
    std::string job = t % 4 == 0 ? "node-exporter" : t % 4 == 1 ? "kubelet" : t % 4 == 2 ? "app" : "ingress";
    std::string instance = "10." + std::to_string(t / 250) + "." + std::to_string(t % 250) + ".7:9100";
    std::string pod = job + "-" + std::to_string(t * 7919 % 100003);
    for (int i = 0; i < series_per_target; ++i) {
      series_.push_back({{{"__name__", "bench_metric_" + std::to_string(i / 40) + "_total"},
                          {"cluster", "prod-" + std::to_string(t % 3)},
                          {"container", "c" + std::to_string(i % 5)},
                          {"device", "dev" + std::to_string(i % 40 / 8)},
                          {"instance", instance},
                          {"job", job},
                          {"mode", kModes[i % 8]},
                          {"namespace", "ns-" + std::to_string(t % 20)},
                          {"pod", pod}},
                         {{0, 0}}});
      constant_.push_back(share(random_) < constant_share);
      values_.push_back(static_cast<double>(random_() % 100000));
    }
  }
}

std::vector<std::string> Population::scrape(std::int64_t time, std::size_t per_request, int protocol) {
  std::vector<std::string> bodies;
  for (std::size_t i = 0; i < series_.size(); ++i) {
    if (!constant_[i]) values_[i] += static_cast<double>(random_() % 128);
    series_[i].samples[0] = {time, values_[i]};
  }
  for (std::size_t first = 0; first < series_.size(); first += per_request) {
    std::span part(series_.data() + first, std::min(per_request, series_.size() - first));
    bodies.push_back(protocol == 2 ? testing::remote_write_2(part) : testing::remote_write_1(part));
  }
  return bodies;
}

void Population::replace(double share) {
  const auto every = static_cast<std::size_t>(1 / share);
  ++generation_;
  for (std::size_t i = static_cast<std::size_t>(generation_) % every; i < series_.size(); i += every) {
    series_[i].labels.back().second = "replaced-" + std::to_string(generation_) + "-" + std::to_string(i / 1000);
    values_[i] = 0;
  }
}

}  // namespace tocayo::bench
