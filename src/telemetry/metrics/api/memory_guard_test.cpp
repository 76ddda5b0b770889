// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/memory_guard.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "metrics/api/test_support.h"

namespace tocayo::metrics::api {
namespace {

using namespace std::chrono_literals;
using test::Fixture;

template <typename F>
bool eventually(F&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct Guarded {
  explicit Guarded(std::uint64_t limit = 1000) {
    MemoryGuardOptions options;
    options.limit = limit;
    options.used = [this] { return used.load() + (guard ? guard->tracked_bytes() : 0); };
    options.interval = 1ms;
    options.give_back = [this] { ++given_back; };
    guard = std::make_unique<MemoryGuard>(std::move(options), registry);
  }
  std::shared_ptr<MemoryGuard::Query> admit(Context context = {}) {
    auto query = guard->admit("t", {}, context);
    EXPECT_TRUE(query);
    return query ? std::move(*query) : nullptr;
  }
  Registry registry;
  std::atomic<std::uint64_t> used{0};
  std::atomic<int> given_back{0};
  std::unique_ptr<MemoryGuard> guard;
};

TEST(MemoryGuard, StopsTheQueryThatHoldsTheMost) {
  Guarded it;
  auto small = it.admit(), big = it.admit();
  ASSERT_TRUE(small->meter().take(100));
  ASSERT_TRUE(big->meter().take(300));
  it.used = 450;  // 85 %
  EXPECT_TRUE(big->context().check());
  it.used = 520;  // 92 %
  ASSERT_TRUE(eventually([&] { return !big->context().check(); }));
  auto refused = big->meter().take(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_NE(refused.error().message.find("memory.limit"), std::string::npos);
  EXPECT_EQ(big->cause(Error{ErrorKind::canceled, "x"}).kind, ErrorKind::unavailable);
  EXPECT_TRUE(small->context().check());
  big.reset();  // its memory is gone with it
  ASSERT_TRUE(eventually([&] { return it.given_back == 1; }));
  EXPECT_TRUE(small->context().check());
  EXPECT_EQ(it.guard->running(), 1u);
  EXPECT_EQ(it.guard->tracked_bytes(), 100u);
}

TEST(MemoryGuard, WhenTheFirstVictimStaysTheNextOneGoes) {
  Guarded it;
  auto stuck = it.admit(), next = it.admit();
  ASSERT_TRUE(stuck->meter().take(600));
  ASSERT_TRUE(next->meter().take(300));
  it.used = 50;
  ASSERT_TRUE(eventually([&] { return !stuck->context().check(); }));
  ASSERT_TRUE(eventually([&] { return !next->context().check(); }));
}

TEST(MemoryGuard, QueriesAreNotStoppedForWhatIngestUses) {
  Guarded it(1'000'000);
  auto query = it.admit();
  ASSERT_TRUE(query->meter().take(5000));  // under 1/128 of the budget
  it.used = 930'000;
  auto other = it.admit();  // the guard has looked when this one's holdings make it a victim
  ASSERT_TRUE(other->meter().take(10'000));
  ASSERT_TRUE(eventually([&] { return !other->context().check(); }));
  EXPECT_TRUE(query->context().check());
}

TEST(MemoryGuard, RefusesNewQueriesWhenItIsNearlyFull) {
  Guarded it;
  it.used = 951;
  auto refused = it.guard->admit("t", {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  it.used = 940;
  EXPECT_TRUE(it.guard->admit("t", {}, {}));
}

TEST(MemoryGuard, EndsWithTheRequest) {
  Guarded it;
  std::stop_source stop;
  auto query = it.admit(Context(stop.get_token(), Context::Steady::time_point::max()));
  EXPECT_TRUE(query->context().check());
  stop.request_stop();
  auto ended = query->context().check();
  ASSERT_FALSE(ended);
  EXPECT_EQ(query->cause(ended.error()).kind, ErrorKind::canceled);
}

TEST(MemoryGuard, ManyThreads) {
  Guarded it(100'000);
  std::atomic<int> stopped{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int round = 0; round < 200; ++round) {
          auto query = it.guard->admit("t", {}, {});
          if (!query) continue;
          for (int i = 0; i < 50; ++i) {
            if (!(*query)->meter().take(static_cast<std::uint64_t>(100 * (t + 1)))) {
              ++stopped;
              break;
            }
          }
        }
      });
    }
  }
  EXPECT_EQ(it.guard->running(), 0u);
  EXPECT_EQ(it.guard->tracked_bytes(), 0u);
}

TEST(MemoryGuard, QueryApiAnswers503) {
  std::atomic<std::uint64_t> used{0};
  Fixture fixture([&](ApiDependencies& deps) {
    deps.memory.limit = 1000;
    deps.memory.used = [&used] { return used.load(); };
    deps.memory.interval = 1ms;
  });
  fixture.load("up 1 1 1");
  EXPECT_EQ(fixture.ask(handle_query, "query=up&time=10").first, 200);
  used = 960;
  for (auto function : {handle_query, handle_query_range, handle_series}) {
    auto [status, body] = fixture.ask(function, "query=up&match[]=up&start=0&end=10&step=1");
    EXPECT_EQ(status, 503) << body;
    EXPECT_NE(body.find("\"errorType\":\"unavailable\""), std::string::npos) << body;
  }
  used = 0;
  EXPECT_EQ(fixture.ask(handle_query, "query=up&time=10").first, 200);
  EXPECT_EQ(fixture.core->memory.tracked_bytes(), 0u);
}

// A result counts until it is sent; a stopped one breaks off.
TEST(MemoryGuard, StreamedResults) {
  Fixture fixture;
  for (int i = 0; i < 200; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 0+1x100");
  const auto request = Fixture::get("query=m&start=0&end=1000&step=10");
  http::Response response = fixture.call(handle_query_range, request);
  ASSERT_TRUE(response.stream);
  EXPECT_EQ(fixture.core->memory.running(), 1u);
  EXPECT_GT(fixture.core->memory.tracked_bytes(), 200u * 101 * 16);
  EXPECT_LT(fixture.core->memory.tracked_bytes(), 200u * 101 * 16 * 3 / 2);
  response = {};
  EXPECT_EQ(fixture.core->memory.running(), 0u);
  EXPECT_EQ(fixture.core->memory.tracked_bytes(), 0u);
}

// A reader that takes a piece only when told, as a slow client's socket does.
class SlowSink final : public http::BodySink {
 public:
  Task<Result<>> write(std::string chunk) override {
    held = chunk.size();
    bytes += chunk.size();
    co_return co_await completion<Result<>>([this](auto complete) {
      resume = [complete]() mutable { complete(Result<>{}); };
      ++chunks;  // last: who sees it may resume
    });
  }
  std::function<void()> resume;
  std::size_t bytes = 0, held = 0;
  std::atomic<std::size_t> chunks{0};
};

TEST(MemoryGuard, ASlowReaderHoldsBackTheWriter) {
  Fixture fixture;
  for (int i = 0; i < 400; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 0+1x100");
  http::Response response = fixture.call(handle_query_range, Fixture::get("query=m&start=0&end=1000&step=10"));
  ASSERT_TRUE(response.stream);
  const auto tracked = fixture.core->memory.tracked_bytes();
  SlowSink sink;
  std::atomic<bool> done{false};
  spawn<Result<>>(response.stream(sink), [&](Result<> result) {
    EXPECT_TRUE(result);
    done = true;
  });
  std::size_t most = 0;
  for (std::size_t chunk = 1;; ++chunk) {
    ASSERT_TRUE(eventually([&] { return done || sink.chunks == chunk; }));
    if (done) break;
    most = std::max(most, sink.held);
    EXPECT_EQ(sink.chunks, chunk) << "nothing is written before the reader took what was there";
    std::exchange(sink.resume, {})();
  }
  EXPECT_GT(sink.bytes, 400u * 100 * 10);
  EXPECT_LT(most, 100u << 10) << "the text is never whole in memory";
  EXPECT_EQ(fixture.core->memory.tracked_bytes(), tracked) << "what a slow reader holds stays counted";
  response = {};
  EXPECT_EQ(fixture.core->memory.tracked_bytes(), 0u);
}

// The guard can end what a slow reader holds.
TEST(MemoryGuard, AStoppedResultBreaksOff) {
  std::atomic<std::uint64_t> used{0};
  Fixture fixture([&](ApiDependencies& deps) {
    deps.memory.limit = 100'000;
    deps.memory.used = [&used] { return used.load(); };
    deps.memory.interval = 1ms;
  });
  for (int i = 0; i < 400; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 0+1x100");
  http::Response response = fixture.call(handle_query_range, Fixture::get("query=m&start=0&end=1000&step=10"));
  ASSERT_TRUE(response.stream);
  used = 92'000;
  ASSERT_TRUE(eventually([&] { return fixture.metric("tocayo_metrics_api_queries_stopped_total") == 1; }));
  test::StringSink sink;
  auto ended = sync_wait(response.stream(sink));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::unavailable);
}

}  // namespace
}  // namespace tocayo::metrics::api
