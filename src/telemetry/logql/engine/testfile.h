// SPDX-License-Identifier: Apache-2.0
// LogQL tables: YAML files of data sets and queries with their answers (format 1, see conformance/logql/README.md), and
// the runner that puts them to whatever can answer: the engine over any store, or a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "logs/entry.h"
#include "logs/querier.h"

namespace tocayo {
class Pool;
}

namespace tocayo::logql::table {

struct Entry {
  TimestampNs time = 0;
  std::string line;
  std::vector<Label> metadata;  // sorted by name
};
struct Stream {
  Labels labels;
  std::vector<Entry> entries;
};
using DataSet = std::vector<Stream>;

// Exactly one kind of request.
struct Instant {
  TimestampNs time = 0;
};
struct Range {
  TimestampNs start = 0;
  TimestampNs end = 0;
  std::int64_t step_ns = 0;
};
struct Logs {
  TimestampNs start = 0;
  TimestampNs end = 0;
  std::string direction;
  std::int64_t limit = 0;
};
struct Format {};
struct Request {
  std::string tenant;  // whose data set it is; "" when the query needs none
  std::string query;
  std::variant<Instant, Range, Logs, Format> what;
  std::map<std::string, std::string> headers;
  // X-Loki-Response-Encoding-Flags: categorize-labels
  bool categorize() const;
};

// Labels are pairs here, for a value may be empty. Sorted by name.
using LabelList = std::vector<Label>;
struct Sample {
  LabelList labels;
  double value = 0;
};
struct Series {
  LabelList labels;
  std::vector<std::pair<TimestampNs, double>> points;
};
struct Line {
  TimestampNs time = 0;
  std::string text;
  LabelList metadata;  // of the third member, when the labels are categorised
  LabelList parsed;
};
struct Lines {
  LabelList labels;
  std::vector<Line> lines;
};
struct Scalar {
  double value = 0;
};
struct Failure {
  int status = 0;
  std::string message;
};
using Answer = std::variant<Failure, Scalar, std::vector<Sample>, std::vector<Series>, std::vector<Lines>, std::string>;

struct Expectation {
  Answer answer;  // Failure: the message must contain this one
  bool ordered = false;
  bool empty = false;  // no series, no stream
};

struct Case {
  std::string id;
  std::size_t line = 0;  // in the file
  Request request;
  Expectation expected;
};

struct Suite {
  std::string file;
  std::string name;
  std::map<std::string, DataSet> data;  // by tenant: "<suite>-<data set>"
  std::vector<Case> cases;
};

// bad_input with file, line and column.
Result<Suite> parse_suite(std::string_view text, std::string_view file);

// Who answers.
class Target {
 public:
  virtual ~Target() = default;
  // Stores one data set; afterwards requests with this tenant see it.
  virtual Result<> load(const std::string& tenant, const DataSet& data) = 0;
  virtual Answer answer(const Request& request) = 0;
};

struct Mismatch {
  std::string where;  // file:line: id
  std::string what;
};
struct Report {
  std::size_t cases = 0;
  std::vector<Mismatch> mismatches;
};

// Loads the data of the suite, then asks every case. An error when the data cannot be loaded.
Result<Report> run(const Suite& suite, Target& target);
// Asks every case again, of a target that has the data already (after a flush, a restart).
Report ask(const Suite& suite, Target& target);
// "" when the answer is what was expected, else what differs.
std::string compare(const Case& one, const Answer& answer);

// The engine over stores that `querier` hands out. Both functions name a tenant. With a pool, queries run on it.
class EngineTarget final : public Target {
 public:
  using Append = std::function<Result<>(const std::string& tenant, std::span<logs::StreamRows> streams)>;
  using OpenQuerier = std::function<Result<std::shared_ptr<const logs::Querier>>(const std::string& tenant)>;

  EngineTarget(Append append, OpenQuerier querier, Pool* pool = nullptr)
      : append_(std::move(append)), querier_(std::move(querier)), pool_(pool) {}
  Result<> load(const std::string& tenant, const DataSet& data) override;
  Answer answer(const Request& request) override;

 private:
  Append append_;
  OpenQuerier querier_;
  Pool* pool_;
};

}  // namespace tocayo::logql::table
