// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/log_config.h"
#include "agent/logs/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/logs/encoding.h"
#include "core/hash.h"
#include "core/text.h"
#include "core/yaml.h"
#include "template/go_time.h"

namespace tocayo::agent {
namespace {

bool given(const YAML::Node& node) { return node.IsDefined() && !node.IsNull(); }

Result<> read_group(const YAML::Node& node, const std::string& file, const std::string& directory, LogJob& job) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  std::vector<std::string> addresses;
  TRY(fields.read("targets", addresses));
  if (addresses.empty()) addresses.emplace_back("localhost");
  auto labels = TRY(read_labels(fields, "labels"));
  TRY(fields.finish());
  if (job.relabel.empty() && !labels.has("__path__"))
    return std::unexpected(yaml::error_at(node, file, "static_configs: the label __path__ is missing"));
  if (labels.has("__path__")) labels.set("__path__", absolute(directory, std::string(labels.get("__path__"))));
  for (const auto& address : addresses) {
    Labels target = labels;
    target.set("__address__", address);
    job.targets.push_back(std::move(target));
  }
  return {};
}

Result<> read_file_discovery(const YAML::Node& node, const std::string& file, const std::string& directory,
                             LogJob& job) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  FileDiscoveryConfig config;
  TRY(fields.read("files", config.files));
  TRY(fields.read("refresh_interval", config.refresh_interval));
  TRY(fields.finish());
  if (config.files.empty()) return std::unexpected(yaml::error_at(node, file, "file_sd_configs: files is missing"));
  if (config.refresh_interval.count() <= 0)
    return std::unexpected(fields.error("refresh_interval", "must be greater than zero"));
  for (auto& path : config.files) path = absolute(directory, path);
  job.file_discovery.push_back(std::move(config));
  return {};
}

Result<> read_journal(const YAML::Node& node, const std::string& file, const std::string& directory, LogJob& job) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  JournalSettings journal;
  TRY(fields.read("json", journal.json));
  if (const auto age = TRY(read_duration(fields, "max_age"))) journal.max_age = std::chrono::nanoseconds(*age);
  TRY(fields.read("path", journal.path));
  journal.path = absolute(directory, journal.path);
  journal.labels = TRY(read_labels(fields, "labels"));
  std::string matches;
  TRY(fields.read("matches", matches));
  for (const auto part : split(matches, ' ')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return std::unexpected(fields.error("matches", fmt::format("\"{}\" is not FIELD=value", part)));
    journal.matches.emplace_back(part);
  }
  TRY(fields.finish());
  job.journal = std::move(journal);
  return {};
}

Result<std::string> read_directory(yaml::Fields& job, const std::string& key, const std::string& file,
                                   const std::string& directory, std::string path) {
  const YAML::Node node = job.get(key);
  if (!node.IsDefined()) return std::string();
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("path", path));
  TRY(fields.finish());
  return absolute(directory, path);
}

Result<> read_decompression(const YAML::Node& node, const std::string& file, LogJob& job) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  bool enabled = false;
  std::string format;
  TRY(fields.read("enabled", enabled));
  TRY(fields.read("format", format));
  if (const auto delay = TRY(read_duration(fields, "initial_delay")))
    job.initial_delay = std::chrono::milliseconds(*delay / 1'000'000);
  TRY(fields.finish());
  if (!enabled) return {};
  if (format == "gz")
    job.compression = Compression::gzip;
  else if (format == "zst")
    job.compression = Compression::zstd;
  else
    return std::unexpected(fields.error(
        "format", format.empty() ? "is missing" : fmt::format("{} is not supported; gz and zst are", format)));
  return {};
}

template <typename Read>
Result<> each(yaml::Fields& fields, const std::string& key, Read read) {
  const YAML::Node list = fields.get(key);
  if (!given(list)) return {};
  if (!list.IsSequence()) return std::unexpected(fields.error(key, "a list is expected"));
  for (const auto& item : list) TRY(read(item));
  return {};
}

Result<LogJob> read_job(const YAML::Node& node, const std::string& file, const std::string& directory,
                        std::vector<std::string>& warnings) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  LogJob job;
  TRY(fields.read("job_name", job.name));
  if (job.name.empty()) return std::unexpected(yaml::error_at(node, file, "job_name is missing"));
  job.pipeline = TRY(PipelinePlan::parse(fields.get("pipeline_stages"), file));
  if (fields.has("relabel_configs")) job.relabel = TRY(parse_relabel_rules(fields.get("relabel_configs"), file));
  TRY(each(fields, "static_configs", [&](const YAML::Node& item) { return read_group(item, file, directory, job); }));
  TRY(each(fields, "file_sd_configs",
           [&](const YAML::Node& item) { return read_file_discovery(item, file, directory, job); }));
  if (fields.get("journal").IsDefined()) TRY(read_journal(fields.get("journal"), file, directory, job));
  if (fields.get("loki_push_api").IsDefined())
    job.push = TRY(parse_push_api(fields.get("loki_push_api"), file, directory, warnings));
  if (fields.get("syslog").IsDefined()) {
    if (job.push) return std::unexpected(fields.error("syslog", "a job has one receiver; make a job of each"));
    job.push = TRY(parse_syslog(fields.get("syslog"), file, directory, warnings));
  }
  job.pods = TRY(read_directory(fields, "kubernetes_pods", file, directory, "/var/log/pods"));
  job.containers = TRY(read_directory(fields, "docker_containers", file, directory, "/var/lib/docker/containers"));
  TRY(fields.read("encoding", job.encoding));
  if (!job.encoding.empty()) {
    if (auto encoding = Encoding::of(job.encoding); !encoding)
      return std::unexpected(fields.error("encoding", encoding.error().message));
  }
  if (fields.has("decompression")) TRY(read_decompression(fields.get("decompression"), file, job));
  static const std::pair<const char*, const char*> kElsewhere[] = {
      {"kubernetes_sd_configs", "is not supported; kubernetes_pods reads /var/log/pods of this machine"},
      {"docker_sd_configs", "is not supported; docker_containers reads the json-file logs of this machine"},
      {"docker", "is not supported; docker_containers reads the json-file logs of this machine"},
      {"gelf", "is not supported"},
      {"kafka", "is not supported"},
      {"gcplog", "is not supported"},
      {"cloudflare", "is not supported"},
      {"azure_event_hubs", "is not supported"},
      {"heroku_drain", "is not supported"},
      {"windows_events", "is not supported"},
      {"entry_parser", "is no longer a key; use pipeline_stages with docker: {} or cri: {}"},
  };
  for (const auto& [key, why] : kElsewhere) {
    if (fields.has(key)) return std::unexpected(fields.error(key, why));
  }
  for (const auto& entry : node) {
    if (entry.first.IsScalar() && entry.first.Scalar().ends_with("_sd_configs") &&
        entry.first.Scalar() != "file_sd_configs")
      return std::unexpected(
          yaml::error_at(entry.first, file, fmt::format("{} is not supported", entry.first.Scalar())));
  }
  TRY(fields.finish());
  const int sources = static_cast<int>(job.journal.has_value()) + static_cast<int>(job.push.has_value()) +
                      static_cast<int>(!job.pods.empty()) + static_cast<int>(!job.containers.empty()) +
                      static_cast<int>(!job.targets.empty() || !job.file_discovery.empty());
  if (sources == 0)
    return std::unexpected(yaml::error_at(
        node, file,
        "the job has no source: static_configs, file_sd_configs, journal, loki_push_api, syslog, kubernetes_pods or "
        "docker_containers"));
  if (!job.pods.empty()) job.pipeline.prepend(PipelinePlan::built_in("cri"));
  if (!job.containers.empty()) job.pipeline.prepend(PipelinePlan::built_in("docker"));
  if (sources > 1)
    return std::unexpected(yaml::error_at(node, file, "the job has several kinds of sources; make a job of each"));
  job.fingerprint = hash64(YAML::Dump(node), hash64(directory));
  return job;
}

Result<> read_limits(const YAML::Node& node, const std::string& file, LogLimits& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  bool enabled = false;
  double rate = 10'000;
  TRY(fields.read("readline_rate_enabled", enabled));
  TRY(fields.read("readline_rate", rate));
  TRY(fields.read("readline_burst", out.burst));
  TRY(fields.read("readline_rate_drop", out.rate_drop));
  TRY(fields.read("max_streams", out.max_streams));
  TRY(fields.read_bytes("max_line_size", out.max_line_size));
  TRY(fields.read("max_line_size_truncate", out.truncate));
  TRY(fields.finish());
  if (enabled) {
    if (!(rate > 0)) return std::unexpected(fields.error("readline_rate", "must be greater than 0"));
    if (out.burst < 1) return std::unexpected(fields.error("readline_burst", "must be at least 1"));
    out.rate = rate;
  }
  if (out.max_streams < 0) return std::unexpected(fields.error("max_streams", "must not be negative"));
  return {};
}

}  // namespace

Result<LogsConfig> parse_logs_node(const YAML::Node& node, const std::string& file, const std::string& directory,
                                   std::vector<std::string>& warnings) {
  LogsConfig out;
  yaml::Fields fields(node, file);
  TRY(fields.open());
  if (fields.has("clients"))
    out.destinations = TRY(parse_log_clients(fields.get("clients"), file, directory, warnings));
  if (fields.has("client")) {
    if (fields.has("clients"))
      return std::unexpected(fields.error("client", "client and clients are two ways to say one thing"));
    YAML::Node list(YAML::NodeType::Sequence);
    list.push_back(fields.get("client"));
    out.destinations = TRY(parse_log_clients(list, file, directory, warnings));
  }
  if (fields.has("positions")) {
    yaml::Fields positions(fields.get("positions"), file);
    TRY(positions.open());
    TRY(positions.read("filename", out.positions_file));
    out.positions_file = absolute(directory, out.positions_file);
    (void)positions.get("sync_period");          // every second
    (void)positions.get("ignore_invalid_yaml");  // it is only read, and only once
    TRY(positions.finish());
  }
  if (fields.has("target_config")) {
    yaml::Fields target(fields.get("target_config"), file);
    TRY(target.open());
    (void)target.get("sync_period");
    bool standard_input = false;
    TRY(target.read("stdin", standard_input));
    if (standard_input) return std::unexpected(target.error("stdin", "is not supported"));
    TRY(target.finish());
  }
  if (fields.has("limits_config")) TRY(read_limits(fields.get("limits_config"), file, out.limits));
  std::set<std::string> names;
  TRY(each(fields, "scrape_configs", [&](const YAML::Node& item) -> Result<> {
    auto job = TRY(read_job(item, file, directory, warnings));
    if (!names.insert(job.name).second)
      return std::unexpected(yaml::error_at(item, file, fmt::format("there are two jobs called \"{}\"", job.name)));
    out.jobs.push_back(std::move(job));
    return {};
  }));
  return out;
}

std::optional<Labels> log_target(const LogJob& job, Labels discovered, std::string_view host) {
  if (!relabel(discovered, job.relabel)) return std::nullopt;
  if (const auto wanted = discovered.get("__host__"); !wanted.empty() && wanted != host) return std::nullopt;
  return discovered;
}

}  // namespace tocayo::agent
