// SPDX-License-Identifier: Apache-2.0
#include "logs/api/api.h"

#include <algorithm>
#include <chrono>

#include "core/hash.h"
#include "core/query_pool.h"
#include "logs/api/elastic.h"
#include "logs/api/handlers.h"
#include "logs/api/journal_upload.h"
#include "logs/api/multi_tenant.h"

namespace tocayo::logs::api {

namespace {

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
    case ErrorKind::conflict:
    case ErrorKind::limit: return 400;
    case ErrorKind::not_found: return 404;
    case ErrorKind::unauthorized: return 401;
    case ErrorKind::forbidden: return 403;
    case ErrorKind::too_large: return 413;
    case ErrorKind::canceled: return 499;
    case ErrorKind::timeout: return 504;
    case ErrorKind::unavailable: return 503;
    case ErrorKind::internal: return 500;
  }
  return 500;
}

constexpr std::string_view kTimedOut =
    "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex "
    "match) "
    "to reduce the amount of data processed";

constexpr double kQueueBounds[] = {.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60};

enum Methods : unsigned char { get = 1, post = 2, put = 4, del = 8 };
struct Entry {
  unsigned char methods;
  std::string_view path;
  Function function;
  http::Access access = http::Access::read;
};

constexpr Entry kRoutes[] = {
    {get | post, "/query", handle_query},
    {get | post, "/query_range", handle_query_range},
    {get | post, "/format_query", handle_format_query},
    {get | post, "/labels", handle_labels},
    {get | post, "/label", handle_labels},
    {get | post, "/label/{name}/values", handle_label_values},
    {get | post, "/series", handle_series},
    {get | post, "/index/stats", handle_index_stats},
    {get | post, "/index/shards", handle_index_shards},
    {get | post, "/index/volume", handle_volume},
    {get | post, "/index/volume_range", handle_volume_range},
    {get | post, "/patterns", handle_patterns},
    {get | post, "/detected_fields", handle_detected_fields},
    {get | post, "/detected_field/{name}/values", handle_detected_field_values},
    {get | post, "/detected_labels", handle_detected_labels},
    {get, "/drilldown-limits", handle_drilldown_limits},
    {get, "/status/buildinfo", handle_buildinfo},
    {get, "/delete", handle_list_deletes},
    {post | put, "/delete", handle_add_delete, http::Access::admin},
    {del, "/delete", handle_cancel_delete, http::Access::admin},
};

constexpr std::string_view kPrefixes[] = {"/loki/api/v1", "/as/loki/loki/api/v1"};

}  // namespace

http::Response error_text(const Error& error) {
  const auto text = error.kind == ErrorKind::timeout ? std::string(kTimedOut) : error.message;
  auto response = http::Response::text(status_of(error.kind), text + "\n");
  if (error.kind == ErrorKind::unavailable) response.headers.set("Retry-After", "5");
  return response;
}

Handled on_compute(ApiCore& core, std::move_only_function<Result<http::Response>()> answer) {
  co_await core.deps.compute->schedule();
  auto response = answer();
  co_return response ? std::move(*response) : error_text(response.error());
}

http::Response too_many_requests() {
  auto response = http::Response::text(429, "too many outstanding requests\n");
  response.headers.set("Retry-After", "1");
  return response;
}

Handled in_turn(ApiCore& core, http::Request& request, double cost,
                std::move_only_function<Result<http::Response>()> answer) {
  const auto asked = std::chrono::steady_clock::now();
  auto permit = co_await core.gate.acquire(request.identity.tenant, request.context, cost);
  if (!permit) {
    if (permit.error().kind != ErrorKind::limit) co_return error_text(permit.error());
    core.refused.add();
    co_return too_many_requests();
  }
  co_await core.deps.queries->schedule();
  core.queue_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count());
  auto response = answer();
  co_return response ? std::move(*response) : error_text(response.error());
}

namespace {
PushOptions push_options(const ApiDependencies& deps) {
  PushOptions options = deps.push;
  options.spilled = [store = deps.store](std::string_view tenant, const Labels& labels, std::string_view address) {
    store->note_sender(tenant, labels, address);
  };
  return options;
}
}  // namespace

ApiCore::ApiCore(ApiDependencies dependencies)
    : deps(with_queries(std::move(dependencies))),
      gate(deps.query_concurrency != 0 ? deps.query_concurrency : deps.queries->thread_count(), deps.query_queue,
           *deps.queries),
      share(*deps.queries),
      push(*deps.store, *deps.compute, deps.limits, *deps.registry, push_options(deps), *deps.clock),
      tail(*deps.store, *deps.engine, *deps.compute, deps.limits, *deps.registry, *deps.clock,
           {.still_allowed = deps.still_allowed}),
      refused(
          deps.registry->counter("tocayo_logs_queries_refused_total", "Queries that found their tenant's queue full.")),
      queue_seconds(deps.registry->histogram("tocayo_logs_query_queue_seconds",
                                             "Time queries of logs wait for their turn.", {}, kQueueBounds)) {
  deps.registry->add_collector(this, [this](std::vector<Registry::Family>& families) {
    const auto gauge = [&](const char* name, const char* help, std::size_t value) {
      families.push_back({name, help, MetricType::gauge, {{"", {}, static_cast<double>(value)}}});
    };
    gauge("tocayo_logs_queries_waiting", "Queries of logs that wait for their turn.", gate.waiting());
    gauge("tocayo_logs_queries_shared", "Requests that wait for an execution which an equal one began.",
          share.waiting() - std::min(share.waiting(), share.running()));
  });
}

ApiCore::~ApiCore() { deps.registry->remove_collectors(this); }

std::shared_ptr<const LogLimits> ApiCore::limits(std::string_view tenant) const {
  std::vector<std::shared_ptr<const LogLimits>> all;
  for (const auto& id : tenants_of(tenant)) all.push_back(deps.limits(id));
  return smallest_limits(std::move(all));
}

std::uint64_t ApiCore::version(std::string_view tenant) const {
  std::uint64_t all = 0;
  for (const auto& id : tenants_of(tenant)) {
    const auto stats = deps.store->stats(id);
    for (const std::uint64_t number : {stats.head_rows, stats.segment_rows, stats.segments}) {
      all = hash64({reinterpret_cast<const char*>(&number), sizeof(number)}, all);
    }
  }
  return all;
}

Result<std::shared_ptr<const Querier>> ApiCore::querier(const http::Request& request) const {
  return querier_of(*deps.store, request.identity.tenant);
}

struct LogsApi::Impl {
  std::shared_ptr<ApiCore> core;  // shared: with handlers that are under way

  void add(http::Router& router, std::string_view method, std::string_view pattern, Function function,
           http::RouteOptions options) {
    router.add(
        method, pattern, [core = core, function](http::Request& request) { return function(*core, request); },
        std::move(options));
  }
};

LogsApi::LogsApi(ApiDependencies dependencies) : impl_(std::make_unique<Impl>()) {
  impl_->core = std::make_shared<ApiCore>(std::move(dependencies));
}
LogsApi::~LogsApi() = default;

PushHandler& LogsApi::push() { return impl_->core->push; }

namespace {
Handled handle_push(ApiCore& core, http::Request& request) {
  if (!core.deps.push_door) return core.push.push(request);
  return core.deps.push_door(request, [&core, &request] { return core.push.push(request); });
}
Handled handle_otlp(ApiCore& core, http::Request& request) { return core.push.otlp(request); }
}  // namespace

void LogsApi::mount(http::Router& router) {
  for (const auto prefix : kPrefixes) {
    for (const auto& entry : kRoutes) {
      const std::string pattern = std::string(prefix) + std::string(entry.path);
      http::RouteOptions options;
      options.access = entry.access;
      options.several_tenants = entry.access == http::Access::read && entry.function != handle_list_deletes;
      // Queries by POST form change nothing, and the rest is for tools.
      options.csrf_exempt = entry.access == http::Access::read;
      options.metric_name = "loki_api_v1" + std::string(entry.path);
      if ((entry.methods & get) != 0) impl_->add(router, "GET", pattern, entry.function, options);
      if ((entry.methods & post) != 0) impl_->add(router, "POST", pattern, entry.function, options);
      if ((entry.methods & put) != 0) impl_->add(router, "PUT", pattern, entry.function, options);
      if ((entry.methods & del) != 0) impl_->add(router, "DELETE", pattern, entry.function, options);
    }
  }
  http::RouteOptions exported;
  exported.several_tenants = true;
  exported.timeout = std::chrono::hours(24);
  for (const std::string_view method : {"GET", "POST"})
    impl_->add(router, method, "/logs/api/v1/export", handle_export, exported);
  http::RouteOptions tail;
  tail.timeout = std::chrono::hours(24 * 365);
  tail.metric_name = "loki_api_v1_tail";
  tail.several_tenants = true;
  for (const auto prefix : kPrefixes) {
    router.add_websocket(
        std::string(prefix) + "/tail", {},
        [core = impl_->core](http::Request& request, http::WebSocket& socket) {
          return core->tail.serve(request, socket);
        },
        tail);
  }
  http::RouteOptions write;
  write.access = http::Access::write;
  write.csrf_exempt = true;
  write.raw_body = true;
  write.max_body = impl_->core->deps.push.max_body;
  for (const std::string_view path : {"/loki/api/v1/push", "/as/loki/loki/api/v1/push", "/api/prom/push"}) {
    impl_->add(router, "POST", path, handle_push, write);
  }
  for (const std::string_view path : {"/otlp/v1/logs", "/v1/logs"})
    impl_->add(router, "POST", path, handle_otlp, write);
  const auto& deps = impl_->core->deps;
  mount_elastic(router, push(), *deps.clock, deps.push.max_body);
  mount_journal_upload(router, push(), deps.push.max_body);
  impl_->add(router, "GET", "/config/tenant/v1/limits", handle_limits_yaml, {});
  impl_->add(router, "GET", "/logs/api/v1/label_growth", handle_label_growth, {});
  http::RouteOptions admin;
  admin.access = http::Access::admin;
  for (const std::string_view path : {"/flush", "/flush/tenant"}) impl_->add(router, "POST", path, handle_flush, admin);
}

}  // namespace tocayo::logs::api
