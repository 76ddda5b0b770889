// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/log_destination.h"

#include <fmt/format.h>

#include <set>

#include "core/yaml.h"
#include "template/go_time.h"

namespace tocayo::agent {
namespace {

// promtail's durations are Go's: "1s", "500ms", "1h30m".
Result<> read_duration(yaml::Fields& fields, const std::string& key, std::chrono::milliseconds& out) {
  if (!fields.has(key)) return {};
  std::string text;
  TRY(fields.read(key, text));
  auto value = templates::parse_duration_go(text);
  if (!value) return std::unexpected(fields.error(key, value.error().message));
  if (*value <= 0) return std::unexpected(fields.error(key, "must be greater than zero"));
  out = std::chrono::milliseconds(std::max<std::int64_t>(1, *value / 1'000'000));
  return {};
}

Result<LogDestination> read_client(const YAML::Node& node, const std::string& file, const std::string& directory,
                                   std::vector<std::string>& warnings) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  LogDestination out;
  TRY(fields.read("name", out.name));
  TRY(fields.read("url", out.url));
  TRY(fields.read("tenant_id", out.tenant));
  TRY(read_duration(fields, "batchwait", out.batch_wait));
  auto batch = static_cast<std::int64_t>(out.batch_size);
  TRY(fields.read("batchsize", batch));
  if (batch < 1) return std::unexpected(fields.error("batchsize", "must be at least 1"));
  out.batch_size = static_cast<std::uint64_t>(batch);
  TRY(read_duration(fields, "timeout", out.timeout));
  if (fields.has("backoff_config")) {
    yaml::Fields backoff(fields.get("backoff_config"), file);
    TRY(backoff.open());
    TRY(read_duration(backoff, "min_period", out.min_backoff));
    TRY(read_duration(backoff, "max_period", out.max_backoff));
    if (backoff.has("max_retries"))
      warnings.push_back(fmt::format("{}: max_retries has no meaning here: lines are sent until they are taken", file));
    TRY(backoff.finish());
  }
  if (fields.has("drop_rate_limited_batches"))
    warnings.push_back(fmt::format("{}: drop_rate_limited_batches has no meaning here: lines wait", file));
  TRY(fields.read("headers", out.headers));
  std::map<std::string, std::string> labels;
  TRY(fields.read("external_labels", labels));
  for (const auto& [name, value] : labels) {
    if (!is_classic_label_name(name))
      return std::unexpected(fields.error("external_labels", fmt::format("\"{}\" is no label name", name)));
    out.external_labels.set(name, value);
  }
  TRY(fields.read_bytes("max_disk", out.max_disk));
  std::string full;
  TRY(fields.read("when_full", full));
  if (!full.empty() && full != "block" && full != "drop_oldest")
    return std::unexpected(fields.error("when_full", "block or drop_oldest is expected"));
  if (full == "drop_oldest") out.when_full = WhenFull::drop_oldest;
  TRY(read_http_settings(fields, directory, out.http));
  TRY(fields.finish());
  if (out.url.empty()) return std::unexpected(yaml::error_at(node, file, "url is missing"));
  if (!out.url.starts_with("http://") && !out.url.starts_with("https://"))
    return std::unexpected(fields.error("url", "must begin with http:// or https://"));
  if (out.max_backoff < out.min_backoff)
    return std::unexpected(fields.error("backoff_config", "max_period is shorter than min_period"));
  if (out.name.empty()) out.name = public_url(out.url);
  return out;
}

}  // namespace

Result<std::vector<LogDestination>> parse_log_clients(const YAML::Node& list, const std::string& file,
                                                      const std::string& directory,
                                                      std::vector<std::string>& warnings) {
  std::vector<LogDestination> out;
  if (!list.IsDefined() || list.IsNull()) return out;
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "clients: a list is expected"));
  std::set<std::string> names;
  for (const auto& item : list) {
    auto client = TRY(read_client(item, file, directory, warnings));
    if (!names.insert(client.name).second) {
      return std::unexpected(
          yaml::error_at(item, file, fmt::format("two clients are called \"{}\": give them a name each", client.name)));
    }
    out.push_back(std::move(client));
  }
  return out;
}

}  // namespace tocayo::agent
