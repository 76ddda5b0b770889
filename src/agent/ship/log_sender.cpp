// SPDX-License-Identifier: Apache-2.0
// The sender's thread of a log queue: a lane for each tenant, read a request's worth, send it, move the cursor.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "agent/ship/answer.h"
#include "agent/ship/log_queue_impl.h"
#include "agent/ship/ship_queue.h"
#include "core/log.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr auto kSaveEvery = std::chrono::milliseconds(250);
constexpr std::size_t kLoadFactor = 4;  // requests' worth that a lane holds in memory
constexpr std::size_t kLineOverhead = 24;
constexpr int kBlockedIngestion = 260;  // Loki's: taken and thrown away, so that nobody retries
constexpr std::size_t kMaxDeadLine = 64 << 10;

}  // namespace

void LogQueueImpl::run(std::stop_token stop) {
  std::size_t in_flight = 0;
  for (;;) {
    std::deque<std::pair<std::string, Reply>> replies;
    {
      std::lock_guard lock(mutex_);
      replies.swap(replies_);
    }
    for (auto& [tenant, reply] : replies) {
      --in_flight;
      LogLane* lane = nullptr;
      {
        std::lock_guard lock(mutex_);
        lane = &lanes_[tenant];
      }
      handle(tenant, *lane, std::move(reply));
    }
    if (over_budget_) drop_oldest();
    advance();
    if (stop.stop_requested() && in_flight == 0) return;
    auto due = Steady::time_point::max();
    const auto now = Steady::now();
    std::uint64_t seen = 0;
    bool flushing = false;
    {
      std::lock_guard lock(mutex_);
      seen = changes_;
      flushing = flushing_;
    }
    if (!stop.stop_requested()) {
      std::vector<std::pair<std::string, LogLane*>> next;
      {
        std::lock_guard lock(mutex_);
        for (auto& [tenant, lane] : lanes_) {
          if (ready(lane, now, due)) next.emplace_back(tenant, &lane);
        }
      }
      for (auto& [tenant, lane] : next) {
        if (lane->requests.empty()) fill(tenant, *lane);
        if (lane->requests.empty()) continue;
        ++in_flight;
        launch(tenant, *lane, stop);
      }
    }
    if (saved_base_ != base_ || saved_delivered_ != delivered_ || saved_dropped_ != dropped_)
      due = std::min(due, now + kSaveEvery);
    std::unique_lock lock(mutex_);
    const auto news = [&] {
      if (!replies_.empty()) return true;
      if (stop.stop_requested()) return in_flight == 0;
      return changes_ != seen || flushing_ != flushing || (over_budget_ && in_flight == 0);
    };
    if (stop.stop_requested())
      wake_.wait(lock, news);
    else if (due == Steady::time_point::max())
      wake_.wait(lock, stop, news);
    else
      wake_.wait_until(lock, stop, due, news);
  }
}

// With the lock. Whether the lane has something to send now; else `due` is lowered to when to look again.
bool LogQueueImpl::ready(const LogLane& lane, Steady::time_point now, Steady::time_point& due) const {
  if (lane.in_flight || lane.parts.empty()) return false;
  if (now < lane.not_before) {
    due = std::min(due, lane.not_before);
    return false;
  }
  if (!lane.requests.empty()) return true;
  const LogDestination& to = endpoint_->destination;
  const LogPart& first = lane.parts.front();
  if (flushing_ || first.since == Steady::time_point{} || now - first.since >= to.batch_wait) return true;
  std::uint64_t bytes = 0;
  for (const LogPart& part : lane.parts) {
    bytes += part.bytes;
    if (bytes >= to.batch_size) return true;
  }
  due = std::min(due, first.since + to.batch_wait);
  return false;
}

// Reads the lane's next records into requests.
void LogQueueImpl::fill(const std::string& tenant, LogLane& lane) {
  const auto to = endpoint();
  const auto batch_size = to->destination.batch_size;
  std::vector<LogPart> wanted;
  {
    std::lock_guard lock(mutex_);
    std::uint64_t bytes = 0;
    for (const LogPart& part : lane.parts) {
      if (!wanted.empty() && bytes + part.bytes > batch_size * kLoadFactor) break;
      wanted.push_back(part);
      bytes += part.bytes;
    }
  }
  std::size_t next = 0;
  std::vector<std::unique_ptr<LogRows>> rows(wanted.size());
  auto read = partition_->read(wanted[0].position, [&](const journal::Record& record) -> Result<> {
    while (next < wanted.size() && wanted[next].position < record.position) ++next;  // skipped as damaged
    if (next < wanted.size() && wanted[next].position == record.position) {
      if (auto decoded = decode_log_rows(record.payload, tenant)) rows[next] = std::move(*decoded);
      ++next;
    }
    if (next == wanted.size()) return fail(ErrorKind::canceled, "enough");
    return {};
  });
  if (!read && read.error().kind != ErrorKind::canceled) {
    log_unreadable(read.error());
    lane.not_before = Steady::now() + std::chrono::seconds(5);
    return;
  }
  std::size_t good = 0;
  while (good < rows.size() && rows[good] != nullptr) ++good;
  if (good == 0) {
    log::error("agent", "skipped a damaged record of the log queue", {{"destination", name_}});
    {
      std::lock_guard lock(mutex_);
      lane.parts.pop_front();
    }
    settled_[tenant] = wanted[0].position + 1;
    count_dropped("damaged", {wanted[0].lines, wanted[0].min_time, wanted[0].max_time}, true);
    return;
  }
  rows.resize(good);
  lane.settled = 0;
  lane.ends.clear();
  lane.loaded = good;
  lane.requests.emplace_back();
  std::uint64_t bytes = 0;
  for (const auto& one : rows) {
    for (std::uint32_t i = 0; i < one->streams.size(); ++i) {
      const auto& stream = one->streams[i];
      LogItem item{one.get(), i, stream.begin, 0};
      for (std::uint32_t j = stream.begin; j < stream.begin + stream.count; ++j) {
        const auto size = one->entries[j].line.size() + kLineOverhead;
        if (bytes > 0 && bytes + size > batch_size) {
          if (item.count > 0) lane.requests.back().items.push_back(item);
          item.begin = j;
          item.count = 0;
          lane.requests.emplace_back();
          bytes = 0;
        }
        bytes += size;
        ++item.count;
      }
      if (item.count > 0) lane.requests.back().items.push_back(item);
    }
  }
  lane.rows = std::move(rows);
}

void LogQueueImpl::launch(const std::string& tenant, LogLane& lane, std::stop_token stop) {
  lane.in_flight = true;
  const auto to = endpoint();
  http::ClientRequest request = post(to->destination.url, to->destination.timeout,
                                     encode_push_request(lane.requests.front().items), "application/x-protobuf");
  number_request(lane, request);
  const std::string& org = tenant.empty() ? to->destination.tenant : tenant;
  if (!org.empty()) request.headers.add("X-Scope-OrgID", org);
  send({to, &to->identity}, std::move(request), to->destination.headers, stop,
       [this, tenant](Reply reply) { replies_.emplace_back(tenant, std::move(reply)); });
}

// What a server that knows numbered requests needs to know a repeated one, and what it has to be told. The lines of a
// lane are counted on, also over those that are dropped, so that a number never means two things.
void LogQueueImpl::number_request(LogLane& lane, http::ClientRequest& request) {
  if (lane.name.empty()) lane.name = to_hex(random_bytes(16));
  request.headers.add("X-Tocayo-Sequence",
                      fmt::format("queue={}; window=1; nonce={:016x}; lane=0; begin={}; end={}", lane.name, 1,
                                  lane.offset, lane.offset + lane.requests.front().lines()));
  carry_gaps(lane, request);
}

void LogQueueImpl::handle(const std::string& tenant, LogLane& lane, Reply reply) {
  lane.in_flight = false;
  if (!lane.told_gaps.empty()) telling_ = false;
  if (reply && reply->headers.has("X-Tocayo-Sequence") && heed_gaps(lane, *reply)) {
    if (auto saved = gaps_.save(); !saved)
      log::warn("agent", "the gaps of the log queue were not written",
                {{"destination", name_}, {"error", saved.error()}});
  }
  lane.told_gaps.clear();
  if (!reply) return retry(lane, reply.error().message, std::chrono::milliseconds(0));
  const int status = reply->status;
  if (status / 100 == 2) {
    note_success(lane);
    if (status == kBlockedIngestion) {
      dead_letter(tenant, lane.requests.front(), status, "the server blocks ingestion");
      settle(lane, false);
    } else {
      settle(lane, true);
    }
    return;
  }
  const std::string problem = problem_of(*reply);
  if (!is_about_the_content(status))
    return retry(lane, problem, parse_retry_after(reply->headers.get("Retry-After"), clock_.now_ms()));
  refuse(tenant, lane, status, problem);
}

// The front request has found its end, good or bad.
void LogQueueImpl::settle(LogLane& lane, bool delivered) {
  const auto lines = lane.requests.front().lines();
  lane.requests.pop_front();
  lane.offset += lines;
  lane.attempts = 0;
  lane.not_before = {};
  lane.settled += lines;
  if (delivered) delivered_total_->add(static_cast<double>(lines));
  std::lock_guard lock(mutex_);
  if (delivered) {
    delivered_ += lines;
    pending_ -= static_cast<std::int64_t>(lines);
  }
  lane.ends.emplace_back(lines, delivered);
  while (lane.loaded > 0 && lane.settled >= lane.parts.front().lines) {
    lane.settled -= lane.parts.front().lines;
    for (auto left = lane.parts.front().lines; left > 0 && !lane.ends.empty();) {
      const auto taken = std::min(left, lane.ends.front().first);
      left -= taken;
      lane.ends.front().first -= taken;
      if (lane.ends.front().first == 0) lane.ends.pop_front();
    }
    const auto position = lane.parts.front().position;
    lane.parts.pop_front();
    --lane.loaded;
    for (const auto& [tenant, known] : lanes_) {
      if (&known == &lane) settled_[tenant] = position + 1;
    }
  }
  if (lane.requests.empty()) lane.rows.clear();
  if (pending_ == 0) wake_.notify_all();
}

void LogQueueImpl::retry(LogLane& lane, std::string problem, std::chrono::milliseconds retry_after) {
  const auto to = endpoint();
  const auto backoff = note_retry(lane, std::move(problem), to->destination.min_backoff, to->destination.max_backoff);
  lane.not_before = Steady::now() + std::max(retry_after, random_time(backoff / 2, backoff));
}

// The server will not take the front request as it is: halve it until the lines it dislikes stand alone. A server that
// kept the good lines of a refused request stores them once all the same.
void LogQueueImpl::refuse(const std::string& tenant, LogLane& lane, int status, const std::string& reason) {
  note_error(reason);
  LogRequest& front = lane.requests.front();
  if (front.lines() > 1 && (lane.refused < kHopeless || status == 413)) {
    auto first = take_half(front.items);
    lane.requests.push_front({std::move(first)});
    return;
  }
  ++lane.refused;
  dead_letter(tenant, front, status, reason);
  settle(lane, false);
}

void LogQueueImpl::dead_letter(const std::string& tenant, const LogRequest& request, int status,
                               const std::string& reason) {
  Drop gone;
  Result<> written;
  for (const LogItem& item : request.items) {
    for (std::uint32_t i = item.begin; i < item.begin + item.count; ++i) {
      const auto& row = item.rows->entries[i];
      const TimestampMs time = row.time / 1'000'000;
      gone.add({1, time, time});
      boost::json::object letter;
      letter["time"] = format_rfc3339(clock_.now_ms());
      letter["status"] = status;
      letter["reason"] = reason;
      if (!tenant.empty()) letter["tenant"] = tenant;
      letter["labels"] = item.rows->streams[item.stream].labels;
      letter["timestamp"] = std::to_string(row.time);
      letter["line"] = row.line.substr(0, kMaxDeadLine);
      if (written) written = dead_letters_.add_text(boost::json::serialize(letter) + "\n");
    }
  }
  count_dead_letters(gone.rows, written);
  count_dropped(status == kBlockedIngestion ? "blocked" : "refused", gone, true);
}

// What is under way stays.
void LogQueueImpl::drop_oldest() {
  over_budget_ = false;
  for (;;) {
    LogPart part;
    std::string tenant;
    std::uint64_t lines = 0;
    {
      std::lock_guard lock(mutex_);
      base_ = base_locked();
      if (pending_bytes() <= kept()) break;
      LogLane* oldest = nullptr;
      for (auto& [name, lane] : lanes_) {
        if (lane.parts.empty()) continue;
        if (oldest == nullptr || lane.parts.front().position < oldest->parts.front().position) {
          oldest = &lane;
          tenant = name;
        }
      }
      if (oldest == nullptr || oldest->in_flight) break;
      part = oldest->parts.front();
      // Of what is loaded a part may be delivered already.
      lines = part.lines - (oldest->loaded > 0 ? std::min(part.lines, oldest->settled) : 0);
      // Of what was given up the server may have some.
      for (const LogRequest& request : oldest->requests) oldest->offset += request.lines();
      oldest->requests.clear();
      oldest->rows.clear();
      oldest->loaded = 0;
      oldest->settled = 0;
      oldest->ends.clear();
      oldest->parts.pop_front();
      settled_[tenant] = part.position + 1;
    }
    count_dropped("queue_full", {lines, part.min_time, part.max_time}, true);
  }
}

// Writes the cursor when something moved, not too often, and gives room back.
void LogQueueImpl::advance() {
  std::uint64_t forget = 0;
  {
    std::lock_guard lock(mutex_);
    base_ = base_locked();
    forget = batches_.empty() ? base_.load() : std::min(base_.load(), batches_.front().first);
  }
  const bool moved = saved_base_ != base_ || saved_delivered_ != delivered_ || saved_dropped_ != dropped_;
  if (!moved || Steady::now() - saved_at_ < kSaveEvery) return;
  checkpoint(forget);
  saved_at_ = Steady::now();
  log_drops(false);
}

}  // namespace tocayo::agent
