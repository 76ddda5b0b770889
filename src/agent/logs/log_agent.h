// SPDX-License-Identifier: Apache-2.0
// The collector of logs: files, the machine's journal, container logs and the program's own lines, through pipelines,
// to a sink. How far each source was read is remembered after the sink has taken the lines: a crash repeats nothing
// that the sink has marks of, and loses nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/logs/log_config.h"
#include "agent/logs/log_sink.h"
#include "core/error.h"
#include "core/labels.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/client.h"
#include "logs/entry.h"

namespace tocayo::agent {

struct LogFiles {
  Labels labels;                   // beside filename and host
  std::vector<std::string> globs;  // as paths.h has them
  std::vector<std::string> exclude;
};

struct LogAgentOptions {
  std::string tenant = "anonymous";  // of the store, when that is the sink
  std::string host;                  // label host of own lines and of `files`; empty: the machine's name
  std::vector<LogFiles> files;
  std::vector<LogJob> jobs;  // beside `files`
  LogLimits limits;
  std::string positions_file;
  std::string promtail_positions;  // its file, read when ours does not exist yet
  bool own_lines = true;           // the program's own log, job="tocayo"
  std::string own_job = "tocayo";
  // On the very first start only the end of existing files is read: what is old says little and costs much. 0: all.
  std::size_t first_bytes = 64 << 10;
  std::chrono::milliseconds poll{250};
  std::chrono::milliseconds rescan{5000};  // for new files
  std::chrono::milliseconds linger{5000};  // a file whose path leads elsewhere is read on until so long nothing came
  std::size_t batch_bytes = 1 << 20;
  http::Client* client = nullptr;  // for discoveries; may be null: there are none but of files
};

// One source as it stands.
struct LogSourceStatus {
  std::string job, path;  // of the journal: "journal" or its directory; of what is pushed: where to
  Labels labels;          // of the journal and of what is pushed those that are configured
  std::uint64_t offset = 0, size = 0, lag_bytes = 0;
  std::string cursor;         // of the journal
  std::uint64_t lines = 0;    // read since the start
  TimestampMs last_line = 0;  // when one was read; 0: none yet
};

// One thread. A sink that fails makes it wait and try the same lines again (files are their own buffer); own lines
// wait in memory up to 4 MiB, then the oldest are dropped and counted.
class LogAgent {
 public:
  // Own lines are kept from here on. unavailable when the positions cannot be read.
  static Result<std::unique_ptr<LogAgent>> create(LogAgentOptions options, logs::Appender& appender, LogRules rules,
                                                  Registry& registry = Registry::global(),
                                                  const Clock& clock = Clock::system());
  // The sink is shared with whoever changes its queues.
  static Result<std::unique_ptr<LogAgent>> create(LogAgentOptions options, std::shared_ptr<LogSink> sink,
                                                  Registry& registry = Registry::global(),
                                                  const Clock& clock = Clock::system());
  virtual ~LogAgent() = default;  // stops
  virtual void start() = 0;
  // Other jobs and limits, from the next round on. Jobs that did not change go on as they are.
  virtual void apply(std::vector<LogJob> jobs, LogLimits limits) = 0;
  virtual std::vector<LogSourceStatus> sources() const = 0;
  // Hands over what is read, saves the positions, ends the thread. Idempotent.
  virtual void stop() = 0;
};

// What is read without any configuration: the journal when there is one, and those of `files` that it does not have
// (not below /var/log, or all where there is no journal); container logs where their directories are.
std::vector<LogJob> machine_log_jobs(const std::vector<std::string>& files, const std::string& host);

}  // namespace tocayo::agent
