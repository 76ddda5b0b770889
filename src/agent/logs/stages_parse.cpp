// SPDX-License-Identifier: Apache-2.0
// Stages that find values in a line: json, logfmt, regex, eventlogmessage.
#include <fmt/format.h>
#include <re2/re2.h>
#include <simdjson.h>

#include <algorithm>

#include "agent/logs/jmespath.h"
#include "agent/logs/json_text.h"
#include "agent/logs/stage.h"
#include "core/text.h"
#include "logql/pipeline/label_state.h"
#include "logql/pipeline/parsers.h"
#include "template/go_text.h"

namespace tocayo::agent {
namespace {

// ---- json

struct JsonSettings {
  struct Expression {
    std::string name;
    JmesPath path;
  };
  std::vector<Expression> expressions;
  std::optional<std::string> source;
  bool drop_malformed = false;
  bool simple = true;  // every expression is a walk along names
};

class JsonStage final : public PlainStage {
 public:
  explicit JsonStage(std::shared_ptr<const JsonSettings> settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    const auto input = input_of(line, settings_->source, scratch);
    if (!input) return true;
    const bool done = (settings_->simple && walk(*input, line.fields)) || search(*input, line.fields);
    return done || !settings_->drop_malformed;
  }

 private:
  // The fast way; false when the text must be looked at by the slow one.
  bool walk(std::string_view text, Fields& fields) {
    simdjson::dom::element root;
    if (parser_.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS) return false;
    if (!root.is_object()) return false;
    for (const auto& expression : settings_->expressions) {
      std::optional<simdjson::dom::element> at = root;
      for (const auto& name : expression.path.simple()) {
        simdjson::dom::object object;
        if (at->get(object) != simdjson::SUCCESS) {
          at.reset();
          break;
        }
        // Of equal keys the last one counts.
        std::optional<simdjson::dom::element> found;
        for (const auto member : object) {
          if (member.key == name) found = member.value;
        }
        at = found;
        if (!at) break;
      }
      set(expression.name, at, fields);
    }
    return true;
  }

  static void set(const std::string& name, const std::optional<simdjson::dom::element>& value, Fields& fields) {
    using Type = simdjson::dom::element_type;
    if (!value || value->is_null()) return fields.set(name, {});
    switch (value->type()) {
      case Type::STRING: return fields.set(name, std::string(std::string_view(*value)));
      case Type::BOOL: return fields.set(name, bool(*value));
      case Type::INT64: return fields.set(name, static_cast<double>(std::int64_t(*value)));
      case Type::UINT64: return fields.set(name, static_cast<double>(std::uint64_t(*value)));
      case Type::DOUBLE: return fields.set(name, double(*value));
      default: return fields.set(name, json_text(*value));
    }
  }

  bool search(std::string_view text, Fields& fields) const {
    const auto data = parse_json(text);
    if (!data || (!data->is_object() && !data->is_null())) return false;
    for (const auto& expression : settings_->expressions) {
      auto found = expression.path.search(*data);
      if (!found) continue;  // a function that does not like what it was given
      if (found->is_null()) {
        fields.set(expression.name, {});
      } else if (const auto* string = found->if_string()) {
        fields.set(expression.name, std::string(*string));
      } else if (const auto* truth = found->if_bool()) {
        fields.set(expression.name, *truth);
      } else if (found->is_number()) {
        fields.set(expression.name, found->to_number<double>());
      } else {
        fields.set(expression.name, json_text(*found));
      }
    }
    return true;
  }

  std::shared_ptr<const JsonSettings> settings_;
  simdjson::dom::parser parser_;
};

Result<StageFactory> parse_json_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<JsonSettings>();
  settings->source = TRY(read_source(fields));
  TRY(fields.read("drop_malformed", settings->drop_malformed));
  const YAML::Node expressions = fields.get("expressions");
  TRY(fields.finish());
  if (!expressions.IsDefined() || expressions.IsNull() || (expressions.IsMap() && expressions.size() == 0))
    return stage_error(name, file, "json: expressions are missing");
  if (!expressions.IsMap())
    return stage_error(expressions, file, "json: expressions: a mapping is expected: the value's name, where it is");
  for (const auto& entry : expressions) {
    const bool given = entry.second.IsScalar() && !entry.second.Scalar().empty();
    if (!given && !entry.second.IsNull() && !entry.second.IsScalar())
      return stage_error(entry.second, file, "json: expressions: a text is expected");
    auto path = JmesPath::compile(given ? entry.second.Scalar() : entry.first.Scalar());
    if (!path)
      return stage_error(entry.second.IsNull() ? entry.first : entry.second, file,
                         "json: expressions: " + path.error().message);
    settings->simple = settings->simple && !path->simple().empty();
    settings->expressions.push_back({entry.first.Scalar(), std::move(*path)});
  }
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<JsonStage>(settings); };
}

// ---- logfmt

struct LogfmtSettings {
  std::map<std::string, std::string, std::less<>> names;  // key of the line → name of the value
  std::optional<std::string> source;
};

class LogfmtStage final : public PlainStage {
 public:
  explicit LogfmtStage(std::shared_ptr<const LogfmtSettings> settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    const auto input = input_of(line, settings_->source, scratch);
    if (!input) return true;
    const std::string copy(*input);  // values are set while it is read
    for (const auto record : split(copy, '\n')) {
      arena_.reset();
      logql::LogfmtDecoder decoder(arena_);
      decoder.reset(record);
      while (!decoder.end()) {
        if (!decoder.next()) {
          if (decoder.failed()) return true;
          continue;
        }
        if (const auto found = settings_->names.find(decoder.key()); found != settings_->names.end())
          line.fields.set(found->second, std::string(decoder.value()));
      }
    }
    return true;
  }

 private:
  std::shared_ptr<const LogfmtSettings> settings_;
  templates::Arena arena_;
};

Result<StageFactory> parse_logfmt_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<LogfmtSettings>();
  settings->source = TRY(read_source(fields));
  const YAML::Node mapping = fields.get("mapping");
  TRY(fields.finish());
  if (!mapping.IsDefined() || !mapping.IsMap() || mapping.size() == 0)
    return stage_error(name, file, "logfmt: mapping is missing");
  for (const auto& entry : mapping) {
    const bool given = entry.second.IsScalar() && !entry.second.Scalar().empty();
    settings->names[given ? entry.second.Scalar() : entry.first.Scalar()] = entry.first.Scalar();
  }
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<LogfmtStage>(settings); };
}

// ---- regex

struct RegexSettings {
  std::shared_ptr<const re2::RE2> regex;
  std::vector<std::string> names;  // of the groups, from 1
  std::optional<std::string> source;
  bool labels_from_groups = false;
};

class RegexStage final : public PlainStage {
 public:
  explicit RegexStage(std::shared_ptr<const RegexSettings> settings)
      : settings_(std::move(settings)), groups_(settings_->names.size() + 1) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    const auto input = input_of(line, settings_->source, scratch);
    if (!input) return true;
    const std::string copy(*input);
    if (!settings_->regex->Match(copy, 0, copy.size(), re2::RE2::UNANCHORED, groups_.data(),
                                 static_cast<int>(groups_.size())))
      return true;
    for (std::size_t i = 0; i < settings_->names.size(); ++i) {
      if (settings_->names[i].empty()) continue;
      const std::string value(groups_[i + 1]);
      line.fields.set(settings_->names[i], value);
      if (settings_->labels_from_groups && is_valid_utf8(value)) line.set_label(settings_->names[i], value);
    }
    return true;
  }

 private:
  std::shared_ptr<const RegexSettings> settings_;
  std::vector<re2::StringPiece> groups_;
};

Result<StageFactory> parse_regex_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<RegexSettings>();
  settings->source = TRY(read_source(fields));
  TRY(fields.read("labels_from_groups", settings->labels_from_groups));
  if (!fields.has("expression")) return stage_error(name, file, "regex: expression is missing");
  settings->regex = TRY(read_regex(fields, "expression"));
  TRY(fields.finish());
  settings->names.resize(static_cast<std::size_t>(settings->regex->NumberOfCapturingGroups()));
  for (const auto& [number, group] : settings->regex->CapturingGroupNames())
    settings->names[static_cast<std::size_t>(number - 1)] = group;
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<RegexStage>(settings); };
}

// ---- eventlogmessage: "Key: value" lines of Windows' event log

struct EventSettings {
  std::string source = "message";
  bool drop_invalid_labels = false, overwrite_existing = false;
};

class EventStage final : public PlainStage {
 public:
  explicit EventStage(std::shared_ptr<const EventSettings> settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    if (!line.fields.has(settings_->source)) return true;
    std::string scratch;
    const auto value = line.fields.text(settings_->source, scratch);
    if (!value) return false;
    const std::string text(*value);
    for (std::string_view rest = text;;) {
      const auto end = rest.find("\r\n");
      take_pair(rest.substr(0, end), line.fields);
      if (end == std::string_view::npos) return true;
      rest.remove_prefix(end + 2);
    }
  }

 private:
  void take_pair(std::string_view pair, Fields& fields) const {
    const auto colon = pair.find(':');
    if (colon == std::string_view::npos) return;
    std::string key(pair.substr(0, colon));
    if (!is_classic_label_name(key)) {
      if (settings_->drop_invalid_labels) return;
      if (key.empty()) key = "_";
      for (std::size_t i = 0; i < key.size(); ++i) {
        const char c = key[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) key[i] = '_';
      }
    }
    if (!settings_->overwrite_existing && fields.has(key)) key += "_extracted";
    const auto value = templates::trim_space(pair.substr(colon + 1));
    if (is_valid_utf8(value)) fields.set(key, std::string(value));
  }

  std::shared_ptr<const EventSettings> settings_;
};

Result<StageFactory> parse_event_stage(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<EventSettings>();
  TRY(fields.read("source", settings->source));
  TRY(fields.read("drop_invalid_labels", settings->drop_invalid_labels));
  TRY(fields.read("overwrite_existing", settings->overwrite_existing));
  TRY(fields.finish());
  if (!is_classic_label_name(settings->source))
    return std::unexpected(fields.error("source", fmt::format("\"{}\" is no label name", settings->source)));
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<EventStage>(settings); };
}

}  // namespace

const std::map<std::string, StageParser, std::less<>>& parsing_stages() {
  static const std::map<std::string, StageParser, std::less<>> table = {
      {"json", parse_json_stage},
      {"logfmt", parse_logfmt_stage},
      {"regex", parse_regex_stage},
      {"eventlogmessage", parse_event_stage},
  };
  return table;
}

}  // namespace tocayo::agent
