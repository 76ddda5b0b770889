// SPDX-License-Identifier: Apache-2.0
// For the store's tests: a store in a directory of its own, lines in and out in few words.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "db/testing.h"
#include "logs/store/store.h"

namespace tocayo::logs::testing {

inline constexpr TimestampNs kSecond = 1'000'000'000;
inline constexpr TimestampMs kNowMs = 1'700'000'000'000;
inline constexpr TimestampNs kNow = kNowMs * 1'000'000;

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A line with its stream, as a test thinks of it.
struct Line {
  Labels labels;
  TimestampNs time = 0;
  std::string text;
  Pairs metadata;
  auto tie() const { return std::tie(labels, time, text, metadata); }
  bool operator==(const Line& other) const { return tie() == other.tie(); }
  bool operator<(const Line& other) const { return tie() < other.tie(); }
};

inline void PrintTo(const Line& line, std::ostream* out) {
  *out << line.labels.to_string(false) << " @" << line.time << " `" << line.text << "`";
  for (const auto& [name, value] : line.metadata) *out << " " << name << "=" << value;
}

// A store with no threads of its own: cuts and merges happen when a test says so.
class StoreFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = db::testing::open_database(directory_.path() / "test.db");
    options_.dir = (directory_.path() / "logs").string();
    options_.database = database_.get();
    options_.journal_batch_delay = std::chrono::milliseconds(0);
    options_.clock = &clock_;
    options_.background = false;
    options_.disk_reserve = 1;                             // tests are not about how full this machine is …
    options_.merge_settle = std::chrono::milliseconds(0);  // … nor about waiting
    options_.limits = [this](std::string_view) { return std::make_shared<const TenantLimits>(limits_); };
    limits_.creation_grace_period = std::chrono::hours(24 * 365);
    open();
  }
  void open() {
    auto store = Store::open(options_);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    store_ = std::move(*store);
  }
  // As after kill -9: nothing is written any more.
  void crash_and_open() {
    store_.reset();
    open();
  }

  AppendResult append(const std::vector<Line>& lines, std::string_view tenant = "a") {
    auto result = try_append(lines, tenant);
    EXPECT_TRUE(result.has_value()) << result.error().message;
    return result ? std::move(*result) : AppendResult{};
  }
  Result<AppendResult> try_append(const std::vector<Line>& lines, std::string_view tenant = "a") {
    return append_to(*store_, lines, tenant);
  }
  static Result<AppendResult> append_to(Store& store, const std::vector<Line>& lines, std::string_view tenant = "a") {
    std::map<Labels, std::vector<EntryRow>> streams;
    std::vector<std::vector<LabelView>> metadata(lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      for (const auto& [name, value] : lines[i].metadata) metadata[i].push_back({name, value});
      streams[lines[i].labels].push_back({lines[i].time, lines[i].text, metadata[i]});
    }
    std::vector<StreamRows> rows;
    for (const auto& [labels, entries] : streams) rows.push_back({0, &labels, entries});
    return sync_wait(store.append(tenant, rows));
  }

  static Selection everything() {
    Selection selection;
    selection.start = std::numeric_limits<TimestampNs>::min();
    selection.end = std::numeric_limits<TimestampNs>::max();
    return selection;
  }
  // What a selection gives, sorted by (labels, time, order).
  std::vector<Line> read(const Selection& selection, std::string_view tenant = "a",
                         std::vector<std::string>* warnings = nullptr, ScanStats* stats = nullptr) {
    return read_from(*store_, selection, tenant, warnings, stats);
  }
  static std::vector<Line> read_from(Store& store, const Selection& selection, std::string_view tenant = "a",
                                     std::vector<std::string>* warnings = nullptr, ScanStats* stats = nullptr) {
    auto querier = store.querier(tenant);
    auto scan = querier->select(selection, {});
    EXPECT_TRUE(scan.has_value()) << scan.error().message;
    if (!scan) return {};
    struct Found {
      Line line;
      std::uint64_t order;
    };
    std::vector<Found> found;
    ScanStats total;
    for (std::size_t m = 0; m < (*scan)->morsels().size(); ++m) {
      const Morsel& morsel = (*scan)->morsels()[m];
      std::map<std::uint32_t, std::pair<TimestampNs, std::uint64_t>> last;
      auto scanned = (*scan)->scan(
          m, selection.start, selection.end, {},
          [&](std::span<const Row> rows) -> Result<bool> {
            EXPECT_LE(rows.size(), 2048U);
            for (const Row& row : rows) {
              EXPECT_GE(row.time, morsel.min_time);
              EXPECT_LE(row.time, morsel.max_time);
              if (selection.want_line) {
                EXPECT_EQ(row.length, row.line.size());
              }
              auto [at, fresh] = last.try_emplace(row.stream, row.time, row.order);
              if (!fresh) {
                EXPECT_LT(at->second, std::pair(row.time, row.order)) << "rows out of order";
                at->second = {row.time, row.order};
              }
              Line line{(*scan)->streams()[row.stream], row.time, std::string(row.line), {}};
              for (const LabelView& pair : row.metadata) line.metadata.emplace_back(pair.name, pair.value);
              found.push_back({std::move(line), row.order});
            }
            return true;
          },
          total);
      EXPECT_TRUE(scanned.has_value()) << scanned.error().message;
    }
    if (warnings != nullptr) *warnings = (*scan)->warnings();
    if (stats != nullptr) *stats = total;
    std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
      return std::tie(a.line.labels, a.line.time, a.order) < std::tie(b.line.labels, b.line.time, b.order);
    });
    std::vector<Line> lines;
    for (Found& f : found) lines.push_back(std::move(f.line));
    return lines;
  }
  std::vector<std::string> texts(const Selection& selection, std::string_view tenant = "a") {
    std::vector<std::string> out;
    for (const Line& line : read(selection, tenant)) out.push_back(line.text);
    return out;
  }
  std::vector<std::string> texts() { return texts(everything()); }

  db::testing::TemporaryDirectory directory_;
  db::testing::ManualClock clock_{kNowMs};
  std::unique_ptr<db::Database> database_;
  StoreOptions options_;
  TenantLimits limits_;
  std::unique_ptr<Store> store_;
};

inline LineFilter contains(std::string text, bool negated = false) {
  return {LineFilter::Kind::contains, negated, {std::move(text)}};
}

}  // namespace tocayo::logs::testing
