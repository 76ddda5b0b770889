// SPDX-License-Identifier: Apache-2.0
// What a tenant's limits say about a read before it runs, in Loki's words.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/context.h"
#include "core/error.h"
#include "logql/engine/engine.h"
#include "logql/syntax/ast.h"
#include "logs/api/limits.h"
#include "logs/api/params.h"
#include "logs/querier.h"

namespace tocayo::logs::api {

// A query, as it came and parsed.
struct AskedQuery {
  const logql::Expr& expr;
  std::string_view text;
  std::string_view tags;  // X-Query-Tags: "a=b,c=d"
};

// bad_input or limit: blocked, without the labels that selectors must name, with too many matchers, over a longer range
// than allowed, or for more lines than allowed. Range limits are of the part that max_query_lookback leaves.
Result<> check_query(const AskedQuery& asked, const logql::QueryParams& params, const LogLimits& limits);

// limit: the lines that the query covers have more bytes than max_query_bytes_read.
Result<> check_bytes_read(const logql::Expr& expr, const logql::QueryParams& params, const LogLimits& limits,
                          const Querier& querier, const Context& context);

// Moves the start to what max_query_lookback lets see. False: nothing is left of the range.
bool clamp_to_lookback(TimestampNs& start, TimestampNs end, const LogLimits& limits, TimestampNs now);
// The same for requests about streams, of which nothing left is an error, and checks max_query_length.
Result<> clamp_bounds(Bounds& bounds, const LogLimits& limits, TimestampNs now);

}  // namespace tocayo::logs::api
