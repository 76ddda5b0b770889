// SPDX-License-Identifier: Apache-2.0
#include "main/agent_receivers.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <mutex>

#include "agent/logs/log_inbox.h"
#include "core/log.h"
#include "core/text.h"
#include "http/server.h"
#include "logs/api/otlp.h"
#include "logs/api/push.h"
#include "main/refusals.h"
#include "syslog/receiver.h"
#include "tenancy/tenant_id.h"

namespace tocayo {
namespace {

// On the wire and unpacked. Senders of Loki's and of OpenTelemetry make batches of some MiB at most.
constexpr std::size_t kMaxBody = 16 << 20;
constexpr std::size_t kMaxInflight = 128 << 20;  // four times the bodies being worked on
constexpr int kRetryAfter = 5;                   // seconds

using agent::PushSettings;

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::limit: return 429;
    case ErrorKind::too_large: return 413;
    case ErrorKind::timeout:
    case ErrorKind::canceled:
    case ErrorKind::unavailable: return 503;
    case ErrorKind::internal: return 500;
    case ErrorKind::forbidden: return 403;
    default: return 400;
  }
}

http::Response plain(const Error& error) {
  auto response = http::Response::text(status_of(error.kind), error.message + "\n");
  if (response.status == 429 || response.status == 503)
    response.headers.set("Retry-After", std::to_string(kRetryAfter));
  return response;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_text(std::string& out, char tag, std::string_view text) {
  out.push_back(tag);
  put_varint(out, text.size());
  out += text;
}

bool is_json(const http::Request& request) {
  return to_lower(request.headers.get("Content-Type")).find("json") != std::string::npos;
}

// ExportLogsServiceResponse.
http::Response otlp_done(const logs::AppendResult& result, bool json) {
  std::size_t rejected = 0;
  for (const auto& reason : result.rejected) rejected += reason.lines;
  const std::string message = fmt::format("{}", fmt::join(result.messages, "\n"));
  if (json) {
    boost::json::object body;
    if (rejected > 0) {
      body["partialSuccess"] =
          boost::json::object{{"rejectedLogRecords", std::to_string(rejected)}, {"errorMessage", message}};
    }
    return http::Response::json(200, boost::json::serialize(body));
  }
  std::string body;
  if (rejected > 0) {
    std::string part("\x08", 1);
    put_varint(part, rejected);
    put_text(part, '\x12', message);
    put_text(body, '\x0a', part);
  }
  return http::Response::text(200, std::move(body), "application/x-protobuf");
}

// What comes from a web page is refused: nobody reaches the port of a machine through its browser.
class NoPages final : public http::Authenticator {
 public:
  Task<Result<>> authenticate(http::Request& request, const http::RouteOptions& options) override {
    if (options.access != http::Access::open && request.headers.has("Origin"))
      co_return fail(ErrorKind::forbidden, "not from a web page");
    request.identity.role = http::Role::editor;
    co_return Result<>();
  }
};

}  // namespace

// What a job does with requests.
struct AgentReceivers::Target {
  Target(const agent::LogJob& job, Pool& compute)
      : name(job.name),
        fingerprint(job.fingerprint),
        inbox(std::make_shared<agent::LogInbox>(job.name, *job.push, job.relabel)),
        limits([] {
          // The server makes up service names and finds levels; here labels are as they came.
          auto none = std::make_shared<logs::api::LogLimits>();
          none->discover_service_name.clear();
          none->discover_log_levels = false;
          return none;
        }()),
        push(
            *inbox, compute, [this](std::string_view) { return limits; }, registry,
            {.max_body = kMaxBody, .max_inflight = kMaxInflight, .streams_remembered = 20'000, .spilled = {}},
            Clock::system()) {}

  // The tenant that the lines are shipped under: "" is the destination's.
  Result<std::string> tenant_of(const http::Request& request) const {
    if (!inbox->settings().keep_tenant) return std::string();
    const auto asked = request.headers.get("X-Scope-OrgID");
    if (asked.empty()) return std::string();
    auto tenants = TRY(tenancy::parse_tenant_ids(asked));
    if (tenants.size() > 1) return fail(ErrorKind::bad_input, "multiple org IDs present");
    return std::move(tenants.front());
  }

  std::string name;
  std::uint64_t fingerprint;
  std::shared_ptr<agent::LogInbox> inbox;  // shared with the collector
  Registry registry;                       // what the decoder counts is the server's, and means nothing here
  std::shared_ptr<const logs::api::LogLimits> limits;
  logs::api::PushHandler push;
};

class AgentReceivers::Listener {
 public:
  static Result<std::unique_ptr<Listener>> open(const PushSettings& settings, std::shared_ptr<Target> target) {
    std::unique_ptr<Listener> made(new Listener(settings, std::move(target)));
    if (settings.protocol == PushSettings::Protocol::syslog) {
      made->receiver_ = TRY(syslog::Receiver::start({syslog_config(settings)}, made->target_->push));
      log::info("agent", "listening for syslog", {{"job", made->target()->name}, {"address", settings.address()}});
      return made;
    }
    http::ServerOptions options;
    options.listen = settings.listen;
    options.base_path = settings.base_path;
    options.tls_certificate_file = settings.tls_certificate_file;
    options.tls_key_file = settings.tls_key_file;
    options.max_connections = settings.max_connections;
    options.body_timeout = settings.read_timeout;
    options.write_timeout = settings.write_timeout;
    options.idle_timeout = settings.idle_timeout;
    options.max_inflight_body_bytes = 4 * kMaxBody;
    options.work_threads = 1;
    made->server_ = TRY(http::Server::start(std::move(options), made->router_, made->door_));
    log::info("agent", "listening for log lines",
              {{"job", made->target()->name}, {"address", made->server_->address()}});
    return made;
  }

  // Whether the target needs no other socket.
  bool fits(const std::shared_ptr<Target>& target) const {
    const auto& other = target->inbox->settings();
    if (receiver_ || other.protocol == PushSettings::Protocol::syslog) return target == this->target();
    const auto same = [](const PushSettings& a, const PushSettings& b) {
      return std::tie(a.protocol, a.base_path, a.tls_certificate_file, a.tls_key_file, a.max_connections,
                      a.read_timeout, a.write_timeout,
                      a.idle_timeout) == std::tie(b.protocol, b.base_path, b.tls_certificate_file, b.tls_key_file,
                                                  b.max_connections, b.read_timeout, b.write_timeout, b.idle_timeout);
    };
    return same(settings_, other);
  }
  void set(std::shared_ptr<Target> target) {
    std::lock_guard lock(mutex_);
    target_ = std::move(target);
  }
  void stop(std::chrono::milliseconds grace) {
    receiver_.reset();  // stores what it has
    if (server_) server_->stop(grace);
  }

 private:
  Listener(const PushSettings& settings, std::shared_ptr<Target> target)
      : settings_(settings), target_(std::move(target)) {
    if (settings.protocol == PushSettings::Protocol::syslog) return;
    http::RouteOptions write;
    write.access = http::Access::write;
    write.csrf_exempt = true;
    write.max_body = kMaxBody;
    http::RouteOptions raw = write;
    raw.raw_body = true;
    const http::RouteOptions open{.access = http::Access::open};
    const auto ready = [](http::Request&) -> Task<http::Response> { co_return http::Response::text(200, "ready"); };
    router_.add("GET", "/ready", ready, open);
    if (settings.protocol == PushSettings::Protocol::otlp) {
      router_.set_refusals("", otlp_refusal);
      write.metric_name = "otlp_v1_logs";
      for (const char* path : {"/v1/logs", "/otlp/v1/logs"})
        router_.add("POST", path, [this](http::Request& request) { return take_otlp(request); }, write);
      for (const char* path : {"/v1/metrics", "/v1/traces"}) {
        router_.add(
            "POST", path,
            [](http::Request& request) -> Task<http::Response> {
              co_return otlp_status(501, "the collector takes OpenTelemetry logs only; send metrics to the server",
                                    is_json(request));
            },
            write);
      }
      return;
    }
    router_.set_refusals("", loki_refusal);
    router_.add("GET", "/loki/ready", ready, open);
    raw.metric_name = "loki_api_v1_push";
    for (const char* path : {"/loki/api/v1/push", "/promtail/api/v1/push", "/api/v1/push"})
      router_.add("POST", path, [this](http::Request& request) { return take_push(request); }, raw);
    write.metric_name = "promtail_api_v1_raw";
    for (const char* path : {"/promtail/api/v1/raw", "/loki/api/v1/raw", "/api/v1/raw"})
      router_.add("POST", path, [this](http::Request& request) { return take_text(request); }, write);
  }

  static syslog::ListenerConfig syslog_config(const PushSettings& settings) {
    syslog::ListenerConfig config;
    config.tcp = settings.syslog.tcp;
    const auto colon = settings.listen.rfind(':');
    config.host = settings.listen.substr(0, colon);
    if (config.host.starts_with('[') && config.host.ends_with(']'))
      config.host = config.host.substr(1, config.host.size() - 2);
    config.port = static_cast<std::uint16_t>(std::stoi(settings.listen.substr(colon + 1)));
    config.tls = {.cert_file = settings.tls_certificate_file,
                  .key_file = settings.tls_key_file,
                  .client_ca_file = settings.syslog.client_ca_file};
    config.tenant.clear();
    config.names = syslog::FieldNames::promtail;
    config.label_data = settings.syslog.label_data;
    config.keep_time = settings.keep_time;
    config.whole_message = settings.syslog.whole_message;
    config.format = settings.syslog.rfc3164 ? syslog::Format::rfc3164 : syslog::Format::any;
    config.idle_timeout = settings.idle_timeout;
    config.max_message = settings.syslog.max_message;
    return config;
  }

  std::shared_ptr<Target> target() const {
    std::lock_guard lock(mutex_);
    return target_;
  }

  Task<http::Response> take_push(http::Request& request) {
    const auto target = this->target();
    auto tenant = target->tenant_of(request);
    if (!tenant) co_return plain(tenant.error());
    request.identity.tenant = std::move(*tenant);
    co_return co_await target->push.push(request);
  }

  Task<http::Response> take_text(http::Request& request) {
    const auto target = this->target();
    auto tenant = target->tenant_of(request);
    if (!tenant) co_return plain(tenant.error());
    auto done = co_await target->inbox->append_text(*tenant, request.body);
    co_return done ? http::Response::empty(204) : plain(done.error());
  }

  Task<http::Response> take_otlp(http::Request& request) {
    const auto target = this->target();
    const bool json = is_json(request);
    const auto type = to_lower(trim(request.headers.get("Content-Type")));
    if (!json && !type.empty() && type.find("protobuf") == std::string::npos) {
      co_return otlp_status(
          415, fmt::format("Content-Type {} is not supported; use application/x-protobuf or application/json", type),
          json);
    }
    auto tenant = target->tenant_of(request);
    if (!tenant) co_return otlp_status(status_of(tenant.error().kind), tenant.error().message, json);
    const auto now = Clock::system().now_ms() * 1'000'000;
    auto stored = co_await target->push.store(
        *tenant, request.body.size(), [&](logs::api::PushRows& rows, const logs::api::LogLimits& limits) {
          return logs::api::decode_otlp(request.body, json, limits.otlp, now, rows);
        });
    if (stored) co_return otlp_done(stored->result, json);
    co_return otlp_status(status_of(stored.error().kind), stored.error().message, json);
  }

  const PushSettings settings_;
  mutable std::mutex mutex_;
  std::shared_ptr<Target> target_;  // shared with requests under way
  http::Router router_;
  NoPages door_;
  std::unique_ptr<http::Server> server_;        // of HTTP
  std::unique_ptr<syslog::Receiver> receiver_;  // of syslog
};

AgentReceivers::AgentReceivers(Pool& compute) : compute_(compute) {}
AgentReceivers::~AgentReceivers() = default;

Result<> AgentReceivers::prepare(std::vector<agent::LogJob>& jobs) {
  next_.clear();
  opened_.clear();
  for (auto& job : jobs) {
    if (!job.push) continue;
    const std::string address = job.push->address();
    const auto known = targets_.find(address);
    const bool same = known != targets_.end() && known->second->name == job.name &&
                      known->second->fingerprint == job.fingerprint && job.fingerprint != 0;
    auto target = same ? known->second : std::make_shared<Target>(job, compute_);
    job.inbox = target->inbox;
    next_[address] = target;
    if (listeners_.contains(address)) continue;
    auto opened = Listener::open(*job.push, target);
    if (!opened) {
      opened_.clear();
      next_.clear();
      return std::unexpected(std::move(opened.error()).with_context(job.push->place));
    }
    opened_[address] = std::move(*opened);
  }
  return {};
}

Result<> AgentReceivers::commit() {
  std::erase_if(listeners_, [&](auto& entry) {
    if (next_.contains(entry.first)) return false;
    entry.second->stop(std::chrono::seconds(2));
    return true;
  });
  for (auto& [address, listener] : opened_) listeners_[address] = std::move(listener);
  opened_.clear();
  targets_ = std::move(next_);
  next_.clear();
  Result<> result;
  for (auto& [address, target] : targets_) {
    auto& listener = listeners_[address];
    const auto& settings = target->inbox->settings();
    if (listener->fits(target)) {
      listener->set(target);
      continue;
    }
    // The same address, but the socket must be another: it is closed for a moment.
    listener->stop(std::chrono::seconds(2));
    listener.reset();
    auto opened = Listener::open(settings, target);
    if (opened) {
      listener = std::move(*opened);
    } else {
      result = std::unexpected(std::move(opened.error()).with_context(settings.place));
    }
  }
  std::erase_if(listeners_, [](const auto& entry) { return entry.second == nullptr; });
  return result;
}

void AgentReceivers::stop(std::chrono::milliseconds grace) {
  for (auto& [address, listener] : listeners_) listener->stop(grace);
}

}  // namespace tocayo
