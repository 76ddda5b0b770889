// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/ship_queue.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "agent/ship/ship_queue_impl.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr QueueWords kWords{.signal = "metrics",
                            .queue = "queue",
                            .cursor = "cursor",
                            .rows = "rows",
                            .dropped = "samples were dropped",
                            .cannot_deliver = "cannot deliver, will try again"};

}  // namespace

std::chrono::milliseconds parse_retry_after(std::string_view text, TimestampMs now) {
  text = trim(text);
  std::int64_t seconds = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (bad == std::errc() && end == text.data() + text.size()) {
    return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, 86'400));
  }
  struct tm parts{};
  std::string copy(text);
  const char* rest = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);  // RFC 9110 section 5.6.7
  if (rest == nullptr || *rest != '\0') return std::chrono::milliseconds(0);
  return std::chrono::milliseconds(
      std::clamp<std::int64_t>(static_cast<std::int64_t>(::timegm(&parts)) * 1000 - now, 0, 86'400'000));
}

Result<std::unique_ptr<ShipQueue>> ShipQueue::open(ShipQueueOptions options, Destination destination,
                                                   http::Client& client, Registry& registry, Clock& clock) {
  auto queue = std::make_unique<ShipQueueImpl>(std::move(options), std::move(destination), client, registry, clock);
  if (auto loaded = queue->load(); !loaded)
    return std::unexpected(std::move(loaded.error()).with_context("open the queue of " + queue->status().name));
  return queue;
}

ShipQueueImpl::ShipQueueImpl(ShipQueueOptions options, Destination destination, http::Client& client,
                             Registry& registry, Clock& clock)
    : QueueBase(std::move(options), destination.name, kWords, client, registry, clock),
      endpoint_(std::make_shared<Endpoint>(std::move(destination), client)) {}

ShipQueueImpl::~ShipQueueImpl() {
  stop(std::chrono::milliseconds(0));
  registry_.remove_collectors(this);
}

Result<> ShipQueueImpl::load() {
  TRY(open_files(endpoint_->destination.queue.max_disk));
  Cursor cursor = load_cursor(options_.dir + "/cursor").value_or(Cursor{partition_->first(), 0, 0, {}, {}});
  // After a power cut the journal may end before a cursor that was written later, if what was sent had not been synced.
  cursor.position = std::min(cursor.position, partition_->next());
  base_ = cursor.position;
  queue_id_ = cursor.queue.size() == 32 ? cursor.queue : to_hex(random_bytes(16));
  plan_ = cursor.plan;
  // A plan whose records are not all there is no plan any more; its number stays used.
  if (plan_.end <= cursor.position || plan_.end > partition_->next() || plan_.lanes == 0 || plan_.rows_per_batch == 0)
    plan_.nonce = 0;
  delivered_ = cursor.delivered;
  dropped_ = cursor.dropped;
  TRY(partition_->read(cursor.position, [&](const journal::Record& record) -> Result<> {
    if (auto head = decode_head(record.payload)) pending_ += static_cast<std::int64_t>(head->rows);
    return {};
  }));
  backlog_ = cursor.position < partition_->next();
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    const QueueStatus now = status();
    add_gauges(families, now.pending_rows, now);
    add_gauge(families, "tocayo_agent_queue_shards", "Lanes that send at once.", static_cast<double>(now.shards));
  });
  start("ship");
  return {};
}

std::shared_ptr<Endpoint> ShipQueueImpl::endpoint() const {
  std::lock_guard lock(mutex_);
  return endpoint_;
}

void ShipQueueImpl::reconfigure(Destination destination) {
  auto fresh = std::make_shared<Endpoint>(std::move(destination), client_);
  std::lock_guard lock(mutex_);
  endpoint_ = std::move(fresh);
  use_v1_ = false;
  wake_.notify_all();
}

Task<Result<metrics::AppendResult>> ShipQueueImpl::append(std::string_view, metrics::AppendBatch batch) {
  metrics::AppendResult result;
  for (std::uint32_t i = 0; i < batch.series.size(); ++i) {
    const metrics::SeriesRows& series = batch.series[i];
    if (series.labels == nullptr) {
      result.unresolved.push_back(i);
      continue;
    }
    result.floats_written += series.floats.size();
    result.histograms_written += series.histograms.size();
    result.exemplars_written += series.exemplars.size();
  }
  auto to = endpoint();
  std::string record;
  RecordHead head = encode_record(batch, to->destination.rules, record);
  if (record.empty()) co_return result;
  handed_in_->add(static_cast<double>(head.rows));
  const Drop all{head.rows, head.min_time, head.max_time};
  if (auto room = room_for(record.size(), to->destination.queue.when_full); !room) {
    count_dropped("queue_full", all, false);
    co_return std::unexpected(std::move(room.error()));
  }
  // Before the append: the sender may have delivered the record before this resumes.
  pending_ += static_cast<std::int64_t>(head.rows);
  appending_ += static_cast<std::int64_t>(head.rows);
  auto appended = co_await partition_->append(kRowsRecord, record);
  appending_ -= static_cast<std::int64_t>(head.rows);
  if (!appended) {
    count_dropped("disk", all, true);
    co_return std::unexpected(std::move(appended.error()).with_context("queue for " + name_));
  }
  {
    std::lock_guard lock(mutex_);
    if (unread_rows_ == 0) unread_since_ = Steady::now();
    unread_rows_ += std::max<std::uint64_t>(1, head.rows);
  }
  wake_.notify_all();
  co_return result;
}

Result<> ShipQueueImpl::save() {
  TRY(gaps_.save());
  return save_cursor(options_.dir + "/cursor",
                     {base_.load(), delivered_ - window_delivered_, dropped_ - window_dropped_, queue_id_, plan_});
}

QueueStatus ShipQueueImpl::status() const {
  QueueStatus status;
  // What a kill would take does not count yet.
  status.pending_rows = static_cast<std::uint64_t>(std::max<std::int64_t>(0, pending_.load() - appending_.load()));
  status.shards = shards_;
  status.oldest_pending = oldest_pending_;
  status.numbered = numbered_;
  std::lock_guard lock(mutex_);
  describe(status);
  status.handed_in = status.delivered + status.dropped + status.pending_rows;
  const Destination& destination = endpoint_->destination;
  status.url = public_url(destination.url);
  status.protocol = destination.version == metrics::RemoteWriteVersion::v2 && !use_v1_ ? "2.0" : "1.0";
  return status;
}

}  // namespace tocayo::agent
