// SPDX-License-Identifier: Apache-2.0
// How fast the page is where it is used: browsers report their vital signs, which become metrics of the program itself.
// Names, pages and ranges are fixed, so that no browser can make series of its own.
#pragma once

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/registry.h"
#include "metrics/api/rate_limit.h"

namespace tocayo::ui {

struct VitalsReport {
  std::string_view page;                                   // one of the known pages
  std::vector<std::pair<std::string_view, double>> signs;  // fcp, lcp, inp in seconds; cls without a unit
  unsigned chunk_errors = 0;                               // parts of the page that did not load
  unsigned slow_interactions = 0;                          // over 200 ms
};

// {"page":"explore","fcp":310,"lcp":812.5,"inp":40,"cls":0.01,"chunkErrors":0,"slow":2}; times in milliseconds, all but
// `page` may be absent. bad_input for anything else.
Result<VitalsReport> parse_vitals(std::string_view text);

// Thread-safe.
class Vitals {
 public:
  explicit Vitals(Registry& registry);
  // `limit` when browsers report faster than kPerSecond.
  Result<> record(const VitalsReport& report, std::chrono::steady_clock::time_point now);

  static constexpr double kPerSecond = 20, kBurst = 100;

 private:
  Registry& registry_;
  Counter &chunk_errors_, &slow_;
  metrics::api::RateLimiter rate_;
};

}  // namespace tocayo::ui
