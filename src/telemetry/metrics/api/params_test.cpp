// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/params.h"

#include <gtest/gtest.h>

namespace tocayo::metrics::api {
namespace {

using std::chrono::milliseconds;

TEST(Params, Times) {
  EXPECT_EQ(*parse_prometheus_time("0"), 0);
  EXPECT_EQ(*parse_prometheus_time("1435781451.781"), 1435781451781);
  EXPECT_EQ(*parse_prometheus_time("1.4357814517814e9"), 1435781451781);
  EXPECT_EQ(*parse_prometheus_time("-1.5"), -1500);
  EXPECT_EQ(*parse_prometheus_time("+7"), 7000);
  EXPECT_EQ(*parse_prometheus_time("2015-07-01T20:10:51.781Z"), 1435781451781);
  EXPECT_EQ(*parse_prometheus_time("2015-07-01T22:10:51.781+02:00"), 1435781451781);
  EXPECT_EQ(*parse_prometheus_time("-292273086-05-16T16:47:06Z"), kMinTime);
  EXPECT_EQ(*parse_prometheus_time("292277025-08-18T07:12:54.999999999Z"), kMaxTime);
  for (const char* bad :
       {"", "foo", "30s", "2015-07-01", "NaN", "Inf", "1e300", "+-1", "0x10", "2015-07-01T20:10:51.781"}) {
    auto time = parse_prometheus_time(bad);
    ASSERT_FALSE(time) << bad;
    EXPECT_EQ(time.error().message, "cannot parse \"" + std::string(bad) + "\" to a valid timestamp");
  }
}

TEST(Params, Durations) {
  EXPECT_EQ(*parse_prometheus_duration("15"), milliseconds(15'000));
  EXPECT_EQ(*parse_prometheus_duration("0.5"), milliseconds(500));
  EXPECT_EQ(*parse_prometheus_duration("1m30s"), milliseconds(90'000));
  EXPECT_EQ(*parse_prometheus_duration("-5"), milliseconds(-5000));
  EXPECT_EQ(parse_prometheus_duration("1e18").error().message,
            "cannot parse \"1e18\" to a valid duration. It overflows int64");
  for (const char* bad : {"", "foo", "5x", "1s1h", "NaN"}) {
    EXPECT_EQ(parse_prometheus_duration(bad).error().message,
              "cannot parse \"" + std::string(bad) + "\" to a valid duration");
  }
}

TEST(Params, LimitsAndTheirTexts) {
  const auto limit = [](std::string_view text) {
    return limit_param(http::Params::parse("limit=" + std::string(text)));
  };
  EXPECT_EQ(*limit(""), 0u);
  EXPECT_EQ(*limit("5"), 5u);
  EXPECT_EQ(limit("-1").error().message, "invalid parameter \"limit\": limit must be non-negative");
  EXPECT_EQ(limit("abc").error().message, "invalid parameter \"limit\": strconv.Atoi: parsing \"abc\": invalid syntax");
  EXPECT_EQ(limit("99999999999999999999").error().message,
            "invalid parameter \"limit\": strconv.Atoi: parsing \"99999999999999999999\": value out of range");
}

TEST(Params, Matchers) {
  auto sets = matcher_params(http::Params::parse("match[]=up&match[]=%7Bjob%3D~%22a.%2B%22%7D"));
  ASSERT_TRUE(sets);
  ASSERT_EQ(sets->size(), 2u);
  EXPECT_FALSE(matcher_params(http::Params::parse("match[]=%7Bjob%3D~%22.*%22%7D")));
  EXPECT_FALSE(matcher_params(http::Params::parse("match[]=%7B")));
  EXPECT_TRUE(matcher_params(http::Params::parse(""))->empty());
}

TEST(Params, EscapedNames) {
  EXPECT_EQ(unescape_name("plain"), "plain");
  EXPECT_EQ(unescape_name("U__foo_2e_bar"), "foo.bar");
  EXPECT_EQ(unescape_name("U__a__b"), "a_b");
  EXPECT_EQ(unescape_name("U___1f600_"), "\xf0\x9f\x98\x80");
  for (const char* broken : {"U__a_", "U__a_2e", "U__a_zz_", "U__a_d800_", "U__a_1234567_"})
    EXPECT_EQ(unescape_name(broken), broken);
}

}  // namespace
}  // namespace tocayo::metrics::api
