// SPDX-License-Identifier: Apache-2.0
// The catalogue from footers. What a crash leaves behind makes two questions:
//
// Is a cut whole? A cut writes several files before its transaction. Cuts of a tenant follow each other, so all but the
// last are whole; the last one's files are dropped when the journal still holds all of its records, which are then
// read again.
//
// Was a file merged into others? Then its rows are in a file of the same day with a higher number, no lower level and a
// journal range around its own. Only the rows tell: they are compared, and what is in both stays in one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <unordered_set>

#include "core/hash.h"
#include "db/migrations.h"
#include "journal/local_journal.h"
#include "logs/head/label_bytes.h"
#include "logs/store/catalogue.h"
#include "logs/store/dir_lock.h"
#include "logs/store/offline.h"
#include "logs/store/store.h"

namespace tocayo::logs {
namespace {

struct File {
  SegmentRecord record;
  std::shared_ptr<SegmentReader> reader;
  bool dropped = false;
};

// What the place of a file tells: segments/<tenant>/<day>/<group>/<id>.tseg
std::optional<SegmentRecord> record_of(const std::filesystem::path& dir, const std::filesystem::path& file) {
  SegmentRecord record;
  record.path = std::filesystem::relative(file, dir).generic_string();
  auto number = [](const std::string& text, std::int64_t& out) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, out);
    return parsed.ec == std::errc{} && parsed.ptr == end;
  };
  if (!number(file.stem().string(), record.id)) return std::nullopt;
  if (!number(file.parent_path().parent_path().filename().string(), record.day)) return std::nullopt;
  return record;
}

std::uint64_t key_of(std::string_view labels, const EntryRow& row, std::string& scratch) {
  scratch.clear();
  encode_labels(row.metadata, scratch);
  return hash64(row.line, hash64(labels, hash64(scratch, static_cast<std::uint64_t>(row.time))));
}

class Rebuild {
 public:
  explicit Rebuild(const OfflineStore& store) : store_(store) {}
  Result<RebuildReport> run();

 private:
  void say(std::string text) const {
    if (store_.say) store_.say(std::move(text));
  }
  Result<> find_files();
  Result<> drop_unfinished_cuts();
  Result<> drop_merged();
  Result<> compare(File& older, std::span<File* const> newer);
  Result<> write_rest(File& older, const std::unordered_set<std::uint64_t>& known);
  void drop(File& file, std::string_view why) {
    file.dropped = true;
    dropped_paths_.push_back(file.record.path);
    ++report_.superseded;
    say(fmt::format("{}: {}", file.record.path, why));
  }

  const OfflineStore& store_;
  RebuildReport report_;
  std::map<std::string, std::vector<File>> tenants_;
  std::map<std::string, std::uint64_t> cuts_;
  std::vector<std::string> dropped_paths_;
  std::uint64_t journal_first_ = 0;
  std::uint64_t journal_next_ = 0;
  std::int64_t last_id_ = 0;
};

Result<> Rebuild::find_files() {
  for (const auto& path : TRY(segment_files(store_.dir))) {
    auto record = record_of(store_.dir, path);
    if (!record) {
      say(fmt::format("{}: not where a segment belongs; left alone", path.string()));
      ++report_.unreadable;
      continue;
    }
    last_id_ = std::max(last_id_, record->id);
    auto reader = SegmentReader::open(path);
    if (!reader) {
      say(fmt::format("{}: cannot be read and is left alone: {}", record->path, reader.error().message));
      ++report_.unreadable;
      continue;
    }
    const SegmentInfo& info = (*reader)->info();
    record->tenant = info.options.tenant;
    record->group = info.options.group_hash;
    record->level = info.options.level;
    record->min_time = info.min_time;
    record->max_time = info.max_time;
    record->rows = info.rows;
    record->raw_bytes = info.raw_bytes;
    record->file_bytes = info.file_bytes;
    record->journal_from = info.options.journal_from;
    record->journal_to = info.options.journal_to;
    record->rank = record->id;
    record->created = Clock::system().now_ms();
    std::string tenant = record->tenant;
    tenants_[std::move(tenant)].push_back({std::move(*record), std::move(*reader)});
  }
  for (auto& [tenant, files] : tenants_) std::ranges::sort(files, {}, [](const File& file) { return file.record.id; });
  return {};
}

Result<> Rebuild::drop_unfinished_cuts() {
  for (auto& [tenant, files] : tenants_) {
    std::uint64_t last_from = 0;
    for (const File& file : files) last_from = std::max(last_from, file.record.journal_from);
    std::uint64_t& cut = cuts_[tenant];
    auto replayable = [&](const SegmentRecord& record) {
      return record.level == 0 && record.journal_from == last_from && record.journal_from >= journal_first_ &&
             record.journal_to <= journal_next_;
    };
    for (const File& file : files) {
      if (!replayable(file.record)) cut = std::max(cut, file.record.journal_to);
    }
    for (File& file : files) {
      if (file.record.journal_from >= cut && replayable(file.record)) {
        drop(file, "of the newest cut, whose lines the journal still holds; they are read from there");
      }
    }
    // Of a journal that is gone nothing was cut.
    if (cut > journal_next_) cut = 0;
  }
  return {};
}

Result<> Rebuild::drop_merged() {
  for (auto& [tenant, files] : tenants_) {
    for (File& older : files) {
      if (older.dropped) continue;
      std::vector<File*> newer;
      for (File& file : files) {
        if (file.dropped || file.record.id <= older.record.id || file.record.day != older.record.day ||
            file.record.level < older.record.level || file.record.journal_from > older.record.journal_from ||
            file.record.journal_to < older.record.journal_to || file.record.min_time > older.record.max_time ||
            file.record.max_time < older.record.min_time) {
          continue;
        }
        // Both lists of streams ascend.
        const auto a = older.reader->streams();
        const auto b = file.reader->streams();
        bool shared = false;
        for (std::size_t i = 0, k = 0; i < a.size() && k < b.size() && !shared;) {
          if (a[i].labels < b[k].labels) {
            ++i;
          } else if (b[k].labels < a[i].labels) {
            ++k;
          } else {
            shared = true;
          }
        }
        if (shared) newer.push_back(&file);
      }
      if (!newer.empty()) TRY(compare(older, newer));
    }
  }
  return {};
}

Result<> Rebuild::compare(File& older, std::span<File* const> newer) {
  std::unordered_set<std::uint64_t> known;
  std::string labels_bytes;
  std::string scratch;
  auto key = [&](const Labels& labels, const EntryRow& row) {
    labels_bytes.clear();
    encode_labels(labels, labels_bytes);
    return key_of(labels_bytes, row, scratch);
  };
  for (const File* file : newer) {
    TRY(read_segment(store_.dir / file->record.path, [&](const Labels& labels, const EntryRow& row) -> Result<> {
      known.insert(key(labels, row));
      return {};
    }));
  }
  std::uint64_t there = 0;
  std::uint64_t rows = 0;
  const auto damaged =
      TRY(read_segment(store_.dir / older.record.path, [&](const Labels& labels, const EntryRow& row) -> Result<> {
        ++rows;
        there += known.contains(key(labels, row)) ? 1 : 0;
        return {};
      }));
  if (there == 0) return {};
  if (there == rows) {
    // What cannot be read of it can be read where it went.
    drop(older, "merged into newer segments");
    return {};
  }
  if (!damaged.empty()) {
    say(fmt::format("{}: partly in newer segments and damaged; kept, lines may be double", older.record.path));
    return {};
  }
  return write_rest(older, known);
}

// The file again without the rows that are elsewhere.
Result<> Rebuild::write_rest(File& older, const std::unordered_set<std::uint64_t>& known) {
  File fresh;
  fresh.record = older.record;
  fresh.record.id = ++last_id_;
  fresh.record.path =
      (std::filesystem::path(older.record.path).parent_path() / fmt::format("{:012}.tseg", fresh.record.id)).string();
  auto writer = TRY(SegmentWriter::create(store_.dir / fresh.record.path, older.reader->info().options));
  std::string labels_bytes;
  std::string scratch;
  std::optional<Labels> current;
  TRY(read_segment(store_.dir / older.record.path, [&](const Labels& labels, const EntryRow& row) -> Result<> {
    labels_bytes.clear();
    encode_labels(labels, labels_bytes);
    if (known.contains(key_of(labels_bytes, row, scratch))) return {};
    if (!current || *current != labels) {
      TRY(writer.start_stream(labels));
      current = labels;
    }
    return writer.add(row);
  }));
  const SegmentInfo info = TRY(writer.finish());
  fresh.record.min_time = info.min_time;
  fresh.record.max_time = info.max_time;
  fresh.record.rows = info.rows;
  fresh.record.raw_bytes = info.raw_bytes;
  fresh.record.file_bytes = info.file_bytes;
  drop(older, fmt::format("partly in newer segments; the other {} lines are in {} now", info.rows, fresh.record.path));
  older.record = std::move(fresh.record);
  older.dropped = false;
  return {};
}

Result<RebuildReport> Rebuild::run() {
  const auto lock = TRY(DirLock::take(store_.dir));
  TRY(db::migrate(*store_.database, "logs", migrations()));
  {
    auto journal = TRY(journal::open_local_journal({.dir = (store_.dir / "wal").string()}));
    auto partition = TRY(journal->open_partition(0));
    journal_first_ = partition->first();
    journal_next_ = partition->next();
  }
  TRY(find_files());
  TRY(drop_unfinished_cuts());
  TRY(drop_merged());
  std::vector<SegmentRecord> records;
  for (const auto& [tenant, files] : tenants_) {
    for (const File& file : files) {
      if (file.dropped) continue;
      records.push_back(file.record);
      ++report_.segments;
      report_.rows += file.record.rows;
    }
  }
  Catalogue catalogue(*store_.database);
  TRY(catalogue.replace(records, cuts_, Clock::system().now_ms()));
  // Now nobody needs what was dropped. Killed before this: the next start removes it as unknown.
  for (const std::string& path : dropped_paths_) {
    std::error_code ignored;
    std::filesystem::remove(store_.dir / path, ignored);
  }
  return report_;
}

}  // namespace

Result<RebuildReport> rebuild_catalogue(const OfflineStore& store) { return Rebuild(store).run(); }

}  // namespace tocayo::logs
