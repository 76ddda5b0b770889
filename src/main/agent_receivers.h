// SPDX-License-Identifier: Apache-2.0
// The listeners of `tocayo agent` for log lines that are pushed: Loki's push API and OpenTelemetry over HTTP. They
// decode as the server does; an inbox of the collector takes the lines.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/logs/log_config.h"
#include "core/error.h"
#include "core/pool.h"

namespace tocayo {

// One thread at a time.
class AgentReceivers {
 public:
  // The pool must outlive this.
  explicit AgentReceivers(Pool& compute);
  ~AgentReceivers();

  // Gives the jobs with `push` their inboxes (those that did not change keep theirs) and binds addresses that are new.
  // On an error everything is as before; it names the job's place.
  Result<> prepare(std::vector<agent::LogJob>& jobs);
  // After the collector took these jobs: closes what is not listened to any more, and lets changed jobs answer.
  Result<> commit();
  // Answers what is under way. The collector must still run.
  void stop(std::chrono::milliseconds grace);

 private:
  class Listener;
  struct Target;
  using Targets = std::map<std::string, std::shared_ptr<Target>>;  // by address; shared with requests under way

  Pool& compute_;
  std::map<std::string, std::unique_ptr<Listener>> listeners_;  // by address
  Targets targets_, next_;
  std::map<std::string, std::unique_ptr<Listener>> opened_;
};

}  // namespace tocayo
