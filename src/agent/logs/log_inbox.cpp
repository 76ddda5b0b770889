// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/log_inbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/logs/log_sink.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kMostStreams = 50'000;  // remembered
constexpr std::size_t kMostMessages = 10;
constexpr std::string_view kClosed = "the collector is stopping, or no longer has this receiver";

}  // namespace

LogInbox::LogInbox(std::string job, PushSettings settings, std::vector<RelabelRule> rules, Registry& registry)
    : job_(std::move(job)),
      settings_(std::move(settings)),
      rules_(std::move(rules)),
      requests_(registry.counter("tocayo_agent_log_requests_total", "Requests that senders of log lines made.",
                                 {{"job", job_}})),
      lines_(registry.counter("tocayo_agent_log_received_lines_total",
                              "Lines that were pushed to this collector, without those that were refused.",
                              {{"job", job_}})),
      refused_(registry.counter("tocayo_agent_log_refused_requests_total",
                                "Requests that were answered to come again later.", {{"job", job_}})),
      too_long_(registry.counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
                                 {{"destination", "local"}, {"signal", "logs"}, {"reason", "line_too_long"}})) {}

LogInbox::~LogInbox() { close(); }

LogInbox::Stream LogInbox::make_stream(std::string_view tenant, const Labels& given) const {
  Labels labels = given;
  for (const Label& label : settings_.labels) labels.set(label.name, label.value);
  if (labels.empty() && settings_.protocol == PushSettings::Protocol::otlp)
    labels.set("service_name", "unknown_service");
  if (!relabel(labels, rules_)) return {};
  Labels shown = without_hidden(labels);
  if (shown.empty()) return {.labels = nullptr, .nameless = true};
  if (!tenant.empty()) shown.set(kTenantLabel, tenant);
  return {.labels = std::make_shared<const Labels>(std::move(shown))};
}

LogInbox::Stream LogInbox::stream(std::string_view tenant, logs::StreamRows& rows) {
  const auto number = static_cast<std::uint32_t>(rows.ref);
  {
    std::lock_guard lock(mutex_);
    if (rows.ref >> 32 == generation_ && number > 0 && number <= streams_.size()) return streams_[number - 1];
  }
  Stream made = make_stream(tenant, *rows.labels);
  std::lock_guard lock(mutex_);
  if (streams_.size() >= kMostStreams) {
    streams_.clear();
    ++generation_;
  }
  streams_.push_back(made);
  rows.ref = generation_ << 32 | streams_.size();
  return made;
}

Task<Result<logs::AppendResult>> LogInbox::append(std::string_view tenant, std::span<logs::StreamRows> streams) {
  auto item = std::make_unique<Item>();
  item->timed = settings_.keep_time || settings_.protocol == PushSettings::Protocol::syslog;
  logs::AppendResult result;
  logs::AppendResult::Rejected nameless{"missing_labels", 0, 0}, long_lines{"line_too_long", 0, 0};
  const auto limit = max_line_.load();
  std::uint32_t at = 0;
  for (auto& rows : streams) {
    const Stream known = stream(tenant, rows);
    const auto place = at++;
    if (known.nameless) {
      nameless.lines += rows.entries.size();
      for (const auto& entry : rows.entries) nameless.bytes += entry.line.size();
      result.places.push_back({place, logs::AppendResult::kAll, nameless.reason});
      if (result.messages.size() < kMostMessages)
        result.messages.emplace_back("error at least one label pair is required per stream");
    }
    if (known.labels == nullptr) continue;
    for (std::uint32_t i = 0; i < rows.entries.size(); ++i) {
      const auto& entry = rows.entries[i];
      if (limit > 0 && entry.line.size() > limit) {
        ++long_lines.lines;
        long_lines.bytes += entry.line.size();
        result.places.push_back({place, i, long_lines.reason});
        if (result.messages.size() < kMostMessages)
          result.messages.push_back(
              fmt::format("max entry size '{}' bytes exceeded for stream '{}' while adding an "
                          "entry with length '{}' bytes",
                          limit, rows.labels->to_string(false), entry.line.size()));
        continue;
      }
      LogLine line;
      line.labels = known.labels;
      line.time = entry.time;
      line.text = entry.line;
      for (const auto& pair : entry.metadata)
        line.metadata.push_back({std::string(pair.name), std::string(pair.value)});
      item->bytes += line.text.size() + 64;
      item->lines.push_back(std::move(line));
    }
  }
  result.lines_written = item->lines.size();
  for (const auto& rejected : {nameless, long_lines}) {
    if (rejected.lines > 0) result.rejected.push_back(rejected);
  }
  auto done = co_await put(std::move(item));
  if (!done) co_return std::unexpected(std::move(done.error()));
  too_long_.add(static_cast<double>(long_lines.lines));
  lines_.add(static_cast<double>(result.lines_written));
  co_return result;
}

Task<Result<>> LogInbox::append_text(std::string_view tenant, std::string_view text) {
  if (settings_.labels.empty())
    co_return fail(ErrorKind::bad_input, fmt::format("the job {} gives plain lines no label", job_));
  Labels labels = settings_.labels;
  if (!tenant.empty()) labels.set(kTenantLabel, tenant);
  const auto shared = std::make_shared<const Labels>(std::move(labels));
  auto item = std::make_unique<Item>();
  for (auto line : split(text, '\n')) {
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    LogLine one;
    one.labels = shared;
    one.text = line;
    item->bytes += line.size() + 64;
    item->lines.push_back(std::move(one));
  }
  const auto count = item->lines.size();
  auto done = co_await put(std::move(item));
  if (done) lines_.add(static_cast<double>(count));
  co_return done;
}

Task<Result<>> LogInbox::put(std::unique_ptr<Item> item) {
  requests_.add();
  if (item->lines.empty()) co_return Result<>();
  item->since = std::chrono::steady_clock::now();
  auto done = co_await completion<Result<>>([self = shared_from_this(), item = std::move(item)](auto complete) mutable {
    std::optional<Error> refused;
    {
      std::lock_guard lock(self->mutex_);
      if (self->closed_) {
        refused = Error{.kind = ErrorKind::unavailable, .message = std::string(kClosed)};
      } else if (self->refusing_) {
        refused = self->refusing_;
      } else {
        item->complete = complete;
        self->waiting_.push_back(std::move(item));
        if (self->wake_) self->wake_();
      }
    }
    if (refused) complete(std::unexpected(std::move(*refused)));
  });
  if (!done) refused_.add();
  co_return done;
}

void LogInbox::attach(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

LogInbox::Items LogInbox::take(std::size_t bytes) {
  Items out;
  std::lock_guard lock(mutex_);
  for (std::size_t taken = 0; taken < bytes && !waiting_.empty();) {
    taken += waiting_.front()->bytes;
    out.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return out;
}

bool LogInbox::empty() const {
  std::lock_guard lock(mutex_);
  return waiting_.empty();
}

void LogInbox::refuse(const Error& error) {
  std::deque<std::unique_ptr<Item>> waiting;
  {
    std::lock_guard lock(mutex_);
    refusing_ = error;
    waiting.swap(waiting_);
  }
  for (auto& item : waiting) item->complete(std::unexpected(error));
}

void LogInbox::admit() {
  std::lock_guard lock(mutex_);
  refusing_.reset();
}

void LogInbox::close() {
  std::deque<std::unique_ptr<Item>> waiting;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    wake_ = {};
    waiting.swap(waiting_);
  }
  const Error error{.kind = ErrorKind::unavailable, .message = std::string(kClosed)};
  for (auto& item : waiting) item->complete(std::unexpected(error));
}

}  // namespace tocayo::agent
