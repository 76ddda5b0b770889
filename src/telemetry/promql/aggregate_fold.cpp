// SPDX-License-Identifier: Apache-2.0
// Aggregations that keep a fixed state per group and step: series stream in, only [groups][steps] are held.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "promql/aggregate.h"

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;
using metrics::HistogramSum;
using metrics::ResetHint;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Native histograms of one group at one step, for sum and avg.
struct HistogramCell {
  std::optional<HistogramSum> sum;  // of all, or the mean so far once incremental
  double count = 0;
  bool incompatible = false, incremental = false;
  bool reset_seen = false, not_reset_seen = false;
};

class Group {
 public:
  Group(AggregateOp op, std::size_t steps) : value(steps), seen(steps) {
    const bool mean = op == AggregateOp::avg || op == AggregateOp::stddev || op == AggregateOp::stdvar;
    if (op == AggregateOp::sum || op == AggregateOp::avg) error.resize(steps);
    if (mean) count.resize(steps);
    if (op == AggregateOp::stddev || op == AggregateOp::stdvar) average.resize(steps);
  }
  std::size_t memory_bytes() const {
    return sizeof(*this) + sizeof(double) * (value.size() + error.size() + count.size() + average.size()) +
           seen.word_count() * 8;
  }

  std::vector<double> value, error, count, average;
  StepSet seen;  // a float was aggregated
  std::vector<std::uint8_t>
      incremental;  // avg: the sum overflowed, `value` is the mean so far; empty as long as none did
  std::vector<std::unique_ptr<HistogramCell>> histograms;  // empty as long as there are none
  bool drop_name = false;
};

class Fold {
 public:
  Fold(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid)
      : evaluator_(evaluator),
        expr_(expr),
        grid_(grid),
        grouping_(expr.grouping, expr.without),
        position_(position_of(*expr.expr)),
        charge_(evaluator.budget()) {}

  Outcome<> add(EvalSeries&& series) {
    const std::size_t index = grouping_.group_of(*series.labels, false);
    if (index == groups_.size()) {
      groups_.emplace_back(expr_.op, grid_.steps);
      TRY_VOID(charge_.take(0, groups_.back().memory_bytes()));
    }
    Group& group = groups_[index];
    group.drop_name = group.drop_name || series.drop_name;
    const Column& column = series.column;
    if (column.any_histograms()) add_histograms(group, column, *series.labels);
    for_each_bit(column.words(), column.word_count(), [&](std::size_t i) { add_float(group, i, column.value(i)); });
    return {};
  }

  Outcome<> finish(const Sink& sink) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Group& group = groups_[g];
      EvalSeries series{nullptr, group.drop_name, Column(grid_.steps)};
      for (std::size_t i = 0; i < grid_.steps; ++i) finish_step(group, i, series.column);
      if (series.column.empty()) continue;
      series.set_labels(grouping_.labels_of(g));
      TRY_VOID(sink(std::move(series)));
    }
    return {};
  }

 private:
  void add_float(Group& group, std::size_t i, double value) {
    const bool first = !group.seen.test(i);
    double& total = group.value[i];
    switch (expr_.op) {
      case AggregateOp::sum:
        if (skips(group, i)) return;
        if (first) {
          total = value;
        } else {
          metrics::compensated_add(value, total, group.error[i]);
        }
        break;
      case AggregateOp::avg:
        if (skips(group, i)) return;
        add_to_average(group, i, value, first);
        break;
      case AggregateOp::min:
        if (first || total > value || std::isnan(total)) total = value;
        break;
      case AggregateOp::max:
        if (first || total < value || std::isnan(total)) total = value;
        break;
      case AggregateOp::count: total = first ? 1 : total + 1; break;
      case AggregateOp::group: total = 1; break;
      case AggregateOp::stddev:
      case AggregateOp::stdvar:
        group.count[i] += 1;
        if (first) {
          total = std::isfinite(value) ? 0 : kNaN;
          group.average[i] = value;
        } else {
          const double delta = value - group.average[i];
          group.average[i] += delta / group.count[i];
          total += delta * (value - group.average[i]);
        }
        break;
      default: break;
    }
    group.seen.set(i);
  }

  // Mean as sum and count, incremental from the moment the sum would overflow.
  void add_to_average(Group& group, std::size_t i, double value, bool first) {
    double &total = group.value[i], &error = group.error[i], &count = group.count[i];
    count += 1;
    if (first) {
      total = value;
      return;
    }
    const bool incremental = !group.incremental.empty() && group.incremental[i] != 0;
    if (!incremental) {
      double next = total, next_error = error;
      metrics::compensated_add(value, next, next_error);
      if (!std::isinf(next)) {
        total = next;
        error = next_error;
        return;
      }
      group.incremental.resize(grid_.steps);
      group.incremental[i] = 1;
      total /= count - 1;
      error /= count - 1;
    }
    const double share = (count - 1) / count;
    total *= share;
    error *= share;
    metrics::compensated_add(value / count, total, error);
  }

  static bool skips(const Group& group, std::size_t i) {
    return !group.histograms.empty() && group.histograms[i] && group.histograms[i]->incompatible;
  }

  void add_histograms(Group& group, const Column& column, const Labels& labels) {
    for (std::size_t i = 0; i < grid_.steps; ++i) {
      if (!column.has_histogram(i)) continue;
      switch (expr_.op) {
        case AggregateOp::sum:
        case AggregateOp::avg: add_histogram(group, i, *column.histogram(i), labels); break;
        case AggregateOp::count:
        case AggregateOp::group: add_float(group, i, 1); break;
        default: ignored_ = true; break;
      }
    }
    if (ignored_) {
      evaluator_.annotations().add(annotation::histogram_ignored_in_aggregation(to_string(expr_.op), position_));
      ignored_ = false;
    }
  }

  void add_histogram(Group& group, std::size_t i, const FloatHistogram& histogram, const Labels& labels) {
    if (group.histograms.empty()) group.histograms.resize(grid_.steps);
    auto& slot = group.histograms[i];
    if (!slot) slot = std::make_unique<HistogramCell>();
    HistogramCell& cell = *slot;
    if (cell.incompatible || group.seen.test(i)) return;  // floats before it: there will be no result
    cell.reset_seen = cell.reset_seen || histogram.hint == ResetHint::reset;
    cell.not_reset_seen = cell.not_reset_seen || histogram.hint == ResetHint::not_reset;
    cell.count += 1;
    if (!cell.sum) {
      cell.sum.emplace(histogram);
      return;
    }
    metrics::CombineOutcome outcome;
    if (expr_.op == AggregateOp::sum) {
      outcome = cell.sum->add(histogram);
    } else {
      outcome = add_to_average(cell, histogram);
    }
    if (outcome.incompatible) {
      evaluator_.annotations().add(annotation::mixed_exponential_custom_histograms(metric_name(labels), position_));
      cell.incompatible = true;
    }
    if (outcome.bounds_reconciled) {
      evaluator_.annotations().add(annotation::mismatched_custom_buckets(position_, HistogramOperation::aggregation));
    }
  }

  static metrics::CombineOutcome add_to_average(HistogramCell& cell, const FloatHistogram& histogram) {
    bool reconciled = false;
    if (!cell.incremental) {
      HistogramSum next = *cell.sum;
      const auto outcome = next.add(histogram);
      if (outcome.incompatible) return outcome;
      reconciled = outcome.bounds_reconciled;
      if (!next.has_overflow()) {
        cell.sum = std::move(next);
        return outcome;
      }
      cell.incremental = true;
      cell.sum->divide(cell.count - 1);
    }
    cell.sum->multiply((cell.count - 1) / cell.count);
    FloatHistogram share = histogram;
    share.divide(cell.count);
    auto outcome = cell.sum->add(share);
    outcome.bounds_reconciled = outcome.bounds_reconciled || reconciled;
    return outcome;
  }

  void finish_step(const Group& group, std::size_t i, Column& out) {
    if (!group.histograms.empty() && group.histograms[i]) {
      const HistogramCell& cell = *group.histograms[i];
      if (group.seen.test(i)) {
        evaluator_.annotations().add(annotation::mixed_floats_histograms_aggregation(position_));
        return;
      }
      if (cell.incompatible) return;
      auto result = std::make_shared<FloatHistogram>();
      if (expr_.op == AggregateOp::avg && !cell.incremental) {
        HistogramSum mean = *cell.sum;
        mean.divide(cell.count);
        *result = mean.result();
      } else {
        *result = cell.sum->result();
      }
      result->compact();
      if (cell.reset_seen && cell.not_reset_seen) {
        evaluator_.annotations().add(annotation::counter_reset_collision(position_, HistogramOperation::aggregation));
      }
      out.set_histogram(i, std::move(result));
      return;
    }
    if (!group.seen.test(i)) return;
    double value = group.value[i];
    switch (expr_.op) {
      case AggregateOp::sum: value += group.error[i]; break;
      case AggregateOp::avg:
        if (!group.incremental.empty() && group.incremental[i] != 0) {
          value += group.error[i];
        } else {
          value = value / group.count[i] + group.error[i] / group.count[i];
        }
        break;
      case AggregateOp::stdvar: value /= group.count[i]; break;
      case AggregateOp::stddev: value = std::sqrt(value / group.count[i]); break;
      default: break;
    }
    out.set(i, value);
  }

  Evaluator& evaluator_;
  const AggregateExpr& expr_;
  Grid grid_;
  Grouping grouping_;
  PositionRange position_;
  std::vector<Group> groups_;
  Charge charge_;
  bool ignored_ = false;
};

}  // namespace

Outcome<> stream_fold(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink) {
  Fold fold(evaluator, expr, grid);
  TRY_VOID(evaluator.stream(*expr.expr, grid, [&fold](EvalSeries&& series) { return fold.add(std::move(series)); }));
  return fold.finish(sink);
}

}  // namespace tocayo::promql::eval
