// SPDX-License-Identifier: Apache-2.0
// Live tail: lines reach everybody who watches for them as soon as they are acknowledged. Watchers of a tenant with the
// same query share one run of its pipeline and one encoded message; a slow one loses lines and is told how many, and
// delays nobody.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/message.h"
#include "http/websocket.h"
#include "logql/engine/engine.h"
#include "logs/api/push.h"
#include "logs/store/store.h"

namespace tocayo::logs::api {

// Owns one thread that sends what has come together. Thread-safe.
class TailHub {
 public:
  struct Options {
    std::chrono::milliseconds flush_every{100};
    std::size_t most_queued = 256 << 10;  // bytes waiting in a watcher's socket; above it lines are dropped for it
    // Whether the one who opened a socket may still read, and how often that is asked. Empty: always.
    std::function<Task<bool>(const http::Request&)> still_allowed;
    std::chrono::milliseconds ask_every{2000};
  };
  TailHub(Store& store, const logql::Engine& engine, Pool& compute, LimitsLookup limits, Registry& registry,
          const Clock& clock, Options options);
  TailHub(Store& store, const logql::Engine& engine, Pool& compute, LimitsLookup limits, Registry& registry,
          const Clock& clock)
      : TailHub(store, engine, compute, std::move(limits), registry, clock, Options{}) {}
  ~TailHub();
  TailHub(const TailHub&) = delete;
  TailHub& operator=(const TailHub&) = delete;

  // GET /loki/api/v1/tail: serves one socket until it closes. A mistake in the parameters closes it with 1011 and says
  // which. A request for several tenants (`a|b`) watches all of them.
  Task<void> serve(http::Request& request, http::WebSocket& socket);

  // That somebody watches.
  std::size_t tenants() const;

 private:
  struct Opener;
  struct Watcher;
  struct Group;
  struct TenantTail;
  void receive(TenantTail& tenant, const TailBatch& batch);
  std::shared_ptr<TenantTail> join(const std::string& name, const std::string& key, std::shared_ptr<Group> group,
                                   Watcher& watcher, std::size_t most);
  void leave(const std::string& name, TenantTail& tenant, const std::string& key, Watcher& watcher);
  void run(std::stop_token stop);
  void flush();
  void ask(const std::shared_ptr<Opener>& opener) const;
  struct Joined;
  Result<std::string> backlog(const http::Request& request, std::span<Joined> joined, TimestampNs start,
                              std::size_t limit);
  Task<void> watch(http::Request& request, std::span<Joined> joined, http::WebSocket& socket, TimestampNs start,
                   std::size_t limit);

  Store& store_;
  const logql::Engine& engine_;
  Pool& compute_;
  LimitsLookup limits_;
  const Clock& clock_;
  Options options_;
  Gauge& watchers_gauge_;
  Counter& dropped_;
  mutable std::mutex mutex_;  // taken before a tenant's
  std::condition_variable_any wake_;
  bool anything_ = false;                         // lines wait for the next flush
  std::vector<std::shared_ptr<Opener>> openers_;  // shared: with a question under way
  std::map<std::string, std::shared_ptr<TenantTail>, std::less<>> tenants_;
  std::jthread thread_;
};

}  // namespace tocayo::logs::api
