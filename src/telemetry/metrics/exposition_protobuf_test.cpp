// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition_protobuf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>
#include <protozero/varint.hpp>

#include <cmath>
#include <functional>
#include <iterator>

#include "core/labels.h"

namespace tocayo::metrics {
namespace {

using Writer = protozero::pbf_writer;
using Lines = std::vector<std::string>;

enum Type : std::int32_t { kCounter, kGauge, kSummary, kUntyped, kHistogram, kGaugeHistogram };

void add_family(std::string& body, const std::string& name, Type type, const std::function<void(Writer&)>& metrics,
                const std::string& help = "", const std::string& unit = "") {
  std::string message;
  {
    Writer family(message);
    family.add_string(1, name);
    if (!help.empty()) family.add_string(2, help);
    family.add_enum(3, type);
    metrics(family);
    if (!unit.empty()) family.add_string(5, unit);
  }
  protozero::write_varint(std::back_inserter(body), message.size());
  body += message;
}

void add_label(Writer& parent, const std::string& name, const std::string& value) {
  Writer pair(parent, 1);
  pair.add_string(1, name);
  pair.add_string(2, value);
}

void add_time(Writer& parent, protozero::pbf_tag_type tag, std::int64_t seconds, std::int32_t nanos) {
  Writer time(parent, tag);
  time.add_int64(1, seconds);
  time.add_int32(2, nanos);
}

void add_exemplar(Writer& parent, protozero::pbf_tag_type tag, const std::string& id, double value,
                  std::int64_t seconds) {
  Writer exemplar(parent, tag);
  add_label(exemplar, "id", id);
  exemplar.add_double(2, value);
  if (seconds != 0) add_time(exemplar, 3, seconds, 500'000'000);
}

Lines read_all(std::string_view body, ExpositionProtobufOptions options = {}, std::string* error = nullptr) {
  Lines out;
  ExpositionProtobufParser parser(body, options);
  for (;;) {
    auto event = parser.next();
    if (!event) {
      if (error) *error = event.error().message;
      out.push_back("error");
      return out;
    }
    if (*event == ExpositionEvent::end) return out;
    if (*event == ExpositionEvent::help || *event == ExpositionEvent::type || *event == ExpositionEvent::unit) {
      out.push_back(fmt::format("{} {}", parser.family(), parser.text()));
      continue;
    }
    std::string line(parser.name());
    for (const ExpositionLabel& label : parser.labels()) line += fmt::format(" {}={}", label.name, label.value);
    if (const HistogramParts* parts = parser.histogram()) {
      auto checked = check_histogram(*parts, {});
      line += checked ? " = " + (*checked)->to_string() : " = " + std::string(checked.error().id);
    } else {
      line += fmt::format(" = {}", parser.value());
    }
    if (parser.time()) line += fmt::format(" @{}", *parser.time());
    if (parser.start_time() != 0) line += fmt::format(" st{}", parser.start_time());
    for (const ExpositionExemplar& exemplar : parser.exemplars()) {
      line += fmt::format(" # {}={} {}", exemplar.labels[0].name, exemplar.labels[0].value, exemplar.value);
      if (exemplar.time) line += fmt::format(" @{}", *exemplar.time);
    }
    out.push_back(line);
  }
}

std::string simple_body() {
  std::string body;
  add_family(
      body, "requests_total", kCounter,
      [](Writer& family) {
        Writer metric(family, 4);
        add_label(metric, "code", "200");
        {
          Writer counter(metric, 3);
          counter.add_double(1, 42);
          add_exemplar(counter, 2, "a", 1.5, 100);
          add_time(counter, 3, 50, 0);
        }
        metric.add_int64(6, 1234);
      },
      "Requests.", "requests");
  add_family(body, "temperature", kGauge, [](Writer& family) {
    for (const double value : {1.5, -2.5}) {
      Writer metric(family, 4);
      add_label(metric, "v", std::to_string(static_cast<int>(value)));
      Writer gauge(metric, 2);
      gauge.add_double(1, value);
    }
  });
  add_family(body, "empty", kGauge, [](Writer&) {});
  add_family(body, "my.untyped", kUntyped, [](Writer& family) {
    Writer metric(family, 4);
    Writer untyped(metric, 5);
    untyped.add_double(1, 7);
  });
  return body;
}

TEST(ExpositionProtobuf, SimpleFamilies) {
  EXPECT_EQ(read_all(simple_body()),
            (Lines{"requests_total Requests.", "requests_total counter", "requests_total requests",
                   "requests_total code=200 = 42 @1234 st50000 # id=a 1.5 @100500", "temperature ", "temperature gauge",
                   "temperature v=1 = 1.5", "temperature v=-2 = -2.5", "my.untyped ", "my.untyped unknown",
                   "my.untyped = 7"}));
}

TEST(ExpositionProtobuf, SummaryAndClassicHistogram) {
  std::string body;
  add_family(body, "s", kSummary, [](Writer& family) {
    Writer metric(family, 4);
    Writer summary(metric, 4);
    summary.add_uint64(1, 10);
    summary.add_double(2, 2.5);
    for (const double q : {0.5, 1.0}) {
      Writer quantile(summary, 3);
      quantile.add_double(1, q);
      quantile.add_double(2, q * 2);
    }
  });
  add_family(body, "h", kHistogram, [](Writer& family) {
    for (const bool with_inf : {false, true}) {
      Writer metric(family, 4);
      add_label(metric, "inf", with_inf ? "y" : "n");
      Writer histogram(metric, 7);
      histogram.add_uint64(1, 4);
      histogram.add_double(2, 9);
      {
        Writer bucket(histogram, 3);
        bucket.add_uint64(1, 3);
        bucket.add_double(2, 1);
        add_exemplar(bucket, 3, "x", 0.5, 0);
      }
      if (with_inf) {
        Writer bucket(histogram, 3);
        bucket.add_uint64(1, 4);
        bucket.add_double(2, INFINITY);
      }
    }
  });
  EXPECT_EQ(read_all(body),
            (Lines{"s ", "s summary", "s_count = 10", "s_sum = 2.5", "s quantile=0.5 = 1", "s quantile=1.0 = 2", "h ",
                   "h histogram", "h_count inf=n = 4", "h_sum inf=n = 9", "h_bucket inf=n le=1.0 = 3 # id=x 0.5",
                   "h_bucket inf=n le=+Inf = 4", "h_count inf=y = 4", "h_sum inf=y = 9",
                   "h_bucket inf=y le=1.0 = 3 # id=x 0.5", "h_bucket inf=y le=+Inf = 4"}));
}

std::string native_body(Type type) {
  std::string body;
  add_family(body, "n", type, [](Writer& family) {
    Writer metric(family, 4);
    Writer histogram(metric, 7);
    histogram.add_uint64(1, 3);
    histogram.add_double(2, 6);
    {
      Writer bucket(histogram, 3);
      bucket.add_uint64(1, 3);
      bucket.add_double(2, 8);
      add_exemplar(bucket, 3, "bucket", 1, 5);
    }
    histogram.add_sint32(5, 0);
    histogram.add_double(6, 0.001);
    {
      Writer span(histogram, 12);
      span.add_sint32(1, 0);
      span.add_uint32(2, 2);
    }
    for (const int delta : {1, 1}) histogram.add_sint64(13, delta);
    add_time(histogram, 15, 7, 0);
  });
  return body;
}

TEST(ExpositionProtobuf, NativeHistograms) {
  EXPECT_EQ(read_all(native_body(kHistogram)),
            (Lines{"n ", "n histogram", "n = {count:3, sum:6, (0.5,1]:1, (1,2]:2} st7000 # id=bucket 1 @5500"}));
  EXPECT_EQ(read_all(native_body(kHistogram), {.classic_too = true}),
            (Lines{"n ", "n histogram", "n = {count:3, sum:6, (0.5,1]:1, (1,2]:2} st7000 # id=bucket 1 @5500",
                   "n_count = 3 st7000", "n_sum = 6 st7000", "n_bucket le=8.0 = 3 st7000 # id=bucket 1 @5500",
                   "n_bucket le=+Inf = 3 st7000"}));
  EXPECT_EQ(read_all(native_body(kHistogram), {.ignore_native = true}),
            (Lines{"n ", "n histogram", "n_count = 3 st7000", "n_sum = 6 st7000",
                   "n_bucket le=8.0 = 3 st7000 # id=bucket 1 @5500", "n_bucket le=+Inf = 3 st7000"}));
  const std::string gauge_body = native_body(kGaugeHistogram);
  ExpositionProtobufParser gauge(gauge_body, {});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(gauge.next());
  ASSERT_TRUE(gauge.histogram());
  EXPECT_EQ(gauge.histogram()->hint, ResetHint::gauge);
}

TEST(ExpositionProtobuf, SeriesBytesTellSeriesApart) {
  const std::string body = simple_body();
  ExpositionProtobufParser parser(body, {});
  std::vector<std::string> seen;
  for (;;) {
    auto event = parser.next();
    ASSERT_TRUE(event);
    if (*event == ExpositionEvent::end) break;
    if (*event == ExpositionEvent::sample) seen.emplace_back(parser.series());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(ExpositionProtobuf, DamageIsFoundAndLocated) {
  std::string error;
  const std::string good = simple_body();
  read_all(good.substr(0, good.size() - 1), {}, &error);
  EXPECT_NE(error.find("the body ends inside a message"), std::string::npos) << error;
  std::string unknown_type;
  add_family(unknown_type, "x", static_cast<Type>(9), [](Writer&) {});
  read_all(unknown_type, {}, &error);
  EXPECT_NE(error.find("metric family \"x\" at byte 0: unknown metric type 9"), std::string::npos) << error;
  std::string bad_name;
  add_family(bad_name, "\xff", kGauge, [](Writer&) {});
  EXPECT_EQ(read_all(bad_name, {}, &error).back(), "error");
  std::string bad_label;
  add_family(bad_label, "x", kGauge, [](Writer& family) {
    Writer metric(family, 4);
    add_label(metric, "a", "\xff");
  });
  EXPECT_EQ(read_all(bad_label, {}, &error).back(), "error");
  for (std::size_t length = 0; length < good.size(); ++length) read_all(good.substr(0, length));
  std::string wrong_wire;
  {
    std::string message;
    Writer family(message);
    family.add_uint32(1, 5);
    protozero::write_varint(std::back_inserter(wrong_wire), message.size());
    wrong_wire += message;
  }
  read_all(wrong_wire, {}, &error);
  EXPECT_NE(error.find("wrong wire type 0 for field MetricFamily.name"), std::string::npos) << error;
}

}  // namespace
}  // namespace tocayo::metrics
