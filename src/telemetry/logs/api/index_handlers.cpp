// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/text.h"
#include "logql/engine/patterns.h"
#include "logql/syntax/parser.h"
#include "logs/api/handlers.h"
#include "logs/api/query_limits.h"

namespace tocayo::logs::api {

namespace {

constexpr std::int64_t kLabelSpan = 6 * kHourNs;
constexpr double kLookCost = 0.1;  // of FairGate: what pages for exploring ask for is cheap beside queries

std::vector<std::vector<Matcher>> one_set(std::vector<Matcher> matchers) {
  if (matchers.empty()) return {};
  return {std::move(matchers)};
}

Result<std::vector<Matcher>> matchers_of(const http::Params& form, std::string_view name) {
  const auto text = form.get_or(name, "");
  if (text.empty() || text == "{}") return std::vector<Matcher>{};
  return logql::parse_matchers(text);
}

// The selector of a parameter that may be a whole log query.
Result<std::vector<Matcher>> selector_of(const http::Params& form) {
  const auto text = form.get_or("query", "");
  if (text.empty() || text == "{}") return std::vector<Matcher>{};
  const auto log = TRY(logql::parse_log(text));
  return log.matchers;
}

// Bounds of a request about streams, within what the tenant's limits let see.
Result<Bounds> limited_bounds(const ApiCore& core, const http::Request& request, const http::Params& form,
                              std::int64_t span) {
  auto bounds = TRY(bounds_of(form, core.now(), span));
  TRY(clamp_bounds(bounds, *core.limits(request), core.now()));
  return bounds;
}

}  // namespace

Handled handle_labels(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto bounds = TRY(limited_bounds(core, request, form, kLabelSpan));
    const auto sets = one_set(TRY(matchers_of(form, "query")));
    const auto querier = TRY(core.querier(request));
    const auto list = TRY(querier->label_names(sets, bounds.start, bounds.end, request.context));
    return http::Response::json(200, names_body(list.names));
  });
}

Handled handle_label_values(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto bounds = TRY(limited_bounds(core, request, form, kLabelSpan));
    const auto sets = one_set(TRY(matchers_of(form, "query")));
    const auto querier = TRY(core.querier(request));
    const auto list =
        TRY(querier->label_values(std::string(request.param("name")), sets, bounds.start, bounds.end, request.context));
    return http::Response::json(200, names_body(list.names));
  });
}

Handled handle_series(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto bounds = TRY(limited_bounds(core, request, form, kLabelSpan));
    std::vector<std::vector<Matcher>> sets;
    for (const char* name : {"match[]", "match"}) {
      for (const auto text : form.all(name)) {
        if (text == "{}") continue;
        sets.push_back(TRY(logql::parse_matchers(text)));
      }
    }
    if (sets.empty() && !form.has("match[]") && !form.has("match")) {
      return fail(ErrorKind::bad_input, "0 matcher groups supplied");
    }
    const auto querier = TRY(core.querier(request));
    const auto series = TRY(querier->series(sets, bounds.start, bounds.end, request.context));
    std::string body = R"({"status":"success","data":[)";
    for (std::size_t i = 0; i < series.size(); ++i) {
      if (i != 0) body += ",";
      append_json_labels(body, series[i]);
    }
    return http::Response::json(200, body + "]}");
  });
}

namespace {

// {"streams":…,"chunks":…,"entries":…,"bytes":…} of what the request's selector has in its range. A stream counts as
// one chunk: what clients make of `chunks` is whether there is anything.
Result<std::string> stats_text(const ApiCore& core, const http::Request& request) {
  const auto form = request.form();
  const auto bounds = TRY(limited_bounds(core, request, form, kHourNs));
  const auto matchers = TRY(selector_of(form));
  const auto querier = TRY(core.querier(request));
  const auto volumes = TRY(querier->volume(matchers, bounds.start, bounds.end, request.context));
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  for (const auto& volume : volumes) {
    rows += volume.rows;
    bytes += volume.bytes;
  }
  return fmt::format(R"({{"streams":{0},"chunks":{0},"entries":{1},"bytes":{2}}})", volumes.size(), rows, bytes);
}

}  // namespace

Handled handle_index_stats(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    return http::Response::json(200, TRY(stats_text(core, request)));
  });
}

Handled handle_index_shards(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    // One shard: the engine divides the work itself.
    return http::Response::json(200, R"({"shards":[{"bounds":{"min":0,"max":18446744073709551615},"stats":)" +
                                         TRY(stats_text(core, request)) + R"(}],"statistics":{}})");
  });
}

namespace {

// Bytes by series (the labels asked for, or those that the selector names) or by label name.
using Volumes = std::map<Labels, std::uint64_t>;

struct VolumeRequest {
  std::vector<Matcher> matchers;
  std::vector<std::string> targets;
  bool by_labels = false;
  std::size_t limit = 100;
};

Result<VolumeRequest> volume_request(const http::Params& form, const LogLimits& limits) {
  VolumeRequest out;
  out.matchers = TRY(selector_of(form));
  for (const auto name : split(form.get_or("targetLabels", ""), ',')) {
    if (!trim(name).empty()) out.targets.emplace_back(trim(name));
  }
  const auto by = form.get_or("aggregateBy", "series");
  if (by != "series" && by != "labels") return fail(ErrorKind::bad_input, "invalid aggregation option");
  out.by_labels = by == "labels";
  out.limit = TRY(limit_of(form, "limit", 100));
  if (out.limit > static_cast<std::size_t>(limits.volume_max_series)) {
    return fail(ErrorKind::bad_input, fmt::format("max_series limit is {} and the requested limit is {}",
                                                  limits.volume_max_series, out.limit));
  }
  return out;
}

void add_volume(const VolumeRequest& request, const StreamVolume& volume, Volumes& sums) {
  std::vector<std::string> names = request.targets;
  if (names.empty()) {
    for (const auto& matcher : request.matchers) names.push_back(matcher.name());
  }
  if (request.by_labels) {
    for (const auto& label : volume.labels) {
      if (names.empty() || std::ranges::find(names, label.name) != names.end()) {
        sums[Labels{{label.name, label.name}}] += volume.bytes;
      }
    }
    return;
  }
  sums[names.empty() ? volume.labels : volume.labels.keep(names)] += volume.bytes;
}

// Labels by size, largest first, at most `limit`.
std::vector<std::pair<Labels, std::uint64_t>> largest(const Volumes& sums, std::size_t limit) {
  std::vector<std::pair<Labels, std::uint64_t>> list(sums.begin(), sums.end());
  std::ranges::stable_sort(list, [](const auto& a, const auto& b) { return a.second > b.second; });
  if (list.size() > limit) list.resize(limit);
  return list;
}

// With aggregateBy=labels the metric is {"<name>": ""}.
void append_metric(std::string& out, const Labels& labels, bool by_labels) {
  if (!by_labels) return append_json_labels(out, labels);
  out += "{";
  append_json_text(out, labels.begin()->name);
  out += R"(:""})";
}

}  // namespace

Handled handle_volume(ApiCore& core, http::Request& request) {
  return in_turn(core, request, kLookCost, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto limits = core.limits(request);
    if (!limits->volume_enabled) return fail(ErrorKind::not_found, "volume is disabled for this tenant");
    const auto bounds = TRY(limited_bounds(core, request, form, kHourNs));
    const auto wanted = TRY(volume_request(form, *limits));
    const auto querier = TRY(core.querier(request));
    Volumes sums;
    for (const auto& volume : TRY(querier->volume(wanted.matchers, bounds.start, bounds.end, request.context))) {
      add_volume(wanted, volume, sums);
    }
    std::string body = R"({"status":"success","data":{"resultType":"vector","result":[)";
    bool first = true;
    for (const auto& [labels, bytes] : largest(sums, wanted.limit)) {
      body += first ? R"({"metric":)" : R"(,{"metric":)";
      first = false;
      append_metric(body, labels, wanted.by_labels);
      body += R"(,"value":)";
      append_sample(body, bounds.end, static_cast<double>(bytes));
      body += "}";
    }
    return http::Response::json(200, body + R"(],"stats":{}}})");
  });
}

Handled handle_volume_range(ApiCore& core, http::Request& request) {
  return in_turn(core, request, kLookCost, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto limits = core.limits(request);
    if (!limits->volume_enabled) return fail(ErrorKind::not_found, "volume is disabled for this tenant");
    const auto bounds = TRY(limited_bounds(core, request, form, kHourNs));
    const auto wanted = TRY(volume_request(form, *limits));
    const auto step = TRY(step_of(form, bounds));
    TRY(check_steps(bounds, step));
    const auto querier = TRY(core.querier(request));
    Volumes totals;
    std::map<Labels, std::vector<std::pair<TimestampNs, std::uint64_t>>> points;
    for (TimestampNs start = bounds.start; start < bounds.end; start += step) {
      TRY(request.context.check());
      const auto end = std::min(start + step, bounds.end);
      Volumes sums;
      for (const auto& volume : TRY(querier->volume(wanted.matchers, start, end, request.context)))
        add_volume(wanted, volume, sums);
      for (const auto& [labels, bytes] : sums) {
        totals[labels] += bytes;
        points[labels].emplace_back(end, bytes);
      }
    }
    std::string body = R"({"status":"success","data":{"resultType":"matrix","result":[)";
    bool first = true;
    for (const auto& [labels, total] : largest(totals, wanted.limit)) {
      body += first ? R"({"metric":)" : R"(,{"metric":)";
      first = false;
      append_metric(body, labels, wanted.by_labels);
      body += R"(,"values":[)";
      const auto& list = points[labels];
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (i != 0) body += ",";
        append_sample(body, list[i].first, static_cast<double>(list[i].second));
      }
      body += "]}";
    }
    return http::Response::json(200, body + R"(],"stats":{}}})");
  });
}

Handled handle_patterns(ApiCore& core, http::Request& request) {
  return in_turn(core, request, kLookCost, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto bounds = TRY(limited_bounds(core, request, form, kHourNs));
    const auto limit = TRY(limit_of(form, "limit", 300));
    const auto step = std::max(TRY(step_of(form, bounds)), 10 * kSecondNs);
    const auto log = TRY(logql::parse_log(form.get_or("query", "")));
    logql::PatternOptions options;
    options.max_patterns = limit;
    options.step_ns = step;
    std::vector<Pattern> patterns;
    if (log.stages.empty() && request.identity.tenant.find('|') == std::string::npos) {
      // The store has mined the templates already.
      Selection selection;
      selection.matchers = log.matchers;
      selection.start = bounds.start;
      selection.end = bounds.end;
      selection.pool = core.deps.queries;
      logql::PatternMerger merger(options);
      for (const auto& pattern :
           TRY(core.deps.store->patterns(request.identity.tenant, selection, step, 5'000, request.context))) {
        for (const auto& [time, count] : pattern.samples) merger.add(pattern.text, pattern.level, time, count);
      }
      patterns = merger.result();
    } else {
      const auto querier = TRY(core.querier(request));
      logql::QueryOptions query_options;
      query_options.pool = core.deps.queries;
      patterns = TRY(logql::find_patterns(*querier, form.get_or("query", ""), bounds.start, bounds.end, options,
                                          query_options, request.context));
    }
    std::string body = R"({"status":"success","data":[)";
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      const auto& pattern = patterns[i];
      body += i == 0 ? R"({"pattern":)" : R"(,{"pattern":)";
      append_json_text(body, pattern.text);
      body += R"(,"level":)";
      append_json_text(body, pattern.level);
      body += R"(,"samples":[)";
      for (std::size_t k = 0; k < pattern.samples.size(); ++k) {
        body += fmt::format("{}[{},{}]", k == 0 ? "" : ",", pattern.samples[k].first / kSecondNs,
                            pattern.samples[k].second);
      }
      body += "]}";
    }
    return http::Response::json(200, body + "]}");
  });
}

}  // namespace tocayo::logs::api
