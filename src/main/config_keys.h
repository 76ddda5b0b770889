// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/config.h"

namespace tocayo {

// Every key of tocayo.yaml. The table is the reference: `tocayo config defaults` and `tocayo config schema` print it.
const std::vector<ConfigKey>& config_keys();

}  // namespace tocayo
