// SPDX-License-Identifier: Apache-2.0
// Shows the scraper of src/agent to the API of metrics, which must not know each other.
#pragma once

#include <memory>

#include "agent/scrape/scraper.h"
#include "metrics/api/targets.h"

namespace tocayo {

// `scraper` must outlive the result.
std::unique_ptr<metrics::api::TargetProvider> make_target_provider(const agent::Scraper& scraper);

}  // namespace tocayo
