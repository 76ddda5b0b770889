// SPDX-License-Identifier: Apache-2.0
// Things to do later, as rows: they survive a restart and fire once. Firing is one transaction that deletes the timer
// and does its work (advance the aggregate, next timer, outbox rows). Contract of specs/oncall.md §7.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "db/database.h"

namespace tocayo::db {

struct Timer {
  std::int64_t id = 0;     // given by the database
  std::string kind;        // which handler: "oncall.step"
  std::string aggregate;   // what it is about: "group:12"
  std::string dedup;       // one timer per (kind, aggregate, dedup); scheduling again moves it
  std::int64_t shard = 0;  // who may fire it (ShardSet)
  std::int64_t epoch = 0;  // of the aggregate when scheduled: the handler ignores a stale one
  TimestampMs due_ms = 0;  // wall clock, UTC
  std::string payload;
  std::int64_t attempts = 0;  // failed firings so far
};

// Thread-safe.
class Timers {
 public:
  // Does the timer's work inside the transaction that deletes it. An error rolls both back and the timer is tried again
  // after 1, 2, 4 … 60 s: a handler that cannot ever succeed must say so by succeeding (and logging).
  using Handler = std::function<Result<>(Transaction&, const Timer&)>;

  explicit Timers(Database& database, Clock& clock = Clock::system());
  ~Timers();

  // In the caller's transaction. Inserts, or replaces the timer with the same (kind, aggregate, dedup).
  Result<> schedule(Transaction& transaction, const Timer& timer);
  // Removes one timer, or with nullopt all of the aggregate. Returns how many.
  Result<std::int64_t> cancel(Transaction& transaction, std::string_view kind, std::string_view aggregate,
                              std::optional<std::string_view> dedup = std::nullopt);

  // Before start(). A kind without a handler stays in the table untouched.
  void handle(std::string kind, Handler handler);
  // Which shards this process may fire, asked before each round; nullopt (the default) is all. The fence runs first in
  // each firing transaction and refuses when the shard was lost meanwhile.
  struct Ownership {
    std::function<std::optional<std::vector<std::int64_t>>()> shards;
    std::function<Result<>(Transaction&, std::int64_t shard)> fence;
  };
  void own(Ownership ownership);

  // Fires what is due, in due order; returns how many fired. Blocking. For tests and for the thread of start().
  Result<std::size_t> fire_due();
  // A thread that fires until stop() or destruction. It looks at the wall clock at least once a second, so that a clock
  // that steps forward fires once and one that steps back re-fires nothing.
  void start();
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with commit hooks, which may run after the timers are gone
};

}  // namespace tocayo::db
