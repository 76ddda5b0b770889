// SPDX-License-Identifier: Apache-2.0
// histogram_quantile(), histogram_quantiles() and histogram_fraction() over vectors that may hold native histograms,
// the buckets of classic ones, or both.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "promql/aggregate.h"
#include "promql/eval_branch.h"
#include "promql/function_signatures.h"
#include "promql/histogram_quantile.h"

namespace tocayo::promql::eval {

namespace {

constexpr std::string_view kBucketLabel = "le";

// A float as Go's ParseFloat reads it: signs, infinities, hexadecimal.
std::optional<double> parse_bound(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || text[0] == '+' || text[0] == '-') return std::nullopt;
  auto format = std::chars_format::general;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    format = std::chars_format::hex;
    text.remove_prefix(2);
  }
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, format);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || std::isnan(value)) return std::nullopt;
  return negative ? -value : value;
}

struct ClassicHistogram {
  const Labels* labels;  // without le
  bool drop_name = false;
  struct Bound {
    double upper;
    const Column* column;
  };
  std::vector<Bound> bounds;  // ascending
  StepSet present;            // some bucket has a value
  StepSet conflict;           // a native histogram of the same labels too: no result
};

struct NativeHistogram {
  const EvalSeries* series;
  ClassicHistogram* conflict = nullptr;  // of the same labels
};

// The histograms in a vector, sorted out.
class Histograms {
 public:
  Histograms(Evaluator& evaluator, const Batch& batch, const Grid& grid, PositionRange position)
      : evaluator_(evaluator), grid_(grid), position_(position) {
    Grouping grouping({std::string(kBucketLabel)}, true, true);
    for (const EvalSeries& series : batch.series) {
      if (series.column.float_count() > 0) add_classic(series, grouping);
      if (series.column.any_histograms()) native_.push_back({&series});
    }
    for (std::size_t g = 0; g < classic_.size(); ++g) {
      classic_[g].labels = evaluator.keep(grouping.labels_of(g));
      std::ranges::stable_sort(classic_[g].bounds, {}, &ClassicHistogram::Bound::upper);
    }
    find_conflicts();
  }

  std::vector<ClassicHistogram>& classic() { return classic_; }
  std::vector<NativeHistogram>& native() { return native_; }

  // f(step, buckets) for every step at which a classic histogram has buckets.
  template <typename F>
  void each_classic(const ClassicHistogram& histogram, F&& f) {
    std::vector<ClassicBucket> buckets;
    for (std::size_t i = 0; i < grid_.steps; ++i) {
      if (!histogram.present.test(i) || (histogram.conflict.word_count() > 0 && histogram.conflict.test(i))) continue;
      buckets.clear();
      for (const auto& bound : histogram.bounds) {
        if (bound.column->has_float(i)) buckets.push_back({bound.upper, bound.column->value(i)});
      }
      f(i, buckets);
    }
  }
  template <typename F>
  void each_native(const NativeHistogram& histogram, F&& f) {
    const Column& column = histogram.series->column;
    for (std::size_t i = 0; i < grid_.steps; ++i) {
      if (!column.has_histogram(i)) continue;
      if (histogram.conflict != nullptr && histogram.conflict->present.test(i)) continue;
      f(i, *column.histogram(i));
    }
  }
  // The name for annotations: only known when its removal is delayed.
  std::string_view name(const Labels& labels) const {
    return evaluator_.delayed() ? metric_name(labels) : std::string_view();
  }

 private:
  void add_classic(const EvalSeries& series, Grouping& grouping) {
    const std::string_view le = series.labels->get(kBucketLabel);
    const auto bound = parse_bound(le);
    if (!bound) {
      evaluator_.annotations().add(annotation::bad_bucket_label(name(*series.labels), le, position_));
      return;
    }
    const std::size_t group = grouping.group_of(*series.labels, true);
    if (group == classic_.size()) {
      classic_.emplace_back();
      classic_.back().present = StepSet(grid_.steps);
    }
    ClassicHistogram& histogram = classic_[group];
    histogram.drop_name = histogram.drop_name || series.drop_name;
    histogram.bounds.push_back({*bound, &series.column});
    const Column& column = series.column;
    for (std::size_t w = 0; w < column.word_count(); ++w) histogram.present.words()[w] |= column.words()[w];
  }

  void find_conflicts() {
    if (native_.empty() || classic_.empty()) return;
    std::unordered_map<Labels, ClassicHistogram*, LabelsHash> by_labels;
    for (ClassicHistogram& histogram : classic_) by_labels.emplace(*histogram.labels, &histogram);
    for (NativeHistogram& histogram : native_) {
      const auto found = by_labels.find(*histogram.series->labels);
      if (found == by_labels.end()) continue;
      histogram.conflict = found->second;
      found->second->conflict = StepSet(grid_.steps);
      for (std::size_t i = 0; i < grid_.steps; ++i) {
        if (!histogram.series->column.has_histogram(i) || !found->second->present.test(i)) continue;
        found->second->conflict.set(i);
        evaluator_.annotations().add(
            annotation::mixed_classic_native_histograms(name(*histogram.series->labels), position_));
      }
    }
  }

  Evaluator& evaluator_;
  Grid grid_;
  PositionRange position_;
  std::vector<ClassicHistogram> classic_;
  std::vector<NativeHistogram> native_;
};

void check_quantiles(Evaluator& evaluator, std::span<const double> quantiles, PositionRange position) {
  for (double q : quantiles) {
    if (std::isnan(q) || q < 0 || q > 1) evaluator.annotations().add(annotation::invalid_quantile(q, position));
  }
}

double native_quantile(Evaluator& evaluator, double q, const metrics::FloatHistogram& histogram, std::string_view name,
                       PositionRange position) {
  const auto estimate = metrics::histogram_quantile(q, histogram);
  if (estimate.nan_result) evaluator.annotations().add(annotation::quantile_nan_result(name, position));
  if (estimate.nan_skew) evaluator.annotations().add(annotation::quantile_nan_skew(name, position));
  return estimate.value;
}

double quantile_of_classic(Evaluator& evaluator, double q, std::vector<ClassicBucket>& buckets, std::string_view name,
                           PositionRange position, TimestampMs time) {
  const ClassicQuantile quantile = classic_quantile(q, buckets);
  if (quantile.forced_monotonic) {
    evaluator.annotations().add(annotation::forced_monotonicity(name, position, time, quantile.min_bucket,
                                                                quantile.max_bucket, quantile.max_difference));
  }
  return quantile.value;
}

// `lasting`: the labels live as long as the query.
EvalSeries start_series(Evaluator& evaluator, const Labels* labels, bool lasting, const Grid& grid) {
  EvalSeries series{labels, false, Column(grid.steps)};
  if (!lasting) series.set_labels(*labels);
  evaluator.drop_name(series);
  return series;
}

void push_if_any(std::vector<EvalSeries>& results, EvalSeries&& series) {
  if (!series.column.empty()) results.push_back(std::move(series));
}

Outcome<> stream_quantile_call(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const PositionRange position = position_of(*call.args[1]);
  const auto quantiles_of = [&](Evaluator& on) -> Outcome<std::vector<double>> {
    auto quantiles = TRY_EVAL(on.scalar(*call.args[0], grid));
    check_quantiles(on, quantiles, position_of(*call.args[0]));
    return quantiles;
  };
  const auto [quantiles, batch] =
      TRY_EVAL(evaluate_both(evaluator, *call.args[0], quantiles_of, *call.args[1],
                             [&](Evaluator& on) { return on.collect(*call.args[1], grid); }));
  Histograms histograms(evaluator, batch, grid, position);
  std::vector<EvalSeries> results;
  for (const NativeHistogram& native : histograms.native()) {
    TRY_VOID(evaluator.check());
    EvalSeries out = start_series(evaluator, native.series->labels, !native.series->own, grid);
    const std::string_view name = histograms.name(*native.series->labels);
    histograms.each_native(native, [&](std::size_t i, const metrics::FloatHistogram& histogram) {
      out.column.set(i, native_quantile(evaluator, quantiles[i], histogram, name, position));
    });
    push_if_any(results, std::move(out));
  }
  for (const ClassicHistogram& classic : histograms.classic()) {
    TRY_VOID(evaluator.check());
    EvalSeries out = start_series(evaluator, classic.labels, true, grid);
    const std::string_view name = histograms.name(*classic.labels);
    histograms.each_classic(classic, [&](std::size_t i, std::vector<ClassicBucket>& buckets) {
      out.column.set(i, quantile_of_classic(evaluator, quantiles[i], buckets, name, position, grid.time(i)));
    });
    push_if_any(results, std::move(out));
  }
  return evaluator.push_merged(std::move(results), grid, false, sink);
}

Outcome<> stream_fraction_call(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const auto [lower, upper] = TRY_EVAL(evaluator.scalars(*call.args[0], *call.args[1], grid));
  const PositionRange position = position_of(*call.args[2]);
  const Batch batch = TRY_EVAL(evaluator.collect(*call.args[2], grid));
  Histograms histograms(evaluator, batch, grid, position);
  std::vector<EvalSeries> results;
  for (const NativeHistogram& native : histograms.native()) {
    TRY_VOID(evaluator.check());
    EvalSeries out = start_series(evaluator, native.series->labels, !native.series->own, grid);
    const std::string_view name = histograms.name(*native.series->labels);
    histograms.each_native(native, [&](std::size_t i, const metrics::FloatHistogram& histogram) {
      const auto estimate = metrics::histogram_fraction(lower[i], upper[i], histogram);
      if (estimate.nan_observations) evaluator.annotations().add(annotation::fraction_nans(name, position));
      out.column.set(i, estimate.value);
    });
    push_if_any(results, std::move(out));
  }
  for (const ClassicHistogram& classic : histograms.classic()) {
    TRY_VOID(evaluator.check());
    EvalSeries out = start_series(evaluator, classic.labels, true, grid);
    histograms.each_classic(classic, [&](std::size_t i, std::vector<ClassicBucket>& buckets) {
      out.column.set(i, classic_fraction(lower[i], upper[i], buckets));
    });
    push_if_any(results, std::move(out));
  }
  return evaluator.push_merged(std::move(results), grid, false, sink);
}

// A float as OpenMetrics writes it in labels: always with a point or exponent.
std::string quantile_text(double q) {
  std::string text = metrics::format_shortest(q);
  if (std::isfinite(q) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// One output per value of the quantile label; the quantile may be another one at each step.
class QuantileOutputs {
 public:
  QuantileOutputs(Evaluator& evaluator, const Labels* labels, const std::string& label, const Grid& grid)
      : evaluator_(evaluator), labels_(labels), label_(label), grid_(grid) {}
  void set(std::size_t step, double q, double value) {
    const bool same = !outputs_.empty() && std::bit_cast<std::uint64_t>(q) == std::bit_cast<std::uint64_t>(last_);
    if (!same) {
      const std::string text = quantile_text(q);
      auto [found, added] = by_text_.try_emplace(text, outputs_.size());
      if (added) {
        Labels labels = *labels_;
        labels.set(label_, text);
        EvalSeries series{nullptr, false, Column(grid_.steps)};
        series.set_labels(std::move(labels));
        evaluator_.drop_name(series);
        outputs_.push_back(std::move(series));
      }
      current_ = found->second;
      last_ = q;
    }
    outputs_[current_].column.set(step, value);
  }
  void move_to(std::vector<EvalSeries>& results) {
    for (EvalSeries& series : outputs_) push_if_any(results, std::move(series));
  }

 private:
  Evaluator& evaluator_;
  const Labels* labels_;
  const std::string& label_;
  Grid grid_;
  std::vector<EvalSeries> outputs_;
  std::unordered_map<std::string, std::size_t> by_text_;
  std::size_t current_ = 0;
  double last_ = 0;
};

Outcome<> stream_quantiles_call(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string& label = unwrap(*call.args[1]).as<StringLiteral>()->value;
  const PositionRange position = position_of(*call.args[0]);
  const Batch batch = TRY_EVAL(evaluator.collect(*call.args[0], grid));
  std::vector<std::vector<double>> quantiles;
  for (std::size_t a = 2; a < call.args.size(); ++a) {
    quantiles.push_back(TRY_EVAL(evaluator.scalar(*call.args[a], grid)));
    check_quantiles(evaluator, quantiles.back(), position_of(*call.args[a]));
  }
  Histograms histograms(evaluator, batch, grid, position);
  std::vector<EvalSeries> results;
  for (const auto& q : quantiles) {
    for (const NativeHistogram& native : histograms.native()) {
      QuantileOutputs out(evaluator, native.series->labels, label, grid);
      const std::string_view name = histograms.name(*native.series->labels);
      histograms.each_native(native, [&](std::size_t i, const metrics::FloatHistogram& histogram) {
        out.set(i, q[i], native_quantile(evaluator, q[i], histogram, name, position));
      });
      out.move_to(results);
    }
    for (const ClassicHistogram& classic : histograms.classic()) {
      TRY_VOID(evaluator.check());
      QuantileOutputs out(evaluator, classic.labels, label, grid);
      const std::string_view name = histograms.name(*classic.labels);
      histograms.each_classic(classic, [&](std::size_t i, std::vector<ClassicBucket>& buckets) {
        out.set(i, q[i], quantile_of_classic(evaluator, q[i], buckets, name, position, grid.time(i)));
      });
      out.move_to(results);
    }
  }
  return evaluator.push_merged(std::move(results), grid, false, sink);
}

}  // namespace

Outcome<> stream_histogram_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string_view name = call.function->name;
  if (name == "histogram_quantile") return stream_quantile_call(evaluator, call, grid, sink);
  if (name == "histogram_quantiles") return stream_quantiles_call(evaluator, call, grid, sink);
  if (name == "histogram_fraction") return stream_fraction_call(evaluator, call, grid, sink);
  return execution_error(fmt::format("function {} is not implemented", name));
}

}  // namespace tocayo::promql::eval
