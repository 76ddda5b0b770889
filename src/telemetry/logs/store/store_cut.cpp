// SPDX-License-Identifier: Apache-2.0
// Cutting: a frozen head becomes segments, one per day and stream group; then the journal forgets its records.
//
// Order of steps, each of which may be the last before a crash: files (fsynced) → catalogue transaction → view → trim.
// Before the transaction the files are orphans and the journal is replayed; after it the journal position in the
// catalogue says which records are in the segments.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <set>

#include "core/log.h"
#include "logs/head/head_scan.h"
#include "logs/head/label_bytes.h"
#include "logs/segment/stream_order.h"
#include "logs/store/masks.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

constexpr TimestampNs kDay = 86'400LL * 1'000'000'000;

// A directory name that any tenant name fits into, and no two share.
std::string directory_of(std::string_view tenant) {
  std::string name;
  for (unsigned char c : tenant) {
    if (std::isalnum(c) != 0 || c == '-' || c == '_') {
      name += static_cast<char>(c);
    } else {
      name += fmt::format("%{:02x}", c);
    }
  }
  return name.empty() ? "%" : name;
}

std::int64_t day_of(TimestampNs time) { return time >= 0 ? time / kDay : (time - kDay + 1) / kDay; }

// The last nanosecond may be beyond the range of times.
TimestampNs day_start(std::int64_t day) {
  TimestampNs start = 0;
  if (__builtin_mul_overflow(day, kDay, &start)) return std::numeric_limits<TimestampNs>::min();
  return start;
}
TimestampNs day_end(std::int64_t day) {
  TimestampNs end = 0;
  if (__builtin_mul_overflow(day + 1, kDay, &end)) return std::numeric_limits<TimestampNs>::max();
  return end;
}

struct CutStream {
  const HeadStream* rows;
  std::uint64_t place;  // in the order of a segment
  std::int64_t first_day;
  std::int64_t last_day;
};

}  // namespace

SegmentRecord StoreImpl::new_segment(const Tenant& tenant, std::int64_t day, std::uint64_t group, std::uint32_t level) {
  SegmentRecord record;
  record.id = next_segment_.fetch_add(1);
  record.tenant = tenant.name;
  record.day = day;
  record.group = group;
  record.level = level;
  record.rank = record.id;
  record.created = now();
  record.path = fmt::format("segments/{}/{}/{:x}/{:012}.tseg", directory_of(tenant.name), day, group, record.id);
  return record;
}

void StoreImpl::remove_files(std::span<const SegmentRecord> records) const {
  for (const SegmentRecord& record : records) {
    std::error_code ignored;
    std::filesystem::remove(path_of(record), ignored);
  }
}

bool StoreImpl::cut_due(const Tenant& tenant) const {
  auto view = tenant.view();
  if (view->heads.empty()) return false;
  const Head& head = *view->heads.back();
  if (head.raw_bytes() >= options_.cut_bytes) return true;
  std::lock_guard lock(tenant.mutex);
  // A clock that was set back must not keep lines in memory.
  return head.has_records && std::abs(now() - head.created()) >= options_.cut_age.count();
}

Result<> StoreImpl::cut_tenant(Tenant& tenant, bool freeze_newest) {
  std::lock_guard cutting(tenant.cut_mutex);
  std::vector<std::shared_ptr<Head>> frozen;
  {
    std::lock_guard lock(tenant.mutex);
    if (tenant.view_->heads.empty()) return {};
    if (freeze_newest && tenant.view_->heads.back()->has_records) {
      auto fresh = std::make_shared<Head>(tenant.next_head++, now(), head_memory_);
      tenant.change([&](View& view) { view.heads.push_back(std::move(fresh)); });
    }
    frozen = tenant.view_->heads;
    frozen.pop_back();
  }
  for (const auto& head : frozen) TRY(cut_head(tenant, head));
  if (frozen.empty()) return {};
  frozen.clear();  // they hold their streams
  forget_streams(tenant);
#ifdef __GLIBC__
  ::malloc_trim(0);  // what the heads held lies in small pieces: without this the process keeps all of it
#endif
  return {};
}

Result<> StoreImpl::cut_head(Tenant& tenant, const std::shared_ptr<Head>& head) {
  const auto begin = std::chrono::steady_clock::now();
  head->wait_idle();
  auto records = TRY(write_head(tenant, *head));
  auto guard = [&](Result<> outcome) {
    if (!outcome) remove_files(records);
    return outcome;
  };
  TRY(guard(step("cut: files written")));
  TRY(guard(catalogue_.swap(tenant.name, records, {}, head->journal_to, now())));
  TRY(step("cut: catalogue written"));
  remember_keys(tenant, *head);
  {
    std::lock_guard lock(tenant.mutex);
    tenant.journal_cut = head->journal_to;
    tenant.change([&](View& view) {
      std::erase(view.heads, head);
      for (SegmentRecord& record : records) {
        const auto path = path_of(record);
        view.segments.push_back(std::make_shared<SegmentEntry>(record, path));
      }
    });
  }
  metrics_.cuts.add();
  metrics_.cut_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  log::info("logs", "head written", {{"tenant", tenant.name}, {"rows", head->rows()}, {"segments", records.size()}});
  return step("cut: published");
}

Result<std::vector<SegmentRecord>> StoreImpl::write_head(Tenant& tenant, const Head& head) {
  std::vector<CutStream> streams;
  std::set<std::int64_t> days;
  for (std::size_t stripe = 0; stripe < kStripes; ++stripe) {
    head.for_each(stripe, tenant.stripes[stripe], [&](const HeadStream& rows) {
      if (rows.size() == 0) return;
      streams.push_back({&rows, stream_place(rows.stream().labels), day_of(rows.min_time()), day_of(rows.max_time())});
    });
  }
  std::sort(streams.begin(), streams.end(), [](const CutStream& a, const CutStream& b) {
    if (a.place != b.place) return a.place < b.place;
    return compare_labels(a.rows->stream().labels, b.rows->stream().labels) < 0;
  });
  // Days that really have rows: a stream may span years with two of them.
  for (const CutStream& stream : streams) {
    if (stream.first_day == stream.last_day) {
      days.insert(stream.first_day);
      continue;
    }
    for (const Slab* slab = stream.rows->first(); slab != nullptr; slab = slab->next()) {
      for (std::uint32_t row = 0; row < slab->count(); ++row) days.insert(day_of(slab->time(row)));
    }
  }
  // Group numbers have the number of groups (a power of two) in the upper half.
  const std::uint64_t wanted = head.raw_bytes() / std::max<std::uint64_t>(1, options_.group_bytes);
  const std::uint64_t groups = std::bit_floor(std::clamp<std::uint64_t>(wanted, 1, 64));
  auto view = tenant.view();
  const std::int64_t tombstone = view->tombstones.empty() ? 0 : view->tombstones.back()->record.sequence;
  std::vector<SegmentRecord> records;
  auto give_up = [&](Error error) {
    remove_files(records);
    return std::unexpected(std::move(error));
  };
  const RowFilter everything = TRY(RowFilter::create({}));
  std::vector<HeadPiece> pieces;
  for (const std::int64_t day : days) {
    const TimestampNs start = day_start(day);
    const TimestampNs end = day_end(day);
    for (std::uint64_t group = 0; group < groups; ++group) {
      std::optional<SegmentWriter> writer;
      SegmentRecord record;
      for (const CutStream& stream : streams) {
        if (stream.first_day > day || stream.last_day < day) continue;
        if ((stream.rows->stream().group & (groups - 1)) != group) continue;
        RowRules rules(view->tombstones, nullptr, 0, stream.rows->stream().labels);
        bool started = false;
        Result<> outcome;
        auto add = [&](std::span<const Row> rows) -> Result<bool> {
          for (const Row& row : rows) {
            if (rules.drops(row)) continue;
            if (!writer) {
              record = new_segment(tenant, day, groups << 32 | group, 0);
              record.tombstone = tombstone;
              std::error_code error;
              std::filesystem::create_directories(path_of(record).parent_path(), error);
              if (error) return std::unexpected(error_from_errno("create a segment's directory", error.value()));
              writer.emplace(TRY(SegmentWriter::create(path_of(record), {.tenant = tenant.name,
                                                                         .level = 0,
                                                                         .group_hash = record.group,
                                                                         .journal_from = head.journal_from,
                                                                         .journal_to = head.journal_to,
                                                                         .by_group = true})));
            }
            if (!started) TRY(writer->start_stream(decode_labels(stream.rows->stream().labels)));
            started = true;
            TRY(writer->add({row.time, row.line, row.metadata}));
          }
          return true;
        };
        if (auto added = visit_sorted(*stream.rows, everything, start, end, add); !added) {
          return give_up(std::move(added.error()));
        }
      }
      if (!writer) continue;
      auto info = writer->finish();
      if (!info) return give_up(std::move(info.error()));
      record.min_time = info->min_time;
      record.max_time = info->max_time;
      record.rows = info->rows;
      record.raw_bytes = info->raw_bytes;
      record.file_bytes = info->file_bytes;
      record.journal_from = head.journal_from;
      record.journal_to = head.journal_to;
      records.push_back(record);
      if (auto went = step("cut: one file written"); !went) return give_up(std::move(went.error()));
    }
  }
  return records;
}

// So that a request sent again after the cut is known again without reading the segments.
void StoreImpl::remember_keys(Tenant& tenant, const Head& head) {
  TimestampNs newest = tenant.sealed_max.load();
  for (std::size_t stripe = 0; stripe < kStripes; ++stripe) {
    head.for_each(stripe, tenant.stripes[stripe], [&](const HeadStream& rows) {
      if (rows.size() == 0) return;
      SealedRows& sealed = rows.shared_stream()->sealed;
      sealed.state = SealedRows::State::keys;
      sealed.max_time = rows.max_time();
      sealed.keys.clear();
      sealed.keys.reserve(rows.size());
      for (const Slab* slab = rows.first(); slab != nullptr; slab = slab->next()) {
        for (std::uint32_t row = 0; row < slab->count(); ++row) {
          sealed.keys.push_back(row_key(slab->time(row), slab->line(row), slab->metadata(row)));
        }
      }
      sealed.sorted = false;
      newest = std::max(newest, rows.max_time());
    });
  }
  tenant.sealed_max.store(newest);
}

void StoreImpl::forget_streams(Tenant& tenant) {
  const TimestampMs idle_since = now() - options_.stream_idle.count();
  tenant.index.forget([&](const Stream& stream) { return stream.last_append.load() < idle_since; });
}

Result<> StoreImpl::trim_journal() {
  std::uint64_t position = partition_->next();
  for (const auto& tenant : all_tenants()) {
    std::lock_guard lock(tenant->mutex);
    for (const auto& head : tenant->view_->heads) {
      if (head->has_records) position = std::min(position, head->journal_from);
    }
  }
  TRY(partition_->trim(position));
  return step("cut: journal trimmed");
}

}  // namespace tocayo::logs
