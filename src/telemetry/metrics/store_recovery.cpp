// SPDX-License-Identifier: Apache-2.0
// Checkpoints, and coming back: segments, then the checkpoint, then the journal behind it. Byte layout of the
// checkpoint: docs/formats/metrics-segment.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <tuple>
#include <unordered_set>

#include "core/hash.h"
#include "core/log.h"
#include "journal/frame.h"
#include "metrics/files.h"
#include "metrics/store_impl.h"

namespace tocayo::metrics {
namespace {

enum CheckpointKind : std::uint8_t {
  kTenantHeader = 10,  // name, next series id
  kSeriesBatch = 11,   // name, count, series
  kTenantSide = 12,    // exemplars and metadata
  kEnd = 13,
};
constexpr std::size_t kBatch = 1024;  // series under one lock

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Result<> StoreImpl::load_segments() {
  namespace fs = std::filesystem;
  std::error_code error;
  std::uint64_t highest = 0;
  for (const auto& dir : fs::directory_iterator(options_.dir + "/segments", error)) {
    if (!dir.is_directory()) continue;
    for (const auto& entry : fs::directory_iterator(dir.path(), error)) {
      const std::string path = entry.path().string();
      const std::string file = entry.path().filename().string();
      if (file.ends_with(".tmp")) {
        fs::remove(entry.path(), error);
        continue;
      }
      std::uint64_t sequence = 0;
      auto [end, bad] = std::from_chars(file.data(), file.data() + file.size(), sequence);
      if (bad != std::errc() || std::string_view(end) != ".seg") continue;
      highest = std::max(highest, sequence);
      auto segment = Segment::open(path);
      if (!segment) {
        // Set aside: the rest of the store must not suffer from one bad file.
        log::error("metrics", "segment set aside", {{"path", path}, {"error", segment.error()}});
        Registry::global()
            .counter("tocayo_metrics_damaged_segments_total", "Segment files that could not be opened.")
            .add();
        fs::rename(path, path + ".damaged", error);
        continue;
      }
      auto tenant = get_tenant((*segment)->tenant());
      tenant->raise_max_time((*segment)->max_time());
      tenant->publish({sequence, std::move(*segment)});
    }
  }
  if (error) return std::unexpected(error_from_errno("list segments of " + options_.dir, error.value()));
  next_segment_ = highest + 1;
  return {};
}

Result<> StoreImpl::load_checkpoint() {
  const std::string path = options_.dir + "/CHECKPOINT";
  auto text = read_file(path);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return {};
    return std::unexpected(std::move(text.error()));
  }
  // "tocayo checkpoint 1 <number> <position> …\n<crc32c of the first line>\n"
  const auto line_end = text->find('\n');
  unsigned version = 0;
  unsigned long long number = 0;
  int used = 0;
  const bool parsed = line_end != std::string::npos &&
                      std::sscanf(text->c_str(), "tocayo checkpoint %u %llu%n", &version, &number, &used) == 2;
  if (!parsed || version != 1 ||
      text->substr(line_end + 1) != fmt::format("{:08x}\n", crc32c(text->substr(0, line_end + 1)))) {
    return fail(ErrorKind::internal, path + ": not readable by this program");
  }
  const char* p = text->c_str() + used;
  for (auto& position : checkpoint_positions_) position = std::strtoull(p, const_cast<char**>(&p), 10);
  checkpoint_number_ = number;
  std::vector<Result<>> results(shard_count_);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      threads.emplace_back([this, shard, &results, number] { results[shard] = load_checkpoint_shard(number, shard); });
    }
  }
  for (auto& result : results) {
    if (!result) return result;
  }
  return {};
}

Result<> StoreImpl::load_checkpoint_shard(std::uint64_t number, std::uint32_t shard) {
  const std::string path = fmt::format("{}/checkpoint/{}-{}.ckp", options_.dir, number, shard);
  const std::string content = TRY(read_file(path));
  std::size_t at = 0;
  bool ended = false;
  auto damaged = [&](std::string_view what) {
    log::error("metrics", "part of the checkpoint is damaged and skipped",
               {{"path", path}, {"at", at}, {"what", what}});
    Registry::global()
        .counter("tocayo_journal_corrupt_records_total", "Damaged stretches of the journal that reading had to skip.")
        .add();
  };
  while (at < content.size()) {
    const journal::FrameView frame = journal::decode_frame(std::string_view(content).substr(at), at);
    if (frame.state != journal::FrameState::valid) {
      damaged("frame");
      at = journal::find_frame(content, at + 1, 0);
      continue;
    }
    at += frame.size;
    ended = frame.kind == kEnd;
    if (ended) break;
    if (frame.kind == kTenantSide) {
      if (!load_tenant_side(frame.payload)) damaged("exemplars and metadata");
      continue;
    }
    auto in = as_bytes(frame.payload);
    std::string_view name;
    std::uint64_t count = 0;
    if (!get_text(in, name) || !get_varint(in, count)) {
      damaged("record");
      continue;
    }
    auto tenant = get_tenant(name);
    HeadShard& head = *tenant->shards[shard];
    std::unique_lock lock(head.mutex);
    if (frame.kind == kTenantHeader) {
      head.reserve_ids(static_cast<SeriesId>(count));
      continue;
    }
    Labels previous;
    std::string scratch;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t id = 0;
      std::uint64_t touched = 0;
      Labels labels;
      if (!get_varint(in, id) || id == 0 || id > UINT32_MAX || !get_varint(in, touched) ||
          !get_labels(in, labels, previous) || head.find(static_cast<SeriesId>(id)) != nullptr) {
        damaged("series");
        break;
      }
      Series& series = head.create(series_hash(labels, scratch), labels, static_cast<SeriesId>(id));
      tenant->count_series(labels.get(kMetricName), 1);
      series.touched = static_cast<std::uint32_t>(touched);
      series.logged = true;
      if (!head.load_rows(series, in)) {
        damaged("rows");
        break;
      }
      if (series.applied_time != kMinTime) tenant->raise_max_time(series.applied_time);
      // What was accepted but not applied is in the journal, behind the checkpoint.
      if (series.last_time != series.applied_time) head.reset_accepted(series);
      previous = std::move(labels);
    }
  }
  if (!ended) damaged("end");
  return {};
}

namespace {

// Brings one shard's records back into the heads.
class Replayer final : public WalVisitor {
 public:
  Replayer(std::uint32_t shard, std::uint32_t now, std::function<std::shared_ptr<Tenant>(std::string_view)> find,
           std::function<std::size_t(std::string_view)> exemplar_limit)
      : shard_(shard), now_(now), find_(std::move(find)), limit_(std::move(exemplar_limit)) {}

  bool skip_rows = false;
  std::uint64_t unknown = 0;

  void tenant(std::string_view name) override {
    if (tenant_ && tenant_->name == name) return;
    tenant_ = find_(name);
    exemplar_limit_ = limit_(name);
    head_ = tenant_->shards[shard_].get();
  }
  void series(SeriesId id, Labels labels) override {
    if (id == 0 || find(id) != nullptr) return;
    const std::uint64_t hash = series_hash(labels, scratch_);
    // A series may have left memory and come back under another id since the checkpoint: both ids mean the one series.
    if (Series* known = head_->find(hash, labels)) {
      aliases_[{head_, id}] = known;
      head_->reserve_ids(id + 1);
      return;
    }
    Series& series = head_->create(hash, labels, id);
    series.logged = true;
    series.touched = now_;
    tenant_->count_series(labels.get(kMetricName), 1);
  }
  void row(SeriesId id, const Row& row) override {
    if (skip_rows) return;
    Series* series = find(id);
    if (series == nullptr) {
      ++unknown;
      return;
    }
    if (row.time <= series->applied_time) {
      if (!head_->lookup(*series, row.time)) head_->push(*series, row);
      return;
    }
    head_->push(*series, row);
    series->last_time = row.time;
    series->last_value = row.value;
    series->last_is_histogram = false;
    series->stale = is_stale(row.value);
    series->touched = now_;
    tenant_->raise_max_time(row.time);
  }
  void histogram(SeriesId id, const HistRow& row) override {
    if (skip_rows) return;
    Series* series = find(id);
    if (series == nullptr) {
      ++unknown;
      return;
    }
    if (row.time <= series->applied_time) {
      if (!head_->lookup(*series, row.time)) head_->push(*series, row);
      return;
    }
    head_->push(*series, row);
    series->last_time = row.time;
    series->last_value = 0;
    series->last_is_histogram = true;
    series->stale = is_stale(row.histogram->sum);
    series->touched = now_;
    head_->extra_of(*series).newest_histogram = row.histogram;
    tenant_->raise_max_time(row.time);
  }
  void exemplar(SeriesId id, ExemplarRow row) override {
    Series* series = skip_rows ? nullptr : find(id);
    if (series != nullptr) tenant_->exemplars.add(head_->labels_of(*series), row, exemplar_limit_);
  }
  void metadata(MetadataRow row) override {
    if (!skip_rows) tenant_->metadata.add(row, 0, 0);
  }

 private:
  Series* find(SeriesId id) const {
    if (Series* series = head_->find(id)) return series;
    if (aliases_.empty()) return nullptr;
    auto alias = aliases_.find({head_, id});
    return alias == aliases_.end() ? nullptr : alias->second;
  }

  std::map<std::pair<HeadShard*, SeriesId>, Series*> aliases_;
  std::uint32_t shard_;
  std::uint32_t now_;
  std::function<std::shared_ptr<Tenant>(std::string_view)> find_;
  std::function<std::size_t(std::string_view)> limit_;
  std::size_t exemplar_limit_ = 0;
  std::shared_ptr<Tenant> tenant_;  // shared with the store's table
  HeadShard* head_ = nullptr;
  std::string scratch_;
};

}  // namespace

Result<> StoreImpl::replay() {
  if (options_.progress) {
    std::uint64_t total = 0;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      total += partitions_[shard]->next() - std::min(partitions_[shard]->next(), checkpoint_positions_[shard]);
    }
    options_.progress->last = total;
  }
  std::vector<Result<>> results(shard_count_);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      threads.emplace_back([this, shard, &results] { results[shard] = replay_shard(shard); });
    }
  }
  for (auto& result : results) {
    if (!result) return result;
  }
  if (options_.progress) options_.progress->done = true;
  aborts_noted_ = std::filesystem::exists(options_.dir + "/ABORTS");
  return {};
}

Result<> StoreImpl::replay_shard(std::uint32_t shard) {
  journal::Partition& partition = *partitions_[shard];
  const journal::Position from = checkpoint_positions_[shard];
  std::unordered_set<std::uint64_t> aborted;
  if (std::filesystem::exists(options_.dir + "/ABORTS")) {
    auto scanned = partition.read(from, [&](const journal::Record& record) -> Result<> {
      auto in = as_bytes(record.payload);
      std::uint64_t position = 0;
      if (record.kind == static_cast<std::uint8_t>(WalKind::abort) && get_varint(in, position))
        aborted.insert(position);
      return {};
    });
    if (!scanned) return std::unexpected(std::move(scanned.error()));
  }
  Replayer replayer(
      shard, static_cast<std::uint32_t>(now() / 1000), [this](std::string_view name) { return get_tenant(name); },
      [this](std::string_view name) { return limits_of(name).max_global_exemplars_per_user; });
  journal::Position done = from;
  auto stats = partition.read(from, [&](const journal::Record& record) -> Result<> {
    if (record.kind == static_cast<std::uint8_t>(WalKind::request)) {
      replayer.skip_rows = aborted.contains(record.position);
      if (!decode_wal_record(record.payload, replayer)) {
        log::error("metrics", "a journal record has a good checksum and cannot be decoded",
                   {{"shard", shard}, {"position", record.position}});
      }
    }
    if (options_.progress) {
      options_.progress->current += record.position - done;
      done = record.position;
    }
    return {};
  });
  if (!stats) return std::unexpected(std::move(stats.error()));
  if (replayer.unknown > 0) {
    metrics_.unknown_series.add(static_cast<double>(replayer.unknown));
    log::error("metrics", "rows without a series definition were skipped",
               {{"shard", shard}, {"rows", replayer.unknown}});
  }
  return {};
}

void StoreImpl::save_tenant_side(const Tenant& tenant, std::string& out) const {
  put_text(out, tenant.name);
  const auto metadata = tenant.metadata.rows({}, 0, 0);
  put_varint(out, metadata.size());
  for (const MetadataRow& row : metadata) {
    put_text(out, row.metric);
    put_text(out, row.type);
    put_text(out, row.help);
    put_text(out, row.unit);
  }
  const auto exemplars = tenant.exemplars.all();
  put_varint(out, exemplars.size());
  Labels none;
  for (const ExemplarSeries& series : exemplars) {
    put_labels(out, series.labels, none = {});
    put_varint(out, series.exemplars.size());
    for (const ExemplarRow& row : series.exemplars) {
      put_varint(out, zigzag(row.time));
      put_varint(out, std::byteswap(std::bit_cast<std::uint64_t>(row.value)));
      put_labels(out, row.labels, none = {});
    }
  }
}

bool StoreImpl::load_tenant_side(std::string_view payload) {
  auto in = as_bytes(payload);
  std::string_view name;
  std::uint64_t count = 0;
  if (!get_text(in, name) || !get_varint(in, count)) return false;
  auto tenant = get_tenant(name);
  std::vector<MetadataRow> metadata;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string_view metric, type, help, unit;
    if (!get_text(in, metric) || !get_text(in, type) || !get_text(in, help) || !get_text(in, unit)) return false;
    metadata.push_back({std::string(metric), std::string(type), std::string(help), std::string(unit)});
  }
  // They were saved latest first.
  for (auto row = metadata.rbegin(); row != metadata.rend(); ++row) tenant->metadata.add(*row, 0, 0);
  if (!get_varint(in, count)) return false;
  std::vector<ExemplarSeries> series;
  std::vector<std::tuple<TimestampMs, std::size_t, std::size_t>> order;  // time, series, row
  for (std::uint64_t i = 0; i < count; ++i) {
    Labels labels;
    std::uint64_t rows = 0;
    if (!get_labels(in, labels, {}) || !get_varint(in, rows)) return false;
    series.push_back({std::move(labels), {}});
    for (std::uint64_t r = 0; r < rows; ++r) {
      ExemplarRow row;
      std::uint64_t time = 0;
      std::uint64_t value = 0;
      if (!get_varint(in, time) || !get_varint(in, value) || !get_labels(in, row.labels, {})) return false;
      row.time = unzigzag(time);
      row.value = std::bit_cast<double>(std::byteswap(value));
      order.emplace_back(row.time, series.size() - 1, series.back().exemplars.size());
      series.back().exemplars.push_back(std::move(row));
    }
  }
  // The ring drops the oldest first, so they go in by age.
  std::sort(order.begin(), order.end());
  const std::size_t limit = limits_of(name).max_global_exemplars_per_user;
  for (const auto& [time, which, row] : order)
    tenant->exemplars.add(series[which].labels, series[which].exemplars[row], limit);
  return true;
}

// Series by series in slices, so that writers wait for a slice at most. A row that is applied meanwhile may get in or
// not: the journal is kept from the oldest record that was not applied when the writing began, and replaying is
// idempotent.
Result<> StoreImpl::save_shard(std::uint64_t number, std::uint32_t shard) {
  const std::string path = fmt::format("{}/checkpoint/{}-{}.ckp", options_.dir, number, shard);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("create " + path, errno));
  std::string buffer;
  std::uint64_t written = 0;
  Result<> result;
  auto add = [&](std::uint8_t kind, std::string_view payload) {
    journal::append_frame(buffer, kind, payload, written + buffer.size());
    if (buffer.size() < (1U << 20) || !result) return;
    result = write_all(fd, buffer, path);
    written += buffer.size();
    buffer.clear();
  };
  for (const auto& tenant : all_tenants()) {
    const HeadShard& head = *tenant->shards[shard];
    std::string payload;
    SeriesId next = 1;
    for (bool first = true; result; first = false) {
      payload.clear();
      put_text(payload, tenant->name);
      std::shared_lock lock(head.mutex);
      if (first) {
        put_varint(payload, head.next_id());
        add(kTenantHeader, payload);
        payload.clear();
        put_text(payload, tenant->name);
      }
      const auto ids = head.ids_from(next, kBatch);
      if (ids.empty()) break;
      next = ids.back() + 1;
      put_varint(payload, ids.size());
      Labels previous;
      for (SeriesId id : ids) {
        const Series& series = *head.find(id);
        put_varint(payload, id);
        put_varint(payload, series.touched);
        put_labels(payload, head.labels_of(series), previous);
        head.save_rows(series, payload);
      }
      lock.unlock();
      add(kSeriesBatch, payload);
    }
    if (shard == 0) {
      payload.clear();
      save_tenant_side(*tenant, payload);
      add(kTenantSide, payload);
    }
  }
  add(kEnd, {});
  if (result) result = write_all(fd, buffer, path);
  if (result && ::fsync(fd) != 0) result = std::unexpected(error_from_errno("fsync " + path, errno));
  ::close(fd);
  return result;
}

Result<> StoreImpl::write_checkpoint() {
  namespace fs = std::filesystem;
  const std::uint64_t number = checkpoint_number_ + 1;
  std::vector<journal::Position> positions(shard_count_);
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard) positions[shard] = partitions_[shard]->next();
  const auto tenants = all_tenants();  // after the positions: whoever wrote a record before them is in the list
  for (const auto& tenant : tenants) {
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      std::shared_lock lock(tenant->shards[shard]->mutex);
      for (std::uint64_t position : tenant->shards[shard]->in_flight)
        positions[shard] = std::min(positions[shard], position);
    }
  }
  const bool had_aborts = aborts_noted_.exchange(false);
  auto give_up = [&](Result<> result) {
    if (had_aborts) aborts_noted_ = true;
    std::error_code ignored;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      fs::remove(fmt::format("{}/checkpoint/{}-{}.ckp", options_.dir, number, shard), ignored);
    }
    metrics_.checkpoint_failures.add();
    return result;
  };
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
    if (auto saved = save_shard(number, shard); !saved) return give_up(std::move(saved));
  }
  if (auto synced = sync_directory(options_.dir + "/checkpoint"); !synced) return give_up(std::move(synced));
  std::string line = fmt::format("tocayo checkpoint 1 {}", number);
  for (journal::Position position : positions) line += fmt::format(" {}", position);
  line += '\n';
  if (auto replaced = replace_file(options_.dir + "/CHECKPOINT", line + fmt::format("{:08x}\n", crc32c(line)));
      !replaced) {
    return give_up(std::move(replaced));
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.dir + "/checkpoint", error)) {
    if (!entry.path().filename().string().starts_with(fmt::format("{}-", number))) fs::remove(entry.path(), error);
  }
  checkpoint_number_ = number;
  checkpoint_positions_ = positions;
  last_checkpoint_ = std::chrono::steady_clock::now();
  metrics_.checkpoints.add();
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
    if (auto trimmed = partitions_[shard]->trim(positions[shard]); !trimmed) {
      log::warn("metrics", "the journal could not be trimmed", {{"shard", shard}, {"error", trimmed.error()}});
    }
  }
  return {};
}

Result<> StoreImpl::checkpoint() {
  std::lock_guard lock(maintenance_mutex_);
  return write_checkpoint();
}

}  // namespace tocayo::metrics
