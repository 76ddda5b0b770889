// SPDX-License-Identifier: Apache-2.0
// The limits in effect: defaults, the `limits:` block, and per tenant the overrides file, which is read again every 10
// s.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "tenancy/limits.h"

namespace tocayo::tenancy {

// Thread-safe. Limits handed out are immutable snapshots: a reload makes new ones.
class LimitsService {
 public:
  struct Options {
    bool login_required = false;
    std::string limits_yaml;               // text of the `limits:` block, "" for none
    std::string limits_origin = "limits";  // file name for its errors
    std::string overrides_file;            // path, "" for none
    std::chrono::milliseconds reload_every{10'000};
  };
  // Reads both; a mistake in either is an error here (the program should not start on it). An overrides file that does
  // not exist yet counts as empty. Starts the reloading thread when there is a file.
  static Result<std::unique_ptr<LimitsService>> open(Options options);
  ~LimitsService();

  std::shared_ptr<const Limits> limits(std::string_view tenant) const;
  std::shared_ptr<const Limits> defaults() const;

  // Reads the overrides file now. A broken file keeps the old limits, sets cortex_runtime_config_last_reload_successful
  // to 0 and is the error returned. Called every `reload_every`, and for SIGHUP and /-/reload.
  Result<> reload_overrides();
  // Replaces the `limits:` block (configuration reload) and applies the overrides to the new base. On an error nothing
  // changes.
  Result<> reload_limits(std::string limits_yaml);

  // GET /runtime_config: YAML; with `only_differences` (mode=diff) only what differs from the defaults.
  std::string runtime_config(bool only_differences) const;
  // GET /api/v1/user_limits: JSON in Mimir's shape.
  std::string user_limits(std::string_view tenant) const;

 private:
  struct Impl;
  explicit LimitsService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::tenancy
