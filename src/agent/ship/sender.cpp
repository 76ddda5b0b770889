// SPDX-License-Identifier: Apache-2.0
// The sender's thread: read a window of records, send it, write the cursor, forget the records.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "agent/ship/answer.h"
#include "agent/ship/ship_queue_impl.h"
#include "core/log.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

using metrics::RemoteWriteVersion;

constexpr std::size_t kMaxWindowRows = 100'000;
constexpr std::size_t kMaxMetadata = 50'000;
}  // namespace

void ShipQueueImpl::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (over_budget_) drop_oldest();
    if (!wait_for_work(stop)) continue;
    auto to = endpoint();
    const QueueSettings& queue = to->destination.queue;
    std::size_t target = std::min(
        kMaxWindowRows, queue.max_samples_per_send * std::clamp(shards_.load(), queue.min_shards, queue.max_shards));
    auto window = read_window(target);
    if (!window) {
      log_unreadable(window.error());
      std::unique_lock lock(mutex_);
      backlog_ = true;
      wake_.wait_for(lock, stop, queue.max_backoff, [] { return false; });
      continue;
    }
    if (window->empty()) {
      if (window->end > base_) advance(window->end);  // records of nothing
      continue;
    }
    calm_ = true;
    prepare(*window);
    if (!deliver(*window, stop)) break;
    advance(window->end);
    // More at once while there is a backlog and the server keeps up; back to few when there is none.
    std::size_t shards = shards_;
    if (!calm_ || !window->more)
      shards /= 2;
    else
      shards *= 2;
    shards_ = std::clamp(shards, queue.min_shards, queue.max_shards);
    log_drops(false);
  }
}

// True when there is something to read: enough for a request, something old enough, or a backlog.
bool ShipQueueImpl::wait_for_work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stop.stop_requested() || over_budget_) return false;
    if (backlog_) return true;
    const QueueSettings& queue = endpoint_->destination.queue;
    if (unread_rows_ > 0) {
      auto due = unread_since_ + queue.batch_send_deadline;
      if (flushing_ || unread_rows_ >= queue.max_samples_per_send || Steady::now() >= due) return true;
      wake_.wait_until(lock, stop, due, [&] {
        return over_budget_ || flushing_ || unread_rows_ >= endpoint_->destination.queue.max_samples_per_send;
      });
    } else {
      wake_.wait(lock, stop, [&] { return over_budget_ || backlog_ || unread_rows_ > 0; });
    }
  }
}

Result<Window> ShipQueueImpl::read_window(std::size_t max_rows) {
  {
    std::lock_guard lock(mutex_);
    unread_rows_ = 0;
    backlog_ = false;
  }
  Window window;
  window.end = base_;
  const bool again = plan_.nonce != 0;  // begun before a restart
  auto read = partition_->read(base_, [&](const journal::Record& record) -> Result<> {
    if (again ? record.position >= plan_.end : window.rows >= max_rows) {
      window.more = true;
      window.end = record.position;
      return fail(ErrorKind::canceled, "enough");
    }
    auto rows = decode_record(record.payload);
    if (!rows) {
      auto head = decode_head(record.payload);
      window.damaged += head ? head->rows : 0;
      log::error("agent", "skipped a damaged record of the queue", {{"destination", name_}, {"error", rows.error()}});
      return {};
    }
    window.rows += (*rows)->floats.size() + (*rows)->histograms.size() + (*rows)->exemplars.size();
    window.metadata.insert(window.metadata.end(), std::make_move_iterator((*rows)->metadata.begin()),
                           std::make_move_iterator((*rows)->metadata.end()));
    window.records.push_back(std::move(*rows));
    return {};
  });
  if (!window.more) {
    if (!read) return std::unexpected(std::move(read.error()));
    window.end = read->end;
  } else {
    std::lock_guard lock(mutex_);
    backlog_ = true;
  }
  return window;
}

void ShipQueueImpl::prepare(Window& window) {
  auto to = endpoint();
  const QueueSettings& queue = to->destination.queue;
  window_delivered_ = window_dropped_ = 0;
  if (plan_.nonce == 0) {
    ++plan_.window;
    std::memcpy(&plan_.nonce, random_bytes(sizeof plan_.nonce).data(), sizeof plan_.nonce);
    plan_.nonce |= 1;  // 0 says that there is none
    plan_.end = window.end;
    plan_.lanes = static_cast<std::uint32_t>(
        std::clamp<std::size_t>((window.rows + queue.max_samples_per_send - 1) / queue.max_samples_per_send, 1,
                                std::clamp(shards_.load(), queue.min_shards, queue.max_shards)));
    plan_.rows_per_batch = queue.max_samples_per_send;
    plan_.oldest = queue.sample_age_limit.count() > 0 ? clock_.now_ms() - queue.sample_age_limit.count() : 0;
    if (auto saved = save(); !saved)
      log::error("agent", "the queue's plan was not written; after a crash rows may be sent in other requests",
                 {{"destination", name_}, {"error", saved.error()}});
  }
  drop_in_window("damaged", {window.damaged, 0, 0}, true);
  const Drop left = window.deal(plan_.lanes, plan_.rows_per_batch, plan_.oldest);
  drop_in_window("too_old", left, true);
  TimestampMs first = std::numeric_limits<TimestampMs>::max(), last = std::numeric_limits<TimestampMs>::min();
  for (const Lane& lane : window.lanes) {
    for (const Batch& batch : lane.batches) {
      for (const Item& item : batch.items) item.extend(first, last);
    }
  }
  oldest_pending_ = window.rows > left.rows ? first : 0;
  for (const auto& row : window.metadata) {
    if (metadata_.size() < kMaxMetadata || metadata_.contains(row.metric)) metadata_[row.metric] = row;
  }
  bool v2 = to->destination.version == RemoteWriteVersion::v2 && !use_v1_;
  if (!window.metadata.empty() && !v2) {
    Lane lane;
    lane.batches.emplace_back();
    lane.batches.back().metadata = std::move(window.metadata);
    window.lanes.push_back(std::move(lane));
  }
}

bool ShipQueueImpl::deliver(Window& window, std::stop_token stop) {
  std::size_t in_flight = 0;
  for (;;) {
    for (;;) {
      std::pair<std::size_t, Reply> reply;
      {
        std::lock_guard lock(mutex_);
        if (replies_.empty()) break;
        reply = std::move(replies_.front());
        replies_.pop_front();
      }
      --in_flight;
      handle(window, reply.first, std::move(reply.second));
    }
    if (auto saved = gaps_.save(); !saved && may_complain())
      log::warn("agent", "what was dropped was not noted down", {{"destination", name_}, {"error", saved.error()}});
    bool launching = !stop.stop_requested() && !over_budget_;
    auto next_try = Steady::time_point::max();
    if (launching) {
      for (std::size_t i = 0; i < window.lanes.size(); ++i) {
        Lane& lane = window.lanes[i];
        if (lane.in_flight || lane.batches.empty()) continue;
        if (Steady::now() < lane.not_before) {
          next_try = std::min(next_try, lane.not_before);
          continue;
        }
        ++in_flight;
        launch(window, i, stop);
      }
    }
    if (in_flight == 0) {
      if (window.done()) return true;
      if (stop.stop_requested()) return false;
      if (over_budget_) {
        drop_window(window);
        return true;
      }
    }
    std::unique_lock lock(mutex_);
    auto ready = [&] { return !replies_.empty() || (launching && (over_budget_ || stop.stop_requested())); };
    if (in_flight > 0 && (next_try == Steady::time_point::max() || !launching)) {
      // Requests end by themselves: by their time limit, or by the stop token that they carry.
      if (launching)
        wake_.wait(lock, stop, ready);
      else
        wake_.wait(lock, ready);
    } else {
      wake_.wait_until(lock, stop, next_try, ready);
    }
    if (stop.stop_requested() && replies_.empty() && in_flight > 0) wake_.wait(lock, [&] { return !replies_.empty(); });
  }
}

void ShipQueueImpl::launch(Window& window, std::size_t index, std::stop_token stop) {
  Lane& lane = window.lanes[index];
  lane.in_flight = true;
  const Batch& batch = lane.batches.front();
  auto to = endpoint();
  const Destination& destination = to->destination;
  RemoteWriteVersion version =
      destination.version == RemoteWriteVersion::v2 && !use_v1_ ? RemoteWriteVersion::v2 : RemoteWriteVersion::v1;
  std::string body;
  if (batch.metadata.empty()) {
    body = encode_request(version, batch.items, metadata_);
  } else {
    version = RemoteWriteVersion::v1;
    body = encode_metadata_request(batch.metadata);
  }
  http::ClientRequest request = post(destination.url, destination.timeout, body, std::string(content_type(version)));
  request.headers.add("Content-Encoding", "snappy");
  request.headers.add("X-Prometheus-Remote-Write-Version", std::string(version_header(version)));
  // Servers lengthen Retry-After with it. Attempts that never reached one must not count, or it would send us away for
  // minutes when it has just come back.
  if (lane.answered > 0) request.headers.add("Retry-Attempt", std::to_string(lane.answered));
  number(lane, index, request);
  lane.sent_as = queue_id_;
  carry_gaps(lane, request);
  send({to, &to->identity}, std::move(request), destination.headers, stop,
       [this, index](Reply reply) { replies_.emplace_back(index, std::move(reply)); });
}

void ShipQueueImpl::handle(Window& window, std::size_t index, Reply reply) {
  Lane& lane = window.lanes[index];
  lane.in_flight = false;
  if (!lane.told_gaps.empty()) telling_ = false;
  if (reply && !heed_sequence(lane, *reply)) return;
  lane.told_gaps.clear();
  if (!reply) return retry(window, lane, reply.error().message, std::chrono::milliseconds(0));
  const int status = reply->status;
  if (status / 100 == 2) {
    note_success(lane);
    std::size_t rows = lane.batches.front().rows();
    delivered_total_->add(static_cast<double>(rows));
    delivered_ += rows;
    window_delivered_ += rows;
    return settled(lane, rows);
  }
  const std::string problem = problem_of(*reply);
  auto to = endpoint();
  if (status == 415 && to->destination.version == RemoteWriteVersion::v2 && to->destination.negotiate &&
      !use_v1_.exchange(true)) {
    log::info("agent", "the server does not take remote write 2.0, using 1.0", {{"destination", name_}});
    return;
  }
  if (status == 429 && !to->destination.queue.retry_on_http_429) {
    dead_letter(lane.batches.front(), status, problem);
    return settled(lane, lane.batches.front().rows());
  }
  if (!is_about_the_content(status)) {
    ++lane.answered;
    return retry(window, lane, problem, parse_retry_after(reply->headers.get("Retry-After"), clock_.now_ms()));
  }
  refuse(lane, status, problem);
}

// The front batch has found its end, good or bad.
void ShipQueueImpl::settled(Lane& lane, std::size_t rows) {
  pending_ -= static_cast<std::int64_t>(rows);
  lane.offset += lane.batches.front().extent();
  lane.batches.pop_front();
  lane.attempts = lane.answered = 0;
  lane.not_before = {};
}

void ShipQueueImpl::retry(Window& window, Lane& lane, std::string problem, std::chrono::milliseconds retry_after) {
  calm_ = false;
  const QueueSettings queue = endpoint()->destination.queue;
  const auto backoff = note_retry(lane, std::move(problem), queue.min_backoff, queue.max_backoff);
  const auto now = Steady::now();
  lane.not_before = now + retry_after + random_time(std::chrono::milliseconds(0), backoff);
  // The server speaks for all lanes.
  if (retry_after.count() > 0) {
    for (Lane& other : window.lanes) other.not_before = std::max(other.not_before, now + retry_after);
  }
}

// The server will not take the front batch as it is: halve it until the rows it dislikes stand alone.
void ShipQueueImpl::refuse(Lane& lane, int status, const std::string& reason) {
  note_error(reason);
  Batch& front = lane.batches.front();
  std::size_t rows = front.rows();
  if (!front.metadata.empty()) {
    log::warn("agent", "the server refused metadata", {{"destination", name_}, {"error", reason}});
    return settled(lane, 0);
  }
  if (front.weight() > 1 && (lane.refused < kHopeless || status == 413)) {
    return halve(lane);
  }
  ++lane.refused;
  dead_letter(front, status, reason);
  settled(lane, rows);
}

void ShipQueueImpl::halve(Lane& lane) {
  auto first = take_half(lane.batches.front().items);
  lane.batches.push_front({.items = std::move(first), .metadata = {}});
}

void ShipQueueImpl::dead_letter(const Batch& batch, int status, const std::string& reason) {
  TimestampMs first = std::numeric_limits<TimestampMs>::max(), last = std::numeric_limits<TimestampMs>::min();
  std::size_t rows = batch.rows();
  Result<> written;
  for (const Item& item : batch.items) {
    item.extend(first, last);
    if (written) written = dead_letters_.add(item, status, reason, clock_.now_ms());
  }
  count_dead_letters(rows, written);
  drop_in_window(status == 429 ? "rate_limited" : "refused", {rows, first, last}, false);  // settled() takes them off
}

// The budget is used up and the oldest rows are those at hand.
void ShipQueueImpl::drop_window(Window& window) {
  TimestampMs first = std::numeric_limits<TimestampMs>::max(), last = std::numeric_limits<TimestampMs>::min();
  std::uint64_t rows = 0;
  for (Lane& lane : window.lanes) {
    for (const Batch& batch : lane.batches) {
      rows += batch.rows();
      for (const Item& item : batch.items) item.extend(first, last);
    }
    lane.batches.clear();
  }
  drop_in_window("queue_full", {rows, first, last}, true);
}

void ShipQueueImpl::drop_in_window(std::string_view reason, const Drop& drop, bool queued) {
  window_dropped_ += drop.rows;
  count_dropped(reason, drop, queued);
}

// What a server that numbers requests (metrics/api/sequence.h) needs to know a repeated one.
void ShipQueueImpl::number(const Lane& lane, std::size_t index, http::ClientRequest& request) const {
  request.headers.add("X-Tocayo-Sequence", fmt::format("queue={}; window={}; nonce={:016x}; lane={}; begin={}; end={}",
                                                       queue_id_, plan_.window, plan_.nonce, index, lane.offset,
                                                       lane.offset + lane.batches.front().extent()));
}

bool ShipQueueImpl::heed_sequence(Lane& lane, const http::ClientResponse& reply) {
  std::string_view word = reply.headers.get("X-Tocayo-Sequence");
  if (word.empty()) return true;
  heed_gaps(lane, reply);
  if (reply.status != 409 || (word != "behind" && word != "partly")) return true;
  if (word == "partly" && lane.batches.front().weight() > 1) {
    // Taken apart before a restart: the same halves again.
    halve(lane);
    return false;
  }
  // This directory was put back to an older state. Under another name everything is new to the server.
  if (lane.sent_as == queue_id_) {
    queue_id_ = to_hex(random_bytes(16));
    log::warn("agent", "the server knows a later state of this queue; it goes on under another name",
              {{"destination", name_}, {"queue", queue_id_}});
    if (auto saved = save(); !saved)
      log::error("agent", "the queue's name was not written", {{"destination", name_}, {"error", saved.error()}});
  }
  lane.told_gaps.clear();
  return false;
}

void ShipQueueImpl::drop_oldest() {
  over_budget_ = false;
  const std::uint64_t end = partition_->next(), keep = kept(), from = base_;
  if (end - from <= keep) return;
  Drop sum;
  std::uint64_t position = from;
  auto read = partition_->read(from, [&](const journal::Record& record) -> Result<> {
    position = record.position;
    if (end - record.position <= keep) return fail(ErrorKind::canceled, "enough");
    if (auto head = decode_head(record.payload)) sum.add({head->rows, head->min_time, head->max_time});
    return {};
  });
  if (!read && read.error().kind != ErrorKind::canceled) return log_unreadable(read.error());
  if (read) position = read->end;
  count_dropped("queue_full", sum, true);
  {
    std::lock_guard lock(mutex_);
    backlog_ = position < end;
  }
  advance(position);
}

void ShipQueueImpl::advance(std::uint64_t position) {
  {
    // With the lock: stop() waits for this.
    std::lock_guard lock(mutex_);
    base_ = position;
    wake_.notify_all();
  }
  oldest_pending_ = 0;
  plan_.nonce = 0;
  window_delivered_ = window_dropped_ = 0;
  checkpoint(position);
}

}  // namespace tocayo::agent
