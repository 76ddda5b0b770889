// SPDX-License-Identifier: Apache-2.0
// quantile_over_time: the values of each series and interval, equal ones counted together, so that memory and work
// follow the number of different values and not that of the lines. The result is exact.
#pragma once

#include <memory>

#include "logql/engine/accumulator.h"

namespace tocayo::logql::detail {

std::unique_ptr<Accumulator> make_quantile(const Windows& windows, double quantile);

}  // namespace tocayo::logql::detail
