// SPDX-License-Identifier: Apache-2.0
// A tenant's drop_labels and metric_relabel_configs, compiled once per text.
#include <map>
#include <mutex>

#include "core/log.h"
#include "core/yaml.h"
#include "metrics/ingest_limits.h"

namespace tocayo::metrics {
namespace {

constexpr std::size_t kMaxKept = 4096;  // different texts, about as many as there are tenants with rules of their own

struct Memo {
  std::mutex mutex;
  std::map<std::string, Result<std::shared_ptr<const IngestRules>>, std::less<>> entries;
};
Memo& memo() {
  static Memo instance;
  return instance;
}

Result<std::shared_ptr<const IngestRules>> compile_rules(std::span<const std::string> drop_labels,
                                                         std::string_view relabel_yaml) {
  auto rules = std::make_shared<IngestRules>();
  rules->drop_labels.assign(drop_labels.begin(), drop_labels.end());
  if (!relabel_yaml.empty()) {
    const YAML::Node list = TRY(yaml::parse(relabel_yaml, "metric_relabel_configs"));
    rules->relabel = TRY(parse_relabel_rules(list, "metric_relabel_configs"));
  }
  if (rules->relabel.empty() && rules->drop_labels.empty()) return std::shared_ptr<const IngestRules>();
  return std::shared_ptr<const IngestRules>(std::move(rules));
}

}  // namespace

Result<std::shared_ptr<const IngestRules>> ingest_rules(std::span<const std::string> drop_labels,
                                                        std::string_view relabel_yaml) {
  if (drop_labels.empty() && relabel_yaml.empty()) return std::shared_ptr<const IngestRules>();
  std::string key(relabel_yaml);
  for (const std::string& name : drop_labels) key.append(1, '\0').append(name);
  Memo& all = memo();
  std::lock_guard lock(all.mutex);
  auto found = all.entries.find(key);
  if (found == all.entries.end()) {
    if (all.entries.size() >= kMaxKept) all.entries.clear();
    found = all.entries.emplace(std::move(key), compile_rules(drop_labels, relabel_yaml)).first;
    if (!found->second) {
      log::error("metrics", "metric_relabel_configs of a tenant cannot be used", {{"error", found->second.error()}});
    }
  }
  return found->second;
}

std::shared_ptr<const IngestRules> ingest_rules_or_none(std::span<const std::string> drop_labels,
                                                        std::string_view relabel_yaml) {
  if (auto rules = ingest_rules(drop_labels, relabel_yaml)) return *rules;
  auto rest = ingest_rules(drop_labels, {});
  return rest ? *rest : nullptr;
}

}  // namespace tocayo::metrics
