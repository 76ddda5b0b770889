// SPDX-License-Identifier: Apache-2.0
// Private to ship: the two halves of a log queue. log_queue.cpp has the side of the appender and the files,
// log_sender.cpp the thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/ship/log_queue.h"
#include "agent/ship/queue_base.h"

namespace tocayo::agent {

using LogEndpoint = QueueEndpoint<LogDestination>;

// The part of a record that belongs to one tenant.
struct LogPart {
  std::uint64_t position = 0;
  std::uint64_t lines = 0, bytes = 0;
  TimestampMs min_time = 0, max_time = 0;
  std::chrono::steady_clock::time_point since{};  // epoch: it was there at the start
};

// Some lines that go into one request.
struct LogRequest {
  std::vector<LogItem> items;
  std::uint64_t lines() const {
    std::uint64_t sum = 0;
    for (const LogItem& item : items) sum += item.weight();
    return sum;
  }
};

struct LogLane : LaneState {
  std::deque<LogPart> parts;  // not wholly settled; the first `loaded` are in `requests`
  std::size_t loaded = 0;
  std::vector<std::unique_ptr<LogRows>> rows;       // of the loaded parts
  std::deque<LogRequest> requests;                  // the front one is under way or next
  std::uint64_t settled = 0;                        // lines of the loaded parts that found their end
  std::deque<std::pair<std::uint64_t, bool>> ends;  // of these, in order: how many, whether they were delivered
  std::string name;                                 // for the server, of this lane and process
};

class LogQueueImpl final : public LogQueue, private QueueBase {
 public:
  LogQueueImpl(LogQueueOptions options, LogDestination destination, http::Client& client, Registry& registry,
               Clock& clock);
  ~LogQueueImpl() override;
  Result<> load();

  Result<> append(std::uint64_t batch, const LogMarks& marks, std::span<const ShipLine> lines) override;
  Result<> check_room(std::size_t bytes) override;
  std::vector<LogBatchMarks> marks_after(std::uint64_t batch) const override;
  void remembered(std::uint64_t batch) override;
  void reconfigure(LogDestination destination) override;
  LogQueueStatus status() const override;
  void stop(std::chrono::milliseconds patience) override { finish(patience); }

 private:
  std::shared_ptr<LogEndpoint> endpoint() const;
  std::uint64_t base_locked() const;  // position of the first record that is not wholly settled
  Result<> save() override;
  bool all_sent() const override { return pending_ == 0; }
  Result<> load_cursor();
  void add_part(const LogRecordHead& head, std::uint64_t position, Steady::time_point since);

  // --- the sender's thread ---
  void run(std::stop_token stop) override;
  bool ready(const LogLane& lane, Steady::time_point now, Steady::time_point& due) const;
  void fill(const std::string& tenant, LogLane& lane);
  void launch(const std::string& tenant, LogLane& lane, std::stop_token stop);
  void handle(const std::string& tenant, LogLane& lane, Reply reply);
  void number_request(LogLane& lane, http::ClientRequest& request);
  void settle(LogLane& lane, bool delivered);
  void retry(LogLane& lane, std::string problem, std::chrono::milliseconds retry_after);
  void refuse(const std::string& tenant, LogLane& lane, int status, const std::string& reason);
  void dead_letter(const std::string& tenant, const LogRequest& request, int status, const std::string& reason);
  void drop_oldest();
  void advance();

  // With the lock.
  std::shared_ptr<LogEndpoint> endpoint_;
  std::map<std::string, LogLane> lanes_;  // by tenant; `parts` with the lock, the rest is the sender's
  std::uint64_t appending_ = UINT64_MAX;  // position that the record being appended will have, at least
  std::deque<std::pair<std::uint64_t, std::uint64_t>> batches_;  // position, batch: not yet remembered
  std::uint64_t changes_ = 0;                                    // counts what may give the sender something to do
  std::deque<std::pair<std::string, Reply>> replies_;

  std::vector<LogBatchMarks> marks_;  // as they were at open()

  // The sender's own.
  std::map<std::string, std::uint64_t> settled_;  // by tenant: behind its last settled part
  std::uint64_t saved_base_ = 0, saved_delivered_ = 0, saved_dropped_ = 0;
  Steady::time_point saved_at_{};
};

}  // namespace tocayo::agent
