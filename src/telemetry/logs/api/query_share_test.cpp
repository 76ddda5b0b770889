// SPDX-License-Identifier: Apache-2.0
#include "logs/api/query_share.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <optional>
#include <thread>

namespace tocayo::logs::api {
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

// Executions that end when the test says so.
struct Executions {
  std::mutex mutex;
  std::deque<std::pair<std::shared_ptr<QueryShare::Flight>, std::function<void(http::Response)>>> open;

  QueryShare::Work work(bool begins = true) {
    return [this, begins](std::shared_ptr<QueryShare::Flight> flight) -> Task<http::Response> {
      if (begins) flight->begin();
      co_return co_await completion<http::Response>([this, flight](auto complete) {
        std::lock_guard lock(mutex);
        open.emplace_back(flight, complete);
      });
    };
  }
  std::size_t count() {
    std::lock_guard lock(mutex);
    return open.size();
  }
  void end(std::size_t i, std::string body) { open[i].second(http::Response::text(200, std::move(body))); }
};

struct Request {
  std::stop_source stop;
  std::atomic<bool> done{false};
  std::optional<http::Response> response;

  void start(QueryShare& share, QueryShare::Work work, std::string key = "q", std::uint64_t version = 1) {
    Context context(stop.get_token(), Context::Steady::time_point::max());
    spawn<http::Response>(share.run(std::move(key), version, context, std::chrono::minutes(1), std::move(work)),
                          [this](http::Response answer) {
                            response.emplace(std::move(answer));
                            done = true;
                          });
  }
};

TEST(QueryShare, EqualOnesShareOneExecution) {
  Pool pool("t", 2);
  QueryShare share(pool);
  Executions runs;
  Request a, b, other;
  a.start(share, runs.work());
  b.start(share, runs.work());
  other.start(share, runs.work(), "another");
  EXPECT_EQ(runs.count(), 2u);
  EXPECT_EQ(share.waiting(), 3u);
  runs.end(0, "answer");
  ASSERT_TRUE(wait_until([&] { return a.done && b.done; }));
  EXPECT_EQ(a.response->body, "answer");
  EXPECT_EQ(b.response->body, "answer");
  EXPECT_FALSE(other.done);
  Request late;
  late.start(share, runs.work());
  EXPECT_EQ(runs.count(), 3u) << "an answer is not kept";
  runs.end(1, "x");
  runs.end(2, "y");
  ASSERT_TRUE(wait_until([&] { return other.done && late.done; }));
  EXPECT_EQ(late.response->body, "y");
  EXPECT_EQ(share.running(), 0u);
  EXPECT_EQ(share.waiting(), 0u);
}

TEST(QueryShare, NobodyGetsAnAnswerFromBeforeWhatHeWrote) {
  Pool pool("t", 2);
  QueryShare share(pool);
  Executions runs;
  Request before, after, same;
  before.start(share, runs.work(), "q", 1);
  after.start(share, runs.work(), "q", 2);
  EXPECT_EQ(runs.count(), 2u) << "the first had begun to read";
  same.start(share, runs.work(), "q", 2);
  EXPECT_EQ(runs.count(), 2u);
  runs.end(0, "old");
  ASSERT_TRUE(wait_until([&] { return before.done.load(); }));
  Request joins;
  joins.start(share, runs.work(), "q", 2);
  EXPECT_EQ(runs.count(), 2u) << "the end of the former does not forget the newer";
  runs.end(1, "new");
  ASSERT_TRUE(wait_until([&] { return after.done && same.done && joins.done; }));
  EXPECT_EQ(same.response->body, "new");
  // One that still waits for its turn will see everything.
  Request first, second;
  first.start(share, runs.work(false), "q", 3);
  second.start(share, runs.work(false), "q", 4);
  EXPECT_EQ(runs.count(), 3u);
  runs.end(2, "both");
  ASSERT_TRUE(wait_until([&] { return first.done && second.done; }));
}

TEST(QueryShare, WhoGoesAwayLeavesAtOnceAndTheLastStopsTheWork) {
  Pool pool("t", 2);
  QueryShare share(pool);
  Executions runs;
  Request a, b;
  a.start(share, runs.work());
  b.start(share, runs.work());
  a.stop.request_stop();
  ASSERT_TRUE(wait_until([&] { return a.done.load(); }));
  EXPECT_EQ(a.response->status, 499);
  EXPECT_TRUE(runs.open[0].first->context().check()) << "the other still waits";
  b.stop.request_stop();
  ASSERT_TRUE(wait_until([&] { return b.done.load(); }));
  EXPECT_EQ(runs.open[0].first->context().check().error().kind, ErrorKind::canceled);
  Request next;
  next.start(share, runs.work());
  EXPECT_EQ(runs.count(), 2u) << "a stopped execution is not joined";
  runs.end(0, "nobody");
  runs.end(1, "next");
  ASSERT_TRUE(wait_until([&] { return next.done.load(); }));
  EXPECT_EQ(next.response->body, "next");
  EXPECT_EQ(share.running(), 0u);
  Request gone;
  gone.stop.request_stop();
  gone.start(share, runs.work());
  EXPECT_EQ(gone.response->status, 499);
  EXPECT_EQ(runs.count(), 2u);
}

TEST(QueryShare, ManyThreadsComeAndGo) {
  Pool pool("t", 4);
  QueryShare share(pool);
  std::atomic<int> executions{0}, answers{0}, finished{0};
  constexpr int kCount = 2'000;
  std::vector<std::stop_source> stops(kCount);
  const auto request = [&](int i) -> Task<void> {
    const auto work = [&](std::shared_ptr<QueryShare::Flight> flight) -> Task<http::Response> {
      co_await pool.schedule();
      flight->begin();
      ++executions;
      co_return http::Response::text(200, "ok");
    };
    const auto response =
        co_await share.run("q" + std::to_string(i % 5), static_cast<std::uint64_t>(i / 100),
                           Context(stops[static_cast<std::size_t>(i)].get_token(), Context::Steady::time_point::max()),
                           std::chrono::minutes(1), work);
    if (response.status == 200) ++answers;
    ++finished;
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = t; i < kCount; i += 4) {
          spawn(request(i));
          if (i % 3 == 0) stops[static_cast<std::size_t>(i)].request_stop();
        }
      });
    }
  }
  ASSERT_TRUE(wait_until([&] { return finished == kCount; }));
  ASSERT_TRUE(wait_until([&] { return share.running() == 0; }));
  EXPECT_LE(executions.load(), kCount);
  EXPECT_GE(answers.load(), kCount / 2);
  EXPECT_EQ(share.waiting(), 0u);
}

}  // namespace
}  // namespace tocayo::logs::api
