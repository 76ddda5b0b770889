// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::tenancy {

inline constexpr std::string_view kDefaultTenant = "anonymous";
inline constexpr std::string_view kTenantHeader = "X-Scope-OrgID";

// 1-150 bytes of [A-Za-z0-9!-_.*'()], not "." or ".." (specs/metrics.md §3: Mimir's rule). bad_input says what is
// wrong.
Result<> check_tenant_id(std::string_view id);

// What X-Scope-OrgID names: one id, or several that `|` joins. Sorted, each once, never empty. bad_input as above.
Result<std::vector<std::string>> parse_tenant_ids(std::string_view text);

}  // namespace tocayo::tenancy
