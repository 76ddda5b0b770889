// SPDX-License-Identifier: Apache-2.0
// Writers, readers, cuts and subscribers at once: every acknowledged line is seen, at every moment, once.
#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;

class StoreConcurrencyTest : public StoreFixture {};

TEST_F(StoreConcurrencyTest, NoGapAndNoDoubleWhileHeadsAreCut) {
  options_.background = true;
  options_.clock = nullptr;
  options_.cut_bytes = 64 << 10;
  options_.merge_count = 3;
  options_.group_bytes = 16 << 10;
  store_.reset();
  open();
  constexpr int kWriters = 2;
  constexpr int kBatches = 120;
  constexpr int kLines = 20;
  std::atomic<int> acknowledged[kWriters] = {};
  std::atomic<bool> done{false};
  std::mutex mutex;
  std::vector<std::string> tailed[kWriters];
  auto subscription = store_->subscribe("a", [&](const TailBatch& batch) {
    std::lock_guard lock(mutex);
    const auto writer = static_cast<std::size_t>(batch.labels->get("writer")[0] - '0');
    for (const Row& row : batch.rows) tailed[writer].emplace_back(row.line);
  });
  auto labels = [](int writer) { return Labels{{"app", "w"}, {"writer", std::to_string(writer)}}; };
  std::vector<std::jthread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int b = 0; b < kBatches; ++b) {
        std::vector<Line> batch;
        for (int i = 0; i < kLines; ++i) {
          // Some out of order, each batch sent twice now and then.
          batch.push_back(
              {labels(w), kNow + b * 1000 - i, "line " + std::to_string(b * kLines + i), {{"b", std::to_string(b)}}});
        }
        for (int send = 0; send < (b % 5 == 0 ? 2 : 1); ++send) {
          auto result = append_to(*store_, batch);
          ASSERT_TRUE(result) << result.error().message;
        }
        acknowledged[w].store((b + 1) * kLines);
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      ASSERT_TRUE(store_->flush());
      std::this_thread::yield();
    }
  });
  std::thread reader([&] {
    while (!done) {
      for (int w = 0; w < kWriters; ++w) {
        const int least = acknowledged[w].load();
        Selection selection = everything();
        selection.matchers = {Matcher::equal("writer", std::to_string(w))};
        std::set<std::string> seen;
        for (const Line& line : read_from(*store_, selection)) {
          ASSERT_TRUE(seen.insert(line.text).second) << line.text << " is there twice";
        }
        ASSERT_GE(static_cast<int>(seen.size()), least) << "an acknowledged line is missing";
        auto volume = store_->querier("a")->volume(selection.matchers, selection.start, selection.end, {});
        ASSERT_TRUE(volume);
        if (least > 0) {
          ASSERT_EQ(volume->size(), 1U);
          ASSERT_GE(static_cast<int>((*volume)[0].rows), least);
        }
      }
    }
  });
  for (int w = 0; w < kWriters; ++w) threads[static_cast<std::size_t>(w)].join();
  done = true;
  threads.back().join();
  reader.join();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int w = 0; w < kWriters; ++w) {
    for (;;) {
      {
        std::lock_guard lock(mutex);
        if (tailed[w].size() >= kBatches * kLines || std::chrono::steady_clock::now() > deadline) break;
      }
      std::this_thread::yield();
    }
    std::lock_guard lock(mutex);
    ASSERT_EQ(tailed[w].size(), static_cast<std::size_t>(kBatches * kLines));
    for (int i = 0; i < kBatches * kLines; ++i) {
      ASSERT_EQ(tailed[w][static_cast<std::size_t>(i)], "line " + std::to_string(i)) << "in order, once";
    }
  }
  subscription.reset();
  options_.clock = &clock_;
  crash_and_open();
  EXPECT_EQ(read(everything()).size(), static_cast<std::size_t>(kWriters * kBatches * kLines));
}

TEST_F(StoreConcurrencyTest, TheSameBatchFromManySidesIsStoredOnce) {
  std::vector<Line> batch;
  for (int i = 0; i < 200; ++i) batch.push_back({Labels{{"app", "x"}}, kNow + i % 10, "line " + std::to_string(i), {}});
  std::atomic<std::size_t> written{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          auto result = append_to(*store_, batch);
          ASSERT_TRUE(result);
          written += result->lines_written;
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(store_->flush());
    });
  }
  EXPECT_EQ(written.load(), 200U);
  EXPECT_EQ(read(everything()).size(), 200U);
}

// Thirty times what may be in memory, as fast as it goes: all of it is taken.
TEST_F(StoreConcurrencyTest, SendersAreSlowedDownNotRefused) {
  options_.background = true;
  options_.clock = nullptr;
  options_.head_memory = 400'000;
  store_.reset();
  open();
  constexpr int kWriters = 3;
  constexpr int kLines = 100;
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < kWriters; ++w) {
      threads.emplace_back([&, w] {
        for (int i = 0; i < kLines; ++i) {
          auto result = append_to(*store_, {{{{"writer", std::to_string(w)}}, kNow + i, std::string(40'000, 'x'), {}}});
          ASSERT_TRUE(result) << result.error().message;
        }
      });
    }
  }
  EXPECT_EQ(read(everything()).size(), static_cast<std::size_t>(kWriters * kLines));
}

}  // namespace
}  // namespace tocayo::logs
