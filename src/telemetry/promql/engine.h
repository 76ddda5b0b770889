// SPDX-License-Identifier: Apache-2.0
// The query engine: an expression and a store's Querier in, values, annotations and statistics out.
//
// Evaluation is series-major: every node works on whole series over all steps at once, selectors stream series by
// series into range functions and aggregations, so that `sum by (job) (rate(m[5m]))` over a million series holds only
// the groups. Calls are synchronous and belong on a compute thread; an engine may be used from many threads. Big
// selectors, and the sides of operators, are evaluated on further threads of a pool; results, annotations, statistics
// and errors do not depend on their number.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "metrics/querier.h"
#include "promql/annotations.h"
#include "promql/ast.h"
#include "promql/parser.h"
#include "promql/value.h"

namespace tocayo {
class Pool;
}

namespace tocayo::promql {

namespace eval {
class SelectorHistory;
}

// Prometheus' feature flags in comments. All off, as there.
struct Features {
  bool experimental_functions = false;  // promql-experimental-functions
  bool duration_expressions = false;    // promql-duration-expr
  bool extended_ranges = false;         // promql-extended-range-selectors
  bool fill_modifiers = false;          // promql-binop-fill-modifiers
  bool delayed_name_removal = false;    // promql-delayed-name-removal
  bool use_start_timestamps = false;    // use-start-timestamps
  bool type_and_unit_labels = false;    // type-and-unit-labels
  bool per_step_stats = false;          // promql-per-step-stats

  ParserOptions parser_options() const;
  static Features all();
};

struct EngineOptions {
  Duration timeout = std::chrono::minutes(2);   // of one query, beside the caller's deadline
  std::size_t max_samples = 50'000'000;         // live samples of one query
  Duration lookback = std::chrono::minutes(5);  // how old an instant selector's sample may be
  // Resolution of a subquery that names none, given its range. Default: one minute.
  std::function<Duration(Duration range)> default_subquery_step;
  // Both sides of an operator are evaluated at once when each is expected to take this long.
  std::chrono::microseconds inline_below = std::chrono::milliseconds(2);
  Features features;
};

// What one query may want differently.
struct QueryOptions {
  Duration lookback{0};          // 0 = the engine's
  Duration timeout{0};           // 0 = the engine's; a longer one than the engine's is cut to it
  std::size_t max_samples = 0;   // 0 = the engine's
  std::size_t memory_limit = 0;  // bytes of intermediate and final results, 0 = none
  bool per_step_stats = false;   // stats=all; needs the feature
  Pool* pool = nullptr;          // evaluates what is big on it; null = on the calling thread only
  std::size_t parallelism = 0;   // threads of the pool at once, 0 = all
  // Counts the memory of the query, its result included, and may end it. The result's part stays counted: whoever
  // drops the result drops the meter. Null = nobody counts.
  metrics::QueryMeter* meter = nullptr;
  std::optional<Features> features;  // instead of the engine's (per tenant)
};

// How the HTTP API names an error; error.kind alone cannot tell a bad query from one that failed while running.
struct QueryError {
  enum class Type : unsigned char {
    bad_data,     // 400: does not parse, or the parameters make no sense
    execution,    // 422: failed on the data it met, or hit max_samples or the memory limit (then error.kind is `limit`)
    canceled,     // 499
    timeout,      // 503
    unavailable,  // 503: the store is not ready or overloaded
    too_many_requests,  // 429
    internal,           // 500: the store failed
  };
  QueryError(Type t, Error e) : type(t), error(std::move(e)) {}
  QueryError(Error e);  // NOLINT: by kind, so that TRY works on a store's results

  Type type;
  Error error;
  const std::string& message() const { return error.message; }
};
// "bad_data" "execution" "canceled" "timeout" "unavailable" "too_many_requests" "internal".
std::string_view to_string(QueryError::Type type);

// As /api/v1/query?stats=all shows them. Seconds.
struct QueryTimings {
  double eval_total = 0, result_sort = 0, query_preparation = 0, inner_eval = 0, exec_queue = 0, exec_total = 0;
};
struct QueryStats {
  QueryTimings timings;
  std::int64_t total_queryable_samples = 0;  // each step counts its whole window
  std::int64_t samples_read = 0;             // only what is new at each step
  std::int64_t peak_samples = 0;             // most samples alive at once
  // (time, count), only with per_step_stats.
  std::vector<std::pair<TimestampMs, std::int64_t>> total_queryable_samples_per_step;
  std::vector<std::pair<TimestampMs, std::int64_t>> samples_read_per_step;
};

struct QueryResult {
  Value value;
  Annotations annotations;
  QueryStats stats;
};

using QueryOutcome = std::expected<QueryResult, QueryError>;

class Engine {
 public:
  explicit Engine(EngineOptions options = {});

  // Value of `expr` at `time`: scalar, string, vector, or for a range vector a matrix of its samples.
  QueryOutcome instant(const metrics::Querier& querier, std::string_view expr, TimestampMs time,
                       const QueryOptions& options = {}, const Context& context = {}) const;
  QueryOutcome instant(const metrics::Querier& querier, const Expr& expr, TimestampMs time,
                       const QueryOptions& options = {}, const Context& context = {}) const;

  // Matrix at start, start + step, … up to end. bad_data when step <= 0, end < start, or the expression is neither a
  // scalar nor an instant vector. The number of steps is the caller's to limit.
  QueryOutcome range(const metrics::Querier& querier, std::string_view expr, TimestampMs start, TimestampMs end,
                     Duration step, const QueryOptions& options = {}, const Context& context = {}) const;
  QueryOutcome range(const metrics::Querier& querier, const Expr& expr, TimestampMs start, TimestampMs end,
                     Duration step, const QueryOptions& options = {}, const Context& context = {}) const;

  const EngineOptions& options() const { return options_; }

 private:
  QueryOutcome run(const metrics::Querier& querier, ExprPtr expr, TimestampMs start, TimestampMs end, Duration step,
                   bool instant, const QueryOptions& options, const Context& context) const;
  std::expected<ExprPtr, QueryError> parse(std::string_view expr, const QueryOptions& options) const;

  EngineOptions options_;
  std::shared_ptr<eval::SelectorHistory> history_;  // shared: by copies of the engine
};

}  // namespace tocayo::promql
