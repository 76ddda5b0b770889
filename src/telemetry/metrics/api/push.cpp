// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/push.h"

#include <fmt/format.h>

#include <charconv>
#include <random>

#include "core/log.h"
#include "core/text.h"
#include "metrics/api/push_internal.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {

namespace {

constexpr std::string_view kRoom = "metrics_api";
constexpr std::size_t kArenaKeepBytes = 8 << 20;  // larger ones are freed, not pooled
constexpr std::size_t kArenasKept = 16;
constexpr TimestampMs kEvictionInterval = 60'000;

// Of a batch that failed as a whole.
int status_of_failure(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
    case ErrorKind::conflict:
    case ErrorKind::not_found: return 400;
    case ErrorKind::unauthorized: return 401;
    case ErrorKind::forbidden: return 403;
    case ErrorKind::limit: return 429;
    case ErrorKind::too_large: return 413;
    case ErrorKind::canceled: return 499;
    case ErrorKind::timeout:
    case ErrorKind::unavailable: return 503;
    case ErrorKind::internal: return 500;
  }
  return 500;
}

std::string_view trimmed(std::string_view text) { return trim(text); }

bool equal_ignoring_case(std::string_view a, std::string_view b) { return to_lower(a) == to_lower(b); }

}  // namespace

http::Response plain_error(int status, std::string_view text) {
  std::string body(text.substr(0, kMaxErrorBody - 1));
  body.push_back('\n');
  return http::Response::text(status, std::move(body));
}

namespace {

double random_jitter() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace

void add_retry_after(http::Response& response, const http::Request& request) {
  if (response.status != 429 && response.status < 500) return;
  response.headers.set("Retry-After",
                       std::to_string(retry_after_seconds(request.headers.get("Retry-Attempt"), random_jitter())));
}

void add_written(http::Response& response, std::size_t samples, std::size_t histograms, std::size_t exemplars) {
  response.headers.set("X-Prometheus-Remote-Write-Samples-Written", std::to_string(samples));
  response.headers.set("X-Prometheus-Remote-Write-Histograms-Written", std::to_string(histograms));
  response.headers.set("X-Prometheus-Remote-Write-Exemplars-Written", std::to_string(exemplars));
}

http::Response refusal(const http::Request& request, int status, std::string_view text) {
  http::Response response = plain_error(status, text);
  add_written(response, 0, 0, 0);
  add_retry_after(response, request);
  return response;
}

WriteFormat negotiate_write_format(std::string_view content_type) {
  if (trimmed(content_type).empty()) return {};
  const std::vector<std::string_view> parts = split(content_type, ';');
  const std::string_view media = trimmed(parts[0]);
  if (!equal_ignoring_case(media, "application/x-protobuf")) {
    return {.problem = fmt::format("expected application/x-protobuf as the media type, got {}", media)};
  }
  WriteFormat format;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string_view parameter = trimmed(parts[i]);
    const std::size_t equals = parameter.find('=');
    if (parameter.empty()) continue;
    if (equals == std::string_view::npos) {
      return {.problem = fmt::format("malformed parameter {} in content type {}", go_quote(parameter), content_type)};
    }
    if (!equal_ignoring_case(trimmed(parameter.substr(0, equals)), "proto")) continue;
    std::string_view message = trimmed(parameter.substr(equals + 1));
    if (message.size() >= 2 && message.front() == '"' && message.back() == '"')
      message = message.substr(1, message.size() - 2);
    if (message == "prometheus.WriteRequest") {
      format.version = RemoteWriteVersion::v1;
    } else if (message == "io.prometheus.write.v2.Request") {
      format.version = RemoteWriteVersion::v2;
    } else {
      return {.problem = fmt::format("unknown protobuf message {}, expected prometheus.WriteRequest or "
                                     "io.prometheus.write.v2.Request",
                                     message)};
    }
  }
  return format;
}

int retry_after_seconds(std::string_view retry_attempt, double jitter) {
  int attempt = 1;
  std::from_chars(retry_attempt.data(), retry_attempt.data() + retry_attempt.size(), attempt);
  attempt = std::clamp(attempt, 1, 5);
  const double base = 6.0 * static_cast<double>(1 << (attempt - 1));
  return std::max(1, static_cast<int>(base * (0.5 + jitter)));
}

PushHandler::PushHandler(Appender& appender, Pool& compute, LimitsLookup limits, Registry& registry,
                         PushOptions options, const Clock& clock)
    : appender_(appender),
      compute_(compute),
      limits_(std::move(limits)),
      registry_(registry),
      options_(options),
      clock_(clock),
      unsorted_series_(
          registry.counter("tocayo_metrics_api_unsorted_series_total", "Series whose labels came unsorted.")),
      inflight_gauge_(
          registry.gauge("tocayo_metrics_api_inflight_push_bytes", "Bytes of write requests being handled.")) {
  registry.add_collector(this, [this](std::vector<Registry::Family>& families) {
    std::size_t bytes = 0;
    std::size_t entries = 0;
    std::size_t tenants = 0;
    {
      std::lock_guard lock(tenants_mutex_);
      tenants = tenants_.size();
      for (const auto& [name, tenant] : tenants_) {
        bytes += tenant->series.memory_bytes();
        entries += tenant->series.size();
      }
    }
    const auto gauge = [&](std::string name, std::string help, std::size_t value, Labels labels = {}) {
      Registry::Family family{std::move(name), std::move(help), MetricType::gauge, {}};
      family.samples.push_back({"", std::move(labels), static_cast<double>(value)});
      families.push_back(std::move(family));
    };
    gauge("tocayo_memory_bytes", "Memory in use, by component.", bytes, {{"component", "sender_cache"}});
    gauge("tocayo_metrics_api_sender_cache_series", "Series as senders spell them that are remembered.", entries);
    gauge("tocayo_metrics_api_push_tenants", "Tenants that sent something lately.", tenants);
  });
}

PushHandler::~PushHandler() { registry_.remove_collectors(this); }

std::shared_ptr<PushHandler::Tenant> PushHandler::tenant(std::string_view name) {
  const TimestampMs now = clock_.now_ms();
  std::lock_guard lock(tenants_mutex_);
  if (now >= next_eviction_ || now < next_eviction_ - kEvictionInterval) evict_idle(now);
  auto& slot = tenants_[std::string(name)];
  if (!slot) slot = std::make_shared<Tenant>(registry_, std::string(name));
  slot->last_used.store(now, std::memory_order_relaxed);
  return slot;
}

void PushHandler::evict_idle(TimestampMs now) {
  next_eviction_ = now + kEvictionInterval;
  std::erase_if(tenants_, [&](const auto& entry) {
    return now - entry.second->last_used.load(std::memory_order_relaxed) > options_.tenant_idle_timeout.count();
  });
}

std::unique_ptr<PushHandler::Arena> PushHandler::take_arena() {
  std::lock_guard lock(arenas_mutex_);
  if (arenas_.empty()) return std::make_unique<Arena>();
  auto arena = std::move(arenas_.back());
  arenas_.pop_back();
  return arena;
}

void PushHandler::return_arena(std::unique_ptr<Arena> arena) {
  arena->rows.reset({}, 0);
  if (arena->body.capacity() + arena->rows.memory_bytes() > kArenaKeepBytes) return;
  std::lock_guard lock(arenas_mutex_);
  if (arenas_.size() < kArenasKept) arenas_.push_back(std::move(arena));
}

std::optional<http::Response> PushHandler::check_request_rate(const http::Request& request, Tenant& tenant,
                                                              const ApiLimits& limits) {
  const auto burst = static_cast<double>(std::max<std::size_t>(limits.request_burst_size, 1));
  if (tenant.requests.allow(1, limits.request_rate, burst)) return {};
  return refusal(
      request, limits.overload_status_on_rate_limit ? 529 : 429,
      with_error_id(
          fmt::format("the request has been rejected because the tenant exceeded the request rate limit, set to "
                      "{} requests/s with a maximum allowed burst of {}",
                      limits.request_rate, limits.request_burst_size),
          "tenant-max-request-rate", "request_rate and limits.request_burst_size"));
}

Task<http::Response> PushHandler::remote_write(http::Request& request) {
  const WriteFormat format = negotiate_write_format(request.headers.get("Content-Type"));
  if (!format.problem.empty()) co_return refusal(request, 415, format.problem);
  const std::string_view encoding = trimmed(request.headers.get("Content-Encoding"));
  if (!encoding.empty() && !equal_ignoring_case(encoding, "snappy")) {
    co_return refusal(
        request, 415,
        fmt::format("{} encoding (compression) is not accepted by this server; only snappy is acceptable", encoding));
  }
  if (is_framed_snappy(request.body)) {
    co_return refusal(request, 415,
                      "the body is in snappy's stream format; only the snappy block format is acceptable");
  }
  auto length = snappy_block_length(request.body);
  if (!length) co_return refusal(request, 400, length.error().message);
  if (*length > options_.max_recv_msg_size || request.body.size() > options_.max_recv_msg_size) {
    co_return refusal(
        request, 413,
        with_error_id(fmt::format("the incoming push request has been rejected because its message size of {} bytes is "
                                  "larger than the allowed limit of {} bytes",
                                  std::max(*length, request.body.size()), options_.max_recv_msg_size),
                      "distributor-max-write-message-size"));
  }
  Inflight inflight(*this);
  if (auto over = inflight.admit(request.body.size() + *length); !over.empty()) co_return refusal(request, 503, over);

  const std::shared_ptr<Tenant> shared_tenant = this->tenant(request.identity.tenant);
  Tenant& tenant = *shared_tenant;
  tenant.requests_in.add();
  const ApiLimits limits = limits_(request.identity.tenant);
  if (auto refused = check_request_rate(request, tenant, limits)) co_return std::move(*refused);

  co_await compute_.schedule();
  auto arena = take_arena();
  http::Response response;
  auto decompressed = snappy_block_decode(request.body, options_.max_recv_msg_size, arena->body);
  if (!decompressed) {
    response = refusal(request, 400, decompressed.error().message);
  } else {
    arena->rows.reset(limits.ingest, clock_.now_ms(), tenant.name);
    std::uint64_t generation = 0;
    const Result<> decoded = [&] {
      SeriesCache::Lookup known = tenant.series.begin(limits.ingest);
      generation = known.generation();
      return arena->decoder.decode(format.version, arena->body, arena->rows, &known);
    }();
    if (!decoded) {
      response = refusal(request, 400, decoded.error().message);
    } else {
      response = co_await store(request, tenant, limits, *arena);
      if (const auto seen = arena->rows.seen(); !seen.empty()) tenant.series.learn(generation, seen);
    }
  }
  return_arena(std::move(arena));
  co_return response;
}

namespace {

// "<first error>; 3 of 10 samples rejected: sample_out_of_order=2, label_invalid=1".
std::string summary(std::string_view first_error, std::size_t rejected, std::size_t received,
                    const std::vector<Rejections::Reason>& door, const std::vector<AppendResult::Rejected>& stored) {
  std::string text(first_error.substr(0, kMaxErrorBody / 2));
  text += fmt::format("\n{} of {} samples rejected", rejected, received);
  bool first = true;
  const auto add = [&](std::string_view reason, std::size_t count) {
    text += fmt::format("{}{}={}", first ? ": " : ", ", reason, count);
    first = false;
  };
  for (const auto& reason : door) {
    if (!reason.silent) add(reason.name, reason.count);
  }
  for (const auto& reason : stored) add(reason.reason, reason.count);
  return text;
}

// Of a batch of which some was refused. What is refused for lack of memory is to be sent again; what was stored
// meanwhile counts as written then.
int status_of_rejections(const Error& first, const AppendResult& result, const ApiLimits& limits) {
  for (const auto& rejected : result.rejected) {
    if (rejected.reason == "memory_guard") return 503;
  }
  if (first.message.find("err-mimir-max-active-series") == std::string::npos) return 400;
  return limits.overload_status_on_rate_limit ? 529 : 429;
}

}  // namespace

Task<http::Response> PushHandler::store(http::Request& request, Tenant& tenant, const ApiLimits& limits, Arena& arena) {
  IngestRows& rows = arena.rows;
  const std::size_t received = rows.samples_received() + rows.histograms_received();
  tenant.samples_in.add(static_cast<double>(received));
  tenant.exemplars_in.add(static_cast<double>(rows.exemplars_received()));
  tenant.metadata_in.add(static_cast<double>(rows.metadata_received()));
  if (rows.unsorted_series() > 0) unsorted_series_.add(static_cast<double>(rows.unsorted_series()));
  const auto discard = [&](std::string_view reason, std::size_t count) {
    if (count == 0) return;
    registry_
        .counter("cortex_discarded_samples_total", "The total number of samples that were discarded.",
                 {{"reason", std::string(reason)}, {"user", tenant.name}})
        .add(static_cast<double>(count));
  };

  const std::size_t items = received + rows.exemplars_received() + rows.metadata_received();
  const double burst = limits.ingestion_burst_factor > 0 ? limits.ingestion_rate * limits.ingestion_burst_factor
                                                         : static_cast<double>(limits.ingestion_burst_size);
  if (!tenant.items.allow(static_cast<double>(items), limits.ingestion_rate, burst)) {
    discard("rate_limited", received);
    co_return refusal(
        request, limits.overload_status_on_rate_limit ? 529 : 429,
        with_error_id(fmt::format("the request has been rejected because the tenant exceeded the ingestion rate limit, "
                                  "set to {} items/s with a maximum allowed burst of {}. This limit is applied on the "
                                  "total number of samples, exemplars and metadata received",
                                  limits.ingestion_rate, burst),
                      "tenant-max-ingestion-rate", "ingestion_rate and limits.ingestion_burst_size"));
  }

  AppendResult result;
  if (!rows.empty()) {
    auto appended = co_await appender_.append(tenant.name, rows.batch());
    if (!appended) {
      const int status = status_of_failure(appended.error().kind);
      if (status >= 500) {
        log::warn(kRoom, "write request failed", {{"tenant", tenant.name}, {"error", appended.error()}});
      }
      co_return refusal(request, status, appended.error().message);
    }
    result = std::move(*appended);
  }
  tenant.samples.add(static_cast<double>(result.floats_written + result.histograms_written));
  tenant.exemplars.add(static_cast<double>(result.exemplars_written));
  tenant.metadata.add(static_cast<double>(rows.metadata_received()));
  if (result.floats_written + result.histograms_written > 0) {
    tenant.last_sample.set(static_cast<double>(clock_.now_ms()) / 1000);
  }
  // What the store refused, the store counts.
  for (const auto& reason : rows.rejections().reasons()) discard(reason.name, reason.count);

  const std::optional<Error>& first = rows.rejections().failed() ? rows.rejections().first_error() : result.first_error;
  http::Response response;
  if (!first) {
    response = http::Response::empty(204);
  } else {
    const std::size_t written = result.floats_written + result.histograms_written;
    response = plain_error(status_of_rejections(*first, result, limits),
                           summary(first->message, received - std::min(received, written + rows.relabelled_away()),
                                   received, rows.rejections().reasons(), result.rejected));
    add_retry_after(response, request);
  }
  add_written(response, result.floats_written, result.histograms_written, result.exemplars_written);
  co_return response;
}

}  // namespace tocayo::metrics::api
