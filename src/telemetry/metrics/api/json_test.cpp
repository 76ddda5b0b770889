// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tocayo::metrics::api {
namespace {

std::string number(double value) {
  std::string out;
  append_float(out, value);
  return out;
}

// What Go's encoding of the same bits is.
TEST(Json, NumbersAsPrometheusWritesThem) {
  const std::pair<double, std::string_view> cases[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {-1, "-1"},
      {1.5, "1.5"},
      {0.1, "0.1"},
      {100, "100"},
      {123456.789, "123456.789"},
      {1e-6, "0.000001"},
      {1.25e-6, "0.00000125"},
      {9.999999e-7, "9.999999e-07"},
      {-1e-7, "-1e-07"},
      {5e-324, "5e-324"},
      {9007199254740991, "9007199254740991"},
      {9007199254740992, "9007199254740992"},
      {9007199254740993, "9007199254740992"},
      {1e20, "100000000000000000000"},
      {123456789012345678000.0, "123456789012345680000"},
      {1.7e18, "1700000000000000000"},
      {999999999999999900000.0, "999999999999999900000"},
      {1e21, "1e+21"},
      {-1.5e300, "-1.5e+300"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {0.30000000000000004, "0.30000000000000004"},
      {1.0 / 3, "0.3333333333333333"},
      {std::numeric_limits<double>::infinity(), "+Inf"},
      {-std::numeric_limits<double>::infinity(), "-Inf"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
      {kStaleNaN, "NaN"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(number(value), text);
}

TEST(Json, EveryNumberReadsBackToItsBits) {
  std::uint64_t state = 88172645463325252ULL;
  for (int i = 0; i < 200'000; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const double value = std::bit_cast<double>(state);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(std::strtod(number(value).c_str(), nullptr)), state) << number(value);
    const double plain = static_cast<double>(static_cast<std::int64_t>(state >> 20)) / 1000;
    ASSERT_EQ(std::strtod(number(plain).c_str(), nullptr), plain);
  }
}

TEST(Json, Timestamps) {
  const std::pair<TimestampMs, std::string_view> cases[] = {
      {0, "0"},
      {1, "0.001"},
      {10, "0.010"},
      {100, "0.100"},
      {1001, "1.001"},
      {1435781451781, "1435781451.781"},
      {1435781451000, "1435781451"},
      {-1, "-0.001"},
      {-1500, "-1.500"},
      {std::numeric_limits<std::int64_t>::max(), "9223372036854775.807"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854775.808"},
  };
  for (const auto& [time, text] : cases) {
    std::string out;
    append_timestamp(out, time);
    EXPECT_EQ(out, text);
  }
}

TEST(Json, Strings) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  EXPECT_EQ(quoted("plain"), R"("plain")");
  EXPECT_EQ(quoted("a\"b\\c\n\r\t\x01\x1f"), R"("a\"b\\c\n\r\t\u0001\u001f")");
  EXPECT_EQ(quoted("h\xc3\xa9 \xf0\x9f\x98\x80"), "\"h\xc3\xa9 \xf0\x9f\x98\x80\"");
  EXPECT_EQ(quoted("a\xff\xc3"), "\"a\\ufffd\\ufffd\"");
  EXPECT_EQ(quoted("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"") << "surrogates are not characters";
  EXPECT_EQ(quoted(std::string_view("\0", 1)), "\"\\u0000\"");
}

TEST(Json, HistogramsShowPopulatedBucketsWithTheirRule) {
  FloatHistogram histogram;
  histogram.schema = 0;
  histogram.count = 10;
  histogram.sum = -2.5;
  histogram.zero_threshold = 0.25;
  histogram.zero_count = 3;
  histogram.positive_spans = {{0, 3}};
  histogram.positive_buckets = {1, 0, 2};
  histogram.negative_spans = {{1, 1}};
  histogram.negative_buckets = {4};
  JsonWriter writer;
  writer.histogram(histogram);
  EXPECT_EQ(
      writer.take(),
      R"({"count":"10","sum":"-2.5","buckets":[[1,"-2","-1","4"],[3,"-0.25","0.25","3"],[0,"0.5","1","1"],[0,"2","4","2"]]})");
  writer.histogram(FloatHistogram{});
  EXPECT_EQ(writer.take(), R"({"count":"0","sum":"0"})");
}

}  // namespace
}  // namespace tocayo::metrics::api
