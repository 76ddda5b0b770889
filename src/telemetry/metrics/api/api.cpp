// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/api.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/query_pool.h"
#include "metrics/api/handlers.h"
#include "metrics/api/limited_querier.h"
#include "metrics/api/respond.h"

namespace tocayo::metrics::api {

namespace {

std::size_t concurrency_of(const ApiDependencies& deps) {
  if (deps.query_concurrency != 0) return deps.query_concurrency;
  return 2 * std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

constexpr std::array<double, 13> kRequestBounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 50};

// Times one request until its last byte is produced, in cortex_request_duration_seconds.
class RequestTimer {
 public:
  RequestTimer(Registry& registry, std::string method, std::string route)
      : registry_(&registry), method_(std::move(method)), route_(std::move(route)) {}
  void finish(int status) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    registry_
        ->histogram("cortex_request_duration_seconds", "Time spent serving HTTP requests.",
                    {{"method", method_}, {"route", route_}, {"status_code", std::to_string(status)}, {"ws", "false"}},
                    kRequestBounds)
        .observe(seconds);
    if (!route_.starts_with("prometheus_")) return;
    registry_
        ->histogram("cortex_querier_request_duration_seconds", "Time spent answering reads.",
                    {{"method", method_}, {"route", route_}, {"status_code", std::to_string(status)}, {"ws", "false"}},
                    kRequestBounds)
        .observe(seconds);
  }

 private:
  Registry* registry_;
  std::string method_, route_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Powers of ten, from 10.
constexpr std::array<double, 8> kSizeBounds = {1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
constexpr std::array<double, 6> kRetryBounds = {0, 1, 2, 3, 4, 5};

Registry::Family one_gauge(std::string name, std::string help, double value) {
  return {std::move(name), std::move(help), MetricType::gauge, {{"", {}, value}}};
}

// What the kernel maps for this process, and how many pieces it may have.
void collect_map_areas(std::vector<Registry::Family>& families) {
  std::ifstream maps("/proc/self/maps"), most("/proc/sys/vm/max_map_count");
  const auto areas = std::count(std::istreambuf_iterator<char>(maps), {}, '\n');
  double limit = 0;
  most >> limit;
  families.push_back(one_gauge("process_memory_map_areas", "Memory-mapped areas.", static_cast<double>(areas)));
  families.push_back(one_gauge("process_memory_map_areas_limit", "Most memory-mapped areas allowed.", limit));
}

struct TimedStream {
  http::StreamBody stream;
  RequestTimer timer;
  int status;
};

Task<Result<>> run_timed(std::shared_ptr<TimedStream> timed, http::BodySink& sink) {
  auto result = co_await timed->stream(sink);
  timed->timer.finish(timed->status);
  co_return result;
}

using Function = Handled (*)(ApiCore&, http::Request&);

Task<http::Response> run(std::shared_ptr<ApiCore> core, std::string route, Function handle, http::Request& request,
                         bool blockable) {
  RequestTimer timer(*core->deps.registry, request.method, std::move(route));
  Result<> allowed;
  if (blockable) allowed = core->limits(request)->check_request(request);
  http::Response response = allowed ? co_await handle(*core, request) : error_response(allowed.error());
  if (response.stream) {
    // Shared: by the response's function object and the coroutine that it starts.
    auto timed =
        std::make_shared<TimedStream>(TimedStream{std::move(response.stream), std::move(timer), response.status});
    response.stream = [timed](http::BodySink& sink) { return run_timed(timed, sink); };
  } else {
    timer.finish(response.status);
  }
  co_return response;
}

}  // namespace

ApiCore::ApiCore(ApiDependencies dependencies)
    : deps(with_queries(std::move(dependencies))),
      memory(deps.memory, *deps.registry),
      gate(concurrency_of(deps), deps.query_queue, *deps.queries),
      push(*deps.appender, *deps.compute, deps.limits, *deps.registry, deps.push, *deps.clock),
      sequences(deps.sequences, deps.record_gap),
      samples_read(deps.registry->counter("prometheus_engine_query_samples_total", "Samples loaded by all queries.")),
      api_queries(deps.registry->counter("tocayo_metrics_api_queries_total", "Queries asked for over HTTP.")),
      queue_seconds(deps.registry->histogram("cortex_query_frontend_queue_duration_seconds",
                                             "Time queries wait for their turn.", {}, kRequestBounds)),
      queried_series(
          deps.registry->histogram("cortex_ingester_queried_series", "Series selected per query.", {}, kSizeBounds)),
      queried_samples(
          deps.registry->histogram("cortex_ingester_queried_samples", "Samples read per query.", {}, kSizeBounds)),
      queried_exemplars(deps.registry->histogram("cortex_ingester_queried_exemplars", "Exemplars returned per query.",
                                                 {}, kSizeBounds)),
      // Nothing is asked twice here: the observations are all 0.
      retries(deps.registry->histogram("cortex_query_frontend_retries", "Retries per query.", {}, kRetryBounds)),
      started(deps.clock->now_ms()) {
  deps.registry
      ->gauge("prometheus_build_info", "Of the Prometheus whose API this is; always 1.",
              {{"version", deps.version}, {"revision", deps.revision}, {"branch", ""}, {"goversion", ""}})
      .set(1);
  deps.registry
      ->gauge("cortex_build_info", "Of this program; always 1.",
              {{"version", deps.tocayo_version}, {"revision", deps.revision}, {"branch", ""}, {"goversion", ""}})
      .set(1);
  deps.registry->gauge("prometheus_engine_queries_concurrent_max", "The most queries that run at once.")
      .set(static_cast<double>(gate.slots()));
  deps.registry->add_collector(this, [this](std::vector<Registry::Family>& families) {
    durations.collect(families);
    collect_map_areas(families);
    families.push_back(one_gauge("prometheus_engine_queries", "Queries running or waiting.",
                                 static_cast<double>(gate.running() + gate.waiting())));
    families.push_back(one_gauge("cortex_query_frontend_queue_length", "Queries waiting for their turn.",
                                 static_cast<double>(gate.waiting())));
  });
}

ApiCore::~ApiCore() { deps.registry->remove_collectors(this); }

Result<Reading> ApiCore::begin(std::string_view tenant, const Context& context) {
  Reading reading;
  reading.limits = deps.query_limits(tenant);
  reading.query = TRY(memory.admit(std::string(tenant), reading.limits->fetch, context));
  QuerierLimits limits;
  limits.longest_select = reading.limits->max_partial_query_length;
  if (reading.limits->max_query_lookback.count() > 0)
    limits.oldest = deps.clock->now_ms() - reading.limits->max_query_lookback.count();
  reading.querier = limit_querier(TRY(deps.querier(tenant)), limits, reading.query->meter());
  return reading;
}

struct MetricsApi::Impl {
  std::shared_ptr<ApiCore> core;  // shared: with handlers that are under way

  void add(http::Router& router, std::string_view method, std::string_view pattern, std::string_view route,
           Function function, http::RouteOptions options) {
    options.metric_name = route;
    const bool blockable = options.access == http::Access::read;  // blocked_requests are about reads
    router.add(
        method, pattern,
        [core = core, route = std::string(route), function, blockable](http::Request& request) {
          return run(core, route, function, request, blockable);
        },
        std::move(options));
  }
};

MetricsApi::MetricsApi(ApiDependencies dependencies) : impl_(std::make_unique<Impl>()) {
  impl_->core = std::make_shared<ApiCore>(std::move(dependencies));
}
MetricsApi::~MetricsApi() = default;

PushHandler& MetricsApi::push() { return impl_->core->push; }

Result<Reading> MetricsApi::read(std::string_view tenant, const Context& context) {
  return impl_->core->begin(tenant, context);
}

Task<Result<FairGate::Permit>> MetricsApi::enter(std::string tenant, Context context) {
  const std::shared_ptr<ApiCore> core = impl_->core;  // shared: with handlers that are under way
  auto permit = co_await core->gate.acquire(std::move(tenant), std::move(context));
  if (permit) co_await core->deps.queries->schedule();
  co_return permit;
}

namespace {

enum Methods : unsigned char { get = 1, post = 2, put = 4 };
struct Entry {
  unsigned char methods;
  std::string_view path;
  std::string_view route;  // of the request metrics, after "prometheus_api_v1_"
  Function function;
  http::Access access = http::Access::read;
};

Handled handle_import(ApiCore& core, http::Request& request) { return core.push.import_text(request); }

constexpr Entry kQueryRoutes[] = {
    {get | post, "/query", "query", handle_query},
    {get | post, "/query_range", "query_range", handle_query_range},
    {get | post, "/query_exemplars", "query_exemplars", handle_query_exemplars},
    {get | post, "/format_query", "format_query", handle_format_query},
    {get | post, "/parse_query", "parse_query", handle_parse_query},
    {get | post, "/series", "series", handle_series},
    {get | post, "/labels", "labels", handle_labels},
    {get, "/label/{name}/values", "label_name_values", handle_label_values},
    {get, "/metadata", "metadata", handle_metadata},
    {get, "/targets", "targets", handle_targets},
    {get, "/targets/metadata", "targets_metadata", handle_targets_metadata},
    {get, "/targets/relabel_steps", "targets_relabel_steps", handle_relabel_steps},
    {get, "/scrape_pools", "scrape_pools", handle_scrape_pools},
    {get, "/scrape_pools/config", "scrape_pools_config", handle_scrape_pool_config},
    {get, "/rules", "rules", handle_rules},
    {get, "/alerts", "alerts", handle_alerts},
    {get, "/alertmanagers", "alertmanagers", handle_alertmanagers},
    {get, "/status/config", "status_config", handle_status_config},
    {get, "/status/flags", "status_flags", handle_status_flags},
    {get, "/status/runtimeinfo", "status_runtimeinfo", handle_status_runtimeinfo},
    {get, "/status/buildinfo", "status_buildinfo", handle_status_buildinfo},
    {get, "/status/tsdb", "status_tsdb", handle_status_tsdb},
    {get, "/status/tsdb/blocks", "status_tsdb_blocks", handle_status_tsdb_blocks},
    {get, "/status/walreplay", "status_walreplay", handle_status_walreplay},
    {get, "/status/self_metrics", "status_self_metrics", handle_status_self_metrics},
    {get, "/features", "features", handle_features},
    {get, "/notifications", "notifications", handle_notifications},
    {get, "/notifications/live", "notifications_live", handle_notifications_live},
    {post | put, "/admin/tsdb/delete_series", "admin_tsdb_delete_series", handle_admin_unavailable,
     http::Access::admin},
    {post | put, "/admin/tsdb/clean_tombstones", "admin_tsdb_clean_tombstones", handle_admin_unavailable,
     http::Access::admin},
    {post | put, "/admin/tsdb/snapshot", "admin_tsdb_snapshot", handle_admin_unavailable, http::Access::admin},
};

constexpr std::string_view kPrefixes[] = {"/api/v1", "/prometheus/api/v1", "/as/prometheus/api/v1",
                                          "/as/mimir/prometheus/api/v1"};

}  // namespace

void MetricsApi::mount(http::Router& router) {
  for (const std::string_view prefix : kPrefixes) {
    for (const Entry& entry : kQueryRoutes) {
      const std::string pattern = std::string(prefix) + std::string(entry.path);
      http::RouteOptions options;
      options.access = entry.access;
      // Queries by POST form change nothing; Grafana and other clients send them without a token of the page.
      options.csrf_exempt = entry.access == http::Access::read;
      if (entry.path == "/notifications/live") options.timeout = std::chrono::hours(24 * 365);
      const std::string route = "prometheus_api_v1_" + std::string(entry.route);
      if (entry.methods & get) impl_->add(router, "GET", pattern, route, entry.function, options);
      if (entry.methods & post) impl_->add(router, "POST", pattern, route, entry.function, options);
      if (entry.methods & put) impl_->add(router, "PUT", pattern, route, entry.function, options);
    }
    http::RouteOptions read;
    read.access = http::Access::read;
    read.csrf_exempt = true;
    read.raw_body = true;
    read.max_body = 32 << 20;
    impl_->add(router, "POST", std::string(prefix) + "/read", "prometheus_api_v1_read", handle_remote_read, read);
  }
  for (const std::string_view path : {"/federate", "/prometheus/federate", "/as/prometheus/federate"}) {
    impl_->add(router, "GET", path, "federate", handle_federate, {});
  }
  http::RouteOptions write;
  write.access = http::Access::write;
  write.csrf_exempt = true;
  write.raw_body = true;
  write.max_body = impl_->core->deps.push.max_recv_msg_size;
  for (const std::string_view path : {"/api/v1/push", "/api/v1/write", "/prometheus/api/v1/write",
                                      "/as/prometheus/api/v1/write", "/as/mimir/api/v1/push"}) {
    impl_->add(router, "POST", path, "api_v1_push", handle_remote_write, write);
  }
  http::RouteOptions import;
  import.access = http::Access::write;
  import.csrf_exempt = true;
  import.max_body = impl_->core->deps.push.max_recv_msg_size;
  impl_->add(router, "POST", "/api/v1/import/prometheus", "api_v1_import_prometheus", handle_import, import);
}

void MetricsApi::mount_operations(http::Router& router) {
  http::RouteOptions open;
  open.access = http::Access::open;
  impl_->add(router, "GET", "/-/healthy", "healthy", handle_healthy, open);
  impl_->add(router, "HEAD", "/-/healthy", "healthy", handle_healthy, open);
  impl_->add(router, "GET", "/-/ready", "ready", handle_ready, open);
  impl_->add(router, "HEAD", "/-/ready", "ready", handle_ready, open);
  impl_->add(router, "GET", "/ready", "ready", handle_ready, open);
  impl_->add(router, "GET", "/metrics", "metrics", handle_self_metrics_text, {});
}

}  // namespace tocayo::metrics::api
