// SPDX-License-Identifier: Apache-2.0
// What can be done to the files of a log store that no process has open: `tocayo logs verify|rebuild-catalogue|repair|
// dump`. All of it runs on the calling thread and may take as long as reading the files does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "db/database.h"
#include "logs/segment.h"

namespace tocayo::logs {

// A row group that cannot be read.
struct DamagedGroup {
  std::uint32_t group = 0;
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
  std::uint32_t rows = 0;
  std::vector<Labels> streams;  // that have rows in it
  Error error;
};

struct SegmentCheck {
  std::filesystem::path file;
  SegmentInfo info;                   // not with `unreadable`
  std::optional<Error> unreadable;    // the file as a whole
  std::vector<DamagedGroup> damaged;  // in order
  bool good() const { return !unreadable && damaged.empty(); }
};

// Reads every row of the file.
SegmentCheck check_segment(const std::filesystem::path& file);

// Visits all rows that can be read, group after group; returns the groups that could not.
Result<std::vector<DamagedGroup>> read_segment(
    const std::filesystem::path& file, const std::function<Result<>(const Labels& labels, const EntryRow& row)>& visit);

// Finished segment files below the store's directory, sorted.
Result<std::vector<std::filesystem::path>> segment_files(const std::filesystem::path& dir);

struct OfflineStore {
  std::filesystem::path dir;             // of the log store, `<data>/logs`
  db::Database* database = nullptr;      // that holds, or will hold, the catalogue
  std::function<void(std::string)> say;  // what was done, a line each; may be empty
};

struct RebuildReport {
  std::size_t segments = 0;  // in the new catalogue
  std::uint64_t rows = 0;
  std::size_t superseded = 0;  // files whose rows are in others: merges and cuts that a crash interrupted
  std::size_t unreadable = 0;  // left where they are, out of the catalogue
};

// Makes the catalogue again from the files' footers: every row of the files and of the journal is there once
// afterwards, whatever moment the store was killed at. Replaces what the database has of segments; open delete requests
// stay, and those whose files are left are taken up again when the store opens. conflict: the store is in use.
Result<RebuildReport> rebuild_catalogue(const OfflineStore& store);

struct RepairReport {
  std::size_t checked = 0;
  std::size_t repaired = 0;     // written again without what is damaged
  std::size_t set_aside = 0;    // wholly unreadable, moved to <dir>/damaged
  std::uint64_t rows_lost = 0;  // of row groups whose footer tells
};

// Writes segments with damaged row groups again without those, takes unreadable ones out of the catalogue, and keeps
// the damaged files in `<dir>/damaged`. conflict: the store is in use.
Result<RepairReport> repair_store(const OfflineStore& store);

}  // namespace tocayo::logs
