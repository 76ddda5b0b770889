// SPDX-License-Identifier: Apache-2.0
// Who does the work of which shard: exactly one process at a time, and a paused former owner cannot write any more. A
// shard is held by an advisory lock (a file lock with SQLite, pg_try_advisory_lock with PostgreSQL); every take-over
// raises the shard's epoch, and every writing transaction of the owner asserts it (fencing).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "db/database.h"

namespace tocayo::db {

// Thread-safe. balance() is called about once a second by whoever owns the set; blocking.
class ShardSet {
 public:
  // `kind` names the work ("oncall"), letters, digits and '-'. `instance` is unique per process (host, pid, random).
  ShardSet(Database& database, std::string kind, std::int64_t shard_count, std::string instance,
           Clock& clock = Clock::system());
  ~ShardSet();  // gives the shards back

  // Says that this instance lives, drops shards whose lock broke, gives back what is over its fair share ⌈count / live
  // instances⌉ and takes free shards up to it. An instance is live when it was seen in the last 5 s.
  Result<> balance();
  // Gives everything back (shutdown), so that another takes over at once.
  void release_all();

  std::vector<std::int64_t> owned() const;
  bool owns(std::int64_t shard) const;
  // First in every writing transaction of the shard's work. conflict when this instance is not the owner (any more).
  Result<> fence(Transaction& transaction, std::int64_t shard) const;

  // The shard of an aggregate: stable across processes and versions.
  std::int64_t shard_of(std::string_view aggregate) const;

 private:
  struct Held {
    std::unique_ptr<AdvisoryLock> lock;
    std::int64_t epoch;
  };
  Result<bool> take(std::int64_t shard);

  Database& database_;
  const std::string kind_;
  const std::int64_t shard_count_;
  const std::string instance_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::int64_t, Held> held_;
};

}  // namespace tocayo::db
