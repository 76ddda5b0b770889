// SPDX-License-Identifier: Apache-2.0
#include "metrics/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "metrics/histogram.h"

namespace tocayo::metrics {
namespace {

void expect_round_trip(const std::vector<Row>& rows, std::size_t per_block) {
  std::vector<std::uint8_t> bytes;
  BlockState state;
  for (std::size_t i = 0; i < rows.size(); i += per_block) {
    std::uint8_t buffer[kMaxBlockBytes];
    const std::size_t count = std::min(per_block, rows.size() - i);
    const std::size_t size = encode_block(std::span(rows).subspan(i, count), state, buffer);
    ASSERT_LE(size, kMaxBlockBytes);
    bytes.insert(bytes.end(), buffer, buffer + size);
  }
  BlockState reading;
  std::vector<Row> got;
  std::span<const std::uint8_t> rest = bytes;
  while (!rest.empty()) {
    Row out[kMaxBlockRows];
    std::size_t count = 0;
    const std::size_t size = decode_block(rest, reading, out, count);
    ASSERT_GT(size, 0U);
    got.insert(got.end(), out, out + count);
    rest = rest.subspan(size);
  }
  ASSERT_EQ(got.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(got[i].time, rows[i].time) << i;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(got[i].value), std::bit_cast<std::uint64_t>(rows[i].value))
        << i << " " << rows[i].value;
    EXPECT_EQ(got[i].start, rows[i].start) << i;
  }
}

TEST(Codec, KeepsEveryBitPattern) {
  std::mt19937_64 random(7);
  const double special[] = {0.0,
                            -0.0,
                            kStaleNaN,
                            std::numeric_limits<double>::quiet_NaN(),
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::denorm_min(),
                            1e308,
                            -1e-308,
                            9007199254740991.0,
                            9007199254740992.0,
                            -9007199254740993.0,
                            0.1,
                            0.25,
                            1234.5678,
                            1e-12,
                            3,
                            -3};
  for (int round = 0; round < 3000; ++round) {
    std::vector<Row> rows;
    TimestampMs time = static_cast<TimestampMs>(random() % 2'000'000'000'000) - 1'000'000'000'000;
    double counter = static_cast<double>(random() % 100000);
    const unsigned kind = random() % 7;
    const std::size_t count = 1 + random() % 100;
    for (std::size_t i = 0; i < count; ++i) {
      time += kind % 2 == 0 ? 15000 : static_cast<TimestampMs>(1 + random() % 20000);
      double value = 0;
      switch (kind) {
        case 0: value = counter += static_cast<double>(random() % 128); break;
        case 1: value = static_cast<double>(random() % 10000) / 100; break;
        case 2: value = std::bit_cast<double>(random()); break;
        case 3: value = special[random() % std::size(special)]; break;
        case 4: value = 42.5; break;
        case 5: value = std::sin(static_cast<double>(i)); break;
        default: value = random() % 8 == 0 ? kStaleNaN : counter; break;
      }
      rows.push_back({time, value, round % 5 == 0 ? time - static_cast<TimestampMs>(random() % 3) * 1000 : 0});
    }
    expect_round_trip(rows, 1 + random() % kMaxBlockRows);
  }
}

TEST(Codec, TimesAtBothEndsOfTheRange) {
  expect_round_trip(
      {{std::numeric_limits<TimestampMs>::min(), 1, 0}, {0, 2, 0}, {std::numeric_limits<TimestampMs>::max(), 3, 5}}, 2);
}

TEST(Codec, ConstantSeriesCostsAlmostNothing) {
  std::vector<Row> rows;
  for (int i = 0; i < 32; ++i) rows.push_back({1'700'000'000'000 + i * 15000, 7, 0});
  BlockState state;
  std::uint8_t buffer[kMaxBlockBytes];
  encode_block(rows, state, buffer);
  for (Row& row : rows) row.time += 32 * 15000;
  EXPECT_EQ(encode_block(rows, state, buffer), 2U);
}

TEST(Codec, AStartOrAGapDoesNotWidenTheRowsBehindIt) {
  std::vector<Row> rows;
  for (int i = 0; i < 32; ++i) rows.push_back({1'700'000'000'000 + i * 15000, 123'456'789.0 + i * 3, 0});
  BlockState state;
  std::uint8_t buffer[kMaxBlockBytes];
  EXPECT_LE(encode_block(rows, state, buffer), 24U);
  for (Row& row : rows) row.time += 86'400'000'000;
  EXPECT_LE(encode_block(rows, state, buffer), 24U);
  expect_round_trip(rows, 1);
}

TEST(Codec, DamagedBytesAreRefusedOrDecodedButNeverReadBeyond) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> bytes(random() % 40);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    BlockState state;
    Row out[kMaxBlockRows];
    std::size_t count = 0;
    EXPECT_LE(decode_block(bytes, state, out, count), bytes.size());
  }
}

}  // namespace
}  // namespace tocayo::metrics
