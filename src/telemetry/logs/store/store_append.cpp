// SPDX-License-Identifier: Apache-2.0
// Appending: through the journal, then into the head; a line that is there already is stored once.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/hash.h"
#include "core/log.h"
#include "logs/head/label_bytes.h"
#include "logs/segment/stream_order.h"
#include "logs/store/plan.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

// The journal's acknowledgement, which may come before the request waits for it.
class Commit {
 public:
  void acknowledge(Result<> result) {
    std::move_only_function<void(bool)> done;
    {
      std::lock_guard lock(mutex_);
      result_ = std::move(result);
      done = std::move(done_);
    }
    if (done) done(true);
  }
  void when_done(std::move_only_function<void(bool)> done) {
    {
      std::lock_guard lock(mutex_);
      if (!result_) {
        done_ = std::move(done);
        return;
      }
    }
    done(true);
  }
  bool finished() const {
    std::lock_guard lock(mutex_);
    return result_.has_value();
  }
  Result<> result() const {
    std::lock_guard lock(mutex_);
    return *result_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Result<>> result_;
  std::move_only_function<void(bool)> done_;
};

thread_local RecordWriter record_writer;

}  // namespace

struct StoreImpl::Request {
  std::shared_ptr<Tenant> tenant;
  std::shared_ptr<const TenantLimits> limits;
  AppendPlan plan;
  AppendResult result;
  std::shared_ptr<Head> head;                                   // where its lines go
  std::shared_ptr<Commit> commit = std::make_shared<Commit>();  // shared with the journal
};

// A reference: 16 bits process, 16 bits tenant, 32 bits stream.
StreamRef make_ref(std::uint64_t epoch, const Tenant& tenant, StreamId id) {
  return epoch << 48 | std::uint64_t{tenant.ordinal & 0xFFFF} << 32 | id;
}

std::shared_ptr<Stream> stream_of(std::uint64_t epoch, const Tenant& tenant, StreamRef ref) {
  if (ref >> 32 != (epoch << 16 | (tenant.ordinal & 0xFFFF))) return nullptr;
  return tenant.index.find(static_cast<StreamId>(ref));
}

bool StoreImpl::valid(std::string_view name, StreamRef ref) const {
  auto tenant = find_tenant(name);
  return tenant && stream_of(epoch_, *tenant, ref) != nullptr;
}

Result<> StoreImpl::overloaded() const {
  TRY(disk_.check());
  const auto used = static_cast<std::uint64_t>(std::max<std::int64_t>(0, head_memory_->load()));
  if (used < options_.head_memory + options_.head_memory / 2) return {};
  return fail(
      ErrorKind::unavailable,
      fmt::format("the log store holds {} MiB in memory that it could not write to disk yet; retry later", used >> 20));
}

// Beyond its memory the store takes no more lines than it writes to disk: senders are slowed down, not refused.
Task<bool> StoreImpl::wait_for_room() {
  constexpr std::chrono::seconds kLongest{5};
  const auto until = std::chrono::steady_clock::now() + kLongest;
  while (options_.background && crowded() && std::chrono::steady_clock::now() < until) {
    if (!wake_.exchange(true)) cut_wake_.notify_one();
    const bool open = co_await completion<bool>([this](auto complete) {
      std::unique_lock lock(waiting_mutex_);
      if (!stopping_.load()) {
        waiting_.emplace_back(std::move(complete));
        return;
      }
      lock.unlock();
      complete(false);
    });
    if (!open) co_return false;
    if (options_.pool != nullptr) co_await options_.pool->schedule();
  }
  co_return true;
}

// After a cut, and every second: what waits looks again.
void StoreImpl::let_wait_end() {
  std::vector<std::function<void(bool)>> waiting;
  {
    std::lock_guard lock(waiting_mutex_);
    waiting.swap(waiting_);
  }
  for (auto& complete : waiting) complete(!stopping_.load());
}

Task<Result<AppendResult>> StoreImpl::append(std::string_view tenant_name, std::span<StreamRows> streams) {
  if (crowded() && !co_await wait_for_room()) {
    co_return fail(ErrorKind::unavailable, "the log store is closing; retry later");
  }
  CO_TRY_VOID(overloaded());
  Request request;
  request.tenant = get_tenant(tenant_name);
  request.limits = limits_of(tenant_name);
  request.plan.make(*request.tenant, *request.limits, epoch_, now(), streams, request.result);
  if (request.plan.streams.empty()) {
    count(request);
    co_return std::move(request.result);
  }
  CO_TRY_VOID(record(request));
  if (!request.commit->finished()) {
    co_await completion<bool>([&request](auto complete) { request.commit->when_done(std::move(complete)); });
    if (options_.pool != nullptr) co_await options_.pool->schedule();
  }
  if (auto durable = request.commit->result(); !durable) {
    request.head->leave();
    co_return std::unexpected(Error{ErrorKind::unavailable, "cannot write the journal: " + durable.error().message});
  }
  apply(request);
  request.head->leave();
  count(request);
  co_return std::move(request.result);
}

Result<> StoreImpl::record(Request& request) {
  RecordWriter& writer = record_writer;
  writer.begin(request.tenant->name);
  for (const AppendPlan::Lines& lines : request.plan.streams)
    writer.stream(lines.stream->labels, request.plan.rows_of(lines));
  const std::string_view payload = TRY(writer.finish(options_.journal_compression));
  Tenant& tenant = *request.tenant;
  std::lock_guard lock(tenant.mutex);
  Head& head = newest_head(tenant);
  head.enter();
  auto position = partition_->append(
      kLinesRecord, payload, [commit = request.commit](Result<> result) { commit->acknowledge(std::move(result)); });
  if (!position) {
    head.leave();
    const ErrorKind kind =
        position.error().kind == ErrorKind::too_large ? ErrorKind::too_large : ErrorKind::unavailable;
    return fail(kind, "cannot write the journal: " + position.error().message);
  }
  request.head = tenant.view_->heads.back();
  if (!head.has_records) head.journal_from = *position;
  head.has_records = true;
  head.journal_to = *position + 1;
  return {};
}

void StoreImpl::apply(Request& request) {
  for (std::size_t i = 0; i < request.plan.streams.size(); ++i) apply_stream(request, i);
  const bool full = request.head->raw_bytes() >= options_.cut_bytes ||
                    head_memory_->load(std::memory_order_relaxed) >= static_cast<std::int64_t>(options_.head_memory);
  if (full && !wake_.exchange(true)) cut_wake_.notify_one();
}

void StoreImpl::apply_stream(Request& request, std::size_t index) {
  Tenant& tenant = *request.tenant;
  const AppendPlan::Lines& lines = request.plan.streams[index];
  const auto rows = request.plan.rows_of(lines);
  Head& head = *request.head;
  std::uint64_t written = 0;
  std::uint64_t bytes = 0;
  std::uint64_t memory = 0;
  std::vector<FeedRow> fresh;
  const bool listening = feed_.anybody() && feed_.listening(tenant.name);
  const std::uint64_t first_order =
      head_order(head.sequence()) + (is_spilled(lines.stream->labels) ? kSpilledOrder : 0);
  {
    std::lock_guard lock(tenant.stripe(lines.stream->id));
    auto view = tenant.view();
    std::vector<HeadStream*> others;
    for (const auto& other : view->heads) {
      if (other.get() == &head) continue;
      if (HeadStream* found = other->find(lines.stream->id)) others.push_back(found);
    }
    HeadStream& own = head.get(lines.stream);
    for (const RecordRow& row : rows) {
      if (own.contains(row.time, row.line, row.metadata) ||
          stored_before(tenant, *view, head, *lines.stream, row, others)) {
        ++request.result.duplicates;
        continue;
      }
      if (listening) fresh.push_back({row.time, first_order + own.size(), row.line, row.metadata});
      memory += own.append(row.time, row.line, row.metadata);
      ++written;
      bytes += row.line.size();
    }
    if (!fresh.empty()) feed_.push(tenant.name, lines.stream, std::move(fresh));
  }
  lines.stream->last_append.store(now(), std::memory_order_relaxed);
  head.count(written, bytes, memory);
  request.result.lines_written += written;
  request.result.bytes_written += bytes;
}

bool StoreImpl::stored_before(Tenant& tenant, const View& view, const Head&, Stream& stream, const RecordRow& row,
                              std::span<HeadStream* const> others) {
  for (HeadStream* other : others) {
    if (other->contains(row.time, row.line, row.metadata)) return true;
  }
  if (row.time > tenant.sealed_max.load(std::memory_order_relaxed)) return false;
  SealedRows& sealed = stream.sealed;
  if (sealed.state == SealedRows::State::unknown) find_sealed(view, stream);
  if (sealed.state == SealedRows::State::none || row.time > sealed.max_time) return false;
  if (sealed.state == SealedRows::State::range) load_keys(view, stream);
  return sealed.contains(row_key(row.time, row.line, row.metadata));
}

namespace {

// The place of a stream in a segment, or npos.
std::size_t find_stream(const OpenSegment& segment, const Stream& stream, const Labels& labels) {
  auto streams = segment.reader->streams();
  const bool by_group = segment.reader->info().options.by_group;
  const std::uint64_t place = by_group ? stream_place(stream.labels) : 0;
  auto found = std::lower_bound(streams.begin(), streams.end(), labels, [&](const SegmentStream& s, const Labels& l) {
    const std::uint64_t other = by_group ? stream_place(s.labels) : 0;
    return other != place ? other < place : s.labels < l;
  });
  if (found == streams.end() || segment.hashes[static_cast<std::size_t>(found - streams.begin())] != stream.hash) {
    return std::string::npos;
  }
  return static_cast<std::size_t>(found - streams.begin());
}

// Visits the segments of the newest cut that holds rows of the stream.
void newest_segments(const View& view, const Stream& stream,
                     const std::function<void(const OpenSegment&, std::uint32_t index)>& visit) {
  std::vector<const SegmentEntry*> newest;
  for (const auto& entry : view.segments) newest.push_back(entry.get());
  std::sort(newest.begin(), newest.end(), [](const SegmentEntry* a, const SegmentEntry* b) {
    return a->record().journal_to > b->record().journal_to;
  });
  const Labels labels = decode_labels(stream.labels);
  std::optional<std::uint64_t> cut;
  for (const SegmentEntry* entry : newest) {
    if (cut && entry->record().journal_to != *cut) break;
    auto open = entry->open();
    if (!open) continue;  // quarantined: what it held cannot be known
    const std::size_t at = find_stream(**open, stream, labels);
    if (at == std::string::npos) continue;
    cut = entry->record().journal_to;
    visit(**open, static_cast<std::uint32_t>(at));
  }
}

}  // namespace

void StoreImpl::find_sealed(const View& view, Stream& stream) const {
  stream.sealed.state = SealedRows::State::none;
  stream.sealed.max_time = std::numeric_limits<TimestampNs>::min();
  newest_segments(view, stream, [&](const OpenSegment& segment, std::uint32_t index) {
    stream.sealed.state = SealedRows::State::range;
    stream.sealed.max_time = std::max(stream.sealed.max_time, segment.reader->streams()[index].max_time);
  });
}

void StoreImpl::load_keys(const View& view, Stream& stream) const {
  stream.sealed.state = SealedRows::State::keys;
  stream.sealed.keys.clear();
  Selection everything;
  everything.start = std::numeric_limits<TimestampNs>::min();
  everything.end = std::numeric_limits<TimestampNs>::max();
  auto compiled = compile(everything);
  if (!compiled) return;
  std::string metadata;
  newest_segments(view, stream, [&](const OpenSegment& segment, std::uint32_t index) {
    std::vector<std::uint32_t> map(segment.reader->streams().size(), SegmentReader::kSkipStream);
    map[index] = 0;
    auto groups = segment.reader->groups();
    for (std::uint32_t g = 0; g < groups.size(); ++g) {
      if (index < groups[g].first_stream || index >= groups[g].first_stream + groups[g].stream_count) continue;
      ScanStats stats;
      auto scanned = segment.reader->scan(
          g, **compiled, map, everything.start, everything.end, {},
          [&](std::span<const Row> rows) -> Result<bool> {
            for (const Row& row : rows) {
              metadata.clear();
              encode_labels(row.metadata, metadata);
              stream.sealed.keys.push_back(row_key(row.time, row.line, metadata));
            }
            return true;
          },
          stats);
      if (!scanned) {
        log::warn("logs", "cannot read rows to compare new ones with; a line sent twice may be kept twice",
                  {{"error", scanned.error()}});
      }
    }
  });
  stream.sealed.sorted = false;
}

void StoreImpl::count(const Request& request) {
  Tenant& tenant = *request.tenant;
  TenantCounters& counters = *tenant.counters;
  counters.lines.add(static_cast<double>(request.result.lines_written));
  counters.bytes.add(static_cast<double>(request.result.bytes_written));
  if (request.result.duplicates > 0) counters.duplicates.add(static_cast<double>(request.result.duplicates));
  if (request.plan.created_streams > 0) metrics_.created_streams.add(static_cast<double>(request.plan.created_streams));
  for (const AppendResult::Rejected& rejected : request.result.rejected) {
    const Labels labels{{"reason", std::string(rejected.reason)}, {"tenant", tenant.name}};
    Registry& registry = Registry::global();
    registry.counter("tocayo_logs_discarded_lines_total", "Lines that were refused, by reason.", labels)
        .add(static_cast<double>(rejected.lines));
    registry.counter("loki_discarded_samples_total", "The total number of samples that were discarded.", labels)
        .add(static_cast<double>(rejected.lines));
    registry.counter("loki_discarded_bytes_total", "The total number of bytes that were discarded.", labels)
        .add(static_cast<double>(rejected.bytes));
  }
}

}  // namespace tocayo::logs
