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
#include "agent/ship/queue.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/client.h"

namespace tocayo::agent {

using LogQueueOptions = QueueOptions;

struct LogQueueStatus : QueueFacts {
  std::uint64_t pending_lines = 0;
  std::size_t tenants = 0;  // that have lines waiting
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
