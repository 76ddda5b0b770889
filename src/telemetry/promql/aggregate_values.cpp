// SPDX-License-Identifier: Apache-2.0
// Aggregations that need every value: quantile and count_values.
#include <algorithm>
#include <cmath>

#include "promql/aggregate.h"
#include "promql/printer.h"
#include "promql/range_functions.h"

namespace tocayo::promql::eval {

Outcome<> stream_quantile(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                          const Sink& sink) {
  if (parameter.any_nan) {
    evaluator.annotations().add(annotation::invalid_quantile(std::nan(""), parameter.position));
  }
  if (parameter.max > 1) evaluator.annotations().add(annotation::invalid_quantile(parameter.max, parameter.position));
  if (parameter.min < 0) evaluator.annotations().add(annotation::invalid_quantile(parameter.min, parameter.position));

  Grouping grouping(expr.grouping, expr.without);
  std::vector<std::vector<std::size_t>> members;
  Batch batch = TRY_EVAL(evaluator.collect(*expr.expr, grid));
  bool ignored = false;
  for (std::size_t s = 0; s < batch.series.size(); ++s) {
    const EvalSeries& series = batch.series[s];
    const std::size_t group = grouping.group_of(*series.labels, true);
    if (group == members.size()) members.emplace_back();
    members[group].push_back(s);
    for (std::size_t i = 0; series.column.any_histograms() && !ignored && i < grid.steps; ++i) {
      ignored = series.column.has_histogram(i);
    }
  }
  if (ignored)
    evaluator.annotations().add(annotation::histogram_ignored_in_aggregation("quantile", position_of(*expr.expr)));

  std::vector<double> values;
  for (std::size_t g = 0; g < members.size(); ++g) {
    TRY_VOID(evaluator.check());
    EvalSeries out{nullptr, false, Column(grid.steps)};
    for (std::size_t i = 0; i < grid.steps; ++i) {
      values.clear();
      for (std::size_t s : members[g]) {
        const EvalSeries& series = batch.series[s];
        if (!series.column.has_float(i)) continue;
        values.push_back(series.column.value(i));
        out.drop_name = out.drop_name || series.drop_name;
      }
      if (!values.empty()) out.column.set(i, quantile_of(parameter.values[i], values));
    }
    if (out.column.empty()) continue;
    out.set_labels(grouping.labels_of(g));
    TRY_VOID(sink(std::move(out)));
  }
  return {};
}

Outcome<> stream_count_values(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink) {
  const std::string& label = unwrap(*expr.param).as<StringLiteral>()->value;
  if (label.empty() || !is_valid_utf8(label)) return execution_error("invalid label name " + go_quote(label));
  // The value label replaces one of that name, so it takes no part in the grouping; `without` may name it away again.
  std::vector<std::string> names = expr.grouping;
  const bool named = std::ranges::find(names, label) != names.end() || label == kMetricName;
  std::erase(names, label);
  const bool show_value = !expr.without || !named;
  if (expr.without) names.push_back(label);
  Grouping grouping(std::move(names), expr.without);

  struct Count {
    std::string value;
    Column column;
  };
  struct Group {
    std::vector<Count> counts;
    std::unordered_map<std::string, std::size_t> by_value;
  };
  std::vector<Group> groups;
  Charge charge(evaluator.budget());
  TRY_VOID(evaluator.stream(*expr.expr, grid, [&](EvalSeries&& series) -> Outcome<> {
    const std::size_t index = grouping.group_of(*series.labels, false);
    if (index == groups.size()) groups.emplace_back();
    Group& group = groups[index];
    double last_value = 0;
    std::size_t last = SIZE_MAX;  // the count the last float went to: neighbours are often equal
    for (std::size_t i = 0; i < grid.steps; ++i) {
      if (!series.column.has(i)) continue;
      const bool is_float = series.column.has_float(i);
      const double value = is_float ? series.column.value(i) : 0;
      std::size_t at = last;
      if (!is_float || last == SIZE_MAX ||
          std::bit_cast<std::uint64_t>(value) != std::bit_cast<std::uint64_t>(last_value)) {
        const std::string text = !show_value ? ""
                                 : is_float  ? format_number(value)
                                             : series.column.histogram(i)->to_string();
        auto [found, added] = group.by_value.try_emplace(text, group.counts.size());
        if (added) {
          group.counts.push_back({text, Column(grid.steps)});
          TRY_VOID(charge.take(1, group.counts.back().column.memory_bytes() + 2 * text.size() + sizeof(Count)));
        }
        at = found->second;
        last = is_float ? at : SIZE_MAX;
        last_value = value;
      }
      Column& column = group.counts[at].column;
      column.set(i, column.has_float(i) ? column.value(i) + 1 : 1);
    }
    return {};
  }));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Labels base = grouping.labels_of(g);
    for (Count& count : groups[g].counts) {
      Labels labels = base;
      if (show_value) labels.set(label, count.value);
      EvalSeries series{nullptr, false, std::move(count.column)};
      series.set_labels(std::move(labels));
      TRY_VOID(sink(std::move(series)));
    }
  }
  return {};
}

}  // namespace tocayo::promql::eval
