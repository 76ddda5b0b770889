// SPDX-License-Identifier: Apache-2.0
// What all connections of one server share. Owned by shared_ptr: a handler that outlives stop() still finds it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/pool.h"
#include "core/registry.h"
#include "http/detail/net.h"
#include "http/detail/route_table.h"
#include "http/server.h"

namespace tocayo::http::detail {

class Connection;
using Steady = std::chrono::steady_clock;

// A share of max_inflight_body_bytes, given back when it dies. grow() is thread-safe against other budgets, not itself.
class BodyBudget {
 public:
  explicit BodyBudget(std::shared_ptr<struct ServerState> state) : state_(std::move(state)) {}
  ~BodyBudget();
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;
  bool grow(std::size_t bytes);
  std::size_t held() const { return held_; }

 private:
  std::shared_ptr<ServerState> state_;
  std::size_t held_ = 0;
};

// One io thread's share of the server; used on that thread only.
struct Worker {
  std::shared_ptr<Loop> loop;
  std::list<std::shared_ptr<Connection>> connections;
  bool draining = false;  // stop() has begun: no keep-alive

  // "Date" field of the current second.
  const std::string& date();

  // Request counters are looked up here before the registry, which takes a lock and builds labels.
  std::unordered_map<std::uint64_t, Counter*> request_counters;

 private:
  std::string date_;
  std::int64_t date_second_ = -1;
};

struct ServerState : std::enable_shared_from_this<ServerState> {
  ServerState(ServerOptions server_options, const Router& server_router, Authenticator& server_authenticator);

  ServerOptions options;
  const Router& router;
  Authenticator& authenticator;
  std::vector<std::unique_ptr<Worker>> workers;
  // Runs on the room's own pool (compression, resuming writers); after stop() on the calling thread.
  void post_work(std::move_only_function<void()> work);
  std::unique_ptr<Pool> pool;  // under `mutex`

  std::atomic<std::size_t> body_bytes{0};
  std::atomic<std::uint64_t> next_request{0};
  std::uint64_t request_seed = 0;

  // Connections and handlers that still run, for stop().
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t connections = 0;
  std::size_t handlers = 0;

  // Metrics. Route ids index `durations`; see label_id().
  Gauge& connections_gauge;
  Gauge& inflight_gauge;
  Gauge& body_bytes_gauge;
  Gauge& websockets_gauge;
  Counter& refused_connections;
  Counter& timeouts_header;
  Counter& timeouts_body;
  Counter& timeouts_write;
  Counter& canceled;
  std::vector<Histogram*> durations;
  std::vector<std::string> route_labels;

  // Labels of requests without a route come after the routes and the fallback.
  std::size_t label_of(const Route* route) const;
  std::size_t label_not_found() const { return route_labels.size() - 2; }
  std::size_t label_invalid() const { return route_labels.size() - 1; }

  void count_request(Worker& worker, std::size_t label, std::string_view method, int code, double seconds);
  std::string new_request_id();
  void handler_started();
  void handler_ended();
};

}  // namespace tocayo::http::detail
