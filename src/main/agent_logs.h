// SPDX-License-Identifier: Apache-2.0
// The logs half of `tocayo agent`: queues to other servers and the collector that fills them.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/logs/log_agent.h"
#include "agent/logs/log_sink.h"
#include "agent/ship/log_queue.h"
#include "core/error.h"
#include "core/pool.h"
#include "http/client.h"
#include "main/agent_config.h"
#include "main/agent_receivers.h"

namespace tocayo {

// apply() from one thread at a time; the rest from any.
class AgentLogs {
 public:
  AgentLogs(std::string data_dir, std::string user_agent, http::Client& client, Pool& compute)
      : data_dir_(std::move(data_dir)), user_agent_(std::move(user_agent)), client_(client), receivers_(compute) {}

  // Binds what the configuration listens on; on an error nothing has changed. First of the three.
  Result<> prepare(AgentConfig& config);
  // Opens the queues that the configuration names. All or nothing: those of before stay when one cannot be opened.
  Result<> apply_queues(const AgentConfig& config);
  // Starts the collector, or gives it other jobs. Only a listener that had to be closed and opened can fail here.
  Result<> apply_jobs(const AgentConfig& config);
  // Reads what was written up to now, then sends for up to `patience`.
  void stop(std::chrono::milliseconds patience);

  std::vector<agent::LogSourceStatus> sources() const;
  std::vector<agent::LogQueueStatus> queues() const;

 private:
  const std::string data_dir_, user_agent_;
  http::Client& client_;
  mutable std::mutex mutex_;                                                       // agent_
  std::map<std::string, std::shared_ptr<agent::LogQueue>> queues_;                 // shared with the sink
  std::shared_ptr<agent::QueueSink> sink_ = std::make_shared<agent::QueueSink>();  // shared with the collector
  std::unique_ptr<agent::LogAgent> agent_;
  AgentReceivers receivers_;
};

}  // namespace tocayo
