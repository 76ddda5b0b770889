// SPDX-License-Identifier: Apache-2.0
// Runs the stages over rows.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/hash.h"
#include "logql/pipeline/label_results.h"
#include "logql/pipeline/program.h"
#include "logql/pipeline/template_functions.h"
#include "logql/pipeline/template_numbers.h"
#include "logql/syntax/literals.h"
#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::logql {
namespace {

using Special = CompiledLabelFilter::Special;
constexpr std::string_view kLabelFilterError = "LabelFilterErr";
constexpr std::string_view kSampleError = "SampleExtractionErr";
constexpr std::string_view kTemplateError = "TemplateFormatErr";
constexpr std::size_t kMaxNames = 200'000;

template <typename T>
bool compares(LabelFilter::Compare compare, T value, T wanted) {
  switch (compare) {
    case LabelFilter::Compare::equal: return value == wanted;
    case LabelFilter::Compare::not_equal: return value != wanted;
    case LabelFilter::Compare::greater: return value > wanted;
    case LabelFilter::Compare::greater_or_equal: return value >= wanted;
    case LabelFilter::Compare::less: return value < wanted;
    case LabelFilter::Compare::less_or_equal: return value <= wanted;
  }
  return false;
}

// The answer of a filter that converts, or why the value does not convert.
Result<bool> converted(const CompiledLabelFilter& filter, std::string_view value) {
  switch (filter.kind) {
    case LabelFilter::Kind::number: return compares(filter.compare, TRY(templates::parse_float(value)), filter.number);
    case LabelFilter::Kind::duration:
      return compares(filter.compare, TRY(templates::parse_duration_go(value)), filter.duration_ns);
    default: return compares(filter.compare, TRY(parse_human_bytes(value)), filter.bytes);
  }
}

// Terminal colours and the like.
const RE2& escape_sequences() {
  static const auto* regex = new RE2(
      "[\\x{1B}\\x{9B}][[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\\x{07})|(?:(?:\\d{1,4}(?:;\\d{0,4})*)?"
      "[\\dA-PRZcf-ntqry=><~]))");
  return *regex;
}

// The labels of the row as a template's data: found when asked for.
class LabelsObject : public templates::Object {
 public:
  LabelsObject(LabelState& labels) : labels_(labels) {}

  std::string_view type_name() const override { return "map[string]string"; }
  bool is_map() const override { return true; }
  bool string_values() const override { return true; }

  bool get(std::string_view name, templates::Arena&, templates::Value& out) const override {
    if (snapshot_ != nullptr) {
      for (const auto& entry : *snapshot_) {
        if (entry.key == name) {
          out = entry.value;
          return true;
        }
      }
      return false;
    }
    if (name == kErrorLabel || name == kErrorDetailsLabel) {
      const std::string_view text = name == kErrorLabel ? labels_.error() : labels_.error_details();
      out = templates::Value::of(text);
      return !text.empty();
    }
    const auto value = labels_.get(labels_.names().intern(name));
    if (value) out = templates::Value::of(*value);
    return value.has_value();
  }

  std::span<const templates::MapEntry> entries(templates::Arena& arena) const override {
    std::vector<templates::MapEntry> all;
    if (snapshot_ != nullptr) {
      all = *snapshot_;
    } else {
      collect(labels_, all);
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    auto* copied = arena.array<templates::MapEntry>(all.size() + 1);
    std::copy(all.begin(), all.end(), copied);
    return {copied, all.size()};
  }

  static void collect(const LabelState& labels, std::vector<templates::MapEntry>& out) {
    for (const auto& entry : labels.stream()) {
      if (entry.live) out.push_back({entry.name->text, templates::Value::of(entry.value)});
    }
    for (const auto& entry : labels.metadata()) out.push_back({entry.name->text, templates::Value::of(entry.value)});
    for (const auto& entry : labels.parsed()) out.push_back({entry.name->text, templates::Value::of(entry.value)});
    if (labels.has_error()) out.push_back({kErrorLabel, templates::Value::of(labels.error())});
    if (!labels.error_details().empty()) {
      out.push_back({kErrorDetailsLabel, templates::Value::of(labels.error_details())});
    }
  }

  // Null: the labels as they are; else as they were.
  void use(const std::vector<templates::MapEntry>* snapshot) { snapshot_ = snapshot; }

 private:
  LabelState& labels_;
  const std::vector<templates::MapEntry>* snapshot_ = nullptr;
};

class Hints : public Expectation {
 public:
  const std::vector<Watch>* watches = nullptr;
  bool fails(const Name& name, std::string_view value, std::size_t parser) const override {
    for (std::int16_t i = name.watch; i >= 0; i = (*watches)[i].next) {
      if ((*watches)[i].parser == parser && decide(*(*watches)[i].filter, value) < 0) return true;
    }
    return false;
  }
};

}  // namespace

int decide(const CompiledLabelFilter& filter, std::string_view value) {
  if (filter.kind == LabelFilter::Kind::text) return filter.matcher->matches(value) ? 1 : -1;
  const auto answer = converted(filter, value);
  return answer ? (*answer ? 1 : -1) : 0;
}

struct Processor::State {
  explicit State(Pipeline in)
      : pipeline(std::move(in)), program(*pipeline.program_), names(configure, this), labels(names), object(labels) {
    hints.no_labels = program.no_labels;
    hints.required = program.required;
    hints.watches = &program.watches;
    prepare();
  }

  static void configure(const void* context, Name& name) {
    const auto& state = *static_cast<const State*>(context);
    const auto& required = state.program.required;
    name.required = std::binary_search(required.begin(), required.end(), name.text);
    name.wanted = required.empty() || name.required;
    for (std::size_t i = 0; i < state.program.watches.size(); ++i) {
      if (state.program.names[state.program.watches[i].name] == name.text) {
        name.watch = static_cast<std::int16_t>(i);
        break;
      }
    }
  }

  void prepare() {
    for (const std::string& text : program.names) stage_names.push_back(names.intern(text));
    for (const std::string& text : program.required) required.push_back(names.intern(text));
    for (const NameIndex index : program.groups) groups.push_back(stage_names[index]);
    for (const CompiledStage& stage : program.stages) {
      Tool& tool = tools.emplace_back();
      if (std::holds_alternative<CompiledJson>(stage)) tool.json = std::make_unique<JsonParser>();
      if (const auto* s = std::get_if<CompiledJsonPaths>(&stage))
        tool.paths = std::make_unique<JsonPaths>(s->paths, names);
      if (const auto* s = std::get_if<CompiledLogfmt>(&stage)) {
        tool.logfmt = std::make_unique<LogfmtParser>(s->strict, s->keep_empty);
      }
      if (const auto* s = std::get_if<CompiledLogfmtPaths>(&stage)) {
        tool.logfmt_paths = std::make_unique<LogfmtPaths>(s->paths, s->strict, names);
      }
      if (const auto* s = std::get_if<CompiledRegexp>(&stage))
        tool.regexp = std::make_unique<RegexpParser>(s->program, names);
      if (const auto* s = std::get_if<CompiledPattern>(&stage))
        tool.pattern = std::make_unique<PatternParser>(s->pattern, names);
      if (std::holds_alternative<CompiledUnpack>(stage)) tool.unpack = std::make_unique<UnpackParser>();
    }
  }

  // What a stage needs of its own in this processor.
  struct Tool {
    std::unique_ptr<JsonParser> json;
    std::unique_ptr<JsonPaths> paths;
    std::unique_ptr<LogfmtParser> logfmt;
    std::unique_ptr<LogfmtPaths> logfmt_paths;
    std::unique_ptr<RegexpParser> regexp;
    std::unique_ptr<PatternParser> pattern;
    std::unique_ptr<UnpackParser> unpack;
  };

  Name* name(NameIndex index) const { return stage_names[index]; }

  std::optional<std::string_view> value_of(NameIndex index, Special special) {
    if (special == Special::error) return labels.error();
    if (special == Special::error_details) return labels.error_details();
    return labels.get(name(index));
  }

  bool passes(const CompiledLabelFilter& filter) {
    switch (filter.kind) {
      case LabelFilter::Kind::all: {
        bool all = true;
        for (const CompiledLabelFilter& operand : filter.operands) all &= passes(operand);
        return all;
      }
      case LabelFilter::Kind::any:
        for (const CompiledLabelFilter& operand : filter.operands) {
          if (passes(operand)) return true;
        }
        return false;
      case LabelFilter::Kind::text:
        return filter.matcher->matches(value_of(filter.name, filter.special).value_or(std::string_view()));
      case LabelFilter::Kind::ip: {
        if (labels.has_error()) return true;
        const auto value = labels.get(name(filter.name));
        if (!value) return false;
        return filter.ip->found_in(*value) == (filter.compare == LabelFilter::Compare::equal);
      }
      default: break;
    }
    const auto value = labels.get(name(filter.name));
    if (!value) return false;
    const auto answer = converted(filter, *value);
    if (answer) return *answer;
    if (!labels.has_error()) {
      labels.set_error(kLabelFilterError);
      labels.set_error_details(answer.error().message);
    }
    return true;
  }

  bool run(const CompiledLineFilter& filter, Tool&) {
    bool found = filter.matcher && filter.matcher->matches(line);
    for (std::size_t i = 0; i < filter.addresses.size() && !found; ++i) found = filter.addresses[i].found_in(line);
    return found != filter.negated;
  }
  bool run(const CompiledJson&, Tool& tool) {
    return with_context([&](auto& c) { return tool.json->run(line, c); });
  }
  bool run(const CompiledJsonPaths&, Tool& tool) {
    return with_context([&](auto& c) {
      tool.paths->run(line, c);
      return true;
    });
  }
  bool run(const CompiledLogfmt&, Tool& tool) {
    return with_context([&](auto& c) { return tool.logfmt->run(line, c); });
  }
  bool run(const CompiledLogfmtPaths&, Tool& tool) {
    return with_context([&](auto& c) {
      tool.logfmt_paths->run(line, c);
      return true;
    });
  }
  bool run(const CompiledRegexp&, Tool& tool) {
    return with_context([&](auto& c) { return tool.regexp->run(line, c); });
  }
  bool run(const CompiledPattern&, Tool& tool) {
    return with_context([&](auto& c) { return tool.pattern->run(line, c); });
  }
  bool run(const CompiledUnpack&, Tool& tool) {
    return with_context([&](auto& c) { return tool.unpack->run(line, c); });
  }
  bool run(const CompiledLabelFilter& filter, Tool&) { return passes(filter); }

  template <typename F>
  bool with_context(F parse) {
    ParserContext context{labels, arena, hints, stage};
    return parse(context);
  }

  // Executes a template over the labels; false (with the error set): it failed.
  bool format(const templates::Template& text, std::string_view template_name, std::string& out) {
    FormatContext context{line, time, &regexes};
    out.clear();
    auto done = text.execute(template_name, templates::Value::of(object), out, scratch, &context);
    if (done) return true;
    labels.set_error(kTemplateError);
    labels.set_error_details(done.error().message);
    return false;
  }

  bool run(const CompiledLineFormat& in, Tool&) {
    if (in.simple) {
      line = value_of(*in.simple, in.simple_special).value_or(std::string_view());
      return true;
    }
    object.use(nullptr);
    if (format(*in.text, "line", buffer)) line = arena.copy(buffer);
    return true;
  }

  bool run(const CompiledLabelFormat& in, Tool&) {
    bool taken = false;
    for (const CompiledLabelFormat::Assignment& assignment : in.assignments) {
      if (assignment.text == nullptr) {
        if (const auto value = labels.get(name(assignment.source))) {
          labels.set_parsed(name(assignment.name), *value);
          labels.remove(name(assignment.source));
        }
        continue;
      }
      if (!taken) {  // all templates of the stage see the labels of this moment
        snapshot.clear();
        LabelsObject::collect(labels, snapshot);
        for (auto& entry : snapshot) {
          if (entry.key == kErrorDetailsLabel) entry.value = templates::Value::of(arena.copy(entry.value.string()));
        }
        taken = true;
      }
      object.use(&snapshot);
      if (format(*assignment.text, "label", buffer)) labels.set_parsed(name(assignment.name), arena.copy(buffer));
    }
    return true;
  }

  bool run(const CompiledDecolorize&, Tool&) {
    if (line.find('\x1B') == std::string_view::npos && line.find("\xC2\x9B") == std::string_view::npos) return true;
    buffer.assign(line);
    if (RE2::GlobalReplace(&buffer, escape_sequences(), "") > 0) line = arena.copy(buffer);
    return true;
  }

  bool run(const CompiledNames& in, Tool&) {
    if (in.keep) {
      keep(in);
    } else {
      for (const CompiledNames::Item& item : in.items) drop(item);
    }
    return true;
  }

  void drop(const CompiledNames::Item& item) {
    if (item.special != Special::none) {
      const std::string_view value = item.special == Special::error ? labels.error() : labels.error_details();
      if (item.matcher && !item.matcher->matches(value)) return;
      if (item.special == Special::error) {
        labels.clear_error();
      } else {
        labels.clear_error_details();
      }
      return;
    }
    if (item.matcher && !item.matcher->matches(labels.get(name(item.name)).value_or(std::string_view()))) return;
    labels.remove(name(item.name));
  }

  void keep(const CompiledNames& in) {
    doomed.clear();
    const auto judge = [&](const LabelState::Entry& entry) {
      for (const CompiledNames::Item& item : in.items) {
        if (name(item.name) == entry.name && (!item.matcher || item.matcher->matches(entry.value))) return;
      }
      doomed.push_back(entry.name);
    };
    for (const auto& entry : labels.stream()) {
      if (entry.live) judge(entry);
    }
    for (const auto& entry : labels.metadata()) judge(entry);
    for (const auto& entry : labels.parsed()) judge(entry);
    for (Name* gone : doomed) labels.remove(gone);
  }

  bool unwrap() {
    const auto text = labels.get(name(program.unwrap_name));
    if (!text || text->empty()) return false;
    const auto value = unwrap_value(program.conversion, *text);
    number = value.value_or(0);
    if (!value) {
      labels.set_error(kSampleError);
      labels.set_error_details(value.error().message);
    }
    bool kept = true;
    for (const CompiledLabelFilter& filter : program.after_unwrap) kept &= passes(filter);
    return kept;
  }

  bool process(TimestampNs at, std::string_view in, std::span<const logs::LabelView> metadata) {
    arena.reset();
    time = at;
    line = in;
    number = 1;
    current = nullptr;
    labels.begin_row(metadata);
    for (stage = 0; stage < program.stages.size(); ++stage) {
      const bool kept =
          std::visit([this](const auto& compiled) { return run(compiled, tools[stage]); }, program.stages[stage]);
      if (!kept) return false;
    }
    return !program.unwraps || unwrap();
  }

  Pipeline pipeline;  // keeps `program` alive
  const Pipeline::Program& program;
  NameTable names;
  LabelState labels;
  LabelsObject object;
  Hints hints;
  std::vector<Name*> stage_names;
  std::vector<Name*> required;
  std::vector<Name*> groups;
  std::vector<Tool> tools;

  templates::Arena arena;  // of the row
  templates::Scratch scratch;
  templates::RegexCache regexes;
  std::vector<templates::MapEntry> snapshot;
  std::vector<Name*> doomed;
  std::string buffer;
  std::size_t stage = 0;
  TimestampNs time = 0;
  std::string_view line;
  double number = 1;
  const Labels* stream = nullptr;

  LabelResults results;
  const std::shared_ptr<const LabelResult>* current = nullptr;
};

Result<double> unwrap_value(Unwrap::Conversion conversion, std::string_view text) {
  switch (conversion) {
    case Unwrap::Conversion::none: return TRY(templates::parse_float(text));
    case Unwrap::Conversion::bytes: return static_cast<double>(TRY(parse_human_bytes(text)));
    case Unwrap::Conversion::duration:
    case Unwrap::Conversion::duration_seconds: break;
  }
  return duration_seconds(TRY(templates::parse_duration_go(text)));
}

Processor::Processor(Pipeline pipeline) : state_(std::make_unique<State>(std::move(pipeline))) {}
Processor::Processor(Processor&&) noexcept = default;
Processor& Processor::operator=(Processor&&) noexcept = default;
Processor::~Processor() = default;

void Processor::set_stream(const Labels& labels) {
  state_->stream = &labels;
  state_->labels.set_stream(labels);
  state_->current = nullptr;
  state_->hints.required_in_stream = state_->required.size() - state_->labels.required_missing(state_->required);
}

bool Processor::process(TimestampNs time, std::string_view line, std::span<const logs::LabelView> metadata) {
  if (state_->names.size() > kMaxNames) {
    // Keys without end: begin anew, keeping what was handed out.
    auto fresh = std::make_unique<State>(state_->pipeline);
    fresh->results = std::move(state_->results);
    fresh->results.forget_names();
    const Labels* stream = state_->stream;
    state_ = std::move(fresh);
    set_stream(*stream);
  }
  return state_->process(time, line, metadata);
}

std::string_view Processor::line() const { return state_->line; }
double Processor::value() const { return state_->number; }

const std::shared_ptr<const LabelResult>& Processor::labels() {
  State& s = *state_;
  if (s.current == nullptr) {
    const LabelResults::Shape shape{s.program.grouped, s.program.without, s.program.preserve_error, s.groups};
    s.current = &s.results.find(s.labels, shape);
  }
  return *s.current;
}

std::size_t Processor::memory_bytes() const { return state_->results.memory_bytes(); }

void Processor::forget() {
  state_->results.clear();
  state_->current = nullptr;
}

}  // namespace tocayo::logql
