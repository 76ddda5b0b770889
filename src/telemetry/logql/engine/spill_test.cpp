// SPDX-License-Identifier: Apache-2.0
// Queries that need more memory than they may have: what they answer, and what they leave behind.
#include "logql/engine/spill.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/pool.h"
#include "logql/engine/engine.h"
#include "logql/engine/plain_store.h"

namespace tocayo::logql {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

class ScratchDir {
 public:
  ScratchDir() {
    std::string path = std::filesystem::temp_directory_path() / "logql-spill-XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
  }
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class LogqlSpill : public ::testing::Test {
 protected:
  LogqlSpill() {
    std::mt19937 random(11);
    for (std::size_t i = 0; i < 12'000; ++i) {
      const std::string line = fmt::format("user={} path=/p{} size={}.{}", random() % 4'000, random() % 40,
                                           random() % 5'000, random() % 1'000);
      const logs::EntryRow row{static_cast<TimestampNs>(random() % 600) * kSecond, line, {}};
      const std::string pod(1, static_cast<char>('0' + random() % 3));
      store_.add(Labels{{"app", "a"}, {"pod", pod}}, std::span(&row, 1));
    }
  }
  std::string directory() const { return scratch_.path() + "/spill"; }
  EngineOptions options(std::size_t memory, std::uint64_t disk = 1 << 30) const {
    EngineOptions options;
    options.memory_limit = memory;
    options.timeout = std::chrono::minutes(10);  // on a machine with much else to do
    options.spill_directory = directory();
    options.spill_bytes = disk;
    return options;
  }
  static QueryParams range() { return {.start = 0, .end = 600 * kSecond, .step_ns = 20 * kSecond}; }
  static QueryParams instant() { return {.start = 600 * kSecond, .end = 600 * kSecond, .instant = true}; }

  PlainStore store_{512};
  ScratchDir scratch_;
};

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

// Nothing is rounded otherwise.
bool identical(const Value& a, const Value& b) {
  if (const auto* matrix = std::get_if<MatrixValue>(&a)) {
    return std::ranges::equal(matrix->series, std::get<MatrixValue>(b).series, [](const auto& x, const auto& y) {
      return x.labels == y.labels && std::ranges::equal(x.points, y.points, [](const Point& p, const Point& q) {
               return p.time == q.time && bits(p.value) == bits(q.value);
             });
    });
  }
  return std::ranges::equal(
      std::get<VectorValue>(a).samples, std::get<VectorValue>(b).samples,
      [](const auto& x, const auto& y) { return x.labels == y.labels && bits(x.value) == bits(y.value); });
}

TEST_F(LogqlSpill, AnswersTheSameWithLittleMemory) {
  const char* unwrapped = R"({app="a"} | logfmt | unwrap size [1m])";
  std::vector<std::string> queries = {
      R"(topk(7, sum by (user) (count_over_time({app="a"} | logfmt [1m]))))",
      R"(bottomk by (pod) (3, sum by (user, pod) (bytes_rate({app="a"} | logfmt [1m]))))",
      R"(count by (path) (sum by (user, path) (rate({app="a"} | logfmt [30s]))))",
      R"(sum(avg by (user) (rate({app="a"} | logfmt [1m]))))",
      R"(stddev by (pod) (count_over_time({app="a"} | logfmt | keep user, pod [2m])))",
      R"(sum by (pod) (count_over_time({app="a"} | logfmt [1m])) / sum by (pod) (bytes_over_time({app="a"} [1m])))",
  };
  for (const char* function : {"sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "first_over_time",
                               "last_over_time", "stddev_over_time", "stdvar_over_time", "rate_counter"}) {
    queries.push_back(fmt::format("max by (path) ({}({}))", function, unwrapped));
  }
  queries.push_back(fmt::format("quantile_over_time(0.9, {}) by (path)", unwrapped));
  Pool pool("spill_test", 2);
  for (const auto& params : {range(), instant()}) {
    for (const std::string& query : queries) {
      const auto expected = Engine({.timeout = std::chrono::minutes(10)}).query(store_, query, params);
      ASSERT_TRUE(expected) << query << ": " << expected.error().message;
      EXPECT_EQ(expected->stats.spilled_bytes, 0U);
      for (const bool threads : {false, true}) {
        auto got = Engine(options(400'000)).query(store_, query, params, {.pool = threads ? &pool : nullptr});
        ASSERT_TRUE(got) << query << ": " << got.error().message;
        EXPECT_TRUE(identical(got->value, expected->value)) << query;
        if (!params.instant && query.find("user") != std::string::npos) {
          EXPECT_GT(got->stats.spilled_bytes, 100'000U) << query;
        }
      }
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory())) << "files without names";
}

TEST_F(LogqlSpill, NamesTheLabelWithTheMostValuesWhenTheDiskIsNotEnoughEither) {
  const std::string query = R"(topk(3, sum by (pod, user, path) (count_over_time({app="a"} | logfmt [1m]))))";
  const auto on_disk = Engine(options(250'000, 400'000)).query(store_, query, range());
  ASSERT_FALSE(on_disk);
  EXPECT_EQ(on_disk.error().kind, ErrorKind::limit);
  EXPECT_TRUE(on_disk.error().message.contains("400000 bytes that running queries may put on disk"))
      << on_disk.error().message;
  EXPECT_TRUE(on_disk.error().message.contains("(label user alone has ")) << on_disk.error().message;

  // A result that does not fit into memory either: all series are asked for.
  const auto result =
      Engine(options(250'000))
          .query(store_, R"(sum by (pod, user, path) (count_over_time({app="a"} | logfmt [1m])))", range());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::limit);
  EXPECT_TRUE(result.error().message.contains("memory budget of 250000 bytes")) << result.error().message;
  EXPECT_TRUE(result.error().message.contains("(label user alone has ")) << result.error().message;

  // Without a directory the first that does not fit ends the query.
  EngineOptions small;
  small.memory_limit = 250'000;
  const auto memory = Engine(small).query(store_, query, range());
  ASSERT_FALSE(memory);
  EXPECT_TRUE(memory.error().message.contains("(label user alone has ")) << memory.error().message;
}

TEST_F(LogqlSpill, GivesItsSpaceBack) {
  const Engine engine(options(250'000, 4'000'000));
  const std::string query = R"(topk(3, sum by (user) (count_over_time({app="a"} | logfmt [1m]))))";
  for (int i = 0; i < 8; ++i) {
    const auto result = engine.query(store_, query, range());
    ASSERT_TRUE(result) << "round " << i << ": " << result.error().message;
    EXPECT_GT(result->stats.spilled_bytes, 500'000U) << "so that all rounds together would not fit";
  }
}

TEST_F(LogqlSpill, FailsWhereNothingCanBeWritten) {
  std::ofstream(directory()) << "in the way";
  const auto result =
      Engine(options(250'000))
          .query(store_, R"(topk(3, sum by (user) (count_over_time({app="a"} | logfmt [1m]))))", range());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.contains("write the states of a query to " + directory()))
      << result.error().message;
}

TEST(SpillSpace, LeavesTheLastOfTheDiskAlone) {
  ScratchDir scratch;
  std::uint64_t free = (512ULL << 20) + 1'000;
  detail::SpillSpace space(scratch.path(), 1 << 20, [&] { return free; });
  auto file = detail::SpillFile::create(space);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->write(3, std::string(900, 'x')));
  free -= 900;
  const auto full = (*file)->write(3, std::string(900, 'y'));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(full.error().message.contains("the disk has too little space")) << full.error().message;
  EXPECT_EQ(space.used(), 900U) << "what was not written is not counted";
  std::string read;
  EXPECT_TRUE((*file)->read(3, [&](std::string_view records) -> Result<> {
    read += records;
    return {};
  }));
  EXPECT_EQ(read, std::string(900, 'x'));
  file->reset();
  EXPECT_EQ(space.used(), 0U);
}

TEST(SpillRecords, AreReadAsWritten) {
  ScratchDir scratch;
  detail::SpillSpace space(scratch.path(), 1 << 20);
  auto file = detail::SpillFile::create(space);
  ASSERT_TRUE(file) << file.error().message;
  detail::SpillRecords records;
  const std::vector<Labels> labels = {Labels{}, Labels{{"a", "b"}},
                                      Labels{{"a", std::string("\0\xff", 2)}, {"c", "d"}}};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    records.add(labels[i], i == 1, [&](std::string& out) { out.append(i * 3, 's'); });
    ASSERT_TRUE(records.write(**file, 5));
  }
  std::size_t seen = 0;
  ASSERT_TRUE((*file)->read(5, [&](std::string_view bytes) -> Result<> {
    EXPECT_TRUE(detail::SpillRecords::parse(bytes, [&](const Labels& found, bool error, std::string_view states) {
      EXPECT_EQ(found, labels[seen]);
      EXPECT_EQ(error, seen == 1);
      EXPECT_EQ(states, std::string(seen * 3, 's'));
      ++seen;
      return true;
    }));
    EXPECT_FALSE(detail::SpillRecords::parse(bytes.substr(0, bytes.size() - 1),
                                             [](const Labels&, bool, std::string_view) { return true; }));
    return {};
  }));
  EXPECT_EQ(seen, labels.size());
}

}  // namespace
}  // namespace tocayo::logql
