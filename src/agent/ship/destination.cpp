// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/destination.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <set>

#include "core/hash.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

bool is_secret_key(std::string_view key) {
  static const std::set<std::string_view> kKeys = {"password", "credentials", "bearer_token", "client_secret",
                                                   "key",      "secrets",     "secret_key",   "token"};
  return kKeys.contains(key);
}

YAML::Node hide(const YAML::Node& node) {
  if (node.IsMap()) {
    YAML::Node copy(YAML::NodeType::Map);
    for (const auto& entry : node) {
      const std::string key = entry.first.Scalar();
      if (key == "headers" && entry.second.IsMap()) {  // of remote_write: often a token
        YAML::Node headers(YAML::NodeType::Map);
        for (const auto& header : entry.second) headers[header.first.Scalar()] = "<secret>";
        copy[key] = headers;
      } else if (is_secret_key(key) && !entry.second.IsNull()) {
        copy[key] = "<secret>";
      } else if (key == "url" && entry.second.IsScalar()) {
        copy[key] = public_url(entry.second.Scalar());
      } else {
        copy[key] = hide(entry.second);
      }
    }
    return copy;
  }
  if (node.IsSequence()) {
    YAML::Node copy(YAML::NodeType::Sequence);
    for (const auto& entry : node) copy.push_back(hide(entry));
    return copy;
  }
  return YAML::Clone(node);
}

Result<> read_count(yaml::Fields& fields, const std::string& key, std::size_t least, std::size_t& out) {
  auto value = static_cast<std::int64_t>(out);
  TRY(fields.read(key, value));
  if (value < static_cast<std::int64_t>(least))
    return std::unexpected(fields.error(key, fmt::format("must be at least {}", least)));
  out = static_cast<std::size_t>(value);
  return {};
}

Result<> read_queue(const YAML::Node& node, const std::string& file, QueueSettings& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(read_count(fields, "min_shards", 1, out.min_shards));
  TRY(read_count(fields, "max_shards", 1, out.max_shards));
  if (out.min_shards > out.max_shards)
    return std::unexpected(fields.error("min_shards", "must not be greater than max_shards"));
  TRY(read_count(fields, "max_samples_per_send", 1, out.max_samples_per_send));
  TRY(read_count(fields, "capacity", 1, out.capacity));
  TRY(fields.read("batch_send_deadline", out.batch_send_deadline));
  TRY(fields.read("min_backoff", out.min_backoff));
  TRY(fields.read("max_backoff", out.max_backoff));
  if (out.min_backoff.count() <= 0) return std::unexpected(fields.error("min_backoff", "must be greater than zero"));
  if (out.min_backoff > out.max_backoff)
    return std::unexpected(fields.error("max_backoff", "must not be less than min_backoff"));
  TRY(fields.read("retry_on_http_429", out.retry_on_http_429));
  TRY(fields.read("sample_age_limit", out.sample_age_limit));
  TRY(fields.read_bytes("max_disk", out.max_disk));
  std::string full = "drop_oldest";
  TRY(fields.read("when_full", full));
  if (full != "drop_oldest" && full != "block")
    return std::unexpected(fields.error("when_full", "must be drop_oldest or block"));
  out.when_full = full == "block" ? WhenFull::block : WhenFull::drop_oldest;
  return fields.finish();
}

Result<> read_metadata(const YAML::Node& node, const std::string& file, RecordRules& rules) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("send", rules.metadata));
  // Metadata is sent when a source announces it, not again and again: these have nothing to act on.
  for (const char* other : {"send_interval", "max_samples_per_send", "max_samples_per_request"})
    (void)fields.get(other);
  return fields.finish();
}

bool is_http_url(std::string_view url) {
  return (url.starts_with("http://") && url.size() > 7) || (url.starts_with("https://") && url.size() > 8);
}

Result<Destination> parse_destination(const YAML::Node& node, const std::string& file, const std::string& directory,
                                      const Labels& external) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  Destination out;
  out.rules.external_labels = external;
  out.rules.exemplars = false;
  if (!fields.has("url")) return std::unexpected(yaml::error_at(node, file, "remote_write: url is missing"));
  TRY(fields.read("url", out.url));
  if (!is_http_url(out.url)) return std::unexpected(fields.error("url", "must be an http:// or https:// URL"));
  TRY(fields.read("name", out.name));
  if (out.name.empty()) out.name = public_url(out.url);
  std::string message = "prometheus.WriteRequest";
  TRY(fields.read("protobuf_message", message));
  if (message == "io.prometheus.write.v2.Request")
    out.version = metrics::RemoteWriteVersion::v2;
  else if (message != "prometheus.WriteRequest")
    return std::unexpected(
        fields.error("protobuf_message", "unknown message; prometheus.WriteRequest or io.prometheus.write.v2.Request"));
  TRY(fields.read("remote_timeout", out.timeout));
  if (out.timeout.count() <= 0) return std::unexpected(fields.error("remote_timeout", "must be greater than zero"));
  TRY(fields.read("headers", out.headers));
  for (const auto& [name, value] : out.headers) {
    static const std::set<std::string> kReserved = {"authorization",
                                                    "host",
                                                    "content-encoding",
                                                    "content-length",
                                                    "content-type",
                                                    "user-agent",
                                                    "connection",
                                                    "keep-alive",
                                                    "proxy-authenticate",
                                                    "proxy-authorization",
                                                    "www-authenticate",
                                                    "accept-encoding",
                                                    "x-prometheus-remote-write-version",
                                                    "x-prometheus-remote-read-version"};
    if (kReserved.contains(to_lower(name)))
      return std::unexpected(
          fields.error("headers", fmt::format("{} is a reserved header; it must not be changed", name)));
  }
  out.rules.relabel = TRY(parse_relabel_rules(fields.get("write_relabel_configs"), file));
  TRY(fields.read("send_exemplars", out.rules.exemplars));
  TRY(fields.read("send_native_histograms", out.rules.native_histograms));
  bool ignored = false;
  TRY(fields.read("round_robin_dns", ignored));
  for (const char* other : {"sigv4", "azuread", "google_iam"}) {
    if (fields.has(other)) return std::unexpected(fields.error(other, "this way to authenticate is not supported"));
  }
  if (fields.has("queue_config")) TRY(read_queue(fields.get("queue_config"), file, out.queue));
  if (fields.has("metadata_config")) TRY(read_metadata(fields.get("metadata_config"), file, out.rules));
  TRY(read_http_settings(fields, directory, out.http));
  TRY(fields.finish());
  out.yaml = YAML::Dump(node);
  return out;
}

}  // namespace

Result<std::vector<Destination>> parse_remote_write(std::string_view text, std::string_view file,
                                                    const std::string& directory) {
  return parse_remote_write_node(TRY(yaml::parse(text, file)), std::string(file), directory);
}

Result<std::vector<Destination>> parse_remote_write_node(const YAML::Node& root, const std::string& file,
                                                         const std::string& directory) {
  yaml::Fields fields(root, file);
  TRY(fields.open());
  Labels external;
  if (fields.has("global")) {
    yaml::Fields global(fields.get("global"), file);
    TRY(global.open());
    std::map<std::string, std::string> labels;
    TRY(global.read("external_labels", labels));
    for (const auto& [name, value] : labels) external.set(name, value);
  }
  std::vector<Destination> list;
  YAML::Node nodes = fields.get("remote_write");
  if (!nodes.IsDefined() || nodes.IsNull()) return list;
  if (!nodes.IsSequence()) return std::unexpected(fields.error("remote_write", "a list is expected"));
  std::set<std::string> names;
  for (const auto& node : nodes) {
    Destination destination = TRY(parse_destination(node, file, directory, external));
    if (!names.insert(destination.name).second) {
      return std::unexpected(yaml::error_at(
          node, file, fmt::format("found multiple remote write configs with name \"{}\"", destination.name)));
    }
    list.push_back(std::move(destination));
  }
  return list;
}

std::string directory_name(const Destination& destination) { return directory_name(destination.name); }

std::string directory_name(std::string_view name) {
  std::string out;
  for (char c : name.substr(0, 40)) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (plain)
      out += c;
    else if (!out.empty() && !out.ends_with('_'))
      out += '_';
  }
  return fmt::format("{}-{:08x}", out, hash64(name) & 0xffffffffU);
}

std::string public_url(std::string_view url) {
  std::string_view rest = url;
  std::string out;
  if (auto scheme = rest.find("://"); scheme != std::string_view::npos) {
    out = rest.substr(0, scheme + 3);
    rest.remove_prefix(scheme + 3);
  }
  rest = rest.substr(0, rest.find_first_of("?#"));
  std::string_view authority = rest.substr(0, rest.find('/'));
  if (auto at = authority.rfind('@'); at != std::string_view::npos) rest.remove_prefix(at + 1);
  return out + std::string(rest);
}

Result<std::string> without_secrets(std::string_view text, std::string_view file) {
  YAML::Node root = TRY(yaml::parse(text, file));
  return YAML::Dump(hide(root)) + "\n";
}

std::string expand_environment(std::string_view text) {
  std::string out;
  for (;;) {
    auto at = text.find("${");
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at);
    auto end = text.find('}');
    std::string_view inside = end == std::string_view::npos ? std::string_view() : text.substr(2, end - 2);
    auto separator = inside.find(":-");
    std::string name(inside.substr(0, separator));
    const char* value = is_classic_label_name(name) ? std::getenv(name.c_str()) : nullptr;
    bool fallback = separator != std::string_view::npos && is_classic_label_name(name);
    if (value != nullptr && (*value != '\0' || !fallback))
      out += value;
    else if (fallback)
      out += inside.substr(separator + 2);
    else {
      out += "${";
      text.remove_prefix(2);
      continue;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace tocayo::agent
