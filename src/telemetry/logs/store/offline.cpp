// SPDX-License-Identifier: Apache-2.0
#include "logs/store/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/time.h"
#include "db/migrations.h"
#include "logs/store/catalogue.h"
#include "logs/store/dir_lock.h"
#include "logs/store/store.h"

namespace tocayo::logs {
namespace {

Result<std::shared_ptr<const CompiledSelection>> everything() {
  Selection selection;
  selection.start = std::numeric_limits<TimestampNs>::min();
  selection.end = std::numeric_limits<TimestampNs>::max();
  return compile(selection);
}

using VisitRow = std::function<Result<>(const Labels& labels, const EntryRow& row)>;

// Rows of each group that can be read as a whole; `end_group` gets the number of the others and why.
Result<> visit_groups(const SegmentReader& reader, const VisitRow& visit,
                      const std::function<void(std::uint32_t group, Error error)>& damaged) {
  const auto compiled = TRY(everything());
  std::vector<std::uint32_t> map(reader.streams().size());
  std::iota(map.begin(), map.end(), 0);
  constexpr auto kStart = std::numeric_limits<TimestampNs>::min();
  constexpr auto kEnd = std::numeric_limits<TimestampNs>::max();
  for (std::uint32_t group = 0; group < reader.groups().size(); ++group) {
    // Twice: a group of which only the first rows can be read gives none.
    ScanStats stats;
    auto readable = reader.scan(
        group, *compiled, map, kStart, kEnd, {}, [](std::span<const Row>) -> Result<bool> { return true; }, stats);
    if (!readable) {
      damaged(group, std::move(readable.error()));
      continue;
    }
    TRY(reader.scan(
        group, *compiled, map, kStart, kEnd, {},
        [&](std::span<const Row> rows) -> Result<bool> {
          for (const Row& row : rows) {
            TRY(visit(reader.streams()[row.stream].labels, {row.time, row.line, row.metadata}));
          }
          return true;
        },
        stats));
  }
  return {};
}

DamagedGroup describe(const SegmentReader& reader, std::uint32_t number, Error error) {
  const SegmentGroup& group = reader.groups()[number];
  DamagedGroup out{number, group.min_time, group.max_time, group.rows, {}, std::move(error)};
  for (std::uint32_t i = 0; i < group.stream_count; ++i)
    out.streams.push_back(reader.streams()[group.first_stream + i].labels);
  return out;
}

std::string range_text(TimestampNs min_time, TimestampNs max_time) {
  return fmt::format("{} to {}", format_rfc3339(min_time / 1'000'000), format_rfc3339(max_time / 1'000'000));
}

}  // namespace

SegmentCheck check_segment(const std::filesystem::path& file) {
  SegmentCheck check;
  check.file = file;
  auto reader = SegmentReader::open(file);
  if (!reader) {
    check.unreadable = std::move(reader.error());
    return check;
  }
  check.info = (*reader)->info();
  auto visited = visit_groups(
      **reader, [](const Labels&, const EntryRow&) -> Result<> { return {}; },
      [&](std::uint32_t group, Error error) { check.damaged.push_back(describe(**reader, group, std::move(error))); });
  if (visited && check.damaged.empty()) {
    // What single rows do not tell: order, counts, the index.
    if (auto verified = (*reader)->verify(); !verified) visited = std::unexpected(std::move(verified.error()));
  }
  if (!visited) check.unreadable = std::move(visited.error());
  return check;
}

Result<std::vector<DamagedGroup>> read_segment(const std::filesystem::path& file, const VisitRow& visit) {
  auto reader = TRY(SegmentReader::open(file));
  std::vector<DamagedGroup> damaged;
  TRY(visit_groups(*reader, visit, [&](std::uint32_t group, Error error) {
    damaged.push_back(describe(*reader, group, std::move(error)));
  }));
  return damaged;
}

Result<std::vector<std::filesystem::path>> segment_files(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  const auto root = dir / "segments";
  for (auto at = std::filesystem::recursive_directory_iterator(root, error);
       !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && at->path().extension() == ".tseg") files.push_back(at->path());
  }
  if (error) return std::unexpected(error_from_errno("list " + root.string(), error.value()));
  std::sort(files.begin(), files.end());
  return files;
}

Result<RepairReport> repair_store(const OfflineStore& store) {
  const auto lock = TRY(DirLock::take(store.dir));
  TRY(db::migrate(*store.database, "logs", migrations()));
  Catalogue catalogue(*store.database);
  auto contents = TRY(catalogue.load());
  RepairReport report;
  const TimestampMs now = Clock::system().now_ms();
  auto say = [&](std::string text) {
    if (store.say) store.say(std::move(text));
  };
  std::int64_t next = contents.last_segment + 1;
  for (const SegmentRecord& record : contents.segments) {
    const auto file = store.dir / record.path;
    ++report.checked;
    const SegmentCheck check = check_segment(file);
    if (check.good()) continue;
    std::vector<SegmentRecord> added;
    if (check.unreadable) {
      say(fmt::format("{}: cannot be read: {}; set aside, lines of tenant {} from {} are lost ({} lines)", record.path,
                      check.unreadable->message, record.tenant, range_text(record.min_time, record.max_time),
                      record.rows));
      ++report.set_aside;
      report.rows_lost += record.rows;
    } else {
      SegmentRecord fresh = record;
      fresh.id = next++;
      fresh.path = (std::filesystem::path(record.path).parent_path() / fmt::format("{:012}.tseg", fresh.id)).string();
      for (const DamagedGroup& group : check.damaged) {
        std::string streams;
        for (const Labels& labels : group.streams) {
          if (streams.size() > 1000) {
            streams += " …";
            break;
          }
          streams += " " + labels.to_string(false);
        }
        say(fmt::format("{}: row group {} is damaged ({}): {} lines from {} are lost, of{}", record.path, group.group,
                        group.error.message, group.rows, range_text(group.min_time, group.max_time), streams));
        report.rows_lost += group.rows;
      }
      auto writer = TRY(SegmentWriter::create(store.dir / fresh.path, check.info.options));
      // A stream may lie in several groups; they come in its order.
      const Labels* last = nullptr;
      Labels current;
      std::uint64_t rows = 0;
      TRY(read_segment(file, [&](const Labels& labels, const EntryRow& row) -> Result<> {
        if (last == nullptr || current != labels) {
          TRY(writer.start_stream(labels));
          current = labels;
          last = &current;
        }
        ++rows;
        return writer.add(row);
      }));
      if (rows > 0) {
        const SegmentInfo info = TRY(writer.finish());
        fresh.min_time = info.min_time;
        fresh.max_time = info.max_time;
        fresh.rows = info.rows;
        fresh.raw_bytes = info.raw_bytes;
        fresh.file_bytes = info.file_bytes;
        added.push_back(fresh);
      }
      ++report.repaired;
    }
    const std::int64_t removed[] = {record.id};
    TRY(catalogue.swap(record.tenant, added, removed, std::nullopt, now));
    // After the catalogue: killed in between, the file is an orphan that a start removes.
    std::error_code error;
    std::filesystem::create_directories(store.dir / "damaged", error);
    const auto kept = store.dir / "damaged" / fmt::format("{:012}.tseg", record.id);
    if (std::filesystem::exists(file)) std::filesystem::rename(file, kept, error);
    if (error) return std::unexpected(error_from_errno("move " + file.string(), error.value()));
    say(fmt::format("{}: the damaged file is kept as {}", record.path, kept.string()));
  }
  return report;
}

}  // namespace tocayo::logs
