// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/push_config.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "agent/logs/config_fields.h"
#include "agent/logs/log_config.h"
#include "core/hash.h"
#include "core/yaml.h"
#include "template/go_time.h"

namespace tocayo::agent {
namespace {

Result<> read_timeout(yaml::Fields& fields, const std::string& key, std::chrono::milliseconds& out) {
  const auto value = TRY(read_duration(fields, key));
  if (!value) return {};
  // 0: no limit, as there. A day comes close and keeps the arithmetic simple.
  out = std::chrono::milliseconds(*value == 0 ? 86'400'000 : std::max<std::int64_t>(1, *value / 1'000'000));
  return {};
}

std::string place_of(const YAML::Node& node, const std::string& file) {
  const auto mark = node.Mark();
  return fmt::format("{}:{}:{}", file, mark.line + 1, mark.column + 1);
}

Result<> read_tls(const YAML::Node& node, const std::string& file, const std::string& directory, PushSettings& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("cert_file", out.tls_certificate_file));
  TRY(fields.read("key_file", out.tls_key_file));
  // Ignored, they would let in whom they are there to keep out.
  for (const char* key : {"client_ca_file", "client_ca", "cert", "key"}) {
    if (fields.has(key)) return std::unexpected(fields.error(key, "is not supported; cert_file and key_file are"));
  }
  std::string who;
  TRY(fields.read("client_auth_type", who));
  if (!who.empty() && who != "NoClientCert")
    return std::unexpected(
        fields.error("client_auth_type", "is not supported: clients are not asked for certificates"));
  TRY(fields.finish());
  if (out.tls_certificate_file.empty() != out.tls_key_file.empty())
    return std::unexpected(yaml::error_at(node, file, "cert_file and key_file go together"));
  out.tls_certificate_file = absolute(directory, out.tls_certificate_file);
  out.tls_key_file = absolute(directory, out.tls_key_file);
  return {};
}

Result<> read_port(yaml::Fields& fields, const std::string& key, std::int64_t& port) {
  TRY(fields.read(key, port));
  if (port < 0 || port > 65535) return std::unexpected(fields.error(key, "a port from 0 to 65535 is expected"));
  return {};
}

// HOST:PORT; a port alone is one of all addresses.
Result<> check_address(yaml::Fields& fields, const std::string& key, std::string& address) {
  const auto colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos &&
                      std::stoi(port) <= 65535;
  if (!number) return std::unexpected(fields.error(key, "HOST:PORT is expected"));
  if (colon == 0) address.insert(0, "0.0.0.0");
  return {};
}

std::string listen_address(const std::string& host, std::int64_t port) {
  const bool six = host.find(':') != std::string::npos && !host.starts_with('[');
  return fmt::format("{}:{}", six ? "[" + host + "]" : host, port);
}

// `server` of loki_push_api: that of Grafana's programs.
Result<> read_server(const YAML::Node& node, const std::string& file, const std::string& directory, PushSettings& out,
                     std::vector<std::string>& warnings) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  std::string host;
  std::int64_t port = 80;  // as there
  TRY(fields.read("http_listen_address", host));
  TRY(read_port(fields, "http_listen_port", port));
  if (host.empty()) {
    host = "127.0.0.1";
    warnings.push_back(
        fmt::format("{}: loki_push_api listens on 127.0.0.1 only; http_listen_address: 0.0.0.0 lets "
                    "other machines in",
                    place_of(node, file)));
  }
  out.listen = listen_address(host, port);
  std::int64_t connections = 0;
  TRY(fields.read("http_listen_conn_limit", connections));
  if (connections < 0) return std::unexpected(fields.error("http_listen_conn_limit", "must not be negative"));
  if (connections > 0) out.max_connections = static_cast<std::size_t>(connections);
  TRY(fields.read("http_path_prefix", out.base_path));
  while (out.base_path.ends_with('/')) out.base_path.pop_back();
  if (!out.base_path.empty() && !out.base_path.starts_with('/'))
    return std::unexpected(fields.error("http_path_prefix", "must begin with /"));
  TRY(read_timeout(fields, "http_server_read_timeout", out.read_timeout));
  TRY(read_timeout(fields, "http_server_write_timeout", out.write_timeout));
  TRY(read_timeout(fields, "http_server_idle_timeout", out.idle_timeout));
  if (fields.has("http_tls_config")) TRY(read_tls(fields.get("http_tls_config"), file, directory, out));
  for (const char* key : {"tls_cipher_suites", "tls_min_version"}) {
    if (fields.has(key)) return std::unexpected(fields.error(key, "is not supported; TLS is 1.2 or newer"));
  }
  bool proxied = false;
  TRY(fields.read("proxy_protocol_enabled", proxied));
  if (proxied) return std::unexpected(fields.error("proxy_protocol_enabled", "is not supported"));
  std::vector<std::string> ignored;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) continue;
    const std::string& key = entry.first.Scalar();
    static const std::string_view kQuiet[] = {"http_listen_network",
                                              "http_server_read_header_timeout",
                                              "graceful_shutdown_timeout",
                                              "log_format",
                                              "log_level",
                                              "log_source_ips_enabled",
                                              "log_source_ips_header",
                                              "log_source_ips_regex",
                                              "log_request_headers",
                                              "register_instrumentation",
                                              "log_request_at_info_level_enabled",
                                              "log_request_exclude_headers_list",
                                              "http_log_closed_connections_without_response_enabled",
                                              "report_grpc_codes_in_instrumentation_label_enabled",
                                              "disable_request_success_log"};
    const bool quiet = std::ranges::find(kQuiet, key) != std::end(kQuiet);
    if (!quiet && !key.starts_with("grpc_")) continue;
    (void)fields.get(key);
    ignored.push_back(key);
  }
  if (!ignored.empty()) {
    warnings.push_back(fmt::format("{}: of the server of loki_push_api, {} has no meaning here: it speaks HTTP only",
                                   place_of(node, file), fmt::join(ignored, ", ")));
  }
  return fields.finish();
}

}  // namespace

Result<PushSettings> parse_push_api(const YAML::Node& node, const std::string& file, const std::string& directory,
                                    std::vector<std::string>& warnings) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  PushSettings out;
  out.place = place_of(node, file);
  if (!fields.has("server")) return std::unexpected(yaml::error_at(node, file, "loki_push_api: server is missing"));
  TRY(read_server(fields.get("server"), file, directory, out, warnings));
  out.labels = TRY(read_labels(fields, "labels"));
  TRY(fields.read("use_incoming_timestamp", out.keep_time));
  TRY(fields.read("use_incoming_tenant", out.keep_tenant));
  TRY(fields.finish());
  return out;
}

Result<PushSettings> parse_syslog(const YAML::Node& node, const std::string& file, const std::string& directory,
                                  std::vector<std::string>& warnings) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  PushSettings out;
  out.protocol = PushSettings::Protocol::syslog;
  out.place = place_of(node, file);
  TRY(fields.read("listen_address", out.listen));
  TRY(check_address(fields, "listen_address", out.listen));
  std::string protocol = "tcp", format = "rfc5424";
  TRY(fields.read("listen_protocol", protocol));
  if (protocol != "tcp" && protocol != "udp")
    return std::unexpected(fields.error("listen_protocol", "tcp or udp is expected"));
  out.syslog.tcp = protocol == "tcp";
  TRY(read_timeout(fields, "idle_timeout", out.idle_timeout));
  TRY(fields.read("label_structured_data", out.syslog.label_data));
  out.labels = TRY(read_labels(fields, "labels"));
  TRY(fields.read("use_incoming_timestamp", out.keep_time));
  TRY(fields.read("use_rfc5424_message", out.syslog.whole_message));
  TRY(fields.read("syslog_format", format));
  if (format != "rfc5424" && format != "rfc3164")
    return std::unexpected(fields.error("syslog_format", "rfc5424 or rfc3164 is expected"));
  out.syslog.rfc3164 = format == "rfc3164";
  std::int64_t longest = 0;
  TRY(fields.read("max_message_length", longest));
  if (longest != 0 && (longest < 480 || longest > (16 << 20)))
    return std::unexpected(fields.error("max_message_length", "480 to 16777216 bytes are expected"));
  if (longest != 0) out.syslog.max_message = static_cast<std::size_t>(longest);
  if (fields.has("tls_config")) {
    yaml::Fields tls(fields.get("tls_config"), file);
    TRY(tls.open());
    TRY(tls.read("cert_file", out.tls_certificate_file));
    TRY(tls.read("key_file", out.tls_key_file));
    TRY(tls.read("ca_file", out.syslog.client_ca_file));
    for (const char* key : {"server_name", "insecure_skip_verify"}) {
      if (tls.has(key)) warnings.push_back(fmt::format("{}: tls_config: {} has no meaning here", out.place, key));
    }
    TRY(tls.finish());
    if (out.tls_certificate_file.empty() || out.tls_key_file.empty())
      return std::unexpected(fields.error("tls_config", "cert_file and key_file are expected"));
    if (!out.syslog.tcp) return std::unexpected(fields.error("tls_config", "is for listen_protocol: tcp only"));
    for (auto* path : {&out.tls_certificate_file, &out.tls_key_file, &out.syslog.client_ca_file})
      *path = absolute(directory, *path);
  }
  TRY(fields.finish());
  return out;
}

Result<LogJob> parse_otlp(const YAML::Node& node, const std::string& file, const std::string& directory) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  LogJob job;
  job.name = "otlp";
  PushSettings push;
  push.protocol = PushSettings::Protocol::otlp;
  push.keep_time = true;
  push.place = place_of(node, file);
  push.listen = "127.0.0.1:4318";
  TRY(fields.read("listen", push.listen));
  TRY(check_address(fields, "listen", push.listen));
  if (fields.has("tls")) TRY(read_tls(fields.get("tls"), file, directory, push));
  push.labels = TRY(read_labels(fields, "labels"));
  TRY(fields.read("use_incoming_tenant", push.keep_tenant));
  job.pipeline = TRY(PipelinePlan::parse(fields.get("pipeline_stages"), file));
  if (fields.has("relabel_configs")) job.relabel = TRY(parse_relabel_rules(fields.get("relabel_configs"), file));
  for (const char* key : {"grpc", "metrics", "traces"}) {
    if (fields.has(key))
      return std::unexpected(fields.error(key, "is not supported: the collector takes logs over HTTP"));
  }
  TRY(fields.finish());
  job.push = std::move(push);
  job.fingerprint = hash64(YAML::Dump(node), hash64(directory)) | 1;
  return job;
}

}  // namespace tocayo::agent
