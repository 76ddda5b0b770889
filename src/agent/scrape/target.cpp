// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/target.h"

#include <fmt/format.h>

#include "core/hash.h"
#include "core/time.h"

namespace tocayo::agent {
namespace {

std::string query_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

}  // namespace

Labels discovered_labels(const ScrapeConfig& config, const Labels& target, const Labels& group) {
  Labels labels = group;
  for (const Label& label : target) labels.set(label.name, label.value);
  auto fill = [&](std::string_view name, std::string_view value) {
    if (!labels.has(name)) labels.set(name, value);
  };
  fill("job", config.job_name);
  fill("__scrape_interval__", format_duration(config.interval));
  fill("__scrape_timeout__", format_duration(config.timeout));
  fill("__metrics_path__", config.metrics_path);
  fill("__scheme__", config.scheme);
  for (const auto& [name, values] : config.params) {
    if (!values.empty()) labels.set("__param_" + name, values[0]);
  }
  return labels;
}

Result<std::optional<TargetSpec>> make_target(const ScrapeConfig& config, Labels discovered) {
  TargetSpec spec;
  spec.discovered = discovered;
  Labels& labels = discovered;
  if (!relabel(labels, config.relabel)) return std::optional<TargetSpec>();
  std::string address(labels.get("__address__"));
  if (address.empty()) return fail(ErrorKind::bad_input, "no address");
  if (address.find('/') != std::string::npos) return fail(ErrorKind::bad_input, fmt::format("\"{}\" is not a valid hostname", address));
  auto duration = [&](std::string_view name) -> Result<std::chrono::milliseconds> {
    auto parsed = parse_duration(labels.get(name));
    if (!parsed || parsed->count() == 0) return fail(ErrorKind::bad_input, fmt::format("error parsing {}: \"{}\"", name, labels.get(name)));
    return *parsed;
  };
  spec.interval = TRY(duration("__scrape_interval__"));
  spec.timeout = TRY(duration("__scrape_timeout__"));
  if (spec.timeout > spec.interval) {
    return fail(ErrorKind::bad_input, fmt::format("scrape timeout cannot be greater than scrape interval (\"{}\" > \"{}\")",
                                                  labels.get("__scrape_timeout__"), labels.get("__scrape_interval__")));
  }
  std::string path(labels.get("__metrics_path__"));
  if (!path.empty() && !path.starts_with('/')) path = "/" + path;
  std::string query;
  auto add = [&](std::string_view name, std::string_view value) {
    query += query.empty() ? (path.find('?') == std::string::npos ? "?" : "&") : "&";
    query += query_encode(name) + "=" + query_encode(value);
  };
  for (const auto& [name, values] : config.params) {
    for (std::size_t i = 1; i < values.size(); ++i) add(name, values[i]);
  }
  for (const Label& label : labels) {
    if (label.name.starts_with("__param_")) add(label.name.substr(8), label.value);
  }
  spec.url = std::string(labels.get("__scheme__")) + "://" + address + path + query;
  spec.unix_socket = labels.get("__unix_socket__");
  std::vector<Label> kept;
  for (const Label& label : labels) {
    if (!label.name.starts_with("__")) kept.push_back(label);
  }
  spec.labels = Labels(std::move(kept));
  if (!spec.labels.has("instance")) spec.labels.set("instance", address);
  for (const Label& label : spec.labels) {
    if (!is_valid_utf8(label.value)) return fail(ErrorKind::bad_input, fmt::format("invalid label value for \"{}\"", label.name));
  }
  spec.identity = hash64(spec.url, spec.labels.hash() ^ static_cast<std::uint64_t>(spec.interval.count() * 31 + spec.timeout.count()));
  return std::optional<TargetSpec>(std::move(spec));
}

}  // namespace tocayo::agent
