// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/config.h"

#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <set>

#include "core/hash.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

constexpr std::string_view kProtocols[] = {"PrometheusProto", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1",
                                           "PrometheusText1.0.0", "PrometheusText0.0.4"};
const std::vector<std::string> kDefaultProtocols = {"OpenMetricsText1.0.0", "OpenMetricsText0.0.1",
                                                    "PrometheusText1.0.0", "PrometheusText0.0.4"};

// Values of global that a job inherits.
struct Global {
  std::chrono::milliseconds interval{60'000}, timeout{10'000};
  std::vector<std::string> protocols;
  bool native_histograms = false, classic_too = false, nhcb = false, extra_metrics = true;
  std::string validation = "utf8", escaping = "allow-utf-8", failure_log_file;
  std::uint64_t body_size_limit = 0;
  std::size_t sample_limit = 0, label_limit = 0, name_limit = 0, value_limit = 0, target_limit = 0, keep_dropped = 0;

  std::string to_text() const {  // for fingerprints
    return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}", interval.count(), timeout.count(),
                       fmt::join(protocols, ","), native_histograms, classic_too, nhcb, extra_metrics, validation,
                       escaping, failure_log_file, body_size_limit, sample_limit, label_limit, name_limit, value_limit,
                       target_limit, keep_dropped);
  }
};

std::string absolute(const std::string& directory, const std::string& path) {
  return path.empty() || path.starts_with('/') || directory.empty() ? path : directory + "/" + path;
}

// 0 is what is inherited, as in Prometheus.
Result<std::size_t> size_field(yaml::Fields& fields, const std::string& key, std::size_t inherited) {
  std::int64_t value = 0;
  TRY(fields.read(key, value));
  if (value < 0) return std::unexpected(fields.error(key, "must not be negative"));
  return value == 0 ? inherited : static_cast<std::size_t>(value);
}

Result<std::chrono::milliseconds> duration_field(yaml::Fields& fields, const std::string& key,
                                                 std::chrono::milliseconds inherited) {
  std::chrono::milliseconds value{0};
  TRY(fields.read(key, value));
  return value.count() == 0 ? inherited : value;
}

Result<std::uint64_t> bytes_field(yaml::Fields& fields, const std::string& key, std::uint64_t inherited) {
  std::uint64_t value = 0;
  TRY(fields.read_bytes(key, value));
  return value == 0 ? inherited : value;
}

Result<> check_choice(yaml::Fields& fields, const std::string& key, const std::string& value,
                      std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  return std::unexpected(
      fields.error(key, fmt::format("one of {} is expected, not \"{}\"", fmt::join(choices, ", "), value)));
}

Result<> check_protocols(yaml::Fields& fields, const std::string& key, const std::vector<std::string>& list) {
  if (list.empty() && fields.has(key)) return std::unexpected(fields.error(key, "cannot be empty"));
  std::set<std::string> seen;
  for (const std::string& protocol : list) {
    if (std::find(std::begin(kProtocols), std::end(kProtocols), protocol) == std::end(kProtocols)) {
      return std::unexpected(fields.error(
          key, fmt::format("unknown scrape protocol {}, supported: {}", protocol, fmt::join(kProtocols, " "))));
    }
    if (!seen.insert(protocol).second)
      return std::unexpected(fields.error(key, fmt::format("duplicated protocol {}", protocol)));
  }
  return {};
}

Result<TargetGroup> parse_group(const YAML::Node& node, const std::string& file, std::string source) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  std::vector<std::string> addresses;
  std::map<std::string, std::string> labels;
  TRY(fields.read("targets", addresses));
  TRY(fields.read("labels", labels));
  TRY(fields.finish());
  TargetGroup group;
  group.source = std::move(source);
  for (std::string& address : addresses) group.targets.push_back(Labels{{"__address__", std::move(address)}});
  for (auto& [name, value] : labels) {
    if (name.empty() || !is_valid_utf8(name))
      return std::unexpected(fields.error("labels", fmt::format("\"{}\" is not a valid label name", name)));
    group.labels.set(name, value);
  }
  return group;
}

// A wildcard is allowed in the last part only.
bool is_target_file(std::string_view path) {
  std::size_t star = path.find('*');
  if (star != std::string_view::npos && path.find('/', star) != std::string_view::npos) return false;
  std::string_view extension = path.substr(std::min(path.rfind('.'), path.size()));
  static constexpr std::string_view kKnown[] = {".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"};
  return std::find(std::begin(kKnown), std::end(kKnown), extension) != std::end(kKnown);
}

Result<> parse_discovery(yaml::Fields& fields, const std::string& directory, ScrapeConfig& job) {
  const std::string& file = fields.file();
  auto list = [&](const std::string& key, auto read_one) -> Result<> {
    YAML::Node node = fields.get(key);
    if (!node.IsDefined() || node.IsNull()) return {};
    if (!node.IsSequence()) return std::unexpected(fields.error(key, "a list is expected"));
    for (const auto& item : node) TRY(read_one(item));
    return {};
  };
  TRY(list("static_configs", [&](const YAML::Node& item) -> Result<> {
    job.static_groups.push_back(TRY(parse_group(item, file, std::to_string(job.static_groups.size()))));
    if (!job.relabel.empty()) return {};  // which may mend it
    for (const Labels& target : job.static_groups.back().targets) {
      std::string address(target.get("__address__"));
      if (address.find('/') != std::string::npos) {
        return std::unexpected(yaml::error_at(item, file, fmt::format("\"{}\" is not a valid hostname", address)));
      }
    }
    return {};
  }));
  TRY(list("file_sd_configs", [&](const YAML::Node& item) -> Result<> {
    FileDiscoveryConfig config;
    yaml::Fields one(item, file);
    TRY(one.open());
    TRY(one.read("files", config.files));
    TRY(one.read("refresh_interval", config.refresh_interval));
    TRY(one.finish());
    if (config.refresh_interval.count() <= 0)
      return std::unexpected(one.error("refresh_interval", "must be greater than zero"));
    if (config.files.empty())
      return std::unexpected(
          yaml::error_at(item, file, "file service discovery config must contain at least one path name"));
    for (std::string& path : config.files) {
      if (!is_target_file(path)) {
        return std::unexpected(
            yaml::error_at(item, file, fmt::format("path name \"{}\" is not valid for file discovery", path)));
      }
      path = absolute(directory, path);
    }
    job.file_discovery.push_back(std::move(config));
    return {};
  }));
  TRY(list("http_sd_configs", [&](const YAML::Node& item) -> Result<> {
    HttpDiscoveryConfig config;
    yaml::Fields one(item, file);
    TRY(one.open());
    TRY(one.read("url", config.url));
    TRY(one.read("refresh_interval", config.refresh_interval));
    TRY(read_http_settings(one, directory, config.http));
    TRY(one.finish());
    if (!config.url.starts_with("http://") && !config.url.starts_with("https://")) {
      return std::unexpected(yaml::error_at(item, file, "URL scheme must be 'http' or 'https'"));
    }
    std::size_t host = config.url.find("://") + 3;
    if (host >= config.url.size() || config.url[host] == '/')
      return std::unexpected(yaml::error_at(item, file, "host is missing in URL"));
    if (config.refresh_interval.count() <= 0)
      return std::unexpected(one.error("refresh_interval", "must be greater than zero"));
    job.http_discovery.push_back(std::move(config));
    return {};
  }));
  TRY(list("dns_sd_configs", [&](const YAML::Node& item) -> Result<> {
    DnsDiscoveryConfig config;
    std::int64_t port = 0;
    yaml::Fields one(item, file);
    TRY(one.open());
    TRY(one.read("names", config.names));
    TRY(one.read("type", config.type));
    TRY(one.read("port", port));
    TRY(one.read("refresh_interval", config.refresh_interval));
    TRY(one.finish());
    config.port = static_cast<int>(port);
    if (config.refresh_interval.count() <= 0)
      return std::unexpected(one.error("refresh_interval", "must be greater than zero"));
    if (config.names.empty())
      return std::unexpected(yaml::error_at(item, file, "DNS-SD config must contain at least one SRV record name"));
    for (char& c : config.type) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    static const std::set<std::string> kTypes = {"A", "AAAA", "MX", "NS", "SRV"};
    if (!kTypes.contains(config.type))
      return std::unexpected(one.error("type", fmt::format("invalid DNS-SD records type {}", config.type)));
    if (config.type != "SRV" && (port <= 0 || port > 65535)) {
      return std::unexpected(one.error("port", "a port is required in DNS-SD configs for all record types except SRV"));
    }
    job.dns_discovery.push_back(std::move(config));
    return {};
  }));
  return {};
}

// Passwords, keys and tokens shown as <secret>.
YAML::Node without_secrets(const YAML::Node& node) {
  static const std::set<std::string> kSecrets = {"password",      "credentials", "bearer_token",
                                                 "client_secret", "key",         "secrets"};
  YAML::Node copy = YAML::Clone(node);
  std::function<void(YAML::Node)> hide = [&](YAML::Node at) {
    if (at.IsSequence()) {
      for (auto item : at) hide(item);
    } else if (at.IsMap()) {
      for (auto field : at) {
        if (kSecrets.contains(field.first.Scalar()))
          field.second = "<secret>";
        else
          hide(field.second);
      }
    }
  };
  hide(copy);
  return copy;
}

// What we accept from a target, and how names may look.
Result<> parse_negotiation(yaml::Fields& fields, const Global& global, ScrapeConfig& job) {
  TRY(fields.read("scrape_protocols", job.protocols));
  TRY(check_protocols(fields, "scrape_protocols", job.protocols));
  if (job.protocols.empty()) job.protocols = global.protocols;
  if (job.protocols.empty()) {
    job.protocols = kDefaultProtocols;
    // Only in the default: who lists protocols knows what to leave out.
    if (job.scrape_native_histograms) job.protocols.insert(job.protocols.begin(), "PrometheusProto");
  }
  TRY(fields.read("fallback_scrape_protocol", job.fallback_protocol));
  if (!job.fallback_protocol.empty()) TRY(check_protocols(fields, "fallback_scrape_protocol", {job.fallback_protocol}));
  std::string validation;
  TRY(fields.read("metric_name_validation_scheme", validation));
  if (!validation.empty()) TRY(check_choice(fields, "metric_name_validation_scheme", validation, {"utf8", "legacy"}));
  job.utf8_names = (validation.empty() ? global.validation : validation) == "utf8";
  std::string escaping;
  TRY(fields.read("metric_name_escaping_scheme", escaping));
  if (!escaping.empty()) {
    TRY(check_choice(fields, "metric_name_escaping_scheme", escaping,
                     {"allow-utf-8", "underscores", "dots", "values"}));
    job.escaping = escaping;
  } else if (validation.empty()) {
    job.escaping = global.escaping;
  } else {
    job.escaping = job.utf8_names ? "allow-utf-8" : "underscores";
  }
  if (job.escaping == "allow-utf-8" && !job.utf8_names) {
    return std::unexpected(fields.error("metric_name_escaping_scheme",
                                        "utf8 metric names requested but validation scheme is not set to UTF8"));
  }
  return {};
}

Result<ScrapeConfig> parse_job(const YAML::Node& node, const std::string& file, const std::string& directory,
                               const Global& global) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  ScrapeConfig job;
  TRY(fields.read("job_name", job.job_name));
  if (job.job_name.empty()) return std::unexpected(yaml::error_at(node, file, "job_name is empty"));
  job.interval = TRY(duration_field(fields, "scrape_interval", global.interval));
  job.timeout = TRY(duration_field(fields, "scrape_timeout", std::min(global.timeout, job.interval)));
  if (job.timeout > job.interval) {
    return std::unexpected(
        fields.error("scrape_timeout",
                     fmt::format("scrape timeout greater than scrape interval for scrape config with job name \"{}\"",
                                 job.job_name)));
  }
  TRY(fields.read("metrics_path", job.metrics_path));
  TRY(fields.read("scheme", job.scheme));
  if (job.scheme != "http" && job.scheme != "https")
    return std::unexpected(fields.error("scheme", "http or https is expected"));
  TRY(fields.read("honor_labels", job.honor_labels));
  TRY(fields.read("honor_timestamps", job.honor_timestamps));
  TRY(fields.read("track_timestamps_staleness", job.track_timestamps_staleness));
  TRY(fields.read("enable_compression", job.enable_compression));
  job.scrape_native_histograms = global.native_histograms;
  TRY(fields.read("scrape_native_histograms", job.scrape_native_histograms));
  job.always_scrape_classic_histograms = global.classic_too;
  TRY(fields.read("always_scrape_classic_histograms", job.always_scrape_classic_histograms));
  job.convert_classic_histograms_to_nhcb = global.nhcb;
  TRY(fields.read("convert_classic_histograms_to_nhcb", job.convert_classic_histograms_to_nhcb));
  TRY(fields.read("native_histogram_min_bucket_factor", job.native_histogram_min_bucket_factor));
  job.extra_scrape_metrics = global.extra_metrics;
  TRY(fields.read("extra_scrape_metrics", job.extra_scrape_metrics));
  TRY(fields.read("scrape_failure_log_file", job.failure_log_file));
  job.failure_log_file =
      job.failure_log_file.empty() ? global.failure_log_file : absolute(directory, job.failure_log_file);
  TRY(parse_negotiation(fields, global, job));

  job.body_size_limit = TRY(bytes_field(fields, "body_size_limit", global.body_size_limit));
  job.sample_limit = TRY(size_field(fields, "sample_limit", global.sample_limit));
  job.label_limit = TRY(size_field(fields, "label_limit", global.label_limit));
  job.label_name_length_limit = TRY(size_field(fields, "label_name_length_limit", global.name_limit));
  job.label_value_length_limit = TRY(size_field(fields, "label_value_length_limit", global.value_limit));
  job.target_limit = TRY(size_field(fields, "target_limit", global.target_limit));
  job.keep_dropped_targets = TRY(size_field(fields, "keep_dropped_targets", global.keep_dropped));
  job.native_histogram_bucket_limit = TRY(size_field(fields, "native_histogram_bucket_limit", 0));

  if (YAML::Node params = fields.get("params"); params.IsDefined() && !params.IsNull()) {
    if (!params.IsMap()) return std::unexpected(fields.error("params", "a mapping is expected"));
    for (const auto& entry : params) {
      if (!entry.first.IsScalar())
        return std::unexpected(yaml::error_at(entry.first, file, "params: a name is expected"));
      yaml::Fields values(params, file);
      TRY(values.read(entry.first.Scalar(), job.params[entry.first.Scalar()]));
    }
  }
  TRY(read_http_settings(fields, directory, job.http));
  job.relabel = TRY(parse_relabel_rules(fields.get("relabel_configs"), file));
  job.metric_relabel = TRY(parse_relabel_rules(fields.get("metric_relabel_configs"), file));
  TRY(parse_discovery(fields, directory, job));
  for (const auto& field : node) {
    const std::string& key = field.first.Scalar();
    if (key.ends_with("_sd_configs") && key != "file_sd_configs" && key != "http_sd_configs" &&
        key != "dns_sd_configs") {
      return std::unexpected(yaml::error_at(
          field.first, file,
          fmt::format("{}: this kind of discovery is not supported (static, file, http and dns are)", key)));
    }
  }
  TRY(fields.finish());
  job.yaml = YAML::Dump(without_secrets(node));
  job.fingerprint = hash64(YAML::Dump(node), hash64(global.to_text() + directory));
  return job;
}

Result<> parse_global(const YAML::Node& node, const std::string& file, const std::string& directory, Global& global,
                      Labels& external_labels) {
  yaml::Fields g(node, file);
  TRY(g.open());
  global.interval = TRY(duration_field(g, "scrape_interval", global.interval));
  global.timeout = TRY(duration_field(g, "scrape_timeout", std::min(global.timeout, global.interval)));
  if (global.timeout > global.interval)
    return std::unexpected(g.error("scrape_timeout", "global scrape timeout greater than scrape interval"));
  TRY(g.read("scrape_protocols", global.protocols));
  TRY(check_protocols(g, "scrape_protocols", global.protocols));
  TRY(g.read("scrape_native_histograms", global.native_histograms));
  TRY(g.read("always_scrape_classic_histograms", global.classic_too));
  TRY(g.read("extra_scrape_metrics", global.extra_metrics));
  TRY(g.read("convert_classic_histograms_to_nhcb", global.nhcb));
  TRY(g.read("metric_name_validation_scheme", global.validation));
  TRY(check_choice(g, "metric_name_validation_scheme", global.validation, {"utf8", "legacy"}));
  global.escaping = global.validation == "utf8" ? "allow-utf-8" : "underscores";
  TRY(g.read("metric_name_escaping_scheme", global.escaping));
  TRY(check_choice(g, "metric_name_escaping_scheme", global.escaping,
                   {"allow-utf-8", "underscores", "dots", "values"}));
  TRY(g.read("scrape_failure_log_file", global.failure_log_file));
  global.failure_log_file = absolute(directory, global.failure_log_file);
  global.body_size_limit = TRY(bytes_field(g, "body_size_limit", 0));
  global.sample_limit = TRY(size_field(g, "sample_limit", 0));
  global.label_limit = TRY(size_field(g, "label_limit", 0));
  global.name_limit = TRY(size_field(g, "label_name_length_limit", 0));
  global.value_limit = TRY(size_field(g, "label_value_length_limit", 0));
  global.target_limit = TRY(size_field(g, "target_limit", 0));
  global.keep_dropped = TRY(size_field(g, "keep_dropped_targets", 0));
  std::map<std::string, std::string> external;
  TRY(g.read("external_labels", external));
  for (const auto& [name, value] : external) {
    bool valid = global.validation == "utf8" ? !name.empty() && is_valid_utf8(name) : is_classic_label_name(name);
    if (!valid)
      return std::unexpected(g.error("external_labels", fmt::format("\"{}\" is not a valid label name", name)));
    if (!is_valid_utf8(value))
      return std::unexpected(g.error("external_labels", fmt::format("the value of \"{}\" is not valid UTF-8", name)));
    external_labels.set(name, value);
  }
  for (const char* other : {"evaluation_interval", "rule_query_offset", "query_log_file"}) (void)g.get(other);
  return g.finish();
}

Result<> parse_jobs(yaml::Fields& fields, const std::string& directory, const Global& global,
                    std::set<std::string>& names, std::vector<ScrapeConfig>& out) {
  YAML::Node jobs = fields.get("scrape_configs");
  if (!jobs.IsDefined() || jobs.IsNull()) return {};
  if (!jobs.IsSequence()) return std::unexpected(fields.error("scrape_configs", "a list is expected"));
  for (const auto& node : jobs) {
    ScrapeConfig job = TRY(parse_job(node, fields.file(), directory, global));
    if (!names.insert(job.job_name).second) {
      return std::unexpected(yaml::error_at(
          node, fields.file(), fmt::format("found multiple scrape configs with job name \"{}\"", job.job_name)));
    }
    out.push_back(std::move(job));
  }
  return {};
}

}  // namespace

Result<ScrapeFile> parse_scrape_file(std::string_view text, std::string_view file, const std::string& directory) {
  return parse_scrape_node(TRY(yaml::parse(text, file)), std::string(file), directory);
}

Result<ScrapeFile> parse_scrape_node(const YAML::Node& root, const std::string& file, const std::string& directory) {
  yaml::Fields fields(root, file);
  TRY(fields.open());
  ScrapeFile result;
  Global global;
  if (fields.has("global")) TRY(parse_global(fields.get("global"), file, directory, global, result.external_labels));
  for (const char* other :
       {"rule_files", "alerting", "remote_write", "remote_read", "storage", "tracing", "otlp", "runtime"}) {
    if (fields.has(other)) result.warnings.push_back(fmt::format("{}: {} is not read here", file, other));
  }
  std::set<std::string> names;
  TRY(parse_jobs(fields, directory, global, names, result.jobs));
  std::vector<std::string> patterns;
  TRY(fields.read("scrape_config_files", patterns));
  TRY(fields.finish());
  for (std::string& pattern : patterns) {
    // A wildcard is allowed in the last part only, as for rule files.
    if (std::size_t star = pattern.find('*'); star != std::string::npos && pattern.find('/', star) != std::string::npos)
      return std::unexpected(
          fields.error("scrape_config_files", fmt::format("invalid scrape config file path \"{}\"", pattern)));
    glob_t found{};
    if (::glob(absolute(directory, pattern).c_str(), 0, nullptr, &found) == 0)
      result.files.insert(result.files.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
  }
  for (const std::string& path : result.files) {
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))  // a pipe would not answer
      return std::unexpected(fields.error("scrape_config_files", path + " is not a file"));
    auto more = read_file(path, 16 << 20);
    if (!more) return std::unexpected(fields.error("scrape_config_files", more.error().message));
    YAML::Node more_root = TRY(yaml::parse(*more, path));
    yaml::Fields more_fields(more_root, path);
    TRY(more_fields.open());
    TRY(parse_jobs(more_fields, path.substr(0, path.rfind('/')), global, names, result.jobs));
    TRY(more_fields.finish());
  }
  return result;
}

std::string accept_header(const ScrapeConfig& config) {
  static const std::map<std::string, std::string> kTypes = {
      {"PrometheusProto", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
      {"OpenMetricsText1.0.0", "application/openmetrics-text;version=1.0.0"},
      {"OpenMetricsText0.0.1", "application/openmetrics-text;version=0.0.1"},
      {"PrometheusText1.0.0", "text/plain;version=1.0.0"},
      {"PrometheusText0.0.4", "text/plain;version=0.0.4"}};
  std::string header;
  std::size_t weight = std::size(kProtocols) + 1;
  for (const std::string& protocol : config.protocols) {
    header += kTypes.at(protocol);
    // Only these versions know how names are escaped.
    if (protocol == "OpenMetricsText1.0.0" || protocol == "PrometheusText1.0.0")
      header += ";escaping=" + config.escaping;
    header += fmt::format(";q=0.{},", weight--);
  }
  return header + fmt::format("*/*;q=0.{}", weight);
}

}  // namespace tocayo::agent
