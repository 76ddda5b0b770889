// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/ship_queue.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "agent/ship/ship_queue_impl.h"
#include "core/log.h"
#include "core/text.h"

namespace tocayo::agent {

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
    : options_(std::move(options)),
      client_(client),
      registry_(registry),
      clock_(clock),
      name_(destination.name),
      dead_letters_(options_.dir + "/dead_letters.jsonl", options_.dead_letter_limit),
      gaps_(options_.dir + "/gaps"),
      endpoint_(std::make_shared<Endpoint>(std::move(destination), client)),
      random_(std::random_device{}()) {
  Labels labels{{"destination", name_}, {"signal", "metrics"}};
  handed_in_ = &registry.counter("tocayo_agent_queued_total",
                                 "Rows handed to the queue of a destination, those that it refused included.", labels);
  delivered_total_ =
      &registry.counter("tocayo_agent_delivered_total", "Rows that the destination acknowledged.", labels);
  retries_total_ = &registry.counter("tocayo_agent_retries_total", "Requests that failed and are sent again.", labels);
  dead_total_ =
      &registry.counter("tocayo_agent_dead_letters_total",
                        "Rows that the destination refuses for good, written to the dead-letter file.", labels);
  requests_ = &registry.counter("tocayo_agent_requests_total", "Requests sent to the destination.", labels);
  bytes_total_ = &registry.counter("tocayo_agent_sent_bytes_total",
                                   "Bytes of request bodies sent to the destination, compressed.", labels);
  request_seconds_ =
      &registry.histogram("tocayo_agent_request_duration_seconds", "Time of one request to the destination.", labels);
}

ShipQueueImpl::~ShipQueueImpl() {
  stop(std::chrono::milliseconds(0));
  registry_.remove_collectors(this);
}

Result<> ShipQueueImpl::load() {
  std::error_code error;
  std::filesystem::create_directories(options_.dir, error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  max_disk_ = disk_budget(endpoint_->destination.queue.max_disk, options_.dir);
  journal::LocalOptions journal;
  journal.dir = options_.dir + "/journal";
  journal.mode = options_.sync;
  journal.faults = options_.faults;
  journal.segment_size = segment_size(max_disk_);
  trim_step_ = std::min<std::uint64_t>(journal.segment_size, 1 << 20);
  journal_ = TRY(journal::open_local_journal(std::move(journal)));
  partition_ = TRY(journal_->open_partition(0));
  Cursor cursor = load_cursor(options_.dir + "/cursor").value_or(Cursor{partition_->first(), 0, 0, {}, {}});
  // After a power cut the journal may end before a cursor that was written later, if what was sent had not been synced.
  cursor.position = std::min(cursor.position, partition_->next());
  cursor_position_ = cursor.position;
  queue_id_ = cursor.queue.size() == 32 ? cursor.queue : to_hex(random_bytes(16));
  plan_ = cursor.plan;
  // A plan whose records are not all there is no plan any more; its number stays used.
  if (plan_.end <= cursor.position || plan_.end > partition_->next() || plan_.lanes == 0 || plan_.rows_per_batch == 0)
    plan_.nonce = 0;
  gaps_.load();
  delivered_ = cursor.delivered;
  dropped_ = cursor.dropped;
  std::uint64_t rows = 0;
  TRY(partition_->read(cursor.position, [&](const journal::Record& record) -> Result<> {
    if (auto head = decode_head(record.payload)) rows += head->rows;
    return {};
  }));
  pending_rows_ = static_cast<std::int64_t>(rows);
  backlog_ = cursor.position < partition_->next();
  if (rows > 0)
    log::info("agent", "the queue resumes", {{"destination", name_}, {"rows", rows}, {"bytes", pending_bytes()}});
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    Labels labels{{"destination", name_}, {"signal", "metrics"}};
    auto add = [&](std::string family, std::string help, double value) {
      auto found =
          std::find_if(families.begin(), families.end(), [&](const auto& known) { return known.name == family; });
      if (found == families.end())
        found = families.insert(families.end(), {std::move(family), std::move(help), MetricType::gauge, {}});
      found->samples.push_back({"", labels, value});
    };
    QueueStatus now = status();
    add("tocayo_agent_queue_rows", "Rows in the queue.", static_cast<double>(now.pending_rows));
    add("tocayo_agent_queue_bytes", "Bytes in the queue.", static_cast<double>(now.pending_bytes));
    add("tocayo_agent_queue_max_bytes", "Budget of the queue on disk.", static_cast<double>(now.max_disk));
    add("tocayo_agent_queue_shards", "Lanes that send at once.", static_cast<double>(now.shards));
    double lag =
        now.oldest_pending == 0 ? 0 : std::max(0.0, static_cast<double>(clock_.now_ms() - now.oldest_pending) / 1000);
    add("tocayo_agent_queue_lag_seconds", "Age of the oldest row that is being sent; 0 when there is none.", lag);
  });
  thread_ = std::jthread([this](std::stop_token stop) {
    ::pthread_setname_np(::pthread_self(), "ship");
    run(stop);
  });
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
  std::uint64_t bytes = pending_bytes() + record.size();
  if (bytes > max_disk_) {
    if (to->destination.queue.when_full == WhenFull::block) {
      count_dropped("queue_full", head.rows, head.min_time, head.max_time);
      co_return fail(ErrorKind::unavailable, "the queue of " + name_ + " is full");
    }
    over_budget_ = true;
    wake_.notify_all();
    // While requests are under way nothing can be dropped at once; this far the queue may grow meanwhile.
    if (bytes > max_disk_ + max_disk_ / 4) {
      count_dropped("queue_full", head.rows, head.min_time, head.max_time);
      co_return fail(ErrorKind::unavailable, "the queue of " + name_ + " is full");
    }
  }
  // Before the append: the sender may have delivered the record before this resumes.
  pending_rows_ += static_cast<std::int64_t>(head.rows);
  appending_rows_ += static_cast<std::int64_t>(head.rows);
  auto appended = co_await partition_->append(kRowsRecord, record);
  appending_rows_ -= static_cast<std::int64_t>(head.rows);
  if (!appended) {
    pending_rows_ -= static_cast<std::int64_t>(head.rows);
    count_dropped("disk", head.rows, head.min_time, head.max_time);
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

void ShipQueueImpl::count_dropped(std::string_view reason, std::uint64_t rows, TimestampMs min_time,
                                  TimestampMs max_time) {
  if (rows == 0) return;
  registry_
      .counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
               {{"destination", name_}, {"signal", "metrics"}, {"reason", std::string(reason)}})
      .add(static_cast<double>(rows));
  dropped_ += rows;
  gaps_.add(reason, rows, min_time, max_time);
  {
    std::lock_guard lock(mutex_);
    Drop& drop = drops_[std::string(reason)];
    drop.min_time = drop.rows == 0 ? min_time : std::min(drop.min_time, min_time);
    drop.max_time = drop.rows == 0 ? max_time : std::max(drop.max_time, max_time);
    drop.rows += rows;
  }
  log_drops(false);
}

void ShipQueueImpl::log_drops(bool all) {
  std::map<std::string, Drop, std::less<>> drops;
  {
    std::lock_guard lock(mutex_);
    if (drops_.empty() || (!all && Steady::now() - drops_logged_ < std::chrono::minutes(1))) return;
    drops_logged_ = Steady::now();
    drops.swap(drops_);
  }
  for (const auto& [reason, drop] : drops) {
    log::warn("agent", "samples were dropped",
              {{"destination", name_},
               {"reason", reason},
               {"rows", drop.rows},
               {"from", format_rfc3339(drop.min_time)},
               {"to", format_rfc3339(drop.max_time)}});
  }
}

Result<> ShipQueueImpl::save() {
  TRY(gaps_.save());
  return save_cursor(options_.dir + "/cursor", {cursor_position_.load(), delivered_ - window_delivered_,
                                                dropped_ - window_dropped_, queue_id_, plan_});
}

QueueStatus ShipQueueImpl::status() const {
  QueueStatus status;
  status.name = name_;
  status.directory = options_.dir;
  // What a kill would take does not count yet.
  status.pending_rows =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, pending_rows_.load() - appending_rows_.load()));
  if (partition_) status.pending_bytes = pending_bytes();
  status.max_disk = max_disk_;
  status.delivered = delivered_;
  status.dropped = dropped_;
  status.handed_in = status.delivered + status.dropped + status.pending_rows;
  status.retries = retries_;
  status.dead_letters = dead_lettered_;
  status.shards = shards_;
  status.last_success = last_success_;
  status.oldest_pending = oldest_pending_;
  status.untold_gaps = gaps_.size();
  status.numbered = numbered_;
  std::lock_guard lock(mutex_);
  const Destination& destination = endpoint_->destination;
  status.url = public_url(destination.url);
  status.protocol = destination.version == metrics::RemoteWriteVersion::v2 && !use_v1_ ? "2.0" : "1.0";
  status.last_error = last_error_;
  return status;
}

void ShipQueueImpl::stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    flushing_ = true;
    wake_.notify_all();
    if (patience.count() > 0) {
      wake_.wait_for(lock, patience, [&] { return cursor_position_.load() >= partition_->next(); });
    }
  }
  thread_.request_stop();
  wake_.notify_all();
  thread_.join();
  log_drops(true);
  if (auto saved = save(); !saved) log::warn("agent", "the cursor was not written", {{"error", saved.error()}});
}

}  // namespace tocayo::agent
