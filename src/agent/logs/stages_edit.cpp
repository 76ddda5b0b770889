// SPDX-License-Identifier: Apache-2.0
// Stages that change a line's labels, tenant, metadata and text: labels, labelallow, labeldrop, static_labels,
// structured_metadata, tenant, output, pack, decolorize. timestamp is in stage_timestamp.cpp, template and replace in
// stages_template.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/logs/json_text.h"
#include "agent/logs/stage.h"
#include "agent/logs/stage_parsers.h"

namespace tocayo::agent {
namespace {

// Name → where its value is (a field's name).
struct LabelSettings {
  struct Pair {
    std::string name, source;
  };
  std::vector<Pair> pairs;
};

// Calls `found` with every pair that has a value which can be one.
template <typename Found>
void each_value(const LabelSettings& settings, const LogLine& line, Found found) {
  std::string scratch;
  for (const auto& pair : settings.pairs) {
    const auto value = line.fields.text(pair.source, scratch);
    if (value && is_valid_utf8(*value)) found(pair, *value);
  }
}

Result<std::shared_ptr<const LabelSettings>> read_pairs(const YAML::Node& name, const YAML::Node& config,
                                                        const std::string& file) {
  if (!config.IsMap()) return stage_error(name, file, fmt::format("{}: a mapping is expected", name.Scalar()));
  auto settings = std::make_shared<LabelSettings>();
  for (const auto& entry : config) {
    if (!entry.first.IsScalar() || !is_classic_label_name(entry.first.Scalar()))
      return stage_error(entry.first, file,
                         fmt::format("{}: \"{}\" is no label name", name.Scalar(),
                                     entry.first.IsScalar() ? entry.first.Scalar() : ""));
    if (!entry.second.IsNull() && !entry.second.IsScalar())
      return stage_error(entry.second, file, fmt::format("{}: a text is expected", name.Scalar()));
    const bool given = entry.second.IsScalar() && !entry.second.Scalar().empty();
    settings->pairs.push_back({entry.first.Scalar(), given ? entry.second.Scalar() : entry.first.Scalar()});
  }
  return settings;
}

class LabelsStage final : public PlainStage {
 public:
  explicit LabelsStage(std::shared_ptr<const LabelSettings> settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    // One copy however many labels change; the set that the line before got serves again when it is the same.
    Labels changed;
    bool copied = false;
    each_value(*settings_, line, [&](const auto& pair, std::string_view value) {
      if ((copied ? changed : *line.labels).get(pair.name) == value) return;
      if (!copied) changed = *line.labels;
      copied = true;
      changed.set(pair.name, value);
    });
    if (!copied) return true;
    if (last_ == nullptr || *last_ != changed) last_ = std::make_shared<const Labels>(std::move(changed));
    line.labels = last_;
    return true;
  }

 private:
  std::shared_ptr<const LabelSettings> settings_;
  std::shared_ptr<const Labels> last_;  // shared with lines
};

Result<StageFactory> parse_labels(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  auto settings = TRY(read_pairs(name, config, file));
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<LabelsStage>(settings); };
}

// What is found goes from the labels to the metadata.
class MetadataStage final : public PlainStage {
 public:
  explicit MetadataStage(std::shared_ptr<const LabelSettings> settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    std::map<std::string, std::string> taken;  // by source
    each_value(*settings_, line, [&](const auto& pair, std::string_view value) {
      line.metadata.push_back({pair.name, std::string(value)});
      taken[pair.source] = value;
    });
    for (const auto& pair : settings_->pairs) {
      if (taken.contains(pair.source) || !line.labels->has(pair.source)) continue;
      line.metadata.push_back({pair.name, std::string(line.labels->get(pair.source))});
      taken[pair.source] = line.labels->get(pair.source);
    }
    for (const auto& [source, value] : taken) {
      if (!value.empty() && line.labels->get(source) == value) line.set_label(source, {});
    }
    return true;
  }

 private:
  std::shared_ptr<const LabelSettings> settings_;
};

Result<StageFactory> parse_metadata(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  auto settings = TRY(read_pairs(name, config, file));
  return
      [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<MetadataStage>(settings); };
}

// ---- labelallow, labeldrop, static_labels

class KeepOrDropStage final : public PlainStage {
 public:
  KeepOrDropStage(std::shared_ptr<const std::set<std::string, std::less<>>> names, bool keep)
      : names_(std::move(names)), keep_(keep) {}

 protected:
  bool work(LogLine& line) override {
    auto goes = [&](const Label& label) { return names_->contains(label.name) != keep_; };
    if (std::ranges::none_of(*line.labels, goes)) return true;
    std::vector<Label> left;
    std::ranges::copy_if(*line.labels, std::back_inserter(left), [&](const Label& label) { return !goes(label); });
    line.labels = std::make_shared<const Labels>(Labels::from_sorted(std::move(left)));
    return true;
  }

 private:
  std::shared_ptr<const std::set<std::string, std::less<>>> names_;
  bool keep_;
};

Result<StageFactory> parse_names(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  auto names = std::make_shared<std::set<std::string, std::less<>>>();
  if (!config.IsSequence() || config.size() == 0)
    return stage_error(name, file, fmt::format("{}: a list of label names is expected", name.Scalar()));
  for (const auto& item : config) {
    if (!item.IsScalar()) return stage_error(item, file, fmt::format("{}: a label name is expected", name.Scalar()));
    names->insert(item.Scalar());
  }
  const bool keep = name.Scalar() == "labelallow";
  return [names, keep](const StageContext&) -> std::unique_ptr<Stage> {
    return std::make_unique<KeepOrDropStage>(names, keep);
  };
}

class StaticLabelsStage final : public PlainStage {
 public:
  explicit StaticLabelsStage(std::vector<Label> labels) : labels_(std::move(labels)) {}

 protected:
  bool work(LogLine& line) override {
    for (const Label& label : labels_) line.set_label(label.name, label.value);
    return true;
  }

 private:
  std::vector<Label> labels_;
};

Result<StageFactory> parse_static(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  if (!config.IsMap()) return stage_error(name, file, "static_labels: a mapping is expected");
  std::vector<Label> labels;
  for (const auto& entry : config) {
    if (!entry.first.IsScalar() || entry.first.Scalar().empty())
      return stage_error(entry.first, file, "static_labels: a label name is expected");
    if (entry.second.IsNull()) continue;
    if (!entry.second.IsScalar()) return stage_error(entry.second, file, "static_labels: a text is expected");
    if (!entry.second.Scalar().empty()) labels.push_back({entry.first.Scalar(), entry.second.Scalar()});
  }
  return
      [labels](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<StaticLabelsStage>(labels); };
}

// ---- tenant

struct TenantSettings {
  std::string label, source, value;
};

class TenantStage final : public PlainStage {
 public:
  explicit TenantStage(TenantSettings settings) : settings_(std::move(settings)) {}

 protected:
  bool work(LogLine& line) override {
    std::string tenant, scratch;
    if (!settings_.source.empty())
      tenant = line.fields.text(settings_.source, scratch).value_or("");
    else if (!settings_.label.empty())
      tenant = line.labels->get(settings_.label);
    else
      tenant = settings_.value;
    if (!tenant.empty()) line.set_label(kTenantLabel, tenant);
    return true;
  }

 private:
  TenantSettings settings_;
};

Result<StageFactory> parse_tenant(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  TenantSettings settings;
  TRY(fields.read("label", settings.label));
  TRY(fields.read("source", settings.source));
  TRY(fields.read("value", settings.value));
  TRY(fields.finish());
  const int given = static_cast<int>(!settings.label.empty()) + static_cast<int>(!settings.source.empty()) +
                    static_cast<int>(!settings.value.empty());
  if (given != 1) return stage_error(name, file, "tenant: exactly one of label, source and value is needed");
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<TenantStage>(settings); };
}

// ---- output

class OutputStage final : public PlainStage {
 public:
  explicit OutputStage(std::string source) : source_(std::move(source)) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    if (const auto value = line.fields.text(source_, scratch)) line.text = std::string(*value);
    return true;
  }

 private:
  std::string source_;
};

Result<StageFactory> parse_output(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  std::string source;
  TRY(fields.read("source", source));
  TRY(fields.finish());
  if (source.empty()) return stage_error(name, file, "output: source is missing");
  return [source](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<OutputStage>(source); };
}

// ---- pack

class PackStage final : public PlainStage {
 public:
  PackStage(std::vector<std::string> names, bool ingest_time, const StageContext& context)
      : names_(std::move(names)), ingest_time_(ingest_time), context_(context) {}

 protected:
  bool work(LogLine& line) override {
    std::string packed = "{", scratch;
    for (const auto& name : names_) {
      const auto value = line.fields.text(name, scratch);
      if (!value) continue;
      if (packed.size() > 1) packed += ',';
      append_json_string(packed, name);
      packed += ':';
      append_json_string(packed, *value);
      line.set_label(name, {});
    }
    if (packed.size() > 1) packed += ',';
    packed += "\"_entry\":";
    append_json_string(packed, line.text);
    packed += '}';
    line.text = std::move(packed);
    if (ingest_time_) line.time = context_.wall();
    return true;
  }

 private:
  std::vector<std::string> names_;  // sorted, unique
  bool ingest_time_;
  const StageContext& context_;
};

Result<StageFactory> parse_pack(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  std::vector<std::string> names;
  bool ingest_time = true;
  TRY(fields.read("labels", names));
  TRY(fields.read("ingest_timestamp", ingest_time));
  TRY(fields.finish());
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return [names, ingest_time](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<PackStage>(names, ingest_time, context);
  };
}

// ---- decolorize: without the escape sequences of terminals

class DecolorizeStage final : public PlainStage {
 protected:
  bool work(LogLine& line) override {
    if (line.text.find('\x1b') == std::string::npos && line.text.find("\xc2\x9b") == std::string::npos) return true;
    std::string out;
    const std::string& text = line.text;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t end = sequence_end(text, i);
      if (end == i)
        out += text[i++];
      else
        i = end;
    }
    line.text = std::move(out);
    return true;
  }

 private:
  // ESC or CSI, [ ] ( ) # ; ?, parameters of up to four digits each, a final letter.
  static std::size_t sequence_end(const std::string& text, std::size_t from) {
    std::size_t at = from;
    if (text[at] == '\x1b')
      at += 1;
    else if (text.compare(at, 2, "\xc2\x9b") == 0)
      at += 2;
    else
      return from;
    while (at < text.size() && std::string_view("[]()#;?").find(text[at]) != std::string_view::npos) ++at;
    while (at < text.size() && ((text[at] >= '0' && text[at] <= '9') || text[at] == ';')) ++at;
    if (at >= text.size()) return from;
    const char c = text[at];
    const bool final =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '=' || c == '>' || c == '<' || c == '~' || c == '\a';
    return final ? at + 1 : from;
  }
};

Result<StageFactory> parse_decolorize(const YAML::Node&, const YAML::Node&, const std::string&) {
  return [](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<DecolorizeStage>(); };
}

}  // namespace

const std::map<std::string, StageParser, std::less<>>& editing_stages() {
  static const std::map<std::string, StageParser, std::less<>> table = {
      {"labels", parse_labels},
      {"structured_metadata", parse_metadata},
      {"non_indexed_labels", parse_metadata},
      {"labelallow", parse_names},
      {"labeldrop", parse_names},
      {"static_labels", parse_static},
      {"tenant", parse_tenant},
      {"output", parse_output},
      {"pack", parse_pack},
      {"decolorize", parse_decolorize},
      {"timestamp", parse_timestamp_stage},
      {"template", parse_template_stage},
      {"replace", parse_replace_stage},
  };
  return table;
}

}  // namespace tocayo::agent
