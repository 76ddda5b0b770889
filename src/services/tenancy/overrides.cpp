// SPDX-License-Identifier: Apache-2.0
#include "tenancy/overrides.h"

#include <array>
#include <boost/json.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/log.h"
#include "core/registry.h"
#include "core/text.h"
#include "tenancy/detail/crypto.h"

namespace tocayo::tenancy {

namespace {

// What Mimir shows of a tenant, in its order, and exports as cortex_limits_*.
constexpr std::array<std::string_view, 13> kShown = {"request_rate",
                                                     "request_burst_size",
                                                     "ingestion_rate",
                                                     "ingestion_burst_size",
                                                     "ingestion_burst_factor",
                                                     "max_global_series_per_user",
                                                     "max_global_series_per_metric",
                                                     "max_global_exemplars_per_user",
                                                     "max_fetched_chunks_per_query",
                                                     "max_fetched_series_per_query",
                                                     "max_fetched_chunk_bytes_per_query",
                                                     "ruler_max_rules_per_rule_group",
                                                     "ruler_max_rule_groups_per_tenant"};

double number_of(const Limits& limits, std::string_view name) {
  for (const LimitField& field : limit_fields()) {
    if (field.name != name) continue;
    if (auto* number = std::get_if<double Limits::*>(&field.member)) return limits.**number;
    if (auto* count = std::get_if<std::int64_t Limits::*>(&field.member)) return static_cast<double>(limits.**count);
  }
  return 0;
}

using Tenants = std::map<std::string, std::shared_ptr<const Limits>, std::less<>>;

}  // namespace

struct LimitsService::Impl {
  explicit Impl(Options o) : options(std::move(o)) {}

  Options options;
  mutable std::mutex mutex;
  std::shared_ptr<const Limits> base;
  Tenants tenants;
  std::string overrides_text;  // as last applied
  std::string hash;            // hex SHA-256 of it
  std::string failed_text;     // of the last broken version, so that it is logged once
  std::condition_variable_any stopping;
  Gauge& successful = Registry::global().gauge("cortex_runtime_config_last_reload_successful",
                                               "Whether the last read of the overrides file succeeded.");
  std::jthread thread;

  ~Impl() {
    thread = {};
    Registry::global().remove_collectors(this);
  }

  Result<> read_base(const std::string& text, std::shared_ptr<const Limits>& out) const {
    auto parsed = TRY(parse_limits(text, options.limits_origin, Limits::defaults(options.login_required)));
    for (auto& warning : parsed.warnings) log::warn("tenancy", "limits", {{"warning", warning}});
    out = std::make_shared<const Limits>(std::move(parsed.limits));
    return {};
  }

  Result<std::string> read_overrides_text() const {
    auto text = read_file(options.overrides_file, 64 << 20);
    if (!text && text.error().kind == ErrorKind::not_found) return std::string();
    return text;
  }

  Result<> apply(const std::string& text) {
    std::shared_ptr<const Limits> current;
    {
      std::lock_guard lock(mutex);
      current = base;
    }
    auto parsed = TRY(parse_overrides(text, options.overrides_file, *current));
    for (auto& warning : parsed.warnings) log::warn("tenancy", "overrides", {{"warning", warning}});
    std::lock_guard lock(mutex);
    tenants = std::move(parsed.tenants);
    overrides_text = text;
    hash = to_hex(sha256(text));
    failed_text.clear();
    return {};
  }

  Result<> reload(bool even_if_same) {
    if (options.overrides_file.empty()) return {};
    auto text = read_overrides_text();
    {
      std::lock_guard lock(mutex);
      if (text && !even_if_same && !hash.empty() && *text == overrides_text) {
        successful.set(1);
        failed_text.clear();
        return {};
      }
    }
    Result<> applied = text ? apply(*text) : Result<>(std::unexpected(text.error()));
    successful.set(applied ? 1 : 0);
    if (!applied) {
      std::lock_guard lock(mutex);
      if (failed_text != applied.error().message) {
        failed_text = applied.error().message;
        log::error("tenancy", "the overrides file is broken: the former limits stay", {{"error", applied.error()}});
      }
    }
    return applied;
  }

  void collect(std::vector<Registry::Family>& out) const {
    std::lock_guard lock(mutex);
    Registry::Family config{
        "cortex_runtime_config_hash", "Hash of the overrides file in effect.", MetricType::gauge, {}};
    if (!hash.empty()) config.samples.push_back({"", Labels{{"sha256", hash}}, 1});
    Registry::Family defaults{"cortex_limits_defaults", "Limits of tenants without overrides.", MetricType::gauge, {}};
    Registry::Family overrides{"cortex_limits_overrides", "Limits of tenants with overrides.", MetricType::gauge, {}};
    for (std::string_view name : kShown) {
      defaults.samples.push_back({"", Labels{{"limit_name", std::string(name)}}, number_of(*base, name)});
      for (auto& [tenant, limits] : tenants) {
        overrides.samples.push_back(
            {"", Labels{{"limit_name", std::string(name)}, {"user", tenant}}, number_of(*limits, name)});
      }
    }
    out.push_back(std::move(config));
    out.push_back(std::move(defaults));
    out.push_back(std::move(overrides));
  }

  void run(std::stop_token stop) {
    std::mutex idle;
    while (!stop.stop_requested()) {
      std::unique_lock lock(idle);
      stopping.wait_for(lock, stop, options.reload_every, [] { return false; });
      if (!stop.stop_requested()) (void)reload(false);
    }
  }
};

LimitsService::LimitsService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LimitsService::~LimitsService() = default;

Result<std::unique_ptr<LimitsService>> LimitsService::open(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TRY(impl->read_base(impl->options.limits_yaml, impl->base));
  TRY(impl->reload(true));
  Registry::global().add_collector(impl.get(), [raw = impl.get()](auto& out) { raw->collect(out); });
  if (!impl->options.overrides_file.empty()) {
    impl->thread = std::jthread([raw = impl.get()](std::stop_token stop) { raw->run(stop); });
  }
  return std::unique_ptr<LimitsService>(new LimitsService(std::move(impl)));
}

std::shared_ptr<const Limits> LimitsService::limits(std::string_view tenant) const {
  std::lock_guard lock(impl_->mutex);
  auto found = impl_->tenants.find(tenant);
  return found == impl_->tenants.end() ? impl_->base : found->second;
}

std::shared_ptr<const Limits> LimitsService::defaults() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->base;
}

Result<> LimitsService::reload_overrides() { return impl_->reload(true); }

Result<> LimitsService::reload_limits(std::string limits_yaml) {
  std::shared_ptr<const Limits> next;
  TRY(impl_->read_base(limits_yaml, next));
  std::string text;
  {
    std::lock_guard lock(impl_->mutex);
    text = impl_->overrides_text;
  }
  auto parsed = TRY(parse_overrides(text, impl_->options.overrides_file, *next));
  std::lock_guard lock(impl_->mutex);
  impl_->base = std::move(next);
  impl_->tenants = std::move(parsed.tenants);
  impl_->options.limits_yaml = std::move(limits_yaml);
  return {};
}

std::string LimitsService::runtime_config(bool only_differences) const {
  std::lock_guard lock(impl_->mutex);
  std::string out = impl_->tenants.empty() ? "overrides: {}\n" : "overrides:\n";
  for (auto& [tenant, limits] : impl_->tenants) {
    std::string fields = to_yaml(*limits, only_differences ? impl_->base.get() : nullptr, 4);
    std::string quoted = "'";
    for (char c : tenant) quoted += c == '\'' ? "''" : std::string(1, c);
    out += "  " + quoted + "':" + (fields.empty() ? " {}\n" : "\n" + fields);
  }
  return out;
}

std::string LimitsService::user_limits(std::string_view tenant) const {
  auto held = limits(tenant);
  boost::json::object out;
  for (std::string_view name : kShown) {
    for (const LimitField& field : limit_fields()) {
      if (field.name != name) continue;
      if (auto* number = std::get_if<double Limits::*>(&field.member)) {
        double value = (*held).**number;
        if (value == static_cast<double>(static_cast<std::int64_t>(value)))
          out[name] = static_cast<std::int64_t>(value);
        else
          out[name] = value;
      }
      if (auto* count = std::get_if<std::int64_t Limits::*>(&field.member)) out[name] = (*held).**count;
    }
  }
  return boost::json::serialize(out);
}

}  // namespace tocayo::tenancy
