// SPDX-License-Identifier: Apache-2.0
// What a page for exploring logs asks for: which fields lines have (structured metadata, members of JSON, pairs of
// logfmt), of which type, with how many values; and which labels streams have. Source: Loki's detected_fields and
// detected_labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "logql/engine/engine.h"
#include "logql/engine/result.h"
#include "logs/querier.h"

namespace tocayo::logql {

struct DetectedField {
  std::string label;
  std::string type;                  // "boolean" "int" "float" "duration" "bytes" "string": what fits every value seen
  std::uint64_t cardinality = 0;     // exact up to some hundred values, then estimated within about 1 %
  std::vector<std::string> parsers;  // "json", "logfmt"; empty for structured metadata
  std::vector<std::string> json_path;  // of a JSON member: its keys from the root
};

// Collects the fields of lines. Not thread-safe.
class FieldDetector {
 public:
  // Fields beyond `max_fields` are not counted.
  explicit FieldDetector(std::size_t max_fields);
  ~FieldDetector();

  void add(const LogLine& line);
  std::vector<DetectedField> fields() const;  // sorted by label

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct FieldQuery {
  std::string query;  // a log query
  TimestampNs start = 0;
  TimestampNs end = 0;
  std::size_t line_limit = 100;  // newest lines that are looked at
  std::size_t limit = 1'000;     // of fields or values
};

// bad_input when the query is not a log query; else as Engine::query.
Result<std::vector<DetectedField>> detect_fields(const Engine& engine, const logs::Querier& querier,
                                                 const FieldQuery& query, const QueryOptions& options = {},
                                                 const Context& context = {});
// Values of one field, sorted; spaces of sizes ("1.5 MB") are left out, so that a value can stand in a query.
Result<std::vector<std::string>> detect_field_values(const Engine& engine, const logs::Querier& querier,
                                                     const FieldQuery& query, const std::string& field,
                                                     const QueryOptions& options = {}, const Context& context = {});

struct DetectedLabel {
  std::string label;
  std::uint64_t cardinality = 0;
};
// Labels of the streams in the range, sorted, without those whose values are all ids (numbers, UUIDs, hashes), except
// cluster, namespace, instance and pod.
Result<std::vector<DetectedLabel>> detect_labels(const logs::Querier& querier, const std::vector<Matcher>& matchers,
                                                 TimestampNs start, TimestampNs end, const Context& context = {});

// Number of distinct values: exact while few, then HyperLogLog with 2^14 registers.
class DistinctCounter {
 public:
  void add(std::string_view value);
  std::uint64_t estimate() const;

 private:
  static constexpr std::size_t kExact = 512;
  static constexpr unsigned kBits = 14;
  std::vector<std::uint64_t> hashes_;  // sorted, while registers_ is empty
  std::vector<std::uint8_t> registers_;
};

}  // namespace tocayo::logql
