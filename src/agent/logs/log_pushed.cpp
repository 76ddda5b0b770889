// SPDX-License-Identifier: Apache-2.0
// Lines that are pushed: through the pipelines into the batch, and what their senders are told.
#include <algorithm>
#include <set>
#include <utility>

#include "agent/logs/log_agent_impl.h"

namespace tocayo::agent {

namespace {

// After so long a sender is told to come again, though its lines may be on their way: stages may hold them, or one of
// several queues may have them.
constexpr auto kPatience = std::chrono::seconds(30);

}  // namespace

LogAgentImpl::Pushed::~Pushed() {
  if (inbox == nullptr) return;
  inbox->close();
  for (auto& item : open) item->complete(fail(ErrorKind::unavailable, "the collector is stopping"));
}

bool LogAgentImpl::read_pushed(Job& job) {
  Pushed& pushed = *job.pushed;
  for (auto& item : pushed.inbox->take(options_.batch_bytes)) {
    item->first = pushed.next;
    item->last = pushed.next + item->lines.size();
    for (auto& line : std::exchange(item->lines, {})) {
      if (!item->timed) {
        last_time_ = std::max(now(), last_time_ + 1);
        line.time = last_time_;
      }
      line.origin = {pushed.id, pushed.next, pushed.next + 1};
      ++pushed.next;
      job.pipeline->take(std::move(line));
    }
    pushed.lines += item->last - item->first;
    pushed.last_line = clock_.now_ms();
    pushed.open.push_back(std::move(item));
  }
  return !pushed.inbox->empty();
}

// After a hand-over: whoever's lines are all through is done.
void LogAgentImpl::settle_pushed(const std::map<std::uint32_t, std::uint64_t>& held, bool handed_over) {
  for (auto& job : jobs_) {
    if (!job->pushed || job->pushed->open.empty()) continue;
    Pushed& pushed = *job->pushed;
    const auto first = held.find(pushed.id);
    const auto safe = first == held.end() ? pushed.next : first->second;
    while (!pushed.open.empty() && pushed.open.front()->last <= safe) {
      auto item = std::move(pushed.open.front());
      pushed.open.pop_front();
      item->complete({});
    }
    for (auto& item : pushed.open) item->partly = item->partly || handed_over;
  }
}

// The sink does not take the batch. When it has no part of it, the requests whose lines are in it and nowhere else are
// taken out and refused: their senders keep them.
void LogAgentImpl::refuse_pushed(const Error& error) {
  for (auto& job : jobs_) {
    if (job->pushed) job->pushed->inbox->refuse(error);
  }
  if (!sink_->untouched()) return;
  std::map<std::uint32_t, std::uint64_t> held;
  for (auto& job : jobs_) job->pipeline->held(held);
  for (auto& job : jobs_) {
    if (!job->pushed || job->pushed->open.empty()) continue;
    Pushed& pushed = *job->pushed;
    const auto first = held.find(pushed.id);
    const auto safe = first == held.end() ? pushed.next : first->second;
    for (auto& item : pushed.open) item->partly = item->partly || item->last > safe;
    const auto is_inside = [&](const LogLine& line, const LogInbox::Item& item) {
      return line.origin.begin < item.last && line.origin.end > item.first;
    };
    // Lines that stages joined out of several requests cannot be taken apart.
    for (const LogLine& line : batch_) {
      if (line.origin.source != pushed.id || line.origin.end - line.origin.begin <= 1) continue;
      std::vector<LogInbox::Item*> parts;
      for (auto& item : pushed.open) {
        if (is_inside(line, *item)) parts.push_back(item.get());
      }
      if (parts.size() <= 1) continue;
      for (auto* item : parts) item->partly = true;
    }
    std::vector<std::unique_ptr<LogInbox::Item>> refused;
    std::deque<std::unique_ptr<LogInbox::Item>> kept;
    for (auto& item : pushed.open) {
      if (item->partly) {
        kept.push_back(std::move(item));
      } else {
        refused.push_back(std::move(item));
      }
    }
    pushed.open = std::move(kept);
    std::erase_if(batch_, [&](const LogLine& line) {
      if (line.origin.source != pushed.id) return false;
      // Both are in the order of their numbers only as long as no stage changes it.
      const bool out = std::ranges::any_of(refused, [&](const auto& item) { return is_inside(line, *item); });
      if (out) batch_bytes_ -= std::min(batch_bytes_, line.text.size() + 64);
      return out;
    });
    for (auto& item : refused) item->complete(std::unexpected(error));
  }
}

void LogAgentImpl::admit_pushed() {
  for (auto& job : jobs_) {
    if (job->pushed) job->pushed->inbox->admit();
  }
}

void LogAgentImpl::expire_pushed() {
  for (auto& job : jobs_) {
    if (!job->pushed) continue;
    auto& open = job->pushed->open;
    while (!open.empty() && SteadyClock::now() - open.front()->since > kPatience) {
      auto item = std::move(open.front());
      open.pop_front();
      item->complete(fail(ErrorKind::unavailable, "the lines are not in the queue yet"));
    }
  }
}

}  // namespace tocayo::agent
