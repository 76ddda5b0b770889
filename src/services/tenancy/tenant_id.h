// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/error.h"

namespace tocayo::tenancy {

inline constexpr std::string_view kDefaultTenant = "anonymous";
inline constexpr std::string_view kTenantHeader = "X-Scope-OrgID";

// 1-150 bytes of [A-Za-z0-9!-_.*'()], not "." or ".." (specs/metrics.md §3: Mimir's rule). bad_input says what is
// wrong.
Result<> check_tenant_id(std::string_view id);

}  // namespace tocayo::tenancy
