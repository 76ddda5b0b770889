// SPDX-License-Identifier: Apache-2.0
#include "ui/reads.h"

#include <algorithm>
#include <limits>

#include "core/text.h"
#include "metrics/ingest_limits.h"
#include "promql/parser.h"
#include "promql/printer.h"

namespace tocayo::ui {

namespace {
constexpr TimestampMs kAnyTime = std::numeric_limits<TimestampMs>::max() / 4;
}

Result<promql::QueryOptions> Reads::options_for(const metrics::api::QueryLimits& limits, std::string_view expr) const {
  promql::QueryOptions options;
  options.pool = dependencies_.queries;
  options.parallelism = limits.max_query_parallelism;
  TRY(limits.check_query(expr, ""));
  const promql::Features& engine = dependencies_.engine.options().features;
  const bool more_functions = limits.any_experimental() && !engine.experimental_functions;
  if (limits.blocked_queries.empty() && !more_functions) return options;
  promql::Features features = engine;
  features.experimental_functions |= more_functions;
  auto parsed = promql::parse_expr(expr, features.parser_options());
  if (!parsed) return fail(ErrorKind::bad_input, parsed.error().message);
  TRY(limits.check_query(expr, promql::print(**parsed)));
  if (more_functions) {
    TRY(limits.check_functions(**parsed));
    options.features = features;
  }
  return options;
}

Result<> Reads::check(std::string_view tenant, std::string_view expr, std::chrono::milliseconds interval) const {
  const auto limits = dependencies_.limits(tenant);
  const auto options = TRY(options_for(*limits, expr));
  for (const auto& limited : limits->limited_queries) {
    if (interval.count() == 0 || trim(limited.query) != trim(expr) || limited.allowed_frequency <= interval) continue;
    return fail(ErrorKind::limit,
                metrics::with_error_id("the query has been limited by the cluster administrator to one every " +
                                           format_duration(limited.allowed_frequency) +
                                           ": it cannot be live at a step of " + format_duration(interval),
                                       "query-limited"));
  }
  const promql::Features& features = options.features ? *options.features : dependencies_.engine.options().features;
  auto parsed = promql::parse_expr(expr, features.parser_options());
  if (!parsed) return fail(ErrorKind::bad_input, parsed.error().message);
  return {};
}

template <typename Evaluate>
promql::QueryOutcome Reads::run(std::string_view tenant, std::string_view expr, const Context& context,
                                Evaluate evaluate) const {
  auto reading = dependencies_.admit(tenant, context);
  if (!reading) return std::unexpected(promql::QueryError(std::move(reading.error())));
  auto options = options_for(*reading->limits, expr);
  if (!options) return std::unexpected(promql::QueryError(promql::QueryError::Type::bad_data, options.error()));
  metrics::QueryMeter& meter = reading->query->meter();
  options->meter = &meter;
  auto outcome = evaluate(*reading, *options);
  if (!outcome) {
    if (auto stopped = meter.stopped()) return std::unexpected(promql::QueryError(std::move(*stopped)));
  }
  return outcome;
}

promql::QueryOutcome Reads::instant(std::string_view tenant, std::string_view expr, TimestampMs time,
                                    const Context& context) const {
  return run(tenant, expr, context, [&](const metrics::api::Reading& reading, const promql::QueryOptions& options) {
    return dependencies_.engine.instant(*reading.querier, expr, time, options, reading.query->context());
  });
}

promql::QueryOutcome Reads::range(std::string_view tenant, std::string_view expr, TimestampMs start, TimestampMs end,
                                  std::chrono::milliseconds step, const Context& context) const {
  return run(tenant, expr, context,
             [&](const metrics::api::Reading& reading, const promql::QueryOptions& options) -> promql::QueryOutcome {
               const auto longest = reading.limits->max_total_query_length;
               if (longest.count() > 0 && end - start > longest.count()) {
                 Error error{ErrorKind::limit,
                             metrics::with_error_id("the total query time range exceeds the limit (query length: " +
                                                        format_duration(std::chrono::milliseconds(end - start)) +
                                                        ", limit: " + format_duration(longest) + ")",
                                                    "max-total-query-length", "max_total_query_length")};
                 return std::unexpected(promql::QueryError(promql::QueryError::Type::bad_data, std::move(error)));
               }
               return dependencies_.engine.range(*reading.querier, expr, start, end, step, options,
                                                 reading.query->context());
             });
}

Result<std::vector<std::string>> Reads::label_values(std::string_view tenant, const std::string& label,
                                                     std::span<const std::vector<Matcher>> matchers, TimestampMs now,
                                                     const Context& context) const {
  auto reading = TRY(dependencies_.admit(tenant, context));
  const auto longest = reading.limits->max_labels_query_length;
  const TimestampMs start = longest.count() > 0 ? now - longest.count() : -kAnyTime;
  auto values = reading.querier->label_values(label, matchers, start, kAnyTime, 0, reading.query->context());
  if (!values) return std::unexpected(reading.query->cause(std::move(values.error())));
  return std::move(values->names);
}

}  // namespace tocayo::ui
