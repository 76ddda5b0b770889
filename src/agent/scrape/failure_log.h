// SPDX-License-Identifier: Apache-2.0
// scrape_failure_log_file: one JSON object per failed scrape, with the fields of Prometheus' file.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"

namespace tocayo::agent {

// Appends `{"time":"2026-11-24T10:00:00.000Z","level":"ERROR","msg":"<problem>","job_name":"<job>","target":"<url>"}`
// and a newline. The file is opened for each line, so that it may be moved away at any time. Thread-safe.
Result<> log_scrape_failure(const std::string& path, TimestampMs time, std::string_view job, std::string_view url,
                            std::string_view problem);

}  // namespace tocayo::agent
