// SPDX-License-Identifier: Apache-2.0
// The LogQL tables through a real socket: a tenant per data set, pushed as JSON or as protobuf, asked in the head,
// after a flush to segments and after a restart; and, written in portions, while the segments are many and after they
// have been merged.
#include <gtest/gtest.h>
#include <snappy.h>

#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <protozero/pbf_writer.hpp>
#include <set>

#include "core/text.h"
#include "logql/engine/testfile.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
namespace table = logql::table;
namespace fs = std::filesystem;

std::string as_json(const table::DataSet& data) {
  json::array streams;
  for (const auto& stream : data) {
    json::object labels;
    for (const auto& label : stream.labels) labels[label.name] = label.value;
    json::array values;
    for (const auto& entry : stream.entries) {
      json::array value{std::to_string(entry.time), entry.line};
      if (!entry.metadata.empty()) {
        json::object metadata;
        for (const auto& pair : entry.metadata) metadata[pair.name] = pair.value;
        value.push_back(metadata);
      }
      values.push_back(value);
    }
    streams.push_back(json::object{{"stream", labels}, {"values", values}});
  }
  return json::serialize(json::object{{"streams", streams}});
}

std::string as_protobuf(const table::DataSet& data) {
  std::string body;
  protozero::pbf_writer request(body);
  for (const auto& stream : data) {
    protozero::pbf_writer out(request, 1);
    out.add_string(1, stream.labels.to_string(false));
    for (const auto& entry : stream.entries) {
      protozero::pbf_writer one(out, 2);
      {
        protozero::pbf_writer time(one, 1);
        time.add_int64(1, entry.time / 1'000'000'000);
        time.add_int32(2, static_cast<std::int32_t>(entry.time % 1'000'000'000));
      }
      one.add_string(2, entry.line);
      for (const auto& pair : entry.metadata) {
        protozero::pbf_writer metadata(one, 3);
        metadata.add_string(1, pair.name);
        metadata.add_string(2, pair.value);
      }
    }
  }
  std::string packed;
  snappy::Compress(body.data(), body.size(), &packed);
  return packed;
}

double number(const json::value& value) {
  const std::string_view text = value.as_string();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

TimestampNs seconds(const json::value& value) {
  return static_cast<TimestampNs>(std::llround(value.to_number<double>() * 1000)) * 1'000'000;
}

table::LabelList labels_of(const json::value& value) {
  table::LabelList labels;
  for (const auto& [name, of] : value.as_object())
    labels.push_back({.name = std::string(name), .value = std::string(of.as_string())});
  std::ranges::sort(labels);
  return labels;
}

constexpr TimestampNs kDay = 86'400'000'000'000;

// Part `part` of `parts` of each stream, and a line of its own at the end of each day: so that every part makes a
// segment of every day.
table::DataSet portion(const table::DataSet& data, std::size_t part, std::size_t parts,
                       const std::set<TimestampNs>& days) {
  table::DataSet out;
  for (const auto& stream : data) {
    auto some = stream;
    const auto from = static_cast<std::ptrdiff_t>(stream.entries.size() * part / parts);
    const auto to = static_cast<std::ptrdiff_t>(stream.entries.size() * (part + 1) / parts);
    some.entries.assign(stream.entries.begin() + from, stream.entries.begin() + to);
    if (!some.entries.empty()) out.push_back(std::move(some));
  }
  auto& last = out.emplace_back();
  last.labels = Labels{{"portion", "of the test"}};
  for (const auto day : days) {
    auto& entry = last.entries.emplace_back();
    entry.time = (day + 1) * kDay - 1 - static_cast<TimestampNs>(part);
    entry.line = "portion " + std::to_string(part);
  }
  return out;
}

class HttpTarget final : public table::Target {
 public:
  // `parts` > 1: each data set is written so many times to a segment of its own.
  HttpTarget(Server& server, bool protobuf, std::size_t parts = 1)
      : server_(server), protobuf_(protobuf), parts_(parts) {}

  // Days of all data sets: how many segments there are when all is merged.
  std::size_t days() const { return days_; }

  Result<> load(const std::string& tenant, const table::DataSet& data) override {
    if (parts_ == 1) return push(tenant, data);
    std::set<TimestampNs> days;
    for (const auto& stream : data) {
      for (const auto& entry : stream.entries) days.insert(entry.time / kDay);
    }
    days_ += days.size();
    for (std::size_t part = 0; part < parts_; ++part) {
      TRY(push(tenant, portion(data, part, parts_, days)));
      const auto reply =
          http_request("POST", server_.url("/flush/tenant"), "", {{"X-Tocayo-Csrf", "1"}, {"X-Scope-OrgID", tenant}});
      if (reply.status != 204) return fail(ErrorKind::internal, std::to_string(reply.status) + " " + reply.body);
    }
    return {};
  }

  Result<> push(const std::string& tenant, const table::DataSet& data) {
    const auto reply = http_request(
        "POST", server_.url("/loki/api/v1/push"), protobuf_ ? as_protobuf(data) : as_json(data),
        {{"Content-Type", protobuf_ ? "application/x-protobuf" : "application/json"}, {"X-Scope-OrgID", tenant}});
    if (reply.status == 204) return {};
    return fail(ErrorKind::internal, std::to_string(reply.status) + " " + reply.body);
  }

  table::Answer answer(const table::Request& request) override {
    std::string form = "query=" + url_encode(request.query);
    std::string path = "/loki/api/v1/query_range";
    if (const auto* instant = std::get_if<table::Instant>(&request.what)) {
      path = "/loki/api/v1/query";
      form += "&time=" + std::to_string(instant->time);
    } else if (const auto* range = std::get_if<table::Range>(&request.what)) {
      form += "&start=" + std::to_string(range->start) + "&end=" + std::to_string(range->end) +
              "&step=" + step(range->step_ns);
    } else if (const auto* logs = std::get_if<table::Logs>(&request.what)) {
      form += "&start=" + std::to_string(logs->start) + "&end=" + std::to_string(logs->end);
      if (!logs->direction.empty()) form += "&direction=" + logs->direction;
      form += "&limit=" + std::to_string(logs->limit);
    } else {
      path = "/loki/api/v1/format_query";
    }
    HttpHeaders headers{{"Content-Type", "application/x-www-form-urlencoded"}};
    if (!request.tenant.empty()) headers.emplace_back("X-Scope-OrgID", request.tenant);
    for (const auto& [name, value] : request.headers) headers.emplace_back(name, value);
    const auto reply = http_request("POST", server_.url(path), form, headers);
    if (std::holds_alternative<table::Format>(request.what)) return formatted(reply);
    if (reply.status != 200) return table::Failure{.status = reply.status, .message = reply.body};
    return parsed(reply.body);
  }

 private:
  static std::string step(std::int64_t ns) {
    auto text = std::to_string(ns / 1'000'000'000) + ".";
    auto rest = std::to_string(1'000'000'000 + ns % 1'000'000'000);
    return text + rest.substr(1);
  }
  static table::Answer formatted(const HttpReply& reply) {
    const auto root = json::parse(reply.body).as_object();
    if (reply.status != 200)
      return table::Failure{.status = reply.status, .message = std::string(root.at("error").as_string())};
    return std::string(root.at("data").as_string());
  }
  static table::Answer parsed(const std::string& body) {
    const auto root = json::parse(body).as_object();
    const auto& data = root.at("data").as_object();
    const std::string_view type = data.at("resultType").as_string();
    const auto& result = data.at("result");
    if (type == "scalar") return table::Scalar{.value = number(result.as_array()[1])};
    if (type == "vector") {
      std::vector<table::Sample> samples;
      for (const auto& item : result.as_array()) {
        samples.push_back({.labels = labels_of(item.at("metric")), .value = number(item.at("value").as_array()[1])});
      }
      return samples;
    }
    if (type == "matrix") {
      std::vector<table::Series> all;
      for (const auto& item : result.as_array()) {
        table::Series series{.labels = labels_of(item.at("metric")), .points = {}};
        for (const auto& point : item.at("values").as_array())
          series.points.emplace_back(seconds(point.as_array()[0]), number(point.as_array()[1]));
        all.push_back(std::move(series));
      }
      return all;
    }
    std::vector<table::Lines> streams;
    for (const auto& item : result.as_array()) {
      table::Lines lines{.labels = labels_of(item.at("stream")), .lines = {}};
      for (const auto& value : item.at("values").as_array()) {
        const auto& parts = value.as_array();
        table::Line line;
        const std::string_view time = parts[0].as_string();
        std::from_chars(time.data(), time.data() + time.size(), line.time);
        line.text = std::string(parts[1].as_string());
        if (parts.size() > 2) {
          const auto& third = parts[2].as_object();
          if (const auto* metadata = third.if_contains("structuredMetadata")) line.metadata = labels_of(*metadata);
          if (const auto* of_line = third.if_contains("parsed")) line.parsed = labels_of(*of_line);
        }
        lines.lines.push_back(std::move(line));
      }
      streams.push_back(std::move(lines));
    }
    return streams;
  }

  Server& server_;
  bool protobuf_;
  std::size_t parts_;
  std::size_t days_ = 0;
};

std::vector<table::Suite> suites() {
  fs::path shared = fs::path(TOCAYO_SOURCE_DIR) / "../shared/conformance/logql";
  if (const char* set = std::getenv("TOCAYO_CONFORMANCE_DIR")) shared = fs::path(set) / "logql";
  std::vector<std::string> files;
  for (const fs::path& directory : {shared, fs::path(TOCAYO_SOURCE_DIR) / "tests/conformance/logql"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
    }
  }
  std::ranges::sort(files);
  std::vector<table::Suite> out;
  for (const auto& file : files) {
    auto text = read_file(file);
    EXPECT_TRUE(text) << file;
    auto suite = table::parse_suite(text.value_or(""), file);
    EXPECT_TRUE(suite) << suite.error().message;
    if (suite) out.push_back(std::move(*suite));
  }
  return out;
}

void check(const table::Report& report, const char* when, std::size_t& cases) {
  cases += report.cases;
  for (const auto& mismatch : report.mismatches)
    ADD_FAILURE() << when << ": " << mismatch.where << ": " << mismatch.what;
}

// `spilled`: a label with more than one value is kept with each line instead of splitting streams.
void run_all(bool protobuf, bool spilled = false) {
  const auto all = suites();
  if (all.empty()) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << "no conformance files";
    GTEST_SKIP() << "no conformance files";
  }
  Server::Options options;
  options.sets = {"logs.compat=loki",
                  std::string("logs.limits={discover_service_name: [], discover_log_levels: false, ") +
                      (spilled ? "max_label_values_per_day: 1, " : "") + "reject_old_samples: false}"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  HttpTarget target(server, protobuf);
  std::size_t cases = 0;
  for (const auto& suite : all) {
    auto report = table::run(suite, target);
    ASSERT_TRUE(report) << suite.file << ": " << report.error().message;
    check(*report, "in the head", cases);
  }
  ASSERT_EQ(http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}).status, 204);
  for (const auto& suite : all) check(table::ask(suite, target), "in segments", cases);
  server.kill9();
  ASSERT_TRUE(server.start());
  for (const auto& suite : all) check(table::ask(suite, target), "after a restart", cases);
  std::cout << cases << " cases over HTTP, " << (protobuf ? "protobuf" : "JSON") << '\n';
}

// Of all tenants, by the server's own count.
std::size_t segment_count(Server& server) {
  const auto text = http_get(server.url("/metrics")).body;
  double count = 0;
  for (const auto line : split(text, '\n')) {
    if (line.starts_with("tocayo_logs_segments{"))
      count += std::atof(std::string(line.substr(line.rfind(' '))).c_str());
  }
  return static_cast<std::size_t>(count);
}

TEST(LogqlOverHttp, AfterMerging) {
  const auto all = suites();
  if (all.empty()) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << "no conformance files";
    GTEST_SKIP() << "no conformance files";
  }
  Server::Options options;
  options.sets = {"logs.compat=loki", "logs.compaction.settle=0s",
                  "logs.limits={discover_service_name: [], discover_log_levels: false, reject_old_samples: false}"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  HttpTarget target(server, true, 5);
  std::size_t cases = 0;
  for (const auto& suite : all) {
    auto report = table::run(suite, target);
    ASSERT_TRUE(report) << suite.file << ": " << report.error().message;
    check(*report, "while segments are merged", cases);
  }
  ASSERT_TRUE(eventually([&] { return segment_count(server) == target.days(); }, std::chrono::minutes(2)))
      << segment_count(server) << " segments of " << target.days() << " days";
  for (const auto& suite : all) check(table::ask(suite, target), "after merging", cases);
  std::cout << cases << " cases over HTTP, " << target.days() << " merged segments\n";
}

TEST(LogqlOverHttp, JsonPush) { run_all(false); }
TEST(LogqlOverHttp, ProtobufPush) { run_all(true); }
TEST(LogqlOverHttp, SpilledLabels) { run_all(true, true); }

}  // namespace
}  // namespace tocayo::testing
