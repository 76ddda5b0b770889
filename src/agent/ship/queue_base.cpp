// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/queue_base.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/log.h"
#include "core/task.h"
#include "metrics/snappy_block.h"

namespace tocayo::agent {
namespace {

Task<Result<http::ClientResponse>> exchange(std::shared_ptr<HttpIdentity> identity, http::Client& client,
                                            http::ClientRequest request, Context context) {
  CO_TRY_VOID(co_await identity->apply(request, context));
  co_return co_await client.send(std::move(request), context);
}

}  // namespace

void Drop::add(const Drop& more) {
  if (more.rows == 0) return;
  min_time = rows == 0 ? more.min_time : std::min(min_time, more.min_time);
  max_time = rows == 0 ? more.max_time : std::max(max_time, more.max_time);
  rows += more.rows;
}

QueueBase::QueueBase(QueueOptions options, std::string name, const QueueWords& words, http::Client& client,
                     Registry& registry, Clock& clock)
    : options_(std::move(options)),
      name_(std::move(name)),
      words_(words),
      client_(client),
      registry_(registry),
      clock_(clock),
      dead_letters_(options_.dir + "/dead_letters.jsonl", options_.dead_letter_limit),
      gaps_(options_.dir + "/gaps"),
      random_(std::random_device{}()) {
  const Labels labels{{"destination", name_}, {"signal", std::string(words_.signal)}};
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

Result<> QueueBase::open_files(std::uint64_t max_disk) {
  std::error_code error;
  std::filesystem::create_directories(options_.dir, error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  max_disk_ = disk_budget(max_disk, options_.dir);
  journal::LocalOptions journal;
  journal.dir = options_.dir + "/journal";
  journal.mode = options_.sync;
  journal.faults = options_.faults;
  journal.segment_size = segment_size(max_disk_);
  trim_step_ = std::min<std::uint64_t>(journal.segment_size, 1 << 20);
  journal_ = TRY(journal::open_local_journal(std::move(journal)));
  partition_ = TRY(journal_->open_partition(0));
  gaps_.load();
  return {};
}

void QueueBase::start(const char* thread_name) {
  if (pending_ > 0) {
    log::info("agent", fmt::format("the {} resumes", words_.queue),
              {{"destination", name_}, {words_.rows, pending_.load()}, {"bytes", pending_bytes()}});
  }
  thread_ = std::jthread([this, thread_name](std::stop_token stop) {
    ::pthread_setname_np(::pthread_self(), thread_name);
    run(stop);
  });
}

void QueueBase::finish(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    flushing_ = true;
    wake_.notify_all();
    if (patience.count() > 0) wake_.wait_for(lock, patience, [&] { return all_sent(); });
  }
  thread_.request_stop();
  wake_.notify_all();
  thread_.join();
  log_drops(true);
  if (auto saved = save(); !saved)
    log::warn("agent", fmt::format("the {} was not written", words_.cursor), {{"error", saved.error()}});
}

Result<> QueueBase::room_for(std::uint64_t bytes, WhenFull when_full) {
  bytes += pending_bytes();
  if (bytes <= max_disk_) return {};
  if (when_full == WhenFull::drop_oldest) {
    over_budget_ = true;
    wake_.notify_all();
    // While requests are under way nothing can be dropped at once; this far the queue may grow meanwhile.
    if (bytes <= max_disk_ + max_disk_ / 4) return {};
  }
  return fail(ErrorKind::unavailable, fmt::format("the {} of {} is full", words_.queue, name_));
}

void QueueBase::count_dropped(std::string_view reason, const Drop& drop, bool queued) {
  if (drop.rows == 0) return;
  registry_
      .counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
               {{"destination", name_}, {"signal", std::string(words_.signal)}, {"reason", std::string(reason)}})
      .add(static_cast<double>(drop.rows));
  gaps_.add(reason, drop.rows, drop.min_time, drop.max_time);
  {
    std::lock_guard lock(mutex_);
    dropped_ += drop.rows;
    if (queued) pending_ -= static_cast<std::int64_t>(drop.rows);
    drops_[std::string(reason)].add(drop);
  }
  log_drops(false);
}

void QueueBase::log_drops(bool all) {
  std::map<std::string, Drop, std::less<>> drops;
  {
    std::lock_guard lock(mutex_);
    if (drops_.empty() || (!all && Steady::now() - drops_logged_ < std::chrono::minutes(1))) return;
    drops_logged_ = Steady::now();
    drops.swap(drops_);
  }
  for (const auto& [reason, drop] : drops) {
    log::warn("agent", words_.dropped,
              {{"destination", name_},
               {"reason", reason},
               {words_.rows, drop.rows},
               {"from", format_rfc3339(drop.min_time)},
               {"to", format_rfc3339(drop.max_time)}});
  }
}

void QueueBase::checkpoint(std::uint64_t forget) {
  if (auto saved = save(); !saved) {
    log::error("agent",
               fmt::format("the {} was not written; after a restart {} will be sent again", words_.cursor, words_.rows),
               {{"destination", name_}, {"error", saved.error()}});
    return;
  }
  // A trim costs a new file; what has been sent may lie there for a while.
  if (forget < partition_->first() + trim_step_) return;
  if (auto trimmed = partition_->trim(forget); !trimmed)
    log::warn("agent", fmt::format("the {} was not trimmed", words_.queue),
              {{"destination", name_}, {"error", trimmed.error()}});
}

void QueueBase::log_unreadable(const Error& why) const {
  log::error("agent", fmt::format("the {} cannot be read", words_.queue), {{"destination", name_}, {"error", why}});
}

void QueueBase::describe(QueueFacts& facts) const {
  facts.name = name_;
  facts.directory = options_.dir;
  if (partition_) facts.pending_bytes = pending_bytes();
  facts.max_disk = max_disk_;
  facts.delivered = delivered_;
  facts.dropped = dropped_;
  facts.retries = retries_;
  facts.dead_letters = dead_lettered_;
  facts.untold_gaps = gaps_.size();
  facts.last_success = last_success_;
  facts.last_error = last_error_;
}

void QueueBase::add_gauge(std::vector<Registry::Family>& families, std::string name, std::string help,
                          double value) const {
  auto found = std::ranges::find(families, name, &Registry::Family::name);
  if (found == families.end())
    found = families.insert(families.end(), {std::move(name), std::move(help), MetricType::gauge, {}});
  found->samples.push_back({"", {{"destination", name_}, {"signal", std::string(words_.signal)}}, value});
}

void QueueBase::add_gauges(std::vector<Registry::Family>& families, std::uint64_t rows, const QueueFacts& facts) const {
  add_gauge(families, "tocayo_agent_queue_rows", "Rows in the queue.", static_cast<double>(rows));
  add_gauge(families, "tocayo_agent_queue_bytes", "Bytes in the queue.", static_cast<double>(facts.pending_bytes));
  add_gauge(families, "tocayo_agent_queue_max_bytes", "Budget of the queue on disk.",
            static_cast<double>(facts.max_disk));
  const double lag =
      facts.oldest_pending == 0 ? 0 : std::max(0.0, static_cast<double>(clock_.now_ms() - facts.oldest_pending) / 1000);
  add_gauge(families, "tocayo_agent_queue_lag_seconds",
            "Age of the oldest row that is being sent; 0 when there is none.", lag);
}

http::ClientRequest QueueBase::post(const std::string& url, std::chrono::milliseconds timeout, std::string_view body,
                                    std::string content_type) const {
  http::ClientRequest request;
  request.method = "POST";
  request.url = url;
  request.timeout = timeout;
  request.body = metrics::snappy_block_encode(body);
  request.max_response_bytes = 1 << 20;
  request.headers.add("Content-Type", std::move(content_type));
  request.headers.add("User-Agent", options_.user_agent);
  return request;
}

void QueueBase::send(std::shared_ptr<HttpIdentity> identity, http::ClientRequest request,
                     const std::map<std::string, std::string>& headers, std::stop_token stop,
                     std::function<void(Reply)> take) {
  for (const auto& [name, value] : headers) request.headers.set(name, value);
  requests_->add();
  bytes_total_->add(static_cast<double>(request.body.size()));
  const auto began = Steady::now();
  spawn<Reply>(exchange(std::move(identity), client_, std::move(request), Context(stop, Steady::time_point::max())),
               [this, began, take = std::move(take)](Reply reply) {
                 request_seconds_->observe(std::chrono::duration<double>(Steady::now() - began).count());
                 // Notified under the lock: once it is free the queue may be gone.
                 std::lock_guard lock(mutex_);
                 take(std::move(reply));
                 wake_.notify_all();
               });
}

void QueueBase::carry_gaps(LaneState& lane, http::ClientRequest& request) {
  lane.told_gaps.clear();
  if (!numbered_ || telling_) return;
  for (const Gap& gap : gaps_.due(Steady::now())) {
    request.headers.add("X-Tocayo-Gap", gap_header(gap, words_.signal, options_.host));
    lane.told_gaps.push_back(gap.id);
  }
  telling_ = !lane.told_gaps.empty();
}

bool QueueBase::heed_gaps(const LaneState& lane, const http::ClientResponse& reply) {
  numbered_ = true;
  if (reply.status / 100 != 2 || lane.told_gaps.empty()) return false;
  std::size_t count = 0;
  const std::string_view text = reply.headers.get("X-Tocayo-Gaps-Recorded");
  std::from_chars(text.data(), text.data() + text.size(), count);
  gaps_.recorded(std::span(lane.told_gaps).first(std::min(count, lane.told_gaps.size())));
  return true;
}

void QueueBase::note_success(LaneState& lane) {
  last_success_ = clock_.now_ms();
  lane.refused = 0;
  note_error({});
}

void QueueBase::note_error(std::string problem) {
  std::lock_guard lock(mutex_);
  last_error_ = std::move(problem);
}

std::chrono::milliseconds QueueBase::note_retry(LaneState& lane, std::string problem,
                                                std::chrono::milliseconds min_backoff,
                                                std::chrono::milliseconds max_backoff) {
  ++retries_;
  retries_total_->add();
  if (may_complain()) {
    log::warn("agent", words_.cannot_deliver,
              {{"destination", name_}, {"error", problem}, {"queued_bytes", pending_bytes()}});
  }
  note_error(std::move(problem));
  if (lane.attempts >= 20) return max_backoff;
  return std::min(max_backoff, min_backoff * (std::int64_t{1} << lane.attempts++));
}

bool QueueBase::may_complain() {
  const auto now = Steady::now();
  if (now - complained_ <= std::chrono::minutes(1)) return false;
  complained_ = now;
  return true;
}

std::chrono::milliseconds QueueBase::random_time(std::chrono::milliseconds least, std::chrono::milliseconds most) {
  return std::chrono::milliseconds(
      std::uniform_int_distribution<std::int64_t>(least.count(), std::max<std::int64_t>(1, most.count()))(random_));
}

void QueueBase::count_dead_letters(std::uint64_t rows, const Result<>& written) {
  if (!written)
    log::error("agent", "the dead-letter file cannot be written", {{"destination", name_}, {"error", written.error()}});
  dead_total_->add(static_cast<double>(rows));
  dead_lettered_ += rows;
}

}  // namespace tocayo::agent
