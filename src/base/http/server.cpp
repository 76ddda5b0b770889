// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <random>

#include "core/log.h"
#include "http/detail/connection.h"
#include "http/detail/server_state.h"
#include "http/detail/text.h"

namespace tocayo::http {
namespace detail {

BodyBudget::~BodyBudget() {
  if (held_ == 0) return;
  state_->body_bytes.fetch_sub(held_, std::memory_order_relaxed);
  state_->body_bytes_gauge.add(-static_cast<double>(held_));
}

bool BodyBudget::grow(std::size_t bytes) {
  auto limit = state_->options.max_inflight_body_bytes;
  auto before = state_->body_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes > limit || before > limit - bytes) {
    state_->body_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  held_ += bytes;
  state_->body_bytes_gauge.add(static_cast<double>(bytes));
  return true;
}

const std::string& Worker::date() {
  auto now = std::time(nullptr);
  if (now != date_second_) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[40];
    date_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    date_second_ = now;
  }
  return date_;
}

namespace {

Registry& registry() { return Registry::global(); }

Counter& timeout_counter(std::string_view phase) {
  return registry().counter("tocayo_http_timeouts_total", "Connections ended because the client was too slow.",
                            {{"phase", std::string(phase)}});
}

// Bounded: anything a client makes up is "other".
constexpr auto kMethods = std::to_array<std::string_view>({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"});

}  // namespace

ServerState::ServerState(ServerOptions server_options, const Router& server_router, Authenticator& server_authenticator)
    : options(std::move(server_options)),
      router(server_router),
      authenticator(server_authenticator),
      connections_gauge(registry().gauge("tocayo_http_connections", "Open client connections, WebSockets included.")),
      inflight_gauge(registry().gauge("tocayo_http_requests_in_flight", "Requests being read, handled or answered.")),
      body_bytes_gauge(registry().gauge("tocayo_http_request_body_bytes", "Memory reserved for request bodies.")),
      websockets_gauge(registry().gauge("tocayo_http_websockets", "Open WebSockets.")),
      refused_connections(
          registry().counter("tocayo_http_refused_connections_total", "Connections refused over the limit.")),
      timeouts_header(timeout_counter("header")),
      timeouts_body(timeout_counter("body")),
      timeouts_write(timeout_counter("write")),
      canceled(registry().counter("tocayo_http_canceled_total",
                                  "Requests whose client went away while they were handled.")) {
  for (const auto& route : router.impl().routes) route_labels.push_back(route->options.metric_name);
  route_labels.push_back(router.impl().fallback ? router.impl().fallback->options.metric_name : "fallback");
  route_labels.push_back("not_found");
  route_labels.push_back("invalid");
  for (const auto& label : route_labels) {
    durations.push_back(&registry().histogram(
        "tocayo_http_request_duration_seconds",
        "From the end of the request's header to the last byte handed to the kernel.", {{"route", label}}));
  }
  request_seed = (static_cast<std::uint64_t>(std::random_device{}()) << 32U) | std::random_device{}();
}

std::size_t ServerState::label_of(const Route* route) const {
  return route == router.impl().fallback.get() ? route_labels.size() - 3 : route->id;
}

void ServerState::count_request(Worker& worker, std::size_t label, std::string_view method, int code, double seconds) {
  durations[label]->observe(seconds);
  auto known = std::ranges::find(kMethods, method);
  auto index = static_cast<std::uint64_t>(known - kMethods.begin());
  auto& counter = worker.request_counters[(static_cast<std::uint64_t>(label) << 32U) | (index << 16U) |
                                          static_cast<std::uint16_t>(code)];
  if (counter == nullptr) {
    counter =
        &registry().counter("tocayo_http_requests_total", "Answered requests; 499: the client left before the answer.",
                            {{"route", route_labels[label]},
                             {"method", std::string(known == kMethods.end() ? "other" : *known)},
                             {"code", std::to_string(code)}});
  }
  counter->add();
}

// Unique, not secret: a scrambled counter (splitmix64's finaliser).
std::string ServerState::new_request_id() {
  std::uint64_t x = request_seed + next_request.fetch_add(1, std::memory_order_relaxed) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  x ^= x >> 31U;
  std::string id(16, '0');
  for (auto& c : id) {
    c = "0123456789abcdef"[x & 15U];
    x >>= 4U;
  }
  return id;
}

void ServerState::handler_started() {
  std::lock_guard lock(mutex);
  ++handlers;
}

void ServerState::handler_ended() {
  std::lock_guard lock(mutex);
  if (--handlers == 0) changed.notify_all();
}

void ServerState::post_work(std::move_only_function<void()> job) {
  {
    std::lock_guard lock(mutex);
    if (pool) return pool->post(std::move(job));
  }
  job();
}

namespace {

// Written without a Connection behind it: that is what is over the limit.
std::string busy_answer() {
  auto body = error_body("unavailable", "too many connections; try again later");
  return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(std::shared_ptr<ServerState> state) : state_(std::move(state)) {}
  ~ServerImpl() override { stop(std::chrono::milliseconds(0)); }

  Result<> open() {
    auto& options = state_->options;
    if (!options.tls_certificate_file.empty()) {
      if (auto loaded = reload_tls(); !loaded) return loaded;
    }
    state_->pool = std::make_unique<Pool>("http-work", std::max<std::size_t>(1, options.work_threads));
    auto threads = std::max<std::size_t>(1, options.io_threads);
    for (std::size_t i = 0; i < threads; ++i) {
      auto worker = std::make_unique<Worker>();
      worker->loop = Loop::create("http-io-" + std::to_string(i));
      by_loop_.emplace_back(worker->loop.get(), worker.get());
      state_->workers.push_back(std::move(worker));
    }
    auto listener = Listener::open(options.listen, state_->workers[0]->loop);
    if (!listener) return std::unexpected(std::move(listener.error()));
    listener_ = std::move(*listener);

    auto shortest =
        std::min({options.header_timeout, options.body_timeout, options.idle_timeout, options.write_timeout});
    auto interval = std::clamp(shortest / 8, std::chrono::milliseconds(10), std::chrono::milliseconds(500));
    for (auto& worker : state_->workers) {
      worker->loop->every(interval, [w = worker.get()] {
        auto now = Steady::now();
        for (auto i = w->connections.begin(); i != w->connections.end();) {
          auto connection = *i++;  // may leave the list
          connection->sweep(now);
        }
      });
    }
    listener_->start(
        {.choose = [this]() -> Loop& { return *state_->workers[next_worker_++ % state_->workers.size()]->loop; },
         .tls =
             [this] {
               std::lock_guard lock(state_->mutex);
               return tls_;
             },
         .accepted = [this](Loop& loop,
                            std::unique_ptr<Transport> transport) { accepted(loop, std::move(transport)); }});
    return {};
  }

  std::string address() const override { return listener_->address(); }
  std::uint16_t port() const override { return listener_->port(); }

  Result<> reload_tls() override {
    const auto& options = state_->options;
    if (options.tls_certificate_file.empty()) return {};
    auto loaded = load_tls(options.tls_certificate_file, options.tls_key_file);
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    std::lock_guard lock(state_->mutex);
    tls_ = std::move(*loaded);
    return {};
  }

  void stop(std::chrono::milliseconds grace) override {
    if (std::exchange(stopped_, true)) return;
    if (listener_) state_->workers[0]->loop->post([this] { listener_->close(); });
    each_connection([](Worker& worker) { worker.draining = true; }, [](Connection& c) { c.drain(); });
    wait_for(grace, [this] { return state_->connections == 0 && state_->handlers == 0; });
    each_connection([](Worker&) {}, [](Connection& c) { c.die(true); });
    if (!wait_for(std::chrono::seconds(10), [this] { return state_->connections == 0 && state_->handlers == 0; })) {
      log::error("http", "requests that ignore their cancellation are left behind", {});
    }
    for (auto& worker : state_->workers) worker->loop->stop();
    listener_.reset();
    std::unique_ptr<Pool> pool;
    {
      std::lock_guard lock(state_->mutex);
      pool = std::move(state_->pool);
    }
  }

 private:
  void accepted(Loop& loop, std::unique_ptr<Transport> transport) {
    auto& worker = *std::ranges::find(by_loop_, &loop, &std::pair<Loop*, Worker*>::first)->second;
    bool full = false;
    {
      std::lock_guard lock(state_->mutex);
      full = state_->connections >= state_->options.max_connections;
      if (!full) ++state_->connections;
    }
    if (full) {
      state_->refused_connections.add();
      if (transport->tls()) return transport->close(false);
      static const std::string kAnswer = busy_answer();
      auto shared = std::shared_ptr<Transport>(std::move(transport));
      shared->write(std::array{std::string_view(kAnswer)}, [shared](Io, std::size_t) { shared->close(false); });
      return;
    }
    state_->connections_gauge.add(1);
    if (worker.draining) {
      state_->connections_gauge.add(-1);
      std::lock_guard lock(state_->mutex);
      --state_->connections;
      return;
    }
    std::make_shared<Connection>(state_, worker, std::move(transport))->start();
  }

  template <typename First, typename Each>
  void each_connection(First first, Each each) {
    for (auto& worker : state_->workers) {
      worker->loop->post([w = worker.get(), first, each] {
        first(*w);
        for (auto i = w->connections.begin(); i != w->connections.end();) {
          auto connection = *i++;
          each(*connection);
        }
      });
    }
  }

  template <typename Condition>
  bool wait_for(std::chrono::milliseconds limit, Condition condition) {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, limit, condition);
  }

  std::shared_ptr<ServerState> state_;
  std::unique_ptr<Listener> listener_;
  std::shared_ptr<TlsContext> tls_;  // under state_->mutex
  std::vector<std::pair<Loop*, Worker*>> by_loop_;
  std::size_t next_worker_ = 0;
  bool stopped_ = false;
};

}  // namespace
}  // namespace detail

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, const Router& router,
                                              Authenticator& authenticator) {
  auto& base = options.base_path;
  while (base.ends_with('/')) base.pop_back();
  if (!base.empty() && !base.starts_with('/'))
    return fail(ErrorKind::bad_input, "base path '" + base + "' must start with '/'");
  if (options.tls_certificate_file.empty() != options.tls_key_file.empty()) {
    return fail(ErrorKind::bad_input, "TLS needs both a certificate file and a key file");
  }
  auto server = std::make_unique<detail::ServerImpl>(
      std::make_shared<detail::ServerState>(std::move(options), router, authenticator));
  if (auto opened = server->open(); !opened) return std::unexpected(std::move(opened.error()));
  return server;
}

}  // namespace tocayo::http
