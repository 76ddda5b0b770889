// SPDX-License-Identifier: Apache-2.0
// One box for everything there is at this stage: pages, metrics, hosts, label values.
#pragma once

#include <string>
#include <string_view>

#include "core/context.h"
#include "core/time.h"
#include "ui/reads.h"

namespace tocayo::ui {

// How well `query` fits `text`: exact > prefix > word start > substring > subsequence; 0 = not at all.
// Case-insensitive.
int match_score(std::string_view query, std::string_view text);

// The JSON body of GET /api/ui/search. `kinds` is a comma-separated list, "" = all. What could not be searched is told
// in `warnings`.
std::string search_json(const Reads& reads, std::string_view tenant, TimestampMs now, std::string_view query,
                        std::string_view kinds, std::size_t limit, const Context& context);

}  // namespace tocayo::ui
