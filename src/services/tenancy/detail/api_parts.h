// SPDX-License-Identifier: Apache-2.0
// The parts of api.h. Private to tenancy.
#pragma once

#include <vector>

#include "tenancy/api.h"

namespace tocayo::tenancy {

void append_ui_routes(std::vector<Route>& out, Service& service, ApiOptions options);
void append_admin_routes(std::vector<Route>& out, Service& service);
void append_limit_routes(std::vector<Route>& out, LimitsService& limits);

}  // namespace tocayo::tenancy
