// SPDX-License-Identifier: Apache-2.0
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "core/text.h"
#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"
#include "promql/parser.h"

namespace tocayo::metrics::api {

namespace {

constexpr std::string_view kNever = "0001-01-01T00:00:00Z";  // Go's zero time

void member(JsonWriter& writer, std::string_view name, std::string_view value) {
  writer.raw(',');
  writer.key(name);
  writer.string(value);
}

void write_active(JsonWriter& writer, const ScrapeTarget& target) {
  writer.raw(R"({"discoveredLabels":)");
  writer.labels(target.discovered_labels);
  writer.raw(R"(,"labels":)");
  writer.labels(target.labels);
  member(writer, "scrapePool", target.scrape_pool);
  member(writer, "scrapeUrl", target.scrape_url);
  member(writer, "globalUrl", target.global_url);
  member(writer, "lastError", target.last_error);
  member(writer, "lastScrape", target.last_scrape == 0 ? std::string(kNever) : format_rfc3339(target.last_scrape));
  writer.raw(R"(,"lastScrapeDuration":)");
  writer.number(target.last_scrape_duration);
  member(writer, "health", target.health);
  member(writer, "scrapeInterval", target.scrape_interval);
  member(writer, "scrapeTimeout", target.scrape_timeout);
  writer.raw('}');
}

http::Response finish(JsonWriter writer) {
  end_envelope(writer, {}, {});
  return json_body(std::move(writer));
}

}  // namespace

Handled handle_targets(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const std::string pool(request.query.get_or("scrapePool", ""));
  const std::string state = to_lower(request.query.get_or("state", ""));
  const bool active = state.empty() || state == "any" || state == "active";
  const bool dropped = state.empty() || state == "any" || state == "dropped";
  const TargetProvider* provider = core.deps.targets;
  const auto chosen = [&](const auto& target) { return pool.empty() || target.scrape_pool == pool; };

  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"activeTargets":[)");
  Separator comma;
  if (active && provider) {
    auto targets = provider->active_targets();
    std::stable_sort(targets.begin(), targets.end(),
                     [](const auto& a, const auto& b) { return a.scrape_pool < b.scrape_pool; });
    for (const ScrapeTarget& target : targets) {
      if (!chosen(target)) continue;
      comma(writer);
      write_active(writer, target);
    }
  }
  writer.raw(R"(],"droppedTargets":[)");
  Separator dropped_comma;
  if (dropped && provider) {
    auto targets = provider->dropped_targets();
    std::stable_sort(targets.begin(), targets.end(),
                     [](const auto& a, const auto& b) { return a.scrape_pool < b.scrape_pool; });
    for (const DroppedTarget& target : targets) {
      if (!chosen(target)) continue;
      dropped_comma(writer);
      writer.raw(R"({"discoveredLabels":)");
      writer.labels(target.discovered_labels);
      member(writer, "scrapePool", target.scrape_pool);
      writer.raw('}');
    }
  }
  writer.raw(R"(],"droppedTargetCounts":)");
  if (!dropped) {
    writer.raw("null");
  } else {
    writer.raw('{');
    Separator count_comma;
    if (provider) {
      for (const auto& [name, count] : provider->dropped_counts()) {
        count_comma(writer);
        writer.key(name);
        writer.unsigned_integer(count);
      }
    }
    writer.raw('}');
  }
  writer.raw('}');
  co_return finish(std::move(writer));
}

Handled handle_targets_metadata(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  std::int64_t limit = -1;
  if (const std::string_view text = form.get_or("limit", ""); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || end != text.data() + text.size()) {
      co_return error_response(ErrorType::bad_data, "limit must be a number");
    }
  }
  std::vector<Matcher> matchers;
  if (const std::string_view text = form.get_or("match_target", ""); !text.empty()) {
    auto parsed = promql::parse_metric_selector(text);
    if (!parsed) co_return error_response(invalid_parameter("match_target", parsed.error().message));
    matchers = std::move(*parsed);
  }
  const std::string metric(form.get_or("metric", ""));
  co_await core.deps.compute->schedule();
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('[');
  Separator comma;
  std::int64_t listed = 0;
  if (core.deps.targets) {
    for (const TargetMetadata& entry : core.deps.targets->metadata(metric)) {
      if (limit >= 0 && listed >= limit) break;
      const auto selected = [&](const Matcher& matcher) { return matcher.matches(entry.target.get(matcher.name())); };
      if (!std::all_of(matchers.begin(), matchers.end(), selected)) continue;
      comma(writer);
      ++listed;
      writer.raw(R"({"target":)");
      writer.labels(entry.target);
      if (metric.empty()) member(writer, "metric", entry.row.metric);
      member(writer, "type", entry.row.type);
      member(writer, "help", entry.row.help);
      member(writer, "unit", entry.row.unit);
      writer.raw('}');
    }
  }
  writer.raw(']');
  co_return finish(std::move(writer));
}

Handled handle_relabel_steps(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  const std::string pool(form.get_or("scrapePool", ""));
  if (pool.empty()) co_return error_response(ErrorType::bad_data, "no scrapePool parameter provided");
  const std::string_view text = form.get_or("labels", "");
  if (text.empty()) co_return error_response(ErrorType::bad_data, "no labels parameter provided");
  boost::system::error_code parse_error;
  const boost::json::value json = boost::json::parse(text, parse_error);
  if (parse_error || !json.is_object()) {
    co_return error_response(ErrorType::bad_data, fmt::format("error parsing labels: {}",
                                                              parse_error ? parse_error.message() : "not an object"));
  }
  std::vector<Label> labels;
  for (const auto& [name, value] : json.get_object()) {
    if (!value.is_string())
      co_return error_response(ErrorType::bad_data, "error parsing labels: a value is not a string");
    labels.push_back({std::string(name), std::string(value.get_string())});
  }
  co_await core.deps.compute->schedule();
  Result<std::vector<RelabelStep>> steps =
      fail(ErrorKind::bad_input, fmt::format("scrape pool {} not found", go_quote(pool)));
  if (core.deps.targets) steps = core.deps.targets->relabel_steps(pool, Labels(std::move(labels)));
  if (!steps) {
    co_return error_response(ErrorType::bad_data,
                             fmt::format("error retrieving scrape config: {}", steps.error().message));
  }
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"steps":[)");
  Separator comma;
  for (const RelabelStep& step : *steps) {
    comma(writer);
    writer.raw(R"({"rule":)");
    writer.raw(step.rule_json);
    writer.raw(R"(,"output":)");
    writer.labels(step.output);
    writer.raw(R"(,"keep":)");
    writer.boolean(step.keep);
    writer.raw('}');
  }
  writer.raw("]}");
  co_return finish(std::move(writer));
}

Handled handle_scrape_pools(ApiCore& core, http::Request&) {
  std::vector<std::string> pools;
  if (core.deps.targets) pools = core.deps.targets->scrape_pools();
  std::sort(pools.begin(), pools.end());
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"scrapePools":[)");
  Separator comma;
  for (const std::string& pool : pools) {
    comma(writer);
    writer.string(pool);
  }
  writer.raw("]}");
  co_return finish(std::move(writer));
}

Handled handle_scrape_pool_config(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  const std::string pool(form.get_or("scrapePool", ""));
  if (pool.empty()) co_return error_response(ErrorType::bad_data, "no scrapePool parameter provided");
  Result<std::string> yaml = fail(ErrorKind::bad_input, fmt::format("scrape pool {} not found", go_quote(pool)));
  if (core.deps.targets) yaml = core.deps.targets->pool_config(pool);
  if (!yaml) {
    co_return error_response(ErrorType::bad_data,
                             fmt::format("error retrieving scrape config: {}", yaml.error().message));
  }
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"yaml":)");
  writer.string(*yaml);
  writer.raw('}');
  co_return finish(std::move(writer));
}

// Rules and alerts belong to alerting; until it registers these routes there are none.
Handled handle_rules(ApiCore&, http::Request& request) {
  const std::string type = to_lower(request.query.get_or("type", ""));
  if (!type.empty() && type != "alert" && type != "record") {
    co_return error_response(invalid_parameter("type", fmt::format("not supported value {}", go_quote(type))));
  }
  auto matchers = matcher_params(request.form());
  if (!matchers) co_return error_response(matchers.error());
  co_return data_response(R"({"groups":[]})");
}

Handled handle_alerts(ApiCore&, http::Request&) { co_return data_response(R"({"alerts":[]})"); }

Handled handle_alertmanagers(ApiCore&, http::Request&) {
  co_return data_response(R"({"activeAlertmanagers":[],"droppedAlertmanagers":[]})");
}

Handled handle_admin_unavailable(ApiCore&, http::Request&) {
  co_return error_response(ErrorType::unavailable, "admin APIs disabled");
}

}  // namespace tocayo::metrics::api
