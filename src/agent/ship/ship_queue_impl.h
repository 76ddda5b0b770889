// SPDX-License-Identifier: Apache-2.0
// Private to ship: the queue's two halves. ship_queue.cpp has the side of the appenders and the files, sender.cpp the
// thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "agent/ship/gaps.h"
#include "agent/ship/queue_files.h"
#include "agent/ship/ship_queue.h"
#include "agent/ship/window.h"

namespace tocayo::agent {

// A destination with what is needed to talk to it. Immutable; shared with requests under way, which may outlive a
// reconfiguration.
struct Endpoint {
  Endpoint(Destination d, http::Client& client) : destination(std::move(d)), identity(destination.http, client) {}
  Destination destination;
  HttpIdentity identity;
};

class ShipQueueImpl final : public ShipQueue {
 public:
  ShipQueueImpl(ShipQueueOptions options, Destination destination, http::Client& client, Registry& registry,
                Clock& clock);
  ~ShipQueueImpl() override;
  Result<> load();

  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override;
  void reconfigure(Destination destination) override;
  QueueStatus status() const override;
  void stop(std::chrono::milliseconds patience) override;

 private:
  using Steady = std::chrono::steady_clock;
  using Reply = Result<http::ClientResponse>;

  std::shared_ptr<Endpoint> endpoint() const;
  std::uint64_t pending_bytes() const { return partition_->next() - cursor_position_.load(); }
  void count_dropped(std::string_view reason, std::uint64_t rows, TimestampMs min_time, TimestampMs max_time);
  void log_drops(bool all);
  Result<> save();

  // --- the sender's thread ---
  void run(std::stop_token stop);
  bool wait_for_work(std::stop_token stop);
  Result<Window> read_window(std::size_t max_rows);
  void prepare(Window& window);
  void number(const Lane& lane, std::size_t index, http::ClientRequest& request) const;
  void carry_gaps(Lane& lane, http::ClientRequest& request);
  // False when the queue's name was taken from it and the request must leave once more.
  bool heed_sequence(Lane& lane, const http::ClientResponse& reply);
  void drop_in_window(std::string_view reason, std::uint64_t rows, TimestampMs min_time, TimestampMs max_time);
  // False when stopped before everything was settled.
  bool deliver(Window& window, std::stop_token stop);
  void launch(Window& window, std::size_t lane, std::stop_token stop);
  void handle(Window& window, std::size_t lane, Reply reply);
  void settled(Lane& lane, std::size_t rows);
  void retry(Window& window, Lane& lane, std::string problem, std::chrono::milliseconds retry_after);
  static void halve(Lane& lane);
  void refuse(Lane& lane, int status, const std::string& reason);
  void dead_letter(const Batch& batch, int status, const std::string& reason);
  void drop_window(Window& window);
  void drop_oldest();
  void advance(std::uint64_t position);

  const ShipQueueOptions options_;
  http::Client& client_;
  Registry& registry_;
  Clock& clock_;
  std::string name_;
  std::uint64_t max_disk_ = 0, trim_step_ = 0;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<journal::Partition> partition_;
  DeadLetters dead_letters_;
  GapBook gaps_;

  std::atomic<std::uint64_t> cursor_position_{0};
  std::atomic<std::uint64_t> delivered_{0}, dropped_{0}, retries_{0}, dead_lettered_{0};
  std::atomic<std::int64_t> pending_rows_{0};
  std::atomic<std::int64_t> appending_rows_{0};  // of these, those that are not on the disk yet
  std::atomic<bool> over_budget_{false};
  std::atomic<bool> use_v1_{false};    // the server does not know 2.0
  std::atomic<bool> numbered_{false};  // the server knows the queue's sequence
  std::atomic<std::size_t> shards_{1};
  std::atomic<TimestampMs> last_success_{0}, oldest_pending_{0};

  mutable std::mutex mutex_;  // what follows
  std::condition_variable_any wake_;
  std::shared_ptr<Endpoint> endpoint_;
  std::uint64_t unread_rows_ = 0;  // appended since the last read
  Steady::time_point unread_since_{};
  bool backlog_ = false;   // records that were there before
  bool flushing_ = false;  // stop() wants everything out
  std::deque<std::pair<std::size_t, Reply>> replies_;
  std::string last_error_;
  struct Drop {
    std::uint64_t rows = 0;
    TimestampMs min_time = 0, max_time = 0;
  };
  std::map<std::string, Drop, std::less<>> drops_;  // not yet logged
  Steady::time_point drops_logged_{};

  // The sender's own.
  MetadataTable metadata_;
  std::string queue_id_;
  Plan plan_;
  std::uint64_t window_delivered_ = 0, window_dropped_ = 0;  // not yet behind the cursor
  bool telling_ = false;                                     // a request under way carries gaps
  std::minstd_rand random_;
  bool calm_ = true;  // no retry in the last window
  Steady::time_point complained_{};

  Counter *handed_in_, *delivered_total_, *retries_total_, *dead_total_, *requests_, *bytes_total_;
  tocayo::Histogram* request_seconds_;
  std::jthread thread_;  // last: stops first
};

}  // namespace tocayo::agent
