// SPDX-License-Identifier: Apache-2.0
// The HTTP surface of logs: Loki's API over the store and the LogQL engine. src/main fills ApiDependencies, makes one
// LogsApi and mounts it. Everything borrowed must outlive the API; the API must outlive the server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/router.h"
#include "logql/engine/engine.h"
#include "logs/api/limits.h"
#include "logs/api/push.h"
#include "logs/store/store.h"

namespace tocayo::logs::api {

struct ApiDependencies {
  Store* store = nullptr;
  const logql::Engine* engine = nullptr;
  Pool* compute = nullptr;
  Pool* queries = nullptr;  // what may take long; null: `compute`
  LimitsLookup limits;
  Registry* registry = &Registry::global();
  const Clock* clock = &Clock::system();
  std::function<std::string()> config_yaml;  // of /config, without secrets
  std::string version = "3.7.6";             // of the Loki whose API this is: clients switch features by it
  std::string tocayo_version = "0.1.0";
  std::string revision;
  std::string build_date;
  PushOptions push;
  // Stands around a push: knows requests that a collector sends again, and hears what it lost. Empty: nothing does.
  std::function<Task<http::Response>(http::Request&, std::move_only_function<Task<http::Response>()> append)> push_door;
  // Whether the one who opened a tail may still read; asked every 2 s. Empty: always.
  std::function<Task<bool>(const http::Request&)> still_allowed;
  std::size_t query_concurrency = 0;  // queries evaluated at once; 0: as many as `queries` has threads
  std::size_t query_queue = 10'000;   // waiting, per tenant
};

class LogsApi {
 public:
  explicit LogsApi(ApiDependencies dependencies);
  ~LogsApi();

  // Adds all routes below /loki/api/v1 and /as/loki, the pushes and OTLP, and Loki's own operations that no peer claims
  // (/config/tenant/v1/limits, /flush).
  void mount(http::Router& router);

  PushHandler& push();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::logs::api
