// SPDX-License-Identifier: Apache-2.0
// The same remote-written data in Debian's Prometheus and in Tocayo, thousands of generated queries, equal answers.
// 2,200 queries; TOCAYO_FULL takes 12,000. TOCAYO_TEST_SEED picks another run.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <random>

#include "core/testing.h"
#include "promql/querygen.h"
#include "tests/support/remote_write_body.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

// An hour of samples every 15 s, with gaps, resets, a series that ends and values that are NaN; odd milliseconds, so
// that no sample lies on a boundary whose meaning changed between Prometheus 2 and 3.
std::vector<std::vector<PushSeries>> make_data(std::int64_t start, std::int64_t end) {
  std::mt19937_64 random(7);
  struct Line {
    std::vector<std::pair<std::string, std::string>> labels;
    double value = 0;
    std::int64_t offset = 0;
    int kind = 0;  // 0 counter, 1 gauge, 2 bucket
    std::int64_t ends = 0;
  };
  std::vector<Line> lines;
  for (const char* job : {"api", "db"}) {
    for (const char* instance : {"h1:80", "h2:80", "h3:80"}) {
      auto offset = [&] { return static_cast<std::int64_t>(random() % 9000) + 137; };
      lines.push_back(
          {{{"__name__", "diff_requests_total"}, {"instance", instance}, {"job", job}}, 1e5, offset(), 0, 0});
      lines.push_back({{{"__name__", "diff_errors_total"}, {"code", "500"}, {"instance", instance}, {"job", job}},
                       1e5,
                       offset(),
                       0,
                       0});
      lines.push_back({{{"__name__", "diff_temperature"}, {"instance", instance}, {"job", job}}, 20, offset(), 1, 0});
      lines.push_back(
          {{{"__name__", "diff_queue"}, {"instance", instance}, {"job", job}, {"queue", "a"}}, 5, offset(), 1, 0});
      std::int64_t same = offset();  // buckets of one histogram are scraped together
      for (const char* le : {"0.1", "0.5", "1", "5", "+Inf"}) {
        lines.push_back(
            {{{"__name__", "diff_latency_seconds_bucket"}, {"instance", instance}, {"job", job}, {"le", le}},
             1e5,
             same,
             2,
             0});
      }
    }
  }
  lines[3].ends = start + (end - start) / 2;
  std::vector<std::vector<PushSeries>> batches;
  double histogram = 0;
  for (std::int64_t t = start; t < end; t += 15'000) {
    std::vector<PushSeries> batch;
    for (Line& line : lines) {
      if (random() % 37 == 0 && line.kind != 2) continue;  // a missed scrape
      if (line.ends != 0 && t > line.ends) continue;
      if (line.kind == 0) {
        // Far from zero: how a window that begins near zero is extrapolated changed in Prometheus 3.
        line.value = random() % 61 == 0 ? 5000 : line.value + static_cast<double>(random() % 50);
      } else if (line.kind == 1) {
        line.value += static_cast<double>(random() % 2001) / 1000 - 1;
      } else {
        const std::string& le = line.labels[3].second;
        histogram = le == "0.1" ? static_cast<double>(random() % 5) : histogram + static_cast<double>(random() % 4);
        line.value += histogram;
      }
      double value = line.kind == 1 && random() % 97 == 0 ? std::nan("") : line.value;
      batch.push_back({line.labels, {{t + line.offset, value}}});
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

double number(std::string_view text) {
  if (text == "NaN") return std::nan("");
  if (text == "+Inf") return INFINITY;
  if (text == "-Inf") return -INFINITY;
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool close(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  if (std::isinf(a) || std::isinf(b)) return false;
  double difference = std::abs(a - b);
  return difference <= 1e-9 * std::max(std::abs(a), std::abs(b)) || difference < 1e-11;
}

bool same_points(const json::value& a, const json::value& b) {
  if (a.is_array() && b.is_array()) {
    if (a.as_array().size() != b.as_array().size()) return false;
    for (std::size_t i = 0; i < a.as_array().size(); ++i) {
      if (!same_points(a.at(i), b.at(i))) return false;
    }
    return true;
  }
  if (a.is_string() && b.is_string()) return a == b || close(number(a.as_string()), number(b.as_string()));
  if (a.is_number() && b.is_number()) return std::abs(a.to_number<double>() - b.to_number<double>()) < 1e-6;
  return a == b;
}

std::string canonical_labels(const json::value& metric) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : metric.as_object())
    parts.push_back(std::string(name) + "=" + std::string(value.as_string()));
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const auto& part : parts) out += part + ",";
  return out;
}

// Equal, or equal but for the last digit of a number that became a label (count_values).
bool same_labels(const json::value& a, const json::value& b) {
  if (a.as_object().size() != b.as_object().size()) return false;
  for (const auto& [name, value] : a.as_object()) {
    const json::value* other = b.as_object().if_contains(name);
    if (!other) return false;
    if (value == *other) continue;
    double x = number(value.as_string()), y = number(other->as_string());
    if (x == 0 || y == 0 || !close(x, y)) return false;
  }
  return true;
}

// Empty when both say the same. The order of vectors counts only where the query asks for one.
std::string difference(const HttpReply& ours, const HttpReply& theirs, const std::string& query) {
  boost::system::error_code code;
  json::value a = json::parse(ours.body, code);
  if (code) return "our answer is not JSON: " + ours.body.substr(0, 200);
  json::value b = json::parse(theirs.body, code);
  if (code) return "their answer is not JSON";
  if (a.at("status") != b.at("status")) {
    auto text = [](const json::value& v) {
      return v.as_object().contains("error") ? std::string(v.at("error").as_string()) : "success";
    };
    return "ours: " + text(a) + " | theirs: " + text(b);
  }
  if (a.at("status").as_string() != "success") return {};
  const json::value& x = a.at("data");
  const json::value& y = b.at("data");
  if (x.at("resultType") != y.at("resultType")) return "result types differ";
  if (x.at("resultType").as_string() == "scalar" || x.at("resultType").as_string() == "string") {
    return same_points(x.at("result"), y.at("result"))
               ? ""
               : "values differ: " + json::serialize(x.at("result")) + " | " + json::serialize(y.at("result"));
  }
  auto sorted = [&](const json::value& data) {
    std::vector<const json::value*> list;
    for (const auto& entry : data.at("result").as_array()) list.push_back(&entry);
    if (!query.starts_with("sort")) {
      std::sort(list.begin(), list.end(), [](const json::value* l, const json::value* r) {
        return canonical_labels(l->at("metric")) < canonical_labels(r->at("metric"));
      });
    }
    return list;
  };
  auto left = sorted(x), right = sorted(y);
  if (left.size() != right.size())
    return "ours " + std::to_string(left.size()) + " series, theirs " + std::to_string(right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::string labels = canonical_labels(left[i]->at("metric"));
    if (!same_labels(left[i]->at("metric"), right[i]->at("metric")))
      return "labels differ: " + labels + " | " + canonical_labels(right[i]->at("metric"));
    const char* key = x.at("resultType").as_string() == "matrix" ? "values" : "value";
    if (!same_points(left[i]->at(key), right[i]->at(key))) {
      return labels + ": " + json::serialize(left[i]->at(key)).substr(0, 300) + " | " +
             json::serialize(right[i]->at(key)).substr(0, 300);
    }
  }
  return {};
}

// Where Prometheus 3, whose rules we follow, answers otherwise than 2.42 does; nullptr when the difference has no such
// reason.
const char* explained(const std::string& query, const std::string& problem) {
  auto has = [&](const char* text) { return query.find(text) != std::string::npos; };
  if (has("atan2") && problem.find("labels differ") == 0) return "atan2 drops the metric name since 2.50";
  if (has("timestamp(") && has("@") && has("offset"))
    return "timestamp() of a selector with @ ignored its offset in 2.42";
  if (has("~invalid")) return "any UTF-8 text is a label name in 3.0";
  if ((has("stddev") || has("stdvar")) && problem.find("NaN") != std::string::npos)
    return "deviation of a single NaN is NaN since 2.54";
  if (has("topk") || has("bottomk") || has("sort")) return "the choice and order among equal values is open";
  // Two correct sums of the same numbers may differ in their last digit; these make that digit visible.
  bool rounded = has("avg") || has("stddev") || has("stdvar") || has("sum") || has("exp(") || has("^") || has("sinh") ||
                 has("cosh") || has("ln(") || has("log") || has("tan") || has("predict_linear") || has("deriv") ||
                 has("histogram_quantile");
  bool visible = has("%") || has("==") || has("!=") || has("<") || has(">") || has("count_values") || has("tan(") ||
                 has("sin(") || has("cos(") || has("round(") || has("floor(") || has("ceil(") || has("predict_linear");
  if (rounded && visible) return "the last digit of a rounded number, made visible";
  return nullptr;
}

TEST(Differential, AgainstDebianPrometheus) {
  auto prometheus = find_program("prometheus");
  if (!prometheus) {
    ASSERT_FALSE(in_ci()) << "prometheus is missing";
    GTEST_SKIP() << "prometheus is not installed";
  }
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  std::string listen = "127.0.0.1:" + std::to_string(free_port());
  std::ofstream(place.path() / "p.yml") << "global: {}\n";
  Process process({*prometheus, "--config.file=" + (place.path() / "p.yml").string(),
                   "--storage.tsdb.path=" + (place.path() / "d").string(), "--web.listen-address=" + listen,
                   "--web.enable-remote-write-receiver", "--log.level=error",
                   "--enable-feature=promql-at-modifier,promql-negative-offset"},
                  place.path() / "log");
  ASSERT_TRUE(eventually([&] { return http_get("http://" + listen + "/-/ready").status == 200; })) << process.log();

  std::int64_t end =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  end -= end % 60'000;
  std::int64_t start = end - 3'600'000;
  for (const auto& batch : make_data(start, end)) {
    std::string body = remote_write_1(batch);
    ASSERT_EQ(http_request("POST", server.url("/api/v1/push"), body, remote_write_headers(1)).status, 204);
    ASSERT_EQ(http_request("POST", "http://" + listen + "/api/v1/write", body, remote_write_headers(1)).status, 204);
  }

  using Metric = promql::QuerygenData::Metric;
  promql::QuerygenData data;
  data.metrics = {{"diff_requests_total", Metric::Type::counter},
                  {"diff_errors_total", Metric::Type::counter},
                  {"diff_temperature", Metric::Type::gauge},
                  {"diff_queue", Metric::Type::gauge},
                  {"diff_latency_seconds_bucket", Metric::Type::classic_bucket}};
  data.labels = {
      {"job", {"api", "db"}}, {"instance", {"h1:80", "h2:80", "h3:80"}}, {"code", {"500"}}, {"queue", {"a"}}};
  data.start = start;
  data.end = end;
  const char* seed_text = std::getenv("TOCAYO_TEST_SEED");
  std::uint64_t seed = seed_text ? std::strtoull(seed_text, nullptr, 10) : 20261124;
  bool full = full_run();
  auto generated = promql::generate_queries(seed, full ? 12'000 : 2'200, data, {.only_2_42 = true});

  int differences = 0, asked = 0;
  std::map<std::string, int> reasons;
  std::mt19937_64 random(seed);
  auto compare = [&](const std::string& path, const std::string& parameters, const std::string& query) {
    ++asked;
    auto form = [&](const std::string& base) {
      return http_request("POST", base + path, "query=" + url_encode(query) + parameters,
                          {{"Content-Type", "application/x-www-form-urlencoded"}, {"X-Tocayo-Csrf", "1"}});
    };
    std::string problem = difference(form(server.url("")), form("http://" + listen), query);
    if (problem.empty()) return;
    if (const char* reason = explained(query, problem)) {
      ++reasons[reason];
      return;
    }
    if (++differences <= 60) ADD_FAILURE() << path << parameters << "\n  " << query << "\n  " << problem;
  };
  auto seconds = [](std::int64_t ms) {
    return std::to_string(ms / 1000) + "." + std::to_string(1000 + ms % 1000).substr(1);
  };
  for (std::size_t i = 0; i < generated.queries.size(); ++i) {
    std::int64_t time = start + 600'000 + static_cast<std::int64_t>(random() % 2'900'000) / 1000 * 1000 + 51;
    compare("/api/v1/query", "&time=" + seconds(time), generated.queries[i]);
    if (i % 3 == 0) {
      compare(
          "/api/v1/query_range",
          "&start=" + seconds(time - 400'000) + "&end=" + seconds(time) + "&step=" + std::to_string(7 + random() % 60),
          generated.queries[i]);
    }
  }
  std::printf("%zu queries, %d requests to each, %d differences\n", generated.queries.size(), asked, differences);
  for (const auto& [reason, count] : reasons) std::printf("  explained: %d times: %s\n", count, reason.c_str());
  std::size_t covered = 0;
  std::string missing;
  auto features = promql::querygen_features({.only_2_42 = true});
  for (const auto& feature : features) {
    if (auto it = generated.coverage.find(feature); it != generated.coverage.end() && it->second > 0)
      ++covered;
    else
      missing += (missing.empty() ? "" : ", ") + feature;
  }
  std::printf("grammar: %zu of %zu features covered%s%s\n", covered, features.size(),
              missing.empty() ? "" : "; missing: ", missing.c_str());
  EXPECT_EQ(differences, 0);
  int total = 0;
  for (const auto& [reason, count] : reasons) total += count;
  EXPECT_LT(total, asked / 50) << "too many differences have only a general explanation";
}

}  // namespace
}  // namespace tocayo::testing
