// SPDX-License-Identifier: Apache-2.0
// Stages to programs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "logql/pipeline/program.h"
#include "logql/pipeline/template_functions.h"

namespace tocayo::logql {
namespace {

using Special = CompiledLabelFilter::Special;

Special special_of(std::string_view name) {
  if (name == kErrorLabel) return Special::error;
  if (name == kErrorDetailsLabel) return Special::error_details;
  return Special::none;
}

// Of one pipeline. Collects names; what stages read goes to `used`.
class Compiler {
 public:
  explicit Compiler(std::vector<std::string>& names) : names_(names) {}

  NameIndex name(const std::string& text) {
    const auto [at, added] = index_.emplace(text, static_cast<NameIndex>(names_.size()));
    if (added) names_.push_back(text);
    return at->second;
  }

  Result<CompiledStage> stage(const Stage& stage) {
    return std::visit([this](const auto& node) { return this->compile(node); }, stage.node);
  }

  Result<CompiledLabelFilter> filter(const LabelFilter& in) {
    CompiledLabelFilter out;
    out.kind = in.kind;
    out.compare = in.compare;
    out.matcher = in.matcher;
    out.number = in.number;
    out.duration_ns = in.duration_ns;
    out.bytes = in.bytes;
    if (in.kind == LabelFilter::Kind::all || in.kind == LabelFilter::Kind::any) {
      for (const LabelFilter& operand : in.operands) out.operands.push_back(TRY(filter(operand)));
      return out;
    }
    out.name = name(in.name);
    out.special = special_of(in.name);
    used.insert(in.name);
    if (in.kind == LabelFilter::Kind::ip) out.ip = TRY(IpFilter::create(in.ip));
    return out;
  }

  std::set<std::string> used;   // labels that stages look at
  bool reads_anything = false;  // a template may look at any label

 private:
  static std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

  Result<CompiledStage> compile(const LineFilterStage& in) {
    using Match = LineFilterStage::Match;
    CompiledLineFilter out;
    out.negated = in.match == Match::not_contains || in.match == Match::not_regex || in.match == Match::not_pattern;
    logs::LineFilter plain;
    plain.kind = in.match == Match::regex || in.match == Match::not_regex       ? logs::LineFilter::Kind::regex
                 : in.match == Match::pattern || in.match == Match::not_pattern ? logs::LineFilter::Kind::pattern
                                                                                : logs::LineFilter::Kind::contains;
    for (const LineFilterStage::Operand& operand : in.operands) {
      if (!operand.ip) {
        plain.operands.push_back(operand.text);
      } else if (plain.kind == logs::LineFilter::Kind::contains) {
        out.addresses.push_back(TRY(IpFilter::create(operand.text)));
      } else {
        return bad("ip: invalid operation");
      }
    }
    if (!plain.operands.empty()) out.matcher = TRY(logs::LineMatcher::create(plain));
    return out;
  }

  Result<CompiledStage> compile(const JsonStage& in) {
    if (in.extractions.empty()) return CompiledJson{};
    return CompiledJsonPaths{TRY(JsonPaths::compile(in.extractions))};
  }

  Result<CompiledStage> compile(const LogfmtStage& in) {
    if (in.extractions.empty()) return CompiledLogfmt{in.strict, in.keep_empty};
    return CompiledLogfmtPaths{TRY(LogfmtPaths::compile(in.extractions)), in.strict};
  }

  Result<CompiledStage> compile(const RegexpStage& in) { return CompiledRegexp{TRY(RegexpParser::compile(in.regex))}; }
  Result<CompiledStage> compile(const PatternStage& in) {
    return CompiledPattern{TRY(LinePattern::compile(in.pattern))};
  }
  Result<CompiledStage> compile(const UnpackStage&) { return CompiledUnpack{}; }
  Result<CompiledStage> compile(const DecolorizeStage&) { return CompiledDecolorize{}; }
  Result<CompiledStage> compile(const LabelFilterStage& in) { return TRY(filter(in.filter)); }

  Result<std::shared_ptr<const templates::Template>> text(std::string_view name, std::string_view source) {
    templates::Options options;
    options.missing_key = templates::MissingKey::zero;
    auto compiled = TRY(templates::Template::compile(name, source, template_functions(), options));
    const auto reads = compiled.reads(name);
    used.insert(reads.names.begin(), reads.names.end());
    reads_anything |= reads.open;
    return std::make_shared<const templates::Template>(std::move(compiled));
  }

  Result<CompiledStage> compile(const LineFormatStage& in) {
    auto compiled = text("line", in.text);
    if (!compiled) return bad("invalid line template: " + compiled.error().message);
    CompiledLineFormat out;
    out.text = std::move(*compiled);
    if (const auto simple = out.text->simple_field("line"); !simple.empty()) {
      out.simple = name(std::string(simple));
      out.simple_special = special_of(simple);
    }
    return out;
  }

  Result<CompiledStage> compile(const LabelFormatStage& in) {
    CompiledLabelFormat out;
    std::set<std::string> seen;
    for (const LabelFormatStage::Assignment& assignment : in.assignments) {
      if (assignment.name == kErrorLabel) return bad(fmt::format("{} cannot be formatted", kErrorLabel));
      if (!seen.insert(assignment.name).second) {
        return bad(fmt::format("multiple label name '{}' not allowed in a single format operation", assignment.name));
      }
      CompiledLabelFormat::Assignment& made = out.assignments.emplace_back();
      made.name = name(assignment.name);
      if (assignment.rename) {
        made.source = name(assignment.value);
        used.insert(assignment.value);
        continue;
      }
      auto compiled = text("label", assignment.value);
      if (!compiled) {
        return bad(fmt::format("invalid template for label '{}': {}", assignment.name, compiled.error().message));
      }
      made.text = std::move(*compiled);
    }
    return out;
  }

  CompiledNames named(const std::vector<NamedMatcher>& items, bool keep) {
    CompiledNames out;
    out.keep = keep;
    for (const NamedMatcher& item : items) {
      out.items.push_back({name(item.name), special_of(item.name), item.matcher});
      if (item.matcher) used.insert(item.name);
    }
    return out;
  }
  Result<CompiledStage> compile(const DropStage& in) { return named(in.labels, false); }
  Result<CompiledStage> compile(const KeepStage& in) { return named(in.labels, true); }

  std::vector<std::string>& names_;
  std::map<std::string, NameIndex> index_;
};

bool is_parser(const CompiledStage& stage) {
  return std::holds_alternative<CompiledJson>(stage) || std::holds_alternative<CompiledLogfmt>(stage) ||
         std::holds_alternative<CompiledRegexp>(stage) || std::holds_alternative<CompiledPattern>(stage) ||
         std::holds_alternative<CompiledUnpack>(stage);
}

// Single conditions that must all hold (the operands of `and`).
void conditions(const CompiledLabelFilter& filter, std::vector<const CompiledLabelFilter*>& out) {
  if (filter.kind == LabelFilter::Kind::all) {
    for (const CompiledLabelFilter& operand : filter.operands) conditions(operand, out);
  } else if (filter.kind != LabelFilter::Kind::any && filter.kind != LabelFilter::Kind::ip &&
             filter.special == Special::none) {
    out.push_back(&filter);
  }
}

std::vector<Watch> find_watches(const std::vector<CompiledStage>& stages) {
  std::vector<Watch> watches;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (!is_parser(stages[i])) continue;
    for (std::size_t k = i + 1; k < stages.size(); ++k) {
      const auto* filter = std::get_if<CompiledLabelFilter>(&stages[k]);
      if (filter == nullptr) break;
      std::vector<const CompiledLabelFilter*> found;
      conditions(*filter, found);
      for (const CompiledLabelFilter* condition : found) {
        if (watches.size() >= 1000) return watches;
        watches.push_back({i, condition->name, condition, -1});
      }
    }
  }
  for (std::size_t i = 0; i < watches.size(); ++i) {
    for (std::size_t k = i + 1; k < watches.size(); ++k) {
      if (watches[k].name == watches[i].name) {
        watches[i].next = static_cast<std::int16_t>(k);
        break;
      }
    }
  }
  return watches;
}

// A required label may be one that a parser had to rename: both spellings count.
void add_required(std::vector<std::string>& required, const std::string& name) {
  if (name.empty()) return;
  required.push_back(name);
  if (name.size() > kDuplicateSuffix.size() && name.ends_with(kDuplicateSuffix)) {
    required.push_back(name.substr(0, name.size() - kDuplicateSuffix.size()));
  }
}

bool reads_line(const CompiledStage& stage) {
  return std::holds_alternative<CompiledLineFilter>(stage) || std::holds_alternative<CompiledJson>(stage) ||
         std::holds_alternative<CompiledJsonPaths>(stage) || std::holds_alternative<CompiledLogfmt>(stage) ||
         std::holds_alternative<CompiledLogfmtPaths>(stage) || std::holds_alternative<CompiledRegexp>(stage) ||
         std::holds_alternative<CompiledPattern>(stage) || std::holds_alternative<CompiledUnpack>(stage) ||
         std::holds_alternative<CompiledDecolorize>(stage) || std::holds_alternative<CompiledLineFormat>(stage) ||
         std::holds_alternative<CompiledLabelFormat>(stage);
}

std::unexpected<Error> located(const Position& position, Error error) {
  error.message = fmt::format("parse error at line {}, col {}: {}", position.line, position.column, error.message);
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Pipeline> Pipeline::compile(std::span<const Stage> stages, const PipelineOptions& options) {
  auto program = std::make_shared<Program>();
  Compiler compiler(program->names);
  for (const Stage& stage : stages) {
    auto compiled = compiler.stage(stage);
    if (!compiled) return located(stage.position, std::move(compiled.error()));
    program->needs_line |= reads_line(*compiled);
    program->stages.push_back(std::move(*compiled));
  }
  std::vector<std::string> groups;
  if (options.grouping) {
    program->grouped = true;
    program->without = options.grouping->without;
    groups = options.grouping->labels;
  }
  if (options.unwrap != nullptr) {
    program->unwraps = true;
    program->conversion = options.unwrap->conversion;
    program->unwrap_name = compiler.name(options.unwrap->label);
    for (const LabelFilter& filter : options.unwrap->filters) {
      auto compiled = compiler.filter(filter);
      if (!compiled) return located(filter.position, std::move(compiled.error()));
      program->after_unwrap.push_back(std::move(*compiled));
    }
    if (!options.grouping || options.grouping->without) {
      program->grouped = program->without = true;
      groups.push_back(options.unwrap->label);
    }
  }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  for (const std::string& group : groups) program->groups.push_back(compiler.name(group));
  if (program->grouped && program->without && groups.empty()) program->grouped = program->without = false;

  if (options.hints) {
    program->watches = find_watches(program->stages);
    if (program->grouped && !program->without && !compiler.reads_anything) {
      for (const std::string& name : compiler.used) add_required(program->required, name);
      for (const std::string& name : groups) add_required(program->required, name);
      if (options.unwrap != nullptr) add_required(program->required, options.unwrap->label);
      std::sort(program->required.begin(), program->required.end());
      program->required.erase(std::unique(program->required.begin(), program->required.end()), program->required.end());
    }
  }
  // What follows from the query and not from a wish for speed: with nothing that looks at a label, a parser does not
  // run (and finds no damage), and an error that the query names itself does not fail it.
  if (program->grouped && !program->without) {
    const bool asks_error = compiler.used.contains(std::string(kErrorLabel)) ||
                            std::binary_search(groups.begin(), groups.end(), std::string(kErrorLabel));
    program->preserve_error = asks_error;
    program->no_labels = groups.empty() && compiler.used.empty() && !compiler.reads_anything && !program->unwraps;
  }
  return Pipeline(std::move(program));
}

bool Pipeline::passes_everything() const { return program_->stages.empty() && !program_->unwraps; }
bool Pipeline::needs_line() const { return program_->needs_line; }

}  // namespace tocayo::logql
