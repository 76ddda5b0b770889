// SPDX-License-Identifier: Apache-2.0
// What a tenant may ask: Mimir's per-tenant limits of reads, ready to be applied (expressions compiled). Values come
// from services/tenancy through src/main; which limit acts where is in this room's README.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "http/message.h"
#include "metrics/querier_meter.h"
#include "promql/ast.h"

namespace tocayo::metrics::api {

// A text, or a regular expression that the whole of another text must match (`.` matches newlines as well).
class TextPattern {
 public:
  // bad_input when the expression does not compile.
  static Result<TextPattern> create(std::string pattern, bool regex);
  bool matches(std::string_view text) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::optional<Matcher> regex_;
};

// 0 (or an empty list) switches a limit off. Names as in the configuration.
struct QueryLimits {
  QueryMeterLimits fetch;  // max_fetched_*, max_estimated_memory_consumption_per_query
  std::size_t max_query_expression_size_bytes = 0;
  std::chrono::milliseconds max_query_lookback{0};        // older data is not looked at
  std::chrono::milliseconds max_total_query_length{0};    // of a range query, start to end
  std::chrono::milliseconds max_partial_query_length{0};  // of one selector, its range included
  std::chrono::milliseconds max_labels_query_length{0};   // label and series look-ups are shortened to it
  std::size_t max_series_query_limit = 0;                 // of /series, also when no limit was asked for
  std::size_t max_query_parallelism = 0;                  // threads of one query
  bool align_queries_with_step = false;
  bool all_experimental_functions = false;
  std::vector<std::string> experimental_functions;  // enabled ones, beside the engine's features

  std::vector<TextPattern> blocked_queries;
  struct LimitedQuery {
    std::string query;
    std::chrono::milliseconds allowed_frequency{0};
  };
  std::vector<LimitedQuery> limited_queries;
  struct BlockedRequest {
    std::string path, method;                   // "" = any
    std::map<std::string, TextPattern> params;  // all must match
  };
  std::vector<BlockedRequest> blocked_requests;

  // The error of a request that an operator has shut out, or ok.
  Result<> check_request(const http::Request& request) const;
  // The same for an expression; `canonical` is its printed form ("" = not known). Also its size.
  Result<> check_query(std::string_view query, std::string_view canonical) const;
  // bad_input when it uses an experimental function or aggregation that is not enabled.
  Result<> check_functions(const promql::Expr& expr) const;
  bool any_experimental() const { return all_experimental_functions || !experimental_functions.empty(); }
};

// Thread-safe, cheap: called once per request. Never null.
using QueryLimitsLookup = std::function<std::shared_ptr<const QueryLimits>(std::string_view tenant)>;

// When each of the limited queries ran last. Thread-safe.
class QueryFrequency {
 public:
  using Steady = std::chrono::steady_clock;
  // `limit`, for 429, when a limited query of this tenant comes sooner than it may; else it is noted as run.
  Result<> admit(std::string_view tenant, std::string_view query, const QueryLimits& limits,
                 Steady::time_point now = Steady::now());

 private:
  std::mutex mutex_;
  std::map<std::string, Steady::time_point, std::less<>> free_again_;  // tenant NUL query
};

}  // namespace tocayo::metrics::api
