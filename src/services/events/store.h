// SPDX-License-Identifier: Apache-2.0
// The SQL of this room. Private to events.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "db/database.h"
#include "events/model.h"

namespace tocayo::events::store {

// The id; nullopt when an event with this dedup key is there already.
Result<std::optional<std::int64_t>> add(db::Transaction& db, const Event& event);
Result<std::optional<Event>> by_dedup_key(db::Session& db, const std::string& tenant, const std::string& key);
// Older than the cursor (time, id), newest first.
Result<std::vector<Event>> list(db::Session& db, const std::string& tenant, const EventFilter& filter,
                                std::optional<std::pair<TimestampMs, std::int64_t>> before, std::int64_t limit);
// Removes all but the newest `rows` of the tenant, and what was recorded before `recorded_before`. At most `batch` rows
// a call.
Result<std::int64_t> trim(db::Transaction& db, const std::string& tenant, std::int64_t rows,
                          TimestampMs recorded_before, std::int64_t batch);

}  // namespace tocayo::events::store
