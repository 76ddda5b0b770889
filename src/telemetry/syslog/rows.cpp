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

std::string_view promtail_severity(int severity) {
  constexpr std::string_view kNames[] = {"emergency", "alert",  "critical",      "error",
                                         "warning",   "notice", "informational", "debug"};
  return severity >= 0 && severity < 8 ? kNames[severity] : std::string_view();
}

// Labels that promtail's rules look at.
void put_promtail(const Message& message, std::string_view peer, bool data, Labels& labels) {
  const auto put = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) labels.set(name, value);
  };
  put("__syslog_connection_ip_address", peer);
  put("__syslog_message_severity", promtail_severity(message.severity));
  put("__syslog_message_facility", message.facility == 15 ? "cron2" : facility_name(message.facility));
  put("__syslog_message_hostname", message.host);
  put("__syslog_message_app_name", message.app);
  put("__syslog_message_proc_id", message.process);
  put("__syslog_message_msg_id", message.id);
  if (!data) return;
  for (const auto& parameter : message.data) {
    std::string element(parameter.element);
    std::ranges::replace(element, '@', '_');
    put("__syslog_message_sd_" + element + "_" + std::string(parameter.name), parameter.value);
  }
}

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
  const auto add = [&](Labels labels, Line line) {
    const auto [found, added] = group_of.try_emplace(labels.to_string(false), groups.size());
    if (added) groups.push_back({std::move(labels), {}});
    groups[found->second].lines.push_back(std::move(line));
  };
  const bool label_host = wants("host");
  const bool label_app = wants("app");
  const bool label_facility = wants("facility");
  const bool label_severity = wants("severity");
  for (const auto& item : batch.items) {
    const auto bytes = std::string_view(batch.bytes).substr(item.first, item.size);
    const auto message = parse_message(bytes, config.format, item.arrived);
    Labels labels = config.labels;
    Line line{.time = distinct(config.keep_time ? message.time : item.arrived, item.number),
              .text = config.whole_message ? bytes : message.text,
              .metadata = {}};
    const auto put = [&](bool as_label, std::string_view name, std::string_view value) {
      if (value.empty()) return;
      if (as_label) {
        labels.set(name, value);
      } else {
        line.metadata.push_back({name, value});
      }
    };
    if (config.names == FieldNames::promtail) {
      put_promtail(message, batch.peers[item.peer], config.label_data, labels);
      add(std::move(labels), std::move(line));
      continue;
    }
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
    add(std::move(labels), std::move(line));
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
