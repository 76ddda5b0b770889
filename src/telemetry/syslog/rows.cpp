// SPDX-License-Identifier: Apache-2.0
#include "syslog/rows.h"

#include <algorithm>
#include <unordered_map>

#include "logs/api/otlp.h"

namespace tocayo::syslog {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Line {
  TimestampNs time;
  std::string_view text;
  std::vector<logs::LabelView> metadata;
};
struct Group {
  Labels labels;
  std::vector<Line> lines;
};

TimestampNs distinct(TimestampNs time, std::uint64_t number) {
  if (time % kSecond == 0) return time + static_cast<TimestampNs>(number % 1'000'000);
  if (time % 1'000 == 0) return time + static_cast<TimestampNs>(number % 1'000);
  return time;
}

}  // namespace

void Batch::add(std::string_view message, std::string_view peer, TimestampNs arrived, std::uint64_t number) {
  auto known = std::find(peers.begin(), peers.end(), peer);
  if (known == peers.end()) known = peers.insert(peers.end(), std::string(peer));
  items.push_back({bytes.size(), message.size(), arrived, static_cast<std::uint32_t>(known - peers.begin()), number});
  bytes += message;
}

void Batch::clear() {
  bytes.clear();
  items.clear();
  peers.clear();
}

void make_rows(const Batch& batch, const ListenerConfig& config, logs::api::PushRows& rows) {
  std::unordered_map<std::string, std::size_t> group_of;
  std::vector<Group> groups;
  const auto wants = [&](std::string_view field) {
    return std::find(config.label_fields.begin(), config.label_fields.end(), field) != config.label_fields.end();
  };
  const bool label_host = wants("host");
  const bool label_app = wants("app");
  const bool label_facility = wants("facility");
  const bool label_severity = wants("severity");
  for (const auto& item : batch.items) {
    const auto message =
        parse_message(std::string_view(batch.bytes).substr(item.first, item.size), config.format, item.arrived);
    Labels labels = config.labels;
    Line line{.time = distinct(message.time, item.number), .text = message.text, .metadata = {}};
    const auto put = [&](bool as_label, std::string_view name, std::string_view value) {
      if (value.empty()) return;
      if (as_label) {
        labels.set(name, value);
      } else {
        line.metadata.push_back({name, value});
      }
    };
    put(label_host, "host", message.host.empty() ? std::string_view(batch.peers[item.peer]) : message.host);
    put(label_app, "app", message.app);
    put(label_facility, "facility", facility_name(message.facility));
    put(label_severity, "severity", severity_name(message.severity));
    put(false, "procid", message.process);
    put(false, "msgid", message.id);
    for (const auto& parameter : message.data) {
      put(false,
          rows.keep(logs::api::label_name_of(std::string(parameter.element) + "_" + std::string(parameter.name))),
          rows.keep(parameter.value));
    }
    const auto [found, added] = group_of.try_emplace(labels.to_string(false), groups.size());
    if (added) groups.push_back({std::move(labels), {}});
    groups[found->second].lines.push_back(std::move(line));
  }
  for (auto& group : groups) {
    rows.start_stream(std::move(group.labels));
    for (const auto& line : group.lines) {
      for (const auto& pair : line.metadata) rows.add_metadata(pair.name, pair.value);
      rows.add_entry(line.time, line.text);
    }
  }
}

}  // namespace tocayo::syslog
