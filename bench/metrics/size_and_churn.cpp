// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <thread>

#include "bench/metrics/measures.h"
#include "bench/metrics/population.h"

namespace tocayo::bench {

void run_size(System& system, Measures& out, int scrapes) {
  constexpr int kWarmUp = 40;
  Population population(5, 1000, 0.25, 3);
  const std::int64_t end = now_ms() / 15'000 * 15'000;
  const std::int64_t start = end - static_cast<std::int64_t>(scrapes) * 15'000;
  Cost before{};
  for (int i = 0; i < scrapes; ++i) {
    if (i == kWarmUp) before = system.cost();
    if (push_all(system, population.scrape(start + i * 15'000LL, 1000, system.protocol())) > 0) return;
  }
  const Cost after = system.cost();
  const double samples = static_cast<double>(population.size());
  out.add("R3 CPU per sample, steady, us", system.name(),
          (after.cpu_seconds - before.cpu_seconds) / (samples * (scrapes - kWarmUp)) * 1e6);
  if (auto bytes = system.settled_bytes()) {
    out.add("R3 disk per sample when settled, B", system.name(), *bytes / samples / scrapes);
  }
}

double run_churn(System& system, int targets, bool churn) {
  constexpr int kScrapes = 480;   // two hours of 15 s
  constexpr int kReplaceAt = 20;  // every five minutes
  const auto interval = std::chrono::seconds(kChurnIntervalSeconds);
  Population population(targets, 1000, 0.25, 5);
  const std::int64_t start = now_ms() / 15'000 * 15'000 - kScrapes * 15'000LL;
  auto next = std::chrono::steady_clock::now();
  for (int i = 0; i < kScrapes; ++i) {
    if (i % kReplaceAt == 0) {
      if (churn && i > 0) population.replace(0.1);
      // Two hours pass in less than two minutes: a store that forgets idle series by the clock gets an idle time that
      // is shortened alike.
      std::this_thread::sleep_until(next);
      next += interval;
    }
    if (push_all(system, population.scrape(start + i * 15'000LL, 1000, system.protocol())) > 0) return -1;
  }
  return system.cost().rss_bytes;
}

}  // namespace tocayo::bench
