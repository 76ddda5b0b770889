// SPDX-License-Identifier: Apache-2.0
// The table ../shared/conformance/alerting/templates.yaml (or $TOCAYO_ALERTING_CONFORMANCE): every expectation was made
// by the programs whose templates these are.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <deque>
#include <filesystem>

#include "core/text.h"
#include "core/time.h"
#include "core/yaml.h"
#include "template/functions_for_test.h"
#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

using testing::Alerts;
using testing::KeyValues;
using testing::Record;
using testing::RuleContext;

// Owns what the data of one case points at.
struct Data {
  std::deque<std::string> texts;
  std::deque<std::vector<Value>> lists;
  std::deque<std::vector<MapEntry>> maps;
  std::deque<Time> times;
  std::deque<KeyValues> key_values;
  std::deque<Record> records;
  Alerts alerts;

  std::string_view text(const YAML::Node& node) { return texts.emplace_back(node.as<std::string>("")); }
  Value time(const std::string& text) {
    const auto parsed = parse_time("2006-01-02T15:04:05Z07:00", text, nullptr);
    return Value::of(&times.emplace_back(parsed ? *parsed : Time{}));
  }
  Value key_value(const YAML::Node& node) {
    return Value::of(
        key_values.emplace_back(node.as<std::map<std::string, std::string>>(std::map<std::string, std::string>())));
  }
  Value map(const YAML::Node& node) {
    auto& entries = maps.emplace_back();
    for (const auto& [name, value] : node.as<std::map<std::string, std::string>>()) {
      entries.push_back({texts.emplace_back(name), Value::of(texts.emplace_back(value))});
    }
    return Value::of_map(entries, Type::map_string);
  }
  Value list(const YAML::Node& node, const std::string& type) {
    auto& values = lists.emplace_back();
    for (const auto& item : node) {
      const std::string_view given = text(item);
      if (type == "float64[]") values.push_back(Value::of(*parse_float(given)));
      if (type == "int[]") values.push_back(Value::of_int(*parse_int(given)));
      if (type == "int64[]") values.push_back(Value::of_int64(*parse_int(given)));
      if (type == "uint64[]") values.push_back(Value::of_uint64(std::stoull(std::string(given))));
      if (type == "string[]") values.push_back(Value::of(given));
    }
    return Value::of_list(values, type == "string[]" ? Type::list_string : Type::list_any);
  }
  Value notification(const YAML::Node& node) {
    for (const auto& alert : node["alerts"]) {
      auto& record = records.emplace_back();
      record.type = "template.Alert";
      const auto add = [&record](const char* name, const char* json, Value value) {
        record.fields.emplace_back(name, value);
        record.json_names.emplace_back(name, json);
      };
      add("Status", "status", Value::of(text(alert["status"])));
      add("Labels", "labels", key_value(alert["labels"]));
      add("Annotations", "annotations", key_value(alert["annotations"]));
      add("StartsAt", "startsAt", time(alert["startsAt"].as<std::string>()));
      add("EndsAt", "endsAt", time(alert["endsAt"].as<std::string>()));
      add("GeneratorURL", "generatorURL", Value::of(text(alert["generatorURL"])));
      add("Fingerprint", "fingerprint", Value::of(text(alert["fingerprint"])));
      alerts.alerts.push_back(Value::of(record));
    }
    auto& data = records.emplace_back();
    data.type = "template.Data";
    data.fields = {{"Receiver", Value::of(text(node["receiver"]))},
                   {"Status", Value::of(text(node["status"]))},
                   {"Alerts", Value::of(alerts)},
                   {"GroupLabels", key_value(node["groupLabels"])},
                   {"CommonLabels", key_value(node["commonLabels"])},
                   {"CommonAnnotations", key_value(node["commonAnnotations"])},
                   {"RouteLabels", key_value(node["routeLabels"])},
                   {"ExternalURL", Value::of(text(node["externalURL"]))}};
    return Value::of(data);
  }
  Value alert(const YAML::Node& node) {
    auto& record = records.emplace_back();
    record.type = "struct { Labels map[string]string; … }";
    record.fields = {{"Labels", map(node["labels"])},
                     {"ExternalLabels", map(node["external_labels"])},
                     {"ExternalURL", Value::of("http://testhost:9090/path/prefix")},
                     {"Value", Value::of(node["value"].as<double>())}};
    return Value::of(record);
  }
};

constexpr std::string_view kAlertVariables =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

// Output, or the whole error text.
std::pair<std::string, std::string> run(const YAML::Node& test) {
  const bool rules = test["engine"].as<std::string>() == "prometheus";
  Options options;
  if (test["mode"].as<std::string>("text") == "html") options.mode = Mode::html;
  options.missing_key = test["missingkey"].as<std::string>("zero") == "error" ? MissingKey::error : MissingKey::zero;
  std::string name = rules ? "test" : "";
  std::string text = test["template"].as<std::string>();
  Data data;
  Value value;
  const std::string type = test["data_type"].as<std::string>("");
  if (test["alert"]) {
    name = "__alert_" + test["alert"]["name"].as<std::string>();
    text = std::string(kAlertVariables) + text;
    value = data.alert(test["alert"]);
  } else if (type == "map") {
    value = data.map(test["data"]);
  } else if (type == "notification") {
    value = data.notification(test["data"]);
  } else if (type == "time") {
    value = data.time(test["data"].as<std::string>());
  } else if (!type.empty()) {
    value = data.list(test["data"], type);
  }
  RuleContext context;
  for (const auto& sample : test["query_result"]) {
    context.query_result.push_back(
        {sample["labels"].as<std::map<std::string, std::string>>(), sample["value"].as<double>()});
  }
  auto compiled = Template::compile(
      name, text, rules ? testing::rule_function_table() : testing::notification_function_table(), options);
  const std::string doing = rules ? "error parsing template " + name + ": " : "";
  if (!compiled) return {"", doing + compiled.error().message};
  Scratch scratch;
  std::string out;
  const auto done = compiled->execute(name, value, out, scratch, &context);
  if (!done) return {"", (rules ? "error executing template " + name + ": " : "") + done.error().message};
  return {out, ""};
}

TEST(TemplateTable, EveryCase) {
  const char* given = std::getenv("TOCAYO_ALERTING_CONFORMANCE");
  const std::filesystem::path directory =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(TOCAYO_SOURCE_DIR) / "../shared/conformance/alerting";
  const auto text = read_file((directory / "templates.yaml").string());
  if (!text) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << directory << " is missing";
    GTEST_SKIP() << directory << " is not there";
  }
  const auto root = yaml::parse(*text, "templates.yaml");
  ASSERT_TRUE(root) << root.error().message;
  std::size_t count = 0;
  for (const auto& test : (*root)["cases"]) {
    ++count;
    SCOPED_TRACE(test["id"].as<std::string>() + ": " + test["note"].as<std::string>(""));
    const auto [output, error] = run(test);
    const auto& expect = test["expect"];
    if (expect["output"]) {
      EXPECT_EQ(error, "");
      EXPECT_EQ(output, expect["output"].as<std::string>());
    } else if (expect["error"]) {
      EXPECT_EQ(error, expect["error"].as<std::string>());
    } else {
      EXPECT_TRUE(error.starts_with(expect["error_starts"].as<std::string>())) << error;
    }
  }
  EXPECT_GE(count, 90u);
}

}  // namespace
}  // namespace tocayo::templates
