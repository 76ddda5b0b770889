// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/log.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

std::string absolute(const std::string& directory, const std::string& path) {
  return path.empty() || path.starts_with('/') || directory.empty() ? path : directory + "/" + path;
}

Result<> check_flags(yaml::Fields& fields, const std::string& key, const std::vector<std::string>& flags) {
  HostOptions options;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    bool used_next = false;
    const std::string* next = i + 1 < flags.size() ? &flags[i + 1] : nullptr;
    if (auto applied = options.apply_flag(flags[i], next, &used_next); !applied)
      return std::unexpected(fields.error(key, applied.error().message));
    if (used_next) ++i;
  }
  return {};
}

// Keys that say nothing here; one warning names those that the file has.
Result<> ignore(yaml::Fields& fields, std::initializer_list<const char*> keys, std::string_view where, AgentFile& out) {
  std::vector<std::string> found;
  for (const char* key : keys) {
    if (fields.has(key)) found.emplace_back(key);
  }
  if (!found.empty())
    out.warnings.push_back(fmt::format("{}: {}{} has no meaning here", fields.file(), where, fmt::join(found, ", ")));
  return {};
}

// Jobs of promtail have keys that those of Prometheus cannot have.
bool reads_files(const YAML::Node& jobs) {
  if (!jobs.IsDefined() || !jobs.IsSequence()) return false;
  for (const auto& job : jobs) {
    if (!job.IsMap()) continue;
    for (const char* key :
         {"pipeline_stages", "journal", "loki_push_api", "syslog", "kubernetes_pods", "docker_containers"}) {
      if (job[key]) return true;
    }
    const YAML::Node groups = job["static_configs"];
    if (!groups.IsDefined() || !groups.IsSequence()) continue;
    for (const auto& group : groups) {
      if (group.IsMap() && group["labels"] && group["labels"].IsMap() && group["labels"]["__path__"]) return true;
    }
  }
  return false;
}

AgentFileKind kind_of(const YAML::Node& root) {
  if (!root.IsMap()) return AgentFileKind::prometheus;
  if (root["metrics"] || root["integrations"]) return AgentFileKind::grafana_agent;
  if (root["logs"] && root["logs"].IsMap() && root["logs"]["configs"]) return AgentFileKind::grafana_agent;
  if (root["clients"] || root["client"] || root["positions"]) return AgentFileKind::promtail;
  if (reads_files(root["scrape_configs"])) return AgentFileKind::promtail;
  if (root["host"] || root["server"] || root["logs"] || root["otlp"]) return AgentFileKind::tocayo;
  return AgentFileKind::prometheus;
}

// The parts of a Prometheus file, as a document of their own; nodes keep their places in the file.
YAML::Node prometheus_part(const YAML::Node& global, const YAML::Node& scrape_configs, const YAML::Node& remote_write,
                           const YAML::Node& scrape_config_files = {}) {
  YAML::Node part(YAML::NodeType::Map);
  if (global.IsDefined() && !global.IsNull()) part["global"] = global;
  if (scrape_configs.IsDefined() && !scrape_configs.IsNull()) part["scrape_configs"] = scrape_configs;
  if (remote_write.IsDefined() && !remote_write.IsNull()) part["remote_write"] = remote_write;
  if (scrape_config_files.IsDefined() && !scrape_config_files.IsNull())
    part["scrape_config_files"] = scrape_config_files;
  return part;
}

Result<> read_prometheus(const YAML::Node& root, const std::string& file, const std::string& directory,
                         AgentFile& out) {
  out.scrape = TRY(parse_scrape_node(root, file, directory));
  std::erase_if(out.scrape.warnings,
                [](const std::string& text) { return text.find(" remote_write ") != std::string::npos; });
  out.destinations = TRY(parse_remote_write_node(root, file, directory));
  return {};
}

// `server:` of Grafana's files.
Result<> read_server(yaml::Fields& fields, AgentFile& out) {
  if (!fields.has("server")) return {};
  const std::string& file = fields.file();
  yaml::Fields server(fields.get("server"), file);
  TRY(server.open());
  TRY(server.read("log_level", out.log_level));
  if (!out.log_level.empty() && !log::parse_level(out.log_level))
    return std::unexpected(server.error("log_level", "debug, info, warn or error is expected"));
  out.warnings.push_back(fmt::format("{}: of server only log_level is read; the address is that of --listen", file));
  return {};
}

// ---- logs

constexpr const char* kLogKeys[] = {"client",         "clients",       "positions",
                                    "scrape_configs", "target_config", "limits_config"};

Result<> read_promtail(const YAML::Node& root, const std::string& file, const std::string& directory, AgentFile& out) {
  yaml::Fields fields(root, file);
  TRY(fields.open());
  TRY(read_server(fields, out));
  TRY(ignore(fields, {"options", "tracing", "wal"}, "", out));
  for (const char* key : kLogKeys) (void)fields.get(key);
  TRY(fields.finish());
  out.logs = TRY(parse_logs_node(root, file, directory, out.warnings));
  return {};
}

Result<> read_own_logs(const YAML::Node& node, const std::string& file, const std::string& directory, AgentFile& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  if (fields.has("machine")) {
    out.machine_logs.emplace();
    TRY(fields.read("machine", *out.machine_logs));
  }
  for (const char* key : kLogKeys) (void)fields.get(key);
  TRY(fields.finish());
  out.logs = TRY(parse_logs_node(node, file, directory, out.warnings));
  return {};
}

// Grafana Agent's: several configurations, each as promtail has it; they share one collector here.
Result<> read_agent_logs(const YAML::Node& node, const std::string& file, const std::string& directory,
                         AgentFile& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  YAML::Node global_clients;
  if (fields.has("global")) {
    yaml::Fields global(fields.get("global"), file);
    TRY(global.open());
    if (global.has("clients")) global_clients.reset(global.get("clients"));
    TRY(ignore(global, {"file_watch_config"}, "logs.global: ", out));
    TRY(global.finish());
  }
  (void)fields.get("positions_directory");  // each configuration's file is named in it; ours is in the data directory
  const YAML::Node configs = fields.get("configs");
  TRY(fields.finish());
  if (!configs.IsDefined() || configs.IsNull()) return {};
  if (!configs.IsSequence()) return std::unexpected(fields.error("configs", "a list is expected"));
  std::string clients_text;
  bool first = true;
  for (const auto& config : configs) {
    yaml::Fields one(config, file);
    TRY(one.open());
    std::string name;
    TRY(one.read("name", name));
    for (const char* key : kLogKeys) (void)one.get(key);
    TRY(one.finish());
    YAML::Node part(YAML::NodeType::Map);
    for (const auto& entry : config) {
      if (entry.first.Scalar() != "name") part.force_insert(entry.first, entry.second);
    }
    const YAML::Node own = one.get("clients");
    const bool has_own = own.IsDefined() && !own.IsNull();
    const bool has_global = global_clients.IsDefined() && !global_clients.IsNull();
    if (!has_own && has_global) part["clients"] = global_clients;
    auto logs = TRY(parse_logs_node(part, file, directory, out.warnings));
    const std::string text = has_own ? YAML::Dump(own) : has_global ? YAML::Dump(global_clients) : "";
    if (!first && text != clients_text)
      return std::unexpected(
          yaml::error_at(config, file, "configurations of logs that send to different places need a collector each"));
    for (auto& job : logs.jobs) {
      const bool taken =
          std::ranges::any_of(out.logs.jobs, [&](const LogJob& other) { return other.name == job.name; });
      if (taken) job.name = name + "/" + job.name;
      out.logs.jobs.push_back(std::move(job));
    }
    if (first) {
      out.logs.destinations = std::move(logs.destinations);
      out.logs.positions_file = std::move(logs.positions_file);
      out.logs.limits = logs.limits;
      clients_text = text;
    } else if (!(logs.limits == out.logs.limits)) {
      return std::unexpected(yaml::error_at(config, file, "limits_config must be the same in all configurations"));
    }
    first = false;
  }
  return {};
}

// ---- our own

Result<> read_host(const YAML::Node& node, const std::string& file, const std::string& directory, AgentFile& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  HostSettings host;
  TRY(fields.read("enabled", host.enabled));
  TRY(fields.read("job", host.job));
  TRY(fields.read("instance", host.instance));
  TRY(fields.read("flags", host.flags));
  TRY(check_flags(fields, "flags", host.flags));
  std::vector<std::string> directories;
  TRY(fields.read("textfile_directories", directories));
  for (const std::string& path : directories)
    host.flags.push_back("--collector.textfile.directory=" + absolute(directory, path));
  if (YAML::Node collectors = fields.get("collectors"); collectors.IsDefined() && !collectors.IsNull()) {
    if (!collectors.IsMap())
      return std::unexpected(fields.error("collectors", "a mapping is expected: the collector's name, true or false"));
    yaml::Fields names(collectors, file);
    for (const auto& entry : collectors) {
      const std::string name = entry.first.Scalar();
      bool on = true;
      TRY(names.read(name, on));
      std::string flag = (on ? "--collector." : "--no-collector.") + name;
      TRY(check_flags(names, name, {flag}));
      host.flags.push_back(std::move(flag));
    }
  }
  TRY(fields.finish());
  out.host = std::move(host);
  return {};
}

Result<> read_server(const YAML::Node& node, const std::string& file, const std::string& directory, AgentFile& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("url", out.server.url));
  TRY(fields.read("token", out.server.token));
  TRY(fields.read("token_file", out.server.token_file));
  out.server.token_file = absolute(directory, out.server.token_file);
  TRY(fields.finish());
  if (!out.server.token.empty() && !out.server.token_file.empty())
    return std::unexpected(fields.error("token_file", "token and token_file are two ways to say one thing"));
  if (out.server.url.empty()) return std::unexpected(yaml::error_at(node, file, "server: url is missing"));
  return {};
}

Result<> read_own(const YAML::Node& root, const std::string& file, const std::string& directory, AgentFile& out) {
  yaml::Fields fields(root, file);
  TRY(fields.open());
  if (fields.has("host")) TRY(read_host(fields.get("host"), file, directory, out));
  if (fields.has("server")) TRY(read_server(fields.get("server"), file, directory, out));
  TRY(fields.read("log_level", out.log_level));
  if (!out.log_level.empty() && !log::parse_level(out.log_level))
    return std::unexpected(fields.error("log_level", "debug, info, warn or error is expected"));
  if (fields.has("logs")) TRY(read_own_logs(fields.get("logs"), file, directory, out));
  if (fields.get("otlp").IsDefined()) out.otlp = TRY(parse_otlp(fields.get("otlp"), file, directory));
  YAML::Node part = prometheus_part(fields.get("global"), fields.get("scrape_configs"), fields.get("remote_write"),
                                    fields.get("scrape_config_files"));
  TRY(fields.finish());
  return read_prometheus(part, file, directory, out);
}

// ---- Grafana Agent, static mode

// Options of its node_exporter integration that are a flag of node_exporter with a value.
struct Option {
  const char* key;
  const char* flag;
};
constexpr Option kNodeExporterOptions[] = {
    {"procfs_path", "path.procfs"},
    {"sysfs_path", "path.sysfs"},
    {"rootfs_path", "path.rootfs"},
    {"udev_data_path", "path.udev.data"},
    {"textfile_directory", "collector.textfile.directory"},
    {"diskstats_device_exclude", "collector.diskstats.device-exclude"},
    {"diskstats_device_include", "collector.diskstats.device-include"},
    {"diskstats_ignored_devices", "collector.diskstats.device-exclude"},
    {"filesystem_mount_points_exclude", "collector.filesystem.mount-points-exclude"},
    {"filesystem_ignored_mount_points", "collector.filesystem.mount-points-exclude"},
    {"filesystem_fs_types_exclude", "collector.filesystem.fs-types-exclude"},
    {"filesystem_ignored_fs_types", "collector.filesystem.fs-types-exclude"},
    {"netclass_ignored_devices", "collector.netclass.ignored-devices"},
    {"netdev_device_exclude", "collector.netdev.device-exclude"},
    {"netdev_device_include", "collector.netdev.device-include"},
    {"netdev_device_blacklist", "collector.netdev.device-exclude"},
    {"netdev_device_whitelist", "collector.netdev.device-include"},
    {"netstat_fields", "collector.netstat.fields"},
    {"powersupply_ignored_supplies", "collector.powersupply.ignored-supplies"},
    {"systemd_unit_include", "collector.systemd.unit-include"},
    {"systemd_unit_exclude", "collector.systemd.unit-exclude"},
    {"systemd_unit_whitelist", "collector.systemd.unit-include"},
    {"systemd_unit_blacklist", "collector.systemd.unit-exclude"},
    {"tapestats_ignored_devices", "collector.tapestats.ignored-devices"},
    {"vmstat_fields", "collector.vmstat.fields"},
    {"cpu_flags_include", "collector.cpu.info.flags-include"},
    {"cpu_bugs_include", "collector.cpu.info.bugs-include"},
};
constexpr Option kNodeExporterSwitches[] = {
    {"enable_cpu_info_metrics", "collector.cpu.info"},
    {"disable_cpu_guest_seconds_metric", "no-collector.cpu.guest"},
    {"enable_restarts_metrics", "collector.systemd.enable-restarts-metrics"},
    {"systemd_enable_restarts_metrics", "collector.systemd.enable-restarts-metrics"},
    {"systemd_enable_start_time_metrics", "collector.systemd.enable-start-time-metrics"},
    {"systemd_enable_task_metrics", "collector.systemd.enable-task-metrics"},
    {"netclass_ignore_invalid_speed_device", "collector.netclass.ignore-invalid-speed"},
};

Result<> read_node_exporter(const YAML::Node& node, const std::string& file, AgentFile& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  HostSettings host;
  host.enabled = false;  // as there: it has to be asked for
  host.job = "integrations/node_exporter";
  TRY(fields.read("enabled", host.enabled));
  TRY(fields.read("instance", host.instance));
  std::vector<std::string> only, on, off;
  TRY(fields.read("set_collectors", only));
  TRY(fields.read("enable_collectors", on));
  TRY(fields.read("disable_collectors", off));
  auto add = [&](const std::string& key, std::string flag) -> Result<> {
    TRY(check_flags(fields, key, {flag}));
    host.flags.push_back(std::move(flag));
    return {};
  };
  for (const Option& option : kNodeExporterOptions) {
    std::string value;
    TRY(fields.read(option.key, value));
    if (!value.empty()) TRY(add(option.key, fmt::format("--{}={}", option.flag, value)));
  }
  for (const Option& option : kNodeExporterSwitches) {
    bool wanted = false;
    TRY(fields.read(option.key, wanted));
    if (wanted) TRY(add(option.key, fmt::format("--{}", option.flag)));
  }
  for (const std::string& name : only) TRY(add("set_collectors", "--collector." + name));
  if (!only.empty()) TRY(add("set_collectors", "--collector.disable-defaults"));
  for (const std::string& name : on) TRY(add("enable_collectors", "--collector." + name));
  for (const std::string& name : off) TRY(add("disable_collectors", "--no-collector." + name));
  for (const char* key : {"relabel_configs", "metric_relabel_configs"}) {
    if (YAML::Node rules = fields.get(key); rules.IsDefined() && rules.IsSequence() && rules.size() > 0)
      return std::unexpected(
          fields.error(key, "is not supported for this machine's own metrics; write_relabel_configs is"));
  }
  TRY(ignore(fields,
             {"scrape_integration", "scrape_interval", "scrape_timeout", "include_exporter_metrics",
              "wal_truncate_frequency", "extra_labels"},
             "integrations.node_exporter: ", out));
  TRY(fields.finish());
  out.host = std::move(host);
  return {};
}

Result<> read_integrations(const YAML::Node& node, const std::string& file, AgentFile& out, YAML::Node& remote_write) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  if (fields.has("node_exporter")) TRY(read_node_exporter(fields.get("node_exporter"), file, out));
  if (fields.has("prometheus_remote_write")) remote_write.reset(fields.get("prometheus_remote_write"));
  (void)fields.get("agent");  // the collector's own metrics: always there
  TRY(ignore(
      fields,
      {"scrape_integrations", "replace_instance_label", "use_hostname_label", "integration_restart_backoff", "metrics"},
      "integrations: ", out));
  for (const auto& entry : node) {
    if (!entry.second.IsMap() || !entry.second["enabled"]) continue;
    const std::string name = entry.first.Scalar();
    if (name != "node_exporter" && name != "agent")
      return std::unexpected(
          yaml::error_at(entry.first, file, fmt::format("the integration {} is not supported", name)));
  }
  return fields.finish();
}

Result<> read_grafana_agent(const YAML::Node& root, const std::string& file, const std::string& directory,
                            AgentFile& out) {
  yaml::Fields fields(root, file);
  TRY(fields.open());
  TRY(read_server(fields, out));
  if (fields.has("logs")) TRY(read_agent_logs(fields.get("logs"), file, directory, out));
  if (fields.has("traces")) return std::unexpected(fields.error("traces", "is not supported yet"));
  YAML::Node global(YAML::NodeType::Map), global_write, integrations_write, configs;
  if (fields.has("metrics")) {
    yaml::Fields metrics(fields.get("metrics"), file);
    TRY(metrics.open());
    if (YAML::Node given = metrics.get("global"); given.IsDefined() && given.IsMap()) {
      for (const auto& entry : given) {
        if (entry.first.Scalar() == "remote_write")
          global_write.reset(entry.second);
        else
          global.force_insert(entry.first, entry.second);
      }
    }
    if (metrics.has("configs")) configs.reset(metrics.get("configs"));  // an undefined node must not be touched
    TRY(ignore(metrics,
               {"wal_directory", "wal_cleanup_age", "wal_cleanup_period", "http_disable_keepalives",
                "http_idle_conn_timeout", "instance_restart_backoff", "instance_mode"},
               "metrics: ", out));
    TRY(metrics.finish());
  }
  if (fields.has("integrations")) TRY(read_integrations(fields.get("integrations"), file, out, integrations_write));
  TRY(fields.finish());
  if (configs.IsDefined() && !configs.IsNull() && !configs.IsSequence())
    return std::unexpected(yaml::error_at(configs, file, "metrics.configs: a list is expected"));
  // All rows go to all destinations: instances that write to different ones cannot be kept apart.
  std::string writes;
  bool first = true;
  auto same_writes = [&](const YAML::Node& node, const YAML::Node& place) -> Result<bool> {
    std::string text = node.IsDefined() && !node.IsNull() ? YAML::Dump(node) : "";
    if (first) {
      first = false;
      writes = text;
      return true;
    }
    if (text == writes) return false;
    return std::unexpected(yaml::error_at(
        place, file,
        "this remote_write is another than that of the instance before; give each a collector of its own"));
  };
  auto take = [&](AgentFile part, bool with_destinations) -> Result<> {
    for (auto& job : part.scrape.jobs) {
      bool known = std::any_of(out.scrape.jobs.begin(), out.scrape.jobs.end(),
                               [&](const auto& other) { return other.job_name == job.job_name; });
      if (known)
        return fail(ErrorKind::bad_input, fmt::format("{}: two instances have the job \"{}\"", file, job.job_name));
      out.scrape.jobs.push_back(std::move(job));
    }
    out.scrape.external_labels = part.scrape.external_labels;
    out.scrape.files.insert(out.scrape.files.end(), part.scrape.files.begin(), part.scrape.files.end());
    if (with_destinations) out.destinations = std::move(part.destinations);
    return {};
  };
  if (configs.IsDefined()) {
    for (const auto& config : configs) {
      yaml::Fields one(config, file);
      TRY(one.open());
      std::string name;
      TRY(one.read("name", name));
      bool host_filter = false;
      TRY(one.read("host_filter", host_filter));
      if (host_filter) return std::unexpected(one.error("host_filter", "is not supported"));
      TRY(ignore(one,
                 {"host_filter_relabel_configs", "wal_truncate_frequency", "min_wal_time", "max_wal_time",
                  "remote_flush_deadline", "write_stale_on_shutdown"},
                 "metrics.configs: ", out));
      YAML::Node write = one.has("remote_write") ? one.get("remote_write") : global_write;
      YAML::Node jobs = one.get("scrape_configs");
      TRY(one.finish());
      bool mine = TRY(same_writes(write, config));
      AgentFile part;
      TRY(read_prometheus(prometheus_part(global, jobs, write), file, directory, part));
      TRY(take(std::move(part), mine));
    }
  }
  if (out.host && out.host->enabled) {
    YAML::Node write =
        integrations_write.IsDefined() && !integrations_write.IsNull() ? integrations_write : global_write;
    bool mine = TRY(same_writes(write, fields.get("integrations")));
    AgentFile part;
    TRY(read_prometheus(prometheus_part(global, {}, write), file, directory, part));
    TRY(take(std::move(part), mine));
  }
  return {};
}

}  // namespace

Result<AgentFile> parse_agent_file(std::string_view text, const std::string& file, const std::string& directory) {
  YAML::Node root = TRY(yaml::parse(text, file));
  AgentFile out;
  out.kind = kind_of(root);
  switch (out.kind) {
    case AgentFileKind::tocayo: TRY(read_own(root, file, directory, out)); break;
    case AgentFileKind::grafana_agent: TRY(read_grafana_agent(root, file, directory, out)); break;
    case AgentFileKind::prometheus: TRY(read_prometheus(root, file, directory, out)); break;
    case AgentFileKind::promtail: TRY(read_promtail(root, file, directory, out)); break;
  }
  return out;
}

}  // namespace tocayo::agent
