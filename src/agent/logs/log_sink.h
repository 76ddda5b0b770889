// SPDX-License-Identifier: Apache-2.0
// Where collected lines go: the store of this program, or queues that lead to other servers.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/logs/line.h"
#include "agent/ship/log_queue.h"
#include "core/error.h"
#include "core/registry.h"
#include "logs/entry.h"

namespace tocayo::agent {

// What the door of the server adds to lines that are pushed, given by who knows the door.
struct LogRules {
  std::function<void(Labels& labels)> label;                     // service_name
  std::function<std::string_view(std::string_view line)> level;  // detected_level; views of constants
};

// Called by one thread.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // Blocks until the lines are kept for good, with the marks where the sink keeps such: all or nothing. unavailable,
  // limit: try the same again. Lines that will never be taken are counted as dropped by the sink, and are no error.
  virtual Result<> put(std::uint64_t batch, const LogMarks& marks, std::span<const LogLine> lines) = 0;
  // After a put that failed: nothing of that batch was kept, so that a part of it may be left out of the next attempt.
  virtual bool untouched() const { return false; }
  // Marks that were kept with batches after `batch`, in order; and the number of the last one.
  virtual std::uint64_t recover(std::uint64_t batch, const std::function<void(const LogMarks&)>& apply) {
    (void)apply;
    return batch;
  }
  // The positions file takes account of all batches up to this one.
  virtual void remembered(std::uint64_t) {}
};

// `tenant` is that of lines which no stage gave another. The appender must outlive the sink.
std::unique_ptr<LogSink> store_sink(logs::Appender& appender, LogRules rules, std::string tenant,
                                    Registry& registry = Registry::global());

// Hands every batch to each queue. Into one queue every line comes exactly once, over crashes too. Of several, a crash
// between two of them gives the first ones the last batch twice.
class QueueSink final : public LogSink {
 public:
  using Queues = std::vector<std::shared_ptr<LogQueue>>;  // shared with a put under way, which may outlive a reload
  void set(Queues queues);
  Queues queues() const;
  Result<> put(std::uint64_t batch, const LogMarks& marks, std::span<const LogLine> lines) override;
  bool untouched() const override { return done_.empty(); }
  std::uint64_t recover(std::uint64_t batch, const std::function<void(const LogMarks&)>& apply) override;
  void remembered(std::uint64_t batch) override;

 private:
  mutable std::mutex mutex_;
  Queues queues_;
  // Of the batch being put: those that have it.
  std::uint64_t putting_ = 0;
  std::vector<const LogQueue*> done_;
};

}  // namespace tocayo::agent
