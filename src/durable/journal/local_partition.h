// SPDX-License-Identifier: Apache-2.0
// One partition on local files. Internal to the room: callers hold a journal::Partition.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/registry.h"
#include "journal/local_journal.h"

namespace tocayo::journal {

// State machine: open → (healthy ⇄ no space) → read-only. In batch mode a writer thread owns the file; in the other
// modes the appending thread writes under the lock and the thread only syncs.
class LocalPartition final : public Partition {
 public:
  static Result<std::unique_ptr<Partition>> open(const LocalOptions& options, std::string dir);
  ~LocalPartition() override;

  Result<Position> append(std::uint8_t kind, std::string_view payload, Acknowledge acknowledge) override;
  Result<> sync() override;
  Result<ReadStats> read(Position from, const std::function<Result<>(const Record&)>& visit) override;
  Result<> trim(Position up_to) override;
  Position first() const override;
  Position next() const override;
  std::uint64_t bytes() const override;
  Result<> health() const override;

 private:
  LocalPartition(const LocalOptions& options, std::string dir);
  Result<> load();
  Result<> cut_torn_tail(const std::string& path, Position first);
  Result<> start_segment(Position first);        // file lock held
  Result<> write_bytes(std::string_view bytes);  // file lock held; appends to the current segment, all or nothing
  Result<> sync_file();                          // file lock held
  void run(std::stop_token stop);
  void commit(std::unique_lock<std::mutex>& lock);
  void fail_pending(std::unique_lock<std::mutex>& lock, std::vector<Acknowledge> group, const Error& error);
  std::string segment_path(Position first) const;

  struct Metrics {
    tocayo::Histogram& fsync_seconds;
    Counter& bytes;
    Counter& records;
    Counter& corrupt;
  };

  const LocalOptions options_;
  const std::string dir_;
  Metrics metrics_;

  mutable std::mutex mutex_;          // buffer, positions, health
  std::condition_variable_any work_;  // to the writer
  std::condition_variable_any idle_;  // from the writer: a commit has ended
  std::string buffer_;                // frames not yet written
  std::vector<Acknowledge> waiting_;  // theirs
  Position next_ = 0;                 // after the buffer
  Position written_ = 0;              // end of what is in the file
  Position synced_ = 0;
  std::uint64_t commits_ = 0;  // finished
  bool committing_ = false;
  Result<> read_only_;  // the failed fsync
  Result<> space_;      // the last failed write, until one succeeds

  mutable std::mutex file_mutex_;  // the files; taken after mutex_ is released, or before it, never while it is held
  std::map<Position, std::uint64_t> segments_;  // first position → payload bytes
  int fd_ = -1;
  std::uint64_t segment_bytes_ = 0;  // of the current segment, with header

  std::jthread writer_;  // last member: stops first
};

}  // namespace tocayo::journal
