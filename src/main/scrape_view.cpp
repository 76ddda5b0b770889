// SPDX-License-Identifier: Apache-2.0
#include "main/scrape_view.h"

#include <boost/json.hpp>

#include "core/time.h"

namespace tocayo {
namespace {

namespace api = metrics::api;
namespace json = boost::json;

std::string rule_json(const RelabelRule& rule) {
  static constexpr std::string_view kActions[] = {"replace",   "keep",      "drop",     "keepequal",
                                                  "dropequal", "hashmod",   "labelmap", "labeldrop",
                                                  "labelkeep", "lowercase", "uppercase"};
  json::object object;
  if (!rule.source_labels.empty())
    object["source_labels"] = json::array(rule.source_labels.begin(), rule.source_labels.end());
  object["separator"] = rule.separator;
  object["regex"] = rule.regex;
  if (rule.modulus != 0) object["modulus"] = rule.modulus;
  if (!rule.target_label.empty()) object["target_label"] = rule.target_label;
  object["replacement"] = rule.replacement;
  object["action"] = kActions[static_cast<int>(rule.action)];
  return json::serialize(object);
}

class ScrapeView final : public api::TargetProvider {
 public:
  explicit ScrapeView(const agent::Scraper& scraper) : scraper_(scraper) {}

  std::vector<std::string> scrape_pools() const override { return scraper_.pools(); }
  std::vector<api::ScrapeTarget> active_targets() const override {
    std::vector<api::ScrapeTarget> list;
    for (auto& target : scraper_.active()) {
      list.push_back({target.discovered, target.labels, target.pool, target.url, target.url, target.last_error,
                      target.last_scrape, target.last_duration, target.health, format_duration(target.interval),
                      format_duration(target.timeout)});
    }
    return list;
  }
  std::vector<api::DroppedTarget> dropped_targets() const override {
    std::vector<api::DroppedTarget> list;
    for (auto& target : scraper_.dropped()) list.push_back({target.discovered, target.pool});
    return list;
  }
  std::vector<std::pair<std::string, std::size_t>> dropped_counts() const override { return scraper_.dropped_counts(); }
  std::vector<api::TargetMetadata> metadata(std::string_view metric) const override {
    std::vector<api::TargetMetadata> list;
    for (auto& [labels, row] : scraper_.metadata(metric)) list.push_back({labels, row});
    return list;
  }
  Result<std::string> pool_config(std::string_view pool) const override { return TRY(config_of(pool)).yaml; }
  Result<std::vector<api::RelabelStep>> relabel_steps(std::string_view pool, const Labels& labels) const override {
    auto config = TRY(config_of(pool));
    std::vector<api::RelabelStep> steps;
    Labels now = labels;
    for (const RelabelRule& rule : config.relabel) {
      bool keep = relabel_step(now, rule);
      steps.push_back({rule_json(rule), now, keep});
      if (!keep) break;
    }
    return steps;
  }

 private:
  Result<agent::ScrapeConfig> config_of(std::string_view pool) const {
    auto config = scraper_.pool_config(pool);
    if (!config) return fail(ErrorKind::bad_input, config.error().message);
    return config;
  }
  const agent::Scraper& scraper_;
};

}  // namespace

std::unique_ptr<api::TargetProvider> make_target_provider(const agent::Scraper& scraper) {
  return std::make_unique<ScrapeView>(scraper);
}

}  // namespace tocayo
