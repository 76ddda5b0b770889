// SPDX-License-Identifier: Apache-2.0
// Reads over several tenants (`a|b`): the union of their streams, each with the label __tenant_id__.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/querier.h"
#include "logs/store/store.h"

namespace tocayo::logs::api {

inline constexpr std::string_view kTenantLabel = "__tenant_id__";

// The ids that `|` joins, each once.
std::vector<std::string> tenants_of(std::string_view tenant);

// How a tenant's stream is shown among those of others.
Labels shown_labels(const Labels& labels, const std::string& id);
// Whether the tenant is among those the matchers mean; `rest` are the matchers for its own streams.
bool tenant_chosen(std::span<const Matcher> matchers, const std::string& id, std::vector<Matcher>& rest);

// The querier of one id, or of the ids that `|` joins (given twice counts once). A stored label of the name of
// kTenantLabel is shown as original___tenant_id__. Matchers of kTenantLabel choose among the tenants.
Result<std::shared_ptr<const Querier>> querier_of(Store& store, std::string_view tenant);

}  // namespace tocayo::logs::api
