// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "db/database.h"

namespace tocayo::db {

struct SqliteOptions {
  std::filesystem::path file;                     // created (mode 0600) with its directory when missing
  std::size_t readers = 2;                        // connections and threads for reads
  std::chrono::milliseconds busy_timeout{5'000};  // how long another process may hold the file before `unavailable`
  std::size_t max_batch = 256;                    // writes that may share one fsync
  bool check_integrity = true;                    // PRAGMA quick_check at open
};

// SQLite in WAL mode with synchronous=FULL. One writing connection on a thread of its own: writes that wait together
// are committed together (a savepoint each, one fsync); when such a batch fails, each of its writes is tried alone, so
// that everybody gets the answer of its own work. Reads run on `readers` connections, each on the snapshot of its first
// statement. Files: <file>, <file>-wal, <file>-shm, and <file>-locks/<name> for try_lock.
class SqliteDatabase {
 public:
  // Opens, checks and applies the room's own migrations. Errors: internal (not a database, damaged, made by another
  // program: the message says what to do), unavailable (locked, disk), forbidden (permissions). The destructor of the
  // result finishes queued writes, then closes.
  static Result<std::unique_ptr<Database>> open(SqliteOptions options);
};

}  // namespace tocayo::db
