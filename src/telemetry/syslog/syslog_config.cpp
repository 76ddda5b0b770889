// SPDX-License-Identifier: Apache-2.0
#include "syslog/syslog_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/yaml.h"

namespace tocayo::syslog {

namespace {

// tcp://HOST:PORT, udp://:PORT, tcp://[::1]:PORT.
Result<> read_address(std::string_view text, ListenerConfig& config) {
  const auto wrong = [&] {
    return fail(ErrorKind::bad_input,
                fmt::format("\"{}\" is no address; tcp://HOST:PORT and udp://HOST:PORT are", text));
  };
  std::string_view rest = text;
  if (rest.starts_with("tcp://")) {
    config.tcp = true;
  } else if (rest.starts_with("udp://")) {
    config.tcp = false;
  } else {
    return wrong();
  }
  rest.remove_prefix(6);
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  auto host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto port = rest.substr(colon + 1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), config.port);
  if (parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size()) return wrong();
  config.host = host;
  return {};
}

Result<> read_tls(const YAML::Node& node, std::string_view file, TlsSettings& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("cert_file", out.cert_file));
  TRY(fields.read("key_file", out.key_file));
  TRY(fields.read("client_ca_file", out.client_ca_file));
  TRY(fields.finish());
  if (out.cert_file.empty()) return std::unexpected(yaml::error_at(node, file, "tls: cert_file is missing"));
  if (out.key_file.empty()) return std::unexpected(yaml::error_at(node, file, "tls: key_file is missing"));
  return {};
}

Result<ListenerConfig> read_listener(const YAML::Node& node, std::string_view file) {
  ListenerConfig config;
  yaml::Fields fields(node, file);
  TRY(fields.open());
  std::string listen;
  std::string format = "auto";
  std::map<std::string, std::string> labels;
  std::uint64_t max_message = config.max_message;
  std::int64_t connections = static_cast<std::int64_t>(config.max_connections);
  TRY(fields.read("listen", listen));
  const bool tls = fields.has("tls");
  if (tls) TRY(read_tls(fields.get("tls"), file, config.tls));
  TRY(fields.read("tenant", config.tenant));
  TRY(fields.read("labels", labels));
  TRY(fields.read("label_fields", config.label_fields));
  TRY(fields.read("format", format));
  TRY(fields.read("idle_timeout", config.idle_timeout));
  TRY(fields.read_bytes("max_message", max_message));
  TRY(fields.read("max_connections", connections));
  TRY(fields.finish());
  if (auto address = read_address(listen, config); !address)
    return std::unexpected(fields.error("listen", address.error().message));
  if (tls && !config.tcp) return std::unexpected(fields.error("tls", "is for tcp:// only"));
  if (format == "auto") {
    config.format = Format::any;
  } else if (format == "rfc3164") {
    config.format = Format::rfc3164;
  } else if (format == "rfc5424") {
    config.format = Format::rfc5424;
  } else {
    return std::unexpected(fields.error("format", "expected auto, rfc3164 or rfc5424"));
  }
  for (const auto& field : config.label_fields) {
    constexpr std::string_view kKnown[] = {"host", "app", "facility", "severity"};
    if (std::find(std::begin(kKnown), std::end(kKnown), field) == std::end(kKnown))
      return std::unexpected(fields.error("label_fields", "expected host, app, facility and severity"));
  }
  if (config.tenant.empty() || config.tenant.find('|') != std::string::npos)
    return std::unexpected(fields.error("tenant", "expected one tenant"));
  if (max_message < 480 || max_message > (16 << 20))
    return std::unexpected(fields.error("max_message", "expected 480 bytes to 16 MiB"));
  if (connections < 1 || connections > 100'000)
    return std::unexpected(fields.error("max_connections", "expected 1 to 100000"));
  config.max_message = static_cast<std::size_t>(max_message);
  config.max_connections = static_cast<std::size_t>(connections);
  std::vector<Label> pairs{{"job", "syslog"}};
  for (const auto& [name, value] : labels) pairs.push_back({name, value});
  config.labels = Labels(std::move(pairs));
  return config;
}

}  // namespace

Result<std::vector<ListenerConfig>> parse_config(std::string_view text, std::string_view file) {
  std::vector<ListenerConfig> out;
  const auto node = TRY(yaml::parse(text, file));
  // `{}` is how an empty part is written in the file of defaults.
  if (!node.IsDefined() || node.IsNull() || (node.IsMap() && node.size() == 0)) return out;
  if (!node.IsSequence()) return std::unexpected(yaml::error_at(node, file, "expected a list of listeners"));
  for (const auto& item : node) out.push_back(TRY(read_listener(item, file)));
  return out;
}

}  // namespace tocayo::syslog
