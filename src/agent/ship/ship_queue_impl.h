// SPDX-License-Identifier: Apache-2.0
// Private to ship: the queue's two halves. ship_queue.cpp has the side of the appenders and the files, sender.cpp the
// thread.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "agent/ship/queue_base.h"
#include "agent/ship/ship_queue.h"
#include "agent/ship/window.h"

namespace tocayo::agent {

using Endpoint = QueueEndpoint<Destination>;

class ShipQueueImpl final : public ShipQueue, private QueueBase {
 public:
  ShipQueueImpl(ShipQueueOptions options, Destination destination, http::Client& client, Registry& registry,
                Clock& clock);
  ~ShipQueueImpl() override;
  Result<> load();

  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override;
  void reconfigure(Destination destination) override;
  QueueStatus status() const override;
  void stop(std::chrono::milliseconds patience) override { finish(patience); }

 private:
  std::shared_ptr<Endpoint> endpoint() const;
  Result<> save() override;
  bool all_sent() const override { return base_ >= partition_->next(); }

  // --- the sender's thread ---
  void run(std::stop_token stop) override;
  bool wait_for_work(std::stop_token stop);
  Result<Window> read_window(std::size_t max_rows);
  void prepare(Window& window);
  void number(const Lane& lane, std::size_t index, http::ClientRequest& request) const;
  // False when the queue's name was taken from it and the request must leave once more.
  bool heed_sequence(Lane& lane, const http::ClientResponse& reply);
  void drop_in_window(std::string_view reason, const Drop& drop, bool queued);
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

  std::atomic<std::int64_t> appending_{0};  // pending rows that are not on the disk yet
  std::atomic<bool> use_v1_{false};         // the server does not know 2.0
  std::atomic<std::size_t> shards_{1};
  std::atomic<TimestampMs> oldest_pending_{0};

  // With the lock.
  std::shared_ptr<Endpoint> endpoint_;
  std::uint64_t unread_rows_ = 0;  // appended since the last read
  Steady::time_point unread_since_{};
  bool backlog_ = false;  // records that were there before
  std::deque<std::pair<std::size_t, Reply>> replies_;

  // The sender's own.
  MetadataTable metadata_;
  std::string queue_id_;
  Plan plan_;
  std::uint64_t window_delivered_ = 0, window_dropped_ = 0;  // not yet behind the cursor
  bool calm_ = true;                                         // no retry in the last window
};

}  // namespace tocayo::agent
