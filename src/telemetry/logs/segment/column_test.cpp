// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/column.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "logs/segment/int_page.h"
#include "logs/segment/sample_lines.h"

namespace tocayo::logs {
namespace {

using format::ColumnType;

class Sink final : public BlockSink {
 public:
  void put(format::Column& column, std::string_view given, bool) override {
    column.block = 0;
    column.size = static_cast<std::uint32_t>(given.size());
    bytes = given;
  }
  std::string bytes;
};

class Dictionary final : public DictionaryView {
 public:
  explicit Dictionary(const StringTable& table) : table_(table) {}
  std::string_view at(std::uint32_t id) const override {
    return id < table_.size() ? table_.at(id) : std::string_view();
  }

 private:
  const StringTable& table_;
};

// Encodes and reads again: every value, all at once, some of them, and one by one.
format::Column round_trip(const std::vector<std::string>& texts, const SlotKind& kind = {},
                          const std::vector<TimestampNs>& times = {}) {
  const std::vector<std::string_view> values(texts.begin(), texts.end());
  Sink sink;
  StringTable table;
  table.add("already there");
  EncodeContext context{.sink = &sink, .dictionary = &table, .scratch = {}, .numbers = {}, .exceptions = {}};
  const auto column = encode_column(values, kind, times, context);
  DecodedColumn decoded;
  const Dictionary dictionary(table);
  EXPECT_TRUE(decoded.decode(column, sink.bytes, values.size(), kind, dictionary));
  std::vector<std::uint32_t> places;
  std::vector<TimestampNs> place_times;
  std::mt19937_64 random(values.size());
  for (const std::uint64_t every : {1, 3}) {
    places.clear();
    place_times.clear();
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      if (random() % every != 0) continue;
      places.push_back(i);
      if (!times.empty()) place_times.push_back(times[i]);
    }
    std::string arena;
    std::vector<std::string_view> out;
    decoded.texts(places, place_times, arena, out);
    for (std::size_t k = 0; k < places.size(); ++k) EXPECT_EQ(out[k], values[places[k]]);
  }
  std::string scratch;
  for (std::uint32_t i = 0; i < values.size(); i += 7)
    EXPECT_EQ(decoded.text(i, times.empty() ? 0 : times[i], scratch), values[i]);
  return column;
}

std::vector<std::string> made(std::size_t count, const std::function<std::string(std::mt19937_64&)>& make) {
  std::mt19937_64 random(count);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(make(random));
  return out;
}

TEST(Column, TakesTheCheapestTypeThatGivesEveryByteBack) {
  auto type = [](const std::vector<std::string>& values) { return round_trip(values).type; };
  EXPECT_EQ(type({"x", "x", "x"}), ColumnType::constant);
  EXPECT_EQ(type(made(2000, [](auto& random) { return std::to_string(random() % 100000); })), ColumnType::integer);
  EXPECT_EQ(type(made(2000, [](auto& random) { return fmt::format("{:06}", random() % 1000000); })), ColumnType::fixed);
  EXPECT_EQ(type(made(2000, [](auto& random) { return (random() % 2 != 0 ? "-" : "") + std::to_string(random()); })),
            ColumnType::wide);
  EXPECT_EQ(type({"18446744073709551615", "-18446744073709551615", "0", "-1", "7"}), ColumnType::wide);
  EXPECT_EQ(type(made(2000, [](auto& random) { return fmt::format("-{}.{:03}", random() % 90, random() % 1000); })),
            ColumnType::decimal);
  EXPECT_EQ(type(made(2000, [](auto& random) { return fmt::format("10.{}.{}.1", random() % 256, random() % 256); })),
            ColumnType::ipv4);
  EXPECT_EQ(type(made(2000, [](auto& random) { return sample::hex(random, 16); })), ColumnType::hex_lower);
  EXPECT_EQ(type(made(2000, [](auto& random) { return fmt::format("{:09X}", random() >> 28); })),
            ColumnType::hex_upper);
  EXPECT_EQ(type(made(2000,
                      [](auto& random) {
                        return fmt::format("{}-{}-{}-{}-{}", sample::hex(random, 8), sample::hex(random, 4),
                                           sample::hex(random, 4), sample::hex(random, 4), sample::hex(random, 12));
                      })),
            ColumnType::uuid);
  EXPECT_EQ(type(made(2000, [](auto& random) { return fmt::format("v{}", random() % 9); })), ColumnType::dictionary);
  // Long numbers that come again and again are better off in the dictionary.
  EXPECT_EQ(type(made(2000, [](auto& random) { return std::to_string(1234567890123 + random() % 5 * 99999999); })),
            ColumnType::dictionary);
  EXPECT_EQ(type(made(2000, [](auto& random) { return sample::hex(random, 3 + random() % 9) + "zy"; })),
            ColumnType::raw);
  EXPECT_EQ(
      type(made(300, [](auto& random) { return std::string("a\0b", 3) + sample::hex(random, 5 + random() % 3); })),
      ColumnType::counted);
}

TEST(Column, KeepsTheFewThatDoNotFitBesideTheRest) {
  struct Case {
    ColumnType type;
    std::function<std::string(std::mt19937_64&)> usual;
    std::string odd;
  };
  const std::vector<Case> cases = {
      {ColumnType::integer, [](auto& random) { return std::to_string(random() % 1000000); }, "-"},
      {ColumnType::integer, [](auto& random) { return std::to_string(random() % 1000000); }, ""},
      {ColumnType::integer, [](auto& random) { return std::to_string(random() % 1000000); }, "007"},
      {ColumnType::decimal, [](auto& random) { return fmt::format("{}.{:02}", random() % 9999, random() % 100); },
       "NaN"},
      {ColumnType::ipv4, [](auto& random) { return fmt::format("{}.2.{}.4", random() % 256, random() % 256); },
       "localhost"},
      {ColumnType::hex_lower, [](auto& random) { return sample::hex(random, 32); }, "none"},
      {ColumnType::hex_lower, [](auto& random) { return sample::hex(random, 7); }, std::string("\0\xFF", 2)},
  };
  for (const auto& one : cases) {
    auto values = made(5000, one.usual);
    for (std::size_t i = 60; i < values.size(); i += 71) values[i] = one.odd;
    const auto column = round_trip(values);
    EXPECT_EQ(column.type, one.type) << one.odd;
    EXPECT_EQ(column.flags, format::kExceptions) << one.odd;
    for (std::size_t i = 0; i < values.size(); i += 20) values[i] = "x!" + std::to_string(i);  // too many
    EXPECT_EQ(round_trip(values).flags & format::kExceptions, 0) << one.odd;
  }
}

TEST(Column, LeavesWhatAllShareAtTheEndsAside) {
  auto values = made(3000, [](auto& random) { return "req-" + sample::hex(random, 16); });
  auto column = round_trip(values);
  EXPECT_EQ(column.type, ColumnType::hex_lower);
  EXPECT_EQ(column.flags, format::kAffixed);
  EXPECT_EQ(column.max_length, 20U);
  values = made(3000, [](auto& random) { return fmt::format("job_{}.example.com", random() % 1000000); });
  column = round_trip(values);
  EXPECT_EQ(column.type, ColumnType::integer);
  EXPECT_EQ(column.flags, format::kAffixed);
  // One value that is all prefix.
  values[5] = "job_";
  round_trip(values);
}

TEST(Column, TimesAreOffsetsToTheRow) {
  SlotKind kind{.family = SlotKind::Family::date_time,
                .date_separator = '-',
                .middle = ' ',
                .fraction_separator = ',',
                .fraction_digits = 3};
  std::vector<std::string> values;
  std::vector<TimestampNs> times;
  for (int i = 0; i < 3000; ++i) {
    times.push_back(1'764'000'000'000'000'000 + i * 37'000'000'000LL);
    std::string text;
    append_time(kind, -7200'000, times.back(), text);
    values.push_back(text);
  }
  EXPECT_EQ(round_trip(values, kind, times).type, ColumnType::time);
  values[100] = "2026-02-31 10:00:00,000";
  values[2000] = "2026-01-01 24:00:00,000";
  const auto column = round_trip(values, kind, times);
  EXPECT_EQ(column.type, ColumnType::time);
  EXPECT_EQ(column.flags, format::kExceptions);
}

TEST(Column, SecondsSince1970AreOffsetsToTheRow) {
  for (const std::int64_t unit : {1'000'000'000, 1'000'000, 1'000, 1}) {
    std::vector<std::string> values;
    std::vector<TimestampNs> times;
    std::mt19937_64 random(1);
    TimestampNs time = 1'764'000'000'000'000'000;
    for (int i = 0; i < 3000; ++i) {
      time += static_cast<TimestampNs>(random() % 90'000'000'000);
      times.push_back(time);
      values.push_back(std::to_string((time - static_cast<TimestampNs>(random() % 3) * unit) / unit));
    }
    EXPECT_EQ(round_trip(values, {}, times).type, ColumnType::epoch) << unit;
    for (auto& value : values) value = std::to_string(1'000'000'000 + random() % 8'000'000'000);  // no times
    EXPECT_EQ(round_trip(values, {}, times).type, ColumnType::integer);
  }
}

TEST(Column, SecondsWithAPointAreOffsetsToTheRow) {
  for (const int places : {1, 3, 6, 9}) {
    std::int64_t unit = 1'000'000'000;
    for (int i = 0; i < places; ++i) unit /= 10;
    std::vector<std::string> values;
    std::vector<TimestampNs> times;
    std::mt19937_64 random(1);
    TimestampNs time = 1'764'000'000'000'000'000;
    for (int i = 0; i < 3000; ++i) {
      time += static_cast<TimestampNs>(random() % 90'000'000'000);
      times.push_back(time);
      const auto at = (time - static_cast<TimestampNs>(random() % 3) * unit) / unit;
      const auto second = 1'000'000'000 / unit;
      values.push_back(fmt::format("{}.{:0{}}", at / second, at % second, places));
    }
    EXPECT_EQ(round_trip(values, {}, times).type, ColumnType::epoch_decimal) << places;
    for (auto& value : values)
      value = fmt::format("{}.{:0{}}", 1'000'000'000 + random() % 8'000'000'000, random() % 10, places);
    EXPECT_NE(round_trip(values, {}, times).type, ColumnType::epoch_decimal) << "no times";
  }
}

TEST(Column, DamagedBytesAreRefused) {
  const std::vector<std::vector<std::string>> kinds = {
      made(900, [](auto& random) { return std::to_string(random() % 1000000); }),
      made(900, [](auto& random) { return random() % 99 == 0 ? "-" : std::to_string(random() % 1000000); }),
      made(900, [](auto& random) { return "req-" + sample::hex(random, 16); }),
      made(900, [](auto& random) { return std::to_string(random()); }),
      made(900, [](auto& random) { return fmt::format("v{}", random() % 9); }),
      made(900, [](auto& random) { return sample::hex(random, 3 + random() % 9) + "zy"; })};
  std::mt19937_64 random(9);
  for (const auto& texts : kinds) {
    const std::vector<std::string_view> values(texts.begin(), texts.end());
    Sink sink;
    StringTable table;
    EncodeContext context{.sink = &sink, .dictionary = &table, .scratch = {}, .numbers = {}, .exceptions = {}};
    const auto column = encode_column(values, {}, {}, context);
    const Dictionary dictionary(table);
    std::vector<std::uint32_t> all(values.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    for (int round = 0; round < 300; ++round) {
      std::string bytes = sink.bytes;
      if (round % 3 == 0) {
        bytes.resize(random() % bytes.size());
      } else {
        bytes[random() % std::min<std::size_t>(bytes.size(), 40)] ^= static_cast<char>(1U << (random() % 8));
      }
      DecodedColumn decoded;
      if (!decoded.decode(column, bytes, values.size(), {}, dictionary)) continue;
      std::string arena;  // whatever it says, it stays within its bytes
      std::vector<std::string_view> out;
      decoded.texts(all, {}, arena, out);
    }
    DecodedColumn decoded;
    EXPECT_FALSE(decoded.decode(column, std::string_view(sink.bytes).substr(0, sink.bytes.size() / 2), values.size(),
                                {}, dictionary));
  }
}

TEST(IntPage, AnyNumbersComeBack) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::int64_t> values(1 + random() % 3000);
    const auto bits = random() % 65;
    const auto outliers = random() % 3 == 0 ? 40 : 0;
    const bool rising = random() % 2 == 0;
    std::uint64_t at = random();
    for (auto& value : values) {
      std::uint64_t step = bits == 0 ? 0 : random() >> (64 - bits);
      if (outliers != 0 && random() % outliers == 0) step = random();
      at = rising ? at + step : step;
      value = static_cast<std::int64_t>(at);
    }
    std::string bytes;
    encode_ints(values, bytes);
    Numbers again;
    ASSERT_TRUE(decode_ints(bytes, values.size(), again));
    ASSERT_TRUE(std::ranges::equal(again, values));
    ASSERT_FALSE(bits > 2 && values.size() > 9 &&
                 decode_ints(std::string_view(bytes).substr(0, bytes.size() / 3), values.size(), again));
  }
}

TEST(IntPage, JumpsBetweenBurstsCostLittle) {
  // Lines of a stream every 8 ms in bursts of sixty, minutes apart.
  std::vector<std::int64_t> times;
  std::int64_t at = 1'764'000'000'000'000'000;
  for (int i = 0; i < 20000; ++i) times.push_back(at += i % 60 == 0 ? 1'728'000'000'000 : 8'000'000 + i % 2);
  std::string bytes;
  encode_ints(times, bytes);
  EXPECT_LT(bytes.size(), times.size() * 3 / 8);
}

}  // namespace
}  // namespace tocayo::logs
