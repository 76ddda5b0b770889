// SPDX-License-Identifier: Apache-2.0
// The sender's thread of a log queue: a lane for each tenant, read a request's worth, send it, move the cursor.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "agent/ship/answer.h"
#include "agent/ship/log_queue_impl.h"
#include "agent/ship/ship_queue.h"
#include "core/log.h"
#include "core/task.h"
#include "core/text.h"
#include "metrics/snappy_block.h"

namespace tocayo::agent {
namespace {

constexpr auto kSaveEvery = std::chrono::milliseconds(250);
constexpr std::size_t kLoadFactor = 4;  // requests' worth that a lane holds in memory
constexpr std::size_t kLineOverhead = 24;
constexpr unsigned kHopeless = 64;      // single lines refused in a row: what is left of the request goes whole
constexpr int kBlockedIngestion = 260;  // Loki's: taken and thrown away, so that nobody retries
constexpr std::size_t kMaxDeadLine = 64 << 10;

Task<Result<http::ClientResponse>> exchange(std::shared_ptr<LogEndpoint> to, http::Client& client,
                                            http::ClientRequest request, Context context) {
  CO_TRY_VOID(co_await to->identity.apply(request, context));
  co_return co_await client.send(std::move(request), context);
}

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
    advance(false);
    if (stop.stop_requested() && in_flight == 0) return;
    auto due = Steady::time_point::max();
    const auto now = Steady::now();
    std::uint64_t seen = 0;
    {
      std::lock_guard lock(mutex_);
      seen = changes_;
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
      return changes_ != seen || (over_budget_ && in_flight == 0);
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
    log::error("agent", "the log queue cannot be read", {{"destination", name_}, {"error", read.error()}});
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
    count_dropped("damaged", wanted[0].lines, wanted[0].min_time, wanted[0].max_time);
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
  http::ClientRequest request;
  request.method = "POST";
  request.url = to->destination.url;
  request.timeout = to->destination.timeout;
  request.body = metrics::snappy_block_encode(encode_push_request(lane.requests.front().items));
  request.max_response_bytes = 1 << 20;
  request.headers.add("Content-Type", "application/x-protobuf");
  request.headers.add("User-Agent", options_.user_agent);
  number_request(lane, request);
  const std::string& org = tenant.empty() ? to->destination.tenant : tenant;
  if (!org.empty()) request.headers.add("X-Scope-OrgID", org);
  for (const auto& [name, value] : to->destination.headers) request.headers.set(name, value);
  requests_->add();
  bytes_total_->add(static_cast<double>(request.body.size()));
  const auto began = Steady::now();
  spawn<Reply>(exchange(to, client_, std::move(request), Context(stop, Steady::time_point::max())),
               [this, tenant, began](Reply reply) {
                 request_seconds_->observe(std::chrono::duration<double>(Steady::now() - began).count());
                 // Notified under the lock: once it is free the queue may be gone.
                 std::lock_guard lock(mutex_);
                 replies_.emplace_back(tenant, std::move(reply));
                 wake_.notify_all();
               });
}

// What a server that knows numbered requests needs to know a repeated one, and what it has to be told. The lines of a
// lane are counted on, also over those that are dropped, so that a number never means two things.
void LogQueueImpl::number_request(LogLane& lane, http::ClientRequest& request) {
  if (lane.name.empty()) lane.name = to_hex(random_bytes(16));
  request.headers.add("X-Tocayo-Sequence",
                      fmt::format("queue={}; window=1; nonce={:016x}; lane=0; begin={}; end={}", lane.name, 1,
                                  lane.offset, lane.offset + lane.requests.front().lines()));
  lane.told_gaps.clear();
  if (!numbered_ || telling_) return;
  for (const Gap& gap : gaps_.due(Steady::now())) {
    request.headers.add("X-Tocayo-Gap", gap_header(gap, "logs", options_.host));
    lane.told_gaps.push_back(gap.id);
  }
  telling_ = !lane.told_gaps.empty();
}

void LogQueueImpl::heed_sequence(LogLane& lane, const http::ClientResponse& reply) {
  if (!reply.headers.has("X-Tocayo-Sequence")) return;
  numbered_ = true;
  if (reply.status / 100 != 2 || lane.told_gaps.empty()) return;
  std::size_t count = 0;
  const std::string_view text = reply.headers.get("X-Tocayo-Gaps-Recorded");
  std::from_chars(text.data(), text.data() + text.size(), count);
  gaps_.recorded(std::span(lane.told_gaps).first(std::min(count, lane.told_gaps.size())));
  if (auto saved = gaps_.save(); !saved)
    log::warn("agent", "the gaps of the log queue were not written",
              {{"destination", name_}, {"error", saved.error()}});
}

void LogQueueImpl::handle(const std::string& tenant, LogLane& lane, Reply reply) {
  lane.in_flight = false;
  if (!lane.told_gaps.empty()) telling_ = false;
  if (reply) heed_sequence(lane, *reply);
  lane.told_gaps.clear();
  if (!reply) return retry(lane, reply.error().message, std::chrono::milliseconds(0));
  const int status = reply->status;
  if (status / 100 == 2) {
    last_success_ = clock_.now_ms();
    {
      std::lock_guard lock(mutex_);
      last_error_.clear();
    }
    lane.refused = 0;
    if (status == kBlockedIngestion) {
      dead_letter(tenant, lane.requests.front(), status, "the server blocks ingestion");
      settle(lane, false);
    } else {
      settle(lane, true);
    }
    return;
  }
  std::string problem = "the server answered " + std::to_string(status);
  if (std::string text = first_line(reply->body); !text.empty()) problem += ": " + text;
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
    pending_ -= lines;
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
  ++retries_;
  retries_total_->add();
  const auto to = endpoint();
  std::int64_t limit = to->destination.max_backoff.count();
  if (lane.attempts < 20) limit = std::min(limit, to->destination.min_backoff.count() << lane.attempts);
  ++lane.attempts;
  const std::chrono::milliseconds jitter(
      std::uniform_int_distribution<std::int64_t>(limit / 2, std::max<std::int64_t>(1, limit))(random_));
  const auto now = Steady::now();
  lane.not_before = now + std::max(retry_after, jitter);
  if (now - complained_ > std::chrono::minutes(1)) {
    complained_ = now;
    log::warn("agent", "cannot deliver log lines, will try again",
              {{"destination", name_}, {"error", problem}, {"queued_bytes", pending_bytes()}});
  }
  std::lock_guard lock(mutex_);
  last_error_ = std::move(problem);
}

// The server will not take the front request as it is: halve it until the lines it dislikes stand alone. A server that
// kept the good lines of a refused request stores them once all the same.
void LogQueueImpl::refuse(const std::string& tenant, LogLane& lane, int status, const std::string& reason) {
  {
    std::lock_guard lock(mutex_);
    last_error_ = reason;
  }
  if (lane.requests.front().lines() > 1 && (lane.refused < kHopeless || status == 413)) return halve(lane);
  ++lane.refused;
  dead_letter(tenant, lane.requests.front(), status, reason);
  settle(lane, false);
}

void LogQueueImpl::halve(LogLane& lane) {
  LogRequest& whole = lane.requests.front();
  LogRequest first;
  auto wanted = whole.lines() / 2;
  std::size_t next = 0;
  while (wanted > 0) {
    LogItem& item = whole.items[next];
    LogItem part = item;
    part.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, item.count));
    item.begin += part.count;
    item.count -= part.count;
    wanted -= part.count;
    first.items.push_back(part);
    if (item.count == 0) ++next;
  }
  whole.items.erase(whole.items.begin(), whole.items.begin() + static_cast<std::ptrdiff_t>(next));
  lane.requests.push_front(std::move(first));
}

void LogQueueImpl::dead_letter(const std::string& tenant, const LogRequest& request, int status,
                               const std::string& reason) {
  TimestampMs first = 0, last = 0;
  bool any = false;
  Result<> written;
  for (const LogItem& item : request.items) {
    for (std::uint32_t i = item.begin; i < item.begin + item.count; ++i) {
      const auto& row = item.rows->entries[i];
      const TimestampMs time = row.time / 1'000'000;
      first = any ? std::min(first, time) : time;
      last = any ? std::max(last, time) : time;
      any = true;
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
  if (!written)
    log::error("agent", "the dead-letter file cannot be written", {{"destination", name_}, {"error", written.error()}});
  const auto lines = request.lines();
  dead_total_->add(static_cast<double>(lines));
  dead_lettered_ += lines;
  count_dropped(status == kBlockedIngestion ? "blocked" : "refused", lines, first, last);
}

// Leaves a tenth of the budget free, so that this is not done for every append. What is under way stays.
void LogQueueImpl::drop_oldest() {
  over_budget_ = false;
  const std::uint64_t keep = max_disk_ - max_disk_ / 10;
  for (;;) {
    LogPart part;
    std::string tenant;
    std::uint64_t lines = 0;
    {
      std::lock_guard lock(mutex_);
      base_ = base_locked();
      if (pending_bytes() <= keep) break;
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
    count_dropped("queue_full", lines, part.min_time, part.max_time);
  }
}

// Writes the cursor when something moved, not too often, and gives room back.
void LogQueueImpl::advance(bool at_once) {
  std::uint64_t forget = 0;
  {
    std::lock_guard lock(mutex_);
    base_ = base_locked();
    forget = batches_.empty() ? base_.load() : std::min(base_.load(), batches_.front().first);
  }
  const bool moved = saved_base_ != base_ || saved_delivered_ != delivered_ || saved_dropped_ != dropped_;
  if (!moved || (!at_once && Steady::now() - saved_at_ < kSaveEvery)) return;
  if (auto saved = save(); !saved) {
    saved_at_ = Steady::now();
    log::error("agent", "the log queue's cursor was not written; after a restart lines will be sent again",
               {{"destination", name_}, {"error", saved.error()}});
    return;
  }
  log_drops(false);
  // A trim costs a new file; what has been sent may lie there for a while.
  if (forget <= partition_->first() || forget - partition_->first() < trim_step_) return;
  if (auto trimmed = partition_->trim(forget); !trimmed)
    log::warn("agent", "the log queue was not trimmed", {{"destination", name_}, {"error", trimmed.error()}});
}

}  // namespace tocayo::agent
