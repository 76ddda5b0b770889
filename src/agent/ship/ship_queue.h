// SPDX-License-Identifier: Apache-2.0
// One destination: a queue on disk that collectors append to, and the sender that empties it by remote write.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/ship/destination.h"
#include "agent/ship/queue.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/client.h"
#include "metrics/appender.h"

namespace tocayo::agent {

using ShipQueueOptions = QueueOptions;

// Rows are floats, histograms and exemplars.
struct QueueStatus : QueueFacts {
  std::string protocol;  // "1.0", "2.0"
  std::uint64_t pending_rows = 0;
  std::size_t shards = 0;
  bool numbered = false;  // the server answers repeated requests without taking them twice
};

// Life cycle: open (the sender starts and resumes at the cursor), append from any thread, reconfigure, stop. One thread
// of its own, and the journal's. What stop() leaves unsent is sent after the next open().
//
// append() resumes when the rows are in the journal, on the journal's thread. Its result says that they are queued;
// what the server thinks of them is found in the counters. References are never given: series come with labels. An
// error (unavailable) means that none of the batch is queued, and that this is counted as dropped.
//
// Order: the rows of a series reach the server in the order of the appends. A crash may send again what the server had
// acknowledged since the cursor was last written, never skip. It sends the same requests with the same numbers, which a
// Tocayo server recognises (metrics/api/sequence.h): there, every row is taken once.
class ShipQueue : public metrics::Appender {
 public:
  static Result<std::unique_ptr<ShipQueue>> open(ShipQueueOptions options, Destination destination,
                                                 http::Client& client, Registry& registry = Registry::global(),
                                                 Clock& clock = Clock::system());

  // Takes effect for the next append and the next request; nothing queued is touched. The name must be the same.
  virtual void reconfigure(Destination destination) = 0;
  virtual QueueStatus status() const = 0;
  // Sends what is queued for up to `patience`, then ends the thread. Idempotent.
  virtual void stop(std::chrono::milliseconds patience) = 0;
};

// "120" or an HTTP date, as the Retry-After header has it; nothing for anything else. `now` in Unix milliseconds.
std::chrono::milliseconds parse_retry_after(std::string_view text, TimestampMs now);

}  // namespace tocayo::agent
