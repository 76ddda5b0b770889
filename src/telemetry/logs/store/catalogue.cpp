// SPDX-License-Identifier: Apache-2.0
#include "logs/store/catalogue.h"

namespace tocayo::logs {
namespace {

using std::int64_t;

constexpr std::string_view kTombstoneColumns =
    "SELECT sequence, id, tenant, selector, from_ts, to_ts, created_at, state, affected FROM log_tombstone";

Result<std::vector<TombstoneRecord>> read_tombstones(db::Session& session, const std::string& where,
                                                     const db::Args& args) {
  auto rows = TRY(
      (session.query<int64_t, std::string, std::string, std::string, int64_t, int64_t, int64_t, std::string, int64_t>(
          std::string(kTombstoneColumns) + where + " ORDER BY sequence", args)));
  std::vector<TombstoneRecord> out;
  for (auto& [sequence, id, tenant, query, start, end, created, state, affected] : rows) {
    out.push_back({sequence, std::move(id), std::move(tenant), std::move(query), start, end, created,
                   state == "processed", affected});
  }
  return out;
}

Result<std::vector<SegmentRecord>> read_segments(db::Session& session) {
  auto rows =
      TRY((session.run("SELECT id, tenant, day, group_hash, level, min_ts, max_ts, rows, raw_bytes, file_bytes, "
                       "journal_from, journal_to, path, tombstone, rank, created_at FROM log_segment WHERE "
                       "state = 'live' ORDER BY id")));
  auto typed = TRY((db::typed<int64_t, std::string, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                              int64_t, int64_t, int64_t, std::string, int64_t, int64_t, int64_t>(std::move(rows))));
  std::vector<SegmentRecord> out;
  for (auto& [id, tenant, day, group, level, min_time, max_time, count, raw, file, from, to, path, tombstone, rank,
              created] : typed) {
    SegmentRecord record;
    record.id = id;
    record.tenant = std::move(tenant);
    record.day = day;
    record.group = static_cast<std::uint64_t>(group);
    record.level = static_cast<std::uint32_t>(level);
    record.min_time = min_time;
    record.max_time = max_time;
    record.rows = static_cast<std::uint64_t>(count);
    record.raw_bytes = static_cast<std::uint64_t>(raw);
    record.file_bytes = static_cast<std::uint64_t>(file);
    record.journal_from = static_cast<std::uint64_t>(from);
    record.journal_to = static_cast<std::uint64_t>(to);
    record.path = std::move(path);
    record.tombstone = tombstone;
    record.rank = rank;
    record.created = created;
    out.push_back(std::move(record));
  }
  return out;
}

Result<> write_cut(db::Session& session, std::string_view tenant, std::uint64_t position) {
  TRY(
      session.execute("INSERT INTO log_journal_cut (tenant, position) VALUES ($1, $2) "
                      "ON CONFLICT (tenant) DO UPDATE SET position = excluded.position",
                      {tenant, static_cast<int64_t>(position)}));
  return {};
}

Result<> write_segment(db::Session& session, const SegmentRecord& s, TimestampMs now) {
  TRY(session.execute(
      "INSERT INTO log_segment (id, tenant, day, group_hash, level, min_ts, max_ts, rows, raw_bytes, file_bytes, "
      "journal_from, journal_to, path, state, tombstone, rank, created_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'live', $14, $15, $16)",
      {s.id, s.tenant, s.day, static_cast<int64_t>(s.group), s.level, s.min_time, s.max_time,
       static_cast<int64_t>(s.rows), static_cast<int64_t>(s.raw_bytes), static_cast<int64_t>(s.file_bytes),
       static_cast<int64_t>(s.journal_from), static_cast<int64_t>(s.journal_to), s.path, s.tombstone, s.rank, now}));
  return {};
}

}  // namespace

Result<Catalogue::Contents> Catalogue::load() {
  return database_.read_sync([](db::Session& session) -> Result<Contents> {
    Contents contents;
    contents.segments = TRY(read_segments(session));
    for (auto& [tenant, position] :
         TRY((session.query<std::string, int64_t>("SELECT tenant, position FROM log_journal_cut")))) {
      contents.cuts[tenant] = static_cast<std::uint64_t>(position);
    }
    contents.tombstones = TRY(read_tombstones(session, "", {}));
    for (auto& [tenant, label, since] : TRY((session.query<std::string, std::string, int64_t>(
             "SELECT tenant, label, since FROM log_spilled_label ORDER BY tenant, label")))) {
      contents.spilled.push_back({std::move(tenant), std::move(label), since});
    }
    for (const auto& segment : contents.segments) {
      contents.last_segment = std::max(contents.last_segment, segment.id);
      contents.last_tombstone = std::max(contents.last_tombstone, segment.tombstone);
    }
    for (const auto& tombstone : contents.tombstones) {
      contents.last_tombstone = std::max(contents.last_tombstone, tombstone.sequence);
    }
    return contents;
  });
}

Result<> Catalogue::swap(std::string_view tenant, std::span<const SegmentRecord> added,
                         std::span<const std::int64_t> removed, std::optional<std::uint64_t> cut, TimestampMs now) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    for (const SegmentRecord& segment : added) TRY(write_segment(transaction, segment, now));
    for (const int64_t id : removed) TRY(transaction.execute("DELETE FROM log_segment WHERE id = $1", {id}));
    if (cut) return write_cut(transaction, tenant, *cut);
    return {};
  });
}

Result<> Catalogue::replace(std::span<const SegmentRecord> segments, const std::map<std::string, std::uint64_t>& cuts,
                            TimestampMs now) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    TRY(transaction.execute("DELETE FROM log_segment"));
    TRY(transaction.execute("DELETE FROM log_journal_cut"));
    for (const SegmentRecord& segment : segments) TRY(write_segment(transaction, segment, now));
    for (const auto& [tenant, position] : cuts) TRY(write_cut(transaction, tenant, position));
    return {};
  });
}

Result<> Catalogue::mark_clean(std::span<const std::int64_t> segments, std::int64_t tombstone) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    for (const int64_t id : segments) {
      TRY(transaction.execute("UPDATE log_segment SET tombstone = $2 WHERE id = $1 AND tombstone < $2",
                              {id, tombstone}));
    }
    return {};
  });
}

Result<> Catalogue::add_spilled(std::string_view tenant, std::span<const std::pair<std::string, TimestampMs>> labels) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    for (const auto& [label, since] : labels) {
      TRY(transaction.execute(
          "INSERT INTO log_spilled_label (tenant, label, since) VALUES ($1, $2, $3) ON CONFLICT (tenant, label) DO "
          "NOTHING",
          {tenant, label, since}));
    }
    return {};
  });
}

Result<> Catalogue::set_cut(std::string_view tenant, std::uint64_t position) {
  return database_.write_sync(
      [&](db::Transaction& transaction) -> Result<> { return write_cut(transaction, tenant, position); });
}

Result<> Catalogue::add_tombstone(const TombstoneRecord& t) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    TRY(transaction.execute(
        "INSERT INTO log_tombstone (sequence, id, tenant, selector, from_ts, to_ts, created_at, state, affected) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        {t.sequence, t.id, t.tenant, t.query, t.start, t.end, t.created, t.processed ? "processed" : "received",
         t.affected}));
    return {};
  });
}

Result<> Catalogue::mark_processed(std::int64_t sequence) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    TRY(transaction.execute("UPDATE log_tombstone SET state = 'processed' WHERE sequence = $1", {sequence}));
    return {};
  });
}

Result<> Catalogue::remove_tombstone(std::int64_t sequence) {
  return database_.write_sync([&](db::Transaction& transaction) -> Result<> {
    TRY(transaction.execute("DELETE FROM log_tombstone WHERE sequence = $1", {sequence}));
    return {};
  });
}

Result<std::vector<TombstoneRecord>> Catalogue::tombstones(std::string_view tenant) {
  return database_.read_sync([&](db::Session& session) -> Result<std::vector<TombstoneRecord>> {
    return read_tombstones(session, " WHERE tenant = $1", {tenant});
  });
}

}  // namespace tocayo::logs
