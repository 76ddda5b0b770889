// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/target.h"

#include <fmt/format.h>

#include "core/hash.h"
#include "core/percent.h"
#include "core/time.h"

namespace tocayo::agent {
namespace {

std::string url_of(const ScrapeConfig& config, const Labels& labels) {
  // By name, as Go's url.Values; the first value of a parameter may have been changed by relabelling.
  auto params = config.params;
  for (const Label& label : labels) {
    if (!label.name.starts_with("__param_")) continue;
    auto& values = params[label.name.substr(8)];
    if (values.empty())
      values.push_back(label.value);
    else
      values[0] = label.value;
  }
  std::string url = std::string(labels.get("__scheme__")) + "://" + std::string(labels.get("__address__"));
  std::string path = percent_encode(labels.get("__metrics_path__"), "$&+,/:;=@");  // as Go's net/url
  if (!path.empty() && !path.starts_with('/')) url += '/';
  url += path;
  char separator = '?';
  for (const auto& [name, values] : params) {
    for (const std::string& value : values) {
      url += separator;
      url += form_encode(name) + "=" + form_encode(value);
      separator = '&';
    }
  }
  return url;
}

// Go's strconv.ParseBool.
Result<bool> parse_flag(const Labels& labels, std::string_view name, std::string_view what, bool otherwise) {
  std::string_view text = labels.get(name);
  if (text.empty()) return otherwise;
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return fail(ErrorKind::bad_input, fmt::format("error parsing {}: \"{}\" is neither true nor false", what, text));
}

constexpr std::string_view kNative = "__scrape_native_histograms__", kClassic = "__always_scrape_classic_histograms__",
                           kNhcb = "__convert_classic_histograms_to_nhcb__";

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
  fill(kNhcb, config.convert_classic_histograms_to_nhcb ? "true" : "false");
  fill(kClassic, config.always_scrape_classic_histograms ? "true" : "false");
  fill(kNative, config.scrape_native_histograms ? "true" : "false");
  for (const auto& [name, values] : config.params) {
    if (!values.empty()) fill("__param_" + name, values[0]);
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
  if (address.find('/') != std::string::npos)
    return fail(ErrorKind::bad_input, fmt::format("\"{}\" is not a valid hostname", address));
  auto duration = [&](std::string_view name, std::string_view what) -> Result<std::chrono::milliseconds> {
    auto parsed = parse_duration(labels.get(name));
    if (!parsed) return fail(ErrorKind::bad_input, fmt::format("error parsing {}: {}", what, parsed.error().message));
    if (parsed->count() == 0) return fail(ErrorKind::bad_input, fmt::format("{} cannot be 0", what));
    return *parsed;
  };
  spec.interval = TRY(duration("__scrape_interval__", "scrape interval"));
  spec.timeout = TRY(duration("__scrape_timeout__", "scrape timeout"));
  if (spec.timeout > spec.interval) {
    return fail(ErrorKind::bad_input,
                fmt::format("scrape timeout cannot be greater than scrape interval (\"{}\" > \"{}\")",
                            labels.get("__scrape_timeout__"), labels.get("__scrape_interval__")));
  }
  std::string_view scheme = labels.get("__scheme__");
  if (scheme != "http" && scheme != "https")
    return fail(ErrorKind::bad_input, fmt::format("unsupported protocol scheme \"{}\"", scheme));
  spec.convert_classic_histograms_to_nhcb =
      TRY(parse_flag(labels, kNhcb, "convert classic histograms to nhcb", config.convert_classic_histograms_to_nhcb));
  spec.always_scrape_classic_histograms =
      TRY(parse_flag(labels, kClassic, "always scrape classic histograms", config.always_scrape_classic_histograms));
  spec.scrape_native_histograms =
      TRY(parse_flag(labels, kNative, "scrape native histograms", config.scrape_native_histograms));
  spec.url = url_of(config, labels);
  spec.unix_socket = labels.get("__unix_socket__");
  std::vector<Label> kept;
  for (const Label& label : labels) {
    if (!label.name.starts_with("__")) kept.push_back(label);
  }
  spec.labels = Labels(std::move(kept));
  if (!spec.labels.has("instance")) spec.labels.set("instance", address);
  for (const Label& label : spec.labels) {
    if (!is_valid_utf8(label.value))
      return fail(ErrorKind::bad_input, fmt::format("invalid label value for \"{}\"", label.name));
  }
  std::string settings = fmt::format("{}\n{}\n{} {} {} {} {}", spec.url, spec.unix_socket, spec.interval.count(),
                                     spec.timeout.count(), spec.scrape_native_histograms,
                                     spec.always_scrape_classic_histograms, spec.convert_classic_histograms_to_nhcb);
  spec.identity = hash64(settings, spec.labels.hash());
  return std::optional<TargetSpec>(std::move(spec));
}

}  // namespace tocayo::agent
