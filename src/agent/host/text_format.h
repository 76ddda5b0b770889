// SPDX-License-Identifier: Apache-2.0
// Host metrics in the text exposition format 0.0.4, for GET /metrics of `tocayo agent` and --node-exporter-compat.
#pragma once

#include <string>

#include "agent/host/host_collectors.h"
#include "core/error.h"

namespace tocayo::agent {

inline constexpr std::string_view kTextContentType = "text/plain; version=0.0.4; charset=utf-8";

// Collects (results younger than a second are served again) and prints, families sorted by name. Constant labels of the
// set are left out: a scraper adds its own. Thread-safe.
std::string host_metrics_text(HostCollectors& collectors, const Selection& selection);

// The query string of a scrape ("collect[]=cpu&collect[]=meminfo", percent-encoding understood) as a selection;
// bad_input as HostCollectors::select().
Result<Selection> selection_from_query(const HostCollectors& collectors, std::string_view query);

// A sample value as Go prints it: shortest form, +Inf, -Inf, NaN.
void append_value(std::string& out, double value);

}  // namespace tocayo::agent
