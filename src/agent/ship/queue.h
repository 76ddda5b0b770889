// SPDX-License-Identifier: Apache-2.0
// What the queues of samples (ship_queue.h) and of log lines (log_queue.h) are told, and tell, alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/time.h"
#include "journal/local_journal.h"

namespace tocayo::agent {

struct QueueOptions {
  std::string dir;  // of this destination; created
  std::string user_agent = "Tocayo";
  std::string host;  // in reports of what was lost
  journal::SyncMode sync = journal::SyncMode::batch;
  std::uint64_t dead_letter_limit = 64ULL << 20;
  journal::Faults* faults = nullptr;  // tests
};

// Counts are of rows: floats, histograms and exemplars, or lines. handed_in = delivered + dropped + pending, over the
// life of the queue.
struct QueueFacts {
  std::string name, url, directory;
  std::uint64_t pending_bytes = 0, max_disk = 0;
  std::uint64_t delivered = 0, dropped = 0;  // since the queue was made
  std::uint64_t handed_in = 0;
  std::uint64_t retries = 0, dead_letters = 0;  // of this process
  std::size_t untold_gaps = 0;                  // drops that the server has not yet recorded
  TimestampMs last_success = 0;                 // 0: none in this process
  TimestampMs oldest_pending = 0;               // of the rows being sent, or the lines waiting; 0: there are none
  std::string last_error;                       // of the last attempt, empty after a success
};

}  // namespace tocayo::agent
