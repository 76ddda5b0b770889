// SPDX-License-Identifier: Apache-2.0
#include "ui/home.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <set>

namespace tocayo::ui {
namespace json = boost::json;
namespace {

class Queries {
 public:
  Queries(const HomeDependencies& dependencies, const std::string& tenant, const Context& context)
      : reads_(dependencies.reads), tenant_(tenant), now_(dependencies.clock.now_ms()), context_(context) {}

  // Instant vector; empty when the query fails (a page that shows what it can beats none): warnings() say why.
  std::vector<promql::Sample> vector(std::string_view expr) const {
    auto outcome = reads_.instant(tenant_, expr, now_, context_.with_timeout(std::chrono::seconds(5)));
    if (!outcome) {
      // While the store is starting there is nothing to warn of: health says so.
      if (const ErrorKind kind = outcome.error().error.kind;
          kind != ErrorKind::unavailable && kind != ErrorKind::canceled)
        warnings_.insert(outcome.error().message());
      return {};
    }
    auto* value = std::get_if<promql::VectorValue>(&outcome->value);
    return value ? std::move(value->samples) : std::vector<promql::Sample>();
  }
  double scalar(std::string_view expr, double otherwise = 0) const {
    auto samples = vector(expr);
    return samples.empty() || !std::isfinite(samples[0].value) ? otherwise : samples[0].value;
  }
  TimestampMs now() const { return now_; }
  // Why queries failed, each reason once.
  json::array warnings() const { return json::array(warnings_.begin(), warnings_.end()); }

 private:
  const Reads& reads_;
  const std::string& tenant_;
  TimestampMs now_;
  const Context& context_;
  mutable std::set<std::string> warnings_;
};

json::value number_or_null(double value) { return std::isfinite(value) ? json::value(value) : json::value(nullptr); }

json::array hosts(const Queries& queries) {
  std::map<std::string, json::object> by_instance;
  for (const auto& sample : queries.vector("last_over_time(node_uname_info[1h])")) {
    std::string instance(sample.labels.get("instance"));
    std::string os = std::string(sample.labels.get("sysname")) + " " + std::string(sample.labels.get("release"));
    by_instance[instance] = {{"instance", instance},
                             {"hostname", sample.labels.get("nodename")},
                             {"job", sample.labels.get("job")},
                             {"os", os},
                             {"lastSeenMs", 0},
                             {"cpu", nullptr},
                             {"memory", nullptr},
                             {"disk", nullptr}};
  }
  auto fill = [&](std::string_view key, std::string_view expr, double scale) {
    for (const auto& sample : queries.vector(expr)) {
      auto it = by_instance.find(std::string(sample.labels.get("instance")));
      if (it != by_instance.end()) it->second[key] = number_or_null(sample.value * scale);
    }
  };
  fill("cpu", "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m]))", 1);
  fill("memory",
       "1 - sum by (instance) (node_memory_MemAvailable_bytes) / sum by (instance) (node_memory_MemTotal_bytes)", 1);
  fill("disk",
       "max by (instance) (1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|squashfs|overlay|iso9660\"} / "
       "(node_filesystem_size_bytes{fstype!~\"tmpfs|squashfs|overlay|iso9660\"} > 0))",
       1);
  fill("lastSeenMs", "max by (instance) (timestamp(node_time_seconds))", 1000);
  json::array list;
  for (auto& [instance, host] : by_instance) list.push_back(std::move(host));
  return list;
}

}  // namespace

std::string home_json(const HomeDependencies& dependencies, const std::string& tenant, const Context& context) {
  Queries queries(dependencies, tenant, context);
  json::object home{{"nowMs", queries.now()}};
  home["lastSampleMs"] = std::min(dependencies.newest_sample(tenant), queries.now());  // a sender's clock may be ahead
  home["ingestRate"] = queries.scalar("sum(rate(tocayo_metrics_samples_appended_total[1m]))");
  home["activeSeries"] = queries.scalar("sum(tocayo_metrics_active_series)");
  home["hosts"] = hosts(queries);

  json::array down;
  std::int64_t up = 0;
  std::set<std::pair<std::string, std::string>> known;  // (job, instance) of targets whose state we know first hand
  if (dependencies.targets != nullptr) {
    for (const auto& target : dependencies.targets->active_targets()) {
      known.emplace(target.labels.get("job"), target.labels.get("instance"));
      if (target.health == "up") ++up;
      if (target.health != "down") continue;
      down.push_back(json::object{{"job", target.labels.get("job")},
                                  {"instance", target.labels.get("instance")},
                                  {"lastError", target.last_error},
                                  {"sinceMs", target.last_scrape}});
    }
  }
  // What others scrape and send us, and our own jobs: the series `up` tells.
  for (const auto& sample : queries.vector("up")) {
    if (known.contains({std::string(sample.labels.get("job")), std::string(sample.labels.get("instance"))})) continue;
    if (sample.value == 1) {
      ++up;
      continue;
    }
    down.push_back(json::object{{"job", sample.labels.get("job")},
                                {"instance", sample.labels.get("instance")},
                                {"lastError", ""},
                                {"sinceMs", 0}});
  }
  home["targets"] = json::object{{"up", up}, {"down", std::move(down)}};

  json::array health;
  for (const HealthItem& item : dependencies.health()) {
    json::object line{{"id", item.id}, {"state", item.state}, {"message", item.message}};
    if (item.value != 0) line["value"] = item.value;
    health.push_back(std::move(line));
  }
  home["health"] = std::move(health);

  json::array events;
  for (const HomeEvent& event : dependencies.events(tenant)) {
    events.push_back(
        json::object{{"timeMs", event.time}, {"kind", event.kind}, {"title", event.title}, {"detail", event.detail}});
  }
  home["events"] = std::move(events);
  home["self"] = json::object{{"version", dependencies.version},
                              {"uptimeSeconds", (queries.now() - dependencies.start_time) / 1000},
                              {"rssBytes", queries.scalar("process_resident_memory_bytes{job=\"tocayo\"}")},
                              {"cpuSecondsTotal", queries.scalar("process_cpu_seconds_total{job=\"tocayo\"}")}};
  home["warnings"] = queries.warnings();
  return json::serialize(home);
}

}  // namespace tocayo::ui
