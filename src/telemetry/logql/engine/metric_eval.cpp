// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/metric_eval.h"

#include <re2/re2.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "logql/engine/merged_series.h"
#include "logql/engine/range_eval.h"

namespace tocayo::logql::detail {

namespace {

// Whether grouping the rows at once gives what grouping the range aggregation's series gives.
bool may_group_rows(VectorOp outer, const RangeAggregation& inner) {
  if (inner.grouping) return false;
  switch (inner.op) {
    case RangeOp::count_over_time:
    case RangeOp::rate:
    case RangeOp::bytes_over_time:
    case RangeOp::bytes_rate:
    case RangeOp::sum_over_time: return outer == VectorOp::sum;
    case RangeOp::min_over_time: return outer == VectorOp::min;
    case RangeOp::max_over_time: return outer == VectorOp::max;
    default: return false;
  }
}

void drop_empty(std::vector<EvalSeries>& series) {
  std::erase_if(series, [](const EvalSeries& one) { return !one.column.any(); });
}

std::vector<EvalSeries> constant(double value, const Steps& steps) {
  Column column(steps.count);
  for (std::size_t step = 0; step < steps.count; ++step) column.set(step, value);
  std::vector<EvalSeries> series;
  series.push_back({Labels{}, std::move(column), false});
  return series;
}

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$; unknown groups are empty.
std::string expand(std::string_view pattern, const re2::RE2& regex, const std::vector<re2::StringPiece>& groups) {
  std::string out;
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '$') {
      out.push_back(pattern[i]);
      continue;
    }
    if (i + 1 < pattern.size() && pattern[i + 1] == '$') {
      out.push_back('$');
      ++i;
      continue;
    }
    const bool braced = i + 1 < pattern.size() && pattern[i + 1] == '{';
    const std::size_t start = i + (braced ? 2 : 1);
    std::size_t end = start;
    while (end < pattern.size() && is_name(pattern[end])) ++end;
    if (end == start || (braced && (end >= pattern.size() || pattern[end] != '}'))) {
      out.push_back('$');  // not a reference
      continue;
    }
    const std::string name(pattern.substr(start, end - start));
    std::size_t group = groups.size();
    if (std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) {
      if (name.size() < 6 && (name.size() == 1 || name[0] != '0')) group = std::stoul(name);
    } else if (const auto at = regex.NamedCapturingGroups().find(name); at != regex.NamedCapturingGroups().end()) {
      group = static_cast<std::size_t>(at->second);
    }
    if (group < groups.size()) out.append(groups[group].data(), groups[group].size());
    i = braced ? end : end - 1;
  }
  return out;
}

Result<std::vector<EvalSeries>> replace_labels(const LabelReplace& replace, std::vector<EvalSeries> series) {
  const re2::RE2 regex("^(?:" + replace.regex + ")$", re2::RE2::Quiet);
  if (!regex.ok()) return fail(ErrorKind::bad_input, "invalid regex in label_replace: " + regex.error());
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  for (EvalSeries& one : series) {
    const std::string source(one.labels.get(replace.source));
    if (!regex.Match(source, 0, source.size(), re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size()))) {
      continue;
    }
    one.labels.set(replace.destination, expand(replace.replacement, regex, groups));
  }
  return series;
}

// What an error of kind `limit` says beside, when series fill the memory.
Error explain(const std::vector<EvalSeries>& series, Error error) {
  LabelValues values;
  const std::size_t stride = LabelValues::stride(series.size());
  for (std::size_t i = 0; i < series.size(); i += stride) {
    for (const Label& label : series[i].labels) values.add(label.name, label.value);
  }
  return values.name_largest(std::move(error));
}

// Puts parts together.
class Gathered {
 public:
  explicit Gathered(Run& run) : account_(run) {}
  Result<> add(std::vector<EvalSeries> part) {
    bytes_ += memory_of(part);
    if (part.empty()) return {};
    ++parts_;
    if (all_.empty()) {
      all_ = std::move(part);
    } else {
      all_.insert(all_.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    }
    if (parts_ < 2) return {};  // it was charged when it was made
    auto held = account_.set(bytes_);
    return held ? held : std::unexpected(explain(all_, std::move(held.error())));
  }
  std::vector<EvalSeries> take() {
    if (parts_ > 1) std::ranges::sort(all_, {}, &EvalSeries::labels);
    return std::move(all_);
  }

 private:
  Account account_;
  std::vector<EvalSeries> all_;
  std::size_t bytes_ = 0;
  std::size_t parts_ = 0;
};

// What absent_over_time calls the series that is not there.
Labels absent_labels(const std::vector<Matcher>& matchers) {
  Labels labels;
  std::vector<std::string> ambiguous;
  for (const Matcher& matcher : matchers) {
    if (matcher.name() == kMetricName) continue;
    if (matcher.type() == Matcher::Type::equal && !labels.has(matcher.name())) {
      labels.set(matcher.name(), matcher.value());
    } else {
      ambiguous.push_back(matcher.name());
    }
  }
  return labels.drop(ambiguous);
}

Result<std::vector<EvalSeries>> evaluate_absent(MetricEval& eval, const RangeAggregation& aggregation) {
  Column column(eval.steps.count);
  for (std::size_t step = 0; step < eval.steps.count; ++step) column.set(step, 1);
  TRY(evaluate_range(eval.run, aggregation, nullptr, eval.steps, nullptr,
                     [&](const std::vector<EvalSeries>& present) -> Result<> {
                       for (const EvalSeries& one : present) {
                         for (std::size_t step = 0; step < eval.steps.count; ++step) {
                           if (one.column.has(step)) column.clear(step);
                         }
                       }
                       return {};
                     }));
  std::vector<EvalSeries> series;
  if (column.any()) series.push_back({absent_labels(aggregation.range.log.matchers), std::move(column), false});
  return series;
}

struct Visitor {
  MetricEval& eval;
  const SeriesSink& sink;

  Result<> operator()(const LogExpr&) const { return fail(ErrorKind::internal, "a log query has no series"); }
  Result<> operator()(const Number& number) const { return sink(constant(number.value, eval.steps)); }
  Result<> operator()(const VectorNumber& number) const { return sink(constant(number.value, eval.steps)); }
  Result<> operator()(const RangeAggregation& aggregation) const {
    if (aggregation.op == RangeOp::absent_over_time) return sink(TRY(evaluate_absent(eval, aggregation)));
    return evaluate_range(eval.run, aggregation, nullptr, eval.steps, nullptr, sink);
  }
  Result<> operator()(const VectorAggregation& aggregation) const {
    if (aggregation.op == VectorOp::approx_topk && !eval.instant) {
      return fail(ErrorKind::bad_input, "approx_topk is only supported on instant queries");
    }
    const auto* range = std::get_if<RangeAggregation>(&aggregation.operand->node);
    if (range != nullptr && range->op == RangeOp::absent_over_time) range = nullptr;
    const Grouping grouping = aggregation.grouping.value_or(Grouping{});
    if (range != nullptr && may_group_rows(aggregation.op, *range)) {
      return evaluate_range(eval.run, *range, &grouping, eval.steps, nullptr, [&](std::vector<EvalSeries> part) {
        return sink(aggregate(aggregation, std::move(part), eval.steps));
      });
    }
    const bool sorts = aggregation.op == VectorOp::sort || aggregation.op == VectorOp::sort_desc;
    OuterGroups outer{.grouping = &grouping, .whole = false};
    const auto parts = aggregate_parts(aggregation, eval.steps);
    Account account(eval.run);
    bool first = true;  // that one was charged when it was made
    const SeriesSink take = [&](std::vector<EvalSeries> part) -> Result<> {
      if (outer.whole) return sink(aggregate(aggregation, std::move(part), eval.steps));
      parts->add(std::move(part));
      if (std::exchange(first, false)) return {};
      auto held = account.set(parts->memory_bytes());
      return held ? held : std::unexpected(explain(parts->finish(), std::move(held.error())));
    };
    if (range != nullptr && !sorts) {
      TRY(evaluate_range(eval.run, *range, nullptr, eval.steps, &outer, [&](std::vector<EvalSeries> part) {
        drop_empty(part);
        return take(std::move(part));
      }));
    } else {
      TRY(eval.evaluate(*aggregation.operand, take));
    }
    return outer.whole ? Result<>{} : sink(parts->finish());
  }
  Result<> operator()(const LabelReplace& replace) const {
    return sink(TRY(replace_labels(replace, TRY(eval.evaluate(*replace.operand)))));
  }
  Result<> operator()(const Binary& binary) const {
    if (const auto* number = std::get_if<Number>(&binary.left->node)) {
      return sink(combine_with_number(binary, TRY(eval.evaluate(*binary.right)), number->value, true));
    }
    if (const auto* number = std::get_if<Number>(&binary.right->node)) {
      return sink(combine_with_number(binary, TRY(eval.evaluate(*binary.left)), number->value, false));
    }
    std::vector<EvalSeries> left = TRY(eval.evaluate(*binary.left));
    std::vector<EvalSeries> right = TRY(eval.evaluate(*binary.right));
    return sink(TRY(combine(binary, std::move(left), std::move(right), eval.steps)));
  }
};

}  // namespace

Result<> MetricEval::evaluate(const Expr& expr, const SeriesSink& sink) {
  TRY(run.context().check());
  const SeriesSink without_empty = [&](std::vector<EvalSeries> part) {
    drop_empty(part);
    return sink(std::move(part));
  };
  return std::visit(Visitor{*this, without_empty}, expr.node);
}

Result<std::vector<EvalSeries>> MetricEval::evaluate(const Expr& expr) {
  Gathered all(run);
  TRY(evaluate(expr, [&](std::vector<EvalSeries> part) { return all.add(std::move(part)); }));
  return all.take();
}

}  // namespace tocayo::logql::detail
