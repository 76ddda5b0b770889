// SPDX-License-Identifier: Apache-2.0
// What Home shows: what is wrong now, the machines, what changed, how the program itself is. One request.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/time.h"
#include "metrics/api/targets.h"
#include "ui/reads.h"

namespace tocayo::ui {

// One line of the program's own health; rooms register their checks through main.
struct HealthItem {
  std::string id;       // "wal", "disk", "memory", "config", …: the page has a text per id
  std::string state;    // ok, warning, critical
  std::string message;  // for critical and warning: what to do
  double value = 0;     // e.g. bytes free; 0 when meaningless
};

struct HomeEvent {
  TimestampMs time;
  std::string kind, title, detail;
};

struct HomeDependencies {
  const Reads& reads;
  std::function<TimestampMs(std::string_view tenant)> newest_sample;  // 0 = none
  metrics::api::TargetProvider* targets = nullptr;                    // null without scraping
  std::function<std::vector<HealthItem>()> health;
  std::function<std::vector<HomeEvent>(const std::string& tenant)>
      events;  // newest first; blocking, called on the compute pool
  std::string version;
  TimestampMs start_time = 0;
  Clock& clock = Clock::system();
};

// The JSON body of GET /api/ui/home (web/API.md). Synchronous: on a compute thread.
std::string home_json(const HomeDependencies& dependencies, const std::string& tenant, const Context& context);

}  // namespace tocayo::ui
