// SPDX-License-Identifier: Apache-2.0
#include "promql/printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "promql/function_signatures.h"

namespace tocayo::promql {
namespace {

constexpr std::size_t kLineLength = 100;
constexpr int kDeepestIndent = 100;

std::string labels_text(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) {
    if (!out.empty()) out += ", ";
    out += is_classic_label_name(label) ? label : go_quote(label);
  }
  return out;
}

std::string duration_literal(double seconds) {
  if (std::signbit(seconds)) return "-" + duration_literal(-seconds);
  double nanoseconds = seconds * 1e9;
  constexpr double kMost = 9.2233720368547e18;
  if (!(nanoseconds < kMost)) nanoseconds = kMost;
  return format_duration(Duration(static_cast<std::int64_t>(nanoseconds) / 1'000'000));
}

std::string at_text(AtModifier at, const std::optional<TimestampMs>& timestamp) {
  if (timestamp) return fmt::format(" @ {:.3f}", static_cast<double>(*timestamp) / 1000);
  if (at == AtModifier::start) return " @ start()";
  if (at == AtModifier::end) return " @ end()";
  return "";
}

std::string_view extended_text(const VectorSelector& expr) {
  return expr.anchored ? " anchored" : expr.smoothed ? " smoothed" : "";
}

std::string aggregate_head(const AggregateExpr& expr) {
  std::string out(to_string(expr.op));
  if (expr.without)
    out += " without (" + labels_text(expr.grouping) + ") ";
  else if (!expr.grouping.empty())
    out += " by (" + labels_text(expr.grouping) + ") ";
  return out;
}

// "== bool on (a) group_left (b) fill (0)", with everything that is set.
// `+Inf ^ 2` reads back as `+(Inf ^ 2)`: in front of ^ the literal is written without its sign.
bool is_infinite_base(const BinaryExpr& expr) {
  const auto* number = expr.lhs->as<NumberLiteral>();
  return expr.op == BinaryOp::pow && number != nullptr && std::isinf(number->value) && number->value > 0;
}

std::string operator_text(const BinaryExpr& expr) {
  std::string out(to_string(expr.op));
  if (expr.return_bool) out += " bool";
  if (!expr.matching) return out;
  const VectorMatching& matching = *expr.matching;
  bool grouped = matching.card == Cardinality::many_to_one || matching.card == Cardinality::one_to_many;
  if (!matching.matching_labels.empty() || matching.on || grouped) {
    out += fmt::format(" {} ({})", matching.on ? "on" : "ignoring", labels_text(matching.matching_labels));
  }
  if (grouped)
    out += fmt::format(" group_{} ({})", matching.card == Cardinality::many_to_one ? "left" : "right",
                       labels_text(matching.include));
  if (matching.fill_left && matching.fill_right && *matching.fill_left == *matching.fill_right) {
    return out + fmt::format(" fill ({})", format_general(*matching.fill_left));
  }
  if (matching.fill_left) out += fmt::format(" fill_left ({})", format_general(*matching.fill_left));
  if (matching.fill_right) out += fmt::format(" fill_right ({})", format_general(*matching.fill_right));
  return out;
}

// Appends to one string, so that the whole costs its length. Remembers how long each node came out when asked to.
class LinePrinter {
 public:
  explicit LinePrinter(std::unordered_map<const Expr*, std::size_t>* lengths = nullptr) : lengths_(lengths) {}

  void node(const Expr& expr) {
    std::size_t begin = out.size();
    append(expr);
    if (lengths_) (*lengths_)[&expr] = out.size() - begin;
  }
  void suffix(const SubqueryExpr& expr);

  std::string out;

 private:
  void append(const Expr& expr);
  void duration(const DurationExpr& expr);
  void offset(Duration fixed, const std::unique_ptr<DurationExpr>& expr);
  void bare_selector(const VectorSelector& expr);
  void selector(const VectorSelector& expr);
  void matrix(const MatrixSelector& expr);
  void aggregate(const AggregateExpr& expr);

  std::unordered_map<const Expr*, std::size_t>* lengths_;
};

void LinePrinter::duration(const DurationExpr& expr) {
  using Op = DurationExpr::Op;
  if (expr.wrapped) out += '(';
  switch (expr.op) {
    case Op::step: out += "step()"; break;
    case Op::range: out += "range()"; break;
    case Op::min_of:
    case Op::max_of:
      out += to_string(expr.op);
      out += '(';
      node(*expr.lhs);
      out += ", ";
      node(*expr.rhs);
      out += ')';
      break;
    default:
      if (expr.lhs) {
        node(*expr.lhs);
        out += ' ';
        out += to_string(expr.op);
        out += ' ';
      } else if (expr.op == Op::sub) {
        out += '-';
      }
      node(*expr.rhs);
  }
  if (expr.wrapped) out += ')';
}

void LinePrinter::offset(Duration fixed, const std::unique_ptr<DurationExpr>& expr) {
  if (!expr && fixed.count() == 0) return;
  out += " offset ";
  if (expr)
    duration(*expr);
  else
    out += format_duration(fixed);
}

// Name and matchers, without modifiers.
void LinePrinter::bare_selector(const VectorSelector& expr) {
  std::vector<std::string> matchers;
  for (const Matcher& matcher : expr.matchers) {
    bool is_name = matcher.name() == kMetricName && matcher.type() == Matcher::Type::equal &&
                   matcher.value() == expr.name && !matcher.value().empty();
    if (!is_name) matchers.push_back(matcher.to_string());
  }
  std::sort(matchers.begin(), matchers.end());
  out += expr.name;
  if (matchers.empty() && !expr.name.empty()) return;
  out += fmt::format("{{{}}}", fmt::join(matchers, ","));
}

void LinePrinter::selector(const VectorSelector& expr) {
  bare_selector(expr);
  out += at_text(expr.at, expr.timestamp);
  out += extended_text(expr);
  offset(expr.original_offset, expr.original_offset_expr);
}

void LinePrinter::matrix(const MatrixSelector& expr) {
  const VectorSelector& inner = *expr.selector;
  bare_selector(inner);
  out += '[';
  if (expr.range_expr)
    duration(*expr.range_expr);
  else
    out += format_duration(expr.range);
  out += ']';
  out += extended_text(inner);
  out += at_text(inner.at, inner.timestamp);
  offset(inner.original_offset, inner.original_offset_expr);
}

void LinePrinter::suffix(const SubqueryExpr& expr) {
  out += '[';
  if (expr.range_expr)
    duration(*expr.range_expr);
  else
    out += format_duration(expr.range);
  out += ':';
  // An expression that has been computed prints as its result, as in Prometheus.
  if (expr.step.count() != 0)
    out += format_duration(expr.step);
  else if (expr.step_expr)
    duration(*expr.step_expr);
  out += ']';
  out += at_text(expr.at, expr.timestamp);
  offset(expr.original_offset, expr.original_offset_expr);
}

void LinePrinter::aggregate(const AggregateExpr& expr) {
  out += aggregate_head(expr);
  out += '(';
  if (expr.param) {
    node(*expr.param);
    out += ", ";
  }
  node(*expr.expr);
  out += ')';
}

void LinePrinter::append(const Expr& expr) {
  switch (expr.kind) {
    case Kind::number: {
      const auto& number = static_cast<const NumberLiteral&>(expr);
      out += number.is_duration ? duration_literal(number.value) : format_number(number.value);
      return;
    }
    case Kind::string: out += go_quote(static_cast<const StringLiteral&>(expr).value); return;
    case Kind::vector_selector: return selector(static_cast<const VectorSelector&>(expr));
    case Kind::matrix_selector: return matrix(static_cast<const MatrixSelector&>(expr));
    case Kind::duration: return duration(static_cast<const DurationExpr&>(expr));
    case Kind::step_invariant: return node(*static_cast<const StepInvariantExpr&>(expr).expr);
    case Kind::aggregate: return aggregate(static_cast<const AggregateExpr&>(expr));
    case Kind::paren:
      out += '(';
      node(*static_cast<const ParenExpr&>(expr).expr);
      out += ')';
      return;
    case Kind::subquery:
      node(*static_cast<const SubqueryExpr&>(expr).expr);
      return suffix(static_cast<const SubqueryExpr&>(expr));
    case Kind::call: {
      const auto& call = static_cast<const Call&>(expr);
      out += call.function->name;
      out += '(';
      for (std::size_t i = 0; i < call.args.size(); ++i) {
        if (i > 0) out += ", ";
        node(*call.args[i]);
      }
      out += ')';
      return;
    }
    case Kind::binary: {
      const auto& binary = static_cast<const BinaryExpr&>(expr);
      if (is_infinite_base(binary)) {
        out += "Inf";
      } else {
        node(*binary.lhs);
      }
      out += ' ' + operator_text(binary) + ' ';
      return node(*binary.rhs);
    }
    case Kind::unary: {
      const auto& unary = static_cast<const UnaryExpr&>(expr);
      out += to_string(unary.op);
      return node(*unary.expr);
    }
  }
}

// Breaks what does not fit on a line. `level` 0 means that the parent did not start a new line.
class PrettyPrinter {
 public:
  std::string run(const Expr& expr) {
    LinePrinter(&lengths_).node(expr);
    node(expr, 0);
    return std::move(out_);
  }

 private:
  void indent(int level) { out_.append(static_cast<std::size_t>(std::min(level, kDeepestIndent)) * 2, ' '); }

  void node(const Expr& expr, int level) {
    if (const auto* invariant = expr.as<StepInvariantExpr>()) return node(*invariant->expr, level);
    if (const auto* unary = expr.as<UnaryExpr>()) {
      indent(level);
      out_ += to_string(unary->op);
      std::size_t begin = out_.size();
      node(*unary->expr, level);
      // The sign stands where the operand's indent would.
      std::size_t text = out_.find_first_not_of(' ', begin);
      out_.erase(begin, (text == std::string::npos ? out_.size() : text) - begin);
      return;
    }
    if (lengths_[&expr] > kLineLength) return split(expr, level);
    // Prometheus gives a subquery that fits no indent.
    if (expr.kind != Kind::subquery) indent(level);
    out_ += print(expr);
  }

  void split(const Expr& expr, int level) {
    switch (expr.kind) {
      case Kind::aggregate: {
        const auto& aggregate = static_cast<const AggregateExpr&>(expr);
        indent(level);
        out_ += aggregate_head(aggregate) + "(\n";
        if (aggregate.param) {
          node(*aggregate.param, level + 1);
          out_ += ",\n";
        }
        node(*aggregate.expr, level + 1);
        return close(level);
      }
      case Kind::binary: {
        const auto& binary = static_cast<const BinaryExpr&>(expr);
        if (is_infinite_base(binary)) {
          indent(level + 1);
          out_ += "Inf";
        } else {
          node(*binary.lhs, level + 1);
        }
        out_ += '\n';
        indent(level);
        out_ += operator_text(binary) + '\n';
        return node(*binary.rhs, level + 1);
      }
      case Kind::call: {
        const auto& call = static_cast<const Call&>(expr);
        indent(level);
        out_ += fmt::format("{}(\n", call.function->name);
        for (std::size_t i = 0; i < call.args.size(); ++i) {
          if (i > 0) out_ += ",\n";
          node(*call.args[i], level + 1);
        }
        return close(level);
      }
      case Kind::paren:
        indent(level);
        out_ += "(\n";
        node(*static_cast<const ParenExpr&>(expr).expr, level + 1);
        return close(level);
      case Kind::subquery: {
        const auto& subquery = static_cast<const SubqueryExpr&>(expr);
        node(*subquery.expr, level);
        LinePrinter line;
        line.suffix(subquery);
        out_ += line.out;
        return;
      }
      default: indent(level); out_ += print(expr);
    }
  }

  void close(int level) {
    out_ += '\n';
    indent(level);
    out_ += ')';
  }

  std::unordered_map<const Expr*, std::size_t> lengths_;
  std::string out_;
};

std::string_view special_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return "";
}

}  // namespace

std::string format_number(double value) {
  if (auto special = special_number(value); !special.empty()) return std::string(special);
  // The shortest digits that read back the same, then zeros: to_chars' fixed form would print every digit of a large
  // number.
  char buffer[64];
  auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(result.ptr - buffer));
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c != '.') digits += c;
  }
  std::string out = negative ? "-" : "";
  if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0');
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string format_general(double value) {
  if (auto special = special_number(value); !special.empty()) return std::string(special);
  char buffer[64];
  auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string text(buffer, result.ptr);
  int exponent = std::atoi(text.c_str() + text.find('e') + 1);
  return exponent < -4 || exponent >= 6 ? text : format_number(value);
}

std::string print(const Expr& expr) {
  LinePrinter printer;
  printer.node(expr);
  return std::move(printer.out);
}

std::string pretty(const Expr& expr) { return PrettyPrinter().run(expr); }

}  // namespace tocayo::promql
