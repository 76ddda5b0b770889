// SPDX-License-Identifier: Apache-2.0
#include "core/fair_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

namespace tocayo {
namespace {

template <typename Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return condition();
}

// Acquires in the background; `outcome` is set once there is one.
struct Attempt {
  std::atomic<bool> done{false};
  std::optional<Result<FairGate::Permit>> outcome;
  std::stop_source stop;

  void start(FairGate& gate, std::string tenant, std::chrono::milliseconds timeout = std::chrono::hours(1),
             double cost = 1) {
    Context context(stop.get_token(), Context::Steady::now() + timeout);
    spawn<Result<FairGate::Permit>>(gate.acquire(std::move(tenant), context, cost),
                                    [this](Result<FairGate::Permit> result) {
                                      outcome.emplace(std::move(result));
                                      done = true;
                                    });
  }
  bool granted() const { return done && outcome && outcome->has_value(); }
  void leave() { outcome.reset(); }
};

TEST(FairGate, LimitsWhatRunsAtOnce) {
  Pool pool("t", 2);
  FairGate gate(2, 10, pool);
  Attempt a, b, c;
  a.start(gate, "x");
  b.start(gate, "x");
  c.start(gate, "x");
  EXPECT_TRUE(a.granted());
  EXPECT_TRUE(b.granted());
  EXPECT_FALSE(c.done);
  EXPECT_EQ(gate.waiting(), 1u);
  a.leave();
  ASSERT_TRUE(wait_until([&] { return c.granted(); }));
  EXPECT_EQ(gate.running(), 2u);
  b.leave();
  c.leave();
  EXPECT_EQ(gate.running(), 0u);
}

TEST(FairGate, AFullQueueRefusesAtOnceAndOnlyThatTenant) {
  Pool pool("t", 1);
  FairGate gate(1, 1, pool);
  Attempt running, waiting, refused, other;
  running.start(gate, "x");
  waiting.start(gate, "x");
  refused.start(gate, "x");
  ASSERT_TRUE(refused.done);
  EXPECT_EQ(refused.outcome->error().kind, ErrorKind::limit);
  EXPECT_EQ(refused.outcome->error().message, "too many outstanding requests");
  other.start(gate, "y");
  EXPECT_FALSE(other.done);
  running.leave();
  ASSERT_TRUE(wait_until([&] { return waiting.granted() || other.granted(); }));
  (waiting.granted() ? waiting : other).leave();
  ASSERT_TRUE(wait_until([&] { return waiting.done && other.done; }));
  waiting.leave();
  other.leave();
}

TEST(FairGate, TenantsTakeTurns) {
  Pool pool("t", 1);
  FairGate gate(1, 100, pool);
  Attempt running;
  running.start(gate, "z");
  Attempt many[5];
  for (Attempt& attempt : many) attempt.start(gate, "big");
  Attempt few;
  few.start(gate, "small");
  running.leave();
  // One of the big tenant's may go first, but the small one is next.
  ASSERT_TRUE(wait_until([&] { return many[0].granted() || few.granted(); }));
  if (many[0].granted()) many[0].leave();
  ASSERT_TRUE(wait_until([&] { return few.granted() || many[1].granted(); }));
  EXPECT_TRUE(few.granted());
  EXPECT_FALSE(many[1].done);
  few.leave();
  for (Attempt& attempt : many) {
    ASSERT_TRUE(wait_until([&] { return attempt.done.load(); }));
    attempt.leave();
  }
}

TEST(FairGate, DearQueriesGetFewerTurns) {
  Pool pool("t", 1);
  FairGate gate(1, 100, pool);
  Attempt running;
  running.start(gate, "z");
  Attempt dear[4], cheap[4];
  for (int i = 0; i < 4; ++i) {
    dear[i].start(gate, "dear", std::chrono::hours(1), 10);
    cheap[i].start(gate, "cheap", std::chrono::hours(1), 1);
  }
  running.leave();
  // One of the dear ones weighs more than all of the cheap ones together.
  std::string order;
  for (int turn = 0; turn < 8; ++turn) {
    Attempt* served = nullptr;
    ASSERT_TRUE(wait_until([&] {
      for (int i = 0; i < 4; ++i) {
        if (dear[i].granted()) served = &dear[i];
        if (cheap[i].granted()) served = &cheap[i];
      }
      return served != nullptr;
    }));
    order += served >= dear && served < dear + 4 ? 'd' : 'c';
    served->leave();
    served->done = false;
  }
  EXPECT_LE(order.find("ccc"), 2u) << order;
  EXPECT_EQ(order.substr(5), "ddd") << order;
}

TEST(FairGate, WhoGoesAwayIsForgotten) {
  Pool pool("t", 1);
  FairGate gate(1, 10, pool);
  Attempt running, gone, late, next;
  running.start(gate, "x");
  gone.start(gate, "x");
  late.start(gate, "x", std::chrono::milliseconds(1));
  next.start(gate, "x");
  gone.stop.request_stop();
  ASSERT_TRUE(wait_until([&] { return gone.done.load(); }));
  EXPECT_EQ(gone.outcome->error().kind, ErrorKind::canceled);
  const auto expired = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
  wait_until([&] { return std::chrono::steady_clock::now() > expired; });
  running.leave();
  ASSERT_TRUE(wait_until([&] { return next.granted() && late.done; }));
  EXPECT_EQ(late.outcome->error().kind, ErrorKind::timeout);
  next.leave();
  EXPECT_EQ(gate.running(), 0u);
  EXPECT_EQ(gate.waiting(), 0u);
}

TEST(FairGate, ManyThreadsWithCancellation) {
  Pool pool("t", 4);
  FairGate gate(3, 1000, pool);
  std::atomic<int> inside{0}, most{0}, finished{0};
  constexpr int kCount = 400;
  std::vector<std::stop_source> stops(kCount);
  std::vector<std::jthread> threads;
  const auto work = [&](int i) -> Task<void> {
    auto permit = co_await gate.acquire(
        "t" + std::to_string(i % 3),
        Context(stops[static_cast<std::size_t>(i)].get_token(), Context::Steady::time_point::max()));
    if (permit) {
      const int now = ++inside;
      int seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      co_await pool.schedule();
      --inside;
    }
    permit = FairGate::Permit();
    ++finished;
  };
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kCount; i += 4) {
        spawn(work(i));
        if (i % 5 == 0) stops[static_cast<std::size_t>(i)].request_stop();
      }
    });
  }
  threads.clear();
  ASSERT_TRUE(wait_until([&] { return finished == kCount; }));
  EXPECT_LE(most.load(), 3);
  EXPECT_EQ(gate.running(), 0u);
  EXPECT_EQ(gate.waiting(), 0u);
}

}  // namespace
}  // namespace tocayo
