// SPDX-License-Identifier: Apache-2.0
// What `tocayo agent` shows of itself, as JSON in Prometheus' envelope.
#pragma once

#include <string>

#include <vector>

#include "agent/logs/log_agent.h"
#include "agent/scrape/scraper.h"
#include "agent/ship/fan_out.h"
#include "agent/ship/log_queue.h"

namespace tocayo {

std::string targets_json(const agent::Scraper& scraper);            // as Prometheus' /api/v1/targets
std::string service_discovery_json(const agent::Scraper& scraper);  // by job: what was found and what became of it
std::string queues_json(const agent::FanOut& fan_out, const std::vector<agent::LogQueueStatus>& logs);
// Of files being read, with what is not read yet, and of the journal.
std::string positions_json(const std::vector<agent::LogSourceStatus>& sources);

}  // namespace tocayo
