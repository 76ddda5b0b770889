// SPDX-License-Identifier: Apache-2.0
// How Prometheus judges what a target answered.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "metrics/exposition_text.h"

namespace tocayo::agent {

// By Content-Type; `fallback` (fallback_scrape_protocol, "" = none) where that is absent or unknown. bad_input
// otherwise.
Result<metrics::ExpositionFormat> body_format(std::string_view content_type, std::string_view fallback);

// "404 Not Found"; the bare number when the phrase is not known.
std::string status_text(int status);

}  // namespace tocayo::agent
