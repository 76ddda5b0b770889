// SPDX-License-Identifier: Apache-2.0
#include "logs/api/otlp.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>

#include "logs/api/otlp_model.h"

namespace tocayo::logs::api {

namespace {

using otlp::Attributes;
using otlp::Value;

constexpr std::array<std::string_view, 18> kDefaultLabels = {"service.name",
                                                             "service.namespace",
                                                             "service.instance.id",
                                                             "deployment.environment",
                                                             "deployment.environment.name",
                                                             "cloud.region",
                                                             "cloud.availability_zone",
                                                             "k8s.cluster.name",
                                                             "k8s.namespace.name",
                                                             "k8s.pod.name",
                                                             "k8s.container.name",
                                                             "container.name",
                                                             "k8s.replicaset.name",
                                                             "k8s.deployment.name",
                                                             "k8s.statefulset.name",
                                                             "k8s.daemonset.name",
                                                             "k8s.cronjob.name",
                                                             "k8s.job.name"};

boost::json::value to_json(const Value& value) {
  return std::visit(
      [](const auto& data) -> boost::json::value {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return nullptr;
        } else if constexpr (std::is_same_v<T, std::vector<Value>>) {
          boost::json::array list;
          for (const auto& item : data) list.push_back(to_json(item));
          return list;
        } else if constexpr (std::is_same_v<T, Attributes>) {
          boost::json::object object;
          for (const auto& [key, item] : data) object[key] = to_json(item);
          return object;
        } else if constexpr (std::is_same_v<T, otlp::Bytes>) {
          return boost::json::string(otlp::hex(data.data));
        } else if constexpr (std::is_same_v<T, std::string>) {
          return boost::json::string(data);
        } else {
          return data;
        }
      },
      value.data);
}

std::string to_text(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value.data)) return *text;
  if (value.empty()) return {};
  if (const auto* number = std::get_if<double>(&value.data)) return fmt::format("{}", *number);
  if (const auto* flag = std::get_if<bool>(&value.data)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value.data)) return std::to_string(*number);
  if (const auto* bytes = std::get_if<otlp::Bytes>(&value.data)) return otlp::hex(bytes->data);
  return boost::json::serialize(to_json(value));
}

// Calls visit(name, text) for the attribute, or for each leaf of a map with the path joined by `_`.
template <class Visit>
void flatten(const std::string& name, const Value& value, const Visit& visit) {
  if (const auto* pairs = std::get_if<Attributes>(&value.data)) {
    for (const auto& [key, item] : *pairs) flatten(name + "_" + label_name_of(key), item, visit);
    return;
  }
  visit(name, to_text(value));
}

class Rules {
 public:
  Rules(const std::vector<OtlpRule>& rules, bool defaults) : rules_(rules), defaults_(defaults) {
    for (const auto& rule : rules) {
      regexes_.emplace_back();
      if (rule.regex.empty()) continue;
      if (auto matcher = Matcher::create(Matcher::Type::regex, "attribute", rule.regex))
        regexes_.back() = std::move(*matcher);
    }
  }
  OtlpAction action(const std::string& attribute) const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const bool named = std::ranges::find(rules_[i].attributes, attribute) != rules_[i].attributes.end();
      if (named || (regexes_[i] && regexes_[i]->matches(attribute))) return rules_[i].action;
    }
    if (defaults_ && !attribute.empty() && std::ranges::find(kDefaultLabels, attribute) != kDefaultLabels.end()) {
      return OtlpAction::index_label;
    }
    return OtlpAction::structured_metadata;
  }

 private:
  const std::vector<OtlpRule>& rules_;
  bool defaults_;
  std::vector<std::optional<Matcher>> regexes_;
};

class Converter {
 public:
  Converter(const OtlpRules& rules, TimestampNs now, PushRows& rows, std::string_view unnamed)
      : resource_(rules.resource, !rules.ignore_defaults),
        scope_(rules.scope, false),
        log_(rules.log, false),
        now_(now),
        rows_(rows),
        unnamed_(unnamed) {}

  void add(const otlp::Resource& resource) {
    std::vector<Label> labels;
    std::vector<LabelView> shared;
    for (const auto& [key, value] : resource.attributes) {
      const auto action = resource_.action(key);
      if (action == OtlpAction::drop) continue;
      flatten(label_name_of(key), value, [&](const std::string& name, std::string text) {
        if (action == OtlpAction::index_label) {
          labels.push_back({.name = name, .value = std::move(text)});
        } else {
          share(shared, name, std::move(text));
        }
      });
    }
    const Labels stream(std::move(labels));
    for (const auto& scope : resource.scopes) add(scope, stream, shared);
  }

 private:
  void share(std::vector<LabelView>& to, const std::string& name, std::string text) {
    if (text.empty()) return;
    to.push_back({rows_.keep(name), rows_.keep(std::move(text))});
  }
  void add(const otlp::Scope& scope, const Labels& stream, std::vector<LabelView> shared) {
    for (const auto& [key, value] : scope.attributes) {
      if (scope_.action(key) == OtlpAction::drop) continue;
      flatten(label_name_of(key), value,
              [&](const std::string& name, std::string text) { share(shared, name, std::move(text)); });
    }
    share(shared, "scope_name", scope.name);
    share(shared, "scope_version", scope.version);
    if (scope.dropped != 0) share(shared, "scope_dropped_attributes_count", std::to_string(scope.dropped));
    rows_.set_shared_metadata(std::move(shared));
    const Labels* open = nullptr;
    Labels own;
    for (const auto& record : scope.records) {
      // A rule may make an attribute of a record a label: such a record has a stream of its own.
      std::vector<Label> more;
      for (const auto& [key, value] : record.attributes) {
        if (log_.action(key) != OtlpAction::index_label) continue;
        flatten(label_name_of(key), value, [&](const std::string& name, std::string text) {
          more.push_back({.name = name, .value = std::move(text)});
        });
      }
      Labels labels = stream;
      for (const auto& label : more) labels.set(label.name, label.value);
      if (labels.empty() && !unnamed_.empty()) labels.set("service_name", unnamed_);
      if (open == nullptr || labels != own) {
        own = labels;
        open = &own;
        rows_.start_stream(own);
      }
      add(record);
    }
    rows_.set_shared_metadata({});
  }
  void add(const otlp::Record& record) {
    auto pair = [&](std::string_view name, std::string text) {
      if (!text.empty()) rows_.add_metadata(name, rows_.keep(std::move(text)));
    };
    for (const auto& [key, value] : record.attributes) {
      if (log_.action(key) != OtlpAction::structured_metadata) continue;
      flatten(label_name_of(key), value, [&](const std::string& name, std::string text) {
        if (!text.empty()) rows_.add_metadata(rows_.keep(name), rows_.keep(std::move(text)));
      });
    }
    if (record.observed != 0) pair("observed_timestamp", std::to_string(record.observed));
    if (record.severity_number != 0) pair("severity_number", std::to_string(record.severity_number));
    pair("severity_text", record.severity_text);
    if (record.dropped != 0) pair("dropped_attributes_count", std::to_string(record.dropped));
    if (record.flags != 0) pair("flags", std::to_string(record.flags));
    pair("trace_id", record.trace_id);
    pair("span_id", record.span_id);
    pair("event_name", record.event_name);
    const auto time = record.time != 0 ? record.time : record.observed;
    rows_.add_entry(time != 0 ? static_cast<TimestampNs>(time) : now_, rows_.keep(to_text(record.body)));
  }

  Rules resource_;
  Rules scope_;
  Rules log_;
  TimestampNs now_;
  PushRows& rows_;
  std::string_view unnamed_;
};

}  // namespace

std::string label_name_of(std::string_view attribute) {
  std::string out;
  for (char c : attribute) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out.push_back(plain ? c : '_');
  }
  if (!out.empty() && out[0] >= '0' && out[0] <= '9') out.insert(0, "key_");
  return out;
}

Result<> decode_otlp(std::string_view body, bool json, const OtlpRules& rules, TimestampNs now, PushRows& rows,
                     std::string_view unnamed) {
  const auto resources = json ? TRY(otlp::parse_json(body)) : TRY(otlp::parse_proto(body));
  Converter converter(rules, now, rows, unnamed);
  for (const auto& resource : resources) converter.add(resource);
  return {};
}

}  // namespace tocayo::logs::api
