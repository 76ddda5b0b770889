// SPDX-License-Identifier: Apache-2.0
// One destination of log lines: a queue on disk, and the sender that empties it by Loki's push API.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/ship/log_destination.h"
#include "agent/ship/log_record.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/client.h"
#include "journal/local_journal.h"

namespace tocayo::agent {

struct LogQueueOptions {
  std::string dir;  // of this destination; created
  std::string user_agent = "Tocayo";
  std::string host;  // in reports of what was lost
  journal::SyncMode sync = journal::SyncMode::batch;
  std::uint64_t dead_letter_limit = 64ULL << 20;
  journal::Faults* faults = nullptr;  // tests
};

// Lines. handed_in = delivered + dropped + pending, over the life of the queue.
struct LogQueueStatus {
  std::string name, url, directory;
  std::uint64_t pending_lines = 0, pending_bytes = 0, max_disk = 0;
  std::uint64_t delivered = 0, dropped = 0;  // since the queue was made
  std::uint64_t handed_in = 0;
  std::uint64_t retries = 0, dead_letters = 0;  // of this process
  std::size_t tenants = 0;                      // that have lines waiting
  std::size_t untold_gaps = 0;                  // drops that the server has not recorded yet
  TimestampMs last_success = 0;                 // 0: none in this process
  TimestampMs oldest_pending = 0;               // of the lines waiting; 0 when there are none
  std::string last_error;                       // of the last attempt, empty after a success
};

// What a batch of the queue's journal says about sources.
struct LogBatchMarks {
  std::uint64_t batch = 0;
  LogMarks marks;
};

// Life cycle: open (the sender starts and resumes), append from one thread, reconfigure, stop. One thread of its own,
// and the journal's. What stop() leaves unsent is sent after the next open().
//
// Each tenant has a lane: one request under way, its own pauses, its own place in the queue. A tenant that the server
// throttles holds up nobody. Lines of a stream arrive in the order of the appends. A crash may send again what the
// server acknowledged in the last quarter of a second: the same lines with the same times, which Loki and Tocayo store
// once. Requests are numbered (metrics/api/sequence.h), so that a Tocayo server takes one that is sent again within the
// life of this process once; what was dropped is told to it.
class LogQueue {
 public:
  static Result<std::unique_ptr<LogQueue>> open(LogQueueOptions options, LogDestination destination,
                                                http::Client& client, Registry& registry = Registry::global(),
                                                Clock& clock = Clock::system());
  virtual ~LogQueue() = default;

  // Blocks until the lines are in the journal, with the marks: both or neither. unavailable: the queue is full
  // (when_full: block) or the disk does not take it; nothing is queued, and nothing is counted as dropped: try again.
  virtual Result<> append(std::uint64_t batch, const LogMarks& marks, std::span<const ShipLine> lines) = 0;
  // What append() would say to a record of at most so many bytes, as far as the budget goes.
  virtual Result<> check_room(std::size_t bytes) = 0;
  // Of the batches after `batch` that the journal still has, in order, as they were at open().
  virtual std::vector<LogBatchMarks> marks_after(std::uint64_t batch) const = 0;
  // Marks up to this batch are remembered elsewhere: records may be forgotten once they are sent.
  virtual void remembered(std::uint64_t batch) = 0;

  // Takes effect for the next request. The name must be the same.
  virtual void reconfigure(LogDestination destination) = 0;
  virtual LogQueueStatus status() const = 0;
  // Sends what is queued for up to `patience`, then ends the thread. Idempotent.
  virtual void stop(std::chrono::milliseconds patience) = 0;
};

}  // namespace tocayo::agent
