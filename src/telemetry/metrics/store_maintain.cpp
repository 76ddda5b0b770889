// SPDX-License-Identifier: Apache-2.0
// What keeps the store small: sealing the head into segments, demoting idle series, retention, checkpoints when they
// are due.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/log.h"
#include "metrics/files.h"
#include "metrics/store_impl.h"

namespace tocayo::metrics {
namespace {

constexpr std::size_t kDropSlice = 256;  // series under one exclusive lock
constexpr double kSealPressure = 0.85;

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

double StoreImpl::memory_pressure() const {
  if (options_.memory_limit == 0) return 0;
  const std::uint64_t used = options_.memory_used ? options_.memory_used() : resident_bytes();
  return static_cast<double>(used) / static_cast<double>(options_.memory_limit);
}

// A directory name that any tenant name fits into, and no two share.
std::string StoreImpl::segment_dir(const Tenant& tenant) const {
  std::string name;
  for (unsigned char c : tenant.name) {
    if (std::isalnum(c) != 0 || c == '-' || c == '_') {
      name += static_cast<char>(c);
    } else {
      name += fmt::format("%{:02x}", c);
    }
  }
  return options_.dir + "/segments/" + (name.empty() ? "%" : name);
}

bool StoreImpl::idle(const Series& series, std::uint32_t now_seconds) const {
  if (series.pending != 0) return false;
  const auto quiet = std::chrono::seconds(now_seconds > series.touched ? now_seconds - series.touched : 0);
  return quiet >= (series.stale ? options_.head_stale_timeout : options_.head_idle_timeout);
}

std::size_t StoreImpl::count_idle(const Tenant& tenant) const {
  const auto seconds = static_cast<std::uint32_t>(now() / 1000);
  std::size_t count = 0;
  for (const auto& shard : tenant.shards) {
    std::shared_lock lock(shard->mutex);
    shard->for_each([&](const Series& series) { count += idle(series, seconds) ? 1 : 0; });
  }
  return count;
}

// Copies rows to a new segment, makes it readable, and only then drops them from the head: a reader finds each row in
// at least one of both, and rows found twice are merged. New rows keep coming meanwhile and stay in the head.
Result<> StoreImpl::seal_tenant(Tenant& tenant, SealWhat what) {
  struct Chosen {
    Labels labels;
    std::uint64_t hash;
    std::uint32_t shard;
    SeriesId id;
    Cut cut;
  };
  std::vector<Chosen> chosen;
  const auto seconds = static_cast<std::uint32_t>(now() / 1000);
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
    HeadShard& head = *tenant.shards[shard];
    std::shared_lock lock(head.mutex);
    head.for_each([&](const Series& series) {
      if (!series.has_rows() || (what == SealWhat::idle && !idle(series, seconds))) return;
      chosen.push_back({head.labels_of(series), series.hash, shard, series.id, {}});
    });
  }
  if (chosen.empty()) return {};
  std::sort(chosen.begin(), chosen.end(), [](const Chosen& a, const Chosen& b) { return a.labels < b.labels; });

  const std::string dir = segment_dir(tenant);
  std::error_code error;
  const bool fresh = std::filesystem::create_directories(dir, error);
  if (error) return std::unexpected(error_from_errno("create " + dir, error.value()));
  if (fresh) {
    if (auto synced = sync_directory(options_.dir + "/segments"); !synced) return synced;
  }
  const std::uint64_t sequence = next_segment_++;
  const std::string path = fmt::format("{}/{:016}.seg", dir, sequence);
  auto writer = TRY(SegmentWriter::create(path, tenant.name));
  RowBuffer rows;
  for (Chosen& item : chosen) {
    const HeadShard& head = *tenant.shards[item.shard];
    rows.clear();
    {
      std::shared_lock lock(head.mutex);
      const Series* series = head.find(item.id);
      if (series == nullptr) continue;
      item.cut = head.cut(*series);
      head.read(*series, item.cut, kMinTime, kMaxTime, rows);
    }
    merge_rows(rows);
    if (auto added = writer->add(item.labels, item.hash, rows); !added) return added;
    item.labels = {};
  }
  const bool exists = TRY(writer->finish());
  writer.reset();
  if (exists) tenant.publish({sequence, TRY(Segment::open(path))});
  for (std::size_t i = 0; i < chosen.size();) {
    HeadShard& head = *tenant.shards[chosen[i].shard];
    std::unique_lock lock(head.mutex);
    for (std::size_t n = 0; n < kDropSlice && i < chosen.size() && tenant.shards[chosen[i].shard].get() == &head;
         ++n, ++i) {
      if (Series* series = head.find(chosen[i].id)) head.drop(*series, chosen[i].cut);
    }
  }
  for (auto& shard : tenant.shards) {
    std::unique_lock lock(shard->mutex);
    shard->recompute_range();
  }
  metrics_.seals.add();
  if (what == SealWhat::everything) tenant.last_seal = now();
  log::info("metrics", "head sealed", {{"tenant", tenant.name}, {"segment", sequence}, {"series", chosen.size()}});
  return {};
}

// Takes series out of memory that are idle and have nothing in it.
std::size_t StoreImpl::demote(Tenant& tenant) {
  const auto seconds = static_cast<std::uint32_t>(now() / 1000);
  std::size_t removed = 0;
  for (auto& shard : tenant.shards) {
    HeadShard& head = *shard;
    std::vector<SeriesId> gone;
    {
      std::shared_lock lock(head.mutex);
      head.for_each([&](const Series& series) {
        if (!series.has_rows() && idle(series, seconds)) gone.push_back(series.id);
      });
    }
    for (std::size_t i = 0; i < gone.size();) {
      std::unique_lock lock(head.mutex);
      for (std::size_t n = 0; n < kDropSlice && i < gone.size(); ++n, ++i) {
        Series* series = head.find(gone[i]);
        if (series == nullptr || series->has_rows() || !idle(*series, seconds)) continue;
        std::string metric;
        for (std::size_t l = 0; l < series->label_count; ++l) {
          if (head.text(series->labels[2 * l]) == kMetricName) metric = head.text(series->labels[2 * l + 1]);
        }
        head.remove(*series);
        tenant.count_series(metric, -1);
        ++removed;
      }
    }
    if (!gone.empty()) {
      std::unique_lock lock(head.mutex);
      head.compact();
    }
  }
  if (removed > 0) {
    metrics_.removed.add(static_cast<double>(removed));
    metrics_.prometheus_removed.add(static_cast<double>(removed));
  }
  return removed;
}

// Senders that lag or catch up can make the head span a window again at once; they do not get a segment each second.
bool StoreImpl::seal_due(const Tenant& tenant) const {
  TimestampMs oldest = kMaxTime;
  TimestampMs newest = kMinTime;
  for (const auto& shard : tenant.shards) {
    std::shared_lock lock(shard->mutex);
    oldest = std::min(oldest, shard->oldest());
    newest = std::max(newest, shard->newest());
  }
  if (oldest > newest) return false;
  const auto span = static_cast<std::uint64_t>(newest) - static_cast<std::uint64_t>(oldest);
  const auto window = static_cast<std::uint64_t>(options_.head_window.count());
  const TimestampMs last = tenant.last_seal.load();
  return span >= window && (last == kMinTime || now() - last >= options_.head_window.count() / 8 || now() < last);
}

void StoreImpl::apply_retention(Tenant& tenant) {
  auto keep = limits_of(tenant.name).retention;
  if (keep.count() == 0) keep = options_.retention;
  if (keep.count() == 0) return;
  const TimestampMs oldest = now() - keep.count();
  for (const SegmentEntry& entry : tenant.remove_segments([&](const Segment& s) { return s.max_time() < oldest; })) {
    std::error_code error;
    std::filesystem::remove(entry.segment->path(), error);
    log::info("metrics", "segment removed by retention", {{"path", entry.segment->path()}});
  }
}

void StoreImpl::maintain() {
  std::lock_guard lock(maintenance_mutex_);
  const double pressure = memory_pressure();
  pressure_.store(pressure, std::memory_order_relaxed);
  bool sealed = false;
  auto try_seal = [&](Tenant& tenant, SealWhat what) {
    if (auto done = seal_tenant(tenant, what); !done) {
      metrics_.seal_failures.add();
      log::error("metrics", "sealing failed; it will be tried again",
                 {{"tenant", tenant.name}, {"error", done.error()}});
      return;
    }
    sealed = true;
  };
  // Looking for idle series touches every one of them, so it is not done at every round.
  const TimestampMs time = now();
  const bool look_for_idle =
      pressure > kSealPressure || time < last_idle_look_ ||
      time - last_idle_look_ >= std::min(options_.head_stale_timeout, options_.head_idle_timeout).count() / 10;
  if (look_for_idle) last_idle_look_ = time;
  for (const auto& tenant : all_tenants()) {
    std::size_t open_bytes = 0;
    for (const auto& shard : tenant->shards) {
      std::shared_lock shard_lock(shard->mutex);
      open_bytes += shard->open_bytes();
    }
    const bool full = options_.head_sample_bytes != 0 && open_bytes > options_.head_sample_bytes;
    // Under pressure small heads are left alone: sealing them frees nothing to speak of.
    const bool squeezed = pressure > kSealPressure && open_bytes > (1U << 20);
    if (full || squeezed || seal_due(*tenant)) {
      try_seal(*tenant, SealWhat::everything);
    } else if (look_for_idle) {
      const std::size_t worth = std::max<std::size_t>(1000, tenant->series_count() / 10);
      if (count_idle(*tenant) > worth) try_seal(*tenant, SealWhat::idle);
    }
    if (look_for_idle) demote(*tenant);
    apply_retention(*tenant);
  }
  std::uint64_t behind = 0;
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
    behind += partitions_[shard]->next() - std::min(partitions_[shard]->next(), checkpoint_positions_[shard]);
  }
  const bool due = behind > 0 && std::chrono::steady_clock::now() - last_checkpoint_ >= options_.checkpoint_interval;
  if (sealed || due || behind >= options_.checkpoint_bytes) {
    if (auto written = write_checkpoint(); !written) {
      last_checkpoint_ = std::chrono::steady_clock::now();  // not again at once
      log::error("metrics", "checkpoint failed; the journal is kept", {{"error", written.error()}});
    }
  }
}

Result<> StoreImpl::seal() {
  std::lock_guard lock(maintenance_mutex_);
  for (const auto& tenant : all_tenants()) {
    if (auto done = seal_tenant(*tenant, SealWhat::everything); !done) {
      metrics_.seal_failures.add();
      return done;
    }
  }
  return write_checkpoint();
}

}  // namespace tocayo::metrics
