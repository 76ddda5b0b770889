// SPDX-License-Identifier: Apache-2.0
// The journal: what arrived, in order. A journal is a set of partitions; each is an ordered, durable sequence of opaque
// records that one store shard owns. Local implementation: local_journal.h. The interface asks for nothing that a Kafka
// topic cannot give (append with acknowledgement, ordered read from a position, trim of the oldest), so callers need
// not know which one they hold.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/task.h"

namespace tocayo::journal {

// Place of a record in its partition; grows with every record, gaps are allowed. Local: byte offset. Kafka: offset.
using Position = std::uint64_t;

struct Record {
  Position position = 0;
  std::uint8_t kind = 0;     // the owner's; the journal does not look at it
  std::string_view payload;  // valid during the visit only
};

struct ReadStats {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t corrupt = 0;  // damaged stretches that were skipped
  Position end = 0;           // where reading ended: position of the next record
};

// Thread-safe, except that read() must not run concurrently with trim().
class Partition {
 public:
  // Gets ok when the record is as durable as the mode promises, else `unavailable`. Runs exactly once, in append order,
  // on the thread that made the records durable (or inside append()); must be short. It may append, but not sync, read
  // or trim.
  using Acknowledge = std::move_only_function<void(Result<>)>;

  virtual ~Partition() = default;

  // Copies the record and returns its position. An error (read-only after a failed fsync, no space, record too large)
  // means that nothing was recorded, and `acknowledge` is not called.
  virtual Result<Position> append(std::uint8_t kind, std::string_view payload, Acknowledge acknowledge) = 0;
  // The same as one coroutine step; resumes on the acknowledging thread.
  Task<Result<Position>> append(std::uint8_t kind, std::string_view payload);

  // Blocks until everything appended before is on stable storage, whatever the mode.
  virtual Result<> sync() = 0;

  // Visits the records from the first one at or after `from` to the end, in order, on the calling thread. A damaged
  // record is skipped, counted and logged. An error of `visit` ends the reading and is returned.
  virtual Result<ReadStats> read(Position from, const std::function<Result<>(const Record&)>& visit) = 0;

  // Allows records before `up_to` to be forgotten (the implementation may keep some of them).
  virtual Result<> trim(Position up_to) = 0;

  virtual Position first() const = 0;       // of the oldest record kept
  virtual Position next() const = 0;        // that the next record will have
  virtual std::uint64_t bytes() const = 0;  // held at present
  // ok, or why appends fail at present.
  virtual Result<> health() const = 0;
};

class Journal {
 public:
  virtual ~Journal() = default;
  // Opens, or creates, partition `index`. Each may be open once at a time.
  virtual Result<std::unique_ptr<Partition>> open_partition(std::uint32_t index) = 0;
};

}  // namespace tocayo::journal
