// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/time_layout.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "logs/segment.h"

namespace tocayo::logs {
namespace {

constexpr TimestampNs kSecond = 1'000'000'000;
constexpr TimestampNs kTime = 1'767'587'696'123'456'789;  // 2026-01-05 04:34:56.123456789

struct Case {
  const char* before;  // in the line
  const char* text;
  const char* after;
  TimestampNs unit;  // the last digit's
};
const Case kCases[] = {
    {"", "2026-01-05T04:34:56", "Z level=info", kSecond},
    {"", "2026-01-05T04:34:56.1", "Z level=info", 100'000'000},
    {"t=", "2026-01-05T04:34:56.12", "+02:00 up", 10'000'000},
    {"", "2026-01-05T04:34:56.123", "Z", 1'000'000},
    {"", "2026-01-05T04:34:56.1234", "Z", 100'000},
    {"", "2026-01-05T04:34:56.12345", "Z", 10'000},
    {"", "2026-01-05T04:34:56.123456", "Z", 1'000},
    {"", "2026-01-05T04:34:56.1234567", "Z", 100},
    {"", "2026-01-05T04:34:56.12345678", "Z", 10},
    {"{\"ts\":\"", "2026-01-05T04:34:56.123456789", "Z\"}", 1},
    {"", "2026-01-05 04:34:56,123", " INFO main", 1'000'000},
    {"", "2026/01/05 04:34:56", " [error] 7#7", kSecond},
    {"", "2026.01.05 04:34:56.123", " <Debug>", 1'000'000},
    {"", "2026-01-05_04:34:56.123", " up", 1'000'000},
    {"", "2026-01-05-04:34:56", " up", kSecond},
    {"", "2026-01-05-04.34.56.123456", " RAS KERNEL", 1'000},
    {"<34>", "Jan  5 04:34:56", " host sshd", kSecond},
    {"", "Jan  5 04:34:56.123", " host sshd", 1'000'000},
    {"[Mon ", "Jan 05 04:34:56.123456", " 2026] [core]", 1'000},
    {"", "Jan 05 2026 04:34:56", " asa", kSecond},
    {"", "Jan  5 2026 04:34:56", " asa", kSecond},
    {"", "Jan 05, 2026 04:34:56", " AM", kSecond},
    {"Mon, ", "05 Jan 2026 04:34:56", " GMT", kSecond},
    {"1:M ", "05 Jan 2026 04:34:56.123", " * Ready", 1'000'000},
    {"", "05-Jan-2026 04:34:56.123", " INFO [main]", 1'000'000},
    {"", "05/Jan/2026 04:34:56", " up", kSecond},
    {"Monday, ", "05-Jan-26 04:34:56", " GMT", kSecond},
    {"", "05-Jan-2026:04:34:56", " up", kSecond},
    {"::1 - - [", "05/Jan/2026:04:34:56", " +0000] \"GET", kSecond},
    {"", "01/05/2026 04:34:56", " up", kSecond},
    {"", "15/01/2026 04:34:56", " up", kSecond},
    {"", "05.01.2026 04:34:56,123", " up", 1'000'000},
    {"", "05-01-2026 04:34:56.123", " up", 1'000'000},
    {"", "26/01/05 04:34:56", " INFO executor", kSecond},
    {"", "26-01-05 04:34:56", " up", kSecond},
    {"", "20260105 043456", " up", kSecond},
    {"at=", "20260105T043456", "Z up", kSecond},
    {"", "20260105T043456.123", "Z up", 1'000'000},
    {"", "20260105-043456", " up", kSecond},
    {"", "20260105_043456", " up", kSecond},
    {"", "20260105 04:34:56.123", " up", 1'000'000},
    {"", "20260105-04:34:56:123", "|Step", 1'000'000},
    {"", "20260105T04:34:56", "Z up", kSecond},
    {"", "260105 043456", " 143 INFO dfs", kSecond},
    {"", "260105 04:34:56", " [Note]", kSecond},
    {"I", "0105 04:34:56.123456", "       1 main.go:7] up", 1'000},
    {"", "04:34:56", " up", kSecond},
    {"", "04:34:56.123", " up", 1'000'000},
    {"", "04:34:56:123", " up", 1'000'000},
};

TEST(TimeLayouts, EachIsOneSlotThatComesBack) {
  std::set<std::string> layouts;
  for (const Case& one : kCases) {
    const std::string line = std::string(one.before) + one.text + one.after;
    std::vector<Token> tokens;
    tokenize(line, false, tokens);
    const auto slot = std::ranges::find(tokens, std::string_view(one.before).size(), &Token::slot_begin);
    ASSERT_NE(slot, tokens.end()) << line;
    ASSERT_EQ(line.substr(slot->slot_begin, slot->slot_end - slot->slot_begin), one.text) << line;
    ASSERT_NE(slot->kind.family, SlotKind::Family::token) << line;
    std::string mark;
    append_slot_mark(slot->kind, mark);
    SlotKind read;
    ASSERT_TRUE(read_slot_mark(mark, 0, read)) << line;
    EXPECT_EQ(read, slot->kind) << line;
    layouts.insert(mark);
    for (const TimestampNs apart : {TimestampNs{0}, 3 * 3600 * kSecond, -7 * kSecond, 40 * 86'400 * kSecond}) {
      std::int64_t offset = 0;
      ASSERT_TRUE(time_to_offset(read, one.text, kTime + apart, offset)) << line;
      std::string again;
      append_time(read, offset, kTime + apart, again);
      EXPECT_EQ(again, one.text);
      if (apart == 0 && std::string_view(one.text).contains("5") && !std::string_view(one.text).starts_with("15/")) {
        EXPECT_EQ(offset, 0) << line << ": the time is the row's";
      }
    }
  }
  EXPECT_GE(layouts.size(), 40U);
}

// Every named layout, at random times and distances: what is written reads back, and the tokenizer finds one like it.
TEST(TimeLayouts, RandomTimesComeBack) {
  std::mt19937_64 random(5);
  for (const NamedLayout& named : kNamedLayouts) {
    EXPECT_EQ(named.name, 'a' + (&named - kNamedLayouts)) << "found by its place";
    for (int round = 0; round < 2'000; ++round) {
      SlotKind kind{.family = SlotKind::Family::layout, .date_separator = named.name};
      if (random() % 2 == 0) {
        kind.fraction_separator = ".,:"[random() % 3];
        kind.fraction_digits = static_cast<std::uint8_t>(1 + random() % 9);
      }
      const auto row =
          static_cast<TimestampNs>(random() % 2'800'000'000) * kSecond + static_cast<TimestampNs>(random() % kSecond);
      std::string text;
      append_time(kind, static_cast<std::int64_t>(random() % 200'000) - 100'000, row, text);
      std::int64_t offset = 0;
      ASSERT_TRUE(time_to_offset(kind, text, row, offset)) << text;
      std::string again;
      append_time(kind, offset, row, again);
      EXPECT_EQ(again, text);
    }
  }
}

TEST(TimeLayouts, WhatIsNoTimeIsNone) {
  std::int64_t offset = 0;
  for (const char* line : {"99991399 up", "123456 123456 up", "20269999-999999 x", "1234 10:20:30 x",
                           "I9905 10:20:30 x", "00:11:22:33:44:55 mac", "10.20.30.40 up", "13/13/2026 10:20:30",
                           "Jan 77, 2026 10:20:30", "31.12.1999", "26/01/05", "x=20260105-1", "12-34-5678 04:34:56"}) {
    std::vector<Token> tokens;
    tokenize(line, false, tokens);
    for (const Token& token : tokens) EXPECT_NE(token.kind.family, SlotKind::Family::layout) << line;
  }
  const SlotKind klog{.family = SlotKind::Family::layout, .date_separator = 'a'};
  for (const char* text :
       {"0230 10:00:00", "0105 24:00:00", "0105 10:00:60", "0105 10:00:0", "0105  10:00:00", "", "x"}) {
    EXPECT_FALSE(time_to_offset(klog, text, kTime, offset)) << text;
  }
  SlotKind kind;
  EXPECT_FALSE(read_slot_mark("\x11l~00", 0, kind)) << "no such layout";
}

// Lines of all layouts in one segment: the columns are times, every byte comes back, and needles in and across the
// slots are found.
TEST(TimeLayouts, SegmentsKeepThemAsTimes) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("time-layouts-{}.tseg", ::getpid());
  std::vector<std::string> lines;
  std::vector<TimestampNs> times;
  for (const NamedLayout& named : kNamedLayouts) {
    for (int i = 0; i < 40; ++i) {
      const TimestampNs time = kTime + i * 61 * kSecond;
      const SlotKind kind{.family = SlotKind::Family::layout,
                          .date_separator = named.name,
                          .fraction_separator = '.',
                          .fraction_digits = 3};
      std::string line = named.name == 'a' ? "I" : "";
      append_time(kind, i % 3, time, line);
      lines.push_back(line + fmt::format(" {} up {}", std::string(1, named.name), i % 7));
      times.push_back(time);
    }
  }
  {
    auto writer = SegmentWriter::create(path, {.tenant = "t"});
    ASSERT_TRUE(writer);
    for (std::size_t i = 0; i < lines.size(); i += 40) {
      ASSERT_TRUE(writer->start_stream(Labels{{"n", fmt::format("{:03}", i / 40)}}));
      for (std::size_t k = i; k < i + 40; ++k)
        ASSERT_TRUE(writer->add({.time = times[k], .line = lines[k], .metadata = {}}));
    }
    ASSERT_TRUE(writer->finish());
  }
  auto reader = SegmentReader::open(path);
  ASSERT_TRUE(reader) << reader.error().message;
  const auto report = (*reader)->report(30);
  ASSERT_TRUE(report);
  EXPECT_NE(to_text(*report).find("time text"), std::string::npos) << to_text(*report);
  const std::vector<LineFilter> filters = {
      {.operands = {""}},
      {.operands = {"0105 04:3"}},
      {.operands = {"2026 04:34"}},
      {.operands = {"5-Jan-26 0"}},
      {.operands = {"20260105-043456"}},
      {.operands = {".123 a up 1"}},
      {.kind = LineFilter::Kind::regex, .operands = {"Jan 0[0-9],? 2026 0[4-5]:[0-9]+:56"}},
      {.kind = LineFilter::Kind::regex, .operands = {"^2601[0-9]{2} [0-9]{6}\\.12"}},
      {.kind = LineFilter::Kind::regex, .operands = {"04\\.35\\.57"}},
      {.kind = LineFilter::Kind::regex, .negated = true, .operands = {"[JF][ae][nb]"}}};
  for (const LineFilter& filter : filters) {
    Selection selection{.start = INT64_MIN, .end = INT64_MAX, .line_filters = {filter}};
    auto compiled = compile(selection);
    ASSERT_TRUE(compiled);
    const auto matcher = LineMatcher::create(filter);
    ASSERT_TRUE(matcher);
    std::vector<std::string> expected;
    for (const auto& line : lines) {
      if (matcher->matches(line)) expected.push_back(line);
    }
    EXPECT_FALSE(expected.empty()) << filter.operands[0];
    std::vector<std::string> got;
    std::vector<std::uint32_t> map((*reader)->streams().size());
    for (std::uint32_t i = 0; i < map.size(); ++i) map[i] = i;
    ScanStats stats;
    for (std::uint32_t group = 0; group < (*reader)->groups().size(); ++group) {
      ASSERT_TRUE((*reader)->scan(
          group, **compiled, map, INT64_MIN, INT64_MAX, Context{},
          [&](std::span<const Row> rows) -> Result<bool> {
            for (const Row& row : rows) got.emplace_back(row.line);
            return true;
          },
          stats));
    }
    EXPECT_EQ(got, expected) << filter.operands[0];
  }
  std::filesystem::remove(path);
}

// A segment that the program wrote when the format was version 2, line by line.
TEST(OldSegments, Version2IsRead) {
  auto reader = SegmentReader::open(std::filesystem::path(TOCAYO_SOURCE_DIR) /
                                    "src/telemetry/logs/segment/testdata/version2.tseg");
  ASSERT_TRUE(reader) << reader.error().message;
  ASSERT_TRUE((*reader)->verify());
  constexpr TimestampNs kStart = 1'764'000'000'000'000'000;
  const auto expected = [](int i) {
    const std::int64_t ms = (kStart + i * 1'500'000'000LL) / 1'000'000;
    const auto clock = fmt::format("{:02}:{:02}:{:02}", ms / 3'600'000 % 24, ms / 60'000 % 60, ms / 1'000 % 60);
    switch (i % 6) {
      case 0:
        return fmt::format("2025-11-24T{}.{:03}Z level=info msg=\"served /item/{}\" took={}.{:02}ms", clock, ms % 1000,
                           i * 7, i % 9, i % 100);
      case 1: return fmt::format("2025-11-24 {},{:03} WARN pool-{} waits for user{}", clock, ms % 1000, i % 3, i);
      case 2: return fmt::format("Nov 24 {} host-{} sshd[{}]: closed", clock, i % 4, i * 13);
      case 3:
        return fmt::format("10.0.0.{} - - [24/Nov/2025:{} +0000] \"GET / HTTP/1.1\" 200 {}", i % 256, clock, i * i);
      case 4:
        return fmt::format("{}.{:06} id={:016x} epoch={}", clock, ms % 1000 * 1000,
                           static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15ULL, ms);
      default: return "odd line " + std::string(static_cast<std::size_t>(i % 17), 'x');
    }
  };
  Selection selection{.start = INT64_MIN, .end = INT64_MAX};
  const auto compiled = compile(selection);
  ASSERT_TRUE(compiled);
  const std::vector<std::uint32_t> map((*reader)->streams().size(), 0);
  int rows_read = 0;
  ScanStats stats;
  for (std::uint32_t group = 0; group < (*reader)->groups().size(); ++group) {
    ASSERT_TRUE((*reader)->scan(
        group, **compiled, map, INT64_MIN, INT64_MAX, Context{},
        [&](std::span<const Row> rows) -> Result<bool> {
          for (const Row& row : rows) {
            EXPECT_EQ(row.time, kStart + rows_read * 1'500'000'000LL);
            EXPECT_EQ(row.line, expected(rows_read));
            std::map<std::string, std::string> metadata;
            for (const auto& pair : row.metadata) metadata.emplace(pair.name, pair.value);
            EXPECT_EQ(metadata["pod"], fmt::format("pod-{}", rows_read % 2));
            EXPECT_EQ(metadata["trace"].size(), 32U);
            ++rows_read;
          }
          return true;
        },
        stats));
  }
  EXPECT_EQ(rows_read, 240);
}

}  // namespace
}  // namespace tocayo::logs
