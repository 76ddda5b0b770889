// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/labels.h"
#include "core/relabel.h"
#include "core/text.h"
#include "core/time.h"
#include "core/yaml.h"
#include "tenancy/limits.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

namespace {

using yaml::Fields;

// Keys of Mimir's limits whose subject does not exist here (its object-store caches, shuffle sharding, its ruler's and
// Alertmanager's own knobs …): accepted so that an existing file loads, and named in a warning.
bool is_known_elsewhere(std::string_view key) {
  static constexpr std::array<std::string_view, 14> kPrefixes = {"ruler_",
                                                                 "alertmanager_",
                                                                 "compactor_",
                                                                 "store_gateway_",
                                                                 "ingest_storage_",
                                                                 "otel_",
                                                                 "ha_",
                                                                 "s3_sse_",
                                                                 "query_ingesters_",
                                                                 "query_sharding_",
                                                                 "split_",
                                                                 "cost_attribution_",
                                                                 "max_cost_attribution_",
                                                                 "name_validation_"};
  static constexpr std::array<std::string_view, 21> kNames = {
      "separate_metrics_group_label",
      "max_exemplars_per_series_per_request",
      "ignore_ooo_exemplars",
      "early_head_compaction_owned_series_threshold",
      "early_head_compaction_min_estimated_series_reduction_percentage",
      "max_queriers_per_tenant",
      "prom2_range_compat",
      "cache_unaligned_requests",
      "max_active_series_per_user",
      "max_estimated_fetched_chunks_per_query_multiplier",
      "unaligned_query_splitting_enabled",
      "subquery_spin_off_enabled",
      "labels_query_optimizer_enabled",
      "metric_relabeling_enabled",
      "ingestion_tenant_shard_size",
      "ingestion_partitions_tenant_shard_size",
      "out_of_order_blocks_external_label_enabled",
      "ooo_native_histograms_ingestion_enabled",
      "results_cache_ttl_for_cardinality_query",
      "results_cache_ttl_for_labels_query",
      "results_cache_ttl_for_errors"};
  return std::find(kNames.begin(), kNames.end(), key) != kNames.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return key.starts_with(prefix); });
}

// A regular expression that compiles, or where it stands.
Result<> check_regex(const YAML::Node& node, std::string_view file, const std::string& pattern) {
  auto compiled = Matcher::create(Matcher::Type::regex, "pattern", pattern);
  if (compiled) return {};
  return std::unexpected(yaml::error_at(node, file, compiled.error().message));
}

Result<> read_blocked_queries(Fields& fields, std::vector<BlockedQuery>& out) {
  YAML::Node list = fields.get("blocked_queries");
  if (!list.IsDefined() || list.IsNull()) return {};
  if (!list.IsSequence()) return std::unexpected(fields.error("blocked_queries", "a list is expected"));
  out.clear();
  for (const YAML::Node& node : list) {
    Fields entry(node, fields.file());
    BlockedQuery query;
    TRY(entry.open());
    TRY(entry.read("pattern", query.pattern));
    TRY(entry.read("regex", query.regex));
    TRY(entry.read("reason", query.reason));
    TRY(entry.finish());
    if (query.pattern.empty())
      return std::unexpected(yaml::error_at(node, fields.file(), "blocked_queries: pattern is missing"));
    if (query.regex) TRY(check_regex(node, fields.file(), query.pattern));
    out.push_back(std::move(query));
  }
  return {};
}

Result<> read_limited_queries(Fields& fields, std::vector<LimitedQuery>& out) {
  YAML::Node list = fields.get("limited_queries");
  if (!list.IsDefined() || list.IsNull()) return {};
  if (!list.IsSequence()) return std::unexpected(fields.error("limited_queries", "a list is expected"));
  out.clear();
  for (const YAML::Node& node : list) {
    Fields entry(node, fields.file());
    LimitedQuery query;
    TRY(entry.open());
    TRY(entry.read("query", query.query));
    TRY(entry.read("allowed_frequency", query.allowed_frequency));
    TRY(entry.finish());
    if (query.query.empty())
      return std::unexpected(yaml::error_at(node, fields.file(), "limited_queries: query is missing"));
    out.push_back(std::move(query));
  }
  return {};
}

// query_params: {step: "=~1m"} or Mimir's {step: {value: 1m, is_regexp: true}}.
Result<> read_query_params(Fields& entry, std::map<std::string, std::string>& out) {
  YAML::Node params = entry.get("query_params");
  if (!params.IsDefined() || params.IsNull()) return {};
  Fields check(params, entry.file());
  TRY(check.open());
  for (const auto& param : params) {
    if (param.second.IsScalar()) {
      const std::string& value = out[param.first.Scalar()] = param.second.Scalar();
      if (value.starts_with("=~")) TRY(check_regex(param.second, entry.file(), value.substr(2)));
      continue;
    }
    Fields matcher(param.second, entry.file());
    std::string value;
    bool regexp = false;
    TRY(matcher.open());
    TRY(matcher.read("value", value));
    TRY(matcher.read("is_regexp", regexp));
    TRY(matcher.finish());
    if (regexp) TRY(check_regex(param.second, entry.file(), value));
    out[param.first.Scalar()] = (regexp ? "=~" : "") + value;
  }
  return {};
}

Result<> read_blocked_requests(Fields& fields, std::vector<BlockedRequest>& out) {
  YAML::Node list = fields.get("blocked_requests");
  if (!list.IsDefined() || list.IsNull()) return {};
  if (!list.IsSequence()) return std::unexpected(fields.error("blocked_requests", "a list is expected"));
  out.clear();
  for (const YAML::Node& node : list) {
    Fields entry(node, fields.file());
    BlockedRequest request;
    TRY(entry.open());
    TRY(entry.read("path", request.path));
    TRY(entry.read("method", request.method));
    TRY(read_query_params(entry, request.query_params));
    TRY(entry.finish());
    if (request.path.empty() && request.method.empty() && request.query_params.empty()) {
      return std::unexpected(
          yaml::error_at(node, fields.file(), "blocked_requests: an empty entry would block everything"));
    }
    out.push_back(std::move(request));
  }
  return {};
}

// A comma-separated string or a list, as Mimir takes both.
Result<> read_list(Fields& fields, const std::string& name, std::vector<std::string>& out) {
  YAML::Node node = fields.get(name);
  if (node.IsDefined() && node.IsScalar()) {
    out.clear();
    for (auto word : split(node.Scalar(), ',')) {
      if (!trim(word).empty()) out.emplace_back(trim(word));
    }
    return {};
  }
  return fields.read(name, out);
}

Result<> read_field(Fields& fields, const LimitField& field, Limits& out) {
  std::string name(field.name);
  return std::visit(
      [&](auto member) -> Result<> {
        auto& target = out.*member;
        using T = std::remove_reference_t<decltype(target)>;
        if constexpr (std::same_as<T, std::vector<std::string>>) {
          return read_list(fields, name, target);
        } else {
          TRY(fields.read(name, target));
          if constexpr (std::same_as<T, double>) {
            if (!std::isfinite(target) || target < 0)
              return std::unexpected(fields.error(name, "must be a number of at least 0"));
          } else if constexpr (std::same_as<T, std::int64_t>) {
            if (target < 0) return std::unexpected(fields.error(name, "must not be negative"));
          }
          return {};
        }
      },
      field.member);
}

Result<> read_limits(Fields& fields, Limits& out, std::vector<std::string>& warnings, const YAML::Node& node) {
  TRY(fields.open());
  for (const LimitField& field : limit_fields()) TRY(read_field(fields, field, out));
  TRY(read_blocked_queries(fields, out.blocked_queries));
  TRY(read_limited_queries(fields, out.limited_queries));
  TRY(read_blocked_requests(fields, out.blocked_requests));
  fields.get("logs");  // read by the logs half of the program
  YAML::Node relabel = fields.get("metric_relabel_configs");
  if (relabel.IsDefined()) {
    if (!relabel.IsNull() && !relabel.IsSequence())
      return std::unexpected(fields.error("metric_relabel_configs", "a list is expected"));
    if (relabel.IsSequence()) {
      if (auto rules = parse_relabel_rules(relabel, fields.file()); !rules) return std::unexpected(rules.error());
    }
    out.metric_relabel_configs = relabel.IsNull() || relabel.size() == 0 ? "" : YAML::Dump(relabel);
  }
  if (node.IsMap()) {
    for (const auto& entry : node) {
      const std::string& key = entry.first.Scalar();
      bool ours =
          key == "metric_relabel_configs" || key == "blocked_queries" || key == "limited_queries" ||
          key == "blocked_requests" ||
          std::any_of(limit_fields().begin(), limit_fields().end(), [&](auto& field) { return field.name == key; });
      if (ours || !is_known_elsewhere(key)) continue;
      fields.get(key);
      warnings.push_back(yaml::error_at(entry.first, fields.file(), key + " has no effect in this program").message);
    }
  }
  return fields.finish();
}

std::string scalar(double value) { return fmt::format("{}", value); }
std::string scalar(std::int64_t value) { return std::to_string(value); }
std::string scalar(bool value) { return value ? "true" : "false"; }
std::string scalar(std::chrono::milliseconds value) { return format_duration(value); }
std::string scalar(const std::string& value) {
  std::string out = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}
std::string scalar(const std::vector<std::string>& values) {
  std::string out = "[";
  for (auto& value : values) out += (out.size() > 1 ? ", " : "") + scalar(value);
  return out + "]";
}
std::string scalar(const std::map<std::string, std::string>& values) {
  std::string out = "{";
  for (auto& [key, value] : values) out += (out.size() > 1 ? ", " : "") + scalar(key) + ": " + scalar(value);
  return out + "}";
}

std::string lists_to_yaml(const Limits& limits, const Limits* base, const std::string& pad) {
  std::string out;
  if (base ? limits.blocked_queries != base->blocked_queries : !limits.blocked_queries.empty()) {
    out += pad + (limits.blocked_queries.empty() ? "blocked_queries: []\n" : "blocked_queries:\n");
    for (auto& q : limits.blocked_queries) {
      out += fmt::format("{}  - {{pattern: {}, regex: {}, reason: {}}}\n", pad, scalar(q.pattern), scalar(q.regex),
                         scalar(q.reason));
    }
  }
  if (base ? limits.limited_queries != base->limited_queries : !limits.limited_queries.empty()) {
    out += pad + (limits.limited_queries.empty() ? "limited_queries: []\n" : "limited_queries:\n");
    for (auto& q : limits.limited_queries) {
      out += fmt::format("{}  - {{query: {}, allowed_frequency: {}}}\n", pad, scalar(q.query),
                         scalar(q.allowed_frequency));
    }
  }
  if (base ? limits.blocked_requests != base->blocked_requests : !limits.blocked_requests.empty()) {
    out += pad + (limits.blocked_requests.empty() ? "blocked_requests: []\n" : "blocked_requests:\n");
    for (auto& r : limits.blocked_requests) {
      out += fmt::format("{}  - {{path: {}, method: {}, query_params: {}}}\n", pad, scalar(r.path), scalar(r.method),
                         scalar(r.query_params));
    }
  }
  if (base ? limits.metric_relabel_configs != base->metric_relabel_configs : !limits.metric_relabel_configs.empty()) {
    if (limits.metric_relabel_configs.empty()) {
      out += pad + "metric_relabel_configs: []\n";
    } else {
      out += pad + "metric_relabel_configs:\n";
      for (auto line : split(limits.metric_relabel_configs, '\n')) out += pad + "  " + std::string(line) + "\n";
    }
  }
  return out;
}

Result<ParsedOverrides> read_overrides(const YAML::Node& document, std::string_view file, const Limits& base) {
  ParsedOverrides out;
  Fields top(document, file);
  TRY(top.open());
  YAML::Node overrides = top.get("overrides");
  if (document.IsMap()) {
    // The other subjects of Mimir's runtime configuration.
    for (const char* key : {"multi_kv_config", "ingester_chunk_streaming", "ingester_limits", "distributor_limits"}) {
      if (top.has(key)) out.warnings.push_back(top.error(key, "has no effect in this program").message);
    }
  }
  TRY(top.finish());
  Fields tenants(overrides, file);
  TRY(tenants.open());
  if (!overrides.IsDefined() || !overrides.IsMap()) return out;
  for (const auto& entry : overrides) {
    if (auto ok = check_tenant_id(entry.first.Scalar()); !ok) {
      return std::unexpected(yaml::error_at(entry.first, file, ok.error().message));
    }
    Limits limits = base;
    Fields fields(entry.second, file);
    TRY(read_limits(fields, limits, out.warnings, entry.second));
    out.tenants.emplace(entry.first.Scalar(), std::make_shared<const Limits>(std::move(limits)));
  }
  return out;
}

// yaml-cpp throws on what it finds out only while walking (a bad conversion, an alias that points nowhere).
template <typename F>
auto guarded(std::string_view file, F walk) -> decltype(walk()) {
  try {
    return walk();
  } catch (const YAML::Exception& e) {
    return fail(ErrorKind::bad_input, fmt::format("{}:{}:{}: {}", file, e.mark.line + 1, e.mark.column + 1, e.msg));
  }
}

}  // namespace

Result<ParsedLimits> parse_limits(std::string_view text, std::string_view file, const Limits& base) {
  return guarded(file, [&]() -> Result<ParsedLimits> {
    YAML::Node document = TRY(yaml::parse(text, file));
    ParsedLimits out{base, {}};
    Fields fields(document, file);
    TRY(read_limits(fields, out.limits, out.warnings, document));
    return out;
  });
}

Result<ParsedOverrides> parse_overrides(std::string_view text, std::string_view file, const Limits& base) {
  return guarded(file, [&]() -> Result<ParsedOverrides> {
    YAML::Node document = TRY(yaml::parse(text, file));
    return read_overrides(document, file, base);
  });
}

std::string to_yaml(const Limits& limits, const Limits* base, int indent) {
  std::string pad(static_cast<std::size_t>(indent), ' ');
  std::string out;
  for (const LimitField& field : limit_fields()) {
    std::visit(
        [&](auto member) {
          if (base && limits.*member == base->*member) return;
          out += pad + std::string(field.name) + ": " + scalar(limits.*member) + "\n";
        },
        field.member);
  }
  return out + lists_to_yaml(limits, base, pad);
}

}  // namespace tocayo::tenancy
