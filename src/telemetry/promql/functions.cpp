// SPDX-License-Identifier: Apache-2.0
// Functions over instant vectors and scalars.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "promql/eval.h"
#include "promql/function_signatures.h"
#include "promql/functions_calendar.h"

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using FloatFunction = double (*)(double);

template <typename T>
struct Named {
  std::string_view name;
  T function;
};

template <typename T, std::size_t N>
T find_named(const Named<T> (&table)[N], std::string_view name) {
  for (const auto& entry : table) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

constexpr Named<FloatFunction> kFloatFunctions[] = {
    {"abs", [](double x) { return std::fabs(x); }},
    {"acos", [](double x) { return std::acos(x); }},
    {"acosh", [](double x) { return std::acosh(x); }},
    {"asin", [](double x) { return std::asin(x); }},
    {"asinh", [](double x) { return std::asinh(x); }},
    {"atan", [](double x) { return std::atan(x); }},
    {"atanh", [](double x) { return std::atanh(x); }},
    {"ceil", [](double x) { return std::ceil(x); }},
    {"cos", [](double x) { return std::cos(x); }},
    {"cosh", [](double x) { return std::cosh(x); }},
    {"deg", [](double x) { return x * 180 / std::numbers::pi; }},
    {"exp", [](double x) { return std::exp(x); }},
    {"floor", [](double x) { return std::floor(x); }},
    {"ln", [](double x) { return std::log(x); }},
    {"log10", [](double x) { return std::log10(x); }},
    {"log2", [](double x) { return std::log2(x); }},
    {"rad", [](double x) { return x * std::numbers::pi / 180; }},
    {"sgn", [](double x) { return x < 0   ? -1.0
                                  : x > 0 ? 1.0
                                          : x; }},
    {"sin", [](double x) { return std::sin(x); }},
    {"sinh", [](double x) { return std::sinh(x); }},
    {"sqrt", [](double x) { return std::sqrt(x); }},
    {"tan", [](double x) { return std::tan(x); }},
    {"tanh", [](double x) { return std::tanh(x); }},
};

using HistogramFunction = double (*)(const FloatHistogram&);
constexpr Named<HistogramFunction> kHistogramFunctions[] = {
    {"histogram_avg", [](const FloatHistogram& h) { return h.sum / h.count; }},
    {"histogram_count", [](const FloatHistogram& h) { return h.count; }},
    {"histogram_stddev", [](const FloatHistogram& h) { return std::sqrt(metrics::histogram_variance(h)); }},
    {"histogram_stdvar", [](const FloatHistogram& h) { return metrics::histogram_variance(h); }},
    {"histogram_sum", [](const FloatHistogram& h) { return h.sum; }},
};

// Go's math.Min and math.Max: NaN wins, but not against the infinity that decides anyway.
double go_min(double a, double b) {
  if (a == -kInfinity || b == -kInfinity) return -kInfinity;
  return std::isnan(a) || std::isnan(b) ? kNaN : std::min(a, b);
}
double go_max(double a, double b) {
  if (a == kInfinity || b == kInfinity) return kInfinity;
  return std::isnan(a) || std::isnan(b) ? kNaN : std::max(a, b);
}

// Changes every series with `change` and takes its name away.
template <typename F>
Outcome<> map_series(Evaluator& evaluator, const Expr& arg, const Grid& grid, const Sink& sink, F&& change) {
  const bool may_collide = !evaluator.delayed() && !has_one_name(arg, evaluator.features());
  std::vector<EvalSeries> pending;
  TRY_VOID(evaluator.stream(arg, grid, [&](EvalSeries&& series) -> Outcome<> {
    change(series.column);
    if (series.column.empty()) return {};
    evaluator.drop_name(series);
    if (!may_collide) return sink(std::move(series));
    pending.push_back(std::move(series));
    return {};
  }));
  return may_collide ? evaluator.push_merged(std::move(pending), grid, false, sink) : Outcome<>{};
}

// Applies f(step, value) to the floats; histograms are left out.
template <typename F>
Outcome<> map_floats(Evaluator& evaluator, const Expr& arg, const Grid& grid, const Sink& sink, F&& f) {
  return map_series(evaluator, arg, grid, sink, [&](Column& column) {
    column.drop_histograms();
    for_each_bit(column.words(), column.word_count(),
                 [&](std::size_t i) { column.values()[i] = f(i, column.values()[i]); });
  });
}

Outcome<> stream_histogram_value(Evaluator& evaluator, const Call& call, HistogramFunction function, const Grid& grid,
                                 const Sink& sink) {
  return map_series(evaluator, *call.args[0], grid, sink, [&](Column& column) {
    Column out(grid.steps);
    if (column.any_histograms()) {
      for (std::size_t i = 0; i < grid.steps; ++i) {
        if (column.has_histogram(i)) out.set(i, function(*column.histogram(i)));
      }
    }
    column = std::move(out);
  });
}

Outcome<> stream_clamp(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string_view name = call.function->name;
  std::vector<double> low(grid.steps, -kInfinity), high(grid.steps, kInfinity);
  if (name == "clamp_max") {
    high = TRY_EVAL(evaluator.scalar(*call.args[1], grid));
  } else {
    low = TRY_EVAL(evaluator.scalar(*call.args[1], grid));
    if (name == "clamp") high = TRY_EVAL(evaluator.scalar(*call.args[2], grid));
  }
  return map_series(evaluator, *call.args[0], grid, sink, [&](Column& column) {
    column.drop_histograms();
    for (std::size_t i = 0; i < grid.steps; ++i) {
      if (!column.has_float(i)) continue;
      if (high[i] < low[i]) {
        column.clear(i);
      } else {
        column.values()[i] = go_max(low[i], go_min(high[i], column.values()[i]));
      }
    }
  });
}

Outcome<> stream_round(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  std::vector<double> nearest(grid.steps, 1);
  if (call.args.size() > 1) nearest = TRY_EVAL(evaluator.scalar(*call.args[1], grid));
  return map_floats(evaluator, *call.args[0], grid, sink, [&](std::size_t i, double value) {
    const double inverse = 1.0 / nearest[i];  // fewer rounding surprises than dividing by `nearest`
    return std::floor(value * inverse + 0.5) / inverse;
  });
}

// timestamp() and start_timestamp() of a plain selector look at the sample itself, of anything else at the step.
Outcome<> stream_timestamp(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string_view name = call.function->name;
  const Expr& arg = *call.args[0];
  const bool start = name == "start_timestamp";
  if (start && (arg.kind != Kind::vector_selector || !evaluator.features().use_start_timestamps)) {
    return evaluator.stream(arg, grid, [](EvalSeries&&) -> Outcome<> { return {}; });
  }
  if (const auto* selector = arg.as<VectorSelector>()) {
    const bool may_collide = !evaluator.delayed() && !has_one_name(arg, evaluator.features());
    std::vector<EvalSeries> pending;
    TRY_VOID(stream_selector(evaluator, *selector, grid, start ? SelectorValue::start_time : SelectorValue::time, name,
                             [&](EvalSeries&& series) -> Outcome<> {
                               evaluator.drop_name(series);
                               if (!may_collide) return sink(std::move(series));
                               pending.push_back(std::move(series));
                               return {};
                             }));
    return may_collide ? evaluator.push_merged(std::move(pending), grid, false, sink) : Outcome<>{};
  }
  return map_series(evaluator, arg, grid, sink, [&](Column& column) {
    Column out(grid.steps);
    for (std::size_t i = 0; i < grid.steps; ++i) {
      if (column.has(i)) out.set(i, static_cast<double>(grid.time(i)) / 1000);
    }
    column = std::move(out);
  });
}

Outcome<> stream_calendar(Evaluator& evaluator, const Call& call, CalendarFunction function, const Grid& grid,
                          const Sink& sink) {
  if (!call.args.empty()) {
    return map_floats(evaluator, *call.args[0], grid, sink,
                      [&](std::size_t, double value) { return function(to_unix_seconds(value)); });
  }
  EvalSeries series{evaluator.keep({}), false, Column(grid.steps)};
  for (std::size_t i = 0; i < grid.steps; ++i) series.column.set(i, function(grid.time(i) / 1000));
  return sink(std::move(series));
}

Outcome<> stream_absent(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  StepSet present(grid.steps);
  TRY_VOID(evaluator.stream(*call.args[0], grid, [&](EvalSeries&& series) -> Outcome<> {
    series.column.add_presence(present);
    return {};
  }));
  EvalSeries absent{evaluator.keep(labels_of_absent(*call.args[0])), false, Column(grid.steps)};
  for (std::size_t i = 0; i < grid.steps; ++i) {
    if (!present.test(i)) absent.column.set(i, 1);
  }
  if (absent.column.empty()) return {};
  return sink(std::move(absent));
}

// Natural order: runs of digits compare as numbers.
int compare_natural(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const auto chunk = [&](std::string_view text, std::size_t from) {
      std::size_t to = from + 1;
      while (to < text.size() && is_digit(text[to]) == is_digit(text[from])) ++to;
      return text.substr(from, to - from);
    };
    const std::string_view x = chunk(a, i), y = chunk(b, j);
    i += x.size();
    j += y.size();
    if (is_digit(x[0]) && is_digit(y[0])) {
      const auto digits = [](std::string_view text) {
        const auto first = text.find_first_not_of('0');
        return first == std::string_view::npos ? std::string_view() : text.substr(first);
      };
      const std::string_view m = digits(x), n = digits(y);
      if (m.size() != n.size()) return m.size() < n.size() ? -1 : 1;
      if (const int order = m.compare(n); order != 0) return order;
    } else if (const int order = x.compare(y); order != 0) {
      return order;
    }
  }
  if (i < a.size() || j < b.size()) return i < a.size() ? 1 : -1;
  return a.compare(b);
}

Outcome<> stream_sort(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string_view name = call.function->name;
  const bool by_label = name.starts_with("sort_by_label"), descending = name.ends_with("desc");
  if (grid.steps > 1) evaluator.annotations().add(annotation::sort_in_range_query(call.position));
  if (grid.steps > 1) {
    return evaluator.stream(*call.args[0], grid, [&](EvalSeries&& series) -> Outcome<> {
      if (!by_label) series.column.drop_histograms();
      if (series.column.empty()) return {};
      return sink(std::move(series));
    });
  }
  Batch batch = TRY_EVAL(evaluator.collect(*call.args[0], grid));
  if (by_label) {
    std::vector<std::string_view> names;
    for (std::size_t i = 1; i < call.args.size(); ++i)
      names.push_back(unwrap(*call.args[i]).as<StringLiteral>()->value);
    std::ranges::stable_sort(batch.series, [&](const EvalSeries& a, const EvalSeries& b) {
      int order = 0;
      for (std::string_view label : names) {
        order = compare_natural(a.labels->get(label), b.labels->get(label));
        if (order != 0) break;
      }
      if (order == 0) {
        const auto by_labels = *a.labels <=> *b.labels;
        order = by_labels < 0 ? -1 : by_labels > 0 ? 1 : 0;
      }
      return descending ? order > 0 : order < 0;
    });
  } else {
    std::erase_if(batch.series, [](const EvalSeries& series) { return !series.column.has_float(0); });
    std::ranges::stable_sort(batch.series, [&](const EvalSeries& a, const EvalSeries& b) {
      const double x = a.column.value(0), y = b.column.value(0);
      if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);  // NaN last
      return descending ? x > y : x < y;
    });
  }
  for (EvalSeries& series : batch.series) TRY_VOID(sink(std::move(series)));
  return {};
}

}  // namespace

Labels labels_of_absent(const Expr& arg) {
  const Expr& inner = unwrap(arg);
  const VectorSelector* selector = inner.as<VectorSelector>();
  if (const auto* matrix = inner.as<MatrixSelector>()) selector = matrix->selector.get();
  if (selector == nullptr) return {};
  Labels labels;
  std::vector<std::string_view> seen;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == kMetricName) continue;
    if (matcher.type() == Matcher::Type::equal && std::ranges::find(seen, matcher.name()) == seen.end()) {
      labels.set(matcher.name(), matcher.value());
      seen.push_back(matcher.name());
    } else {
      labels.erase(matcher.name());
    }
  }
  return labels;
}

Outcome<std::vector<double>> scalar_function(Evaluator& evaluator, const Call& call, const Grid& grid) {
  const std::string_view name = call.function->name;
  std::vector<double> out(grid.steps, kNaN);
  if (name == "time") {
    for (std::size_t i = 0; i < grid.steps; ++i) out[i] = static_cast<double>(grid.time(i)) / 1000;
    return out;
  }
  if (name == "pi") return std::vector<double>(grid.steps, std::numbers::pi);
  if (name == "max_of" || name == "min_of") {
    const auto [a, b] = TRY_EVAL(evaluator.scalars(*call.args[0], *call.args[1], grid));
    for (std::size_t i = 0; i < grid.steps; ++i) out[i] = name == "max_of" ? go_max(a[i], b[i]) : go_min(a[i], b[i]);
    return out;
  }
  if (name == "scalar") {
    // The only float at a step, NaN when there is none or are several.
    std::vector<std::uint8_t> found(grid.steps);
    TRY_VOID(evaluator.stream(*call.args[0], grid, [&](EvalSeries&& series) -> Outcome<> {
      for_each_bit(series.column.words(), series.column.word_count(), [&](std::size_t i) {
        out[i] = found[i] == 0 ? series.column.value(i) : kNaN;
        found[i] = 1;
      });
      return {};
    }));
    return out;
  }
  return execution_error(fmt::format("function {} is not implemented", name));
}

Outcome<> stream_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string_view name = call.function->name;
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    if (is_range_argument(*call.args[i])) return stream_range_call(evaluator, call, i, grid, sink);
  }
  if (const FloatFunction function = find_named(kFloatFunctions, name)) {
    return map_floats(evaluator, *call.args[0], grid, sink,
                      [function](std::size_t, double value) { return function(value); });
  }
  if (const HistogramFunction function = find_named(kHistogramFunctions, name)) {
    return stream_histogram_value(evaluator, call, function, grid, sink);
  }
  if (const CalendarFunction function = find_calendar_function(name))
    return stream_calendar(evaluator, call, function, grid, sink);
  if (name.starts_with("clamp")) return stream_clamp(evaluator, call, grid, sink);
  if (name == "round") return stream_round(evaluator, call, grid, sink);
  if (name == "timestamp" || name == "start_timestamp") return stream_timestamp(evaluator, call, grid, sink);
  if (name == "absent") return stream_absent(evaluator, call, grid, sink);
  if (name.starts_with("sort")) return stream_sort(evaluator, call, grid, sink);
  if (name.starts_with("label_")) return stream_label_function(evaluator, call, grid, sink);
  if (name == "info") return stream_info(evaluator, call, grid, sink);
  if (name.starts_with("histogram_")) return stream_histogram_function(evaluator, call, grid, sink);
  if (name == "vector") {
    const auto values = TRY_EVAL(evaluator.scalar(*call.args[0], grid));
    EvalSeries series{evaluator.keep({}), false, Column(grid.steps)};
    for (std::size_t i = 0; i < grid.steps; ++i) series.column.set(i, values[i]);
    return sink(std::move(series));
  }
  return execution_error(fmt::format("function {} is not implemented", name));
}

}  // namespace tocayo::promql::eval
