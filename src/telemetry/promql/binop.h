// SPDX-License-Identifier: Apache-2.0
// Arithmetic and comparison of single elements, and whole columns of floats. Private to the room.
#pragma once

#include "promql/eval.h"

namespace tocayo::promql::eval {

// What an operation on two elements has to tell; of several at one step the last one counts.
enum class BinaryNote : unsigned char {
  none,
  incompatible_float_float,  // the operator does not take this pair of types
  incompatible_float_histogram,
  incompatible_histogram_float,
  incompatible_histogram_histogram,
  incompatible_layout,  // exponential with custom buckets
  collision,            // reset met not_reset
  reconciled,           // custom bounds differed
};

struct ElementResult {
  double value = 0;
  metrics::HistogramPtr histogram;
  bool keep = true;   // comparisons: whether it holds
  bool valid = true;  // false: no result, see note
  BinaryNote note = BinaryNote::none;
};

struct Element {
  double value = 0;
  const metrics::HistogramPtr* histogram = nullptr;  // null for a float
};
inline Element element_at(const Column& column, std::size_t i) {
  if (column.has_histogram(i)) return {0, &column.histogram(i)};
  return {column.value(i), nullptr};
}

ElementResult binary_element(BinaryOp op, const Element& lhs, const Element& rhs);

// The notes of all steps as annotations.
class NoteCollector {
 public:
  explicit NoteCollector(std::size_t steps) : notes_(steps) {}
  void set(std::size_t step, BinaryNote note) { notes_[step] = note; }
  void raise(BinaryOp op, PositionRange position, Annotations& annotations) const;

 private:
  std::vector<BinaryNote> notes_;
};

// op does away with the metric's name.
inline bool changes_metric(BinaryOp op) { return op <= BinaryOp::atan2; }

// out[i] = a[i] op b[i] for i in [0, count); arithmetic operators only.
void arithmetic_columns(BinaryOp op, const double* a, const double* b, double* out, std::size_t count);
// Whether a op b holds; comparisons only.
bool compare(BinaryOp op, double a, double b);

// binop_join.cpp: two vectors.
Outcome<> stream_vector_binary(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink);
Outcome<> stream_set_operation(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink);

}  // namespace tocayo::promql::eval
