// SPDX-License-Identifier: Apache-2.0
// template: a field made of others; replace: what a regular expression finds, through a template.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <re2/re2.h>

#include <algorithm>

#include "agent/logs/stage.h"
#include "agent/logs/stage_parsers.h"
#include "core/text.h"
#include "logql/pipeline/template_functions.h"
#include "template/go_text.h"
#include "template/template.h"

namespace tocayo::agent {
namespace {

using templates::Call;
using templates::FunctionTable;
using templates::MapEntry;
using templates::Template;
using templates::Type;
using templates::Value;

std::string digest(const EVP_MD* kind, std::string_view salt, std::string_view input) {
  const std::string text = std::string(salt) + std::string(input);
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), out, &size, kind, nullptr) != 1) return {};
  return to_hex({reinterpret_cast<const char*>(out), size});
}

// The functions of LogQL's templates, which are promtail's but for these.
const std::shared_ptr<const FunctionTable>& functions() {
  static const std::shared_ptr<const FunctionTable> table = [] {
    auto made = std::make_shared<FunctionTable>(*logql::template_functions());
    made->add("Hash", {Type::string, Type::string}, [](Call& call) -> Result<Value> {
      return call.make(digest(EVP_sha3_256(), call.text(0), call.text(1)));
    });
    made->add("Sha2Hash", {Type::string, Type::string},
              [](Call& call) -> Result<Value> { return call.make(digest(EVP_sha256(), call.text(0), call.text(1))); });
    made->add("sha256sum", {Type::string},
              [](Call& call) -> Result<Value> { return call.make(digest(EVP_sha256(), "", call.text(0))); });
    made->add("sha1sum", {Type::string},
              [](Call& call) -> Result<Value> { return call.make(digest(EVP_sha1(), "", call.text(0))); });
    made->add("quote", {Type::string}, [](Call& call) -> Result<Value> { return call.make(go_quote(call.text(0))); });
    made->add("squote", {Type::string},
              [](Call& call) -> Result<Value> { return call.make("'" + std::string(call.text(0)) + "'"); });
    made->add("empty", {Type::any}, [](Call& call) -> Result<Value> { return Value::of(!call[0].truth()); });
    made->add_variadic("coalesce", {Type::any}, [](Call& call) -> Result<Value> {
      for (const Value& value : call.arguments) {
        if (value.truth()) return value;
      }
      return Value::nil();
    });
    made->add("ternary", {Type::any, Type::any, Type::boolean},
              [](Call& call) -> Result<Value> { return call[2].boolean ? call[0] : call[1]; });
    return made;
  }();
  return table;
}

// A template and what running it needs.
class Runner {
 public:
  explicit Runner(std::shared_ptr<const Template> text) : text_(std::move(text)) {}

  // Fields as a map of texts, with `extra` in place of those of its names. False when the template fails.
  bool run(const LogLine& line, std::initializer_list<std::pair<std::string_view, std::string_view>> extra,
           std::string& out) {
    values_.clear();
    entries_.clear();
    line.fields.each([&](std::string_view name, std::string_view text) {
      for (const auto& [other, unused] : extra) {
        if (other == name) return;
      }
      values_.emplace_back(name, text);
    });
    for (const auto& [name, text] : extra) values_.emplace_back(name, text);
    std::ranges::sort(values_);
    for (const auto& [name, text] : values_) entries_.push_back({name, Value::of(text)});
    const logql::FormatContext context{.line = line.text, .time = line.time, .regexes = &regexes_};
    return text_->execute("pipeline_template", Value::of_map(entries_, Type::map_any), out, scratch_, &context)
        .has_value();
  }

 private:
  std::shared_ptr<const Template> text_;
  templates::Scratch scratch_;
  templates::RegexCache regexes_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<MapEntry> entries_;
};

Result<std::shared_ptr<const Template>> read_template(yaml::Fields& fields, const std::string& key) {
  std::string text;
  TRY(fields.read(key, text));
  auto made = Template::compile("pipeline_template", text, functions());
  if (!made) return std::unexpected(fields.error(key, made.error().message));
  return std::make_shared<const Template>(std::move(*made));
}

class TemplateStage final : public PlainStage {
 public:
  TemplateStage(std::string source, std::shared_ptr<const Template> text)
      : source_(std::move(source)), runner_(std::move(text)) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch, out;
    const auto value = line.fields.text(source_, scratch);
    const bool done = value ? runner_.run(line, {{"Value", *value}, {"Entry", line.text}}, out)
                            : runner_.run(line, {{"Entry", line.text}}, out);
    if (!done) return true;
    if (out.empty())
      line.fields.erase(source_);
    else
      line.fields.set(source_, std::move(out));
    return true;
  }

 private:
  std::string source_;
  Runner runner_;
};

Result<StageFactory> template_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  std::string source;
  TRY(fields.read("source", source));
  auto text = TRY(read_template(fields, "template"));
  TRY(fields.finish());
  if (source.empty()) return stage_error(name, file, "template: source is missing");
  return [source, text](const StageContext&) -> std::unique_ptr<Stage> {
    return std::make_unique<TemplateStage>(source, text);
  };
}

// ---- replace

struct ReplaceSettings {
  std::shared_ptr<const re2::RE2> regex;
  std::vector<std::string> names;  // of the groups, from 1
  std::optional<std::string> source;
  std::shared_ptr<const Template> text;
};

class ReplaceStage final : public PlainStage {
 public:
  explicit ReplaceStage(std::shared_ptr<const ReplaceSettings> settings)
      : settings_(std::move(settings)), runner_(settings_->text), groups_(settings_->names.size() + 1) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    const auto given = input_of(line, settings_->source, scratch);
    if (!given) return true;
    const std::string input(*given);
    std::string out;
    std::size_t done = 0;  // of the input
    std::optional<std::size_t> last_end;
    std::map<std::string, std::string> replaced;
    std::vector<std::optional<std::string>> first;  // groups of the first match
    for (std::size_t from = 0; from <= input.size();) {
      if (!settings_->regex->Match(input, from, input.size(), re2::RE2::UNANCHORED, groups_.data(),
                                   static_cast<int>(groups_.size())))
        break;
      const auto match = static_cast<std::size_t>(groups_[0].data() - input.data());
      const auto end = match + groups_[0].size();
      from = groups_[0].empty() ? end + 1 : end;
      // Nothing found right behind a match is no match of its own.
      if (groups_[0].empty() && last_end == match) continue;
      last_end = end;
      const bool is_first = first.empty();
      if (is_first) first.resize(groups_.size());
      for (std::size_t i = 1; i < groups_.size(); ++i) {
        const auto& group = groups_[i];
        if (group.data() == nullptr) continue;
        const std::string captured(group.data(), group.size());
        const auto begin = static_cast<std::size_t>(group.data() - input.data());
        std::string text;
        if (!runner_.run(line, {{"Value", captured}}, text)) return true;
        if (is_first) first[i] = captured;
        if (done == 0 || done <= begin) {
          out += input.substr(done, begin - done) + text;
          done = begin + captured.size();
        }
        replaced[captured] = std::move(text);
      }
    }
    if (first.empty()) return true;
    out += input.substr(done);
    if (settings_->source)
      line.fields.set(*settings_->source, std::move(out));
    else
      line.text = std::move(out);
    for (std::size_t i = 0; i < settings_->names.size(); ++i) {
      if (settings_->names[i].empty()) continue;
      if (const auto found = replaced.find(first[i + 1].value_or("")); found != replaced.end())
        line.fields.set(settings_->names[i], found->second);
    }
    return true;
  }

 private:
  std::shared_ptr<const ReplaceSettings> settings_;
  Runner runner_;
  std::vector<re2::StringPiece> groups_;
};

}  // namespace

Result<StageFactory> parse_template_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  return template_stage(name, config, file);
}

Result<StageFactory> parse_replace_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<ReplaceSettings>();
  settings->source = TRY(read_source(fields));
  if (!fields.has("expression")) return stage_error(name, file, "replace: expression is missing");
  settings->regex = TRY(read_regex(fields, "expression"));
  settings->text = TRY(read_template(fields, "replace"));
  TRY(fields.finish());
  settings->names.resize(static_cast<std::size_t>(settings->regex->NumberOfCapturingGroups()));
  for (const auto& [number, group] : settings->regex->CapturingGroupNames())
    settings->names[static_cast<std::size_t>(number - 1)] = group;
  return [settings](const StageContext&) -> std::unique_ptr<Stage> { return std::make_unique<ReplaceStage>(settings); };
}

}  // namespace tocayo::agent
