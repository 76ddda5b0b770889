// SPDX-License-Identifier: Apache-2.0
// The catalogue: which segments exist, up to where the journal is in them, and the delete requests. The only SQL of the
// store. Calls block.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "db/database.h"
#include "logs/store/store.h"

namespace tocayo::logs {

// A row of log_segment.
struct SegmentRecord {
  std::int64_t id = 0;
  std::string tenant;
  std::int64_t day = 0;  // since the epoch, UTC
  std::uint64_t group = 0;
  std::uint32_t level = 0;
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
  std::uint64_t rows = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t journal_from = 0;
  std::uint64_t journal_to = 0;
  std::string path;            // below the store's directory
  std::int64_t tombstone = 0;  // newest delete request whose rows are gone
  std::int64_t rank = 0;       // of two segments the rows of the one with the smaller rank arrived first
  TimestampMs created = 0;
};

struct TombstoneRecord {
  std::int64_t sequence = 0;
  std::string id;
  std::string tenant;
  std::string query;
  TimestampNs start = 0;
  TimestampNs end = 0;
  TimestampNs created = 0;
  bool processed = false;
  std::int64_t affected = 0;  // segments that had to be looked at
};

// Thread-safe as the database is.
class Catalogue {
 public:
  explicit Catalogue(db::Database& database) : database_(database) {}

  struct Contents {
    std::vector<SegmentRecord> segments;
    std::map<std::string, std::uint64_t> cuts;  // tenant: records before this position are in segments
    std::vector<TombstoneRecord> tombstones;
    struct Spilled {
      std::string tenant;
      std::string label;
      TimestampMs since;
    };
    std::vector<Spilled> spilled;
    std::int64_t last_segment = 0;
    std::int64_t last_tombstone = 0;
  };
  Result<Contents> load();

  // One transaction: `added` exist from now on, `removed` do not, and with a position the tenant's journal is cut
  // there.
  Result<> swap(std::string_view tenant, std::span<const SegmentRecord> added, std::span<const std::int64_t> removed,
                std::optional<std::uint64_t> cut, TimestampMs now);
  // One transaction: these segments and cuts are all there are. Delete requests stay.
  Result<> replace(std::span<const SegmentRecord> segments, const std::map<std::string, std::uint64_t>& cuts,
                   TimestampMs now);
  // These segments hold no row of the delete requests up to `tombstone`.
  Result<> mark_clean(std::span<const std::int64_t> segments, std::int64_t tombstone);
  Result<> add_spilled(std::string_view tenant, std::span<const std::pair<std::string, TimestampMs>> labels);
  Result<> set_cut(std::string_view tenant, std::uint64_t position);

  Result<> add_tombstone(const TombstoneRecord& tombstone);
  Result<> mark_processed(std::int64_t sequence);
  Result<> remove_tombstone(std::int64_t sequence);
  Result<std::vector<TombstoneRecord>> tombstones(std::string_view tenant);

 private:
  db::Database& database_;
};

}  // namespace tocayo::logs
