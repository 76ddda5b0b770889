// SPDX-License-Identifier: Apache-2.0
// What was measured, by system, and the runs that measure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/metrics/system.h"

namespace tocayo::bench {

struct Measures {
  std::map<std::string, std::map<std::string, double>> values;  // measure -> system -> value
  std::vector<std::string> order;
  // Prints one JSON line.
  void add(const std::string& measure, const std::string& system, double value);
  // The ratios of Tocayo to its peers.
  void print_table() const;
};

std::int64_t now_ms();
// Sends bodies over two connections; returns how many were refused.
int push_all(System& system, const std::vector<std::string>& bodies);

// sizebench: 5 x 1000 series x `scrapes` of the data set R3: CPU per sample, and the disk they take at last.
void run_size(System& system, Measures& out, int scrapes);
// churnbench: two hours of scrapes of `targets` x 1000 series, five simulated minutes every kChurnIntervalSeconds; with
// `churn` a tenth of the series is replaced in each. Returns the resident bytes at the end, < 0 when it failed.
inline constexpr int kChurnIntervalSeconds = 4;
double run_churn(System& system, int targets, bool churn);

}  // namespace tocayo::bench
