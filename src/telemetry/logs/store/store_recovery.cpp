// SPDX-License-Identifier: Apache-2.0
// Starting: the catalogue says which segments exist, the journal has what came after the last cuts.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "core/hash.h"
#include "core/log.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {

Result<> StoreImpl::load_catalogue() {
  auto contents = TRY(catalogue_.load());
  next_segment_ = contents.last_segment + 1;
  next_tombstone_ = contents.last_tombstone + 1;
  for (auto& [name, position] : contents.cuts) {
    auto tenant = get_tenant(name);
    if (position > partition_->next()) {
      // The journal is not the one the segments came from: what it holds now was never cut.
      log::warn("logs", "the journal is older than the segments; all of it is read again", {{"tenant", name}});
      TRY(catalogue_.set_cut(name, 0));
      position = 0;
    }
    tenant->journal_cut = position;
  }
  for (const auto& [name, label, since] : contents.spilled) get_tenant(name)->spill.add(label, since);
  for (const auto& tenant : all_tenants()) (void)tenant->spill.take_unsaved();
  for (SegmentRecord& record : contents.segments) {
    auto tenant = get_tenant(record.tenant);
    const auto path = path_of(record);
    if (record.rows > 0 && record.max_time > tenant->sealed_max.load()) tenant->sealed_max = record.max_time;
    auto entry = std::make_shared<SegmentEntry>(std::move(record), path);
    std::lock_guard lock(tenant->mutex);
    tenant->change([&](View& view) { view.segments.push_back(std::move(entry)); });
  }
  TRY(adopt_deletes(contents.tombstones));
  for (TombstoneRecord& record : contents.tombstones) {
    if (record.processed) continue;
    if (!options_.compile_delete) return fail(ErrorKind::internal, "there are delete requests and no way to read them");
    auto filter = options_.compile_delete(record.tenant, record.query);
    if (!filter) {
      return std::unexpected(
          std::move(filter.error()).with_context("delete request " + record.id + " of tenant " + record.tenant));
    }
    auto tenant = get_tenant(record.tenant);
    auto tombstone = std::make_shared<Tombstone>();
    tombstone->record = std::move(record);
    tombstone->filter = std::move(*filter);
    std::lock_guard lock(tenant->mutex);
    tenant->change([&](View& view) { view.tombstones.push_back(std::move(tombstone)); });
  }
  return {};
}

// Files that a crash left before they got into the catalogue, or after they left it. A file whose rows are nowhere else
// means that the catalogue is not the one of these files: then nothing is removed, and the store does not open.
Result<> StoreImpl::remove_orphans() {
  std::set<std::filesystem::path> known;
  for (const auto& tenant : all_tenants()) {
    for (const auto& entry : tenant->view()->segments) known.insert(entry->file());
  }
  std::error_code error;
  std::vector<std::filesystem::path> orphans;
  for (auto at = std::filesystem::recursive_directory_iterator(dir_ / "segments", error);
       !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && !known.contains(at->path())) orphans.push_back(at->path());
  }
  if (error) return std::unexpected(error_from_errno("list " + (dir_ / "segments").string(), error.value()));
  std::vector<std::filesystem::path> unreadable;
  for (const auto& path : orphans) {
    if (path.extension() != ".tseg") continue;  // was never finished
    auto reader = SegmentReader::open(path);
    if (!reader) {
      log::warn("logs", "a file that the catalogue does not know cannot be read and is left alone",
                {{"file", path.string()}, {"error", reader.error()}});
      unreadable.push_back(path);
      continue;
    }
    const SegmentOptions& options = (*reader)->info().options;
    auto tenant = find_tenant(options.tenant);
    // In other segments, or in the journal behind the tenant's last cut. (Its end may be missing: modes other than
    // `batch` may lose the last moment, and a journal that is another one ends elsewhere.)
    const bool cut = tenant && options.journal_to <= tenant->journal_cut;
    const bool recorded = options.level == 0 && options.journal_from >= partition_->first() &&
                          options.journal_from <= partition_->next() &&
                          (!tenant || options.journal_from >= tenant->journal_cut);
    if (cut || recorded) continue;
    return fail(ErrorKind::conflict,
                fmt::format("the catalogue does not know {}, which holds {} lines of tenant {}: it is lost or older "
                            "than the files. Make it again with: tocayo logs rebuild-catalogue",
                            path.string(), (*reader)->info().rows, options.tenant));
  }
  for (const auto& path : orphans) {
    if (std::ranges::find(unreadable, path) != unreadable.end()) continue;
    std::filesystem::remove(path, error);
    log::info("logs", "removed a file that the catalogue does not know", {{"file", path.string()}});
  }
  return {};
}

Result<> StoreImpl::replay() {
  const auto begin = std::chrono::steady_clock::now();
  RecordReader reader;
  std::uint64_t records = 0;
  std::uint64_t lines = 0;
  std::uint64_t bad = 0;
  const TimestampMs time = now();
  auto visit = [&](const journal::Record& record) -> Result<> {
    if (record.kind != kLinesRecord) {
      ++bad;
      return {};
    }
    if (auto read = reader.read(record.payload); !read) {
      // Its checksum was right, so this is of another version or a fault of ours; the rest is still good.
      ++bad;
      log::error("logs", "a journal record cannot be read and is skipped",
                 {{"position", record.position}, {"error", read.error()}});
      return {};
    }
    auto tenant = get_tenant(reader.tenant());
    if (record.position < tenant->journal_cut) return {};
    ++records;
    std::shared_ptr<Head> head;
    {
      std::lock_guard lock(tenant->mutex);
      newest_head(*tenant);
      if (tenant->view_->heads.back()->raw_bytes() >= options_.cut_bytes) {
        auto fresh = std::make_shared<Head>(tenant->next_head++, time, head_memory_);
        tenant->change([&](View& view) { view.heads.push_back(std::move(fresh)); });
      }
      head = tenant->view_->heads.back();
      if (!head->has_records) head->journal_from = record.position;
      head->has_records = true;
      head->journal_to = record.position + 1;
    }
    auto view = tenant->view();
    std::uint64_t written = 0;
    std::uint64_t bytes = 0;
    std::uint64_t memory = 0;
    for (const RecordReader::Stream& part : reader.streams()) {
      const std::uint64_t hash = hash64(part.labels);
      if (is_spilled(part.labels)) {
        for (const std::string& name : SpilledStream(part.labels).names()) tenant->spill.add(name, time);
      }
      auto stream = tenant->index.find(part.labels, hash);
      if (!stream) stream = tenant->index.add(part.labels, hash, 0, time);
      std::lock_guard lock(tenant->stripe(stream->id));
      std::vector<HeadStream*> others;
      for (const auto& other : view->heads) {
        if (other == head) continue;
        if (HeadStream* found = other->find(stream->id)) others.push_back(found);
      }
      HeadStream& own = head->get(stream);
      for (const RecordRow& row : part.rows) {
        if (own.contains(row.time, row.line, row.metadata) ||
            stored_before(*tenant, *view, *head, *stream, row, others)) {
          continue;
        }
        memory += own.append(row.time, row.line, row.metadata);
        ++written;
        bytes += row.line.size();
      }
    }
    head->count(written, bytes, memory);
    lines += written;
    return {};
  };
  auto stats = TRY(partition_->read(partition_->first(), visit));
  metrics_.bad_records.add(static_cast<double>(bad + stats.corrupt));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  metrics_.replay_seconds.set(seconds);
  if (records > 0 || bad + stats.corrupt > 0) {
    log::info("logs", "journal replayed",
              {{"records", records}, {"lines", lines}, {"skipped", bad + stats.corrupt}, {"seconds", seconds}});
  }
  return {};
}

}  // namespace tocayo::logs
