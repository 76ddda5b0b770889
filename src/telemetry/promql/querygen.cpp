// SPDX-License-Identifier: Apache-2.0
#include "promql/querygen.h"

#include <fmt/format.h>

#include <algorithm>

#include "promql/ast.h"
#include "promql/parser.h"
#include "promql/querygen_internal.h"

namespace tocayo::promql {
namespace detail {
namespace {

constexpr auto kComparisons =
    std::to_array<BinaryOp>({BinaryOp::eql, BinaryOp::neq, BinaryOp::gtr, BinaryOp::lss, BinaryOp::gte, BinaryOp::lte});

bool needs_counter(std::string_view function) {
  return function == "rate" || function == "irate" || function == "increase" || function == "resets";
}

// How a binary expression's two sides are matched, for the coverage table.
std::string matching_feature(const BinaryExpr& binary) {
  std::string out = fmt::format("operator {}", to_string(binary.op));
  if (!binary.matching) {
    bool left = type_of(*binary.lhs) == ValueType::scalar, right = type_of(*binary.rhs) == ValueType::scalar;
    out += left && right ? " scalar-scalar" : left ? " scalar-vector" : " vector-scalar";
  } else {
    if (binary.matching->on)
      out += " on";
    else if (!binary.matching->matching_labels.empty())
      out += " ignoring";
    if (binary.matching->card == Cardinality::many_to_one) out += " group_left";
    if (binary.matching->card == Cardinality::one_to_many) out += " group_right";
    if (binary.matching->fill_left || binary.matching->fill_right) out += " fill";
  }
  return binary.return_bool ? out + " bool" : out;
}

void selector_features(const VectorSelector& selector, std::vector<std::string>& out) {
  static constexpr std::string_view kTypes[] = {"=", "!=", "=~", "!~"};
  for (const Matcher& matcher : selector.matchers) {
    if (matcher.name() != kMetricName)
      out.push_back(fmt::format("matcher {}", kTypes[static_cast<int>(matcher.type())]));
  }
  if (selector.original_offset.count() > 0) out.emplace_back("selector offset");
  if (selector.original_offset.count() < 0) out.emplace_back("selector negative offset");
  if (selector.at == AtModifier::timestamp) out.emplace_back("selector @");
  if (selector.at == AtModifier::start) out.emplace_back("selector @ start()");
  if (selector.at == AtModifier::end) out.emplace_back("selector @ end()");
  if (selector.anchored) out.emplace_back("selector anchored");
  if (selector.smoothed) out.emplace_back("selector smoothed");
}

std::vector<std::string> features_of(const Expr& expr) {
  std::vector<std::string> out;
  walk(expr, [&](const Expr& node, const std::vector<const Expr*>&) {
    if (const auto* call = node.as<Call>()) {
      out.push_back(fmt::format("function {}", call->function->name));
    } else if (const auto* aggregate = node.as<AggregateExpr>()) {
      std::string_view how = aggregate->without ? "without" : aggregate->grouping.empty() ? "all" : "by";
      out.push_back(fmt::format("aggregation {} {}", to_string(aggregate->op), how));
    } else if (const auto* binary = node.as<BinaryExpr>()) {
      out.push_back(matching_feature(*binary));
    } else if (const auto* unary = node.as<UnaryExpr>()) {
      out.push_back(fmt::format("unary {}", to_string(unary->op)));
    } else if (const auto* subquery = node.as<SubqueryExpr>()) {
      out.emplace_back(subquery->step.count() == 0 && !subquery->step_expr ? "subquery default step" : "subquery");
      if (subquery->at != AtModifier::none) out.emplace_back("subquery @");
      if (subquery->original_offset.count() != 0) out.emplace_back("subquery offset");
    } else if (const auto* selector = node.as<VectorSelector>()) {
      selector_features(*selector, out);
    } else if (const auto* matrix = node.as<MatrixSelector>(); matrix && matrix->range_expr) {
      out.emplace_back("duration expression");
    }
  });
  return out;
}

// Came after 2.42, or means something else since.
bool newer_than_2_42(std::string_view name) {
  static constexpr auto kNewer =
      std::to_array<std::string_view>({"first_over_time", "histogram_avg", "histogram_stddev", "histogram_stdvar",
                                       "histogram_count", "histogram_sum", "histogram_fraction"});
  return std::find(kNewer.begin(), kNewer.end(), name) != kNewer.end();
}

}  // namespace

bool function_allowed(const FunctionSignature& function, const QuerygenOptions& options) {
  if (function.experimental && (options.only_2_42 || !options.experimental)) return false;
  if (options.only_2_42 && newer_than_2_42(function.name)) return false;
  bool native_only = function.name.starts_with("histogram_") && function.name != "histogram_quantile";
  return !native_only || options.native_histograms;
}

std::vector<AggregateOp> allowed_aggregations(const QuerygenOptions& options) {
  std::vector<AggregateOp> result;
  for (int i = 0; i <= static_cast<int>(AggregateOp::topk); ++i) {
    auto op = static_cast<AggregateOp>(i);
    if (!is_experimental(op) || (options.experimental && !options.only_2_42)) result.push_back(op);
  }
  return result;
}

std::vector<BinaryOp> allowed_operators(const QuerygenOptions& options) {
  std::vector<BinaryOp> result;
  for (int i = 0; i <= static_cast<int>(BinaryOp::lunless); ++i) {
    auto op = static_cast<BinaryOp>(i);
    bool trim = op == BinaryOp::trim_upper || op == BinaryOp::trim_lower;
    if (!trim || (options.native_histograms && !options.only_2_42)) result.push_back(op);
  }
  return result;
}

void Generator::keep(const std::string& query) {
  if (seen_.contains(query)) return;
  // Bare operands may have bound to a neighbour in a way that has no meaning.
  auto expr = parse_expr(query, ParserOptions::all());
  if (!expr) return;
  auto features = features_of(**expr);
  std::sort(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end()), features.end());
  for (std::string& feature : features) ++result_.coverage[std::move(feature)];
  seen_.insert(query);
  result_.queries.push_back(query);
}

Querygen Generator::run(std::size_t count) {
  if (data_.metrics.empty()) return {};
  templates();
  // Every template is there even when fewer were asked for; the random rest fills up.
  for (std::size_t tries = 0; result_.queries.size() < count && tries < count * 20; ++tries) {
    keep(random_.one_in(8) ? scalar(options_.max_depth) : vector(options_.max_depth));
  }
  return std::move(result_);
}

std::string Generator::name(MetricType wanted) {
  std::vector<std::string_view> fitting;
  for (const auto& metric : data_.metrics) {
    if (metric.type == wanted) fitting.push_back(metric.name);
  }
  if (fitting.empty()) return data_.metrics[random_.below(data_.metrics.size())].name;
  return std::string(pick(std::span<const std::string_view>(fitting)));
}

std::string Generator::matchers() {
  if (data_.labels.empty() || random_.one_in(3)) return "";
  std::string out;
  std::size_t wanted = 1 + random_.below(2);
  for (std::size_t i = 0; i < wanted; ++i) {
    const auto& [label, values] = data_.labels[random_.below(data_.labels.size())];
    std::string value = values.empty() || random_.one_in(8) ? "nosuch" : values[random_.below(values.size())];
    std::string_view op = one_of({"=", "!=", "=~", "!~"});
    if (op.ends_with('~')) {
      switch (random_.below(4)) {
        case 0: value = ".*"; break;
        case 1: value = value.substr(0, 1) + ".*"; break;
        case 2: value = value + "|" + (values.empty() ? "x" : values[0]); break;
        default: break;
      }
    }
    out += fmt::format("{}{}{}\"{}\"", out.empty() ? "" : ",", label, op, value);
  }
  return "{" + out + "}";
}

std::string Generator::modifiers() {
  std::string at, offset;
  if (random_.one_in(6)) {
    std::int64_t span = std::max<std::int64_t>(data_.end - data_.start, 1);
    std::int64_t time = data_.start + static_cast<std::int64_t>(random_.below(static_cast<std::size_t>(span)));
    at = random_.one_in(3) ? fmt::format(" @ {}", one_of({"start()", "end()"}))
                           : fmt::format(" @ {:.3f}", static_cast<double>(time) / 1000);
  }
  if (random_.one_in(5)) offset = fmt::format(" offset {}{}", random_.one_in(3) ? "-" : "", duration());
  return random_.one_in(2) ? at + offset : offset + at;
}

std::string Generator::selector(MetricType wanted) { return name(wanted) + matchers() + modifiers(); }

std::string Generator::any_selector() {
  auto type = random_.one_in(2) ? MetricType::gauge : MetricType::counter;
  if (options_.native_histograms && random_.one_in(5)) type = MetricType::native_histogram;
  return selector(type);
}

std::string Generator::subquery(int depth) {
  std::string step(random_.one_in(3) ? std::string_view() : one_of({"15s", "1m", "47s"}));
  return fmt::format("({})[{}:{}]{}", vector(depth - 1), one_of({"1m", "5m", "17m"}), step, modifiers());
}

std::string Generator::matrix(int depth, std::string_view function) {
  if (depth > 1 && random_.one_in(5)) return subquery(depth);
  auto type = needs_counter(function) ? MetricType::counter : MetricType::gauge;
  if (options_.native_histograms && random_.one_in(6)) type = MetricType::native_histogram;
  std::string range(duration());
  std::string extended;
  if (options_.experimental && !options_.only_2_42) {
    if (random_.one_in(8)) range = fmt::format("{} {} {}", range, one_of({"+", "*", "/"}), one_of({"2", "3", "1.5"}));
    bool safe = function == "rate" || function == "increase" || function == "delta";
    if (safe && random_.one_in(4)) extended = one_of({" anchored", " smoothed"});
  }
  return fmt::format("{}{}[{}]{}{}", name(type), matchers(), range, extended, modifiers());
}

std::string Generator::scalar(int depth) {
  switch (random_.below(depth <= 0 ? 3 : 7)) {
    case 0:
      return std::string(one_of({"0", "1", "2", "0.5", "-1", "3.25", "100", "1e3", "Inf", "-Inf", "NaN", "0x1F"}));
    case 1: return "time()";
    case 2: return "pi()";
    case 3: return "scalar(" + vector(depth - 1) + ")";
    case 4: return "-(" + scalar(depth - 1) + ")";
    case 5: {
      std::string comparison(to_string(pick(std::span<const BinaryOp>(kComparisons))));
      return fmt::format("({}) {} bool ({})", scalar(depth - 1), comparison, scalar(depth - 1));
    }
    default:
      return fmt::format("({}) {} ({})", scalar(depth - 1), one_of({"+", "-", "*", "/", "%", "^", "atan2"}),
                         scalar(depth - 1));
  }
}

std::string Generator::string_argument(const FunctionSignature& function, std::size_t index) {
  if (function.name == "label_replace") {
    switch (index) {
      case 1: return fmt::format("\"{}\"", one_of({"dst", "job", "instance", "__name__"}));
      case 2: return fmt::format("\"{}\"", one_of({"x-$1", "$2", "", "fixed", "$name"}));
      case 3: return fmt::format("\"{}\"", label());
      default: return fmt::format("\"{}\"", one_of({"(.*)", "(.)(.*)", "(?P<name>.+)", "nosuch", ""}));
    }
  }
  if (function.name == "label_join" && index == 2) return fmt::format("\"{}\"", one_of({"-", "", "::"}));
  if (function.name == "label_join" && index == 1) return fmt::format("\"{}\"", one_of({"dst", "job"}));
  if (function.name == "histogram_quantiles") return "\"q\"";
  return fmt::format("\"{}\"", label());
}

std::string Generator::call(const FunctionSignature& function, int depth) {
  std::size_t types = function.arg_types.size();
  std::size_t count = types;
  if (function.variadic != 0) count = types - 1 + random_.below(function.variadic < 0 ? 3 : 2);
  if (function.name == "histogram_quantiles") count = std::max<std::size_t>(count, 3);
  std::string args;
  for (std::size_t i = 0; i < count; ++i) {
    ValueType type = function.arg_types[std::min(i, types - 1)];
    std::string arg;
    if (function.name == "histogram_quantile" && i == 1) {
      arg = fmt::format("sum by (le) (rate({}[{}]))", name(MetricType::classic_bucket), duration());
    } else if (function.name == "info" && i == 1) {
      arg = fmt::format("{{{}=~\".+\"}}", label());
    } else if (function.name.find("quantile") != std::string_view::npos && type == ValueType::scalar) {
      arg = one_of({"-0.5", "0", "0.1", "0.5", "0.9", "1", "1.5", "NaN"});
    } else if (type == ValueType::scalar) {
      arg = function.name == "double_exponential_smoothing" ? std::string(one_of({"0.1", "0.5", "0.9"}))
                                                            : scalar(depth > 1 ? 1 : 0);
    } else if (type == ValueType::matrix) {
      arg = matrix(depth, function.name);
    } else if (type == ValueType::string) {
      arg = string_argument(function, i);
    } else {
      arg = function.name == "timestamp" && random_.one_in(2) ? any_selector() : vector(depth - 1);
    }
    args += (args.empty() ? "" : ", ") + arg;
  }
  return fmt::format("{}({})", function.name, args);
}

std::string Generator::grouping() {
  if (random_.one_in(4)) return "";
  std::string labels(random_.one_in(8) ? std::string_view() : label());
  if (!labels.empty() && random_.one_in(3)) labels += ", " + std::string(one_of({"nosuch", "job", "instance"}));
  return fmt::format(" {} ({}) ", one_of({"by", "without"}), labels);
}

std::string Generator::aggregation(int depth) {
  auto allowed = allowed_aggregations(options_);
  AggregateOp op = pick(std::span<const AggregateOp>(allowed));
  std::string param;
  switch (op) {
    case AggregateOp::topk:
    case AggregateOp::bottomk:
    case AggregateOp::limitk: param = one_of({"0, ", "1, ", "3, ", "100, ", "-1, "}); break;
    case AggregateOp::limit_ratio: param = one_of({"0.3, ", "-0.7, ", "1, "}); break;
    case AggregateOp::quantile: param = one_of({"-0.5, ", "0, ", "0.5, ", "0.95, ", "1, ", "1.5, "}); break;
    case AggregateOp::count_values: param = fmt::format("\"{}\", ", one_of({"value", "job"})); break;
    default: break;
  }
  std::string group = grouping(), body = fmt::format("({}{})", param, vector(depth - 1));
  return random_.one_in(2) ? fmt::format("{}{}{}", to_string(op), group, body)
                           : fmt::format("{}{}{}", to_string(op), body, group);
}

std::string Generator::matching(BinaryOp op, bool& many) {
  many = false;
  std::string out;
  if (is_comparison(op) && random_.one_in(2)) out = " bool";
  if (random_.one_in(2)) {
    out += fmt::format(" {} ({})", one_of({"on", "ignoring"}), random_.one_in(6) ? std::string_view() : label());
    if (!is_set_operator(op) && random_.one_in(2)) {
      many = true;
      out += fmt::format(" {} ({})", one_of({"group_left", "group_right"}), random_.one_in(2) ? "" : "nosuch");
    }
  }
  bool fill = options_.experimental && !options_.only_2_42 && !is_set_operator(op) && random_.one_in(5);
  if (fill) out += one_of({" fill (0)", " fill_left (1)", " fill_right (-1)", " fill_left (2) fill_right (3)"});
  return out;
}

std::string Generator::binary(int depth) {
  auto allowed = allowed_operators(options_);
  BinaryOp op = pick(std::span<const BinaryOp>(allowed));
  bool set = is_set_operator(op), trim = op == BinaryOp::trim_upper || op == BinaryOp::trim_lower;
  if (trim)
    return fmt::format("{} {} {}", operand(selector(MetricType::native_histogram)), to_string(op),
                       one_of({"0", "1.5", "-2", "Inf"}));
  switch (set ? 2 : random_.below(4)) {
    case 0: {
      std::string modifier = is_comparison(op) && random_.one_in(2) ? " bool" : "";
      return fmt::format("{} {}{} {}", operand(vector(depth - 1)), to_string(op), modifier, operand(scalar(1)));
    }
    case 1: return fmt::format("{} {} {}", operand(scalar(1)), to_string(op), operand(vector(depth - 1)));
    default: {
      bool many = false;
      std::string how = matching(op, many);
      // Two related sides match more often than two unrelated ones.
      std::string left = vector(depth - 1);
      std::string right = random_.one_in(2) ? left : vector(depth - 1);
      return fmt::format("{} {}{} {}", operand(left), to_string(op), how, operand(right));
    }
  }
}

std::string Generator::vector(int depth) {
  if (depth <= 0 || random_.one_in(6)) return any_selector();
  switch (random_.below(8)) {
    case 0:
    case 1: return aggregation(depth);
    case 2:
    case 3: return binary(depth);
    case 4: return fmt::format("{}({})", one_of({"-", "+"}), vector(depth - 1));
    default: break;
  }
  for (;;) {
    const FunctionSignature& function = pick(all_functions());
    if (function.return_type == ValueType::vector && function_allowed(function, options_)) return call(function, depth);
  }
}

}  // namespace detail

Querygen generate_queries(std::uint64_t seed, std::size_t count, const QuerygenData& data,
                          const QuerygenOptions& options) {
  return detail::Generator(seed, data, options).run(count);
}

std::vector<std::string> querygen_features(const QuerygenOptions& options) {
  std::vector<std::string> out{"matcher =",
                               "matcher !=",
                               "matcher =~",
                               "matcher !~",
                               "selector offset",
                               "selector negative offset",
                               "selector @",
                               "selector @ start()",
                               "selector @ end()",
                               "subquery",
                               "subquery default step",
                               "subquery @",
                               "subquery offset",
                               "unary -",
                               "unary +"};
  if (options.experimental && !options.only_2_42)
    out.insert(out.end(), {"selector anchored", "selector smoothed", "duration expression"});
  for (const FunctionSignature& function : all_functions()) {
    if (detail::function_allowed(function, options)) out.push_back(fmt::format("function {}", function.name));
  }
  for (AggregateOp op : detail::allowed_aggregations(options)) {
    for (std::string_view how : {"all", "by", "without"})
      out.push_back(fmt::format("aggregation {} {}", to_string(op), how));
  }
  for (BinaryOp op : detail::allowed_operators(options)) {
    std::string base = fmt::format("operator {}", to_string(op));
    if (op == BinaryOp::trim_upper || op == BinaryOp::trim_lower) {
      out.push_back(base + " vector-scalar");
      continue;
    }
    for (std::string_view how : {"", " on", " ignoring"}) out.push_back(base + std::string(how));
    if (is_set_operator(op)) continue;
    for (std::string_view how : {" scalar-vector", " vector-scalar", " on group_left", " ignoring group_right"})
      out.push_back(base + std::string(how));
    if (is_comparison(op)) out.push_back(base + " bool");
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace tocayo::promql
