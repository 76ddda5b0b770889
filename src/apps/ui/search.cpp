// SPDX-License-Identifier: Apache-2.0
#include "ui/search.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "core/percent.h"
#include "core/text.h"

namespace tocayo::ui {
namespace json = boost::json;
namespace {

struct Hit {
  int score;
  std::string kind, title, subtitle, href;
};

std::string explore_link(std::string_view expr) {
  json::object query{{"refId", "A"}, {"expr", expr}};
  json::object pane{{"datasource", "tocayo-metrics"},
                    {"queries", json::array{std::move(query)}},
                    {"range", json::object{{"from", "now-1h"}, {"to", "now"}}}};
  return "/explore?schemaVersion=1&panes=" + percent_encode(json::serialize(json::object{{"a", std::move(pane)}}));
}

}  // namespace

int match_score(std::string_view query, std::string_view text) {
  if (query.empty()) return 1;
  std::string q = to_lower(query);
  std::string t = to_lower(text);
  if (t == q) return 1000;
  if (t.starts_with(q)) return 800 - static_cast<int>(std::min<std::size_t>(t.size(), 200));
  if (auto at = t.find(q); at != std::string::npos) {
    bool word = !std::isalnum(static_cast<unsigned char>(t[at - 1]));
    return (word ? 500 : 300) - static_cast<int>(std::min<std::size_t>(t.size(), 200));
  }
  std::size_t next = 0;
  for (char c : t) {
    if (next < q.size() && c == q[next]) ++next;
  }
  return next == q.size() ? std::max(1, 90 - static_cast<int>(std::min<std::size_t>(t.size() - q.size(), 89))) : 0;
}

std::string search_json(const Reads& reads, std::string_view tenant, TimestampMs now, std::string_view query,
                        std::string_view kinds, std::size_t limit, const Context& context) {
  std::vector<Hit> hits;
  std::set<std::string> warnings;
  auto wanted = [&](std::string_view kind) {
    if (kinds.empty()) return true;
    auto list = split(kinds, ',');
    return std::find(list.begin(), list.end(), kind) != list.end();
  };
  auto add_values = [&](const std::string& label, std::span<const std::vector<Matcher>> matchers, std::string_view kind,
                        auto make_hit) {
    if (!wanted(kind)) return;
    auto values = reads.label_values(tenant, label, matchers, now, context);
    if (!values) {
      warnings.insert(values.error().message);
      return;
    }
    for (const std::string& value : *values) {
      if (int score = match_score(query, value); score > 0) hits.push_back(make_hit(score, value));
    }
  };
  static constexpr std::pair<std::string_view, std::string_view> kPages[] = {
      {"Home", "/"}, {"Explore", "/explore"}, {"Hosts", "/hosts"}, {"Admin", "/admin"}, {"Profile", "/me"}};
  if (wanted("page")) {
    for (auto [title, href] : kPages) {
      if (int score = match_score(query, title); score > 0)
        hits.push_back({score + 5, "page", std::string(title), "", std::string(href)});
    }
  }
  add_values("__name__", {}, "metric",
             [](int score, const std::string& name) { return Hit{score, "metric", name, "", explore_link(name)}; });
  std::vector<std::vector<Matcher>> uname{{Matcher::equal("__name__", "node_uname_info")}};
  add_values("instance", uname, "host", [](int score, const std::string& name) {
    return Hit{score + 10, "host", name, "", "/hosts/" + percent_encode(name)};
  });
  if (!query.empty() && wanted("label_value")) {
    for (std::string label : {"job", "instance"}) {
      add_values(label, {}, "label_value", [&](int score, const std::string& value) {
        return Hit{score - 1, "label_value", value, label, explore_link("{" + label + "=" + go_quote(value) + "}")};
      });
    }
  }
  limit = std::clamp<std::size_t>(limit, 1, 200);
  auto better = [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.title < b.title; };
  std::size_t kept = std::min(limit, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(kept), hits.end(), better);
  json::array results;
  for (std::size_t i = 0; i < kept; ++i) {
    results.push_back(json::object{
        {"kind", hits[i].kind}, {"title", hits[i].title}, {"subtitle", hits[i].subtitle}, {"href", hits[i].href}});
  }
  return json::serialize(
      json::object{{"results", std::move(results)}, {"warnings", json::array(warnings.begin(), warnings.end())}});
}

}  // namespace tocayo::ui
