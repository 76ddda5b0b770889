// SPDX-License-Identifier: Apache-2.0
// From discovered labels to something that can be scraped: Prometheus' rules (scrape/target.go's PopulateLabels).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/scrape/config.h"
#include "core/error.h"
#include "core/labels.h"

namespace tocayo::agent {

struct TargetSpec {
  Labels discovered;  // before relabelling, with job, scheme, path, interval, timeout and params filled in
  Labels labels;      // what its series get
  std::string url;
  std::string unix_socket;  // __unix_socket__
  std::chrono::milliseconds interval{0}, timeout{0};
  // The job's, or what relabelling made of them.
  bool scrape_native_histograms = false, always_scrape_classic_histograms = false,
       convert_classic_histograms_to_nhcb = false;
  std::uint64_t identity = 0;  // equal for equal labels, URL and settings; the same after a restart
};

// The discovered labels of one target of a group (target labels win over group labels), with the job's defaults.
Labels discovered_labels(const ScrapeConfig& config, const Labels& target, const Labels& group);

// nullopt: dropped by relabelling. bad_input: no address, or a nonsense interval or URL.
Result<std::optional<TargetSpec>> make_target(const ScrapeConfig& config, Labels discovered);

}  // namespace tocayo::agent
