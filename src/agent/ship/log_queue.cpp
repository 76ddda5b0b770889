// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/log_queue.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "agent/ship/log_queue_impl.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/task.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

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
    : options_(std::move(options)),
      client_(client),
      registry_(registry),
      clock_(clock),
      name_(destination.name),
      dead_letters_(options_.dir + "/dead_letters.jsonl", options_.dead_letter_limit),
      gaps_(options_.dir + "/gaps"),
      endpoint_(std::make_shared<LogEndpoint>(std::move(destination), client)),
      random_(std::random_device{}()) {
  const Labels labels{{"destination", name_}, {"signal", "logs"}};
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

LogQueueImpl::~LogQueueImpl() {
  stop(std::chrono::milliseconds(0));
  registry_.remove_collectors(this);
}

Result<> LogQueueImpl::load() {
  std::error_code error;
  std::filesystem::create_directories(options_.dir, error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  max_disk_ = disk_budget(endpoint_->destination.max_disk, options_.dir);
  journal::LocalOptions journal;
  journal.dir = options_.dir + "/journal";
  journal.mode = options_.sync;
  journal.faults = options_.faults;
  journal.segment_size = segment_size(max_disk_);
  trim_step_ = std::min<std::uint64_t>(journal.segment_size, 1 << 20);
  journal_ = TRY(journal::open_local_journal(std::move(journal)));
  partition_ = TRY(journal_->open_partition(0));
  gaps_.load();
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
  if (pending_ > 0) {
    log::info("agent", "the log queue resumes",
              {{"destination", name_}, {"lines", pending_.load()}, {"bytes", pending_bytes()}});
  }
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    const Labels labels{{"destination", name_}, {"signal", "logs"}};
    auto add = [&](std::string family, std::string help, double value) {
      auto found = std::ranges::find(families, family, &Registry::Family::name);
      if (found == families.end())
        found = families.insert(families.end(), {std::move(family), std::move(help), MetricType::gauge, {}});
      found->samples.push_back({"", labels, value});
    };
    const LogQueueStatus now = status();
    add("tocayo_agent_queue_rows", "Rows in the queue.", static_cast<double>(now.pending_lines));
    add("tocayo_agent_queue_bytes", "Bytes in the queue.", static_cast<double>(now.pending_bytes));
    add("tocayo_agent_queue_max_bytes", "Budget of the queue on disk.", static_cast<double>(now.max_disk));
    const double lag =
        now.oldest_pending == 0 ? 0 : std::max(0.0, static_cast<double>(clock_.now_ms() - now.oldest_pending) / 1000);
    add("tocayo_agent_queue_lag_seconds", "Age of the oldest row that is being sent; 0 when there is none.", lag);
  });
  thread_ = std::jthread([this](std::stop_token stop) {
    ::pthread_setname_np(::pthread_self(), "ship-logs");
    run(stop);
  });
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
  saved_at_ = Steady::now();
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
    if (since == Steady::time_point{}) pending_ += tenant.lines;
  }
}

Result<> LogQueueImpl::check_room(std::size_t bytes) {
  if (pending_bytes() + bytes <= max_disk_ || pending_ == 0) return {};
  if (endpoint()->destination.when_full == WhenFull::block)
    return fail(ErrorKind::unavailable, "the log queue of " + name_ + " is full");
  over_budget_ = true;
  wake_.notify_all();
  // While requests are under way nothing can be dropped at once; this far the queue may grow meanwhile.
  if (pending_bytes() + bytes > max_disk_ + max_disk_ / 4)
    return fail(ErrorKind::unavailable, "the log queue of " + name_ + " is full");
  return {};
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
      pending_ += lines.size();
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
  status.name = name_;
  status.directory = options_.dir;
  if (partition_) status.pending_bytes = pending_bytes();
  status.max_disk = max_disk_;
  status.retries = retries_;
  status.dead_letters = dead_lettered_;
  status.last_success = last_success_;
  status.untold_gaps = gaps_.size();
  std::lock_guard lock(mutex_);
  status.delivered = delivered_;
  status.dropped = dropped_;
  status.pending_lines = pending_;
  status.handed_in = status.delivered + status.dropped + status.pending_lines;
  status.url = public_url(endpoint_->destination.url);
  status.last_error = last_error_;
  for (const auto& [tenant, lane] : lanes_) {
    if (lane.parts.empty()) continue;
    ++status.tenants;
    const auto oldest = lane.parts.front().min_time;
    if (status.oldest_pending == 0 || oldest < status.oldest_pending) status.oldest_pending = oldest;
  }
  return status;
}

void LogQueueImpl::count_dropped(std::string_view reason, std::uint64_t lines, TimestampNs min_time,
                                 TimestampNs max_time) {
  if (lines == 0) return;
  registry_
      .counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
               {{"destination", name_}, {"signal", "logs"}, {"reason", std::string(reason)}})
      .add(static_cast<double>(lines));
  gaps_.add(reason, lines, min_time, max_time);
  {
    std::lock_guard lock(mutex_);
    dropped_ += lines;
    pending_ -= lines;
    Drop& drop = drops_[std::string(reason)];
    drop.min_time = drop.lines == 0 ? min_time : std::min(drop.min_time, min_time);
    drop.max_time = drop.lines == 0 ? max_time : std::max(drop.max_time, max_time);
    drop.lines += lines;
  }
  log_drops(false);
}

void LogQueueImpl::log_drops(bool all) {
  std::map<std::string, Drop, std::less<>> drops;
  {
    std::lock_guard lock(mutex_);
    if (drops_.empty() || (!all && Steady::now() - drops_logged_ < std::chrono::minutes(1))) return;
    drops_logged_ = Steady::now();
    drops.swap(drops_);
  }
  for (const auto& [reason, drop] : drops) {
    log::warn("agent", "log lines were dropped",
              {{"destination", name_},
               {"reason", reason},
               {"lines", drop.lines},
               {"from", format_rfc3339(drop.min_time)},
               {"to", format_rfc3339(drop.max_time)}});
  }
}

void LogQueueImpl::stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    flushing_ = true;
    ++changes_;
    wake_.notify_all();
    if (patience.count() > 0) wake_.wait_for(lock, patience, [&] { return pending_ == 0; });
  }
  thread_.request_stop();
  wake_.notify_all();
  thread_.join();
  log_drops(true);
  if (auto saved = save(); !saved)
    log::warn("agent", "the log queue's cursor was not written", {{"error", saved.error()}});
}

}  // namespace tocayo::agent
