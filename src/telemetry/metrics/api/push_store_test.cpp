// SPDX-License-Identifier: Apache-2.0
// The write path over a real store: every limit with its error id, relabelling, bad input, and what is remembered of
// senders.
#include <gtest/gtest.h>

#include <thread>

#include "metrics/api/push.h"
#include "metrics/api/test_support.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"
#include "metrics/store_test_support.h"

namespace tocayo::metrics::api {
namespace {

using metrics::test::Pairs;
using metrics::test::RequestV1;
using metrics::test::RequestV2;
using metrics::test::Writer;
using test::Fixture;

constexpr TimestampMs kNow = 1'700'000'000'000;
constexpr std::string_view kV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

class TenantLimits final : public LimitsProvider {
 public:
  StoreLimits store_limits(std::string_view) const override { return limits; }
  StoreLimits limits;
};

// The push handler over a store in a directory of its own.
struct World {
  World() {
    clock.now = kNow;
    auto options = metrics::testing::options_for(dir.path, clock);
    options.limits = store_limits;
    options.memory_limit = 1000;
    options.memory_used = [this] { return memory_used.load(); };
    store = metrics::testing::must_open(options);
    fixture = std::make_unique<Fixture>([this](ApiDependencies& deps) {
      deps.appender = store.get();
      deps.clock = &clock;
      deps.limits = [this](std::string_view) {
        ApiLimits limits = fixture->limits;
        if (other_limits.load()) limits.ingest.max_label_names_per_series = 29;
        return limits;
      };
      deps.push.max_recv_msg_size = 8 << 20;
      deps.push.tenant_idle_timeout = std::chrono::minutes(30);
    });
  }

  http::Response push(std::string body, std::string_view type = "", std::string_view tenant = "t1") {
    http::Request request = Fixture::get("");
    request.method = "POST";
    if (!type.empty()) request.headers.set("Content-Type", std::string(type));
    request.headers.set("Content-Encoding", "snappy");
    request.identity.tenant = tenant;
    request.body = std::move(body);
    return sync_wait(fixture->core->push.remote_write(request));
  }
  http::Response push(const RequestV1& request, std::string_view tenant = "t1") {
    return push(snappy_block_encode(request.body()), "", tenant);
  }
  http::Response push(const RequestV2& request) { return push(snappy_block_encode(request.body()), kV2); }
  http::Response import(std::string_view text, std::string_view query = "") {
    http::Request request = Fixture::get(query);
    request.method = "POST";
    request.headers.set("Content-Type", "text/plain");
    request.body = text;
    return sync_wait(fixture->core->push.import_text(request));
  }
  std::vector<std::string> stored(std::string_view tenant = "t1") {
    std::vector<std::string> names;
    for (const auto& [labels, series] : metrics::testing::read_all(*store, tenant)) names.push_back(labels.to_string());
    return names;
  }

  metrics::testing::TemporaryDir dir;
  metrics::testing::ManualClock clock;
  std::atomic<std::uint64_t> memory_used{0};
  std::atomic<bool> other_limits{false};
  std::shared_ptr<TenantLimits> store_limits = std::make_shared<TenantLimits>();
  std::unique_ptr<Store> store;
  std::unique_ptr<Fixture> fixture;
};

std::string header(const http::Response& response, std::string_view what) {
  return std::string(response.headers.get("X-Prometheus-Remote-Write-" + std::string(what) + "-Written"));
}

RequestV1 one(const Pairs& labels, double value = 1, TimestampMs time = kNow) {
  return RequestV1().sample(labels, value, time);
}
RequestV1 one_histogram(const std::function<void(HistogramParts&)>& change) {
  HistogramParts parts = metrics::test::integer_histogram();
  change(parts);
  return RequestV1().series({{"__name__", "h"}},
                            [&](Writer& series) { metrics::test::add_histogram(series, 4, parts, kNow); });
}
RequestV2 one_exemplar(const Pairs& labels, TimestampMs time) {
  RequestV2 request;
  request.series({{"__name__", "a"}}, [&](Writer& series) {
    metrics::test::add_sample(series, 1, kNow);
    request.exemplar(series, labels, 1, time);
  });
  return request;
}

struct IdCase {
  const char* id;      // without err-mimir-
  const char* reason;  // of cortex_discarded_samples_total
  int status;
  std::function<http::Response(World&)> push;
};

std::vector<IdCase> id_cases() {
  const auto histogram = [](std::function<void(HistogramParts&)> change) {
    return [change](World& world) { return world.push(one_histogram(change)); };
  };
  const auto custom = [histogram](std::function<void(HistogramParts&)> change) {
    return histogram([change](HistogramParts& parts) {
      parts = {};
      parts.schema = kCustomBucketsSchema;
      parts.count_int = 3;
      parts.custom_values = {1, 2};
      parts.positive_spans = {{0, 2}};
      parts.positive_deltas = {1, 1};
      change(parts);
    });
  };
  const std::string bad_utf8 = "\xff\xfe";
  return {
      {"missing-metric-name", "missing_metric_name", 400, [](World& w) { return w.push(one({{"a", "b"}})); }},
      {"metric-name-invalid", "metric_name_invalid", 400,
       [=](World& w) { return w.push(one({{"__name__", bad_utf8}})); }},
      {"label-invalid", "label_invalid", 400,
       [=](World& w) { return w.push(one({{"__name__", "a"}, {bad_utf8, "x"}})); }},
      {"label-value-invalid", "label_value_invalid", 400,
       [=](World& w) { return w.push(one({{"__name__", "a"}, {"x", bad_utf8}})); }},
      {"duplicate-label-names", "duplicate_label_names", 400,
       [](World& w) { return w.push(one({{"__name__", "a"}, {"x", "1"}, {"x", "2"}})); }},
      {"label-name-too-long", "label_name_too_long", 400,
       [](World& w) { return w.push(one({{"__name__", "a"}, {std::string(1025, 'n'), "1"}})); }},
      {"label-value-too-long", "label_value_too_long", 400,
       [](World& w) { return w.push(one({{"__name__", "a"}, {"x", std::string(2049, 'v')}})); }},
      {"max-label-names-per-series", "max_label_names_per_series", 400,
       [](World& w) {
         w.fixture->limits.ingest.max_label_names_per_series = 2;
         return w.push(one({{"__name__", "a"}, {"x", "1"}, {"y", "2"}}));
       }},
      {"max-label-names-per-info-series", "max_label_names_per_info_series", 400,
       [](World& w) {
         w.fixture->limits.ingest.max_label_names_per_series = 2;
         w.fixture->limits.ingest.max_label_names_per_info_series = 3;
         EXPECT_EQ(w.push(one({{"__name__", "b_info"}, {"x", "1"}, {"y", "2"}})).status, 204);
         return w.push(one({{"__name__", "a_info"}, {"x", "1"}, {"y", "2"}, {"z", "3"}}));
       }},
      {"too-far-in-future", "too_far_in_future", 400,
       [](World& w) { return w.push(one({{"__name__", "a"}}, 1, kNow + 600'001)); }},
      {"too-far-in-past", "too_far_in_past", 400,
       [](World& w) {
         w.store_limits->limits.past_grace_period = std::chrono::minutes(1);
         return w.push(one({{"__name__", "a"}}, 1, kNow - 7'260'001));
       }},
      {"sample-timestamp-too-old", "sample_timestamp_too_old", 400,
       [](World& w) {
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "b"}}, 1, kNow - 7'200'001));
       }},
      {"sample-out-of-order", "sample_out_of_order", 400,
       [](World& w) {
         w.store_limits->limits.out_of_order_time_window = std::chrono::milliseconds(0);
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "a"}}, 1, kNow - 1));
       }},
      {"sample-duplicate-timestamp", "sample_duplicate_timestamp", 400,
       [](World& w) {
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204) << "the same again is no error";
         return w.push(one({{"__name__", "a"}}, 2));
       }},
      {"max-series-per-user", "max_series_per_user", 400,
       [](World& w) {
         w.store_limits->limits.max_global_series_per_user = 1;
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "b"}}));
       }},
      {"max-series-per-metric", "max_series_per_metric", 400,
       [](World& w) {
         w.store_limits->limits.max_global_series_per_metric = 1;
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "a"}, {"x", "1"}}));
       }},
      {"max-metadata-per-user", "max_metadata_per_user", 400,
       [](World& w) {
         w.store_limits->limits.max_global_metadata_per_user = 1;
         return w.push(RequestV1().metadata(1, "a", "h", "").metadata(1, "b", "h", ""));
       }},
      {"max-metadata-per-metric", "max_metadata_per_metric", 400,
       [](World& w) {
         w.store_limits->limits.max_global_metadata_per_metric = 1;
         return w.push(RequestV1().metadata(1, "a", "h", "").metadata(1, "a", "other", ""));
       }},
      {"metadata-missing-metric-name", nullptr, 400,
       [](World& w) { return w.push(RequestV1().metadata(1, "", "h", "")); }},
      {"metric-name-too-long", nullptr, 400,
       [](World& w) { return w.push(RequestV1().metadata(1, std::string(1025, 'a'), "h", "")); }},
      {"unit-too-long", nullptr, 400,
       [](World& w) { return w.push(RequestV1().metadata(1, "a", "h", std::string(1025, 'u'))); }},
      {"exemplar-labels-missing", "exemplar_labels_missing", 400,
       [](World& w) { return w.push(one_exemplar({}, kNow)); }},
      {"exemplar-labels-too-long", "exemplar_labels_too_long", 400,
       [](World& w) { return w.push(one_exemplar({{"trace", std::string(124, 'x')}}, kNow)); }},
      {"exemplar-timestamp-invalid", "exemplar_timestamp_invalid", 400,
       [](World& w) { return w.push(one_exemplar({{"t", "x"}}, 0)); }},
      {"exemplar-too-far-in-future", "exemplar_too_far_in_future", 400,
       [](World& w) { return w.push(one_exemplar({{"t", "x"}}, kNow + 600'001)); }},
      {"exemplar-too-far-in-past", "exemplar_too_far_in_past", 400,
       [](World& w) {
         w.fixture->limits.ingest.past_grace_period_ms = 60'000;
         return w.push(one_exemplar({{"t", "x"}}, kNow - 7'260'001));
       }},
      {"native-histogram-count-mismatch", "native_histogram_count_mismatch", 400,
       histogram([](HistogramParts& parts) { parts.count_int = 7; })},
      {"native-histogram-count-not-big-enough", "native_histogram_count_not_big_enough", 400,
       histogram([](HistogramParts& parts) {
         parts.count_int = 1;
         parts.sum = kStaleNaN * 2;  // a NaN that is no marker: some observations may be in no bucket
       })},
      {"native-histogram-negative-bucket-count", "native_histogram_negative_bucket_count", 400,
       histogram([](HistogramParts& parts) { parts.positive_deltas = {2, -3}; })},
      {"native-histogram-span-negative-offset", "native_histogram_span_negative_offset", 400,
       histogram([](HistogramParts& parts) { parts.positive_spans = {{0, 1}, {-1, 1}}; })},
      {"native-histogram-spans-buckets-mismatch", "native_histogram_spans_buckets_mismatch", 400,
       histogram([](HistogramParts& parts) { parts.positive_spans = {{0, 5}}; })},
      {"native-histogram-custom-buckets-mismatch", "native_histogram_custom_buckets_mismatch", 400,
       custom([](HistogramParts& parts) {
         parts.positive_spans = {{0, 4}};
         parts.positive_deltas = {1, 0, 0, 0};
         parts.count_int = 4;
       })},
      {"native-histogram-custom-buckets-invalid", "native_histogram_custom_buckets_invalid", 400,
       custom([](HistogramParts& parts) { parts.custom_values = {2, 1}; })},
      {"native-histogram-custom-buckets-infinite", "native_histogram_custom_buckets_infinite", 400,
       custom([](HistogramParts& parts) { parts.custom_values = {1, std::numeric_limits<double>::infinity()}; })},
      {"invalid-native-histogram-schema", "invalid_native_histogram_schema", 400,
       histogram([](HistogramParts& parts) { parts.schema = 53; })},
      {"max-native-histogram-buckets", "max_native_histogram_buckets", 400,
       [=](World& w) {
         w.fixture->limits.ingest.max_native_histogram_buckets = 1;
         w.fixture->limits.ingest.reduce_native_histogram_over_max_buckets = false;
         return histogram([](HistogramParts&) {})(w);
       }},
      {"not-reducible-native-histogram", "not_reducible_native_histogram", 400,
       [=](World& w) {
         w.fixture->limits.ingest.max_native_histogram_buckets = 1;
         return custom([](HistogramParts&) {})(w);
       }},
      {"tenant-max-request-rate", nullptr, 429,
       [](World& w) {
         w.fixture->limits.request_rate = 0.0001;
         w.fixture->limits.request_burst_size = 1;
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "a"}}));
       }},
      {"tenant-max-ingestion-rate", "rate_limited", 429,
       [](World& w) {
         w.fixture->limits.ingestion_rate = 0.0001;
         w.fixture->limits.ingestion_burst_factor = 10'000;  // a burst of one
         w.fixture->limits.ingestion_burst_size = 100;
         EXPECT_EQ(w.push(one({{"__name__", "a"}})).status, 204);
         return w.push(one({{"__name__", "a"}}));
       }},
      {"distributor-max-write-message-size", nullptr, 413,
       [](World& w) { return w.push(snappy_block_encode(std::string((8 << 20) + 1, 'x'))); }},
  };
}

TEST(PushIds, EveryLimitNamesItsIdAndIsCounted) {
  for (const IdCase& one_case : id_cases()) {
    SCOPED_TRACE(one_case.id);
    World world;
    // The store counts in the process' registry.
    const auto counted = [&] {
      if (one_case.reason == nullptr) return 0.0;
      const std::string labels = std::string("{reason=\"") + one_case.reason + "\",user=\"t1\"}";
      const std::string line = "cortex_discarded_samples_total" + labels + " ";
      const std::string text = Registry::global().to_text();
      const std::size_t at = text.find(line);
      return std::max(0.0, world.fixture->metric("cortex_discarded_samples_total", labels)) +
             (at == std::string::npos ? 0 : std::stod(text.substr(at + line.size())));
    };
    const double before = counted();
    const http::Response response = one_case.push(world);
    EXPECT_EQ(response.status, one_case.status) << response.body;
    EXPECT_NE(response.body.find("(err-mimir-" + std::string(one_case.id) + ")"), std::string::npos) << response.body;
    EXPECT_EQ(response.headers.has("Retry-After"), one_case.status == 429);
    if (one_case.reason != nullptr) {
      EXPECT_EQ(counted(), before + 1);
    }
    // The tenant goes on, and so do others.
    world.fixture->limits = {};
    world.store_limits->limits = {};
    EXPECT_EQ(world.push(one({{"__name__", "after"}})).status, 204);
    EXPECT_EQ(world.push(one({{"__name__", "after"}}), "t2").status, 204);
  }
}

TEST(PushIds, MemoryGuardAsksToSendAgain) {
  World world;
  EXPECT_EQ(world.push(one({{"__name__", "a"}})).status, 204);
  world.memory_used = 920;
  world.store->maintain();
  RequestV1 both;
  both.sample({{"__name__", "a"}}, 2, kNow + 1).sample({{"__name__", "b"}}, 2, kNow + 1);
  auto refused = world.push(both);
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_TRUE(refused.headers.has("Retry-After"));
  EXPECT_EQ(header(refused, "Samples"), "1") << "known series go on";
  world.memory_used = 0;
  world.store->maintain();
  auto again = world.push(both);
  EXPECT_EQ(again.status, 204) << again.body;
  EXPECT_EQ(header(again, "Samples"), "2");
}

std::shared_ptr<const IngestRules> rules_of(std::vector<std::string> drop, std::string_view yaml) {
  auto rules = ingest_rules(drop, yaml);
  EXPECT_TRUE(rules) << (rules ? "" : rules.error().message);
  return rules ? *rules : nullptr;
}

TEST(PushRelabel, RulesThenDropLabelsThenChecks) {
  World world;
  world.fixture->limits.ingest.rules =
      rules_of({"replica"},
               "[{source_labels: [__name__], regex: 'go_.*', action: drop}, {source_labels: [__meta_tenant_id], "
               "target_label: owner}, {source_labels: [long], regex: '(.{3}).*', target_label: long}]");
  world.fixture->limits.ingest.max_label_value_length = 8;
  RequestV1 request;
  request.sample({{"__name__", "go_info"}, {"x", "1"}}, 1, kNow);
  request.sample({{"__name__", "up"}, {"long", "123456789"}, {"replica", "r1"}}, 1, kNow);
  for (int round = 0; round < 3; ++round) {
    auto response = world.push(request);
    EXPECT_EQ(response.status, 204) << response.body;
    EXPECT_EQ(header(response, "Samples"), "1");
  }
  EXPECT_EQ(world.stored(), (std::vector<std::string>{"up{long=\"123\", owner=\"t1\"}"}));
  EXPECT_EQ(world.fixture->metric("cortex_discarded_samples_total", "{reason=\"relabel_configuration\",user=\"t1\"}"),
            3);
  EXPECT_EQ(world.import("go_x 1\nimported{replica=\"a\"} 2\n").status, 204);
  EXPECT_EQ(world.stored(), (std::vector<std::string>{"imported{owner=\"t1\"}", "up{long=\"123\", owner=\"t1\"}"}));

  // Other rules count at once, also for series that were sent before.
  world.fixture->limits.ingest.rules = rules_of({"__name__", "x", "long", "replica"}, "");
  auto nothing = world.push(request);
  EXPECT_EQ(nothing.status, 204) << nothing.body;
  EXPECT_EQ(header(nothing, "Samples"), "0");
  EXPECT_EQ(world.fixture->metric("cortex_discarded_samples_total",
                                  "{reason=\"user_label_removal_configuration\",user=\"t1\"}"),
            2);
  world.fixture->limits.ingest.rules = rules_of({"__name__"}, "");
  auto nameless = world.push(request);
  EXPECT_EQ(nameless.status, 400);
  EXPECT_NE(nameless.body.find("(err-mimir-missing-metric-name)"), std::string::npos) << nameless.body;
  world.fixture->limits.ingest.rules = nullptr;
  world.fixture->limits.ingest.max_label_value_length = 2048;
  EXPECT_EQ(world.push(request).status, 204);
  EXPECT_EQ(world.stored().size(), 4U);
}

TEST(PushRelabel, WhatIsTakenAwayIsNoRejection) {
  World world;
  world.fixture->limits.ingest.rules = rules_of({}, "[{source_labels: [__name__], regex: 'go_.*', action: drop}]");
  RequestV1 request;
  request.sample({{"__name__", "go_a"}}, 1, kNow).sample({{"__name__", "go_b"}}, 1, kNow).sample({{"x", "1"}}, 1, kNow);
  auto response = world.push(request);
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("1 of 3 samples rejected: missing_metric_name=1\n"), std::string::npos) << response.body;
}

TEST(PushRelabel, RulesThatCannotBeReadAreAnError) {
  EXPECT_FALSE(ingest_rules({}, "[{action: nonsense}]"));
  EXPECT_FALSE(ingest_rules({}, "{"));
  const std::vector<std::string> names = {"a"};
  auto rest = ingest_rules_or_none(names, "[{action: nonsense}]");
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(rest->drop_labels, names);
  EXPECT_EQ(ingest_rules_or_none({}, "[{action: nonsense}]"), nullptr);
  EXPECT_EQ(ingest_rules_or_none(names, ""), ingest_rules_or_none(names, "")) << "made once";
}

TEST(PushBadInput, NothingBreaksAndTheNextRequestIsFine) {
  const std::string good = RequestV1().sample({{"__name__", "good"}}, 1, kNow).body();
  const auto snappy = [](std::string body) { return snappy_block_encode(body); };
  RequestV1 many_labels;
  {
    Pairs labels = {{"__name__", "a"}};
    for (int i = 10'000; i < 20'000; ++i) labels.push_back({"l" + std::to_string(i), "v"});
    many_labels.sample(labels, 1, kNow);
  }
  HistogramParts spans = metrics::test::integer_histogram();
  spans.positive_spans.assign(100'000, {1, 0});
  HistogramParts long_span = metrics::test::integer_histogram();
  long_span.positive_spans = {{0, UINT32_MAX}};
  HistogramParts nan_counts;
  nan_counts.is_float = true;
  nan_counts.count_float = std::numeric_limits<double>::quiet_NaN();
  nan_counts.positive_spans = {{0, 1}};
  nan_counts.positive_counts = {std::numeric_limits<double>::quiet_NaN()};
  const auto histogram = [&](const HistogramParts& parts) {
    return snappy(
        RequestV1()
            .series({{"__name__", "h"}}, [&](Writer& series) { metrics::test::add_histogram(series, 4, parts, kNow); })
            .body());
  };
  std::string huge_field(good);
  huge_field += std::string("\x0a\xff\xff\xff\xff\x0f", 6);  // a series of 4 GiB
  RequestV2 bad_reference;
  bad_reference.raw_series({1, 2}, [](Writer& series) { metrics::test::add_sample(series, 1, kNow); });
  RequestV2 first_symbol;
  first_symbol.sample({{"__name__", "a"}}, 1, kNow);
  first_symbol.set_first_symbol("x");

  struct Case {
    const char* name;
    std::string body;
    std::string_view type;
    std::vector<int> status;
  };
  const Case cases[] = {
      {"a snappy bomb", std::string("\xff\xff\xff\x03", 4) + std::string(100, '\0'), "", {400}},
      {"a snappy header of 4 GiB", std::string("\xff\xff\xff\xff\x0f\x00", 6), "", {413}},
      {"no snappy header", "", "", {400}},
      {"an endless header", std::string(20, '\xff'), "", {400}},
      {"framed snappy", std::string("\xff\x06\x00\x00sNaPpY", 10), "", {415}},
      {"cut off snappy", snappy(good).substr(0, 10), "", {400}},
      {"cut off protobuf", snappy(good.substr(0, good.size() - 3)), "", {400}},
      {"not protobuf", snappy(std::string(1000, '\xff')), "", {400}},
      {"a field longer than the body", snappy(huge_field), "", {400}},
      {"wrong wire type: series as a number", snappy(std::string("\x08\x01", 2)), "", {400}},
      {"wrong wire type: a label as a number", snappy(std::string("\x0a\x02\x08\x01", 4)), "", {400}},
      {"2.0 as 1.0", snappy(RequestV2().sample({{"__name__", "a"}}, 1, kNow).body()), "", {400}},
      {"1.0 as 2.0", snappy(good), kV2, {400}},
      {"a reference out of range", snappy(bad_reference.body()), kV2, {400}},
      {"a first symbol that is not empty", snappy(first_symbol.body()), kV2, {400}},
      {"10,000 labels", snappy(many_labels.body()), "", {400}},
      {"a value of 1 MB", snappy(one({{"__name__", "a"}, {"x", std::string(1 << 20, 'v')}}).body()), "", {400}},
      {"a name of 1 MB", snappy(one({{"__name__", "a"}, {std::string(1 << 20, 'n'), "v"}}).body()), "", {400}},
      {"a metric name that is not UTF-8", snappy(one({{"__name__", "\xc3\x28"}}).body()), "", {400}},
      {"the last time there is", snappy(one({{"__name__", "a"}}, 1, INT64_MAX).body()), "", {400}},
      {"the first time there is", snappy(one({{"__name__", "a"}}, 1, INT64_MIN).body()), "", {400}},
      {"100,000 empty spans", histogram(spans), "", {400, 204}},
      {"a span of 4 G buckets", histogram(long_span), "", {400}},
      {"NaN counts", histogram(nan_counts), "", {400}},
  };
  World world;
  world.fixture->limits.ingest.max_label_names_per_series = 30;
  EXPECT_EQ(world.push(RequestV1().sample({{"__name__", "first"}}, 1, kNow)).status, 204);
  for (const Case& one_case : cases) {
    SCOPED_TRACE(one_case.name);
    for (int round = 0; round < 2; ++round) {
      auto response = world.push(one_case.body, one_case.type);
      EXPECT_NE(std::find(one_case.status.begin(), one_case.status.end(), response.status), one_case.status.end())
          << response.status << " " << response.body;
      EXPECT_LE(response.body.size(), 4096U);
      EXPECT_TRUE(is_valid_utf8(response.body));
      if (response.status >= 400) {
        EXPECT_EQ(header(response, "Samples"), "0");
        EXPECT_GT(response.body.size(), 10U);
      }
      EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_inflight_push_bytes"), 0);
      EXPECT_EQ(world.push(RequestV1().sample({{"__name__", "good"}}, 1, kNow)).status, 204);
    }
  }
  EXPECT_EQ(world.stored(), (std::vector<std::string>{"first", "good"}));
}

TEST(PushTenants, IdleOnesAreGivenUp) {
  World world;
  for (int i = 0; i < 50; ++i) {
    const std::string tenant = "t" + std::to_string(i);
    EXPECT_EQ(world.push(one({{"__name__", "a"}}), tenant).status, 204);
  }
  EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_push_tenants"), 50);
  EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_sender_cache_series"), 50);
  EXPECT_GT(world.fixture->metric("tocayo_memory_bytes", "{component=\"sender_cache\"}"), 50 * 24);
  world.clock.now += 20 * 60'000;
  EXPECT_EQ(world.push(one({{"__name__", "a"}}, 2, world.clock.now), "t7").status, 204);
  EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_push_tenants"), 50);
  world.clock.now += 20 * 60'000;
  EXPECT_EQ(world.push(one({{"__name__", "a"}}, 3, world.clock.now), "t8").status, 204);
  EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_push_tenants"), 2) << "t7, and t8 anew";
  EXPECT_EQ(world.fixture->metric("tocayo_metrics_api_sender_cache_series"), 2);
  EXPECT_EQ(world.fixture->metric("cortex_distributor_samples_in_total", "{user=\"t8\"}"), 2) << "counters go on";
}

TEST(PushConcurrent, LimitsChangeUnderLoad) {
  World world;
  world.fixture->limits.ingest.max_label_names_per_series = 30;
  std::atomic<int> bad{0};
  {
    std::vector<std::jthread> senders;
    for (int s = 0; s < 4; ++s) {
      senders.emplace_back([&, s] {
        for (int round = 0; round < 30; ++round) {
          const TimestampMs time = kNow - 1'000'000 + round * 100 + s;
          RequestV1 v1;
          RequestV2 v2;
          for (int i = 0; i < 20; ++i) {
            const Pairs labels = {{"__name__", "m"}, {"i", std::to_string(i)}};
            s % 2 == 0 ? (void)v1.sample(labels, s, time) : (void)v2.sample(labels, s, time);
          }
          auto response = s % 2 == 0 ? world.push(v1) : world.push(v2);
          if (round % 5 == s) world.other_limits = !world.other_limits;
          if (response.status != 204 || header(response, "Samples") != "20") ++bad;
        }
      });
    }
  }
  EXPECT_EQ(bad, 0);
  const auto all = metrics::testing::read_all(*world.store, "t1");
  ASSERT_EQ(all.size(), 20U);
  for (const auto& [labels, series] : all) EXPECT_EQ(series.floats.size(), 120U) << labels.to_string();
  EXPECT_LE(world.fixture->metric("tocayo_metrics_api_sender_cache_series"), 40) << "two spellings of each series";
}

}  // namespace
}  // namespace tocayo::metrics::api
