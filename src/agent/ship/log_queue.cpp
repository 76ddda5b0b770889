// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/log_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/ship/log_queue_impl.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/task.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr QueueWords kWords{.signal = "logs",
                            .queue = "log queue",
                            .cursor = "log queue's cursor",
                            .rows = "lines",
                            .dropped = "log lines were dropped",
                            .cannot_deliver = "cannot deliver log lines, will try again"};

constexpr std::size_t kMaxCursor = 4 << 20;

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  return bad == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::unique_ptr<LogQueue>> LogQueue::open(LogQueueOptions options, LogDestination destination,
                                                 http::Client& client, Registry& registry, Clock& clock) {
  auto queue = std::make_unique<LogQueueImpl>(std::move(options), std::move(destination), client, registry, clock);
  if (auto loaded = queue->load(); !loaded)
    return std::unexpected(std::move(loaded.error()).with_context("open the log queue of " + queue->status().name));
  return queue;
}

LogQueueImpl::LogQueueImpl(LogQueueOptions options, LogDestination destination, http::Client& client,
                           Registry& registry, Clock& clock)
    : QueueBase(std::move(options), destination.name, kWords, client, registry, clock),
      endpoint_(std::make_shared<LogEndpoint>(std::move(destination), client)) {}

LogQueueImpl::~LogQueueImpl() {
  stop(std::chrono::milliseconds(0));
  registry_.remove_collectors(this);
}

Result<> LogQueueImpl::load() {
  TRY(open_files(endpoint_->destination.max_disk));
  TRY(load_cursor());
  TRY(partition_->read(partition_->first(), [&](const journal::Record& record) -> Result<> {
    auto head = decode_log_head(record.payload);
    if (!head) {
      log::error("agent", "skipped a damaged record of the log queue", {{"destination", name_}});
      return {};
    }
    batches_.emplace_back(record.position, head->batch);
    if (record.position >= base_) add_part(*head, record.position, {});
    marks_.push_back({head->batch, std::move(head->marks)});
    return {};
  }));
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    const LogQueueStatus now = status();
    add_gauges(families, now.pending_lines, now);
  });
  start("ship-logs");
  return {};
}

// Lines: "logs 1 <base> <delivered> <dropped>", "<settled> <tenant>" …, "crc <crc32c of what stands before>".
Result<> LogQueueImpl::load_cursor() {
  base_ = partition_->first();
  const std::string path = options_.dir + "/cursor";
  auto text = read_file(path, kMaxCursor);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return {};
    return std::unexpected(std::move(text.error()));
  }
  const auto end = text->rfind("crc ");
  const bool whole =
      end != std::string::npos && text->substr(end) == fmt::format("crc {:08x}\n", crc32c(text->substr(0, end)));
  std::uint64_t base = 0, delivered = 0, dropped = 0;
  bool first = true, good = whole;
  if (whole) {
    for (const auto line : split(std::string_view(*text).substr(0, end), '\n')) {
      if (line.empty()) continue;
      const auto parts = split(line, ' ');
      if (first) {
        first = false;
        good = parts.size() == 5 && parts[0] == "logs" && parts[1] == "1" && number(parts[2], base) &&
               number(parts[3], delivered) && number(parts[4], dropped);
        if (!good) break;
        continue;
      }
      std::uint64_t settled = 0;
      if (!number(parts[0], settled)) continue;
      settled_[std::string(line.substr(std::min(line.size(), parts[0].size() + 1)))] = settled;
    }
  }
  if (!good || first) {
    log::error("agent", "the log queue's cursor is damaged; everything still queued is sent again", {{"file", path}});
    settled_.clear();
    return {};
  }
  // After a power cut the journal may end before a cursor that was written later.
  base_ = std::clamp(base, partition_->first(), partition_->next());
  delivered_ = saved_delivered_ = delivered;
  dropped_ = saved_dropped_ = dropped;
  saved_base_ = base_;
  return {};
}

Result<> LogQueueImpl::save() {
  std::string text;
  std::uint64_t base = 0;
  // Of a record that is not wholly settled everything is sent again after a crash, and counted then.
  std::uint64_t again_delivered = 0, again_dropped = 0;
  {
    std::lock_guard lock(mutex_);
    base = base_locked();
    for (const auto& [tenant, lane] : lanes_) {
      for (const auto& [lines, good] : lane.ends) (good ? again_delivered : again_dropped) += lines;
    }
  }
  const std::uint64_t delivered = delivered_, dropped = dropped_;
  text = fmt::format("logs 1 {} {} {}\n", base, delivered - again_delivered, dropped - again_dropped);
  std::erase_if(settled_, [&](const auto& entry) { return entry.second <= base; });
  for (const auto& [tenant, settled] : settled_) text += fmt::format("{} {}\n", settled, tenant);
  text += fmt::format("crc {:08x}\n", crc32c(text));
  TRY(gaps_.save());
  TRY(replace_file(options_.dir + "/cursor", text, true));
  saved_base_ = base;
  saved_delivered_ = delivered;
  saved_dropped_ = dropped;
  base_ = base;
  return {};
}

std::uint64_t LogQueueImpl::base_locked() const {
  std::uint64_t base = std::min(appending_, partition_->next());
  for (const auto& [tenant, lane] : lanes_) {
    if (!lane.parts.empty()) base = std::min(base, lane.parts.front().position);
  }
  return base;
}

// With the lock, or before the thread begins.
void LogQueueImpl::add_part(const LogRecordHead& head, std::uint64_t position, Steady::time_point since) {
  for (const auto& tenant : head.tenants) {
    if (since == Steady::time_point{}) {
      const auto settled = settled_.find(tenant.tenant);
      if (settled != settled_.end() && position < settled->second) continue;
    }
    lanes_[tenant.tenant].parts.push_back({.position = position,
                                           .lines = tenant.lines,
                                           .bytes = tenant.bytes,
                                           .min_time = tenant.min_time / 1'000'000,
                                           .max_time = tenant.max_time / 1'000'000,
                                           .since = since});
    if (since == Steady::time_point{}) pending_ += static_cast<std::int64_t>(tenant.lines);
  }
}

Result<> LogQueueImpl::check_room(std::size_t bytes) {
  if (pending_ == 0) return {};
  return room_for(bytes, endpoint()->destination.when_full);
}

Result<> LogQueueImpl::append(std::uint64_t batch, const LogMarks& marks, std::span<const ShipLine> lines) {
  const auto to = endpoint();
  const std::string record = encode_log_record(batch, marks, lines, to->destination.external_labels);
  TRY(check_room(record.size()));
  {
    std::lock_guard lock(mutex_);
    appending_ = partition_->next();
  }
  auto appended = sync_wait(partition_->append(kLogRecord, record));
  {
    std::lock_guard lock(mutex_);
    appending_ = UINT64_MAX;
    if (appended) {
      auto head = decode_log_head(record);
      if (head) add_part(*head, *appended, Steady::now());
      batches_.emplace_back(*appended, batch);
      pending_ += static_cast<std::int64_t>(lines.size());
      ++changes_;
    }
  }
  if (!appended) return fail(ErrorKind::unavailable, "log queue for " + name_ + ": " + appended.error().message);
  handed_in_->add(static_cast<double>(lines.size()));
  wake_.notify_all();
  return {};
}

std::vector<LogBatchMarks> LogQueueImpl::marks_after(std::uint64_t batch) const {
  std::vector<LogBatchMarks> out;
  std::ranges::copy_if(marks_, std::back_inserter(out), [&](const auto& one) { return one.batch > batch; });
  return out;
}

void LogQueueImpl::remembered(std::uint64_t batch) {
  std::lock_guard lock(mutex_);
  while (!batches_.empty() && batches_.front().second <= batch) batches_.pop_front();
}

std::shared_ptr<LogEndpoint> LogQueueImpl::endpoint() const {
  std::lock_guard lock(mutex_);
  return endpoint_;
}

void LogQueueImpl::reconfigure(LogDestination destination) {
  auto fresh = std::make_shared<LogEndpoint>(std::move(destination), client_);
  std::lock_guard lock(mutex_);
  endpoint_ = std::move(fresh);
  ++changes_;
  wake_.notify_all();
}

LogQueueStatus LogQueueImpl::status() const {
  LogQueueStatus status;
  std::lock_guard lock(mutex_);
  describe(status);
  status.pending_lines = static_cast<std::uint64_t>(pending_.load());
  status.handed_in = status.delivered + status.dropped + status.pending_lines;
  status.url = public_url(endpoint_->destination.url);
  for (const auto& [tenant, lane] : lanes_) {
    if (lane.parts.empty()) continue;
    ++status.tenants;
    const auto oldest = lane.parts.front().min_time;
    if (status.oldest_pending == 0 || oldest < status.oldest_pending) status.oldest_pending = oldest;
  }
  return status;
}

}  // namespace tocayo::agent
