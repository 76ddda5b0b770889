// SPDX-License-Identifier: Apache-2.0
// The schema of each room as numbered scripts, applied once and in order, each in a transaction of its own: a crash
// leaves the database before or after a script, never within one.
#pragma once

#include <span>
#include <string_view>

#include "core/error.h"
#include "db/database.h"

namespace tocayo::db {

// A script in the common SQL, with one word of ours: `{identity}` is a generated 64-bit primary key that is never
// reused.
struct Migration {
  int version;  // 1, 2, 3 … without gaps
  std::string_view name;
  std::string_view sql;
};

// Applies what `room` lacks. Blocking. Table schema_migration(room, version, name, checksum, applied_ms) remembers what
// ran. Errors: conflict when an applied script was changed afterwards (checksum) or the database was written by a newer
// program; internal for a gap in the numbers; else what the script ran into, with room, number and name.
Result<> migrate(Database& database, std::string_view room, std::span<const Migration> migrations);

// The scripts of this room: outbox, timers, shard epochs.
std::span<const Migration> migrations();

}  // namespace tocayo::db
