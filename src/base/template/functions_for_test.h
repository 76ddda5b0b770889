// SPDX-License-Identifier: Apache-2.0
// The function sets of rules and notifications and the data of a notification, as far as the tables of templates need
// them. The rooms that use the engine bring their own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "template/template.h"

namespace tocayo::templates::testing {

struct Sample {
  std::map<std::string, std::string> labels;
  double value = 0;
};

// What the rule functions get as `user`.
struct RuleContext {
  std::vector<Sample> query_result;
};

std::shared_ptr<const FunctionTable> rule_function_table();
std::shared_ptr<const FunctionTable> notification_function_table();

// Label sets of notifications: methods SortedPairs, Names, Values, Remove, String.
class KeyValues : public Object {
 public:
  explicit KeyValues(std::map<std::string, std::string> values) : values_(std::move(values)) {}
  std::string_view type_name() const override { return "template.KV"; }
  bool is_map() const override { return true; }
  bool string_values() const override { return true; }
  bool get(std::string_view name, Arena&, Value& out) const override;
  bool has_method(std::string_view name) const override;
  Result<Value> call(std::string_view method, Call& call) const override;
  std::span<const MapEntry> entries(Arena& arena) const override;
  bool print(std::string& out) const override;

 private:
  std::vector<std::pair<std::string, std::string>> sorted() const;
  std::map<std::string, std::string> values_;
};

// A record of given fields; prints its fields in order in JSON.
class Record : public Object {
 public:
  std::string_view type_name() const override { return type; }
  bool get(std::string_view name, Arena&, Value& out) const override;
  std::span<const MapEntry> entries(Arena& arena) const override;  // for JSON

  std::string type;
  std::vector<std::pair<std::string, Value>> fields;
  std::vector<std::pair<std::string, std::string>> json_names;
};

// A list of alerts with the methods Firing and Resolved.
class Alerts : public Object {
 public:
  std::string_view type_name() const override { return "template.Alerts"; }
  bool is_list() const override { return true; }
  bool get(std::string_view, Arena&, Value&) const override { return false; }
  std::span<const Value> elements(Arena&) const override { return alerts; }
  bool has_method(std::string_view name) const override { return name == "Firing" || name == "Resolved"; }
  Result<Value> call(std::string_view method, Call& call) const override;

  std::vector<Value> alerts;
};

}  // namespace tocayo::templates::testing
