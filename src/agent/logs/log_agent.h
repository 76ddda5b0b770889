// SPDX-License-Identifier: Apache-2.0
// The embedded collector of logs: files of this machine and the program's own lines, appended to the log store
// in-process. What was read is remembered after the store has acknowledged it: a crash repeats nothing beyond the last
// second (the store drops what it has already) and loses nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/registry.h"
#include "core/time.h"
#include "logs/entry.h"

namespace tocayo::agent {

struct LogFiles {
  Labels labels;                   // beside filename and host
  std::vector<std::string> globs;  // paths with *, ? and [ ]
  std::vector<std::string> exclude;
};

struct LogAgentOptions {
  std::string tenant = "anonymous";
  std::string host;  // label host; empty: the machine's name
  std::vector<LogFiles> files;
  std::string positions_file;
  bool own_lines = true;  // the program's own log, job="tocayo"
  // On the very first start only the end of existing files is read: what is old says little and costs much.
  std::size_t first_bytes = 64 << 10;
  std::chrono::milliseconds poll{250};
  std::chrono::milliseconds rescan{5000};  // for new files
  std::size_t batch_bytes = 1 << 20;
};

// What the door of the server adds to lines that are pushed, given by who knows the door.
struct LogRules {
  std::function<void(Labels& labels)> label;                     // service_name
  std::function<std::string_view(std::string_view line)> level;  // detected_level; views of constants
};

// One thread. A store that fails makes it wait and try the same lines again (files are their own buffer); own lines
// wait in memory up to 4 MiB, then the oldest are dropped and counted.
class LogAgent {
 public:
  // Own lines are kept from here on. unavailable when the positions cannot be read.
  static Result<std::unique_ptr<LogAgent>> create(LogAgentOptions options, logs::Appender& appender, LogRules rules,
                                                  Registry& registry = Registry::global(),
                                                  const Clock& clock = Clock::system());
  virtual ~LogAgent() = default;  // stops
  virtual void start() = 0;
  // Hands over what is read, saves the positions, ends the thread. Idempotent.
  virtual void stop() = 0;
};

}  // namespace tocayo::agent
