// SPDX-License-Identifier: Apache-2.0
// The PromQL files again, through a real socket: a tenant per `clear`, samples by remote write 2.0, results read from
// the JSON.
#include <gtest/gtest.h>
#include <snappy.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <protozero/pbf_writer.hpp>

#include "promql/testfile.h"
#include "tests/support/remote_write_body.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
namespace pq = promql::testing;

std::string encode_histogram(const metrics::FloatHistogram& h, TimestampMs time, TimestampMs start_time) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  auto spans = [&](int field, const std::vector<metrics::Span>& list) {
    for (const auto& span : list) {
      std::string part;
      protozero::pbf_writer w(part);
      w.add_sint32(1, span.offset);
      w.add_uint32(2, span.length);
      writer.add_message(static_cast<protozero::pbf_tag_type>(field), part);
    }
  };
  writer.add_double(2, h.count);
  writer.add_double(3, h.sum);
  writer.add_sint32(4, h.schema);
  writer.add_double(5, h.zero_threshold);
  writer.add_double(7, h.zero_count);
  spans(8, h.negative_spans);
  writer.add_packed_double(10, h.negative_buckets.begin(), h.negative_buckets.end());
  spans(11, h.positive_spans);
  writer.add_packed_double(13, h.positive_buckets.begin(), h.positive_buckets.end());
  writer.add_enum(14, static_cast<int>(h.hint));
  writer.add_int64(15, time);
  writer.add_packed_double(16, h.custom_values.begin(), h.custom_values.end());
  if (start_time != 0) writer.add_int64(17, start_time);
  return bytes;
}

std::string encode(std::span<const pq::TestSeries> all) {
  std::vector<std::string> symbols{""};
  std::map<std::string, std::uint32_t> ids{{"", 0}};
  auto symbol = [&](const std::string& text) {
    auto [it, fresh] = ids.emplace(text, static_cast<std::uint32_t>(symbols.size()));
    if (fresh) symbols.push_back(text);
    return it->second;
  };
  std::vector<std::string> encoded;
  for (const auto& series : all) {
    std::vector<std::uint32_t> refs;
    for (const Label& label : series.labels) {
      refs.push_back(symbol(label.name));
      refs.push_back(symbol(label.value));
    }
    // Floats and histograms may not share one message.
    for (bool histograms : {false, true}) {
      std::string bytes;
      protozero::pbf_writer writer(bytes);
      writer.add_packed_uint32(1, refs.begin(), refs.end());
      bool any = false;
      for (const auto& point : series.points) {
        if ((point.histogram != nullptr) != histograms) continue;
        any = true;
        if (histograms) {
          writer.add_message(3, encode_histogram(*point.histogram, point.time, point.start_time));
          continue;
        }
        std::string part;
        protozero::pbf_writer sample(part);
        sample.add_double(1, point.value);
        sample.add_int64(2, point.time);
        if (point.start_time != 0) sample.add_int64(3, point.start_time);
        writer.add_message(2, part);
      }
      if (any) encoded.push_back(std::move(bytes));
    }
  }
  std::string body, out;
  protozero::pbf_writer request(body);
  for (const auto& text : symbols) request.add_string(4, text);
  for (const auto& bytes : encoded) request.add_message(5, bytes);
  snappy::Compress(body.data(), body.size(), &out);
  return out;
}

double number(const json::value& value) {
  if (value.is_number()) return value.to_number<double>();
  std::string text(value.as_string());
  if (text == "NaN") return std::nan("");
  if (text == "+Inf") return INFINITY;
  if (text == "-Inf") return -INFINITY;
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}
TimestampMs millis(const json::value& seconds) { return std::llround(seconds.to_number<double>() * 1000); }

Labels labels_of(const json::value& metric) {
  std::vector<Label> labels;
  for (const auto& [name, value] : metric.as_object())
    labels.push_back({std::string(name), std::string(value.as_string())});
  return Labels(std::move(labels));
}

metrics::HistogramPtr histogram_of(const json::value& value) {
  auto h = std::make_shared<metrics::FloatHistogram>();
  h->schema = pq::kApiBucketsSchema;
  h->count = number(value.at("count"));
  h->sum = number(value.at("sum"));
  if (const auto* buckets = value.as_object().if_contains("buckets")) {
    for (const auto& bucket : buckets->as_array()) {
      h->custom_values.push_back(number(bucket.at(1)));
      h->custom_values.push_back(number(bucket.at(2)));
      h->positive_buckets.push_back(number(bucket.at(3)));
    }
  }
  return h;
}

class HttpTarget final : public pq::TestTarget {
 public:
  explicit HttpTarget(Server& server) : server_(server) {}

  Result<> clear() override {
    tenant_ = "conformance-" + std::to_string(++tenants_);
    return {};
  }
  Result<> load(std::span<const pq::TestSeries> series) override {
    auto headers = remote_write_headers(2);
    headers.emplace_back("X-Scope-OrgID", tenant_);
    auto reply = http_request("POST", server_.url("/api/v1/push"), encode(series), headers);
    if (reply.status != 204)
      return fail(ErrorKind::bad_input, "load: " + std::to_string(reply.status) + " " + reply.body);
    return {};
  }
  Result<pq::TestOutcome> instant(const std::string& expr, TimestampMs time) override {
    return ask("/api/v1/query", "query=" + url_encode(expr) + "&time=" + seconds(time));
  }
  Result<pq::TestOutcome> range(const std::string& expr, TimestampMs start, TimestampMs end,
                                promql::Duration step) override {
    return ask("/api/v1/query_range", "query=" + url_encode(expr) + "&start=" + seconds(start) +
                                          "&end=" + seconds(end) + "&step=" + seconds(step.count()));
  }

 private:
  static std::string seconds(std::int64_t ms) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.3f", static_cast<double>(ms) / 1000);
    return buffer;
  }
  Result<pq::TestOutcome> ask(const char* path, const std::string& form) {
    auto reply = http_request(
        "POST", server_.url(path), form,
        {{"Content-Type", "application/x-www-form-urlencoded"}, {"X-Scope-OrgID", tenant_}, {"X-Tocayo-Csrf", "1"}});
    boost::system::error_code code;
    json::value root = json::parse(reply.body, code);
    if (code)
      return fail(ErrorKind::internal, "not JSON (" + std::to_string(reply.status) + "): " + reply.body.substr(0, 200));
    if (root.at("status").as_string() != "success")
      return fail(ErrorKind::bad_input, std::string(root.at("error").as_string()));
    pq::TestOutcome outcome;
    for (auto [key, list] : {std::pair{"warnings", &outcome.warnings}, std::pair{"infos", &outcome.infos}}) {
      if (const auto* found = root.as_object().if_contains(key)) {
        for (const auto& text : found->as_array()) list->emplace_back(text.as_string());
      }
    }
    const json::value& result = root.at("data").at("result");
    std::string_view type = root.at("data").at("resultType").as_string();
    if (type == "scalar") {
      outcome.value = promql::ScalarValue{millis(result.at(0)), number(result.at(1))};
    } else if (type == "string") {
      outcome.value = promql::StringValue{millis(result.at(0)), std::string(result.at(1).as_string())};
    } else if (type == "vector") {
      promql::VectorValue vector;
      for (const auto& entry : result.as_array()) {
        promql::Sample sample{labels_of(entry.at("metric"))};
        if (const auto* value = entry.as_object().if_contains("value")) {
          vector.time = millis(value->at(0));
          sample.value = number(value->at(1));
        } else {
          vector.time = millis(entry.at("histogram").at(0));
          sample.histogram = histogram_of(entry.at("histogram").at(1));
        }
        vector.samples.push_back(std::move(sample));
      }
      outcome.value = std::move(vector);
    } else {
      promql::MatrixValue matrix;
      for (const auto& entry : result.as_array()) {
        promql::Series series{labels_of(entry.at("metric")), {}, {}};
        if (const auto* values = entry.as_object().if_contains("values")) {
          for (const auto& point : values->as_array())
            series.floats.push_back({millis(point.at(0)), number(point.at(1))});
        }
        if (const auto* histograms = entry.as_object().if_contains("histograms")) {
          for (const auto& point : histograms->as_array())
            series.histograms.push_back({millis(point.at(0)), histogram_of(point.at(1))});
        }
        matrix.series.push_back(std::move(series));
      }
      outcome.value = std::move(matrix);
    }
    return outcome;
  }

  Server& server_;
  std::string tenant_ = "conformance-0";
  int tenants_ = 0;
};

TEST(PromqlOverHttp, AllConformanceFiles) {
  const char* given = std::getenv("TOCAYO_CONFORMANCE_DIR");
  std::filesystem::path shared = given ? given : std::string(TOCAYO_SOURCE_DIR) + "/../shared/conformance/promql";
  if (!std::filesystem::exists(shared)) {
    ASSERT_FALSE(in_ci()) << "no conformance files at " << shared;
    GTEST_SKIP() << "no conformance files at " << shared;
  }
  Server server(
      {.sets = {"metrics.wal.mode=off", "metrics.retention.time=0", "metrics.query.max_samples=10000",
                "limits={out_of_order_time_window: 100y, creation_grace_period: 0s}",
                "metrics.features=promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,"
                "promql-binop-fill-modifiers,promql-delayed-name-removal,use-start-timestamps"}});
  ASSERT_TRUE(server.start());
  HttpTarget target(server);
  pq::Report all;
  for (const auto& directory : {shared, std::filesystem::path(TOCAYO_SOURCE_DIR) / "tests/conformance/promql"}) {
    if (std::filesystem::exists(directory)) all.add(pq::run_directory(directory, target));
  }
  std::printf("%s\n", all.summary().c_str());
  for (const auto& failure : all.failures) ADD_FAILURE() << failure.to_string();
  EXPECT_TRUE(all.passed());
}

}  // namespace
}  // namespace tocayo::testing
