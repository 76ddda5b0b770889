// SPDX-License-Identifier: Apache-2.0
// Aggregations that choose among their input series: topk, bottomk, limitk, limit_ratio.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "promql/aggregate.h"

namespace tocayo::promql::eval {

namespace {

struct Candidate {
  double value;
  std::uint32_t series;
};

// The k best of a group at one step. A binary heap with the worst on top, sifted as Go's container/heap does, so that
// among equal values the same ones stay.
class Best {
 public:
  // Whether the heap grew.
  bool offer(Candidate candidate, std::size_t k, bool top) {
    if (heap_.size() < k) {
      heap_.push_back(candidate);
      for (std::size_t j = heap_.size() - 1; j > 0;) {
        const std::size_t parent = (j - 1) / 2;
        if (!worse(heap_[j], heap_[parent], top)) break;
        std::swap(heap_[j], heap_[parent]);
        j = parent;
      }
      return true;
    }
    const double worst = heap_[0].value;
    const bool better = top ? worst < candidate.value : worst > candidate.value;
    if (!better && !(std::isnan(worst) && !std::isnan(candidate.value))) return false;
    heap_[0] = candidate;
    for (std::size_t i = 0;;) {
      std::size_t child = 2 * i + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && worse(heap_[child + 1], heap_[child], top)) ++child;
      if (!worse(heap_[child], heap_[i], top)) break;
      std::swap(heap_[i], heap_[child]);
      i = child;
    }
    return false;
  }
  // Best first, NaN last.
  std::vector<Candidate>& sorted(bool top) {
    std::ranges::stable_sort(heap_, [top](const Candidate& a, const Candidate& b) {
      if (std::isnan(a.value) || std::isnan(b.value)) return !std::isnan(a.value) && std::isnan(b.value);
      return top ? a.value > b.value : a.value < b.value;
    });
    return heap_;
  }

 private:
  static bool worse(const Candidate& a, const Candidate& b, bool top) {
    if (std::isnan(a.value)) return true;
    return top ? a.value < b.value : a.value > b.value;
  }
  std::vector<Candidate> heap_;
};

constexpr double kMaxInt64 = 9223372036854774784.0;  // the largest double below 2^63
constexpr double kMinInt64 = -9223372036854775808.0;

Outcome<> check_count(const Parameter& parameter) {
  if (parameter.any_nan) return execution_error("Parameter value is NaN");
  if (parameter.min <= kMinInt64) {
    return execution_error(fmt::format("Scalar value {} underflows int64", metrics::format_shortest(parameter.min)));
  }
  if (parameter.max >= kMaxInt64) {
    return execution_error(fmt::format("Scalar value {} overflows int64", metrics::format_shortest(parameter.max)));
  }
  return {};
}

std::size_t count_at(const Parameter& parameter, std::size_t step) {
  const double k = parameter.values[step];
  return k < 1 ? 0 : static_cast<std::size_t>(std::min(k, 4e9));
}

// Evaluates for the annotations only.
Outcome<> stream_nowhere(Evaluator& evaluator, const Expr& expr, const Grid& grid) {
  return evaluator.stream(expr, grid, [](EvalSeries&&) -> Outcome<> { return {}; });
}

Outcome<> stream_best(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                      const Sink& sink) {
  const bool top = expr.op == AggregateOp::topk;
  Grouping grouping(expr.grouping, expr.without);
  std::vector<EvalSeries> inputs;  // without their columns
  Charge charge(evaluator.budget());
  std::vector<std::vector<Best>> groups;  // [group][step]
  bool ignored = false;
  TRY_VOID(evaluator.stream(*expr.expr, grid, [&](EvalSeries&& series) -> Outcome<> {
    const std::size_t group = grouping.group_of(*series.labels, false);
    std::size_t bytes = sizeof(EvalSeries) + (series.own ? memory_bytes(*series.own) : 0), grown = 0;
    if (group == groups.size()) {
      groups.emplace_back(grid.steps);
      bytes += grid.steps * sizeof(Best);
    }
    const auto id = static_cast<std::uint32_t>(inputs.size());
    for_each_bit(series.column.words(), series.column.word_count(), [&](std::size_t i) {
      if (const std::size_t k = count_at(parameter, i); k > 0)
        grown += groups[group][i].offer({series.column.value(i), id}, k, top);
    });
    for (std::size_t i = 0; series.column.any_histograms() && !ignored && i < grid.steps; ++i) {
      ignored = series.column.has_histogram(i) && count_at(parameter, i) > 0;
    }
    inputs.push_back({series.labels, series.drop_name, {}, std::move(series.own)});
    return charge.take(grown, bytes + grown * sizeof(Candidate));
  }));
  if (ignored)
    evaluator.annotations().add(annotation::histogram_ignored_in_aggregation(to_string(expr.op), expr.position));

  std::vector<EvalSeries> chosen;
  std::unordered_map<std::uint32_t, std::size_t> place;
  for (auto& group : groups) {
    for (std::size_t i = 0; i < grid.steps; ++i) {
      for (const Candidate& candidate : group[i].sorted(top)) {
        auto [found, added] = place.try_emplace(candidate.series, chosen.size());
        if (added) {
          chosen.push_back(std::move(inputs[candidate.series]));
          chosen.back().column = Column(grid.steps);
        }
        chosen[found->second].column.set(i, candidate.value);
      }
    }
  }
  for (EvalSeries& series : chosen) TRY_VOID(sink(std::move(series)));
  return {};
}

Outcome<> stream_first(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                       const Sink& sink) {
  Grouping grouping(expr.grouping, expr.without);
  std::vector<std::vector<std::uint32_t>> taken;  // [group][step]
  return evaluator.stream(*expr.expr, grid, [&](EvalSeries&& series) -> Outcome<> {
    const std::size_t group = grouping.group_of(*series.labels, false);
    if (group == taken.size()) taken.emplace_back(grid.steps);
    for (std::size_t i = 0; i < grid.steps; ++i) {
      if (!series.column.has(i)) continue;
      if (taken[group][i] < count_at(parameter, i)) {
        ++taken[group][i];
      } else {
        series.column.clear(i);
      }
    }
    if (series.column.empty()) return {};
    return sink(std::move(series));
  });
}

Outcome<> stream_ratio(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                       const Sink& sink) {
  return evaluator.stream(*expr.expr, grid, [&](EvalSeries&& series) -> Outcome<> {
    const double offset = sampling_offset(*series.labels);
    for (std::size_t i = 0; i < grid.steps; ++i) {
      const double ratio = std::clamp(parameter.values[i], -1.0, 1.0);
      if (series.column.has(i) && (ratio == 0 || !in_ratio(ratio, offset))) series.column.clear(i);
    }
    if (series.column.empty()) return {};
    return sink(std::move(series));
  });
}

}  // namespace

double sampling_offset(const Labels& labels) {
  return static_cast<double>(labels.hash() >> 11) * 0x1p-53;  // 53 bits: exact, and never 1
}

bool in_ratio(double ratio, double offset) { return ratio >= 0 ? offset < ratio : offset >= 1.0 + ratio; }

Outcome<> stream_select(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                        const Sink& sink) {
  if (expr.op == AggregateOp::limit_ratio) {
    if (parameter.max == 0 && parameter.min == 0) return stream_nowhere(evaluator, *expr.expr, grid);
    if (parameter.any_nan) return execution_error("Ratio value is NaN");
    if (parameter.max > 1) evaluator.annotations().add(annotation::invalid_ratio(parameter.max, 1, parameter.position));
    if (parameter.min < -1)
      evaluator.annotations().add(annotation::invalid_ratio(parameter.min, -1, parameter.position));
    return stream_ratio(evaluator, expr, parameter, grid, sink);
  }
  if (parameter.max < 1) return stream_nowhere(evaluator, *expr.expr, grid);
  TRY_VOID(check_count(parameter));
  if (expr.op == AggregateOp::limitk) return stream_first(evaluator, expr, parameter, grid, sink);
  return stream_best(evaluator, expr, parameter, grid, sink);
}

}  // namespace tocayo::promql::eval
