// SPDX-License-Identifier: Apache-2.0
// Private to ship: what a queue of samples and one of log lines do alike. The journal and the files beside it, the
// books and their metrics, and what a request carries and leaves behind.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/ship/destination.h"
#include "agent/ship/gaps.h"
#include "agent/ship/queue.h"
#include "agent/ship/queue_files.h"
#include "core/error.h"
#include "core/registry.h"
#include "http/client.h"

namespace tocayo::agent {

// A destination with what is needed to talk to it. Immutable; shared with requests under way, which may outlive a
// reconfiguration.
template <typename To>
struct QueueEndpoint {
  QueueEndpoint(To to, http::Client& client) : destination(std::move(to)), identity(destination.http, client) {}
  To destination;
  HttpIdentity identity;
};

// The requests of a lane, one at a time.
struct LaneState {
  bool in_flight = false;
  unsigned attempts = 0;
  unsigned refused = 0;                // single rows refused since the last success
  std::uint64_t offset = 0;            // rows of the lane before the request that is under way or next
  std::vector<std::string> told_gaps;  // that the request under way carries
  std::chrono::steady_clock::time_point not_before{};
};

// So many single rows of a request refused one after the other, none taken: the rest of the pieces is not taken apart
// further.
inline constexpr unsigned kHopeless = 64;

// Takes the earlier half, by weight, off the items of a request. Their weight must be at least two.
template <typename Item>
std::vector<Item> take_half(std::vector<Item>& items) {
  std::vector<Item> first;
  std::size_t wanted = 0, next = 0;
  for (const Item& item : items) wanted += item.weight();
  for (wanted /= 2; wanted > 0; wanted -= first.back().weight()) {
    first.push_back(items[next].take_front(wanted));
    if (items[next].weight() == 0) ++next;
  }
  items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(next));
  return first;
}

// Rows that are gone.
struct Drop {
  std::uint64_t rows = 0;
  TimestampMs min_time = 0, max_time = 0;
  void add(const Drop& more);
};

// How a queue speaks of itself in its metrics and messages.
struct QueueWords {
  std::string_view signal;          // "metrics"
  std::string_view queue, cursor;   // "queue", "cursor"
  std::string_view rows;            // "rows"
  std::string_view dropped;         // a whole sentence
  std::string_view cannot_deliver;  // another
};

// The derived class opens the files, reads its cursor and starts the thread; its destructor calls finish(), since the
// thread and the requests use its members. Members without a word on threads may be used from any.
class QueueBase {
 protected:
  using Steady = std::chrono::steady_clock;
  using Reply = Result<http::ClientResponse>;

  QueueBase(QueueOptions options, std::string name, const QueueWords& words, http::Client& client, Registry& registry,
            Clock& clock);
  virtual ~QueueBase() = default;
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  // The sender's thread: until it is told to stop.
  virtual void run(std::stop_token stop) = 0;
  // Writes the cursor and the gaps.
  virtual Result<> save() = 0;
  // With the lock.
  virtual bool all_sent() const = 0;

  // The directory, the journal (with a budget, 0: the usual one) and the gaps.
  Result<> open_files(std::uint64_t max_disk);
  // Says what there is to send, and begins.
  void start(const char* thread_name);
  // Sends for up to `patience`, then ends the thread.
  void finish(std::chrono::milliseconds patience);

  std::uint64_t pending_bytes() const { return partition_->next() - base_.load(); }
  // Whether so many bytes more may be queued; an error (unavailable) when not. May ask the sender to drop the oldest.
  Result<> room_for(std::uint64_t bytes, WhenFull when_full);
  // Bytes that stay when the oldest rows are dropped: a tenth becomes free, so that this is not done for every append.
  std::uint64_t kept() const { return max_disk_ - max_disk_ / 10; }
  // `queued`: they counted as pending.
  void count_dropped(std::string_view reason, const Drop& drop, bool queued);
  void log_drops(bool all);
  // Writes the cursor; then the records before `forget` may go.
  void checkpoint(std::uint64_t forget);
  void log_unreadable(const Error& why) const;

  // With the lock: all but the URL.
  void describe(QueueFacts& facts) const;
  void add_gauges(std::vector<Registry::Family>& families, std::uint64_t rows, const QueueFacts& facts) const;
  void add_gauge(std::vector<Registry::Family>& families, std::string name, std::string help, double value) const;

  // --- the sender's thread ---
  http::ClientRequest post(const std::string& url, std::chrono::milliseconds timeout, std::string_view body,
                           std::string content_type) const;
  // Puts `headers` over those that are there. `take` gets the answer on another thread, with the lock.
  void send(std::shared_ptr<HttpIdentity> identity, http::ClientRequest request,
            const std::map<std::string, std::string>& headers, std::stop_token stop, std::function<void(Reply)> take);
  // To a server that knows numbered requests, one request at a time tells what was dropped.
  void carry_gaps(LaneState& lane, http::ClientRequest& request);
  // What an answer with X-Tocayo-Sequence says about those. True when some of them may be done with.
  bool heed_gaps(const LaneState& lane, const http::ClientResponse& reply);
  void note_success(LaneState& lane);
  void note_error(std::string problem);
  // Of a request that is sent again. Returns the most that the lane should wait for it, if the server does not say.
  std::chrono::milliseconds note_retry(LaneState& lane, std::string problem, std::chrono::milliseconds min_backoff,
                                       std::chrono::milliseconds max_backoff);
  // False when this was said in the last minute.
  bool may_complain();
  std::chrono::milliseconds random_time(std::chrono::milliseconds least, std::chrono::milliseconds most);
  void count_dead_letters(std::uint64_t rows, const Result<>& written);

  const QueueOptions options_;
  const std::string name_;
  const QueueWords& words_;
  http::Client& client_;
  Registry& registry_;
  Clock& clock_;
  std::uint64_t max_disk_ = 0, trim_step_ = 0;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<journal::Partition> partition_;
  DeadLetters dead_letters_;
  GapBook gaps_;

  std::atomic<std::uint64_t> base_{0};  // position of the first record that is not wholly settled
  std::atomic<std::uint64_t> delivered_{0}, dropped_{0}, retries_{0}, dead_lettered_{0};
  std::atomic<std::int64_t> pending_{0};
  std::atomic<bool> over_budget_{false};
  std::atomic<bool> numbered_{false};  // the server answers repeated requests without taking them twice
  std::atomic<TimestampMs> last_success_{0};

  mutable std::mutex mutex_;  // what follows
  std::condition_variable_any wake_;
  bool flushing_ = false;  // finish() wants everything out
  std::string last_error_;
  std::map<std::string, Drop, std::less<>> drops_;  // not yet logged
  Steady::time_point drops_logged_{};

  // The sender's own.
  bool telling_ = false;  // a request under way carries gaps
  std::minstd_rand random_;
  Steady::time_point complained_{};

  Counter *handed_in_, *delivered_total_, *retries_total_, *dead_total_, *requests_, *bytes_total_;
  tocayo::Histogram* request_seconds_;
  std::jthread thread_;
};

}  // namespace tocayo::agent
