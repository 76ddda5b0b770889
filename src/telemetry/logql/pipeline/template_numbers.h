// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "template/template.h"

namespace tocayo::logql {

// int, float64, add … min, addf … minf, ceil, floor, round, default.
void add_number_functions(templates::FunctionTable& table);
// time.Duration.Seconds().
double duration_seconds(std::int64_t nanoseconds);

}  // namespace tocayo::logql
