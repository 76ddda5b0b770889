// SPDX-License-Identifier: Apache-2.0
#include "main/agent_pages.h"

#include <boost/json.hpp>
#include <map>

#include "core/time.h"

namespace tocayo {
namespace json = boost::json;
namespace {

json::object labels_json(const Labels& labels) {
  json::object object;
  for (const Label& label : labels) object[label.name] = label.value;
  return object;
}

}  // namespace

std::string targets_json(const agent::Scraper& scraper) {
  json::array active, dropped;
  for (const auto& target : scraper.active()) {
    active.push_back(
        {{"discoveredLabels", labels_json(target.discovered)},
         {"labels", labels_json(target.labels)},
         {"scrapePool", target.pool},
         {"scrapeUrl", target.url},
         {"globalUrl", target.url},
         {"lastError", target.last_error},
         {"lastScrape", target.last_scrape == 0 ? "0001-01-01T00:00:00Z" : format_rfc3339(target.last_scrape)},
         {"lastScrapeDuration", target.last_duration},
         {"health", target.health},
         {"scrapeInterval", format_duration(target.interval)},
         {"scrapeTimeout", format_duration(target.timeout)}});
  }
  for (const auto& target : scraper.dropped())
    dropped.push_back({{"discoveredLabels", labels_json(target.discovered)}, {"scrapePool", target.pool}});
  json::object counts;
  for (const auto& [pool, count] : scraper.dropped_counts()) counts[pool] = count;
  return json::serialize(json::object{{"status", "success"},
                                      {"data",
                                       {{"activeTargets", std::move(active)},
                                        {"droppedTargets", std::move(dropped)},
                                        {"droppedTargetCounts", std::move(counts)}}}});
}

std::string queues_json(const agent::FanOut& fan_out, const std::vector<agent::LogQueueStatus>& logs) {
  json::array list;
  auto queues = fan_out.queues();
  auto time = [](TimestampMs at) { return at == 0 ? json::value() : json::value(format_rfc3339(at)); };
  for (const auto& queue : *queues) {
    auto status = queue->status();
    list.push_back({{"destination", status.name},
                    {"url", status.url},
                    {"signal", "metrics"},
                    {"protocol", status.protocol},
                    {"directory", status.directory},
                    {"handedIn", status.handed_in},
                    {"delivered", status.delivered},
                    {"dropped", status.dropped},
                    {"pending", status.pending_rows},
                    {"pendingBytes", status.pending_bytes},
                    {"maxBytes", status.max_disk},
                    {"deadLetters", status.dead_letters},
                    {"retries", status.retries},
                    {"untoldGaps", status.untold_gaps},
                    {"exactlyOnce", status.numbered},
                    {"shards", status.shards},
                    {"lastSuccess", time(status.last_success)},
                    {"oldestPending", time(status.oldest_pending)},
                    {"lastError", status.last_error}});
  }
  for (const auto& status : logs) {
    list.push_back({{"destination", status.name},
                    {"url", status.url},
                    {"signal", "logs"},
                    {"protocol", "loki"},
                    {"directory", status.directory},
                    {"handedIn", status.handed_in},
                    {"delivered", status.delivered},
                    {"dropped", status.dropped},
                    {"pending", status.pending_lines},
                    {"pendingBytes", status.pending_bytes},
                    {"maxBytes", status.max_disk},
                    {"deadLetters", status.dead_letters},
                    {"retries", status.retries},
                    {"tenants", status.tenants},
                    {"lastSuccess", time(status.last_success)},
                    {"oldestPending", time(status.oldest_pending)},
                    {"lastError", status.last_error}});
  }
  return json::serialize(json::object{{"status", "success"}, {"data", {{"queues", std::move(list)}}}});
}

std::string service_discovery_json(const agent::Scraper& scraper) {
  std::map<std::string, json::object> pools;
  for (const std::string& pool : scraper.pools())
    pools[pool] = {{"activeTargets", json::array()}, {"droppedTargets", json::array()}, {"droppedCount", 0}};
  for (const auto& target : scraper.active()) {
    pools[target.pool]["activeTargets"].as_array().push_back(
        {{"discoveredLabels", labels_json(target.discovered)}, {"labels", labels_json(target.labels)}});
  }
  for (const auto& target : scraper.dropped())
    pools[target.pool]["droppedTargets"].as_array().push_back({{"discoveredLabels", labels_json(target.discovered)}});
  for (const auto& [pool, count] : scraper.dropped_counts()) pools[pool]["droppedCount"] = count;
  json::object data;
  for (auto& [pool, found] : pools) data[pool] = std::move(found);
  return json::serialize(json::object{{"status", "success"}, {"data", std::move(data)}});
}

std::string positions_json(const std::vector<agent::LogSourceStatus>& sources) {
  json::array list;
  for (const auto& source : sources) {
    json::object one{{"job", source.job}, {"path", source.path}, {"labels", labels_json(source.labels)}};
    if (source.cursor.empty()) {
      one["offset"] = source.offset;
      one["size"] = source.size;
      one["lagBytes"] = source.lag_bytes;
    } else {
      one["cursor"] = source.cursor;
    }
    one["lines"] = source.lines;
    one["lastLine"] = source.last_line == 0 ? json::value() : json::value(format_rfc3339(source.last_line));
    list.push_back(std::move(one));
  }
  return json::serialize(json::object{{"status", "success"}, {"data", {{"positions", std::move(list)}}}});
}

}  // namespace tocayo
