// SPDX-License-Identifier: Apache-2.0
// Appending: shard by shard through the journal, then into the head, all or nothing.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "core/log.h"
#include "metrics/store_encode.h"
#include "metrics/store_impl.h"

namespace tocayo::metrics {

void Commit::acknowledge(std::uint32_t shard, Result<> result) {
  std::move_only_function<void(bool)> done;
  {
    std::lock_guard lock(mutex_);
    if (result) {
      durable_ |= 1ULL << shard;
    } else if (!error_) {
      error_ = std::move(result.error());
    }
    if (--open_ == 0) done = std::move(done_);
  }
  if (done) done(true);
}

void Commit::when_done(std::move_only_function<void(bool)> done) {
  {
    std::lock_guard lock(mutex_);
    if (open_ != 0) {
      done_ = std::move(done);
      return;
    }
  }
  done(true);
}

// A reference: 12 bits process, 12 bits tenant, 8 bits shard, 32 bits series.
SeriesRef StoreImpl::ref_of(const Tenant& tenant, std::uint32_t shard, SeriesId id) const {
  return (epoch_ << 52) | (std::uint64_t{tenant.ordinal & 0xfff} << 40) | (std::uint64_t{shard} << 32) | id;
}

bool StoreImpl::split_ref(const Tenant& tenant, SeriesRef ref, std::uint32_t& shard, SeriesId& id) const {
  if (ref >> 40 != ((epoch_ << 12) | (tenant.ordinal & 0xfff))) return false;
  shard = static_cast<std::uint32_t>(ref >> 32) & 0xff;
  id = static_cast<SeriesId>(ref);
  return shard < shard_count_;
}

bool StoreImpl::valid(std::string_view name, SeriesRef ref) const {
  auto tenant = find_tenant(name);
  std::uint32_t shard = 0;
  SeriesId id = 0;
  if (!tenant || !split_ref(*tenant, ref, shard, id)) return false;
  std::shared_lock lock(tenant->shards[shard]->mutex);
  return tenant->shards[shard]->find(id) != nullptr;
}

StoreLimits StoreImpl::limits_of(std::string_view tenant) const {
  return options_.limits ? options_.limits->store_limits(tenant) : StoreLimits{};
}

Task<Result<AppendResult>> StoreImpl::append(std::string_view tenant_name, AppendBatch batch) {
  Request request;
  request.batch = batch;
  request.limits = limits_of(tenant_name);
  request.now = now();
  auto tenant = get_tenant(tenant_name);
  request.tenant = tenant.get();
  auto commit = std::make_shared<Commit>();  // shared with the journal's acknowledgements
  encode(request, commit);
  if (!commit->finished()) {
    co_await completion<bool>([&commit](auto complete) { commit->when_done(std::move(complete)); });
    if (options_.pool != nullptr) co_await options_.pool->schedule();
  }
  if (!request.failed) request.failed = commit->error();
  if (request.failed) {
    abort(request, *commit);
    co_return std::unexpected(*std::move(request.failed));
  }
  apply(request);
  count(request);
  co_return std::move(request.result);
}

// Asks for the labels when the series came without.
bool StoreImpl::labels_known(const Request& request, std::uint32_t index) {
  SeriesRows& rows = request.batch.series[index];
  if (rows.labels == nullptr && request.batch.source != nullptr) rows.labels = request.batch.source->labels(index);
  return rows.labels != nullptr;
}

void StoreImpl::encode(Request& request, const std::shared_ptr<Commit>& commit) {
  auto series = request.batch.series;
  Tenant& tenant = *request.tenant;
  std::string scratch;
  std::vector<std::vector<std::uint32_t>> rows(shard_count_);  // per shard, indices of the series that belong to it
  if (shard_count_ > 1) {
    for (auto& list : rows) list.reserve(series.size() / shard_count_ + 8);
  }
  for (std::uint32_t i = 0; i < series.size(); ++i) {
    std::uint32_t shard = 0;
    SeriesId id = 0;
    if (series[i].ref != 0 && split_ref(tenant, series[i].ref, shard, id)) {
      rows[shard].push_back(i);
    } else if (labels_known(request, i)) {
      series[i].ref = 0;
      rows[shard_of(series_hash(*series[i].labels, scratch))].push_back(i);
    } else {
      request.result.unresolved.push_back(i);
    }
  }
  for (const MetadataRow& row : request.batch.metadata) {
    if (!tenant.metadata.knows(row)) request.metadata.push_back(&row);
  }
  request.parts.reserve(shard_count_);
  for (std::uint32_t shard = 0; shard < shard_count_ && !request.failed; ++shard) {
    const bool with_metadata = shard == 0 && !request.metadata.empty();
    if (rows[shard].empty() && !with_metadata) continue;
    Part& part = request.parts.emplace_back();
    part.shard = shard;
    part.head = tenant.shards[shard].get();
    encode_part(request, part, rows[shard], commit);
  }
}

void StoreImpl::encode_part(Request& request, Part& part, std::span<const std::uint32_t> rows,
                            const std::shared_ptr<Commit>& commit) {
  thread_local WalEncoder encoder;
  part.rows.reserve(rows.size());
  std::unique_lock lock(part.head->mutex);
  encoder.begin(request.tenant->name);
  part.head->pending.push_back(&part);
  Encoding encoding(*this, request, part, encoder);
  for (std::uint32_t index : rows) encoding.series_rows(index);
  if (part.shard == 0) {
    for (const MetadataRow* row : request.metadata) encoder.metadata(*row);
  }
  if (encoder.empty()) return;
  commit->expect();
  auto position = partitions_[part.shard]->append(
      static_cast<std::uint8_t>(WalKind::request), encoder.finish(),
      [commit, shard = part.shard](Result<> result) { commit->acknowledge(shard, std::move(result)); });
  if (!position) {
    commit->acknowledge(part.shard, std::unexpected(position.error()));
    request.failed = Error{ErrorKind::unavailable, "cannot write the journal: " + position.error().message};
    return;
  }
  part.recorded = true;
  part.position = *position;
  part.head->in_flight.push_back(*position);
}

std::optional<HeadShard::Found> StoreImpl::Part::at(const Series& series, TimestampMs time) {
  if (const PlannedRow* row = row_index.find(rows, &series, time)) return row->found();
  if (const PlannedHistogram* row = histogram_index.find(histograms, &series, time)) return row->found();
  return std::nullopt;
}

void StoreImpl::Part::raise_accepted() {
  for (const PlannedRow& planned : rows) {
    Series& series = *planned.series;
    if (planned.time() <= series.last_time) continue;
    series.last_time = planned.time();
    series.last_value = planned.row->value;
    series.last_is_histogram = false;
    series.stale = is_stale(planned.row->value);
  }
  for (const PlannedHistogram& planned : histograms) {
    Series& series = *planned.series;
    if (planned.time() <= series.last_time) continue;
    series.last_time = planned.time();
    series.last_is_histogram = true;
    series.stale = is_stale(planned.row.histogram->sum);
    head->extra_of(series).newest_histogram = planned.row.histogram;
  }
}

namespace {
template <typename T>
void erase_one(std::vector<T>& list, T value) {
  auto found = std::find(list.begin(), list.end(), value);
  if (found == list.end()) return;
  *found = list.back();
  list.pop_back();
}
constexpr std::size_t kMaxUndo = 2'000'000;  // about 80 MB
}  // namespace

void StoreImpl::apply(Request& request) {
  Tenant& tenant = *request.tenant;
  const Tenant::Apply turn = tenant.begin_apply();
  for (Part& part : request.parts) {
    HeadShard& head = *part.head;
    std::vector<std::pair<Labels, const ExemplarRow*>> exemplars;
    {
      std::unique_lock lock(head.mutex);
      if (!turn.remember && !head.undo.empty()) head.undo.clear();
      auto remember = [&](const Series& series) {
        if (!turn.remember) return;
        head.undo.push_back({turn.sequence, series.id, head.cut(series)});
        if (head.undo.size() > kMaxUndo) {
          head.undo_lost = head.undo.front().sequence;
          head.undo.pop_front();
        }
      };
      erase_one<HeadShard::Pending*>(head.pending, &part);
      for (const PlannedRow& planned : part.rows) {
        if (planned.again && head.lookup(*planned.series, planned.time())) {
          --planned.series->pending;
          continue;
        }
        remember(*planned.series);
        head.push(*planned.series, Row{planned.row->time, planned.row->value, planned.row->start_time});
        --planned.series->pending;
      }
      for (const PlannedHistogram& planned : part.histograms) {
        if (planned.again && head.lookup(*planned.series, planned.time())) {
          --planned.series->pending;
          continue;
        }
        remember(*planned.series);
        head.push(*planned.series, planned.row);
        --planned.series->pending;
      }
      for (const PlannedExemplar& planned : part.exemplars) {
        exemplars.emplace_back(head.labels_of(*planned.series), planned.row);
        --planned.series->pending;
      }
      for (Series* series : part.defined) {
        series->logged = true;
        --series->pending;
      }
    }
    for (const auto& [labels, row] : exemplars) {
      const auto outcome = tenant.exemplars.add(labels, *row, request.limits.max_global_exemplars_per_user);
      if (outcome == ExemplarStore::Outcome::added || outcome == ExemplarStore::Outcome::duplicate) {
        ++request.result.exemplars_written;
      } else if (outcome == ExemplarStore::Outcome::out_of_order && !request.limits.ignore_ooo_exemplars) {
        reject(request.result, "exemplar_out_of_order", 1, [&labels] {
          return Error{ErrorKind::bad_input, "out of order exemplar of series " + labels.to_string()};
        });
      }
    }
    if (part.shard == 0) {
      for (const MetadataRow* row : request.metadata) {
        const auto outcome = tenant.metadata.add(*row, request.limits.max_global_metadata_per_user,
                                                 request.limits.max_global_metadata_per_metric);
        if (outcome == MetadataStore::Outcome::too_many_metrics) {
          reject(request.result, "max_metadata_per_user", 1, [&] {
            return limit_error("the tenant has too many metrics with metadata", "max-metadata-per-user",
                               "max_global_metadata_per_user");
          });
        } else if (outcome == MetadataStore::Outcome::too_many_for_metric) {
          reject(request.result, "max_metadata_per_metric", 1, [&] {
            return limit_error("metric " + row->metric + " has too many different metadata", "max-metadata-per-metric",
                               "max_global_metadata_per_metric");
          });
        }
      }
    }
    if (part.recorded) {
      // Last: until then a checkpoint must not trim the record.
      std::unique_lock lock(head.mutex);
      erase_one(head.in_flight, part.position);
    }
  }
  tenant.end_apply();
}

// The records that did get into a journal must not be replayed; the place of one that did not may be another's by now.
// Series made for the request stay, empty and invisible.
void StoreImpl::abort(Request& request, const Commit& commit) {
  for (Part& part : request.parts) {
    std::unique_lock lock(part.head->mutex);
    std::vector<Series*> touched;
    for (const PlannedRow& planned : part.rows) touched.push_back(planned.series);
    for (const PlannedHistogram& planned : part.histograms) touched.push_back(planned.series);
    for (Series* series : touched) {
      --series->pending;
      part.head->reset_accepted(*series);
    }
    for (const PlannedExemplar& planned : part.exemplars) --planned.series->pending;
    for (Series* series : part.defined) --series->pending;
    erase_one<HeadShard::Pending*>(part.head->pending, &part);
    for (HeadShard::Pending* other : part.head->pending) other->raise_accepted();
    if (!part.recorded) continue;
    erase_one(part.head->in_flight, part.position);
    if (!commit.durable(part.shard)) continue;
    if (!aborts_noted_.exchange(true)) {
      // Tells the next start to look for abort records before it replays.
      const std::string path = options_.dir + "/ABORTS";
      const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
      if (fd >= 0) ::close(fd);
    }
    std::string payload;
    put_varint(payload, part.position);
    if (!partitions_[part.shard]->append(static_cast<std::uint8_t>(WalKind::abort), payload, {})) {
      log::warn("metrics", "an aborted request could not be marked in the journal", {{"shard", part.shard}});
    }
  }
}

void StoreImpl::reject(AppendResult& result, std::string_view reason, std::size_t count,
                       std::move_only_function<Error()> text) {
  if (count == 0) return;
  auto known =
      std::find_if(result.rejected.begin(), result.rejected.end(), [&](const auto& r) { return r.reason == reason; });
  if (known == result.rejected.end()) {
    result.rejected.push_back({reason, count});
  } else {
    known->count += count;
  }
  if (!result.first_error) result.first_error = text();
}

void StoreImpl::count(const Request& request) {
  metrics_.floats.add(static_cast<double>(request.result.floats_written));
  metrics_.prometheus_floats.add(static_cast<double>(request.result.floats_written));
  if (request.result.histograms_written > 0) {
    metrics_.histograms.add(static_cast<double>(request.result.histograms_written));
    metrics_.prometheus_histograms.add(static_cast<double>(request.result.histograms_written));
  }
  for (const auto& rejected : request.result.rejected) {
    Registry::global()
        .counter("cortex_discarded_samples_total", "The total number of samples that were discarded.",
                 {{"reason", std::string(rejected.reason)}, {"user", request.tenant->name}})
        .add(static_cast<double>(rejected.count));
  }
  if (request.result.exemplars_written > 0)
    metrics_.exemplars.add(static_cast<double>(request.result.exemplars_written));
}

TimestampMs StoreImpl::newest_sealed(const Tenant& tenant, const Labels& labels, const StoreLimits& limits) const {
  const TimestampMs newest = tenant.max_time.load(std::memory_order_relaxed);
  if (newest == kMinTime) return kMinTime;
  const auto window = std::max<std::int64_t>(limits.out_of_order_time_window.count(), options_.head_window.count() / 2);
  const TimestampMs oldest = newest < kMinTime + window ? kMinTime : newest - window;
  auto segments = tenant.segments();
  TimestampMs found = kMinTime;
  for (const SegmentEntry& entry : *segments) {
    if (!entry.segment->overlaps(oldest, kMaxTime) || !entry.segment->check_index()) continue;
    if (auto index = entry.segment->find(labels)) found = std::max(found, entry.segment->time_range(*index).second);
  }
  return found;
}

std::optional<HeadShard::Found> StoreImpl::find_sealed(const Tenant& tenant, const HeadShard& head,
                                                       const Series& series, TimestampMs time) const {
  auto segments = tenant.segments();
  std::optional<Labels> labels;
  for (const SegmentEntry& entry : *segments) {
    if (!entry.segment->overlaps(time, time) || !entry.segment->check_index()) continue;
    if (!labels) labels = head.labels_of(series);
    auto index = entry.segment->find(*labels);
    RowBuffer rows;
    if (!index || !entry.segment->read(*index, time, time, rows)) continue;
    if (!rows.floats.empty()) return HeadShard::Found{rows.floats.front().value, nullptr};
    if (!rows.histograms.empty()) return HeadShard::Found{0, rows.histograms.front().histogram};
  }
  return std::nullopt;
}

}  // namespace tocayo::metrics
