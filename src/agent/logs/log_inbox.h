// SPDX-License-Identifier: Apache-2.0
// The way in of a job that lines are pushed to. A request is answered when the sink has all its lines (or the pipeline
// has left them out), or when it is sure that the sink has none of them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/logs/line.h"
#include "agent/logs/push_config.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/relabel.h"
#include "core/task.h"
#include "logs/entry.h"

namespace tocayo::agent {

// Held by shared pointers: requests under way outlive a reload. append() from any thread; attach() and what follows are
// the collector's.
class LogInbox final : public logs::Appender, public std::enable_shared_from_this<LogInbox> {
 public:
  // One request. Its lines have the numbers [first, last) among those of the job.
  struct Item {
    std::vector<LogLine> lines;  // until they are run
    bool timed = false;          // they have the sender's times; else they get one when they are run
    std::size_t bytes = 0;
    std::uint64_t first = 0, last = 0;
    bool partly = false;  // some of its lines may be in the sink: a refusal would double them
    std::chrono::steady_clock::time_point since;
    std::function<void(Result<>)> complete;  // once
  };
  using Items = std::vector<std::unique_ptr<Item>>;

  LogInbox(std::string job, PushSettings settings, std::vector<RelabelRule> rules,
           Registry& registry = Registry::global());
  ~LogInbox() override;

  // Streams as a sender wrote them; `tenant` "" is that of the destination. The job's labels are put on, then its rules
  // apply. Rejected: streams without any label, lines over the limit. unavailable: nothing of it was taken, or it is
  // not known soon enough (README.md).
  Task<Result<logs::AppendResult>> append(std::string_view tenant, std::span<logs::StreamRows> streams) override;
  // Lines of plain text, with the job's labels alone. bad_input when it has none.
  Task<Result<>> append_text(std::string_view tenant, std::string_view text);

  const PushSettings& settings() const { return settings_; }
  // Longer lines are rejected; 0: none are.
  void set_max_line(std::size_t bytes) { max_line_ = bytes; }

  // `wake` is called after something came in, from any thread.
  void attach(std::function<void()> wake);
  // What came in, oldest first, until `bytes` are reached.
  Items take(std::size_t bytes);
  bool empty() const;
  // The sink does not take lines now: what waits is answered so, and what comes, until admit().
  void refuse(const Error& error);
  void admit();
  // For good.
  void close();

 private:
  struct Stream {
    std::shared_ptr<const Labels> labels;  // shared by its lines; null: a rule dropped it
    bool nameless = false;
  };
  Stream make_stream(std::string_view tenant, const Labels& given) const;
  Stream stream(std::string_view tenant, logs::StreamRows& rows);
  Task<Result<>> put(std::unique_ptr<Item> item);

  const std::string job_;
  const PushSettings settings_;
  const std::vector<RelabelRule> rules_;
  Counter &requests_, &lines_, &refused_, &too_long_;
  std::atomic<std::size_t> max_line_{0};
  mutable std::mutex mutex_;
  std::vector<Stream> streams_;   // by the low half of a ref, less one
  std::uint64_t generation_ = 1;  // the high half
  std::deque<std::unique_ptr<Item>> waiting_;
  std::optional<Error> refusing_;
  bool closed_ = false;
  std::function<void()> wake_;
};

}  // namespace tocayo::agent
