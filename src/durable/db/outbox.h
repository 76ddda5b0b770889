// SPDX-License-Identifier: Apache-2.0
// Effects on the outside world (messages, comments, webhooks) as rows written in the transaction of what caused them
// and delivered afterwards, at least once. Order is kept per (channel, destination): a message waits for the one before
// it, also while that one is being retried. Contract of specs/oncall.md §7.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "db/database.h"

namespace tocayo::db {

// When to try again after the 1st, 2nd … failure; the last delay repeats until `give_up_after` since the message was
// made.
struct RetryPolicy {
  std::vector<std::chrono::milliseconds> delays = {std::chrono::seconds(2), std::chrono::seconds(5),
                                                   std::chrono::seconds(15), std::chrono::seconds(60),
                                                   std::chrono::seconds(120)};
  std::chrono::milliseconds give_up_after = std::chrono::minutes(10);
  double jitter = 0.2;  // each delay is stretched by a random part of itself, at most this

  std::string to_text() const;  // as stored: "2000,5000;600000;0.2"
  static Result<RetryPolicy> parse(std::string_view text);
  // Doubling from `first` to `longest`.
  static RetryPolicy exponential(std::chrono::milliseconds first, std::chrono::milliseconds longest,
                                 std::chrono::milliseconds give_up_after);
};

struct OutboxMessage {
  std::string room;         // who made it: "oncall"
  std::string channel;      // who delivers it: "slack", "email"
  std::string destination;  // within the channel; order is kept per destination
  std::string ref;          // what it is about, for lists: "group:12/user:3"
  std::string dedup_key;    // "" or unique per channel; also sent as the peer's idempotency key where there is one
  std::string payload;
  RetryPolicy policy;
};

struct OutboxDelivery {
  std::int64_t id = 0;
  std::int64_t lease_token = 0;  // fences a deliverer whose lease ran out
  std::int64_t attempt = 1;      // this one included
  TimestampMs created_ms = 0;
  OutboxMessage message;
};

struct DeadLetter {
  std::int64_t id = 0;
  std::int64_t attempts = 0;
  TimestampMs created_ms = 0;
  std::string last_error;
  OutboxMessage message;
};

// What came of one attempt.
struct DeliveryResult {
  enum class Kind : unsigned char { delivered, retry, permanent } kind = Kind::delivered;
  std::string error;                                       // for retry and permanent
  std::optional<std::chrono::milliseconds> retry_after{};  // the peer's wish (Retry-After)
};

// Thread-safe; all calls but enqueue block (use a blocking thread).
class Outbox {
 public:
  explicit Outbox(Database& database, Clock& clock = Clock::system());
  ~Outbox();

  // In the caller's transaction. False when a message with this dedup key is there already (waiting or dead): nothing
  // was added.
  Result<bool> enqueue(Transaction& transaction, const OutboxMessage& message);

  // Takes up to `limit` due messages of the channel, at most one per destination, for `lease`. A message whose lease
  // ran out (the deliverer died) is due again.
  Result<std::vector<OutboxDelivery>> claim(std::string_view channel, std::size_t limit,
                                            std::chrono::milliseconds lease);
  // Ends an attempt: removes, reschedules or buries the message. conflict when the lease was lost meanwhile (then
  // nothing changed).
  Result<> finish(const OutboxDelivery& delivery, const DeliveryResult& result);
  Result<> extend(const OutboxDelivery& delivery, std::chrono::milliseconds lease);

  // Newest first. "" for all channels.
  Result<std::vector<DeadLetter>> dead_letters(std::string_view channel, std::size_t limit);
  // Makes it due now with a fresh policy clock; not_found unless dead.
  Result<> retry_dead(std::int64_t id);
  Result<> discard_dead(std::int64_t id);

  struct Depth {
    std::string channel;
    std::int64_t waiting = 0;
    std::int64_t dead = 0;
    TimestampMs oldest_ms = 0;  // creation of the oldest waiting message, 0 when none
  };
  Result<std::vector<Depth>> depths();

  // Threads that deliver one channel until the object is destroyed (running attempts are waited for). The outbox must
  // outlive it.
  class Deliverer;
  struct DelivererOptions {
    std::string channel;
    std::size_t concurrency = 1;
    std::chrono::milliseconds lease = std::chrono::seconds(30);
    std::chrono::milliseconds poll = std::chrono::seconds(1);  // how often rows of other processes are looked for
  };
  // `deliver` runs on a thread of the deliverer and may block up to the lease.
  std::unique_ptr<Deliverer> start(DelivererOptions options,
                                   std::function<DeliveryResult(const OutboxDelivery&)> deliver);

 private:
  struct Wake;
  Database& database_;
  Clock& clock_;
  std::shared_ptr<Wake> wake_;  // shared with commit hooks, which may run after the outbox is gone
};

class Outbox::Deliverer {
 public:
  virtual ~Deliverer() = default;
};

}  // namespace tocayo::db
