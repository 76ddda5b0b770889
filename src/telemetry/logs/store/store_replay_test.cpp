// SPDX-License-Identifier: Apache-2.0
// Replay by several threads: what comes back is what was there, row for row.
#include <random>
#include <set>

#include "core/pool.h"
#include "core/registry.h"
#include "journal/local_journal.h"
#include "logs/head/label_bytes.h"
#include "logs/store/record.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;

class StoreReplayTest : public StoreFixture {
 protected:
  void SetUp() override {
    options_.journal_mode = journal::SyncMode::off;  // many small requests
    options_.pool = &pool_;
    StoreFixture::SetUp();
  }
  // Puts a record into the journal behind the store's back.
  void put(std::uint8_t kind, std::string_view payload) {
    store_.reset();
    auto journal = journal::open_local_journal(
        {.dir = (directory_.path() / "logs" / "wal").string(), .mode = options_.journal_mode});
    ASSERT_TRUE(journal);
    auto partition = (*journal)->open_partition(0);
    ASSERT_TRUE(partition);
    ASSERT_TRUE((*partition)->append(kind, payload, {}));
    partition->reset();
    journal->reset();
    open();
  }
  // All rows by (labels, time, order). (Unlike read() it takes the rows of a stream as several heads give them.)
  std::vector<Line> rows_of(std::string_view tenant) {
    auto scan = store_->querier(tenant)->select(everything(), {});
    EXPECT_TRUE(scan);
    std::vector<std::pair<Line, std::uint64_t>> found;
    ScanStats stats;
    for (std::size_t m = 0; m < (*scan)->morsels().size(); ++m) {
      auto scanned = (*scan)->scan(
          m, everything().start, everything().end, {},
          [&](std::span<const Row> rows) -> Result<bool> {
            for (const Row& row : rows) {
              Line line{(*scan)->streams()[row.stream], row.time, std::string(row.line), {}};
              for (const LabelView& pair : row.metadata) line.metadata.emplace_back(pair.name, pair.value);
              found.emplace_back(std::move(line), row.order);
            }
            return true;
          },
          stats);
      EXPECT_TRUE(scanned);
    }
    std::ranges::sort(found, {},
                      [](const auto& row) { return std::tie(row.first.labels, row.first.time, row.second); });
    std::vector<Line> lines;
    for (auto& [line, order] : found) lines.push_back(std::move(line));
    return lines;
  }
  static double bad_records() {
    return Registry::global()
        .counter("tocayo_logs_bad_journal_records_total", "Journal records that could not be read at start.")
        .value();
  }

  Pool pool_{"replay", 4};
};

// Random requests of three tenants in many streams: few different times, so that order within a time shows; lines that
// come late; lines and whole requests that come again.
class Requests {
 public:
  struct Request {
    std::string tenant;
    std::vector<Line> lines;
  };
  Request next() {
    if (!sent_.empty() && pick(9) == 0) return sent_[pick(sent_.size())];
    Request request{"tenant-" + std::to_string(pick(3)), {}};
    const std::size_t count = 1 + pick(12);
    for (std::size_t i = 0; i < count; ++i) {
      Line line{Labels{{"app", "app-" + std::to_string(pick(60))}, {"pod", std::to_string(pick(4))}},
                kNow + static_cast<TimestampNs>(number_ / 50) * kSecond,
                "line " + std::to_string(pick(4) == 0 ? pick(100) : number_),
                {}};
      ++number_;
      if (pick(10) == 0) line.time -= static_cast<TimestampNs>(pick(20)) * kSecond;
      if (pick(3) == 0) line.metadata.emplace_back("trace", std::to_string(pick(5)));
      request.lines.push_back(std::move(line));
    }
    sent_.push_back(request);
    return request;
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }
  std::mt19937_64 random_{7};
  std::size_t number_ = 0;
  std::vector<Request> sent_;
};

TEST_F(StoreReplayTest, GivesTheSameRowsInTheSameOrder) {
  Requests requests;
  std::map<std::string, std::vector<Line>> written;  // as they came, each once
  std::map<std::string, std::set<Line>> seen;
  auto send = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto request = requests.next();
      std::uint64_t fresh = 0;
      // Requests order their streams; rows of one stream keep their order.
      for (const Line& line : request.lines) {
        if (!seen[request.tenant].insert(line).second) continue;
        written[request.tenant].push_back(line);
        ++fresh;
      }
      ASSERT_EQ(append(request.lines, request.tenant).lines_written, fresh);
    }
  };
  auto check = [&] {
    for (auto& [tenant, lines] : written) {
      SCOPED_TRACE(tenant);
      auto expected = lines;
      std::stable_sort(expected.begin(), expected.end(), [](const Line& a, const Line& b) {
        return std::tie(a.labels, a.time) < std::tie(b.labels, b.time);
      });
      const auto found = rows_of(tenant);
      ASSERT_EQ(found.size(), expected.size());
      ASSERT_TRUE(found == expected);
      EXPECT_EQ(store_->stats(tenant).head_rows + store_->stats(tenant).segment_rows, expected.size());
    }
  };

  const double bad = bad_records();
  send(700);
  put(kLinesRecord, "no record");
  check();
  EXPECT_EQ(bad_records(), bad + 1);
  send(900);
  put(kLinesRecord + 8, "of another kind");
  check();
  EXPECT_EQ(bad_records(), bad + 3) << "both are still there";
  // Part of it goes to disk; what was sent before may come again.
  ASSERT_TRUE(store_->flush("tenant-1"));
  send(900);
  crash_and_open();
  check();
  // Heads of a small size instead of one for all.
  options_.cut_bytes = 20'000;
  crash_and_open();
  check();
  send(300);
  crash_and_open();
  check();
  ASSERT_TRUE(store_->flush());
  check();
  crash_and_open();
  check();
}

TEST_F(StoreReplayTest, MakesHeadsOfTheSizeOfACut) {
  const std::string text(1000, 'x');
  for (int i = 0; i < 1000; ++i) append({{Labels{{"app", "web"}}, kNow + i * kSecond, text, {}}});
  options_.cut_bytes = 100'000;
  crash_and_open();
  EXPECT_EQ(store_->stats("a").head_rows, 1000U);
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(store_->stats("a").segments, 10U) << "one of each head";
  EXPECT_EQ(texts().size(), 1000U);
}

TEST_F(StoreReplayTest, TakesRecordsThatAreLargerThanAGroup) {
  std::vector<Line> large;
  for (int i = 0; i < 20'000; ++i) {
    large.push_back({Labels{{"app", std::to_string(i % 7)}},
                     kNow + i,
                     std::string(1200, static_cast<char>('a' + i % 26)) + std::to_string(i),
                     {}});
  }
  append({{Labels{{"app", "small"}}, kNow, "before", {}}});
  append(large);
  append({{Labels{{"app", "small"}}, kNow, "after", {}}});
  append(large);  // once more
  const auto before = read(everything());
  ASSERT_EQ(before.size(), large.size() + 2);
  crash_and_open();
  EXPECT_TRUE(read(everything()) == before);
}

}  // namespace
}  // namespace tocayo::logs
