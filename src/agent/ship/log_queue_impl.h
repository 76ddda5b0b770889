// SPDX-License-Identifier: Apache-2.0
// Private to ship: the two halves of a log queue. log_queue.cpp has the side of the appender and the files,
// log_sender.cpp the thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "agent/ship/gaps.h"
#include "agent/ship/log_queue.h"
#include "agent/ship/queue_files.h"

namespace tocayo::agent {

struct LogEndpoint {
  LogEndpoint(LogDestination d, http::Client& client) : destination(std::move(d)), identity(destination.http, client) {}
  LogDestination destination;
  HttpIdentity identity;
};

// The part of a record that belongs to one tenant.
struct LogPart {
  std::uint64_t position = 0;
  std::uint64_t lines = 0, bytes = 0;
  TimestampNs min_time = 0, max_time = 0;
  std::chrono::steady_clock::time_point since{};  // epoch: it was there at the start
};

// Some lines that go into one request.
struct LogRequest {
  std::vector<LogItem> items;
  std::uint64_t lines() const {
    std::uint64_t sum = 0;
    for (const LogItem& item : items) sum += item.count;
    return sum;
  }
};

struct LogLane {
  std::deque<LogPart> parts;  // not wholly settled; the first `loaded` are in `requests`
  std::size_t loaded = 0;
  std::vector<std::unique_ptr<LogRows>> rows;       // of the loaded parts
  std::deque<LogRequest> requests;                  // the front one is under way or next
  std::uint64_t settled = 0;                        // lines of the loaded parts that found their end
  std::deque<std::pair<std::uint64_t, bool>> ends;  // of these, in order: how many, whether they were delivered
  bool in_flight = false;
  unsigned attempts = 0;
  unsigned refused = 0;                // single lines refused since the last success
  std::string name;                    // for the server, of this lane and process
  std::uint64_t offset = 0;            // lines before the front request, in this process
  std::vector<std::string> told_gaps;  // that the request under way carries
  std::chrono::steady_clock::time_point not_before{};
};

class LogQueueImpl final : public LogQueue {
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
  void stop(std::chrono::milliseconds patience) override;

 private:
  using Steady = std::chrono::steady_clock;
  using Reply = Result<http::ClientResponse>;

  std::shared_ptr<LogEndpoint> endpoint() const;
  std::uint64_t pending_bytes() const { return partition_->next() - base_.load(); }
  std::uint64_t base_locked() const;  // position of the first record that is not wholly settled
  void count_dropped(std::string_view reason, std::uint64_t lines, TimestampNs min_time, TimestampNs max_time);
  void log_drops(bool all);
  Result<> save();
  Result<> load_cursor();
  void add_part(const LogRecordHead& head, std::uint64_t position, Steady::time_point since);

  // --- the sender's thread ---
  void run(std::stop_token stop);
  bool ready(const LogLane& lane, Steady::time_point now, Steady::time_point& due) const;
  void fill(const std::string& tenant, LogLane& lane);
  void launch(const std::string& tenant, LogLane& lane, std::stop_token stop);
  void handle(const std::string& tenant, LogLane& lane, Reply reply);
  void number_request(LogLane& lane, http::ClientRequest& request);
  void heed_sequence(LogLane& lane, const http::ClientResponse& reply);
  void settle(LogLane& lane, bool delivered);
  void retry(LogLane& lane, std::string problem, std::chrono::milliseconds retry_after);
  void refuse(const std::string& tenant, LogLane& lane, int status, const std::string& reason);
  void dead_letter(const std::string& tenant, const LogRequest& request, int status, const std::string& reason);
  static void halve(LogLane& lane);
  void drop_oldest();
  void advance(bool now);

  const LogQueueOptions options_;
  http::Client& client_;
  Registry& registry_;
  Clock& clock_;
  const std::string name_;
  std::uint64_t max_disk_ = 0, trim_step_ = 0;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<journal::Partition> partition_;
  DeadLetters dead_letters_;
  GapBook gaps_;

  std::atomic<std::uint64_t> base_{0};
  std::atomic<std::uint64_t> delivered_{0}, dropped_{0}, pending_{0}, retries_{0}, dead_lettered_{0};
  std::atomic<bool> over_budget_{false};
  std::atomic<TimestampMs> last_success_{0};

  mutable std::mutex mutex_;  // what follows
  std::condition_variable_any wake_;
  std::shared_ptr<LogEndpoint> endpoint_;
  std::map<std::string, LogLane> lanes_;  // by tenant; `parts` with the lock, the rest is the sender's
  std::uint64_t appending_ = UINT64_MAX;  // position that the record being appended will have, at least
  std::deque<std::pair<std::uint64_t, std::uint64_t>> batches_;  // position, batch: not yet remembered
  bool flushing_ = false;
  std::uint64_t changes_ = 0;  // counts what may give the sender something to do
  std::deque<std::pair<std::string, Reply>> replies_;
  std::string last_error_;
  struct Drop {
    std::uint64_t lines = 0;
    TimestampNs min_time = 0, max_time = 0;
  };
  std::map<std::string, Drop, std::less<>> drops_;  // not yet logged
  Steady::time_point drops_logged_{};

  std::vector<LogBatchMarks> marks_;  // as they were at open()

  // The sender's own.
  std::map<std::string, std::uint64_t> settled_;  // by tenant: behind its last settled part
  std::uint64_t saved_base_ = 0, saved_delivered_ = 0, saved_dropped_ = 0;
  Steady::time_point saved_at_{}, complained_{};
  bool numbered_ = false;  // the server knows numbered requests
  bool telling_ = false;   // a request with gaps is under way
  std::minstd_rand random_;

  Counter *handed_in_, *delivered_total_, *retries_total_, *dead_total_, *requests_, *bytes_total_;
  tocayo::Histogram* request_seconds_;
  std::jthread thread_;  // last: stops first
};

}  // namespace tocayo::agent
