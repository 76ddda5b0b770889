// SPDX-License-Identifier: Apache-2.0
// The scraper with a network and a store in memory and the real clock; intervals of a few tens of milliseconds, and no
// test that waits for anything but a condition.
#include "agent/scrape/scraper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

#include "agent/host/testing.h"
#include "agent/scrape/response.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr auto kDeadline = std::chrono::seconds(30);

struct Sample {
  TimestampMs time;
  double value;
  bool histogram = false;
  bool stale() const { return !histogram && metrics::is_stale(value); }
};

// Network and store: both only remember and answer.
class World final : public http::Client, public metrics::Appender {
 public:
  using Answer = std::function<Result<http::ClientResponse>(const http::ClientRequest&)>;

  Task<Result<http::ClientResponse>> send(http::ClientRequest request, Context) override {
    Answer answer;
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
      auto it = answers_.find(request.url);
      if (it != answers_.end()) answer = it->second;
      changed_.notify_all();
    }
    if (!answer) co_return fail(ErrorKind::unavailable, "connection refused");
    co_return answer(request);
  }
  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(tenant, "anonymous");
    for (auto& row : batch.series) {
      std::string name = row.labels->to_string();
      row.ref = refs_.emplace(name, refs_.size() + 1).first->second;
      for (const auto& value : row.floats) samples_[name].push_back({value.time, value.value});
      for (const auto& value : row.histograms)
        samples_[name].push_back({value.time, static_cast<double>(value.histogram->schema), true});
    }
    for (const auto& row : batch.metadata) metadata_[row.metric] = row;
    changed_.notify_all();
    co_return metrics::AppendResult{};
  }

  void answer(const std::string& url, Answer how) {
    std::lock_guard lock(mutex_);
    answers_[url] = std::move(how);
  }
  void answer(const std::string& url, std::string body, std::string type = "text/plain; version=0.0.4") {
    answer(url, [body, type](const http::ClientRequest&) {
      http::ClientResponse response;
      response.status = 200;
      response.body = body;
      if (!type.empty()) response.headers.add("Content-Type", type);
      return response;
    });
  }
  // Waits until `met` holds of a series' samples; false after the deadline.
  bool wait(const std::string& series, const std::function<bool(const std::vector<Sample>&)>& met) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return met(samples_[series]); });
  }
  bool wait_value(const std::string& series, double value) {
    return wait(series, [value](const auto& list) { return !list.empty() && list.back().value == value; });
  }
  bool wait_stale(const std::string& series) {
    return wait(series, [](const auto& list) { return !list.empty() && list.back().stale(); });
  }
  // Until `more` requests beyond those of now were sent.
  bool wait_requests(std::size_t more) {
    std::unique_lock lock(mutex_);
    std::size_t wanted = requests_.size() + more;
    return changed_.wait_for(lock, kDeadline, [&] { return requests_.size() >= wanted; });
  }
  std::vector<Sample> samples(const std::string& series) {
    std::lock_guard lock(mutex_);
    return samples_[series];
  }
  std::vector<http::ClientRequest> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::map<std::string, metrics::MetadataRow> metadata() {
    std::lock_guard lock(mutex_);
    return metadata_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, metrics::SeriesRef> refs_;
  std::map<std::string, std::vector<Sample>> samples_;
  std::map<std::string, metrics::MetadataRow> metadata_;
  std::vector<http::ClientRequest> requests_;
};

class ScraperTest : public ::testing::Test {
 protected:
  void apply(std::string_view yaml) {
    auto file = parse_scrape_file(yaml, "p.yml", tree.path());
    ASSERT_TRUE(file) << file.error().message;
    scraper->apply(std::move(*file));
  }
  // One job `j` with target `h:1` and these fields; a short interval unless given.
  void apply_job(std::string_view fields = "", std::string_view interval = "50ms", std::string_view targets = "'h:1'") {
    apply(
        fmt::format("scrape_configs:\n- job_name: j\n  scrape_interval: {}\n  static_configs: [{{targets: [{}]}}]\n{}",
                    interval, targets, fields));
  }
  static std::string of(std::string_view name, std::string_view instance = "h:1") {
    return fmt::format("{}{{instance=\"{}\", job=\"j\"}}", name, instance);
  }

  FixtureTree tree;
  World world;
  Pool pool{"compute", 2};
  std::unique_ptr<Scraper> scraper = Scraper::create({}, world, world, pool);
};

TEST_F(ScraperTest, ReportsOnAGoodScrape) {
  world.answer("http://h:1/metrics", "# TYPE a gauge\n# HELP a Text.\na 7\nb 8\n");
  apply_job("  sample_limit: 10\n");
  ASSERT_TRUE(world.wait_value(of("scrape_body_size_bytes"), 38));
  EXPECT_EQ(world.samples(of("a")).front().value, 7);
  auto first = [&](std::string_view name) { return world.samples(of(name)).front().value; };
  EXPECT_EQ(first("up"), 1);
  EXPECT_EQ(first("scrape_samples_scraped"), 2);
  EXPECT_EQ(first("scrape_samples_post_metric_relabeling"), 2);
  EXPECT_EQ(first("scrape_series_added"), 2);
  EXPECT_EQ(first("scrape_timeout_seconds"), 0.05);
  EXPECT_EQ(first("scrape_sample_limit"), 10);
  EXPECT_GE(first("scrape_duration_seconds"), 0);
  ASSERT_TRUE(world.wait_value(of("scrape_series_added"), 0));
  EXPECT_EQ(world.metadata().at("a").help, "Text.");
  auto request = world.requests().front();
  EXPECT_EQ(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"), "0.05");
  EXPECT_TRUE(request.headers.get("Accept").starts_with("application/openmetrics-text;version=1.0.0"));
  auto active = scraper->active();
  ASSERT_EQ(active.size(), 1U);
  EXPECT_EQ(active[0].health, "up");
  EXPECT_EQ(active[0].series, 2U);
  EXPECT_EQ(scraper->metadata("a").size(), 1U);
  EXPECT_EQ(scraper->metadata("nonsense").size(), 0U);
  EXPECT_TRUE(scraper->pool_config("j"));
  EXPECT_FALSE(scraper->pool_config("k"));
}

TEST_F(ScraperTest, ExtraReportsCanBeOff) {
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job("  extra_scrape_metrics: false\n");
  ASSERT_TRUE(world.wait_value(of("up"), 1));
  EXPECT_TRUE(world.samples(of("scrape_timeout_seconds")).empty());
}

TEST_F(ScraperTest, SamplesLieOneIntervalApart) {
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job();
  ASSERT_TRUE(world.wait(of("a"), [](const auto& list) { return list.size() >= 5; }));
  auto list = world.samples(of("a"));
  for (std::size_t i = 1; i < list.size(); ++i) EXPECT_GT(list[i].time, list[i - 1].time);
}

TEST_F(ScraperTest, AFailedScrapeEndsTheSeries) {
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job("  scrape_failure_log_file: failures.json\n");
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  world.answer("http://h:1/metrics", [](const auto&) {
    http::ClientResponse response;
    response.status = 503;
    return response;
  });
  ASSERT_TRUE(world.wait_stale(of("a")));
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  ASSERT_TRUE(world.wait_requests(2));
  EXPECT_EQ(scraper->active().at(0).health, "down");
  EXPECT_EQ(scraper->active().at(0).last_error, "server returned HTTP status 503 Service Unavailable");
  world.answer("http://h:1/metrics", "a 8\n");
  ASSERT_TRUE(world.wait_value(of("a"), 8));
  ASSERT_TRUE(world.wait_value(of("up"), 1));
  scraper->stop();
  std::size_t markers = 0;
  for (const auto& sample : world.samples(of("a"))) markers += sample.stale();
  EXPECT_EQ(markers, 1U);
  std::string log = *tocayo::read_file(tree.path("failures.json"));
  EXPECT_NE(
      log.find(
          R"("msg":"server returned HTTP status 503 Service Unavailable","job_name":"j","target":"http://h:1/metrics"})"),
      std::string::npos)
      << log;
}

TEST_F(ScraperTest, ABrokenBodyFailsTheScrape) {
  world.answer("http://h:1/metrics", "a 7\n!!\n");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  ASSERT_TRUE(world.wait_value(of("scrape_samples_scraped"), 1));
  EXPECT_TRUE(world.samples(of("a")).empty());
}

TEST_F(ScraperTest, AnEmptyBodyNeedsNoContentType) {
  world.answer("http://h:1/metrics", "", "");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("up"), 1));
}

TEST_F(ScraperTest, ContentTypeAndFallback) {
  world.answer("http://h:1/metrics", "a 7\n", "");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  apply_job("  fallback_scrape_protocol: PrometheusText0.0.4\n");
  ASSERT_TRUE(world.wait_value(of("up"), 1));
  EXPECT_EQ(body_format("application/openmetrics-text; version=1.0.0", ""), metrics::ExpositionFormat::openmetrics);
  EXPECT_EQ(body_format("text/html", "PrometheusProto"), metrics::ExpositionFormat::protobuf);
  EXPECT_EQ(body_format("text/html", "OpenMetricsText0.0.1"), metrics::ExpositionFormat::openmetrics);
  EXPECT_EQ(body_format("text/html", "").error().message,
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target");
}

TEST_F(ScraperTest, OpenMetricsMustHaveItsEnd) {
  world.answer("http://h:1/metrics", "a 7\n", "application/openmetrics-text; version=1.0.0");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  world.answer("http://h:1/metrics", "a 7\n# EOF\n", "application/openmetrics-text; version=1.0.0");
  ASSERT_TRUE(world.wait_value(of("up"), 1));
}

// name "h", histogram: count 3, sum 6, schema 3, one bucket.
const std::string kProtobuf = [] {
  std::string histogram("\x08\x03\x11\0\0\0\0\0\0\x18\x40\x28\x06\x62\x04\x08\x00\x10\x01\x6a\x01\x06", 22);
  std::string metric = "\x3a" + std::string(1, static_cast<char>(histogram.size())) + histogram;
  std::string family =
      std::string("\x0a\x01h\x18\x04", 5) + "\x22" + std::string(1, static_cast<char>(metric.size())) + metric;
  return std::string(1, static_cast<char>(family.size())) + family;
}();
constexpr const char* kProtobufType =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

TEST_F(ScraperTest, NativeHistogramsByProtobuf) {
  world.answer("http://h:1/metrics", kProtobuf, kProtobufType);
  apply_job("  scrape_native_histograms: true\n");
  ASSERT_TRUE(world.wait(of("h"), [](const auto& list) { return !list.empty(); }))
      << scraper->active().at(0).last_error;
  EXPECT_TRUE(world.samples(of("h")).front().histogram);
  EXPECT_EQ(world.samples(of("h")).front().value, 3);  // the schema
  EXPECT_TRUE(world.requests().front().headers.get("Accept").starts_with("application/vnd.google.protobuf"));
  apply_job("  scrape_native_histograms: true\n  native_histogram_min_bucket_factor: 1.4\n");
  ASSERT_TRUE(world.wait_value(of("h"), 1));  // factor 1.41
}

TEST_F(ScraperTest, TheBodySizeLimitFailsTheScrape) {
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job("  body_size_limit: 5B\n");
  ASSERT_TRUE(world.wait_value(of("up"), 1));
  apply_job("  body_size_limit: 4B\n");  // as in Prometheus the limit itself is too much
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  ASSERT_TRUE(world.wait_value(of("scrape_body_size_bytes"), -1));
  ASSERT_TRUE(world.wait_requests(2));
  EXPECT_EQ(scraper->active().at(0).last_error, "body size limit exceeded");
}

TEST_F(ScraperTest, TheTargetLimitFailsAllScrapes) {
  for (const char* host : {"h", "i"}) world.answer(fmt::format("http://{}:1/metrics", host), "a 7\n");
  apply_job("  target_limit: 1\n", "50ms", "'h:1', 'i:1'");
  ASSERT_TRUE(world.wait_value(of("up", "h:1"), 0));
  ASSERT_TRUE(world.wait_value(of("up", "i:1"), 0));
  EXPECT_TRUE(world.requests().empty());
  ASSERT_TRUE(
      world.wait(of("up"), [n = world.samples(of("up")).size()](const auto& list) { return list.size() > n + 1; }));
  EXPECT_EQ(scraper->active().at(0).last_error, "target_limit exceeded (number of targets: 2, limit: 1)");
  apply_job("  target_limit: 2\n", "50ms", "'h:1', 'i:1'");
  ASSERT_TRUE(world.wait_value(of("up", "i:1"), 1));
}

TEST_F(ScraperTest, AReloadKeepsTheTargetsOfUnchangedJobs) {
  world.answer("http://h:1/metrics", "a 7\n");
  world.answer("http://i:1/metrics", "b 7\n");
  const char* yaml =
      "scrape_configs:\n- {{job_name: j, scrape_interval: 50ms, static_configs: [{{targets: ['h:1']}}]}}\n"
      "- {{job_name: k, scrape_interval: 50ms, static_configs: [{{targets: ['i:1'], labels: {{l: v{}}}}}]}}\n";
  apply(fmt::format(fmt::runtime(yaml), 0));
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  ASSERT_TRUE(world.wait_value("b{instance=\"i:1\", job=\"k\", l=\"v0\"}", 7));
  for (int i = 1; i <= 5; ++i) {
    apply(fmt::format(fmt::runtime(yaml), i));
    std::string changed = fmt::format("b{{instance=\"i:1\", job=\"k\", l=\"v{}\"}}", i);
    ASSERT_TRUE(world.wait_value(changed, 7));
  }
  ASSERT_TRUE(world.wait_stale("b{instance=\"i:1\", job=\"k\", l=\"v0\"}"));
  ASSERT_TRUE(world.wait_stale("up{instance=\"i:1\", job=\"k\", l=\"v0\"}"));
  // Never restarted: added once, never ended.
  auto added = world.samples(of("scrape_series_added"));
  for (std::size_t i = 1; i < added.size(); ++i) EXPECT_EQ(added[i].value, 0);
  for (const auto& sample : world.samples(of("a"))) EXPECT_FALSE(sample.stale());
}

TEST_F(ScraperTest, ARestartedTargetsSeriesGoOn) {
  world.answer("http://h:1/metrics", "a 7\nb 7\n");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  world.answer("http://h:1/metrics", "a 8\n");
  apply_job("  honor_labels: true\n");  // the same target, but all new
  ASSERT_TRUE(world.wait_value(of("a"), 8));
  ASSERT_TRUE(world.wait_stale(of("b")));  // nobody goes on with it
  scraper->stop();
  for (const char* name : {"a", "up"}) {
    for (const auto& sample : world.samples(of(name))) EXPECT_FALSE(sample.stale()) << name;
  }
}

TEST_F(ScraperTest, ARemovedTargetEndsAfterTwoIntervals) {
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job("", "100ms");
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  TimestampMs before = Clock::system().now_ms();
  apply("scrape_configs: []\n");
  EXPECT_TRUE(scraper->pools().empty());
  ASSERT_TRUE(world.wait_stale(of("a")));
  EXPECT_GE(Clock::system().now_ms() - before, 200);
  for (const char* name : {"up", "scrape_duration_seconds", "scrape_body_size_bytes"})
    EXPECT_TRUE(world.wait_stale(of(name))) << name;
  auto list = world.samples(of("a"));
  EXPECT_GT(list.back().time, list[list.size() - 2].time);
  EXPECT_LE(list.back().time, before + 110);  // when it would have been scraped next
}

TEST_F(ScraperTest, DiscoveryThatFailsKeepsTheFormerTargets) {
  world.answer("http://h:1/metrics", "a 7\n");
  world.answer("http://sd/", R"([{"targets":["h:1"]}])", "application/json");
  const char* yaml =
      "scrape_configs:\n- job_name: j\n  scrape_interval: 50ms\n  http_sd_configs: [{{url: 'http://sd/', "
      "refresh_interval: 100ms}}]\n{}";
  apply(fmt::format(fmt::runtime(yaml), ""));
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  std::atomic<int> asked = 0;
  world.answer("http://sd/", [&](const auto&) -> Result<http::ClientResponse> {
    ++asked;
    return fail(ErrorKind::unavailable, "refused");
  });
  world.answer("http://h:1/metrics", "a 8\n");
  ASSERT_TRUE(world.wait(of("a"), [&](const auto& list) { return asked >= 2 && list.back().value == 8; }));
  EXPECT_EQ(scraper->active().size(), 1U);
  // Nor does a reload lose what was found: the job changes, its discovery does not.
  world.answer("http://h:1/metrics", "a 9\n");
  apply(fmt::format(fmt::runtime(yaml), "  honor_labels: true\n"));
  ASSERT_TRUE(world.wait_value(of("a"), 9));
  ASSERT_TRUE(world.wait(of("a"), [&, n = asked.load()](const auto&) { return asked > n; }));
  EXPECT_EQ(scraper->active().size(), 1U);
  world.answer("http://sd/", "[]", "application/json");
  ASSERT_TRUE(world.wait_stale(of("a")));
  EXPECT_TRUE(scraper->active().empty());
  scraper->stop();
}

TEST_F(ScraperTest, ADiscoveryThatHangsDelaysNobody) {
  // Shared with the answer, which may still be asked while the scraper is being stopped.
  struct Gate {
    std::mutex mutex;
    std::condition_variable released;
    bool open = false;
  };
  auto gate = std::make_shared<Gate>();
  world.answer("http://hangs/", [gate](const auto&) -> Result<http::ClientResponse> {
    std::unique_lock lock(gate->mutex);
    gate->released.wait_for(lock, kDeadline, [&] { return gate->open; });
    return fail(ErrorKind::unavailable, "too late");
  });
  world.answer("http://sd/", R"([{"targets":["h:1"]}])", "application/json");
  world.answer("http://h:1/metrics", "a 7\n");
  tree.write("t.json", R"([{"targets":["i:1"]}])");
  world.answer("http://i:1/metrics", "a 8\n");
  const char* yaml =
      "scrape_configs:\n- job_name: a-first\n  http_sd_configs: [{{url: 'http://hangs/'}}]\n"
      "- job_name: j\n  scrape_interval: 50ms\n  http_sd_configs: [{{url: 'http://hangs/'}}, {{url: 'http://sd/'}}]\n"
      "  file_sd_configs: [{{files: [t.json]}}]\n{}";
  apply(fmt::format(fmt::runtime(yaml), ""));
  EXPECT_TRUE(world.wait_value(of("a"), 7));
  EXPECT_TRUE(world.wait_value(of("a", "i:1"), 8));
  // Nor does a reload that takes it away wait for it.
  apply("scrape_configs:\n- job_name: j\n  scrape_interval: 50ms\n  static_configs: [{targets: ['k:1']}]\n");
  world.answer("http://k:1/metrics", "a 9\n");
  EXPECT_TRUE(world.wait_value(of("a", "k:1"), 9));
  std::lock_guard lock(gate->mutex);
  gate->open = true;
  gate->released.notify_all();
}

TEST_F(ScraperTest, AFileThatChangesChangesTheTargets) {
  world.answer("http://h:1/metrics", "a 7\n");
  world.answer("http://i:1/metrics", "a 7\n");
  tree.write("t.json", R"([{"targets":["h:1"]}])");
  apply("scrape_configs:\n- job_name: j\n  scrape_interval: 50ms\n  file_sd_configs: [{files: [t.json]}]\n");
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  tree.write("t.json", R"([{"targets":["i:1"], "labels": {}}])");
  ASSERT_TRUE(world.wait_value(of("a", "i:1"), 7));
  ASSERT_TRUE(world.wait_stale(of("a")));
}

TEST_F(ScraperTest, DroppedTargetsAreListedUpToTheLimit) {
  apply_job(
      "  keep_dropped_targets: 1\n  relabel_configs: [{action: drop, source_labels: [__address__], regex: 'd.*'}]\n",
      "50ms", "'d1', 'd2', 'h:1'");
  ASSERT_TRUE(world.wait_value(of("up"), 0));
  EXPECT_EQ(scraper->dropped().size(), 1U);
  EXPECT_EQ(scraper->dropped_counts(), (std::vector<std::pair<std::string, std::size_t>>{{"j", 2}}));
}

class SettableClock final : public Clock {
 public:
  TimestampMs now_ms() const override { return Clock::system().now_ms() + offset; }
  std::atomic<TimestampMs> offset{0};
};

TEST_F(ScraperTest, AClockSetBackDoesNotStopScraping) {
  SettableClock clock;
  scraper = Scraper::create({}, world, world, pool, clock);
  world.answer("http://h:1/metrics", "a 7\n");
  apply_job();
  ASSERT_TRUE(world.wait_value(of("a"), 7));
  for (TimestampMs day : {-86'400'000LL, 86'400'000LL}) {
    clock.offset = day;
    ASSERT_TRUE(world.wait_requests(3)) << day;
  }
  scraper.reset();
}

TEST_F(ScraperTest, StopsWhileScrapesAreUnderWay) {
  for (int i = 0; i < 50; ++i) world.answer(fmt::format("http://t{}:1/metrics", i), "a 7\n");
  std::string targets;
  for (int i = 0; i < 50; ++i) targets += fmt::format("{}'t{}:1'", i ? ", " : "", i);
  apply_job("", "20ms", targets);
  ASSERT_TRUE(world.wait_requests(100));
  scraper->stop();
  auto count = world.requests().size();
  scraper->stop();
  EXPECT_EQ(world.requests().size(), count);
}

}  // namespace
}  // namespace tocayo::agent
