// SPDX-License-Identifier: Apache-2.0
#include "logs/api/query_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/text.h"
#include "logql/syntax/literals.h"

namespace tocayo::logs::api {

namespace {

using logql::Expr;

// Every log query of the tree, with the range of its aggregation where it has one.
void each_selector(const Expr& expr,
                   const std::function<void(const logql::LogExpr&, const logql::RangeAggregation*)>& visit) {
  if (const auto* log = std::get_if<logql::LogExpr>(&expr.node)) {
    visit(*log, nullptr);
  } else if (const auto* range = std::get_if<logql::RangeAggregation>(&expr.node)) {
    visit(range->range.log, range);
  } else if (const auto* vector = std::get_if<logql::VectorAggregation>(&expr.node)) {
    each_selector(*vector->operand, visit);
  } else if (const auto* replace = std::get_if<logql::LabelReplace>(&expr.node)) {
    each_selector(*replace->operand, visit);
  } else if (const auto* binary = std::get_if<logql::Binary>(&expr.node)) {
    each_selector(*binary->left, visit);
    each_selector(*binary->right, visit);
  }
}

std::string_view type_of(const Expr& expr) {
  const auto* log = std::get_if<logql::LogExpr>(&expr.node);
  if (log == nullptr) return "metric";
  const bool filters = std::ranges::any_of(log->stages, [](const logql::Stage& stage) {
    return std::holds_alternative<logql::LineFilterStage>(stage.node) ||
           std::holds_alternative<logql::LabelFilterStage>(stage.node);
  });
  return filters ? "filter" : "limited";
}

// FNV-1 in 32 bits: how Loki numbers queries in its log and in blocked_queries.
std::uint32_t query_hash(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash * 16777619U) ^ static_cast<unsigned char>(c);
  return hash;
}

bool has_tags(std::string_view header, const std::map<std::string, std::string>& tags) {
  return std::ranges::all_of(tags, [&](const auto& tag) {
    for (const auto part : split(header, ',')) {
      const auto at = part.find('=');
      if (at == std::string_view::npos) continue;
      if (to_lower(trim(part.substr(0, at))) == to_lower(tag.first) &&
          to_lower(trim(part.substr(at + 1))) == to_lower(tag.second)) {
        return true;
      }
    }
    return false;
  });
}

// The first entry whose text fits decides, whatever its types and tags say.
bool is_blocked(const AskedQuery& asked, const LogLimits& limits) {
  for (const auto& one : limits.blocked_queries) {
    if (one.hash != 0) {
      if (one.hash != query_hash(asked.text)) continue;
    } else if (one.regex) {
      const auto matcher = Matcher::create(Matcher::Type::regex, "query", "(?s:.*)(?:" + one.pattern + ")(?s:.*)");
      if (!matcher || !matcher->matches(asked.text)) continue;
    } else if (!one.pattern.empty() && trim(one.pattern) != trim(asked.text)) {
      continue;
    }
    const bool type = one.types.empty() || std::ranges::find(one.types, type_of(asked.expr)) != one.types.end();
    return type && has_tags(asked.tags, one.tags);
  }
  return false;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string duration_text(std::int64_t ns) { return format_duration(std::chrono::milliseconds(ns / 1'000'000)); }

// "980 B", "1.5 GiB".
std::string size_text(std::uint64_t bytes) {
  if (bytes < 10) return fmt::format("{} B", bytes);
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  value = std::floor(value * 10 + 0.5) / 10;
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit]) : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

Result<> check_selector(const logql::LogExpr& log, const LogLimits& limits) {
  std::vector<std::string> present;
  for (const auto& matcher : log.matchers) present.push_back(matcher.name());
  std::vector<std::string> missing;
  for (const auto& name : limits.required_labels) {
    if (std::ranges::find(present, name) == present.end()) missing.push_back(name);
  }
  if (!missing.empty()) {
    return fail(ErrorKind::bad_input,
                fmt::format("stream selector is missing required matchers [{}], labels present in the query were [{}]",
                            joined(missing), joined(present)));
  }
  if (static_cast<std::int64_t>(present.size()) < limits.minimum_labels_number) {
    return fail(ErrorKind::bad_input,
                fmt::format("stream selector has less label matchers than required: (present: [{}], number_present: "
                            "{}, required_number_label_matchers: {})",
                            joined(present), present.size(), limits.minimum_labels_number));
  }
  if (limits.max_streams_matchers_per_query > 0 &&
      static_cast<std::int64_t>(present.size()) > limits.max_streams_matchers_per_query) {
    return fail(ErrorKind::limit,
                fmt::format("max streams matchers per query exceeded, matchers-count > limit ({} > {})", present.size(),
                            limits.max_streams_matchers_per_query));
  }
  return {};
}

Result<> check_length(TimestampNs start, TimestampNs end, const LogLimits& limits) {
  const auto most = limits.max_query_length.count() * 1'000'000;
  if (most <= 0 || end - start <= most) return {};
  return fail(ErrorKind::limit,
              fmt::format("the query time range exceeds the limit (query length: {}, limit: {})",
                          logql::format_go_duration((end - start) / 1'000'000 * 1'000'000), duration_text(most)));
}

}  // namespace

Result<> check_query(const AskedQuery& asked, const logql::QueryParams& params, const LogLimits& limits) {
  Result<> outcome;
  each_selector(asked.expr, [&](const logql::LogExpr& log, const logql::RangeAggregation* range) {
    if (outcome) outcome = check_selector(log, limits);
    const auto most = limits.max_query_range.count() * 1'000'000;
    if (!outcome || range == nullptr || most <= 0 || range->range.interval_ns <= most) return;
    outcome = fail(ErrorKind::limit, fmt::format("[interval] value exceeds limit: [{}] > [{}]",
                                                 duration_text(range->range.interval_ns), duration_text(most)));
  });
  TRY(std::move(outcome));
  if (is_blocked(asked, limits)) return fail(ErrorKind::bad_input, "query blocked by policy");
  if (params.instant) return {};
  return check_length(params.start, params.end, limits);
}

Result<> check_bytes_read(const logql::Expr& expr, const logql::QueryParams& params, const LogLimits& limits,
                          const Querier& querier, const Context& context) {
  if (limits.max_query_bytes_read == 0) return {};
  std::uint64_t bytes = 0;
  Result<> outcome;
  each_selector(expr, [&](const logql::LogExpr& log, const logql::RangeAggregation* range) {
    if (!outcome) return;
    TimestampNs start = params.start;
    TimestampNs end = params.end;
    if (range != nullptr) {  // windows are (time - range, time]
      start -= range->range.interval_ns + range->range.offset_ns - 1;
      end -= range->range.offset_ns - 1;
    }
    auto volumes = querier.volume(log.matchers, start, end, context);
    if (!volumes) {
      outcome = std::unexpected(std::move(volumes.error()));
      return;
    }
    for (const auto& volume : *volumes) bytes += volume.bytes;
  });
  TRY(std::move(outcome));
  if (bytes <= limits.max_query_bytes_read) return {};
  return fail(ErrorKind::limit,
              fmt::format("the query would read too many bytes (query: {}, limit: {}); consider adding more specific "
                          "stream selectors or reduce the time range of the query",
                          size_text(bytes), size_text(limits.max_query_bytes_read)));
}

bool clamp_to_lookback(TimestampNs& start, TimestampNs end, const LogLimits& limits, TimestampNs now) {
  if (limits.max_query_lookback.count() <= 0) return true;
  const TimestampNs oldest = now - limits.max_query_lookback.count() * 1'000'000;
  if (end < oldest) return false;
  start = std::max(start, oldest);
  return true;
}

Result<> clamp_bounds(Bounds& bounds, const LogLimits& limits, TimestampNs now) {
  const bool left = clamp_to_lookback(bounds.start, bounds.end, limits, now);
  TRY(check_length(bounds.start, bounds.end, limits));
  if (left) return {};
  return fail(ErrorKind::limit,
              fmt::format("this data is no longer available, it is past now - max_query_lookback ({})",
                          format_duration(limits.max_query_lookback)));
}

}  // namespace tocayo::logs::api
