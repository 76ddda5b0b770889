// SPDX-License-Identifier: Apache-2.0
#include "logql/syntax/printer.h"

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "logql/syntax/literals.h"

namespace tocayo::logql {

namespace {

constexpr std::size_t kMaxLine = 100;  // bytes an expression without stages may have on one line

std::string indent(std::size_t level) { return std::string(level * 2, ' '); }

template <typename Range, typename Print>
std::string join(const Range& range, std::string_view separator, Print print) {
  std::string out;
  for (const auto& one : range) {
    if (!out.empty()) out += separator;
    out += print(one);
  }
  return out;
}

std::string join(const std::vector<std::string>& names, std::string_view separator) {
  return join(names, separator, [](const std::string& name) { return name; });
}

// Without Matcher::to_string's quoting of names: LogQL has no quoted names.
std::string print_matcher(const Matcher& matcher) {
  static constexpr std::array<std::string_view, 4> kOperators{"=", "!=", "=~", "!~"};
  return matcher.name() + std::string(kOperators[static_cast<std::size_t>(matcher.type())]) + go_quote(matcher.value());
}

// A number as the grammar reads it back. What has no literal is written as an expression that folds to it.
std::string print_number(double value) {
  if (std::isnan(value)) return "(0 / 0)";
  if (std::isinf(value)) return value > 0 ? "(10 ^ 999)" : "(-1 * 10 ^ 999)";
  if (value == 0 && std::signbit(value)) return "-0.0";  // "-0" is read as a duration
  return format_go_float(value);
}

std::string print_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 8> kUnits{{{"TB", 1'000'000'000'000},
                                                                                     {"TiB", 1ULL << 40},
                                                                                     {"GB", 1'000'000'000},
                                                                                     {"GiB", 1ULL << 30},
                                                                                     {"MB", 1'000'000},
                                                                                     {"MiB", 1ULL << 20},
                                                                                     {"kB", 1'000},
                                                                                     {"KiB", 1ULL << 10}}};
  for (const auto& [name, size] : kUnits) {
    if (bytes >= size && bytes % size == 0 && bytes / size < 10'000) {
      return std::to_string(bytes / size) + std::string(name);
    }
  }
  // Through a double the reader keeps 53 bits only; sizes above have a unit or come from such a reader.
  return std::to_string(bytes) + "B";
}

// Whole milliseconds as Prometheus writes them, else as Go does.
std::string print_duration(std::int64_t ns) {
  return ns % 1'000'000 == 0 && ns >= 0 ? format_prometheus_duration(ns) : format_go_duration(ns);
}

std::string print_extractions(const std::vector<Extraction>& extractions) {
  return join(extractions, ",", [](const Extraction& e) { return e.name + "=" + go_quote(e.expression); });
}

std::string print_named(const std::vector<NamedMatcher>& labels) {
  return join(labels, ",", [](const NamedMatcher& n) { return n.matcher ? print_matcher(*n.matcher) : n.name; });
}

struct StagePrinter {
  std::string operator()(const LineFilterStage& s) const {
    return std::string(to_string(s.match)) + " " + join(s.operands, " or ", [](const LineFilterStage::Operand& o) {
             return o.ip ? "ip(" + go_quote(o.text) + ")" : go_quote(o.text);
           });
  }
  std::string operator()(const JsonStage& s) const {
    return s.extractions.empty() ? "| json" : "| json " + print_extractions(s.extractions);
  }
  std::string operator()(const LogfmtStage& s) const {
    std::string out = "| logfmt";
    if (s.strict) out += " --strict";
    if (s.keep_empty) out += " --keep-empty";
    return s.extractions.empty() ? out : out + " " + print_extractions(s.extractions);
  }
  std::string operator()(const RegexpStage& s) const { return "| regexp " + go_quote(s.regex); }
  std::string operator()(const PatternStage& s) const { return "| pattern " + go_quote(s.pattern); }
  std::string operator()(const UnpackStage&) const { return "| unpack"; }
  std::string operator()(const LabelFilterStage& s) const { return "| " + to_string(s.filter); }
  std::string operator()(const LineFormatStage& s) const { return "| line_format " + go_quote(s.text); }
  std::string operator()(const LabelFormatStage& s) const {
    return "| label_format " + join(s.assignments, ",", [](const LabelFormatStage::Assignment& a) {
             return a.name + "=" + (a.rename ? a.value : go_quote(a.value));
           });
  }
  std::string operator()(const DecolorizeStage&) const { return "| decolorize"; }
  std::string operator()(const DropStage& s) const { return "| drop " + print_named(s.labels); }
  std::string operator()(const KeepStage& s) const { return "| keep " + print_named(s.labels); }
};

std::string print_unwrap_head(const Unwrap& unwrap) {
  const std::string_view conversion = to_string(unwrap.conversion);
  if (conversion.empty()) return "| unwrap " + unwrap.label;
  return "| unwrap " + std::string(conversion) + "(" + unwrap.label + ")";
}

std::string print_grouping(const Grouping& grouping, std::string_view separator) {
  return std::string(grouping.without ? " without (" : " by (") + join(grouping.labels, separator) + ")";
}

int precedence(BinaryOp op) {
  switch (op) {
    case BinaryOp::logical_or: return 1;
    case BinaryOp::logical_and:
    case BinaryOp::unless: return 2;
    case BinaryOp::add:
    case BinaryOp::subtract: return 4;
    case BinaryOp::multiply:
    case BinaryOp::divide:
    case BinaryOp::modulo: return 5;
    case BinaryOp::power: return 6;
    default: return 3;
  }
}

// Whether an operand of a binary operation needs parentheses to be read back in its place.
bool needs_parentheses(const Expr& operand, BinaryOp parent, bool right) {
  const auto* binary = std::get_if<Binary>(&operand.node);
  if (binary == nullptr) return false;
  const int inner = precedence(binary->op);
  const int outer = precedence(parent);
  const bool associates = (parent == BinaryOp::power) == right;  // the side on which equals may nest
  return associates ? inner < outer : inner <= outer;
}

std::string print_operator(const Binary& binary, std::string_view separator) {
  std::string out(to_string(binary.op));
  if (binary.return_bool) out += " bool";
  const VectorMatching& matching = binary.matching;
  const bool grouped = matching.cardinality != VectorMatching::Cardinality::one_to_one;
  if (matching.on || !matching.labels.empty() || grouped) {
    out += (matching.on ? " on (" : " ignoring (") + join(matching.labels, separator) + ")";
  }
  if (grouped) {
    out += matching.cardinality == VectorMatching::Cardinality::many_to_one ? " group_left (" : " group_right (";
    out += join(matching.include, separator) + ")";
  }
  return out;
}

struct LinePrinter {
  std::string operator()(const LogExpr& log) const { return to_string(log); }
  std::string operator()(const RangeAggregation& a) const {
    std::string out(to_string(a.op));
    out += "(";
    if (a.parameter) out += format_plain_float(*a.parameter) + ",";
    out += to_string(a.range.log);
    if (a.range.unwrap) {
      out += " " + print_unwrap_head(*a.range.unwrap);
      for (const LabelFilter& filter : a.range.unwrap->filters) out += " | " + to_string(filter);
    }
    out += "[" + print_duration(a.range.interval_ns) + "]";
    if (a.range.offset_ns != 0) out += " offset " + print_duration(a.range.offset_ns);
    out += ")";
    if (a.grouping) out += print_grouping(*a.grouping, ",");
    return out;
  }
  std::string operator()(const VectorAggregation& a) const {
    std::string out(to_string(a.op));
    if (a.grouping) out += print_grouping(*a.grouping, ",");
    out += "(";
    if (a.parameter != 0) out += std::to_string(a.parameter) + ",";
    return out + to_string(*a.operand) + ")";
  }
  std::string operator()(const Binary& b) const {
    const auto side = [&](const Expr& operand, bool right) {
      const std::string text = to_string(operand);
      return needs_parentheses(operand, b.op, right) ? "(" + text + ")" : text;
    };
    return side(*b.left, false) + " " + print_operator(b, ",") + " " + side(*b.right, true);
  }
  std::string operator()(const Number& n) const { return print_number(n.value); }
  std::string operator()(const VectorNumber& n) const { return "vector(" + format_plain_float(n.value) + ")"; }
  std::string operator()(const LabelReplace& r) const {
    return "label_replace(" + to_string(*r.operand) + "," + go_quote(r.destination) + "," + go_quote(r.replacement) +
           "," + go_quote(r.source) + "," + go_quote(r.regex) + ")";
  }
};

bool has_stages(const Expr& expr) {
  struct Visitor {
    bool operator()(const LogExpr& log) const { return !log.stages.empty(); }
    bool operator()(const RangeAggregation& a) const { return !a.range.log.stages.empty() || a.range.unwrap; }
    bool operator()(const VectorAggregation& a) const { return has_stages(*a.operand); }
    bool operator()(const Binary& b) const { return has_stages(*b.left) || has_stages(*b.right); }
    bool operator()(const LabelReplace& r) const { return has_stages(*r.operand); }
    bool operator()(const Number&) const { return false; }
    bool operator()(const VectorNumber&) const { return false; }
  };
  return std::visit(Visitor{}, expr.node);
}

std::string format_at(const Expr& expr, std::size_t level);

struct Formatter {
  std::size_t level;

  std::string operator()(const LogExpr& log) const {
    std::string out = indent(level) + to_string(log.matchers);
    for (const Stage& stage : log.stages) out += "\n" + indent(level + 1) + to_string(stage);
    return out;
  }
  std::string operator()(const RangeAggregation& a) const {
    std::string out = indent(level) + std::string(to_string(a.op)) + "(\n";
    if (a.parameter) out += indent(level + 1) + format_plain_float(*a.parameter) + ",\n";
    out += Formatter{level + 1}(a.range.log);
    if (a.range.unwrap) {
      out += "\n" + indent(level + 2) + print_unwrap_head(*a.range.unwrap);
      for (const LabelFilter& filter : a.range.unwrap->filters) {
        out += "\n" + indent(level + 2) + "| " + to_string(filter);
      }
    }
    out += " [" + print_duration(a.range.interval_ns) + "]";
    if (a.range.offset_ns != 0) out += " offset " + print_duration(a.range.offset_ns);
    out += "\n" + indent(level) + ")";
    if (a.grouping) out += print_grouping(*a.grouping, ", ");
    return out;
  }
  std::string operator()(const VectorAggregation& a) const {
    std::string out = indent(level) + std::string(to_string(a.op));
    if (a.grouping) out += print_grouping(*a.grouping, ", ");
    out += "(\n";
    if (a.parameter != 0) out += indent(level + 1) + std::to_string(a.parameter) + ",\n";
    return out + format_at(*a.operand, level + 1) + "\n" + indent(level) + ")";
  }
  std::string operator()(const Binary& b) const {
    const auto side = [&](const Expr& operand, bool right) {
      if (!needs_parentheses(operand, b.op, right)) return format_at(operand, level + 1);
      return indent(level + 1) + "(\n" + format_at(operand, level + 2) + "\n" + indent(level + 1) + ")";
    };
    return side(*b.left, false) + "\n" + indent(level) + print_operator(b, ", ") + "\n" + side(*b.right, true);
  }
  std::string operator()(const Number& n) const { return indent(level) + LinePrinter{}(n); }
  std::string operator()(const VectorNumber& n) const { return indent(level) + LinePrinter{}(n); }
  std::string operator()(const LabelReplace& r) const {
    std::string out = indent(level) + "label_replace(\n" + format_at(*r.operand, level + 1);
    for (const std::string* argument : {&r.destination, &r.replacement, &r.source, &r.regex}) {
      out += ",\n" + indent(level + 1) + go_quote(*argument);
    }
    return out + "\n" + indent(level) + ")";
  }
};

std::string format_at(const Expr& expr, std::size_t level) {
  if (!has_stages(expr)) {
    std::string line = to_string(expr);
    if (line.size() <= kMaxLine) return indent(level) + line;
  }
  return std::visit(Formatter{level}, expr.node);
}

}  // namespace

std::string to_string(std::span<const Matcher> matchers) { return "{" + join(matchers, ", ", print_matcher) + "}"; }

std::string to_string(const Stage& stage) { return std::visit(StagePrinter{}, stage.node); }

std::string to_string(const LogExpr& log) {
  std::string out = to_string(std::span<const Matcher>(log.matchers));
  for (const Stage& stage : log.stages) out += " " + to_string(stage);
  return out;
}

std::string to_string(const Expr& expr) { return std::visit(LinePrinter{}, expr.node); }

std::string format(const Expr& expr) { return format_at(expr, 0); }

std::string to_string(const LabelFilter& filter) {
  using Kind = LabelFilter::Kind;
  const std::string compare = filter.compare == LabelFilter::Compare::equal && filter.kind != Kind::ip
                                  ? "=="
                                  : std::string(to_string(filter.compare));
  switch (filter.kind) {
    case Kind::text: return print_matcher(*filter.matcher);
    case Kind::number: return filter.name + compare + format_go_float(filter.number);
    case Kind::duration: return filter.name + compare + format_go_duration(filter.duration_ns);
    case Kind::bytes: return filter.name + compare + print_bytes(filter.bytes);
    case Kind::ip: return filter.name + compare + "ip(" + go_quote(filter.ip) + ")";
    case Kind::all:
    case Kind::any: break;
  }
  std::string out;
  for (const LabelFilter& operand : filter.operands) {
    if (!out.empty()) out += filter.kind == Kind::all ? " and " : " or ";
    // `a and b or c` needs none; an equal kind needs them, so that the chain is read back as it was nested.
    const bool nested = operand.kind == filter.kind || (filter.kind == Kind::all && operand.kind == Kind::any);
    out += nested ? "(" + to_string(operand) + ")" : to_string(operand);
  }
  return out;
}

}  // namespace tocayo::logql
