// SPDX-License-Identifier: Apache-2.0
// The syntax tree of PromQL (v3.14). parser.h makes it, printer.h and ast_json.h show it, the engine walks it.
//
// Nodes are owned by unique_ptr from the root down, are plain mutable data, and are not synchronised: a query owns its
// tree. No tree that the parser returns is deeper than ParserOptions::max_depth, so that recursion over it is safe.
// Positions are byte offsets into the query text. Times are Unix milliseconds, durations milliseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/time.h"

namespace tocayo::promql {

using Duration = std::chrono::milliseconds;

// Half open [start, end) in bytes of the query text; -1 where a node has no place of its own.
struct PositionRange {
  int start = 0;
  int end = 0;
  bool operator==(const PositionRange&) const = default;
};

// "line:column" (both from 1, column in bytes) of range.start; "unknown position" for an empty query, "invalid
// position" outside.
std::string position_text(std::string_view query, PositionRange range);

enum class ValueType : unsigned char { none, scalar, vector, matrix, string };
// "none" "scalar" "vector" "matrix" "string": the names of the HTTP API.
std::string_view to_string(ValueType type);
// "scalar" "instant vector" "range vector" "string": the names in messages to users.
std::string_view documented_type(ValueType type);

enum class BinaryOp : unsigned char {
  add,
  sub,
  mul,
  div,
  mod,
  pow,
  atan2,
  eql,
  neq,
  gtr,
  lss,
  gte,
  lte,
  trim_upper,  // `</`: drops histogram observations above the bound
  trim_lower,  // `>/`: drops histogram observations below the bound
  land,
  lor,
  lunless,
};
std::string_view to_string(BinaryOp op);  // as written: "+", "==", "and", "</"
inline bool is_comparison(BinaryOp op) { return op >= BinaryOp::eql && op <= BinaryOp::lte; }
inline bool is_set_operator(BinaryOp op) { return op >= BinaryOp::land; }

enum class AggregateOp : unsigned char {
  avg,
  bottomk,
  count,
  count_values,
  group,
  limitk,
  limit_ratio,
  max,
  min,
  quantile,
  stddev,
  stdvar,
  sum,
  topk,
};
std::string_view to_string(AggregateOp op);
// topk bottomk count_values quantile limitk limit_ratio.
bool takes_parameter(AggregateOp op);
// limitk limit_ratio.
bool is_experimental(AggregateOp op);

enum class UnaryOp : unsigned char { add, sub };
std::string_view to_string(UnaryOp op);

// How `@` fixes a selector: not at all, at a number, or at the start or end of the query.
enum class AtModifier : unsigned char { none, timestamp, start, end };

enum class Kind : unsigned char {
  number,
  string,
  vector_selector,
  matrix_selector,
  subquery,
  call,
  aggregate,
  binary,
  unary,
  paren,
  step_invariant,
  duration,
};

struct FunctionSignature;  // function_signatures.h

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// Base of all nodes. `as<T>()` is the checked downcast, e.g. `if (auto* call = expr.as<Call>())`.
struct Expr {
  const Kind kind;
  virtual ~Expr() = default;
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;

  template <typename T>
  T* as() {
    return kind == T::kKind ? static_cast<T*>(this) : nullptr;
  }
  template <typename T>
  const T* as() const {
    return kind == T::kKind ? static_cast<const T*>(this) : nullptr;
  }

 protected:
  explicit Expr(Kind k) : kind(k) {}
};

// What the expression evaluates to. O(depth).
ValueType type_of(const Expr& expr);
// Where the expression stands in the query text (for a binary: from its left side's start to its right side's end).
// O(depth).
PositionRange position_of(const Expr& expr);
// Deep copy.
ExprPtr clone(const Expr& expr);
// Without parentheses and step-invariant wrappers around it; `expr` itself when there are none.
const Expr& unwrap(const Expr& expr);
Expr& unwrap(Expr& expr);

struct NumberLiteral final : Expr {
  static constexpr Kind kKind = Kind::number;
  NumberLiteral() : Expr(kKind) {}
  double value = 0;          // durations in seconds
  bool is_duration = false;  // written as a duration ("5m"); printed so again
  PositionRange position;
};

struct StringLiteral final : Expr {
  static constexpr Kind kKind = Kind::string;
  StringLiteral() : Expr(kKind) {}
  std::string value;  // unquoted
  PositionRange position;
};

// Arithmetic on durations, only inside `[…]` and after `offset`. Leaves are NumberLiterals (seconds).
// resolve_durations() (duration_expr.h) computes it once start, end and step are known.
struct DurationExpr final : Expr {
  static constexpr Kind kKind = Kind::duration;
  enum class Op : unsigned char { add, sub, mul, div, mod, pow, step, range, min_of, max_of };
  DurationExpr() : Expr(kKind) {}
  Op op = Op::add;
  ExprPtr lhs;             // null for step(), range() and unary + and -
  ExprPtr rhs;             // null for step() and range()
  bool wrapped = false;    // stands in parentheses of its own
  PositionRange position;  // explicit for step(), range(), min_of(), max_of(), unary and wrapped; see position_of()
};
std::string_view to_string(DurationExpr::Op op);

struct VectorSelector final : Expr {
  static constexpr Kind kKind = Kind::vector_selector;
  VectorSelector() : Expr(kKind) {}
  std::string name;               // metric name when given outside or alone inside the braces, else ""
  std::vector<Matcher> matchers;  // all, the one for __name__ included (it stands last, as in Prometheus)

  Duration original_offset{0};  // as written; set by resolve_durations() when there is an expression
  std::unique_ptr<DurationExpr> original_offset_expr;
  Duration offset{0};  // effective; set by set_offsets_for_at() (parser_preprocess.h)
  AtModifier at = AtModifier::none;
  std::optional<TimestampMs> timestamp;  // of `@`; for start() and end() set by preprocess()

  bool anchored = false;
  bool smoothed = false;
  bool bypass_empty_matcher_check = false;  // second argument of info()
  bool skip_histogram_buckets = false;      // only count and sum of native histograms are needed; set by preprocess()
  PositionRange position;
};

struct MatrixSelector final : Expr {
  static constexpr Kind kKind = Kind::matrix_selector;
  MatrixSelector() : Expr(kKind) {}
  std::unique_ptr<VectorSelector> selector;  // carries offset, @, anchored, smoothed
  Duration range{0};                         // set by resolve_durations() when there is an expression
  std::unique_ptr<DurationExpr> range_expr;
  int end_position = 0;
};

struct SubqueryExpr final : Expr {
  static constexpr Kind kKind = Kind::subquery;
  SubqueryExpr() : Expr(kKind) {}
  ExprPtr expr;
  Duration range{0};
  std::unique_ptr<DurationExpr> range_expr;
  Duration step{0};  // 0 = the engine's default interval
  std::unique_ptr<DurationExpr> step_expr;
  Duration original_offset{0};
  std::unique_ptr<DurationExpr> original_offset_expr;
  Duration offset{0};
  AtModifier at = AtModifier::none;
  std::optional<TimestampMs> timestamp;
  int end_position = 0;
};

struct Call final : Expr {
  static constexpr Kind kKind = Kind::call;
  Call() : Expr(kKind) {}
  const FunctionSignature* function = nullptr;  // static storage, never null
  std::vector<ExprPtr> args;
  PositionRange position;
};

struct AggregateExpr final : Expr {
  static constexpr Kind kKind = Kind::aggregate;
  AggregateExpr() : Expr(kKind) {}
  AggregateOp op = AggregateOp::sum;
  ExprPtr expr;
  ExprPtr param;                      // null unless takes_parameter(op)
  std::vector<std::string> grouping;  // in the order written
  bool without = false;
  PositionRange position;
};

enum class Cardinality : unsigned char { one_to_one, many_to_one, one_to_many, many_to_many };
std::string_view to_string(Cardinality card);  // "one-to-one" …

struct VectorMatching {
  Cardinality card = Cardinality::one_to_one;
  std::vector<std::string> matching_labels;
  bool on = false;                   // matching_labels are the only ones (true) or the ignored ones (false)
  std::vector<std::string> include;  // group_left(…) / group_right(…)
  std::optional<double> fill_left;   // value of a side without a match; both set by fill(v)
  std::optional<double> fill_right;
};

struct BinaryExpr final : Expr {
  static constexpr Kind kKind = Kind::binary;
  BinaryExpr() : Expr(kKind) {}
  BinaryOp op = BinaryOp::add;
  ExprPtr lhs;
  ExprPtr rhs;
  bool return_bool = false;
  std::optional<VectorMatching> matching;  // set exactly when both sides are vectors
};

struct UnaryExpr final : Expr {
  static constexpr Kind kKind = Kind::unary;
  UnaryExpr() : Expr(kKind) {}
  UnaryOp op = UnaryOp::add;
  ExprPtr expr;
  int start_position = 0;
};

struct ParenExpr final : Expr {
  static constexpr Kind kKind = Kind::paren;
  ParenExpr() : Expr(kKind) {}
  ExprPtr expr;
  PositionRange position;
};

// Evaluates to the same at every step; evaluate once. Only preprocess() makes it, never the parser.
struct StepInvariantExpr final : Expr {
  static constexpr Kind kKind = Kind::step_invariant;
  StepInvariantExpr() : Expr(kKind) {}
  ExprPtr expr;
};

// Direct children in evaluation order (aggregate: expr, param; matrix selector: its vector selector; duration
// expressions of selectors are not children). The pointers live as long as the tree is not changed.
std::vector<Expr*> children(Expr& expr);
std::vector<const Expr*> children(const Expr& expr);

// Depth first, parents before children; `path` holds the ancestors, root first.
//   walk(*root, [&](Expr& node, const std::vector<Expr*>& path) { … });
template <typename F>
void walk(Expr& node, F&& visit, std::vector<Expr*>& path) {
  visit(node, path);
  path.push_back(&node);
  for (Expr* child : children(node)) walk(*child, visit, path);
  path.pop_back();
}
template <typename F>
void walk(Expr& node, F&& visit) {
  std::vector<Expr*> path;
  walk(node, visit, path);
}
template <typename F>
void walk(const Expr& node, F&& visit, std::vector<const Expr*>& path) {
  visit(node, path);
  path.push_back(&node);
  for (const Expr* child : children(node)) walk(*child, visit, path);
  path.pop_back();
}
template <typename F>
void walk(const Expr& node, F&& visit) {
  std::vector<const Expr*> path;
  walk(node, visit, path);
}

}  // namespace tocayo::promql
