// SPDX-License-Identifier: Apache-2.0
#include "main/agent_config.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "core/text.h"

namespace tocayo {
namespace {

Result<> add_server(const agent::ServerSettings& server, std::string_view said_by, AgentConfig& config) {
  std::string_view url = server.url;
  while (url.ends_with('/')) url.remove_suffix(1);
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    return fail(ErrorKind::bad_input, fmt::format("{} must be an http:// or https:// URL", said_by));
  agent::Destination destination;
  destination.name = "server";
  destination.url = std::string(url) + "/api/v1/push";
  destination.version = metrics::RemoteWriteVersion::v2;
  destination.negotiate = true;
  destination.queue.max_shards = 8;
  destination.queue.batch_send_deadline = std::chrono::seconds(1);
  destination.rules.external_labels = config.scrape.external_labels;
  destination.http.authorization = server.token;
  destination.http.authorization_file = server.token_file;
  destination.http.has_authorization = !server.token.empty() || !server.token_file.empty();
  config.yaml += fmt::format(
      "# {}\nremote_write:\n  - name: server\n    url: {}\n    protobuf_message: "
      "io.prometheus.write.v2.Request\n{}",
      said_by, agent::public_url(destination.url),
      destination.http.has_authorization ? "    authorization:\n      credentials: <secret>\n" : "");
  agent::LogDestination logs;
  logs.name = "server";
  logs.url = std::string(url) + "/loki/api/v1/push";
  logs.min_backoff = std::chrono::milliseconds(100);
  logs.max_backoff = std::chrono::seconds(5);
  logs.http = destination.http;
  config.logs.destinations.push_back(std::move(logs));
  config.destinations.push_back(std::move(destination));
  return {};
}

Result<> take_logs(agent::LogsConfig logs, const std::string& path, AgentConfig& config) {
  const auto twice = [&](std::string_view what, std::string_view name) {
    return fail(ErrorKind::bad_input, fmt::format("{}: another file has the {} \"{}\" too", path, what, name));
  };
  for (auto& job : logs.jobs) {
    for (const auto& other : config.logs.jobs) {
      if (other.name == job.name) return twice("log job", job.name);
    }
    config.logs.jobs.push_back(std::move(job));
  }
  for (auto& destination : logs.destinations) {
    for (const auto& other : config.logs.destinations) {
      if (other.name == destination.name) return twice("client", destination.name);
    }
    if (destination.name == "server") return fail(ErrorKind::bad_input, path + ": the name \"server\" is taken");
    config.logs.destinations.push_back(std::move(destination));
  }
  if (!logs.positions_file.empty()) config.logs.positions_file = logs.positions_file;
  if (!(logs.limits == agent::LogLimits())) config.logs.limits = logs.limits;
  return {};
}

// Each receiver has an address of its own, and `otlp` is a job among the others.
Result<> check_listeners(const AgentConfig& config) {
  std::map<std::string, std::string> taken;  // address: job
  const auto check = [&](const agent::LogJob& job) -> Result<> {
    if (!job.push) return {};
    const auto [found, fresh] = taken.emplace(job.push->address(), job.name);
    if (fresh) return {};
    return fail(ErrorKind::bad_input, fmt::format("{}: the job \"{}\" listens on {} too", job.push->place,
                                                  found->second, job.push->address()));
  };
  for (const auto& job : config.logs.jobs) {
    if (config.otlp && job.name == config.otlp->name)
      return fail(ErrorKind::bad_input,
                  fmt::format("{}: a job is called \"{}\" already", config.otlp->push->place, job.name));
    TRY(check(job));
  }
  return config.otlp ? check(*config.otlp) : Result<>();
}

Result<> apply_flags(const std::vector<std::string>& flags, std::string_view said_by, agent::HostOptions& host) {
  for (std::size_t i = 0; i < flags.size(); ++i) {
    bool used_next = false;
    const std::string* next = i + 1 < flags.size() ? &flags[i + 1] : nullptr;
    if (auto applied = host.apply_flag(flags[i], next, &used_next); !applied)
      return std::unexpected(std::move(applied.error()).with_context(said_by));
    if (used_next) ++i;
  }
  return {};
}

}  // namespace

Result<AgentConfig> read_agent_config(const AgentArguments& arguments) {
  AgentConfig config;
  std::set<std::string> jobs, names;
  std::optional<agent::HostSettings> host;
  std::optional<bool> machine_logs;
  agent::ServerSettings server;
  std::string server_said_by;
  for (const std::string& path : arguments.configs) {
    std::string text = agent::expand_environment(TRY(read_file(path, 16 << 20)));
    auto slash = path.rfind('/');
    std::string directory = slash == std::string::npos ? "" : path.substr(0, slash);
    auto file = TRY(agent::parse_agent_file(text, path, directory));
    for (auto& job : file.scrape.jobs) {
      if (!jobs.insert(job.job_name).second)
        return fail(ErrorKind::bad_input, fmt::format("{}: another file has the job \"{}\" too", path, job.job_name));
      config.scrape.jobs.push_back(std::move(job));
    }
    if (config.scrape.external_labels.empty()) config.scrape.external_labels = file.scrape.external_labels;
    for (auto* list : {&file.scrape.warnings, &file.warnings})
      config.scrape.warnings.insert(config.scrape.warnings.end(), list->begin(), list->end());
    for (auto& destination : file.destinations) {
      if (!names.insert(destination.name).second) {
        return fail(ErrorKind::bad_input,
                    fmt::format("{}: another file has the remote_write name \"{}\" too", path, destination.name));
      }
      config.destinations.push_back(std::move(destination));
    }
    if (file.host) {
      if (host) return fail(ErrorKind::bad_input, path + ": another file has settings of the host too");
      host = std::move(file.host);
    }
    if (!file.server.url.empty()) {
      if (!server.url.empty()) return fail(ErrorKind::bad_input, path + ": another file names a server too");
      server = file.server;
      server_said_by = path + ": server";
    }
    TRY(take_logs(std::move(file.logs), path, config));
    if (file.otlp) {
      if (config.otlp) return fail(ErrorKind::bad_input, path + ": another file has the section otlp too");
      config.otlp = std::move(file.otlp);
    }
    if (file.machine_logs) machine_logs = file.machine_logs;
    if (!file.log_level.empty()) config.log_level = file.log_level;
    config.files.push_back(path);
    config.files.insert(config.files.end(), file.scrape.files.begin(), file.scrape.files.end());
    config.yaml += fmt::format("# {}\n{}", path, TRY(agent::without_secrets(text, path)));
    for (const std::string& more : file.scrape.files)
      config.yaml += fmt::format("# {}\n{}", more, TRY(agent::without_secrets(TRY(read_file(more, 16 << 20)), more)));
  }
  if (!arguments.server.empty()) {  // wins over the file's
    server = {arguments.server, arguments.token, arguments.token_file};
    server_said_by = "--server";
  }
  if (!server.url.empty()) {
    if (!names.insert("server").second)
      return fail(ErrorKind::bad_input, "the remote_write name \"server\" is that of " + server_said_by);
    TRY(add_server(server, server_said_by, config));
  }
  // The machine's logs where nothing else is said; a promtail file says which it wants.
  config.machine_logs = machine_logs.value_or(!server.url.empty() && config.logs.jobs.empty());
  if (arguments.no_host_logs) config.machine_logs = false;
  config.host_metrics = host ? host->enabled : !server.url.empty();
  if (arguments.host_metrics) config.host_metrics = true;
  if (arguments.no_host_metrics) config.host_metrics = false;
  config.instance = arguments.instance;
  if (host) {
    config.host_job = host->job;
    if (config.instance.empty()) config.instance = host->instance;
    TRY(apply_flags(host->flags, "host", config.host));
  }
  TRY(apply_flags(arguments.host_flags, "arguments", config.host));
  if (config.host.textfile_directories.size() > 16)
    return fail(ErrorKind::bad_input, "more than 16 textfile directories");
  config.host_settings = fmt::format("{} {} {}", config.host_metrics, config.host_job, config.instance);
  if (host) config.host_settings += fmt::format(" {}", fmt::join(host->flags, "\n"));
  if (config.destinations.empty() && config.logs.destinations.empty() && arguments.node_exporter_compat.empty()) {
    return fail(ErrorKind::bad_input,
                "there is nowhere to send to: give --server URL, or a configuration file with remote_write or clients");
  }
  if (config.logs.destinations.empty() && (!config.logs.jobs.empty() || config.otlp || config.machine_logs)) {
    return fail(ErrorKind::bad_input, "there is nowhere to send logs to: give --server URL, or clients in a file");
  }
  TRY(check_listeners(config));
  return config;
}

}  // namespace tocayo
