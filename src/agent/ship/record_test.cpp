// SPDX-License-Identifier: Apache-2.0
// Records of samples, the requests they become, and the configuration of where they go.
#include "agent/ship/record.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <random>

#include "agent/ship/destination.h"
#include "agent/ship/request.h"
#include "metrics/ingest_rows.h"
#include "metrics/remote_write.h"

namespace tocayo::agent {
namespace {

using metrics::RemoteWriteVersion;

struct Everything {
  Labels labels{{"__name__", "requests_total"}, {"job", "a"}};
  Labels second{{"__name__", "latency"}, {"job", "a"}, {"zone", "z"}};
  std::vector<metrics::FloatRow> floats{{1000, 1.5, 900}, {2000, metrics::kStaleNaN, 0}};
  std::vector<metrics::HistogramRow> histograms;
  std::vector<metrics::ExemplarRow> exemplars{{Labels{{"trace_id", "abc"}}, 3.5, 1500}};
  std::vector<metrics::MetadataRow> metadata{{"requests", "counter", "How many.", ""},
                                             {"latency", "histogram", "How long.", "seconds"}};
  std::vector<metrics::SeriesRows> series;

  Everything() {
    auto histogram = std::make_shared<metrics::FloatHistogram>();
    histogram->schema = 1;
    histogram->zero_threshold = 0.001;
    histogram->zero_count = 1;
    histogram->count = 6;
    histogram->sum = 12.5;
    histogram->positive_spans = {{0, 2}};
    histogram->positive_buckets = {2, 1};
    histogram->negative_spans = {{1, 1}};
    histogram->negative_buckets = {2};
    auto fraction = std::make_shared<metrics::FloatHistogram>(*histogram);
    fraction->count = 6.5;
    fraction->zero_count = 1.5;
    fraction->hint = metrics::ResetHint::gauge;
    auto custom = std::make_shared<metrics::FloatHistogram>();
    custom->schema = metrics::kCustomBucketsSchema;
    custom->custom_values = {0.5, 1};
    custom->positive_spans = {{0, 3}};
    custom->positive_buckets = {1, 2, 3};
    custom->count = 6;
    custom->sum = 4;
    histograms = {{1000, histogram, true, 500}, {2000, fraction, false, 0}, {3000, custom, true, 0}};
    series.resize(2);
    series[0].labels = &labels;
    series[0].floats = floats;
    series[0].exemplars = exemplars;
    series[1].labels = &second;
    series[1].histograms = histograms;
  }
  metrics::AppendBatch batch() { return {series, metadata}; }
};

TEST(ShipRecord, EverythingComesBack) {
  Everything all;
  std::string record;
  RecordHead head = encode_record(all.batch(), {}, record);
  EXPECT_EQ(head.rows, 6U);
  EXPECT_EQ(head.min_time, 1000);
  EXPECT_EQ(head.max_time, 3000);
  EXPECT_EQ(decode_head(record)->rows, 6U);
  auto rows = decode_record(record);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ((*rows)->series.size(), 2U);
  EXPECT_EQ((*rows)->label_set((*rows)->series[1].label_begin, (*rows)->series[1].label_count), all.second);
  EXPECT_EQ((*rows)->floats[0].start_time, 900);
  EXPECT_TRUE(metrics::is_stale((*rows)->floats[1].value));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE((*rows)->histograms[i].histogram->equals(*all.histograms[i].histogram)) << i;
    EXPECT_EQ((*rows)->histograms[i].integer, all.histograms[i].integer);
    EXPECT_EQ((*rows)->histograms[i].start_time, all.histograms[i].start_time);
  }
  EXPECT_EQ((*rows)->metadata[1].unit, "seconds");
}

TEST(ShipRecord, NoTruncationOrBitFlipGetsThrough) {
  Everything all;
  std::string record;
  encode_record(all.batch(), {}, record);
  for (std::size_t size = 0; size < record.size(); ++size) EXPECT_FALSE(decode_record(record.substr(0, size))) << size;
  std::minstd_rand random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = record;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    if (auto rows = decode_record(damaged)) {  // may read; then what it names must exist
      for (std::uint32_t symbol : (*rows)->labels) ASSERT_LT(symbol, (*rows)->symbols.size());
    }
  }
}

TEST(ShipRecord, ExternalLabelsAndRelabelling) {
  Everything all;
  auto parsed = parse_remote_write(
      "global: {external_labels: {job: other, cluster: c1}}\n"
      "remote_write:\n- url: http://x/write\n  write_relabel_configs: [{source_labels: [__name__], regex: latency, "
      "action: drop}]\n",
      "f.yaml", "");
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::string record;
  RecordHead head = encode_record(all.batch(), (*parsed)[0].rules, record);
  EXPECT_EQ(head.rows, 2U) << "exemplars are off by default";
  auto rows = decode_record(record);
  ASSERT_EQ((*rows)->series.size(), 1U);
  EXPECT_EQ((*rows)->label_set(0, (*rows)->series[0].label_count),
            Labels({{"__name__", "requests_total"}, {"cluster", "c1"}, {"job", "a"}}));
}

void expect_decodes(RemoteWriteVersion version) {
  Everything all;
  std::string record;
  encode_record(all.batch(), {}, record);
  auto rows = decode_record(record);
  std::vector<Item> items;
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto& series = (*rows)->series[i];
    items.push_back({rows->get(), i, series.float_begin, series.float_count, series.histogram_begin,
                     series.histogram_count, series.exemplar_begin, series.exemplar_count});
  }
  MetadataTable table;
  for (const auto& row : all.metadata) table[row.metric] = row;
  metrics::IngestLimits limits;
  metrics::IngestRows out;
  out.reset(limits, Clock::system().now_ms());
  auto done = metrics::decode_remote_write(version, encode_request(version, items, table), out);
  ASSERT_TRUE(done) << done.error().message;
  auto batch = out.batch();
  ASSERT_EQ(batch.series.size(), 2U);
  EXPECT_EQ(*batch.series[0].labels, all.labels);
  EXPECT_EQ(*batch.series[1].labels, all.second);
  ASSERT_EQ(batch.series[0].floats.size(), 2U);
  EXPECT_EQ(batch.series[0].floats[0].value, 1.5);
  EXPECT_TRUE(metrics::is_stale(batch.series[0].floats[1].value));
  ASSERT_EQ(batch.series[0].exemplars.size(), 1U);
  EXPECT_EQ(batch.series[0].exemplars[0].labels.get("trace_id"), "abc");
  ASSERT_EQ(batch.series[1].histograms.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(batch.series[1].histograms[i].histogram->equals(*all.histograms[i].histogram)) << i;
    EXPECT_EQ(batch.series[1].histograms[i].integer, all.histograms[i].integer) << i;
  }
  if (version == RemoteWriteVersion::v2) {
    EXPECT_EQ(batch.series[0].floats[0].start_time, 900);
    ASSERT_EQ(batch.metadata.size(), 2U);
    EXPECT_EQ(batch.metadata[0].type, "counter");
  }
}
TEST(ShipRequest, VersionOneIsReadByTheServersDecoder) { expect_decodes(RemoteWriteVersion::v1); }
TEST(ShipRequest, VersionTwoIsReadByTheServersDecoder) { expect_decodes(RemoteWriteVersion::v2); }

TEST(ShipDestination, ReadsPrometheusKeysAndLocatesErrors) {
  auto parsed = parse_remote_write(R"(remote_write:
- url: https://user:pw@obs.example/api/v1/push?x=1
  remote_timeout: 10s
  protobuf_message: io.prometheus.write.v2.Request
  headers: {X-Scope-OrgID: t1}
  basic_auth: {username: u, password: p}
  send_exemplars: true
  queue_config: {min_shards: 2, max_shards: 9, max_samples_per_send: 500, capacity: 2500, batch_send_deadline: 1s, min_backoff: 10ms,
                 max_backoff: 1s, retry_on_http_429: false, sample_age_limit: 2h, max_disk: 1GiB, when_full: block}
  metadata_config: {send: false}
)",
                                   "p.yml", "/etc");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Destination& to = (*parsed)[0];
  EXPECT_EQ(to.name, "https://obs.example/api/v1/push");
  EXPECT_EQ(to.version, RemoteWriteVersion::v2);
  EXPECT_EQ(to.queue.max_shards, 9U);
  EXPECT_EQ(to.queue.max_disk, 1ULL << 30);
  EXPECT_EQ(to.queue.when_full, WhenFull::block);
  EXPECT_FALSE(to.queue.retry_on_http_429);
  EXPECT_FALSE(to.rules.metadata);
  EXPECT_TRUE(to.rules.exemplars);
  EXPECT_EQ(directory_name(to).find('/'), std::string::npos);
  auto message = [](std::string_view text) {
    auto bad = parse_remote_write(text, "p.yml", "");
    return bad ? std::string("no error") : bad.error().message;
  };
  EXPECT_NE(message("remote_write:\n- url: ftp://x\n").find("p.yml:2:"), std::string::npos)
      << message("remote_write:\n- url: ftp://x\n");
  EXPECT_NE(message("remote_write:\n- url: http://x\n  qeue_config: {}\n").find("did you mean"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n- url: http://x\n").find("multiple"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  headers: {Authorization: x}\n").find("reserved"),
            std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  sigv4: {}\n").find("not supported"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  queue_config: {max_shards: 0}\n").find("at least 1"),
            std::string::npos);
}

TEST(ShipDestination, HidesSecretsAndExpandsTheEnvironment) {
  auto text = without_secrets(
      "remote_write:\n- url: http://u:pw@x/y\n  bearer_token: tcy_1\n  headers: {X-Key: abc}\n  basic_auth: {username: "
      "u, password: p1}\n",
      "f");
  ASSERT_TRUE(text);
  for (const char* secret : {"tcy_1", "abc", "p1", "pw"}) EXPECT_EQ(text->find(secret), std::string::npos) << *text;
  EXPECT_NE(text->find("<secret>"), std::string::npos);
  ::setenv("SHIP_TEST_A", "value", 1);
  EXPECT_EQ(expand_environment("a ${SHIP_TEST_A} ${SHIP_TEST_NONE:-else} ${1} ${SHIP_TEST_NONE} $x ${"),
            "a value else ${1} ${SHIP_TEST_NONE} $x ${");
}

}  // namespace
}  // namespace tocayo::agent
