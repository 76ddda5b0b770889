// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/testfile.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/yaml.h"
#include "logql/syntax/literals.h"

namespace tocayo::logql::table {

namespace {

// Reads one file; every node that is not what the format says ends it with a located error.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  Result<Suite> read(const YAML::Node& root) {
    Suite suite;
    suite.file = file_;
    if (!root.IsMap()) return error(root, "a mapping is expected here");
    if (TRY(text(root, "format")) != "1") return error(root, "only format 1 is known");
    suite.name = TRY(text(root, "suite"));
    base_ = TRY(time_ns(root["base"], 0));
    if (const YAML::Node data = root["data"]; data.IsDefined() && !data.IsNull()) {
      for (const auto& set : data) {
        suite.data.emplace(tenant(suite, set.first.Scalar()), TRY(data_set(set.second)));
      }
    }
    for (const YAML::Node& node : root["cases"]) suite.cases.push_back(TRY(read_case(suite, node)));
    if (suite.cases.empty()) return error(root, "no cases");
    return suite;
  }

 private:
  std::unexpected<Error> error(const YAML::Node& node, std::string_view message) const {
    return std::unexpected(yaml::error_at(node, file_, message));
  }
  static std::string tenant(const Suite& suite, const std::string& data) { return suite.name + "-" + data; }

  Result<std::string> text(const YAML::Node& node, const char* key) const {
    const YAML::Node value = node[key];
    if (!value.IsDefined() || !value.IsScalar()) return error(node, fmt::format("{}: text is expected", key));
    return value.Scalar();
  }

  // Seconds from `base`, exact to the nanosecond.
  Result<std::int64_t> time_ns(const YAML::Node& node, std::int64_t base) const {
    if (!node.IsDefined() || !node.IsScalar()) return error(node, "seconds are expected here");
    std::string_view text = node.Scalar();
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    std::string digits(text.substr(0, point));
    std::string fraction(text.substr(std::min(point + 1, text.size())));
    if (fraction.size() > 9) return error(node, "more than nine digits of a second");
    fraction.resize(9, '0');
    digits += fraction;
    std::int64_t ns = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), ns);
    if (failure != std::errc() || end != digits.data() + digits.size()) return error(node, "not a number of seconds");
    return base + (negative ? -ns : ns);
  }

  Result<LabelList> labels(const YAML::Node& node) const {
    if (!node.IsDefined() || !node.IsMap()) return error(node, "labels are expected here");
    LabelList list;
    for (const auto& pair : node) list.push_back({pair.first.Scalar(), pair.second.Scalar()});
    std::ranges::sort(list);
    return list;
  }

  Result<double> number(const YAML::Node& node) const {
    if (!node.IsScalar()) return error(node, "a number is expected here");
    auto value = parse_go_float(node.Scalar());
    if (!value) return error(node, value.error().message);
    return *value;
  }

  Result<DataSet> data_set(const YAML::Node& node) const {
    DataSet set;
    for (const YAML::Node& one : node) {
      Stream stream{Labels(TRY(labels(one["labels"]))), {}};
      for (const YAML::Node& entry : one["entries"]) TRY(add_entries(entry, stream));
      set.push_back(std::move(stream));
    }
    return set;
  }

  Result<> add_entries(const YAML::Node& node, Stream& stream) const {
    if (node.IsSequence()) {
      if (node.size() < 2) return error(node, "[time, line] is expected");
      Entry entry{TRY(time_ns(node[0], base_)), node[1].Scalar(), {}};
      if (node.size() > 2) entry.metadata = TRY(labels(node[2]));
      stream.entries.push_back(std::move(entry));
      return {};
    }
    const std::int64_t first = TRY(time_ns(node["t"], base_));
    const std::int64_t every = TRY(time_ns(node["every"], 0));
    const auto count = static_cast<std::size_t>(TRY(number(node["count"])));
    const std::string line = TRY(text(node, "line"));
    const LabelList meta = node["meta"].IsDefined() ? TRY(labels(node["meta"])) : LabelList{};
    for (std::size_t i = 0; i < count; ++i) {
      std::string filled = line;
      for (std::size_t at = filled.find("{i}"); at != std::string::npos; at = filled.find("{i}", at)) {
        filled.replace(at, 3, std::to_string(i));
      }
      stream.entries.push_back({first + static_cast<std::int64_t>(i) * every, std::move(filled), meta});
    }
    return {};
  }

  Result<Case> read_case(const Suite& suite, const YAML::Node& node) const {
    Case one;
    one.line = static_cast<std::size_t>(node.Mark().line) + 1;
    one.id = TRY(text(node, "id"));
    one.request.query = TRY(text(node, "query"));
    if (node["data"].IsDefined()) {
      one.request.tenant = tenant(suite, TRY(text(node, "data")));
      if (!suite.data.contains(one.request.tenant)) return error(node["data"], "no such data set");
    }
    if (const YAML::Node headers = node["headers"]; headers.IsDefined()) {
      for (const auto& pair : headers) one.request.headers[pair.first.Scalar()] = pair.second.Scalar();
    }
    TRY(read_request(node, one.request));
    TRY(read_expectation(node, one));
    return one;
  }

  Result<> read_request(const YAML::Node& node, Request& request) const {
    if (const YAML::Node instant = node["instant"]; instant.IsDefined()) {
      request.what = Instant{TRY(time_ns(instant, base_))};
    } else if (const YAML::Node range = node["range"]; range.IsDefined()) {
      request.what =
          Range{TRY(time_ns(range["from"], base_)), TRY(time_ns(range["to"], base_)), TRY(time_ns(range["step"], 0))};
    } else if (const YAML::Node logs = node["logs"]; logs.IsDefined()) {
      request.what = Logs{TRY(time_ns(logs["from"], base_)), TRY(time_ns(logs["to"], base_)),
                          TRY(text(logs, "direction")), static_cast<std::int64_t>(TRY(number(logs["limit"])))};
    } else if (node["format_query"].IsDefined()) {
      request.what = Format{};
    } else {
      return error(node, "one of instant, range, logs, format_query is needed");
    }
    return {};
  }

  Result<> read_expectation(const YAML::Node& node, Case& one) const {
    Expectation& expected = one.expected;
    expected.ordered = node["ordered"].IsDefined() && node["ordered"].as<bool>(false);
    if (const YAML::Node failure = node["error"]; failure.IsDefined()) {
      expected.answer = Failure{static_cast<int>(TRY(number(failure["status"]))), TRY(text(failure, "contains"))};
    } else if (const YAML::Node vector = node["vector"]; vector.IsDefined()) {
      std::vector<Sample> samples;
      for (const YAML::Node& pair : vector) samples.push_back({TRY(labels(pair[0])), TRY(number(pair[1]))});
      expected.answer = std::move(samples);
    } else if (const YAML::Node matrix = node["matrix"]; matrix.IsDefined()) {
      expected.answer = TRY(read_matrix(matrix, one.request));
    } else if (const YAML::Node scalar = node["scalar"]; scalar.IsDefined()) {
      expected.answer = Scalar{TRY(number(scalar))};
    } else if (const YAML::Node streams = node["streams"]; streams.IsDefined()) {
      expected.answer = TRY(read_streams(streams));
    } else if (node["text"].IsDefined()) {
      expected.answer = TRY(text(node, "text"));
    } else if (node["empty"].IsDefined()) {
      expected.empty = true;
    } else {
      return error(node, "one of error, vector, matrix, scalar, streams, text, empty is needed");
    }
    return {};
  }

  Result<std::vector<Series>> read_matrix(const YAML::Node& node, const Request& request) const {
    const auto* range = std::get_if<Range>(&request.what);
    if (range == nullptr) return error(node, "a matrix answers a range");
    std::vector<Series> all;
    for (const YAML::Node& pair : node) {
      Series series{TRY(labels(pair[0])), {}};
      TimestampNs time = range->start;
      for (const YAML::Node& value : pair[1]) {
        if (!value.IsNull()) series.points.emplace_back(time, TRY(number(value)));
        time += range->step_ns;
      }
      all.push_back(std::move(series));
    }
    return all;
  }

  Result<std::vector<Lines>> read_streams(const YAML::Node& node) const {
    std::vector<Lines> all;
    for (const YAML::Node& one : node) {
      Lines stream{TRY(labels(one["labels"])), {}};
      for (const YAML::Node& entry : one["lines"]) {
        Line line{TRY(time_ns(entry[0], base_)), entry[1].Scalar(), {}, {}};
        if (entry.size() > 2) {
          if (entry[2]["structuredMetadata"].IsDefined()) line.metadata = TRY(labels(entry[2]["structuredMetadata"]));
          if (entry[2]["parsed"].IsDefined()) line.parsed = TRY(labels(entry[2]["parsed"]));
        }
        stream.lines.push_back(std::move(line));
      }
      all.push_back(std::move(stream));
    }
    return all;
  }

  std::string file_;
  std::int64_t base_ = 0;
};

}  // namespace

bool Request::categorize() const {
  const auto at = headers.find("X-Loki-Response-Encoding-Flags");
  return at != headers.end() && at->second.contains("categorize-labels");
}

Result<Suite> parse_suite(std::string_view text, std::string_view file) {
  const YAML::Node root = TRY(yaml::parse(text, file));
  try {
    return Reader(file).read(root);
  } catch (const YAML::Exception& e) {
    return fail(ErrorKind::bad_input, fmt::format("{}:{}:{}: {}", file, e.mark.line + 1, e.mark.column + 1, e.msg));
  }
}

Report ask(const Suite& suite, Target& target) {
  Report report;
  for (const Case& one : suite.cases) {
    ++report.cases;
    std::string difference = compare(one, target.answer(one.request));
    if (!difference.empty()) {
      report.mismatches.push_back(
          {fmt::format("{}:{}: {}", suite.file, one.line, one.id), one.request.query + "\n" + difference});
    }
  }
  return report;
}

Result<Report> run(const Suite& suite, Target& target) {
  for (const auto& [tenant, data] : suite.data) {
    auto loaded = target.load(tenant, data);
    if (!loaded) return std::unexpected(std::move(loaded.error()).with_context("load " + tenant));
  }
  return ask(suite, target);
}

}  // namespace tocayo::logql::table
