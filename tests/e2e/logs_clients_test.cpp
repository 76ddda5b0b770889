// SPDX-License-Identifier: Apache-2.0
// The requests that Grafana's Loki data source (11, with Logs Drilldown) and logcli (3.7) send, in their order and with
// their parameters and headers, and the exact shape of what they get: every member, of which type, and no other.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <charconv>
#include <chrono>

#include "tests/support/server_process.h"
#include "tests/support/web_socket_client.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

// A shape is JSON whose leaves name types: "string", "number", "integer", "boolean", "null", "any", "numeric" (a text
// that is a number), "nanoseconds" (a text of 19 digits), or "=x" for the text x. An array of one is a list of such, of
// more a tuple. A member whose name ends with ? may be absent; {"*": shape} has members of any name.
void check(const json::value& value, const json::value& shape, const std::string& where,
           std::vector<std::string>& wrong);

bool fits(const json::value& value, std::string_view type) {
  if (type == "any") return true;
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (!value.is_string()) return false;
  const std::string_view text = value.as_string();
  if (type.starts_with('=')) return text == type.substr(1);
  if (type == "nanoseconds") return text.size() == 19 && text.find_first_not_of("0123456789") == std::string_view::npos;
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return type == "numeric" && parsed.ptr == text.data() + text.size() && !text.empty();
}

void check_object(const json::object& value, const json::object& shape, const std::string& where,
                  std::vector<std::string>& wrong) {
  for (const auto& [name, of] : value) {
    const json::value* wanted = shape.if_contains(name);
    if (wanted == nullptr) wanted = shape.if_contains(std::string(name) + "?");
    if (wanted == nullptr) wanted = shape.if_contains("*");
    const std::string place = where + "." + std::string(name);
    if (wanted == nullptr) {
      wrong.push_back(place + " is not a member that clients know");
    } else {
      check(of, *wanted, place, wrong);
    }
  }
  for (const auto& [name, of] : shape) {
    if (name == "*" || name.ends_with('?') || value.contains(name)) continue;
    wrong.push_back(where + "." + std::string(name) + " is missing");
  }
}

void check(const json::value& value, const json::value& shape, const std::string& where,
           std::vector<std::string>& wrong) {
  if (shape.is_string()) {
    if (!fits(value, std::string_view(shape.as_string())))
      wrong.push_back(where + " is " + json::serialize(value) + ", not " + std::string(shape.as_string()));
  } else if (shape.is_object() && value.is_object()) {
    check_object(value.as_object(), shape.as_object(), where, wrong);
  } else if (shape.is_array() && value.is_array()) {
    const auto& items = value.as_array();
    const auto& shapes = shape.as_array();
    if (shapes.size() > 1 && items.size() != shapes.size()) {
      wrong.push_back(where + " has " + std::to_string(items.size()) + " items");
      return;
    }
    for (std::size_t i = 0; i < items.size(); ++i)
      check(items[i], shapes[shapes.size() == 1 ? 0 : i], where + "[" + std::to_string(i) + "]", wrong);
  } else {
    wrong.push_back(where + " is " + json::serialize(value).substr(0, 80));
  }
}

const json::value& cache_shape() {
  static const json::value shape = json::parse(R"({"entriesFound":"integer","entriesRequested":"integer",
    "entriesStored":"integer","bytesReceived":"integer","bytesSent":"integer","requests":"integer",
    "downloadTime":"integer","queryLengthServed":"integer"})");
  return shape;
}

const json::value& stats_shape() {
  static const json::value shape = [] {
    const auto store = json::parse(R"({"totalChunksRef":"integer","totalChunksDownloaded":"integer",
      "chunksDownloadTime":"integer","queryReferencedStructuredMetadata":"boolean","queryUsedV2Engine":"boolean",
      "chunk":{"headChunkBytes":"integer","headChunkLines":"integer","decompressedBytes":"integer",
        "decompressedLines":"integer","compressedBytes":"integer","totalDuplicates":"integer","postFilterLines":"integer",
        "headChunkStructuredMetadataBytes":"integer","decompressedStructuredMetadataBytes":"integer"},
      "chunkRefsFetchTime":"integer","congestionControlLatency":"integer","pipelineWrapperFilteredLines":"integer"})");
    json::object out =
        json::parse(R"({"summary":{"bytesProcessedPerSecond":"integer","linesProcessedPerSecond":"integer",
      "totalBytesProcessed":"integer","totalLinesProcessed":"integer","execTime":"number","queueTime":"number",
      "subqueries":"integer","totalEntriesReturned":"integer","splits":"integer","shards":"integer",
      "totalPostFilterLines":"integer","totalStructuredMetadataBytesProcessed":"integer"},
      "index":{"totalChunks":"integer","postFilterChunks":"integer","shardsDuration":"integer","usedBloomFilters":"boolean",
        "totalStreams":"integer","chunkRefsLookupTime":"integer","bloomFilterTime":"integer"},
      "tocayo":{"*":"integer"}})")
            .as_object();
    out["querier"] = json::object{{"store", store}, {"querierExecTime", "number"}};
    out["ingester"] = json::object{{"totalReached", "integer"},
                                   {"totalChunksMatched", "integer"},
                                   {"totalBatches", "integer"},
                                   {"totalLinesSent", "integer"},
                                   {"store", store}};
    json::object cache;
    for (const char* name : {"chunk", "index", "result", "statsResult", "volumeResult", "seriesResult", "labelResult",
                             "instantMetricResult", "logResult", "taskResult"}) {
      cache[name] = cache_shape();
    }
    out["cache"] = cache;
    return json::value(out);
  }();
  return shape;
}

json::value query_shape(const char* type, const char* result, bool categorized = false) {
  json::object data{{"resultType", std::string("=") + type},
                    {"result", json::parse(result)},
                    {"stats", stats_shape()},
                    {"tocayo?", json::object{{"cursor", "string"}}}};
  if (categorized) data["encodingFlags"] = json::array{"=categorize-labels"};
  return json::object{{"status", "=success"}, {"data", data}};
}

constexpr const char* kVector = R"([{"metric":{"*":"string"},"value":["number","numeric"]}])";
constexpr const char* kSeriesList = R"([{"metric":{"*":"string"},"values":"any"}])";
constexpr const char* kStreams = R"([{"stream":{"*":"string"},"values":"any"}])";

class Clients : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.start());
    now_ = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
               .count();
    json::array values;
    for (int i = 0; i < 120; ++i) {
      values.push_back(
          json::array{std::to_string(now_ - i * 1'000'000'000LL),
                      fmt::format(R"({{"level":"{}","msg":"user {} logged in","took":"{}ms","nested":{{"n":{}}}}})",
                                  i % 7 == 0 ? "error" : "info", i, i * 3, i),
                      json::object{{"trace_id", "t" + std::to_string(i)}}});
    }
    const auto reply = http_request(
        "POST", server_.url("/loki/api/v1/push"),
        json::serialize(
            json::object{{"streams", {{{"stream", {{"job", "web"}, {"host", "h1"}}}, {"values", values}}}}}),
        {{"Content-Type", "application/json"}});
    ASSERT_EQ(reply.status, 204) << reply.body;
  }
  std::string ns(std::int64_t before_seconds) const { return std::to_string(now_ - before_seconds * 1'000'000'000); }
  std::string range() const { return "start=" + ns(3'600) + "&end=" + ns(-1); }

  json::value get(const std::string& path, const json::value& shape, const HttpHeaders& headers = {}) {
    const auto reply = http_get(server_.url(path), headers);
    EXPECT_EQ(reply.status, 200) << path << ": " << reply.body;
    if (reply.status != 200) return nullptr;
    EXPECT_TRUE(reply.headers.at("content-type").starts_with("application/json")) << path;
    auto body = json::parse(reply.body);
    std::vector<std::string> wrong;
    check(body, shape, "", wrong);
    for (const auto& what : wrong) ADD_FAILURE() << path << ": " << what;
    return body;
  }

  Server server_;
  std::int64_t now_ = 0;
};

const json::value kNames = json::parse(R"({"status":"=success","data":["string"]})");

TEST_F(Clients, GrafanaDataSource) {
  const HttpHeaders flags = {{"X-Loki-Response-Encoding-Flags", "categorize-labels"}, {"User-Agent", "Grafana/11.6.0"}};
  const std::string selector = url_encode("{job=\"web\"}");
  // Save & test.
  const auto health =
      get("/loki/api/v1/query?direction=backward&query=" + url_encode("vector(1)+vector(1)") + "&time=4000000000",
          query_shape("vector", kVector), flags);
  EXPECT_EQ(health.at("data").at("result").as_array().at(0).at("value").as_array().at(1).as_string(), "2");
  // The query builder.
  get("/loki/api/v1/labels?" + range(), kNames);
  get("/loki/api/v1/label/job/values?" + range(), kNames);
  get("/loki/api/v1/label/host/values?query=" + selector + "&" + range(), kNames);
  get("/loki/api/v1/series?" + range() + "&match%5B%5D=" + selector,
      json::parse(R"({"status":"=success","data":[{"*":"string"}]})"));
  get("/loki/api/v1/index/stats?query=" + selector + "&" + range(),
      json::parse(R"({"streams":"integer","chunks":"integer","entries":"integer","bytes":"integer"})"));
  // A sample of lines for the hints of the editor.
  const std::string log = "/loki/api/v1/query_range?direction=backward&" + range();
  get(log + "&limit=10&query=" + selector + "&step=14400ms", query_shape("streams", kStreams, true), flags);
  // Explore: lines, with what each label is.
  const auto lines =
      get(log + "&limit=1000&query=" + url_encode("{job=\"web\"} |= `user` | json | drop __error__,__error_details__") +
              "&step=2000ms",
          query_shape("streams", kStreams, true), flags);
  const auto line =
      json::parse(R"(["nanoseconds","string",{"structuredMetadata":{"*":"string"},"parsed":{"*":"string"}}])");
  for (const auto& stream : lines.at("data").at("result").as_array()) {
    std::vector<std::string> wrong;
    check(stream.at("values"), json::value(json::array{line}), ".values", wrong);
    EXPECT_TRUE(wrong.empty()) << wrong.front();
    EXPECT_EQ(stream.at("stream").as_object().size(), 3U) << "the stream's own labels alone";
  }
  // The histogram above them.
  get("/loki/api/v1/query_range?direction=backward&" + range() + "&query=" +
          url_encode("sum by (level, detected_level) (count_over_time({job=\"web\"} |= `user` | json | "
                     "drop __error__,__error_details__[1m]))") +
          "&step=60000ms",
      query_shape("matrix", kSeriesList),
      {{"X-Query-Tags", "Source=logvolhist"}, {"X-Loki-Response-Encoding-Flags", "categorize-labels"}});
  // A panel of numbers.
  get("/loki/api/v1/query?direction=backward&query=" + url_encode("topk(5, sum by (host) (rate({job=\"web\"}[5m])))") +
          "&time=" + ns(0),
      query_shape("vector", kVector), flags);
  // Errors are plain text: Grafana shows the body.
  const auto wrong = http_get(server_.url(log + "&limit=10&query=" + url_encode("{job=\"web\"") + "&step=1000ms"));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_TRUE(wrong.body.starts_with("parse error")) << wrong.body;
  EXPECT_TRUE(wrong.headers.at("content-type").starts_with("text/plain"));
  // Live.
  WebSocketClient tail(server_.address(), "/loki/api/v1/tail?query=" + selector);
  ASSERT_EQ(tail.status(), 101);
}

TEST_F(Clients, GrafanaLogsDrilldown) {
  const std::string selector = url_encode("{job=\"web\"}");
  get("/loki/api/v1/drilldown-limits",
      json::parse(R"({"limits":{"*":"any"},"pattern_ingester_enabled":"boolean","version":"string"})"));
  get("/loki/api/v1/status/buildinfo",
      json::parse(R"({"version":"string","revision":"string","branch":"string","buildUser":"string",
                      "buildDate":"string","goVersion":"string"})"));
  get("/loki/api/v1/index/volume?query=" + url_encode("{service_name=~`.+`}") + "&" + range() +
          "&limit=1000&targetLabels=service_name",
      json::parse(R"({"status":"=success","data":{"resultType":"=vector",
        "result":[{"metric":{"service_name":"string"},"value":["number","numeric"]}],"stats":{"*":"any"}}})"));
  get("/loki/api/v1/detected_labels?query=" + selector + "&" + range(),
      json::parse(R"({"detectedLabels":[{"label":"string","cardinality":"integer"}]})"));
  get("/loki/api/v1/detected_fields?query=" + selector + "&" + range() + "&line_limit=1000",
      json::parse(R"({"fields":[{"label":"string","type":"string","cardinality":"integer","parsers":"any",
                      "jsonPath?":["string"]}],"limit":"integer"})"));
  get("/loki/api/v1/detected_field/level/values?query=" + selector + "&" + range() + "&limit=1000",
      json::parse(R"({"values":["string"],"limit":"integer"})"));
  const auto patterns = get("/loki/api/v1/patterns?query=" + selector + "&" + range() + "&step=60s",
                            json::parse(R"({"status":"=success","data":[{"pattern":"string","level":"string",
                                            "samples":"any"}]})"));
  for (const auto& pattern : patterns.at("data").as_array()) {
    for (const auto& sample : pattern.at("samples").as_array()) {
      ASSERT_EQ(sample.as_array().size(), 2U);
      EXPECT_TRUE(sample.as_array()[0].is_int64() && sample.as_array()[1].is_int64());
    }
  }
}

TEST_F(Clients, Logcli) {
  const HttpHeaders agent = {{"User-Agent", "loki-logcli/3.7.6"}};
  const std::string selector = url_encode("{job=\"web\"}");
  const std::string bounds = "end=" + ns(-1) + "&start=" + ns(3'600);
  get("/loki/api/v1/labels?" + bounds, kNames, agent);
  get("/loki/api/v1/label/job/values?" + bounds, kNames, agent);
  get("/loki/api/v1/series?" + bounds + "&match=" + selector,
      json::parse(R"({"status":"=success","data":[{"*":"string"}]})"), agent);
  get("/loki/api/v1/query_range?direction=BACKWARD&" + bounds + "&limit=30&query=" + selector,
      query_shape("streams", kStreams), agent);
  get("/loki/api/v1/query_range?direction=FORWARD&" + bounds + "&limit=30&interval=10&query=" + selector,
      query_shape("streams", kStreams), agent);
  get("/loki/api/v1/query_range?direction=BACKWARD&" + bounds +
          "&limit=30&step=60&query=" + url_encode("rate({job=\"web\"}[1m])"),
      query_shape("matrix", kSeriesList), agent);
  get("/loki/api/v1/query?direction=BACKWARD&limit=30&query=" + url_encode("sum(rate({job=\"web\"}[1h]))") +
          "&time=" + ns(0),
      query_shape("vector", kVector), agent);
  get("/loki/api/v1/index/stats?" + bounds + "&query=" + selector,
      json::parse(R"({"streams":"integer","chunks":"integer","entries":"integer","bytes":"integer"})"), agent);
  get("/loki/api/v1/index/volume?" + bounds + "&limit=30&query=" + selector,
      json::parse(R"({"status":"=success","data":{"resultType":"=vector",
        "result":[{"metric":{"*":"string"},"value":["number","numeric"]}],"stats":{"*":"any"}}})"),
      agent);
  get("/loki/api/v1/index/volume?aggregateBy=labels&" + bounds + "&limit=30&query=" + selector,
      json::parse(R"({"status":"=success","data":{"resultType":"=vector",
        "result":[{"metric":{"*":"string"},"value":["number","numeric"]}],"stats":{"*":"any"}}})"),
      agent);
  get("/loki/api/v1/index/volume_range?" + bounds + "&limit=30&query=" + selector + "&step=3600",
      json::parse(R"({"status":"=success","data":{"resultType":"=matrix",
        "result":[{"metric":{"*":"string"},"values":"any"}],"stats":{"*":"any"}}})"),
      agent);
  get("/loki/api/v1/detected_fields?" + bounds + "&limit=100&line_limit=1000&query=" + selector + "&step=10s",
      json::parse(R"({"fields":[{"label":"string","type":"string","cardinality":"integer","parsers":"any",
                      "jsonPath?":["string"]}],"limit":"integer"})"),
      agent);
  get("/loki/api/v1/delete", json::parse(R"(["any"])"), agent);
  get("/loki/api/v1/format_query?query=" + url_encode("{job=\"web\"}|=\"x\"|json"),
      json::parse(R"({"status":"=success","data":"string"})"), agent);
  // logcli query --tail
  WebSocketClient tail(server_.address(), "/loki/api/v1/tail?limit=30&query=" + selector + "&start=" + ns(3'600),
                       agent);
  ASSERT_EQ(tail.status(), 101);
  const auto first = tail.receive();
  ASSERT_TRUE(first);
  std::vector<std::string> wrong;
  check(json::parse(*first),
        json::parse(R"({"streams":[{"stream":{"*":"string"},"values":"any"}],"dropped_entries?":"any"})"), "", wrong);
  for (const auto& what : wrong) ADD_FAILURE() << what;
}

}  // namespace
}  // namespace tocayo::testing
