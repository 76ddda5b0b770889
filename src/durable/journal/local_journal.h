// SPDX-License-Identifier: Apache-2.0
// The journal on local files: directory `<dir>/<partition>/` of segment files `<first position, 20 digits>.seg`
// (docs/formats/journal.md). One writer thread per partition commits in groups.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "journal/journal.h"

namespace tocayo::journal {

enum class SyncMode : unsigned char {
  batch,     // acknowledged after fdatasync; requests that wait together share one
  interval,  // acknowledged after write(); fdatasync every `interval`
  off,       // acknowledged after write(); the kernel decides when
};
// "batch", "interval", "off"; bad_input otherwise.
Result<SyncMode> parse_sync_mode(std::string_view text);

// Lets tests make the disk fail. Called on the writing thread with nothing locked that the hook could need.
class Faults {
 public:
  virtual ~Faults() = default;
  // errno to fail with, or 0. May shorten `size`: so many bytes are written, then the write fails with the errno.
  virtual int on_write(std::uint64_t& size) = 0;
  virtual int on_sync() = 0;
};

struct LocalOptions {
  std::string dir;
  SyncMode mode = SyncMode::batch;
  std::chrono::milliseconds batch_delay{2};  // how long a group may gather before its fdatasync; at most 20 ms
  std::chrono::milliseconds interval{1000};
  std::uint64_t segment_size = 64ULL << 20;
  Faults* faults = nullptr;  // borrowed, outlives the journal
};

// Opening a partition cuts off a torn tail (logged). A failed fdatasync makes the partition read-only until it is
// opened again: what the kernel dropped cannot be known. A failed write (disk full) fails the records at hand; the next
// append tries again.
Result<std::unique_ptr<Journal>> open_local_journal(LocalOptions options);

}  // namespace tocayo::journal
