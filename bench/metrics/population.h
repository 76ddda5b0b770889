// SPDX-License-Identifier: Apache-2.0
// The series that are pushed: targets × 1000 series with nine labels, as specs' data sets R1, R2 and R3 describe.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/remote_write_body.h"

namespace tocayo::bench {

class Population {
 public:
  // `constant_share` of the series never change; the others are counters with random 7-bit steps.
  Population(int targets, int series_per_target, double constant_share, unsigned seed);
  std::size_t size() const { return series_.size(); }
  // Advances every counter and returns the bodies of one scrape at `time`, `per_request` samples each.
  std::vector<std::string> scrape(std::int64_t time, std::size_t per_request, int protocol);
  // Gives so great a share of the series, evenly spread, another pod: they end, and others begin.
  void replace(double share);

 private:
  std::vector<testing::PushSeries> series_;
  std::vector<double> values_;
  std::vector<bool> constant_;
  std::mt19937 random_;
  int generation_ = 0;
};

}  // namespace tocayo::bench
