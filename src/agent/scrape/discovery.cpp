// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/discovery.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <glob.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "core/log.h"
#include "core/registry.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace json = boost::json;
namespace {

// One of several sources failed. The others are new all the same, so look() succeeds.
void note_failure(std::string_view kind, const Error& error) {
  static Counter& failures =
      Registry::global().counter("tocayo_agent_discovery_failures_total", "Look-ups of targets that failed.");
  failures.add();
  log::warn("agent", "discovery failed; the former targets stay", {{"kind", kind}, {"error", error}});
}

Result<> check_label_name(std::string_view name, std::string_view source) {
  if (!name.empty() && is_valid_utf8(name)) return {};
  return fail(ErrorKind::bad_input, fmt::format("{}: {} is not a valid label name", source, go_quote(name)));
}

class FileDiscovery final : public Discovery {
 public:
  explicit FileDiscovery(FileDiscoveryConfig config) : config_(std::move(config)) {}

  Result<std::vector<TargetGroup>> look(const Context&) override {
    std::vector<TargetGroup> all;
    auto paths = matching();
    std::erase_if(good_,
                  [&](const auto& entry) { return std::find(paths.begin(), paths.end(), entry.first) == paths.end(); });
    stamps_.clear();
    for (const std::string& path : paths) {
      stamps_[path] = stamp(path);
      auto text = read_file(path, 16 << 20);
      auto groups = !text ? Result<std::vector<TargetGroup>>(std::unexpected(text.error()))
                    : to_lower(path).ends_with(".json") ? parse_target_groups_json(*text, path)
                                                        : parse_target_groups_yaml(*text, path);
      if (groups) {
        for (std::size_t i = 0; i < groups->size(); ++i) (*groups)[i].labels.set("__meta_filepath", path);
        good_[path] = std::move(*groups);
      } else {
        note_failure(kind(), groups.error());  // the file's last good content stays, and other files are read
      }
    }
    for (const auto& [path, groups] : good_) all.insert(all.end(), groups.begin(), groups.end());
    return all;
  }
  bool changed() override {
    auto paths = matching();
    if (paths.size() != stamps_.size()) return true;
    for (const std::string& path : paths) {
      auto it = stamps_.find(path);
      if (it == stamps_.end() || it->second != stamp(path)) return true;
    }
    return false;
  }
  std::chrono::milliseconds interval() const override { return config_.refresh_interval; }
  std::string_view kind() const override { return "file"; }
  bool may_hang() const override { return false; }

 private:
  using Stamp = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::uint64_t>;
  static Stamp stamp(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return {};
    return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
  }
  std::vector<std::string> matching() const {
    std::vector<std::string> paths;
    for (const std::string& pattern : config_.files) {
      glob_t found{};
      if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
      }
      ::globfree(&found);
    }
    return paths;
  }

  FileDiscoveryConfig config_;
  std::map<std::string, std::vector<TargetGroup>> good_;
  std::map<std::string, Stamp> stamps_;
};

class HttpDiscovery final : public Discovery {
 public:
  HttpDiscovery(HttpDiscoveryConfig config, http::Client& client)
      : config_(std::move(config)), identity_(config_.http, client), client_(client) {}

  Result<std::vector<TargetGroup>> look(const Context& context) override {
    http::ClientRequest request;
    request.url = config_.url;
    request.timeout = config_.refresh_interval;
    request.headers.add("Accept", "application/json");
    request.headers.add("User-Agent", "Tocayo");
    request.headers.add("X-Prometheus-Refresh-Interval-Seconds",
                        fmt::format("{}", static_cast<double>(config_.refresh_interval.count()) / 1000));
    TRY(sync_wait(identity_.apply(request, context)));
    auto response = TRY(sync_wait(client_.send(std::move(request), context)));
    if (response.status != 200)
      return fail(ErrorKind::unavailable,
                  fmt::format("{}: server returned HTTP status {}", config_.url, response.status));
    std::string type = to_lower(response.headers.get("Content-Type"));
    if (type.substr(0, type.find(';')) != "application/json") {
      return fail(ErrorKind::bad_input, fmt::format("{}: unsupported content type \"{}\"", config_.url, type));
    }
    auto groups = TRY(parse_target_groups_json(response.body, config_.url));
    for (TargetGroup& group : groups) group.labels.set("__meta_url", config_.url);
    return groups;
  }
  std::chrono::milliseconds interval() const override { return config_.refresh_interval; }
  std::string_view kind() const override { return "http"; }

 private:
  HttpDiscoveryConfig config_;
  HttpIdentity identity_;
  http::Client& client_;
};

int dns_type(std::string_view name) {
  static const std::map<std::string_view, int> kTypes = {
      {"A", ns_t_a}, {"AAAA", ns_t_aaaa}, {"MX", ns_t_mx}, {"NS", ns_t_ns}, {"SRV", ns_t_srv}};
  return kTypes.at(name);
}

// nullopt: a record that cannot be right.
std::optional<Labels> dns_target(const ns_msg& message, const ns_rr& record, const std::string& name,
                                 int configured_port) {
  const unsigned char* data = ns_rr_rdata(record);
  std::size_t size = ns_rr_rdlen(record);
  auto host_at = [&](std::size_t offset) -> std::string {
    char text[NS_MAXDNAME];
    if (offset >= size ||
        ::ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), data + offset, text, sizeof text) < 0)
      return {};
    return std::string(text) + (std::string_view(text).ends_with('.') ? "" : ".");
  };
  auto address = [](std::string host, int port) {
    while (host.ends_with('.')) host.pop_back();
    return host.find(':') != std::string::npos ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  };
  Labels labels{{"__meta_dns_name", name}};
  auto named = [&](std::size_t offset, std::string_view label, int port) -> std::optional<Labels> {
    std::string host = host_at(offset);
    if (host.empty()) return std::nullopt;
    labels.set(label, host);
    labels.set("__address__", address(host, port));
    return labels;
  };
  char text[64];
  switch (ns_rr_type(record)) {
    case ns_t_a:
      if (size != 4) return std::nullopt;
      ::inet_ntop(AF_INET, data, text, sizeof text);
      labels.set("__address__", address(text, configured_port));
      return labels;
    case ns_t_aaaa:
      if (size != 16) return std::nullopt;
      ::inet_ntop(AF_INET6, data, text, sizeof text);
      labels.set("__address__", address(text, configured_port));
      return labels;
    case ns_t_srv: {
      if (size < 7) return std::nullopt;
      int port = data[4] << 8 | data[5];
      labels.set("__meta_dns_srv_record_port", std::to_string(port));
      return named(6, "__meta_dns_srv_record_target", port);
    }
    case ns_t_mx: return named(2, "__meta_dns_mx_record_target", configured_port);
    case ns_t_ns: return named(0, "__meta_dns_ns_record_target", configured_port);
    default: return std::nullopt;
  }
}

// glibc's resolver: /etc/resolv.conf, search list included.
class DnsDiscovery final : public Discovery {
 public:
  explicit DnsDiscovery(DnsDiscoveryConfig config) : config_(std::move(config)) {}

  Result<std::vector<TargetGroup>> look(const Context& context) override {
    std::vector<TargetGroup> groups;
    for (const std::string& name : config_.names) {
      TRY(context.check());
      auto group = look_up(name);
      if (group)
        good_[name] = std::move(*group);
      else
        note_failure(kind(), group.error());  // what the name led to before stays
    }
    for (const auto& [name, group] : good_) groups.push_back(group);
    return groups;
  }
  std::chrono::milliseconds interval() const override { return config_.refresh_interval; }
  std::string_view kind() const override { return "dns"; }

 private:
  Result<TargetGroup> look_up(const std::string& name) const {
    const int type = dns_type(config_.type);
    struct __res_state state{};
    if (::res_ninit(&state) != 0) return fail(ErrorKind::unavailable, "cannot read the resolver's configuration");
    unsigned char answer[65536];
    int size = ::res_nsearch(&state, name.c_str(), ns_c_in, type, answer, sizeof answer);
    int code = state.res_h_errno;
    ::res_nclose(&state);
    if (size < 0) {
      // A name without such records is an empty answer; a server that does not answer is an error.
      if (code == HOST_NOT_FOUND || code == NO_DATA) return TargetGroup{{}, {}, name};
      return fail(ErrorKind::unavailable, fmt::format("could not resolve \"{}\": {}", name, ::hstrerror(code)));
    }
    return parse_dns_answer({reinterpret_cast<const char*>(answer), static_cast<std::size_t>(size)}, config_, name);
  }

  DnsDiscoveryConfig config_;
  std::map<std::string, TargetGroup> good_;
};

}  // namespace

Result<TargetGroup> parse_dns_answer(std::string_view answer, const DnsDiscoveryConfig& config,
                                     const std::string& name) {
  TargetGroup group;
  group.source = name;
  ns_msg message;
  if (::ns_initparse(reinterpret_cast<const unsigned char*>(answer.data()), static_cast<int>(answer.size()),
                     &message) != 0) {
    return fail(ErrorKind::bad_input, fmt::format("malformed answer for \"{}\"", name));
  }
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    // A CNAME on the way to the records asked for is no target.
    if (::ns_parserr(&message, ns_s_an, i, &record) != 0 || ns_rr_type(record) != dns_type(config.type)) continue;
    if (auto labels = dns_target(message, record, name, config.port)) group.targets.push_back(std::move(*labels));
  }
  return group;
}

Result<std::vector<TargetGroup>> parse_target_groups_json(std::string_view text, const std::string& source) {
  boost::system::error_code code;
  json::value root = json::parse(text, code);
  auto bad = [&](std::string_view what) { return fail(ErrorKind::bad_input, fmt::format("{}: {}", source, what)); };
  if (code) return bad(code.message());
  if (!root.is_array()) return bad("a list of target groups is expected");
  std::vector<TargetGroup> groups;
  for (const auto& item : root.as_array()) {
    if (item.is_null()) return bad("nil target group item found");
    if (!item.is_object()) return bad("a target group must be an object with targets and labels");
    TargetGroup group;
    group.source = fmt::format("{}:{}", source, groups.size());
    for (const auto& [key, value] : item.as_object()) {
      if ((key == "targets" || key == "labels") && value.is_null()) continue;
      if (key == "targets" && value.is_array()) {
        for (const auto& target : value.as_array()) {
          if (!target.is_string()) return bad("targets must be texts");
          group.targets.push_back(Labels{{"__address__", std::string(target.as_string())}});
        }
      } else if (key == "labels" && value.is_object()) {
        for (const auto& [name, label] : value.as_object()) {
          if (!label.is_string()) return bad("labels must be texts");
          TRY(check_label_name(name, source));
          group.labels.set(name, std::string_view(label.as_string()));
        }
      } else {
        return bad(fmt::format("unknown or malformed field \"{}\"", std::string_view(key)));
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

Result<std::vector<TargetGroup>> parse_target_groups_yaml(std::string_view text, const std::string& source) {
  YAML::Node root = TRY(yaml::parse(text, source));
  std::vector<TargetGroup> groups;
  if (!root.IsDefined() || root.IsNull()) return groups;
  if (!root.IsSequence()) return std::unexpected(yaml::error_at(root, source, "a list of target groups is expected"));
  for (const auto& item : root) {
    if (item.IsNull()) return std::unexpected(yaml::error_at(item, source, "nil target group item found"));
    yaml::Fields fields(item, source);
    TRY(fields.open());
    std::vector<std::string> targets;
    std::map<std::string, std::string> labels;
    TRY(fields.read("targets", targets));
    TRY(fields.read("labels", labels));
    TRY(fields.finish());
    TargetGroup group;
    group.source = fmt::format("{}:{}", source, groups.size());
    for (auto& target : targets) group.targets.push_back(Labels{{"__address__", std::move(target)}});
    for (auto& [name, value] : labels) {
      if (!check_label_name(name, source))
        return std::unexpected(fields.error("labels", fmt::format("{} is not a valid label name", go_quote(name))));
      group.labels.set(name, value);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<std::unique_ptr<Discovery>> make_discoveries(const ScrapeConfig& config, http::Client& client) {
  std::vector<std::unique_ptr<Discovery>> all;
  for (const auto& one : config.file_discovery) all.push_back(std::make_unique<FileDiscovery>(one));
  for (const auto& one : config.http_discovery) all.push_back(std::make_unique<HttpDiscovery>(one, client));
  for (const auto& one : config.dns_discovery) all.push_back(std::make_unique<DnsDiscovery>(one));
  return all;
}

}  // namespace tocayo::agent
