// SPDX-License-Identifier: Apache-2.0
// Delete requests: hidden from queries at once, then written out of the segments.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "core/log.h"
#include "logs/head/label_bytes.h"
#include "logs/store/delete_files.h"
#include "logs/store/masks.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

DeleteRequest to_request(const TombstoneRecord& record) {
  DeleteRequest request;
  request.id = record.id;
  request.start = record.start;
  request.end = record.end;
  request.query = record.query;
  request.created = record.created;
  request.state = record.processed ? DeleteRequest::State::processed : DeleteRequest::State::received;
  request.percent = record.processed ? 100 : 0;
  return request;
}

}  // namespace

// Whether the segment has a stream that the request means, in its time. A segment that cannot be read may.
bool StoreImpl::may_hold(const SegmentEntry& segment, const Tombstone& tombstone) const {
  const TombstoneRecord& record = tombstone.record;
  if (segment.tombstone() >= record.sequence || segment.record().min_time > record.end ||
      segment.record().max_time < record.start) {
    return false;
  }
  auto open = segment.open();
  if (!open) return true;
  const auto streams = (*open)->reader->streams();
  return std::any_of(streams.begin(), streams.end(), [&](const SegmentStream& stream) {
    if (stream.min_time > record.end || stream.max_time < record.start) return false;
    if (is_spilled(stream.labels)) {
      std::string bytes;
      encode_labels(stream.labels, bytes);
      return SpilledStream(bytes).plain_matches(tombstone.filter.matchers);
    }
    return std::all_of(tombstone.filter.matchers.begin(), tombstone.filter.matchers.end(),
                       [&](const Matcher& matcher) { return matcher.matches(stream.labels.get(matcher.name())); });
  });
}

Result<std::string> StoreImpl::add_delete(std::string_view name, std::string_view query, TimestampNs start,
                                          TimestampNs end) {
  if (!options_.compile_delete) return fail(ErrorKind::bad_input, "deletion is not available for this tenant");
  auto tombstone = std::make_shared<Tombstone>();
  tombstone->filter = TRY(options_.compile_delete(name, query));
  std::random_device random;
  TombstoneRecord& record = tombstone->record;
  record.id = fmt::format("{:08x}", random());
  record.tenant.assign(name);
  record.query.assign(query);
  record.start = start;
  record.end = end;
  record.created = now();
  auto tenant = get_tenant(name);
  std::lock_guard changing(delete_mutex_);
  record.sequence = next_tombstone_.fetch_add(1);
  for (const auto& entry : tenant->view()->segments) {
    if (entry->record().min_time <= end && entry->record().max_time >= start) ++record.affected;
  }
  TRY(write_delete_file(dir_, record));
  if (auto added = catalogue_.add_tombstone(record); !added) {
    (void)remove_delete_file(dir_, record.sequence);
    return std::unexpected(std::move(added.error()));
  }
  TRY(step("delete: noted"));
  std::lock_guard lock(tenant->mutex);
  tenant->change([&](View& view) { view.tombstones.push_back(tombstone); });
  return record.id;
}

Result<std::vector<DeleteRequest>> StoreImpl::deletes(std::string_view name) const {
  auto records = TRY(const_cast<Catalogue&>(catalogue_).tombstones(name));
  std::vector<DeleteRequest> out;
  auto tenant = find_tenant(name);
  for (const TombstoneRecord& record : records) {
    DeleteRequest request = to_request(record);
    if (!record.processed && tenant && record.affected > 0) {
      std::int64_t left = 0;
      for (const auto& entry : tenant->view()->segments) {
        if (entry->tombstone() < record.sequence && entry->record().min_time <= record.end &&
            entry->record().max_time >= record.start) {
          ++left;
        }
      }
      request.percent = static_cast<int>(100 - 100 * std::min(left, record.affected) / record.affected);
      if (request.percent > 0) request.state = DeleteRequest::State::processing;
    }
    out.push_back(std::move(request));
  }
  return out;
}

Result<> StoreImpl::cancel_delete(std::string_view name, std::string_view id, bool force) {
  auto requests = TRY(deletes(name));
  auto request = std::find_if(requests.begin(), requests.end(), [&](const DeleteRequest& r) { return r.id == id; });
  if (request == requests.end()) return fail(ErrorKind::not_found, "could not find delete request with given id");
  if (request->state == DeleteRequest::State::processed) {
    return fail(ErrorKind::conflict, "deletion of request which is in process or already processed is not allowed");
  }
  if (request->state == DeleteRequest::State::processing && !force) {
    return fail(ErrorKind::conflict,
                "Unable to cancel partially completed delete request. To force, use the ?force "
                "query parameter");
  }
  auto tenant = get_tenant(name);
  std::lock_guard changing(delete_mutex_);
  auto view = tenant->view();
  auto found = std::find_if(view->tombstones.begin(), view->tombstones.end(),
                            [&](const auto& tombstone) { return tombstone->record.id == id; });
  if (found == view->tombstones.end()) {
    return fail(ErrorKind::conflict, "deletion of request which is in process or already processed is not allowed");
  }
  TRY(remove_delete_file(dir_, (*found)->record.sequence));
  TRY(catalogue_.remove_tombstone((*found)->record.sequence));
  std::lock_guard lock(tenant->mutex);
  tenant->change([&](View& next) {
    std::erase_if(next.tombstones, [&](const auto& tombstone) { return tombstone->record.id == id; });
  });
  return {};
}

// The files of requests that are not processed outlive the catalogue: what it does not know of is taken up again.
Result<> StoreImpl::adopt_deletes(std::vector<TombstoneRecord>& known) {
  for (TombstoneRecord& record : TRY(read_delete_files(dir_))) {
    next_tombstone_ = std::max(next_tombstone_.load(), record.sequence + 1);
    const auto same = std::ranges::find(known, record.id, &TombstoneRecord::id);
    if (same == known.end()) {
      log::warn("logs", "a delete request that the catalogue does not know is taken up again",
                {{"tenant", record.tenant}, {"id", record.id}});
      TRY(catalogue_.add_tombstone(record));
      known.push_back(std::move(record));
    } else if (same->processed) {
      TRY(remove_delete_file(dir_, record.sequence));
    }
  }
  for (const TombstoneRecord& record : known) {
    if (!record.processed) TRY(write_delete_file(dir_, record));
  }
  std::ranges::sort(known, {}, &TombstoneRecord::sequence);
  return {};
}

// When no segment holds rows of the request: whether no file does. Else some of them go, and the next round goes on.
Result<bool> StoreImpl::bytes_gone(Tenant& tenant, const Tombstone& tombstone) {
  if (tombstone.journal_end.load() == 0) tombstone.journal_end.store(partition_->next());
  const std::uint64_t end = tombstone.journal_end.load();
  if (partition_->first() < end) {
    // The journal keeps what any tenant's heads hold.
    for (const auto& other : all_tenants()) {
      bool older = false;
      {
        std::lock_guard lock(other->mutex);
        older = std::ranges::any_of(other->view_->heads,
                                    [&](const auto& head) { return head->has_records && head->journal_from < end; });
      }
      if (older) TRY(cut_tenant(*other, true));
    }
    TRY(trim_journal());
    if (partition_->first() < end) return false;
  }
  std::lock_guard lock(tenant.mutex);
  std::erase_if(tenant.retired, [](const auto& path) { return !std::filesystem::exists(path); });
  return tenant.retired.empty();
}

// One segment a round, so that cuts do not wait long. A request is processed when every head that was there when it
// came is on disk, no segment holds a row of it, and neither does the journal or a file that a reader holds. A segment
// that cannot be read keeps its requests open: what it holds must not come back when it is repaired.
Result<> StoreImpl::work_on_deletes(Tenant& tenant) {
  const auto open_requests = tenant.view()->tombstones;
  for (const auto& tombstone : open_requests) {
    const TombstoneRecord& record = tombstone->record;
    if (now() - record.created < options_.delete_delay.count()) continue;
    auto view = tenant.view();
    const bool in_heads = std::any_of(view->heads.begin(), view->heads.end(), [&](const auto& head) {
      return head->created() <= record.created && !head->empty();
    });
    if (in_heads) TRY(cut_tenant(tenant, true));
    view = tenant.view();
    std::vector<std::int64_t> clean;
    bool unreadable = false;
    for (const auto& entry : view->segments) {
      if (entry->tombstone() >= record.sequence) continue;
      if (!may_hold(*entry, *tombstone)) {
        clean.push_back(entry->record().id);
      } else if (entry->excluded()) {
        unreadable = true;
      } else {
        return merge(tenant, {entry->record().day, entry->record().level, {entry}});
      }
    }
    if (unreadable || !TRY(bytes_gone(tenant, *tombstone))) continue;
    std::lock_guard changing(delete_mutex_);
    TRY(catalogue_.mark_clean(clean, record.sequence));
    TRY(catalogue_.mark_processed(record.sequence));
    TRY(remove_delete_file(dir_, record.sequence));
    std::lock_guard lock(tenant.mutex);
    tenant.change([&](View& next) {
      std::erase_if(next.tombstones, [&](const auto& t) { return t->record.sequence == record.sequence; });
    });
    log::info("logs", "delete request processed", {{"tenant", tenant.name}, {"id", record.id}});
  }
  return {};
}

}  // namespace tocayo::logs
