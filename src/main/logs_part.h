// SPDX-License-Identifier: Apache-2.0
// The logs half of the program: store, query engine and API, with the tenants' limits that the configuration gives.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/logs/log_agent.h"
#include "core/config.h"
#include "core/pool.h"
#include "db/database.h"
#include "http/router.h"
#include "logql/engine/engine.h"
#include "logs/api/api.h"
#include "logs/api/limits.h"
#include "logs/store/store.h"
#include "main/logs_gate.h"
#include "syslog/receiver.h"

namespace tocayo {

class LogsPart {
 public:
  struct Options {
    std::string data_dir;
    db::Database* database = nullptr;
    Pool* compute = nullptr;
    Pool* queries = nullptr;
    std::uint64_t memory_limit = 0;  // of the process; a query may hold a quarter
    std::string version;
    std::string revision;
    decltype(logs::api::ApiDependencies::push_door) push_door;      // exactly-once and gaps of collectors
    std::function<Task<bool>(const http::Request&)> still_allowed;  // ends the tails of who may not read any more
  };
  // Reads `logs.*` and the overrides file; a mistake in either is an error. Then opens the store on a thread of its
  // own, since replaying its journal takes time: until ready() the API answers 503.
  static Result<std::unique_ptr<LogsPart>> open(const Config& config, Options options);
  ~LogsPart();
  bool ready() const { return gate_.get() != nullptr; }
  // Blocks until the store is open, or tells why it does not open.
  Result<> wait_open();

  void mount(http::Router& router) { api_->mount(router); }
  // Begins to collect the logs of this machine and of the program itself, when `agent.enabled`.
  void start_agent() {
    if (agent_) agent_->start();
  }
  // Takes `logs.*` and the overrides file again; on an error the former limits stay.
  Result<> reload(const Config& config);
  // Writes what is in memory to segments. Nothing may be appended afterwards.
  Result<> close();

  logs::Store& store() { return gate_; }
  const logql::Engine& engine() const { return *engine_; }

 private:
  LogsPart() = default;
  Result<> make_agent(const Config& config);
  void open_store(logs::StoreOptions options);
  void watch_overrides(std::stop_token stop);

  Options options_;
  std::mutex mutex_;  // of base_ and overrides_
  logs::api::LogLimits base_;
  std::string overrides_file_;
  std::string overrides_text_;
  std::unique_ptr<logs::api::LogLimitsService> limits_;
  std::unique_ptr<logql::Engine> engine_;
  LogsGate gate_;
  Result<> opened_;  // guarded by open_mutex_, as the next
  bool open_ended_ = false;
  std::mutex open_mutex_;
  std::condition_variable open_changed_;
  std::unique_ptr<logs::api::LogsApi> api_;
  std::unique_ptr<agent::LogAgent> agent_;
  std::unique_ptr<syslog::Receiver> syslog_;
  std::condition_variable_any stopping_;
  std::jthread watcher_;
  std::jthread opener_;
};

}  // namespace tocayo
