// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <cmath>
#include <map>
#include <thread>

#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"
#include "promql/function_signatures.h"

namespace tocayo::metrics::api {

namespace {

http::Response object(JsonWriter writer) {
  writer.raw('}');
  return json_body(std::move(writer));
}

void write_counts(JsonWriter& writer, std::string_view name, const HeadStatus::Counts& counts) {
  writer.raw(',');
  writer.key(name);
  writer.raw('[');
  Separator comma;
  for (const auto& [label, count] : counts) {
    comma(writer);
    writer.raw(R"({"name":)");
    writer.string(label);
    writer.raw(R"(,"value":)");
    writer.unsigned_integer(count);
    writer.raw('}');
  }
  writer.raw(']');
}

void string_member(JsonWriter& writer, std::string_view name, std::string_view value, bool first = false) {
  if (!first) writer.raw(',');
  writer.key(name);
  writer.string(value);
}

}  // namespace

Handled handle_status_config(ApiCore& core, http::Request&) {
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  string_member(writer, "yaml", core.deps.config_yaml ? core.deps.config_yaml() : std::string(), true);
  writer.raw('}');
  co_return object(std::move(writer));
}

Handled handle_status_flags(ApiCore& core, http::Request&) {
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  bool first = true;
  for (const auto& [name, value] : core.deps.flags) {
    string_member(writer, name, value, first);
    first = false;
  }
  writer.raw('}');
  co_return object(std::move(writer));
}

Handled handle_status_runtimeinfo(ApiCore& core, http::Request&) {
  char directory[PATH_MAX] = "";
  if (!getcwd(directory, sizeof directory)) directory[0] = 0;
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  string_member(writer, "startTime", format_rfc3339(core.started), true);
  string_member(writer, "CWD", directory);
  string_member(writer, "hostname", host);
  string_member(writer, "serverTime", format_rfc3339(core.deps.clock->now_ms()));
  writer.raw(R"(,"reloadConfigSuccess":true)");
  string_member(writer, "lastConfigTime",
                format_rfc3339(core.deps.last_config_reload ? core.deps.last_config_reload() : core.started));
  writer.raw(R"(,"corruptionCount":0,"goroutineCount":)");
  writer.unsigned_integer(core.deps.compute->thread_count());
  writer.raw(R"(,"GOMAXPROCS":)");
  writer.unsigned_integer(std::thread::hardware_concurrency());
  writer.raw(R"(,"GOMEMLIMIT":0,"GOGC":"","GODEBUG":"")");
  string_member(writer, "storageRetention", core.deps.storage_retention);
  writer.raw('}');
  co_return object(std::move(writer));
}

Handled handle_status_buildinfo(ApiCore& core, http::Request&) {
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  string_member(writer, "version", core.deps.version, true);
  string_member(writer, "revision", core.deps.revision);
  string_member(writer, "branch", "");
  string_member(writer, "buildUser", "");
  string_member(writer, "buildDate", core.deps.build_date);
  string_member(writer, "goVersion", "");
  string_member(writer, "application", "Tocayo");
  string_member(writer, "tocayoVersion", core.deps.tocayo_version);
  writer.raw('}');
  co_return object(std::move(writer));
}

Handled handle_status_tsdb(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  std::int64_t limit = 10;
  if (const std::string_view text = form.get_or("limit", ""); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || end != text.data() + text.size() || limit < 1) {
      co_return error_response(ErrorType::bad_data, "limit must be a positive number");
    }
    if (limit > 10'000) co_return error_response(ErrorType::bad_data, "limit must not exceed 10000");
  }
  co_await core.deps.compute->schedule();
  HeadStatus status;
  if (core.deps.head_status) {
    auto read = core.deps.head_status(request.identity.tenant, static_cast<std::size_t>(limit));
    if (!read) co_return error_response(read.error());
    status = std::move(*read);
  }
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"headStats":{"numSeries":)");
  writer.unsigned_integer(status.series);
  writer.raw(R"(,"numLabelPairs":)");
  writer.unsigned_integer(status.label_pairs);
  writer.raw(R"(,"chunkCount":)");
  writer.unsigned_integer(status.chunks);
  writer.raw(R"(,"minTime":)");
  writer.integer(status.min_time);
  writer.raw(R"(,"maxTime":)");
  writer.integer(status.max_time);
  writer.raw('}');
  write_counts(writer, "seriesCountByMetricName", status.series_by_metric);
  write_counts(writer, "labelValueCountByLabelName", status.values_by_label);
  write_counts(writer, "memoryInBytesByLabelName", status.memory_by_label);
  write_counts(writer, "seriesCountByLabelValuePair", status.series_by_label_pair);
  writer.raw('}');
  co_return object(std::move(writer));
}

Handled handle_status_tsdb_blocks(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  std::vector<BlockInfo> blocks;
  if (core.deps.blocks) {
    auto read = core.deps.blocks(request.identity.tenant);
    if (!read) co_return error_response(read.error());
    blocks = std::move(*read);
  }
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(R"({"blocks":[)");
  Separator comma;
  for (const BlockInfo& block : blocks) {
    comma(writer);
    writer.raw(R"({"ulid":)");
    writer.string(block.ulid);
    writer.raw(fmt::format(R"(,"minTime":{},"maxTime":{},"stats":{{"numSamples":{},"numSeries":{},"numChunks":{}}},)",
                           block.min_time, block.max_time, block.samples, block.series, block.chunks));
    writer.raw(fmt::format(R"("compaction":{{"level":{},"sources":[)", block.level));
    writer.string(block.ulid);
    writer.raw(R"(]},"version":1})");
  }
  writer.raw("]}");
  co_return object(std::move(writer));
}

Handled handle_status_walreplay(ApiCore& core, http::Request&) {
  const ReplayProgress progress = core.deps.replay ? core.deps.replay() : ReplayProgress{};
  co_return data_response(
      fmt::format(R"({{"min":{},"max":{},"current":{}}})", progress.min, progress.max, progress.current));
}

namespace {

// One family as protojson shows io.prometheus.client.MetricFamily.
void write_family(JsonWriter& writer, const Registry::Family& family) {
  static constexpr std::string_view kTypes[] = {"COUNTER", "GAUGE", "HISTOGRAM", "UNTYPED"};
  const auto number = [&](double value) {
    // protojson: NaN and infinities are strings.
    if (std::isnan(value)) return writer.raw(R"("NaN")");
    if (std::isinf(value)) return writer.raw(value > 0 ? R"("Infinity")" : R"("-Infinity")");
    writer.number(value);
  };
  const auto write_labels = [&](const Labels& labels, std::string_view without) {
    writer.raw(R"("label":[)");
    Separator comma;
    for (const Label& label : labels) {
      if (label.name == without) continue;
      comma(writer);
      writer.raw('{');
      string_member(writer, "name", label.name, true);
      string_member(writer, "value", label.value);
      writer.raw('}');
    }
    writer.raw(']');
  };
  writer.raw('{');
  string_member(writer, "name", family.name, true);
  string_member(writer, "help", family.help);
  string_member(writer, "type", kTypes[static_cast<std::size_t>(family.type)]);
  writer.raw(R"(,"metric":[)");
  Separator comma;
  if (family.type != MetricType::histogram) {
    static constexpr std::string_view kValues[] = {"counter", "gauge", "histogram", "untyped"};
    for (const Registry::Sample& sample : family.samples) {
      if (!sample.suffix.empty()) continue;  // a collector's own summary: its parts have no place in an untyped family
      comma(writer);
      writer.raw('{');
      write_labels(sample.labels, "");
      writer.raw(',');
      writer.key(kValues[static_cast<std::size_t>(family.type)]);
      writer.raw(R"({"value":)");
      number(sample.value);
      writer.raw("}}");
    }
  } else {
    struct Parts {
      double count = 0, sum = 0;
      std::vector<std::pair<std::string, double>> buckets;
    };
    std::map<Labels, Parts> children;
    for (const Registry::Sample& sample : family.samples) {
      Labels labels = sample.labels;
      labels.erase("le");
      Parts& parts = children[labels];
      if (sample.suffix == "_bucket") {
        parts.buckets.emplace_back(sample.labels.get("le"), sample.value);
      } else if (sample.suffix == "_sum") {
        parts.sum = sample.value;
      } else {
        parts.count = sample.value;
      }
    }
    for (const auto& [labels, parts] : children) {
      comma(writer);
      writer.raw('{');
      write_labels(labels, "");
      writer.raw(R"(,"histogram":{"sampleCount":")");
      writer.number(parts.count);
      writer.raw(R"(","sampleSum":)");
      number(parts.sum);
      writer.raw(R"(,"bucket":[)");
      Separator inner;
      for (const auto& [bound, count] : parts.buckets) {
        if (bound == "+Inf") continue;
        inner(writer);
        writer.raw(R"({"cumulativeCount":")");
        writer.number(count);
        writer.raw(R"(","upperBound":)");
        writer.raw(bound);
        writer.raw('}');
      }
      writer.raw("]}}");
    }
  }
  writer.raw("]}");
}

}  // namespace

Handled handle_status_self_metrics(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  const std::string pattern(form.get_or("metric_name_pattern", ""));
  auto filter = Matcher::create(Matcher::Type::regex, std::string(kMetricName), pattern.empty() ? ".*" : pattern);
  if (!filter) {
    co_return error_response(ErrorType::bad_data,
                             fmt::format("invalid metric_name_pattern: {}", filter.error().message));
  }
  co_await core.deps.compute->schedule();
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('[');
  Separator comma;
  for (const Registry::Family& family : core.deps.registry->collect()) {
    if (!filter->matches(family.name)) continue;
    comma(writer);
    write_family(writer, family);
  }
  writer.raw(']');
  co_return object(std::move(writer));
}

Handled handle_features(ApiCore& core, http::Request&) {
  const promql::Features& features = core.deps.engine->options().features;
  std::map<std::string_view, std::map<std::string, bool>> all;
  all["api"] = {{"admin", false},      {"exclude_alerts", false},   {"label_values_match", true},
                {"lifecycle", false},  {"openapi_3.1", true},       {"otlp_write_receiver", false},
                {"query_stats", true}, {"query_warnings", true},    {"remote_write_receiver", true},
                {"search", false},     {"time_range_labels", true}, {"time_range_series", true}};
  all["promql"] = {{"anchored", features.extended_ranges},
                   {"at_modifier", true},
                   {"bool", true},
                   {"by", true},
                   {"delayed_name_removal", features.delayed_name_removal},
                   {"duration_expr", features.duration_expressions},
                   {"experimental_functions", features.experimental_functions},
                   {"fill", features.fill_modifiers},
                   {"fill_left", features.fill_modifiers},
                   {"fill_right", features.fill_modifiers},
                   {"group_left", true},
                   {"group_right", true},
                   {"ignoring", true},
                   {"negative_offset", true},
                   {"offset", true},
                   {"on", true},
                   {"per_query_lookback_delta", true},
                   {"per_step_stats", features.per_step_stats},
                   {"smoothed", features.extended_ranges},
                   {"subqueries", true},
                   {"type_and_unit_labels", features.type_and_unit_labels},
                   {"use_start_timestamps", features.use_start_timestamps},
                   {"without", true}};
  auto& functions = all["promql_functions"];
  for (const promql::FunctionSignature& function : promql::all_functions()) {
    functions[std::string(function.name)] = !function.experimental || features.experimental_functions;
  }
  auto& operators = all["promql_operators"];
  for (int op = 0; op <= static_cast<int>(promql::BinaryOp::lunless); ++op) {
    operators[std::string(promql::to_string(static_cast<promql::BinaryOp>(op)))] = true;
  }
  for (const char* op : {"=~", "!~", "@"}) operators[op] = true;
  for (int op = 0; op <= static_cast<int>(promql::AggregateOp::topk); ++op) {
    const auto aggregate = static_cast<promql::AggregateOp>(op);
    operators[std::string(promql::to_string(aggregate))] =
        !promql::is_experimental(aggregate) || features.experimental_functions;
  }
  all["prometheus"] = {{"agent_mode", false}, {"server_mode", true}, {"auto_reload_config", false}};
  all["tsdb"] = {
      {"delayed_compaction", false}, {"exemplar_storage", true}, {"isolation", true}, {"native_histograms", true}};

  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  Separator outer;
  for (const auto& [category, names] : all) {
    outer(writer);
    writer.key(category);
    writer.raw('{');
    Separator comma;
    for (const auto& [name, enabled] : names) {
      comma(writer);
      writer.key(name);
      writer.boolean(enabled);
    }
    writer.raw('}');
  }
  writer.raw('}');
  co_return object(std::move(writer));
}

namespace {

void write_notification(JsonWriter& writer, const Notification& notification) {
  writer.raw('{');
  string_member(writer, "text", notification.text, true);
  string_member(writer, "date", format_rfc3339(notification.date));
  writer.raw(R"(,"active":)");
  writer.boolean(notification.active);
  writer.raw('}');
}

Task<Result<>> stream_notifications(std::shared_ptr<NotificationHub::Subscription> subscription, Context context,
                                    http::BodySink& sink) {
  CO_TRY_VOID(co_await sink.write(":\n\n"));  // a comment: the client's open event fires at once
  for (;;) {
    auto next = co_await subscription->next(context);
    if (!next) co_return Result<>{};  // the client is gone
    JsonWriter writer;
    writer.raw("data: ");
    write_notification(writer, *next);
    writer.raw("\n\n");
    CO_TRY_VOID(co_await sink.write(writer.take()));
  }
}

}  // namespace

Handled handle_notifications(ApiCore& core, http::Request&) {
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('[');
  Separator comma;
  if (core.deps.notifications) {
    for (const Notification& notification : core.deps.notifications->active()) {
      comma(writer);
      write_notification(writer, notification);
    }
  }
  writer.raw(']');
  co_return object(std::move(writer));
}

Handled handle_notifications_live(ApiCore& core, http::Request& request) {
  auto subscription = core.deps.notifications ? core.deps.notifications->subscribe() : nullptr;
  if (!subscription) co_return http::Response::empty(204);
  http::Response response;
  response.headers.add("Content-Type", "text/event-stream");
  response.headers.add("Cache-Control", "no-cache");
  response.compress = false;
  // Lives until the client goes: the route's deadline does not apply.
  const Context context(request.context.stop_token(), Context::Steady::time_point::max());
  response.stream = [subscription, context](http::BodySink& sink) {
    return stream_notifications(subscription, context, sink);
  };
  co_return response;
}

Handled handle_healthy(ApiCore&, http::Request&) { co_return http::Response::text(200, "Tocayo is Healthy.\n"); }

Handled handle_ready(ApiCore& core, http::Request&) {
  if (core.deps.ready && !core.deps.ready()) co_return http::Response::text(503, "Service Unavailable\n");
  co_return http::Response::text(200, "Tocayo is Ready.\n");
}

Handled handle_self_metrics_text(ApiCore& core, http::Request&) {
  co_await core.deps.compute->schedule();
  co_return http::Response::text(200, core.deps.registry->to_text(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace tocayo::metrics::api
