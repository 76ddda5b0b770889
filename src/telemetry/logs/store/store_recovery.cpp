// SPDX-License-Identifier: Apache-2.0
// Starting: the catalogue says which segments exist. (The journal has what came after the last cuts: store_replay.cpp.)
#include <fmt/format.h>

#include <algorithm>
#include <set>

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

}  // namespace tocayo::logs
