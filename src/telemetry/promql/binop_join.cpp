// SPDX-License-Identifier: Apache-2.0
// Operators between two vectors. Series are matched once, by numbered match groups; then whole columns are combined.
#include <fmt/format.h>

#include <algorithm>

#include "promql/aggregate.h"
#include "promql/binop.h"

namespace tocayo::promql::eval {

namespace {

struct Side {
  std::vector<EvalSeries>* series;
  std::vector<std::size_t> groups;  // match group of each series
};

// Numbers the match groups of both sides.
class MatchGroups {
 public:
  explicit MatchGroups(const VectorMatching& matching) : grouping_(matching.matching_labels, !matching.on) {}
  Side side(std::vector<EvalSeries>& series) {
    Side side{&series, {}};
    side.groups.reserve(series.size());
    for (const EvalSeries& one : series) side.groups.push_back(grouping_.group_of(*one.labels, true));
    return side;
  }
  std::size_t size() const { return grouping_.size(); }

 private:
  Grouping grouping_;
};

StepSet any_present(const std::vector<EvalSeries>& series, std::size_t steps) {
  StepSet any(steps);
  for (const EvalSeries& one : series) one.column.add_presence(any);
  return any;
}

Labels matched_labels(const VectorMatching& matching, const Labels& labels) {
  if (matching.on) return labels.keep(matching.matching_labels);
  std::vector<std::string> names = matching.matching_labels;
  names.emplace_back(kMetricName);
  return labels.drop(names);
}

class Join {
 public:
  Join(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid)
      : evaluator_(evaluator),
        expr_(expr),
        matching_(*expr.matching),
        grid_(grid),
        notes_(grid.steps),
        swapped_(matching_.card == Cardinality::one_to_many),
        one_to_one_(matching_.card == Cardinality::one_to_one),
        charge_(evaluator.budget()) {}

  Outcome<> run(std::vector<EvalSeries>& lhs, std::vector<EvalSeries>& rhs, const Sink& sink) {
    // From here on the right side is the "one" side; element() swaps back.
    MatchGroups matcher(matching_);
    many_ = matcher.side(swapped_ ? rhs : lhs);
    one_ = matcher.side(swapped_ ? lhs : rhs);
    groups_.resize(matcher.size());
    for (std::size_t r = 0; r < one_.series->size(); ++r) groups_[one_.groups[r]].one.push_back(r);
    find_active();
    TRY_VOID(check_one_side());
    for (std::size_t l = 0; l < many_.series->size(); ++l) {
      if (l % 64 == 0) TRY_VOID(evaluator_.check());
      TRY_VOID(join_series(l));
    }
    if (matching_.fill_left) TRY_VOID(fill_many_side());
    notes_.raise(expr_.op, position_of(expr_), evaluator_.annotations());
    std::vector<EvalSeries> results;
    results.reserve(outputs_.size());
    for (Output& output : outputs_) {
      if (!output.series.column.empty()) results.push_back(std::move(output.series));
    }
    return evaluator_.push_merged(std::move(results), grid_, false, sink);
  }

 private:
  struct Output {
    EvalSeries series;
    StepSet matched;  // steps at which elements met, kept or not
  };
  struct Group {
    std::vector<std::size_t> one;                                 // series of the one side
    std::unordered_multimap<std::uint64_t, std::size_t> outputs;  // into outputs_, by hash of labels
    StepSet matched;  // union over outputs; only one-to-one and fill need it
  };

  // Steps at which there can be a result: both sides have something, or with fill values at least one.
  void find_active() {
    const StepSet many = any_present(*many_.series, grid_.steps), one = any_present(*one_.series, grid_.steps);
    active_ = StepSet(grid_.steps);
    const bool fills = matching_.fill_left || matching_.fill_right;
    for (std::size_t w = 0; w < active_.word_count(); ++w) {
      active_.words()[w] = fills ? many.words()[w] | one.words()[w] : many.words()[w] & one.words()[w];
    }
  }

  Outcome<> check_one_side() {
    for (const Group& group : groups_) {
      if (group.one.size() < 2) continue;
      std::vector<const EvalSeries*> owner(grid_.steps);
      for (std::size_t r : group.one) {
        const EvalSeries& series = (*one_.series)[r];
        for (std::size_t i = 0; i < grid_.steps; ++i) {
          if (!series.column.has(i) || !active_.test(i)) continue;
          if (owner[i] != nullptr) return duplicate(*series.labels, *owner[i]->labels);
          owner[i] = &series;
        }
      }
    }
    return {};
  }

  std::unexpected<QueryError> duplicate(const Labels& a, const Labels& b) const {
    std::string first = a.to_string(false), second = b.to_string(false);
    if (second < first) std::swap(first, second);
    return execution_error(
        fmt::format("found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}]"
                    ";many-to-many matching not allowed: matching labels must be unique on one side",
                    matched_labels(matching_, a).to_string(false), swapped_ ? "left" : "right", first, second));
  }

  Labels result_labels(const Labels& many, const Labels& one) const {
    const bool drop = changes_metric(expr_.op) || (!evaluator_.delayed() && expr_.return_bool);
    Labels labels = drop && has_metadata(many) ? without_metadata(many) : many;
    if (one_to_one_)
      labels = matching_.on ? labels.keep(matching_.matching_labels) : labels.drop(matching_.matching_labels);
    for (const std::string& name : matching_.include) labels.set(name, one.get(name));
    return labels;
  }

  // The output for these labels in a group; elements that meet there twice at one step are an error (see note_match).
  Outcome<std::size_t> output_for(Group& group, Labels labels) {
    const std::uint64_t hash = labels.hash();
    for (auto [first, last] = group.outputs.equal_range(hash); first != last; ++first) {
      if (*outputs_[first->second].series.labels == labels) return first->second;
    }
    group.outputs.emplace(hash, outputs_.size());
    EvalSeries series{nullptr, expr_.return_bool, Column(grid_.steps)};
    series.set_labels(std::move(labels));
    outputs_.push_back({std::move(series), StepSet(grid_.steps)});
    TRY_VOID(charge_.take(0, sizeof(Output) + outputs_.back().series.column.memory_bytes() +
                                 memory_bytes(*outputs_.back().series.labels) +
                                 outputs_.back().matched.word_count() * 8));
    return outputs_.size() - 1;
  }

  Outcome<> note_match(Group& group, Output& output, std::size_t i) {
    if (one_to_one_) {
      if (group.matched.test(i)) {
        return execution_error(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
      }
    } else if (output.matched.test(i)) {
      return execution_error("multiple matches for labels: grouping labels must ensure unique matches");
    }
    group.matched.set(i);
    output.matched.set(i);
    return {};
  }

  Outcome<> combine(Group& group, Output& output, std::size_t i, const Element& many, const Element& one) {
    const ElementResult result = swapped_ ? binary_element(expr_.op, one, many) : binary_element(expr_.op, many, one);
    if (result.note != BinaryNote::none) notes_.set(i, result.note);
    if (!result.valid) return {};
    TRY_VOID(note_match(group, output, i));
    if (expr_.return_bool) {
      output.series.column.set(i, result.keep ? 1 : 0);
    } else if (!result.keep) {
      return {};
    } else if (result.histogram) {
      output.series.column.set_histogram(i, result.histogram);
    } else {
      output.series.column.set(i, result.value);
    }
    return {};
  }

  Outcome<> join_series(std::size_t l) {
    EvalSeries& series = (*many_.series)[l];
    Group& group = groups_[many_.groups[l]];
    if (group.one.empty() && !matching_.fill_right) return {};
    if (group.matched.word_count() == 0) group.matched = StepSet(grid_.steps);
    StepSet met(grid_.steps);
    for (std::size_t r : group.one) {
      const EvalSeries& one = (*one_.series)[r];
      const std::size_t o = TRY_EVAL(output_for(group, result_labels(*series.labels, *one.labels)));
      if (!series.column.any_histograms() && !one.column.any_histograms() &&
          arithmetic_fast(group, outputs_[o], series.column, one.column)) {
        one.column.add_presence(met);
        continue;
      }
      for (std::size_t i = 0; i < grid_.steps; ++i) {
        if (!series.column.has(i) || !one.column.has(i)) continue;
        met.set(i);
        TRY_VOID(combine(group, outputs_[o], i, element_at(series.column, i), element_at(one.column, i)));
      }
    }
    if (!matching_.fill_right) return {};
    const std::size_t o =
        TRY_EVAL(output_for(group, result_labels(*series.labels, matched_labels(matching_, *series.labels))));
    for (std::size_t i = 0; i < grid_.steps; ++i) {
      if (!series.column.has(i) || met.test(i)) continue;
      TRY_VOID(combine(group, outputs_[o], i, element_at(series.column, i), {*matching_.fill_right, nullptr}));
    }
    return {};
  }

  // Whole columns at once; false when nothing could be done because elements would meet twice (the slow way then finds
  // the error).
  bool arithmetic_fast(Group& group, Output& output, const Column& many, const Column& one) {
    if (!changes_metric(expr_.op)) return false;
    Column& column = output.series.column;
    const StepSet& taken = one_to_one_ ? group.matched : output.matched;
    for (std::size_t w = 0; w < column.word_count(); ++w) {
      if ((many.words()[w] & one.words()[w] & taken.words()[w]) != 0) return false;
    }
    if (column.float_count() == 0) {
      arithmetic_columns(expr_.op, (swapped_ ? one : many).values(), (swapped_ ? many : one).values(), column.values(),
                         grid_.steps);
    } else {
      for (std::size_t i = 0; i < grid_.steps; ++i) {
        if (!many.has_float(i) || !one.has_float(i)) continue;
        column.values()[i] =
            scalar_binary(expr_.op, (swapped_ ? one : many).value(i), (swapped_ ? many : one).value(i));
      }
    }
    for (std::size_t w = 0; w < column.word_count(); ++w) {
      const std::uint64_t both = many.words()[w] & one.words()[w];
      column.words()[w] |= both;
      output.matched.words()[w] |= both;
      group.matched.words()[w] |= both;
    }
    return true;
  }

  // Elements of the one side that found no partner meet the fill value.
  Outcome<> fill_many_side() {
    for (std::size_t r = 0; r < one_.series->size(); ++r) {
      const EvalSeries& one = (*one_.series)[r];
      Group& group = groups_[one_.groups[r]];
      if (group.matched.word_count() == 0) group.matched = StepSet(grid_.steps);
      const StepSet matched = group.matched;
      const std::size_t o =
          TRY_EVAL(output_for(group, result_labels(matched_labels(matching_, *one.labels), *one.labels)));
      for (std::size_t i = 0; i < grid_.steps; ++i) {
        if (!one.column.has(i) || matched.test(i)) continue;
        TRY_VOID(combine(group, outputs_[o], i, {*matching_.fill_left, nullptr}, element_at(one.column, i)));
      }
    }
    return {};
  }

  Evaluator& evaluator_;
  const BinaryExpr& expr_;
  const VectorMatching& matching_;
  Grid grid_;
  NoteCollector notes_;
  bool swapped_, one_to_one_;
  Side many_{}, one_{};
  StepSet active_;
  std::vector<Group> groups_;
  std::vector<Output> outputs_;
  Charge charge_;
};

}  // namespace

Outcome<> stream_vector_binary(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink) {
  auto [lhs, rhs] = TRY_EVAL(evaluator.collect_both(*expr.lhs, *expr.rhs, grid));
  return Join(evaluator, expr, grid).run(lhs.series, rhs.series, sink);
}

Outcome<> stream_set_operation(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink) {
  auto [lhs, rhs] = TRY_EVAL(evaluator.collect_both(*expr.lhs, *expr.rhs, grid));
  MatchGroups matcher(*expr.matching);
  const Side left = matcher.side(lhs.series), right = matcher.side(rhs.series);
  // Where each match group has something: on the right for `and` and `unless`, on the left for `or`.
  std::vector<StepSet> present(matcher.size());
  const Side& decider = expr.op == BinaryOp::lor ? left : right;
  for (std::size_t s = 0; s < decider.series->size(); ++s) {
    StepSet& set = present[decider.groups[s]];
    if (set.word_count() == 0) set = StepSet(grid.steps);
    (*decider.series)[s].column.add_presence(set);
  }
  const auto filter = [&](const Side& side, bool keep_present, std::vector<EvalSeries>& out) {
    for (std::size_t s = 0; s < side.series->size(); ++s) {
      EvalSeries& series = (*side.series)[s];
      const StepSet& set = present[side.groups[s]];
      if (set.word_count() == 0) {
        if (keep_present) continue;
      } else {
        series.column.keep_steps(set, keep_present);
        if (series.column.empty()) continue;
      }
      out.push_back(std::move(series));
    }
  };
  std::vector<EvalSeries> results;
  if (expr.op != BinaryOp::lor) {
    filter(left, expr.op == BinaryOp::land, results);
    for (EvalSeries& series : results) TRY_VOID(sink(std::move(series)));
    return {};
  }
  for (EvalSeries& series : lhs.series) results.push_back(std::move(series));
  filter(right, false, results);
  return evaluator.push_merged(std::move(results), grid, false, sink);
}

}  // namespace tocayo::promql::eval
