// SPDX-License-Identifier: Apache-2.0
// The syntax tree of LogQL. Plain values; the parser makes them, the pipeline compiles stages from them, the engine
// evaluates them, the printer writes them back. A parsed tree is valid: operators fit their operands, regular
// expressions of matchers compile, depth is bounded. What only a stage's compiler can check (patterns, templates,
// regexes of lines) is checked there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/labels.h"

namespace tocayo::logql {

// Where a construct begins. Lines and columns count from 1, columns in characters as Loki's scanner counts them.
struct Position {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  std::uint32_t offset = 0;  // bytes from the start of the query
};

// ---- stages of a log pipeline ----

// `|= "a" or ip("10.0.0.0/8")`: one operator, one or more operands. Neighbouring line filters are separate stages.
struct LineFilterStage {
  enum class Match : unsigned char { contains, not_contains, regex, not_regex, pattern, not_pattern };
  struct Operand {
    std::string text;
    bool ip = false;  // ip("…"): only with contains, not_contains
  };
  Match match = Match::contains;
  std::vector<Operand> operands;
};

// `name="expression"` of json and logfmt; a bare name is its own expression.
struct Extraction {
  std::string name;
  std::string expression;
};

struct JsonStage {
  std::vector<Extraction> extractions;  // empty: every member
};
struct LogfmtStage {
  bool strict = false;
  bool keep_empty = false;
  std::vector<Extraction> extractions;  // empty: every pair
};
struct RegexpStage {
  std::string regex;
};
struct PatternStage {
  std::string pattern;
};
struct UnpackStage {};

// A condition on one label, or a combination. `all` and `any` have two or more operands, evaluated left to right; the
// others have none.
struct LabelFilter {
  enum class Kind : unsigned char { text, number, duration, bytes, ip, all, any };
  enum class Compare : unsigned char { equal, not_equal, greater, greater_or_equal, less, less_or_equal };
  Kind kind = Kind::text;
  Compare compare = Compare::equal;  // number, duration, bytes; ip: equal or not_equal only
  std::string name;                  // of the label; empty for all, any
  std::optional<Matcher> matcher;    // text: always there
  double number = 0;                 // number
  std::int64_t duration_ns = 0;      // duration
  std::uint64_t bytes = 0;           // bytes
  std::string ip;                    // ip: address, CIDR or a-b range, not yet checked
  std::vector<LabelFilter> operands;
  Position position;
};
struct LabelFilterStage {
  LabelFilter filter;
};

struct LineFormatStage {
  std::string text;  // template
};
struct LabelFormatStage {
  struct Assignment {
    std::string name;
    std::string value;  // template text, or with `rename` the label whose value moves to `name`
    bool rename = false;
  };
  std::vector<Assignment> assignments;
};
struct DecolorizeStage {};

// `drop a, b="x"`, `keep a, b=~"x.*"`.
struct NamedMatcher {
  std::string name;
  std::optional<Matcher> matcher;  // absent: whatever the value
};
struct DropStage {
  std::vector<NamedMatcher> labels;
};
struct KeepStage {
  std::vector<NamedMatcher> labels;
};

struct Stage {
  Position position;
  std::variant<LineFilterStage, JsonStage, LogfmtStage, RegexpStage, PatternStage, UnpackStage, LabelFilterStage,
               LineFormatStage, LabelFormatStage, DecolorizeStage, DropStage, KeepStage>
      node;
};

// ---- log queries ----

// `{app="x"} |= "y" | json`.
struct LogExpr {
  std::vector<Matcher> matchers;
  std::vector<Stage> stages;
  Position position;
};

// `| unwrap duration(latency) | __error__=""`.
struct Unwrap {
  enum class Conversion : unsigned char { none, bytes, duration, duration_seconds };
  std::string label;
  Conversion conversion = Conversion::none;
  std::vector<LabelFilter> filters;  // after the conversion; all must hold
  Position position;
};

// A log query over a window: `… [5m] offset 1h`.
struct LogRange {
  LogExpr log;
  std::optional<Unwrap> unwrap;
  std::int64_t interval_ns = 0;
  std::int64_t offset_ns = 0;  // positive looks back
};

// ---- metric queries ----

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// `by (a, b)` / `without (a)`.
struct Grouping {
  std::vector<std::string> labels;
  bool without = false;
};

enum class RangeOp : unsigned char {
  count_over_time,
  rate,
  rate_counter,
  bytes_over_time,
  bytes_rate,
  avg_over_time,
  sum_over_time,
  min_over_time,
  max_over_time,
  stdvar_over_time,
  stddev_over_time,
  quantile_over_time,
  first_over_time,
  last_over_time,
  absent_over_time,
};

struct RangeAggregation {
  RangeOp op = RangeOp::count_over_time;
  std::optional<double> parameter;  // quantile_over_time: always there, nobody else has one
  LogRange range;
  std::optional<Grouping> grouping;
};

enum class VectorOp : unsigned char {
  sum,
  avg,
  count,
  max,
  min,
  stddev,
  stdvar,
  bottomk,
  topk,
  sort,
  sort_desc,
  approx_topk,
};

struct VectorAggregation {
  VectorOp op = VectorOp::sum;
  std::int64_t parameter = 0;  // k of topk, bottomk, approx_topk; > 0 there
  ExprPtr operand;
  std::optional<Grouping> grouping;  // absent = by () except for topk and its like, where it means one group
};

enum class BinaryOp : unsigned char {
  logical_or,
  logical_and,
  unless,
  add,
  subtract,
  multiply,
  divide,
  modulo,
  power,
  equal,
  not_equal,
  greater,
  greater_or_equal,
  less,
  less_or_equal,
};
bool is_comparison(BinaryOp op);
bool is_set_operation(BinaryOp op);

struct VectorMatching {
  enum class Cardinality : unsigned char { one_to_one, many_to_one, one_to_many };  // group_left / group_right
  Cardinality cardinality = Cardinality::one_to_one;
  std::vector<std::string> labels;   // of on / ignoring
  bool on = false;                   // else ignoring
  std::vector<std::string> include;  // of group_left / group_right
};

struct Binary {
  BinaryOp op = BinaryOp::add;
  bool return_bool = false;
  VectorMatching matching;
  ExprPtr left;
  ExprPtr right;
};

struct Number {
  double value = 0;
};
// vector(n).
struct VectorNumber {
  double value = 0;
};
struct LabelReplace {
  ExprPtr operand;
  std::string destination;
  std::string replacement;
  std::string source;
  std::string regex;
};

struct Expr {
  Position position;
  std::variant<LogExpr, RangeAggregation, VectorAggregation, Binary, Number, VectorNumber, LabelReplace> node;

  bool is_log() const { return std::holds_alternative<LogExpr>(node); }
};

// "count_over_time", "topk", "+", ….
std::string_view to_string(RangeOp op);
std::string_view to_string(VectorOp op);
std::string_view to_string(BinaryOp op);
std::string_view to_string(LabelFilter::Compare compare);   // "=" "!=" ">" …
std::string_view to_string(LineFilterStage::Match match);   // "|=" …
std::string_view to_string(Unwrap::Conversion conversion);  // "" "bytes" "duration" "duration_seconds"

}  // namespace tocayo::logql
