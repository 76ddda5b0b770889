// SPDX-License-Identifier: Apache-2.0
#include "main/agent_logs.h"

#include <algorithm>
#include <filesystem>

#include "core/log.h"

namespace tocayo {

namespace {
// What every distribution writes without a journal.
const std::vector<std::string> kMachineFiles = {"/var/log/*.log", "/var/log/syslog", "/var/log/messages"};
}  // namespace

Result<> AgentLogs::prepare(AgentConfig& config) {
  if (config.otlp) config.logs.jobs.push_back(std::move(*config.otlp));
  config.otlp.reset();
  return receivers_.prepare(config.logs.jobs);
}

Result<> AgentLogs::apply_queues(const AgentConfig& config) {
  std::map<std::string, std::shared_ptr<agent::LogQueue>> opened;
  for (const auto& destination : config.logs.destinations) {
    if (queues_.contains(destination.name)) continue;
    agent::LogQueueOptions options;
    options.dir = data_dir_ + "/log-queues/" + agent::directory_name(destination.name);
    options.user_agent = user_agent_;
    options.host = config.instance;
    opened[destination.name] = std::shared_ptr(TRY(agent::LogQueue::open(std::move(options), destination, client_)));
  }
  std::map<std::string, std::shared_ptr<agent::LogQueue>> next;
  agent::QueueSink::Queues list;
  for (const auto& destination : config.logs.destinations) {
    const auto known = queues_.find(destination.name);
    if (known != queues_.end()) known->second->reconfigure(destination);
    auto& queue = next[destination.name] = known != queues_.end() ? known->second : opened[destination.name];
    list.push_back(queue);
  }
  sink_->set(std::move(list));
  queues_.swap(next);
  for (auto& [name, queue] : next) {
    if (queues_.contains(name)) continue;
    if (queue->status().pending_lines > 0)
      log::warn("agent", "a client is gone from the configuration; its queue stays on disk", {{"destination", name}});
    queue->stop(std::chrono::milliseconds(0));
  }
  return {};
}

Result<> AgentLogs::apply_jobs(const AgentConfig& config) {
  std::vector<agent::LogJob> jobs = config.logs.jobs;
  const std::string host = config.instance;
  if (config.machine_logs) {
    for (auto& job : agent::machine_log_jobs(kMachineFiles, host)) {
      const bool taken = std::ranges::any_of(jobs, [&](const auto& other) { return other.name == job.name; });
      if (!taken) jobs.push_back(std::move(job));
    }
  }
  std::lock_guard lock(mutex_);
  if (agent_ != nullptr) {
    agent_->apply(std::move(jobs), config.logs.limits);
    return receivers_.commit();
  }
  if (jobs.empty()) return receivers_.commit();
  std::error_code code;
  std::filesystem::create_directories(data_dir_ + "/logs", code);
  if (code) return std::unexpected(error_from_errno("create " + data_dir_ + "/logs", code.value()));
  agent::LogAgentOptions options;
  options.host = host;
  options.jobs = std::move(jobs);
  options.limits = config.logs.limits;
  options.positions_file = data_dir_ + "/logs/positions";
  options.promtail_positions = config.logs.positions_file;
  options.own_lines = config.machine_logs;
  options.own_job = "tocayo-agent";
  // A file that says what to read means all of it.
  if (!config.machine_logs) options.first_bytes = 0;
  options.client = &client_;
  agent_ = TRY(agent::LogAgent::create(std::move(options), sink_));
  agent_->start();
  return receivers_.commit();
}

void AgentLogs::stop(std::chrono::milliseconds patience) {
  receivers_.stop(std::chrono::seconds(2));
  {
    std::lock_guard lock(mutex_);
    if (agent_ != nullptr) agent_->stop();
  }
  const auto until = std::chrono::steady_clock::now() + patience;
  for (auto& [name, queue] : queues_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    queue->stop(std::max(left, std::chrono::milliseconds(0)));
  }
}

std::vector<agent::LogSourceStatus> AgentLogs::sources() const {
  std::lock_guard lock(mutex_);
  return agent_ == nullptr ? std::vector<agent::LogSourceStatus>() : agent_->sources();
}

std::vector<agent::LogQueueStatus> AgentLogs::queues() const {
  std::vector<agent::LogQueueStatus> out;
  for (const auto& queue : sink_->queues()) out.push_back(queue->status());
  return out;
}

}  // namespace tocayo
