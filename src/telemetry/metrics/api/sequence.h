// SPDX-License-Identifier: Apache-2.0
// Exactly-once between a Tocayo collector and a Tocayo server. A collector numbers its requests; the server remembers,
// for each of the collector's queues, how far it has acknowledged, and answers a repeated request without appending it
// again. What the collector had to drop is told along the way.
//
//   X-Tocayo-Sequence: queue=<32 hex>; window=<n>; nonce=<16 hex>; lane=<n>; begin=<n>; end=<n>
//
// A queue sends its records in windows, one after the other, each with a nonce of its own. The rows of a window are
// dealt to lanes; a lane has one request under way, and [begin, end) are its rows in that lane. The answer's header
// says what happened: `ok` (appended, acknowledged now), `repeated` (204, acknowledged before), `busy` (503, the same
// lane is being appended this moment), `behind` (409: the window is older than one already seen, or the same number
// with another nonce. The collector was put back to an older state and must take a new queue name), `partly` (409: the
// first rows were acknowledged in a smaller request; to be sent again in smaller pieces), `refused` (with the append's
// own status; not acknowledged).
//
//   X-Tocayo-Gap: id=<hex>; signal=metrics; reason=queue_full; rows=<n>; from=<ms>; to=<ms>; host=<name>
//
// Any number of them; recorded before the answer, which says how many in X-Tocayo-Gaps-Recorded. The id makes a
// repeated report the same gap.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>

#include "core/error.h"
#include "core/registry.h"
#include "core/task.h"
#include "core/time.h"
#include "http/message.h"

namespace tocayo::metrics::api {

struct BatchSequence {
  std::string queue;  // 32 lower-case hex digits
  std::uint64_t window = 0, nonce = 0;
  std::uint32_t lane = 0;
  std::uint64_t begin = 0, end = 0;
};
// bad_input names the field that is wrong.
Result<BatchSequence> parse_sequence(std::string_view header);

// What a collector lost: rows with times in [from, to].
struct CollectorGap {
  std::string id, signal, reason, host, queue;
  std::uint64_t rows = 0;
  TimestampMs from = 0, to = 0;
};
Result<CollectorGap> parse_gap(std::string_view header);

// The memory, kept in a file. Thread-safe. An acknowledgement is with the kernel before end() returns, so that the
// death of this process forgets none; it is on stable storage within a second. What a power cut forgets in that second
// is appended again when it is repeated, which the store takes for the same samples.
//
// File: lines "s1 <tenant> <queue> <window> <nonce> <lane> <end> <unix seconds> <crc32c>", later ones win; a damaged
// line is skipped. Rewritten when most lines are superseded. A queue that has not sent for 30 days is forgotten.
class SequenceLog {
 public:
  // Creates the file. Errors: the file cannot be opened.
  static Result<std::unique_ptr<SequenceLog>> open(std::string path, const Clock& clock = Clock::system(),
                                                   Registry& registry = Registry::global());
  ~SequenceLog();

  enum class Verdict : unsigned char { fresh, repeated, partly, busy, behind };
  // fresh: the caller appends and must call end(), once.
  Verdict begin(std::string_view tenant, const BatchSequence& batch);
  void end(std::string_view tenant, const BatchSequence& batch, bool acknowledged);

  std::size_t queue_count() const;

 private:
  struct Queue {
    std::uint64_t window = 0, nonce = 0;
    std::map<std::uint32_t, std::uint64_t> lanes;  // acknowledged up to
    std::set<std::uint32_t> under_way;
    std::int64_t used = 0;  // Unix seconds
  };
  using Key = std::pair<std::string, std::string>;  // tenant, queue

  SequenceLog(std::string path, const Clock& clock, Registry& registry);
  Result<> load();
  void apply(std::string_view line);
  void write(std::string_view line);
  Result<> rewrite();
  void forget_old();
  void run(std::stop_token stop);

  const std::string path_;
  const Clock& clock_;
  Counter& repeated_;
  Counter& behind_;
  Gauge& queues_gauge_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<Key, Queue> queues_;
  int fd_ = -1;
  std::size_t file_lines_ = 0, live_lines_ = 0;
  bool dirty_ = false, torn_ = false;
  std::chrono::steady_clock::time_point complained_{};
  std::jthread thread_;  // last: stops first
};

// Tells whoever keeps the record of events. An error leaves the gap with the collector, which tells it again.
using GapRecorder = std::function<Task<Result<>>(std::string tenant, CollectorGap gap)>;

// Wraps the handler of a write route. Requests without the header pass untouched. Thread-safe; borrows what it is
// given.
class SequenceDoor {
 public:
  SequenceDoor(SequenceLog* log, GapRecorder record_gap) : log_(log), record_gap_(std::move(record_gap)) {}
  // `next` appends and answers; 2xx means that all of the request is durable.
  Task<http::Response> pass(http::Request& request, std::move_only_function<Task<http::Response>()> next);

 private:
  Task<std::size_t> record_gaps(const http::Request& request, const std::string& queue);

  SequenceLog* log_;  // null: requests pass, and are told nothing
  GapRecorder record_gap_;
};

}  // namespace tocayo::metrics::api
