// SPDX-License-Identifier: Apache-2.0
// `tocayo.live.v1`: one WebSocket per tab; panels move because samples arrive. Subscriptions with the same tenant,
// expression and step share one evaluator, which evaluates only the new steps: cost depends on distinct expressions,
// not on viewers. Frames and control messages: dashboards.md §18, as far as metrics need them (kind `series`).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/fair_gate.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/message.h"
#include "http/websocket.h"
#include "ui/reads.h"

namespace tocayo::ui {

struct LiveDependencies {
  const Reads& reads;
  Pool& compute;  // for what takes no time
  // Waits for the turn of one query of a tenant among all others (metrics::api::MetricsApi::enter) and resumes where
  // queries run.
  std::function<Task<Result<FairGate::Permit>>(std::string tenant, Context context)> enter;
  // Whether the one who opened the socket may still read; asked every 2 s (a revoked token closes it within 5 s).
  // Empty: always.
  std::function<Task<bool>(const http::Request&)> still_allowed;
  Clock& clock = Clock::system();
  std::chrono::milliseconds lateness{120};  // how long after a step its samples are waited for
  std::size_t max_subscriptions = 256;      // of one connection
  std::size_t max_series = 5000;            // of one subscription
  std::size_t max_expressions = 1000;       // of one tenant
  std::size_t max_standing = 16;            // evaluations of one tenant that run or wait: its queue has room for others
};

// Owns one thread that wakes evaluators. Each stands in the queue of its tenant's queries, at most once: steps that are
// over by the time its turn comes are evaluated together, and what found the queue full is tried again a while later.
// Thread-safe.
class LiveHub {
 public:
  explicit LiveHub(LiveDependencies dependencies);
  ~LiveHub();  // stops what is evaluated and says `bye` to everybody
  LiveHub(const LiveHub&) = delete;
  LiveHub& operator=(const LiveHub&) = delete;

  // Serves one socket until it closes, which may be after the hub has gone.
  Task<void> serve(http::Request& request, http::WebSocket& socket);

  struct Connection;
  struct Evaluator;
  struct Subscription;
  struct Sockets;

 private:
  void run(std::stop_token stop);
  void handle(const std::shared_ptr<Connection>& connection, std::string_view text);
  void subscribe(const std::shared_ptr<Connection>& connection, std::uint32_t id, std::string expr, std::int64_t step,
                 TimestampMs from, std::string epoch, std::uint64_t seq);
  void check_access(std::shared_ptr<Connection> connection);
  Context context() const;  // of one evaluation, or of its wait, from now on
  Task<void> take_turn(std::shared_ptr<Evaluator> evaluator);
  void advance(const std::shared_ptr<Evaluator>& evaluator);
  void admit(Evaluator& evaluator, const std::shared_ptr<Subscription>& subscription);
  void evaluate_new_steps(Evaluator& evaluator, TimestampMs end);
  promql::QueryOutcome evaluate(const Evaluator& evaluator, TimestampMs start, TimestampMs end);

  LiveDependencies dependencies_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, std::shared_ptr<Evaluator>> evaluators_;  // key: tenant, step, expression
  const std::shared_ptr<Sockets> sockets_;  // shared: with the sockets that are served, which may outlive the hub
  std::size_t running_ = 0;  // evaluations that run or wait for their turn; the destructor waits for them
  std::map<std::string, std::size_t> standing_;  // the same by tenant
  std::uint64_t changes_ = 0;  // that the thread has to look at: a turn that is over, a new subscription
  std::condition_variable idle_;
  std::stop_source stop_;  // of all evaluations
  Counter& skipped_;
  std::jthread thread_;
};

// Little-endian series frame (exposed for its test). values[s * times + k]; times are t0 + k * step.
std::string encode_series_frame(std::uint32_t sub, std::uint64_t seq, TimestampMs t0, std::int64_t step,
                                std::uint32_t steps, std::span<const std::uint32_t> indices,
                                std::span<const double> values);

}  // namespace tocayo::ui
