// SPDX-License-Identifier: Apache-2.0
#include "promql/binop.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;
using metrics::HistogramPtr;
using metrics::ResetHint;

template <typename F>
void each(const double* a, const double* b, double* out, std::size_t count, F f) {
  for (std::size_t i = 0; i < count; ++i) out[i] = f(a[i], b[i]);
}

double arithmetic(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::mod: return std::fmod(a, b);
    case BinaryOp::pow: return std::pow(a, b);
    default: return std::atan2(a, b);
  }
}

ElementResult invalid(BinaryNote note) { return {.keep = false, .valid = false, .note = note}; }

HistogramPtr compacted(std::shared_ptr<FloatHistogram> histogram) {
  histogram->compact();
  return histogram;
}

ElementResult scaled(const FloatHistogram& histogram, double factor) {
  auto result = std::make_shared<FloatHistogram>(histogram);
  result->multiply(factor);
  return {.histogram = compacted(std::move(result))};
}

ElementResult histogram_with_float(BinaryOp op, const FloatHistogram& lhs, double rhs) {
  if (op == BinaryOp::mul) return scaled(lhs, rhs);
  auto result = std::make_shared<FloatHistogram>(lhs);
  switch (op) {
    case BinaryOp::div: result->divide(rhs); break;
    case BinaryOp::trim_upper: result->trim(rhs, true); return {.histogram = std::move(result)};
    case BinaryOp::trim_lower: result->trim(rhs, false); return {.histogram = std::move(result)};
    default: return invalid(BinaryNote::incompatible_histogram_float);
  }
  return {.histogram = compacted(std::move(result))};
}

ElementResult histogram_with_histogram(BinaryOp op, const HistogramPtr& lhs, const HistogramPtr& rhs) {
  if (op == BinaryOp::eql || op == BinaryOp::neq) {
    return {.histogram = lhs, .keep = lhs->equals(*rhs) == (op == BinaryOp::eql)};
  }
  if (op != BinaryOp::add && op != BinaryOp::sub) return invalid(BinaryNote::incompatible_histogram_histogram);
  auto result = std::make_shared<FloatHistogram>(*lhs);
  const auto outcome = op == BinaryOp::add ? result->add(*rhs) : result->subtract(*rhs);
  if (outcome.incompatible) return invalid(BinaryNote::incompatible_layout);
  if (outcome.counter_reset_collision) return invalid(BinaryNote::collision);
  if (op == BinaryOp::sub) result->hint = ResetHint::gauge;
  return {.histogram = compacted(std::move(result)),
          .note = outcome.bounds_reconciled ? BinaryNote::reconciled : BinaryNote::none};
}

// A vector and a scalar; `swapped`: the scalar stands on the left.
Outcome<> stream_vector_scalar(Evaluator& evaluator, const BinaryExpr& expr, bool swapped, const Grid& grid,
                               const Sink& sink) {
  const Expr& vector = swapped ? *expr.rhs : *expr.lhs;
  const auto scalars = TRY_EVAL(evaluator.scalar(swapped ? *expr.lhs : *expr.rhs, grid));
  const bool drops = changes_metric(expr.op) || expr.return_bool;
  const bool may_collide = drops && !evaluator.delayed() && !has_one_name(vector, evaluator.features());
  const bool comparison = is_comparison(expr.op);
  NoteCollector notes(grid.steps);
  std::vector<EvalSeries> pending;
  TRY_VOID(evaluator.stream(vector, grid, [&](EvalSeries&& series) -> Outcome<> {
    Column& column = series.column;
    if (changes_metric(expr.op) && !column.any_histograms()) {
      double* values = column.values();
      arithmetic_columns(expr.op, swapped ? scalars.data() : values, swapped ? values : scalars.data(), values,
                         grid.steps);
    } else {
      Column out(grid.steps);
      for (std::size_t i = 0; i < grid.steps; ++i) {
        if (!column.has(i)) continue;
        const Element element = element_at(column, i), scalar{scalars[i], nullptr};
        const auto result =
            swapped ? binary_element(expr.op, scalar, element) : binary_element(expr.op, element, scalar);
        if (!result.valid) {
          notes.set(i, result.note);
        } else if (expr.return_bool) {
          out.set(i, result.keep ? 1 : 0);
        } else if (!result.keep) {
          continue;
        } else if (comparison) {
          out.copy_step(i, column, i);  // the vector's side, wherever it stands
        } else if (result.histogram) {
          out.set_histogram(i, result.histogram);
        } else {
          out.set(i, result.value);
        }
      }
      column = std::move(out);
      if (column.empty()) return {};
    }
    if (drops) evaluator.drop_name(series);
    if (!may_collide) return sink(std::move(series));
    pending.push_back(std::move(series));
    return {};
  }));
  notes.raise(expr.op, position_of(expr), evaluator.annotations());
  return may_collide ? evaluator.push_merged(std::move(pending), grid, false, sink) : Outcome<>{};
}

}  // namespace

void arithmetic_columns(BinaryOp op, const double* a, const double* b, double* out, std::size_t count) {
  switch (op) {
    case BinaryOp::add: return each(a, b, out, count, [](double x, double y) { return x + y; });
    case BinaryOp::sub: return each(a, b, out, count, [](double x, double y) { return x - y; });
    case BinaryOp::mul: return each(a, b, out, count, [](double x, double y) { return x * y; });
    case BinaryOp::div: return each(a, b, out, count, [](double x, double y) { return x / y; });
    default: return each(a, b, out, count, [op](double x, double y) { return arithmetic(op, x, y); });
  }
}

bool compare(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::eql: return a == b;
    case BinaryOp::neq: return a != b;
    case BinaryOp::gtr: return a > b;
    case BinaryOp::lss: return a < b;
    case BinaryOp::gte: return a >= b;
    default: return a <= b;
  }
}

double scalar_binary(BinaryOp op, double lhs, double rhs) {
  return is_comparison(op) ? (compare(op, lhs, rhs) ? 1 : 0) : arithmetic(op, lhs, rhs);
}

ElementResult binary_element(BinaryOp op, const Element& lhs, const Element& rhs) {
  if (lhs.histogram == nullptr && rhs.histogram == nullptr) {
    if (op == BinaryOp::trim_lower || op == BinaryOp::trim_upper) return invalid(BinaryNote::incompatible_float_float);
    if (is_comparison(op)) return {.value = lhs.value, .keep = compare(op, lhs.value, rhs.value)};
    return {.value = arithmetic(op, lhs.value, rhs.value)};
  }
  if (lhs.histogram == nullptr) {
    if (op == BinaryOp::mul) return scaled(**rhs.histogram, lhs.value);
    return invalid(BinaryNote::incompatible_float_histogram);
  }
  if (rhs.histogram == nullptr) return histogram_with_float(op, **lhs.histogram, rhs.value);
  return histogram_with_histogram(op, *lhs.histogram, *rhs.histogram);
}

void NoteCollector::raise(BinaryOp op, PositionRange position, Annotations& annotations) const {
  const std::set<BinaryNote> kinds(notes_.begin(), notes_.end());
  const std::string_view sign = to_string(op);
  const auto operation = op == BinaryOp::add ? HistogramOperation::addition : HistogramOperation::subtraction;
  for (BinaryNote note : kinds) {
    switch (note) {
      case BinaryNote::none: break;
      case BinaryNote::incompatible_float_float:
        annotations.add(annotation::incompatible_types_in_binop("float", sign, "float", position));
        break;
      case BinaryNote::incompatible_float_histogram:
        annotations.add(annotation::incompatible_types_in_binop("float", sign, "histogram", position));
        break;
      case BinaryNote::incompatible_histogram_float:
        annotations.add(annotation::incompatible_types_in_binop("histogram", sign, "float", position));
        break;
      case BinaryNote::incompatible_histogram_histogram:
        annotations.add(annotation::incompatible_types_in_binop("histogram", sign, "histogram", position));
        break;
      case BinaryNote::incompatible_layout:
        annotations.add(annotation::incompatible_bucket_layout_in_binop(sign, position));
        break;
      case BinaryNote::collision: annotations.add(annotation::counter_reset_collision(position, operation)); break;
      case BinaryNote::reconciled: annotations.add(annotation::mismatched_custom_buckets(position, operation)); break;
    }
  }
}

Outcome<> stream_binary(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink) {
  const bool left = type_of(*expr.lhs) == ValueType::vector, right = type_of(*expr.rhs) == ValueType::vector;
  if (left && right) {
    return is_set_operator(expr.op) ? stream_set_operation(evaluator, expr, grid, sink)
                                    : stream_vector_binary(evaluator, expr, grid, sink);
  }
  return stream_vector_scalar(evaluator, expr, right, grid, sink);
}

}  // namespace tocayo::promql::eval
