// SPDX-License-Identifier: Apache-2.0
#include "metrics/remote_write.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics {
namespace {

using test::Pairs;
using test::RequestV1;
using test::RequestV2;
using test::Writer;

constexpr TimestampMs kNow = 1'700'000'000'000;

struct Decoded {
  IngestRows rows;
  Result<> result;
  AppendBatch batch;

  Decoded(RemoteWriteVersion version, std::string body_bytes, IngestLimits limits = {}) : body(std::move(body_bytes)) {
    rows.reset(limits, kNow);
    result = decode_remote_write(version, body, rows);
    batch = rows.batch();
  }
  std::string error() const { return rows.rejections().failed() ? rows.rejections().first_error()->message : ""; }
  std::size_t rejected(std::string_view reason) const {
    for (const auto& entry : rows.rejections().reasons()) {
      if (entry.name == reason) return entry.count;
    }
    return 0;
  }
  std::string body;
};

Decoded v1(const RequestV1& request, IngestLimits limits = {}) {
  return {RemoteWriteVersion::v1, request.body(), limits};
}
Decoded v2(const RequestV2& request, IngestLimits limits = {}) {
  return {RemoteWriteVersion::v2, request.body(), limits};
}

TEST(RemoteWriteV1, SeriesWithRowsOfEveryKind) {
  RequestV1 request;
  request.series({{"__name__", "a"}, {"job", "x"}}, [](Writer& series) {
    test::add_sample(series, 1.5, kNow - 2);
    test::add_sample(series, 2.5, kNow - 1);
    RequestV1::exemplar(series, {{"trace_id", "abc"}}, 7, kNow - 1);
  });
  request.series({{"__name__", "h"}},
                 [](Writer& series) { test::add_histogram(series, 4, test::integer_histogram(), kNow); });
  request.metadata(1, "a", "Help of a.", "bytes");
  auto decoded = v1(request);
  ASSERT_TRUE(decoded.result) << decoded.result.error().message;
  EXPECT_FALSE(decoded.rows.rejections().failed());
  ASSERT_EQ(decoded.batch.series.size(), 2u);
  const SeriesRows& a = decoded.batch.series[0];
  EXPECT_EQ(a.labels->to_string(), "a{job=\"x\"}");
  ASSERT_EQ(a.floats.size(), 2u);
  EXPECT_EQ(a.floats[1].time, kNow - 1);
  EXPECT_EQ(a.floats[1].value, 2.5);
  ASSERT_EQ(a.exemplars.size(), 1u);
  EXPECT_EQ(a.exemplars[0].labels.get("trace_id"), "abc");
  EXPECT_EQ(a.exemplars[0].value, 7);
  const SeriesRows& h = decoded.batch.series[1];
  ASSERT_EQ(h.histograms.size(), 1u);
  EXPECT_TRUE(h.histograms[0].integer);
  EXPECT_EQ(h.histograms[0].histogram->count, 6);
  ASSERT_EQ(decoded.batch.metadata.size(), 1u);
  EXPECT_EQ(decoded.batch.metadata[0].type, "counter");
  EXPECT_EQ(decoded.batch.metadata[0].help, "Help of a.");
  EXPECT_EQ(decoded.batch.metadata[0].unit, "bytes");
}

TEST(RemoteWriteV1, OddBitsOfValuesSurvive) {
  const std::uint64_t patterns[] = {kStaleNaNBits, 0x7ff8000000000001ULL, 0xfff0000000000123ULL, 0x8000000000000000ULL,
                                    1ULL,          0x7ff0000000000000ULL};
  RequestV1 request;
  for (const std::uint64_t bits : patterns) {
    request.series({{"__name__", "a"}},
                   [&](Writer& series) { test::add_sample(series, std::bit_cast<double>(bits), kNow); });
  }
  auto decoded = v1(request);
  ASSERT_EQ(decoded.batch.series.size(), std::size(patterns));
  for (std::size_t i = 0; i < std::size(patterns); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(decoded.batch.series[i].floats[0].value), patterns[i]);
  }
}

TEST(RemoteWriteV1, OnlyMetadataIsAValidRequest) {
  RequestV1 request;
  request.metadata(3, "h", "x", "").metadata(3, "h", "x", "").metadata(99, "i", "", "");
  auto decoded = v1(request);
  ASSERT_TRUE(decoded.result);
  EXPECT_EQ(decoded.batch.series.size(), 0u);
  ASSERT_EQ(decoded.batch.metadata.size(), 2u) << "equal rows are kept once";
  EXPECT_EQ(decoded.batch.metadata[0].type, "histogram");
  EXPECT_EQ(decoded.batch.metadata[1].type, "unknown");
}

TEST(RemoteWriteV1, EmptyBodyIsAnEmptyRequest) {
  auto decoded = v1(RequestV1());
  ASSERT_TRUE(decoded.result);
  EXPECT_TRUE(decoded.rows.empty());
}

TEST(RemoteWriteV1, UnsortedLabelsAreSortedAndCounted) {
  RequestV1 request;
  request.sample({{"z", "1"}, {"__name__", "a"}, {"b", "2"}}, 1, kNow);
  auto decoded = v1(request);
  ASSERT_EQ(decoded.batch.series.size(), 1u);
  EXPECT_EQ(decoded.batch.series[0].labels->to_string(), "a{b=\"2\", z=\"1\"}");
  EXPECT_EQ(decoded.rows.unsorted_series(), 1u);
}

TEST(RemoteWriteV1, EmptyValuesAreNoLabels) {
  RequestV1 request;
  request.sample({{"__name__", "a"}, {"b", ""}}, 1, kNow);
  auto decoded = v1(request);
  ASSERT_EQ(decoded.batch.series.size(), 1u);
  EXPECT_EQ(decoded.batch.series[0].labels->size(), 1u);
}

struct LabelCase {
  Pairs labels;
  std::string_view id;
  std::string_view reason;
};

TEST(RemoteWriteV1, BadLabelsRefuseOnlyTheirSeries) {
  const std::string bad_utf8 = "\xff\xfe";
  IngestLimits limits;
  limits.max_label_names_per_series = 3;
  limits.max_label_names_per_info_series = 4;
  limits.max_label_name_length = 20;
  limits.max_label_value_length = 30;
  const std::vector<LabelCase> cases = {
      {{{"a", "b"}}, "missing-metric-name", "missing_metric_name"},
      {{}, "missing-metric-name", "missing_metric_name"},
      {{{"__name__", ""}}, "missing-metric-name", "missing_metric_name"},
      {{{"__name__", bad_utf8}}, "metric-name-invalid", "metric_name_invalid"},
      {{{"__name__", "m"}, {bad_utf8, "x"}}, "label-invalid", "label_invalid"},
      {{{"", "x"}, {"__name__", "m"}}, "label-invalid", "label_invalid"},
      {{{"__name__", "m"}, {"a", bad_utf8}}, "label-value-invalid", "label_value_invalid"},
      {{{"__name__", "m"}, {"a", "1"}, {"a", "2"}}, "duplicate-label-names", "duplicate_label_names"},
      {{{"__name__", "m"}, {"a", "1"}, {"b", "2"}, {"c", "3"}},
       "max-label-names-per-series",
       "max_label_names_per_series"},
      {{{"__name__", "m_info"}, {"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}},
       "max-label-names-per-info-series",
       "max_label_names_per_info_series"},
      {{{"__name__", "m"}, {std::string(21, 'x'), "1"}}, "label-name-too-long", "label_name_too_long"},
      {{{"__name__", "m"}, {"a", std::string(1 << 20, 'x')}}, "label-value-too-long", "label_value_too_long"},
  };
  for (const LabelCase& bad : cases) {
    RequestV1 request;
    request.series(bad.labels, [](Writer& series) {
      test::add_sample(series, 1, kNow);
      test::add_sample(series, 2, kNow);
    });
    request.sample({{"__name__", "good"}}, 1, kNow);
    auto decoded = v1(request, limits);
    ASSERT_TRUE(decoded.result);
    EXPECT_NE(decoded.error().find("(err-mimir-" + std::string(bad.id) + ")"), std::string::npos) << decoded.error();
    EXPECT_LT(decoded.error().size(), 1500u) << "messages are cut";
    EXPECT_TRUE(is_valid_utf8(decoded.error()));
    EXPECT_EQ(decoded.rejected(bad.reason), 2u) << bad.id;
    ASSERT_EQ(decoded.batch.series.size(), 1u);
    EXPECT_EQ(decoded.batch.series[0].labels->to_string(), "good");
    EXPECT_EQ(decoded.batch.series[0].floats.size(), 1u) << "rows of the refused series must not slip over";
  }
  RequestV1 info;
  info.sample({{"__name__", "m_info"}, {"a", "1"}, {"b", "2"}, {"c", "3"}}, 1, kNow);
  EXPECT_EQ(v1(info, limits).batch.series.size(), 1u) << "info series may have more labels";
}

TEST(RemoteWriteV1, TenThousandLabels) {
  Pairs labels = {{"__name__", "m"}};
  for (int i = 0; i < 10'000; ++i) labels.emplace_back("l" + std::to_string(i), "v");
  RequestV1 request;
  request.sample(labels, 1, kNow);
  IngestLimits limits;
  limits.max_label_names_per_series = 30;
  auto decoded = v1(request, limits);
  EXPECT_NE(decoded.error().find("(actual: 10001, limit: 30)"), std::string::npos) << decoded.error();
}

TEST(RemoteWriteV1, TimestampsAtTheEdges) {
  RequestV1 request;
  request.series({{"__name__", "a"}}, [](Writer& series) {
    test::add_sample(series, 1, std::numeric_limits<std::int64_t>::max());
    test::add_sample(series, 2, kNow + 600'001);
    test::add_sample(series, 3, kNow + 600'000);
    test::add_sample(series, 4, std::numeric_limits<std::int64_t>::min());
  });
  auto decoded = v1(request);
  EXPECT_EQ(decoded.rejected("too_far_in_future"), 2u);
  EXPECT_NE(decoded.error().find("too-far-in-future"), std::string::npos);
  ASSERT_EQ(decoded.batch.series.size(), 1u);
  ASSERT_EQ(decoded.batch.series[0].floats.size(), 2u);
  EXPECT_EQ(decoded.batch.series[0].floats[0].value, 3);
  EXPECT_EQ(decoded.batch.series[0].floats[1].value, 4);

  IngestLimits limits;
  limits.creation_grace_period_ms = 0;
  EXPECT_TRUE(v1(request, limits).error().empty()) << "0 switches the check off";
}

TEST(RemoteWriteV1, BadExemplarsAreCountedButDoNotFailTheRequest) {
  RequestV1 request;
  request.series({{"__name__", "a"}}, [](Writer& series) {
    test::add_sample(series, 1, kNow);
    RequestV1::exemplar(series, {}, 1, kNow);
    RequestV1::exemplar(series, {{"trace", std::string(124, 'x')}}, 1, kNow);  // 5 + 124 characters
    RequestV1::exemplar(series, {{"trace", std::string(123, 'x')}}, 1, kNow);
    RequestV1::exemplar(series, {{"t", "x"}}, 1, 0);
    RequestV1::exemplar(series, {{"t", "x"}}, 1, kNow + 700'000);
  });
  auto decoded = v1(request);
  EXPECT_FALSE(decoded.rows.rejections().failed());
  EXPECT_EQ(decoded.rejected("exemplar_labels_missing"), 1u);
  EXPECT_EQ(decoded.rejected("exemplar_labels_too_long"), 1u);
  EXPECT_EQ(decoded.rejected("exemplar_timestamp_invalid"), 1u);
  EXPECT_EQ(decoded.rejected("exemplar_too_far_in_future"), 1u);
  EXPECT_EQ(decoded.batch.series[0].exemplars.size(), 1u);
}

TEST(RemoteWriteV1, MetadataLimits) {
  IngestLimits limits;
  limits.max_metadata_length = 10;
  RequestV1 request;
  request.metadata(1, "", "h", "");
  request.metadata(1, "a", "h\xc3\xa9lp \xe2\x82\xac\xe2\x82\xac", "");  // cut inside a character
  request.metadata(1, "aaaaaaaaaaa", "h", "");
  request.metadata(1, "b", "h", "uuuuuuuuuuu");
  auto decoded = v1(request, limits);
  EXPECT_NE(decoded.error().find("err-mimir-metadata-missing-metric-name"), std::string::npos);
  ASSERT_EQ(decoded.batch.metadata.size(), 1u);
  EXPECT_EQ(decoded.batch.metadata[0].help, "h\xc3\xa9lp \xe2\x82\xac");
  RequestV1 unit;
  unit.metadata(1, "b", "h", "uuuuuuuuuuu");
  EXPECT_NE(v1(unit, limits).error().find("err-mimir-unit-too-long"), std::string::npos);
  RequestV1 name;
  name.metadata(1, "aaaaaaaaaaa", "h", "");
  EXPECT_NE(v1(name, limits).error().find("err-mimir-metric-name-too-long"), std::string::npos);
}

TEST(RemoteWriteV1, TruncatedAnywhereIsRefusedOrShorter) {
  RequestV1 request;
  request.series({{"__name__", "a"}, {"b", "c"}}, [](Writer& series) {
    test::add_sample(series, 1, kNow);
    test::add_histogram(series, 4, test::integer_histogram(), kNow);
    RequestV1::exemplar(series, {{"t", "x"}}, 1, kNow);
  });
  request.metadata(1, "a", "help", "unit");
  std::size_t refused = 0;
  for (std::size_t length = 0; length < request.body().size(); ++length) {
    Decoded decoded(RemoteWriteVersion::v1, request.body().substr(0, length));
    if (!decoded.result) {
      ++refused;
      EXPECT_EQ(decoded.result.error().kind, ErrorKind::bad_input);
    }
  }
  EXPECT_GT(refused, request.body().size() * 9 / 10);
}

TEST(RemoteWriteV1, WrongWireTypesAreRefused) {
  const auto refused = [](const std::function<void(Writer&)>& write, std::string_view field) {
    std::string body;
    Writer out(body);
    write(out);
    Decoded decoded(RemoteWriteVersion::v1, body);
    ASSERT_FALSE(decoded.result) << field;
    EXPECT_NE(decoded.result.error().message.find(field), std::string::npos) << decoded.result.error().message;
  };
  refused([](Writer& out) { out.add_uint64(1, 5); }, "WriteRequest.timeseries");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        s.add_uint32(1, 5);
      },
      "TimeSeries.labels");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        Writer l(s, 1);
        l.add_uint32(2, 5);
      },
      "Label.value");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        Writer l(s, 2);
        l.add_uint32(1, 5);
      },
      "Sample.value");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        Writer l(s, 2);
        l.add_string(2, "x");
      },
      "Sample.timestamp");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        Writer h(s, 4);
        h.add_string(15, "x");
      },
      "Histogram.timestamp");
  refused(
      [](Writer& out) {
        Writer s(out, 1);
        Writer h(s, 4);
        h.add_string(13, "1234567");
      },
      "Histogram.positive_counts");
  refused(
      [](Writer& out) {
        Writer m(out, 3);
        m.add_uint32(4, 1);
      },
      "MetricMetadata.help");
  refused([](Writer& out) { out.add_string(4, ""); }, "remote write 2.0");
}

TEST(RemoteWriteV1, UnknownFieldsAreSkipped) {
  std::string body;
  {
    Writer out(body);
    out.add_uint32(2, 1);  // Cortex' source
    out.add_string(1000, "x");
    Writer series(out, 1);
    series.add_double(99, 1);
    Writer label(series, 1);
    label.add_string(1, "__name__");
    label.add_string(2, "a");
    label.add_fixed32(3, 1);
  }
  Decoded decoded(RemoteWriteVersion::v1, body);
  ASSERT_TRUE(decoded.result) << decoded.result.error().message;
}

TEST(RemoteWriteV1, UnpackedRepeatedFieldsOfHistograms) {
  RequestV1 request;
  request.series({{"__name__", "h"}}, [](Writer& series) {
    Writer h(series, 4);
    h.add_uint64(1, 3);
    h.add_double(3, 1);
    for (const int delta : {1, 1}) h.add_sint64(12, delta);
    Writer span(h, 11);
    span.add_sint32(1, 0);
    span.add_uint32(2, 2);
  });
  auto decoded = v1(request);
  ASSERT_EQ(decoded.batch.series.size(), 1u) << decoded.error();
  EXPECT_EQ(decoded.batch.series[0].histograms[0].histogram->positive_buckets, (std::vector<double>{1, 2}));
}

TEST(RemoteWriteV1, BadHistogramDropsTheRowNotTheSeries) {
  HistogramParts bad = test::integer_histogram();
  bad.count_int = 100;
  RequestV1 request;
  request.series({{"__name__", "h"}}, [&](Writer& series) {
    test::add_histogram(series, 4, bad, kNow - 1);
    test::add_histogram(series, 4, test::integer_histogram(), kNow);
  });
  auto decoded = v1(request);
  EXPECT_NE(decoded.error().find("series: 'h' (err-mimir-native-histogram-count-mismatch)"), std::string::npos)
      << decoded.error();
  EXPECT_EQ(decoded.rejected("native_histogram_count_mismatch"), 1u);
  EXPECT_EQ(decoded.rows.histograms_received(), 2u);
  ASSERT_EQ(decoded.batch.series[0].histograms.size(), 1u);
  EXPECT_EQ(decoded.batch.series[0].histograms[0].time, kNow);
}

TEST(RemoteWriteRows, NativeHistogramsOfATenantWithoutThemAreDroppedAndCounted) {
  IngestLimits limits;
  limits.native_histograms = false;
  RequestV1 old;
  RequestV2 request;
  const auto one = [](Writer& series, int field) {
    test::add_histogram(series, field, test::integer_histogram(), kNow);
  };
  old.series({{"__name__", "h"}}, [&](Writer& series) { one(series, 4); });
  request.series({{"__name__", "h"}}, [&](Writer& series) { one(series, 3); });
  for (const auto& decoded : {v1(old, limits), v2(request, limits)}) {
    EXPECT_EQ(decoded.error(), "");
    EXPECT_EQ(decoded.rejected("native_histograms_disabled"), 1u);
    EXPECT_EQ(decoded.rows.histograms_received(), 1u);
    EXPECT_TRUE(decoded.batch.series.empty());
  }
}

TEST(RemoteWriteV2, SeriesWithRowsOfEveryKind) {
  for (const bool symbols_last : {false, true}) {
    RequestV2 request;
    request.series({{"__name__", "rpc_bucket"}, {"le", "1.0"}}, [&](Writer& series) {
      test::add_sample(series, 1.5, kNow, kNow - 1000);
      request.exemplar(series, {{"trace_id", "abc"}}, 7, kNow - 1);
      request.metadata(series, 3, "Calls.", "seconds");
    });
    HistogramParts gauge = test::integer_histogram();
    gauge.hint = ResetHint::gauge;
    request.series({{"__name__", "h"}}, [&](Writer& series) { test::add_histogram(series, 3, gauge, kNow, kNow - 5); });
    Decoded decoded(RemoteWriteVersion::v2, request.body(symbols_last));
    ASSERT_TRUE(decoded.result) << decoded.result.error().message;
    EXPECT_FALSE(decoded.rows.rejections().failed()) << decoded.error();
    ASSERT_EQ(decoded.batch.series.size(), 2u);
    const SeriesRows& rows = decoded.batch.series[0];
    EXPECT_EQ(rows.labels->to_string(), "rpc_bucket{le=\"1.0\"}");
    EXPECT_EQ(rows.floats[0].start_time, kNow - 1000);
    EXPECT_EQ(rows.exemplars[0].labels.get("trace_id"), "abc");
    EXPECT_EQ(decoded.batch.series[1].histograms[0].histogram->hint, ResetHint::gauge);
    EXPECT_EQ(decoded.batch.series[1].histograms[0].start_time, kNow - 5);
    ASSERT_EQ(decoded.batch.metadata.size(), 1u);
    EXPECT_EQ(decoded.batch.metadata[0].metric, "rpc") << "metadata is kept by family";
    EXPECT_EQ(decoded.batch.metadata[0].help, "Calls.");
    EXPECT_EQ(decoded.batch.metadata[0].unit, "seconds");
  }
}

TEST(RemoteWriteV2, BrokenReferencesRefuseOnlyTheirSeries) {
  const std::vector<std::vector<std::uint32_t>> cases = {{1}, {1, 2, 1}, {1, 99}, {4'000'000'000U, 2}};
  for (const auto& references : cases) {
    RequestV2 request;
    request.sample({{"__name__", "good"}}, 1, kNow);
    request.raw_series(references, [](Writer& series) { test::add_sample(series, 1, kNow); });
    auto decoded = v2(request);
    ASSERT_TRUE(decoded.result);
    EXPECT_TRUE(decoded.rows.rejections().failed());
    EXPECT_EQ(decoded.rejected("invalid_label_refs"), 1u);
    EXPECT_EQ(decoded.batch.series.size(), 1u);
  }
}

TEST(RemoteWriteV2, SymbolTableRules) {
  RequestV2 request;
  request.sample({{"__name__", "a"}}, 1, kNow);
  request.set_first_symbol("x");
  auto decoded = v2(request);
  ASSERT_FALSE(decoded.result);
  EXPECT_NE(decoded.result.error().message.find("first symbol must be the empty string"), std::string::npos);

  RequestV1 other;
  other.sample({{"__name__", "a"}}, 1, kNow);
  Decoded wrong(RemoteWriteVersion::v2, other.body());
  ASSERT_FALSE(wrong.result) << "a 1.0 body under a 2.0 content type must not vanish";
}

TEST(RemoteWriteV2, ASeriesNeedsOneKindOfRows) {
  RequestV2 request;
  request.series({{"__name__", "none"}}, [](Writer&) {});
  request.series({{"__name__", "both"}}, [](Writer& series) {
    test::add_sample(series, 1, kNow);
    test::add_histogram(series, 3, test::integer_histogram(), kNow);
  });
  request.sample({{"__name__", "good"}}, 1, kNow);
  auto decoded = v2(request);
  EXPECT_NE(decoded.error().find("at least one sample or histogram, series: 'none'"), std::string::npos)
      << decoded.error();
  EXPECT_EQ(decoded.rejected("mixed_samples"), 2u);
  ASSERT_EQ(decoded.batch.series.size(), 1u);
  EXPECT_EQ(decoded.batch.series[0].labels->to_string(), "good");
}

TEST(RemoteWriteV2, LabelRulesHoldToo) {
  RequestV2 request;
  request.sample({{"a", "b"}}, 1, kNow);
  request.sample({{"__name__", "m"}, {"a", "1"}, {"a", "2"}}, 1, kNow);
  request.sample({{"__name__", "m"}, {"a", "\xff"}}, 1, kNow);
  request.sample({{"z", "1"}, {"__name__", "m"}}, 1, kNow);
  auto decoded = v2(request);
  EXPECT_EQ(decoded.rejected("missing_metric_name"), 1u);
  EXPECT_EQ(decoded.rejected("duplicate_label_names"), 1u);
  EXPECT_EQ(decoded.rejected("label_value_invalid"), 1u);
  EXPECT_EQ(decoded.batch.series.size(), 1u);
  EXPECT_EQ(decoded.rows.unsorted_series(), 1u);
}

TEST(RemoteWriteV2, BadExemplarsFailTheRequest) {
  RequestV2 request;
  request.series({{"__name__", "a"}}, [&](Writer& series) {
    test::add_sample(series, 1, kNow);
    request.exemplar(series, {{"trace", std::string(124, 'x')}}, 1, kNow);
    request.exemplar(series, {{"trace", "ok"}}, 1, kNow);
  });
  auto decoded = v2(request);
  EXPECT_NE(decoded.error().find("err-mimir-exemplar-labels-too-long"), std::string::npos);
  EXPECT_EQ(decoded.batch.series[0].exemplars.size(), 1u);
  EXPECT_EQ(decoded.rows.exemplars_received(), 2u);
}

TEST(RemoteWriteV2, TruncatedAnywhereDoesNoHarm) {
  RequestV2 request;
  request.series({{"__name__", "a"}, {"b", "c"}}, [&](Writer& series) {
    test::add_sample(series, 1, kNow);
    request.exemplar(series, {{"t", "x"}}, 1, kNow);
    request.metadata(series, 1, "help", "unit");
  });
  const std::string body = request.body();
  for (std::size_t length = 0; length < body.size(); ++length) {
    Decoded decoded(RemoteWriteVersion::v2, body.substr(0, length));
    if (decoded.result) {
      for (const SeriesRows& rows : decoded.batch.series) EXPECT_TRUE(rows.labels->has("__name__"));
    }
  }
}

TEST(RemoteWriteRows, TheArenaIsReusable) {
  IngestRows rows;
  for (int round = 0; round < 3; ++round) {
    RequestV1 request;
    for (int i = 0; i <= round; ++i) request.sample({{"__name__", "a"}, {"i", std::to_string(i)}}, i, kNow);
    rows.reset({}, kNow);
    ASSERT_TRUE(decode_remote_write(RemoteWriteVersion::v1, request.body(), rows));
    EXPECT_EQ(rows.batch().series.size(), static_cast<std::size_t>(round + 1));
    EXPECT_EQ(rows.samples_received(), static_cast<std::size_t>(round + 1));
  }
}

TEST(SnappyBlock, RoundTripAndDamage) {
  const std::string text(100'000, 'x');
  const std::string block = snappy_block_encode(text);
  EXPECT_EQ(*snappy_block_length(block), text.size());
  std::string out;
  ASSERT_TRUE(snappy_block_decode(block, 1 << 20, out));
  EXPECT_EQ(out, text);
  EXPECT_EQ(snappy_block_decode(block, 99'999, out).error().kind, ErrorKind::too_large);
  EXPECT_EQ(snappy_block_decode(block.substr(0, block.size() - 1), 1 << 20, out).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(snappy_block_decode("", 1 << 20, out).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(snappy_block_decode("\xff\xff\xff\xff\xff\xff", 1 << 20, out).error().kind, ErrorKind::bad_input);
}

TEST(SnappyBlock, ABombIsFoundBeforeAllocating) {
  // Announces 90 MiB in eight bytes.
  const std::string bomb("\x80\x80\x80\x2d\x00\x00\x00\x00", 8);
  ASSERT_EQ(*snappy_block_length(bomb), 94'371'840u);
  std::string out;
  EXPECT_EQ(snappy_block_decode(bomb, 100 << 20, out).error().kind, ErrorKind::bad_input);
  EXPECT_LT(out.capacity(), 1000u);
}

TEST(SnappyBlock, StreamsAreRecognised) {
  EXPECT_TRUE(is_framed_snappy(std::string("\xff\x06\x00\x00sNaPpY\x01\x02", 12)));
  EXPECT_FALSE(is_framed_snappy(snappy_block_encode("x")));
}

}  // namespace
}  // namespace tocayo::metrics
