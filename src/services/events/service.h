// SPDX-License-Identifier: Apache-2.0
// The one record of what happened. A room records in the transaction of its change; subscribers hear of it after the
// commit.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/task.h"
#include "core/time.h"
#include "db/database.h"
#include "events/model.h"

namespace tocayo::events {

struct ServiceOptions {
  std::int64_t max_events_per_tenant = 100'000;  // the oldest go first
  std::chrono::milliseconds max_age{400LL * 24 * 3'600'000};
  Clock* clock = &Clock::system();
};

// Ends the subscription when destroyed; waits for a call that is running (do not destroy it from inside the call).
class Subscription {
 public:
  virtual ~Subscription() = default;
};

// Thread-safe. `database` must outlive it.
class Service {
 public:
  // Applies the migrations. Blocking.
  static Result<std::unique_ptr<Service>> open(db::Database& database, ServiceOptions options = {});
  ~Service();

  // In the caller's transaction: the event exists exactly if the change does. Fills in recorded_ms, and time_ms when it
  // is 0. Returns the event's id, or that of the event with the same dedup key. bad_input names the field that is
  // wrong.
  Result<std::int64_t> record(db::Transaction& transaction, Event event);
  // In a transaction of its own. `existed` (optional) tells a repeated dedup key.
  Task<Result<Event>> record_now(Event event, bool* existed = nullptr);

  // `cursor`: EventPage::next, "" for the newest. `limit` 1-1000.
  Task<Result<EventPage>> list(std::string tenant, EventFilter filter, std::string cursor, std::int64_t limit);

  // Every event committed from now on by this process, of all tenants, in order of commit, on one thread of the
  // service: slow subscribers delay each other, never a writer. A subscriber that must not miss any keeps the last id
  // it has seen and reads the rest with list() after a restart.
  std::unique_ptr<Subscription> subscribe(std::function<void(const Event&)> subscriber);

 private:
  struct Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::events
