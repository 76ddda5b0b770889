// SPDX-License-Identifier: Apache-2.0
// Outbox, timers and shard ownership.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "db/outbox.h"
#include "db/shards.h"
#include "db/testing.h"
#include "db/timers.h"

namespace tocayo::db {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class DurableTest : public ::testing::Test {
 protected:
  OutboxMessage message(std::string destination, std::string payload, std::string dedup = "") {
    return {"test", "chat", std::move(destination), "ref:1", std::move(dedup), std::move(payload), {.jitter = 0}};
  }
  bool enqueue(const OutboxMessage& m) {
    auto added = database_->write_sync([&](Transaction& tx) { return outbox_.enqueue(tx, m); });
    EXPECT_TRUE(added) << added.error().message;
    return *added;
  }
  std::vector<std::string> claim_payloads(std::vector<OutboxDelivery>* out = nullptr, std::size_t limit = 10) {
    auto claimed = outbox_.claim("chat", limit, seconds(30));
    EXPECT_TRUE(claimed) << claimed.error().message;
    std::vector<std::string> payloads;
    for (auto& delivery : *claimed) payloads.push_back(delivery.message.payload);
    if (out) *out = std::move(*claimed);
    return payloads;
  }
  Result<> schedule(const Timer& timer) {
    return database_->write_sync([&](Transaction& tx) { return timers_.schedule(tx, timer); });
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<Database> database_ = testing::open_database(directory_.path() / "db");
  testing::ManualClock clock_;
  Outbox outbox_{*database_, clock_};
  Timers timers_{*database_, clock_};
};

using Names = std::vector<std::string>;

TEST_F(DurableTest, RetryPolicyRoundTrips) {
  RetryPolicy policy{.delays = {milliseconds(0), seconds(2)}, .give_up_after = seconds(9), .jitter = 0.5};
  auto back = RetryPolicy::parse(policy.to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->delays, policy.delays);
  EXPECT_EQ(back->give_up_after, policy.give_up_after);
  EXPECT_EQ(back->jitter, policy.jitter);
  EXPECT_FALSE(RetryPolicy::parse("1,x;2;0"));
  EXPECT_FALSE(RetryPolicy::parse(""));
  auto doubling = RetryPolicy::exponential(seconds(1), seconds(5), seconds(60));
  EXPECT_EQ(doubling.delays, (std::vector<milliseconds>{seconds(1), seconds(2), seconds(4), seconds(5)}));
}

TEST_F(DurableTest, MessageOfARolledBackChangeIsNotSent) {
  auto failed = database_->write_sync([&](Transaction& tx) -> Result<> {
    TRY(outbox_.enqueue(tx, message("a", "1")));
    return fail(ErrorKind::internal, "undo");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(claim_payloads(), Names{});
}

TEST_F(DurableTest, OrderIsKeptPerDestination) {
  for (auto [to, text] :
       std::vector<std::pair<const char*, const char*>>{{"a", "a1"}, {"a", "a2"}, {"b", "b1"}, {"a", "a3"}}) {
    enqueue(message(to, text));
  }
  std::vector<OutboxDelivery> claimed;
  EXPECT_EQ(claim_payloads(&claimed), (Names{"a1", "b1"}));
  EXPECT_EQ(claim_payloads(), Names{});  // leased
  ASSERT_TRUE(outbox_.finish(claimed[1], {}));
  EXPECT_EQ(claim_payloads(), Names{});
  // a1 fails: a2 waits behind it.
  ASSERT_TRUE(outbox_.finish(claimed[0], {DeliveryResult::Kind::retry, "busy", {}}));
  EXPECT_EQ(claim_payloads(), Names{});
  clock_.advance(2'000);
  EXPECT_EQ(claim_payloads(&claimed), (Names{"a1"}));
  EXPECT_EQ(claimed[0].attempt, 2);
  ASSERT_TRUE(outbox_.finish(claimed[0], {}));
  EXPECT_EQ(claim_payloads(), (Names{"a2"}));
}

TEST_F(DurableTest, LostLeaseIsFencedAndTheMessageComesBack) {
  enqueue(message("a", "1"));
  std::vector<OutboxDelivery> first, second;
  claim_payloads(&first);
  clock_.advance(29'000);
  ASSERT_TRUE(outbox_.extend(first[0], seconds(30)));
  clock_.advance(29'000);
  EXPECT_EQ(claim_payloads(), Names{});
  clock_.advance(1'001);
  EXPECT_EQ(claim_payloads(&second), (Names{"1"}));
  EXPECT_EQ(outbox_.finish(first[0], {}).error().kind, ErrorKind::conflict);
  EXPECT_EQ(outbox_.extend(first[0], seconds(30)).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(outbox_.finish(second[0], {}));
  EXPECT_EQ(outbox_.finish(second[0], {}).error().kind, ErrorKind::conflict);
}

TEST_F(DurableTest, RetriesFollowThePolicyThenGiveUp) {
  enqueue(message("a", "1"));
  std::vector<std::int64_t> waits;
  for (;;) {
    std::vector<OutboxDelivery> claimed;
    std::int64_t waited = 0;
    while (claim_payloads(&claimed).empty() && waited < 700'000) {
      clock_.advance(1'000);
      waited += 1'000;
    }
    if (claimed.empty()) break;
    waits.push_back(waited / 1'000);
    ASSERT_TRUE(outbox_.finish(claimed[0], {DeliveryResult::Kind::retry, "down", {}}));
  }
  EXPECT_EQ(waits, (std::vector<std::int64_t>{0, 2, 5, 15, 60, 120, 120, 120, 120}));
  auto dead = outbox_.dead_letters("chat", 10);
  ASSERT_TRUE(dead);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ(dead->at(0).last_error, "down");
  EXPECT_EQ(dead->at(0).attempts, 9);
  ASSERT_TRUE(outbox_.retry_dead(dead->at(0).id));
  EXPECT_EQ(claim_payloads(), (Names{"1"}));
  EXPECT_EQ(outbox_.retry_dead(dead->at(0).id).error().kind, ErrorKind::not_found);
}

TEST_F(DurableTest, PermanentFailureIsBuriedAtOnceAndUnblocksTheNext) {
  enqueue(message("a", "1"));
  enqueue(message("a", "2"));
  std::vector<OutboxDelivery> claimed;
  claim_payloads(&claimed);
  ASSERT_TRUE(outbox_.finish(claimed[0], {DeliveryResult::Kind::permanent, "unsubscribed", {}}));
  EXPECT_EQ(claim_payloads(), (Names{"2"}));
  auto depths = outbox_.depths();
  ASSERT_TRUE(depths);
  ASSERT_EQ(depths->size(), 1u);
  EXPECT_EQ(depths->at(0).waiting, 1);
  EXPECT_EQ(depths->at(0).dead, 1);
  ASSERT_TRUE(outbox_.discard_dead(outbox_.dead_letters("", 10)->at(0).id));
  EXPECT_TRUE(outbox_.dead_letters("", 10)->empty());
}

TEST_F(DurableTest, RetryAfterOfThePeerIsHonoured) {
  enqueue(message("a", "1"));
  std::vector<OutboxDelivery> claimed;
  claim_payloads(&claimed);
  ASSERT_TRUE(outbox_.finish(claimed[0], {DeliveryResult::Kind::retry, "429", seconds(90)}));
  clock_.advance(89'000);
  EXPECT_EQ(claim_payloads(), Names{});
  clock_.advance(1'000);
  EXPECT_EQ(claim_payloads(), (Names{"1"}));
}

TEST_F(DurableTest, DedupKeyIsUniquePerChannel) {
  EXPECT_TRUE(enqueue(message("a", "1", "key")));
  EXPECT_FALSE(enqueue(message("b", "2", "key")));
  EXPECT_TRUE(enqueue(message("a", "3", "")));
  EXPECT_TRUE(enqueue(message("a", "4", "")));
}

TEST_F(DurableTest, DelivererDeliversAllInOrderWithSeveralThreads) {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Names> delivered;
  std::size_t count = 0;
  auto deliverer =
      outbox_.start({.channel = "chat", .concurrency = 3, .poll = seconds(30)}, [&](const OutboxDelivery& delivery) {
        std::lock_guard lock(mutex);
        delivered[delivery.message.destination].push_back(delivery.message.payload);
        ++count;
        changed.notify_all();
        return DeliveryResult{};
      });
  for (int i = 0; i < 10; ++i) {
    for (const char* to : {"a", "b", "c"}) enqueue(message(to, std::to_string(i)));
  }
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, seconds(60), [&] { return count == 30; }));
    for (auto& [to, payloads] : delivered)
      EXPECT_EQ(payloads, (Names{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})) << to;
  }
  deliverer.reset();
  EXPECT_TRUE(outbox_.depths()->empty());
}

// ---- timers ----

TEST_F(DurableTest, TimersFireOnceInDueOrder) {
  Names fired;
  timers_.handle("step", [&](Transaction& tx, const Timer& timer) -> Result<> {
    tx.on_commit([&fired, payload = timer.payload] { fired.push_back(payload); });
    return {};
  });
  TimestampMs now = clock_.now_ms();
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "g1", .dedup = "x", .due_ms = now + 3'000, .payload = "late"}));
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "g2", .dedup = "x", .due_ms = now + 1'000, .payload = "early"}));
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "g3", .dedup = "x", .due_ms = now - 1'000, .payload = "overdue"}));
  ASSERT_TRUE(schedule({.kind = "unknown", .aggregate = "g", .dedup = "", .due_ms = now, .payload = "?"}));
  EXPECT_EQ(*timers_.fire_due(), 1u);
  clock_.advance(5'000);
  EXPECT_EQ(*timers_.fire_due(), 2u);
  EXPECT_EQ(fired, (Names{"overdue", "early", "late"}));
  clock_.advance(-3'600'000);  // the clock steps back: nothing fires again
  EXPECT_EQ(*timers_.fire_due(), 0u);
}

TEST_F(DurableTest, SchedulingAgainMovesAndCancelRemoves) {
  std::vector<Timer> fired;
  timers_.handle("step", [&](Transaction&, const Timer& timer) -> Result<> {
    fired.push_back(timer);
    return {};
  });
  TimestampMs now = clock_.now_ms();
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "g", .dedup = "d", .epoch = 1, .due_ms = now, .payload = "old"}));
  ASSERT_TRUE(
      schedule({.kind = "step", .aggregate = "g", .dedup = "d", .epoch = 2, .due_ms = now + 10, .payload = "new"}));
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "h", .dedup = "1", .due_ms = now}));
  ASSERT_TRUE(schedule({.kind = "step", .aggregate = "h", .dedup = "2", .due_ms = now}));
  auto cancel = [&](std::optional<std::string_view> dedup) {
    return *database_->write_sync([&](Transaction& tx) { return timers_.cancel(tx, "step", "h", dedup); });
  };
  EXPECT_EQ(cancel("1"), 1);
  EXPECT_EQ(cancel(std::nullopt), 1);
  EXPECT_EQ(*timers_.fire_due(), 0u);
  clock_.advance(10);
  EXPECT_EQ(*timers_.fire_due(), 1u);
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_EQ(fired[0].payload, "new");
  EXPECT_EQ(fired[0].epoch, 2);
}

TEST_F(DurableTest, FailingTimerRollsBackAndTriesAgainWithoutBlockingOthers) {
  int calls = 0, others = 0;
  timers_.handle("bad", [&](Transaction& tx, const Timer&) -> Result<> {
    TRY(outbox_.enqueue(tx, message("a", "must not be sent")));
    ++calls;
    return fail(ErrorKind::unavailable, "not yet");
  });
  timers_.handle("good", [&](Transaction&, const Timer&) -> Result<> {
    ++others;
    return {};
  });
  TimestampMs now = clock_.now_ms();
  ASSERT_TRUE(schedule({.kind = "bad", .aggregate = "g", .dedup = "", .due_ms = now}));
  ASSERT_TRUE(schedule({.kind = "good", .aggregate = "g", .dedup = "", .due_ms = now + 1}));
  clock_.advance(1);
  EXPECT_EQ(*timers_.fire_due(), 1u);
  EXPECT_EQ(others, 1);
  EXPECT_EQ(*timers_.fire_due(), 0u);
  EXPECT_EQ(calls, 1);
  clock_.advance(1'000);
  EXPECT_EQ(*timers_.fire_due(), 0u);
  EXPECT_EQ(calls, 2);
  clock_.advance(1'999);
  EXPECT_EQ(*timers_.fire_due(), 0u);
  EXPECT_EQ(calls, 2);
  clock_.advance(1);
  EXPECT_EQ(*timers_.fire_due(), 0u);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(claim_payloads(), Names{});
}

TEST_F(DurableTest, TimerThreadWakesWhenOneIsScheduled) {
  std::mutex mutex;
  std::condition_variable changed;
  int fired = 0;
  timers_.handle("now", [&](Transaction& tx, const Timer&) -> Result<> {
    tx.on_commit([&] {
      std::lock_guard lock(mutex);
      ++fired;
      changed.notify_all();
    });
    return {};
  });
  timers_.start();
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(schedule({.kind = "now", .aggregate = std::to_string(i), .dedup = "", .due_ms = clock_.now_ms()}));
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, seconds(60), [&] { return fired == 5; }));
  lock.unlock();
  timers_.stop();
}

// ---- shards ----

TEST_F(DurableTest, OneInstanceOwnsAllTwoShareAndADeadOneIsReplaced) {
  auto second_database = testing::open_database(directory_.path() / "db");
  ShardSet a(*database_, "oncall", 8, "a", clock_);
  ASSERT_TRUE(a.balance());
  EXPECT_EQ(a.owned().size(), 8u);
  {
    ShardSet b(*second_database, "oncall", 8, "b", clock_);
    ASSERT_TRUE(b.balance());
    EXPECT_EQ(b.owned().size(), 0u);  // nothing is free yet
    ASSERT_TRUE(a.balance());
    EXPECT_EQ(a.owned().size(), 4u);
    ASSERT_TRUE(b.balance());
    EXPECT_EQ(b.owned().size(), 4u);
    for (auto shard : b.owned()) EXPECT_FALSE(a.owns(shard));
  }
  ASSERT_TRUE(a.balance());
  EXPECT_EQ(a.owned().size(), 4u);  // b may only be slow
  clock_.advance(5'001);
  ASSERT_TRUE(a.balance());
  EXPECT_EQ(a.owned().size(), 8u);
}

TEST_F(DurableTest, FormerOwnerIsFenced) {
  ShardSet a(*database_, "oncall", 1, "a", clock_);
  ASSERT_TRUE(a.balance());
  auto fence = [&](ShardSet& set) { return database_->write_sync([&](Transaction& tx) { return set.fence(tx, 0); }); };
  EXPECT_TRUE(fence(a));
  // Another process took the shard while this one was paused.
  ASSERT_TRUE(
      database_->write_sync([](Transaction& tx) { return tx.execute("UPDATE shard_epoch SET epoch = epoch + 1"); }));
  EXPECT_EQ(fence(a).error().kind, ErrorKind::conflict);
  a.release_all();
  EXPECT_EQ(fence(a).error().kind, ErrorKind::conflict);
  ASSERT_TRUE(a.balance());
  EXPECT_TRUE(fence(a));
}

TEST_F(DurableTest, TimersFireOnTheOwnerOnly) {
  ShardSet a(*database_, "oncall", 2, "a", clock_);
  int fired = 0;
  timers_.handle("step", [&](Transaction&, const Timer&) -> Result<> {
    ++fired;
    return {};
  });
  timers_.own({[&] { return std::optional(a.owned()); },
               [&](Transaction& tx, std::int64_t shard) { return a.fence(tx, shard); }});
  ASSERT_TRUE(
      schedule({.kind = "step", .aggregate = "g", .dedup = "", .shard = a.shard_of("g"), .due_ms = clock_.now_ms()}));
  EXPECT_EQ(*timers_.fire_due(), 0u);
  ASSERT_TRUE(a.balance());
  ASSERT_TRUE(
      database_->write_sync([](Transaction& tx) { return tx.execute("UPDATE shard_epoch SET epoch = epoch + 1"); }));
  EXPECT_EQ(*timers_.fire_due(), 0u);  // still holds the lock, but the fence says no
  a.release_all();
  ASSERT_TRUE(a.balance());
  EXPECT_EQ(*timers_.fire_due(), 1u);
  EXPECT_EQ(fired, 1);
}

}  // namespace
}  // namespace tocayo::db
