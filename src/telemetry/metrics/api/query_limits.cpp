// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/query_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/text.h"
#include "core/time.h"
#include "metrics/ingest_limits.h"
#include "promql/function_signatures.h"

namespace tocayo::metrics::api {
namespace {

// The path below the prefixes that the query API has, so that a block cannot be walked around.
std::string_view plain_path(std::string_view path) {
  for (const std::string_view prefix : {"/as/mimir/prometheus/", "/as/prometheus/", "/prometheus/"}) {
    if (path.starts_with(prefix)) return path.substr(prefix.size() - 1);
  }
  return path;
}

}  // namespace

Result<TextPattern> TextPattern::create(std::string pattern, bool regex) {
  TextPattern out;
  out.text_ = std::string(trim(pattern));
  if (regex) out.regex_ = TRY(Matcher::create(Matcher::Type::regex, "pattern", std::move(pattern)));
  return out;
}

bool TextPattern::matches(std::string_view text) const {
  return trim(text) == text_ || (regex_ && regex_->matches(text));
}

Result<> QueryLimits::check_request(const http::Request& request) const {
  if (blocked_requests.empty()) return {};
  std::optional<http::Params> form;
  for (const BlockedRequest& block : blocked_requests) {
    if (!block.path.empty() && plain_path(block.path) != plain_path(request.path)) continue;
    if (!block.method.empty() && to_lower(block.method) != to_lower(request.method)) continue;
    if (!block.params.empty() && !form) form = request.form();
    const bool all = std::all_of(block.params.begin(), block.params.end(), [&](const auto& param) {
      return param.second.matches(form->get_or(param.first, ""));
    });
    if (!all) continue;
    return fail(ErrorKind::bad_input,
                with_error_id("the request has been blocked by the cluster administrator", "request-blocked"));
  }
  return {};
}

Result<> QueryLimits::check_query(std::string_view query, std::string_view canonical) const {
  if (max_query_expression_size_bytes != 0 && query.size() > max_query_expression_size_bytes) {
    return fail(ErrorKind::bad_input,
                with_error_id(fmt::format("the raw query size in bytes exceeds the limit (query size: {}, limit: {})",
                                          query.size(), max_query_expression_size_bytes),
                              "max-query-expression-size-bytes", "max_query_expression_size_bytes"));
  }
  for (const TextPattern& pattern : blocked_queries) {
    if (!pattern.matches(query) && (canonical.empty() || !pattern.matches(canonical))) continue;
    return fail(ErrorKind::bad_input,
                with_error_id("the request has been blocked by the cluster administrator", "query-blocked"));
  }
  return {};
}

Result<> QueryLimits::check_functions(const promql::Expr& expr) const {
  if (all_experimental_functions) return {};
  const auto enabled = [&](std::string_view name) {
    return std::find(experimental_functions.begin(), experimental_functions.end(), name) !=
           experimental_functions.end();
  };
  Result<> result;
  promql::walk(expr, [&](const promql::Expr& node, const std::vector<const promql::Expr*>&) {
    std::string_view kind, name;
    if (const auto* call = node.as<promql::Call>(); call && call->function->experimental) {
      kind = "function", name = call->function->name;
    } else if (const auto* aggregate = node.as<promql::AggregateExpr>();
               aggregate && promql::is_experimental(aggregate->op)) {
      kind = "aggregation", name = promql::to_string(aggregate->op);
    } else {
      return;
    }
    if (!result || enabled(name)) return;
    result = fail(ErrorKind::bad_input, fmt::format("{} \"{}\" is not enabled for the active tenant; see limits."
                                                    "enabled_promql_experimental_functions",
                                                    kind, name));
  });
  return result;
}

Result<> QueryFrequency::admit(std::string_view tenant, std::string_view query, const QueryLimits& limits,
                               Steady::time_point now) {
  if (limits.limited_queries.empty()) return {};
  std::chrono::milliseconds longest{0};
  for (const auto& limited : limits.limited_queries) {
    if (trim(limited.query) == trim(query)) longest = std::max(longest, limited.allowed_frequency);
  }
  if (longest.count() == 0) return {};
  std::lock_guard lock(mutex_);
  std::erase_if(free_again_, [&](const auto& entry) { return entry.second <= now; });
  std::string key(tenant);
  key += '\0';
  key += trim(query);
  const auto [it, fresh] = free_again_.emplace(std::move(key), now + longest);
  if (fresh) return {};
  return fail(
      ErrorKind::limit,
      with_error_id(fmt::format("the query has been limited by the cluster administrator, and is being run more "
                                "frequently than the allowed frequency {} against tenant {}",
                                format_duration(longest), tenant),
                    "query-limited"));
}

}  // namespace tocayo::metrics::api
