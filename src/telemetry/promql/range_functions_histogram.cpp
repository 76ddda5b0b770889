// SPDX-License-Identifier: Apache-2.0
// Increase, sum and average of native histograms over a window.
#include <algorithm>

#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;
using metrics::HistogramSum;
using metrics::ResetHint;

void note_reconciled(const RangeInput& in, HistogramOperation operation) {
  in.annotations->add(annotation::mismatched_custom_buckets(in.position, operation));
}

void note_mixed_schemas(const RangeInput& in) {
  in.annotations->add(annotation::mixed_exponential_custom_histograms(in.name(), in.position));
}

// Hints met while aggregating: a reset beside a not_reset makes the sum doubtful.
struct HintsSeen {
  bool reset = false, not_reset = false;
  void see(ResetHint hint) {
    reset = reset || hint == ResetHint::reset;
    not_reset = not_reset || hint == ResetHint::not_reset;
  }
};

// What the window of an aggregation has to say; nothing when it has no result.
void note_aggregation(const RangeInput& in, const HintsSeen& hints, bool reconciled) {
  if (hints.reset && hints.not_reset)
    in.annotations->add(annotation::counter_reset_collision(in.position, HistogramOperation::aggregation));
  if (reconciled) note_reconciled(in, HistogramOperation::aggregation);
}

}  // namespace

bool add_annotated(FloatHistogram& into, const FloatHistogram& other, const RangeInput& in) {
  const auto outcome = into.add(other);
  if (outcome.incompatible) {
    note_mixed_schemas(in);
    return false;
  }
  if (outcome.bounds_reconciled) note_reconciled(in, HistogramOperation::addition);
  return true;
}

std::shared_ptr<FloatHistogram> histogram_increase(const RangeInput& in, std::size_t step, bool counter) {
  const auto points = in.histograms(step);
  const auto times = in.histogram_times(step);
  const std::size_t base = in.histogram_begin[step];
  const auto start_reset = [&](std::size_t i) {  // between points i - 1 and i
    return is_start_time_reset(in.histogram_start(base + i - 1), times[i - 1], in.histogram_start(base + i), times[i]);
  };
  const FloatHistogram& last = *points.back();
  const bool gauge_at_ends = points.front()->hint == ResetHint::gauge || last.hint == ResetHint::gauge;
  if (counter && gauge_at_ends) in.annotations->add(annotation::native_histogram_not_counter(in.name(), in.position));

  // After a reset right behind the first sample, that one counts as empty and may have any layout.
  FloatHistogram empty;
  const FloatHistogram* first = points.front().get();
  if (counter && (start_reset(1) || points[1]->detect_reset(*first))) {
    empty.schema = points[1]->schema;
    empty.custom_values = points[1]->custom_values;
    first = &empty;
  }
  const bool custom = first->uses_custom_buckets();
  if (last.uses_custom_buckets() != custom) {
    note_mixed_schemas(in);
    return nullptr;
  }
  std::int32_t schema = std::min(last.schema, first->schema);
  if (counter) {
    for (const auto& point : points.subspan(1, points.size() - 2)) {
      if (point->hint == ResetHint::gauge)
        in.annotations->add(annotation::native_histogram_not_counter(in.name(), in.position));
      schema = std::min(schema, point->schema);
      if (point->uses_custom_buckets() != custom) {
        note_mixed_schemas(in);
        return nullptr;
      }
    }
  }

  auto increase = std::make_shared<FloatHistogram>(last);
  if (schema < increase->schema) {
    if (!increase->reduce_resolution(schema)) return nullptr;
    increase->hint = ResetHint::unknown;
  }
  if (increase->subtract(*first).bounds_reconciled) note_reconciled(in, HistogramOperation::subtraction);
  if (counter) {
    bool overlap = false;
    const FloatHistogram* previous = first;
    for (std::size_t i = 1; i < points.size(); ++i) {
      if (!overlap &&
          start_time_overlaps(in.histogram_start(base + i - 1), times[i - 1], in.histogram_start(base + i))) {
        in.annotations->add(annotation::start_time_overlap(in.name(), in.position));
        overlap = true;
      }
      if (start_reset(i) || points[i]->detect_reset(*previous)) {
        const auto outcome = increase->add(*previous);
        if (outcome.incompatible) {
          note_mixed_schemas(in);
          return nullptr;
        }
        if (outcome.bounds_reconciled) note_reconciled(in, HistogramOperation::addition);
      }
      previous = points[i].get();
    }
  } else if (points.front()->hint != ResetHint::gauge || last.hint != ResetHint::gauge) {
    in.annotations->add(annotation::native_histogram_not_gauge(in.name(), in.position));
  }
  increase->hint = ResetHint::gauge;
  increase->compact();
  return increase;
}

metrics::HistogramPtr sum_of_histograms(const RangeInput& in, std::size_t step) {
  const auto points = in.histograms(step);
  HintsSeen hints;
  bool reconciled = false;
  hints.see(points[0]->hint);
  HistogramSum sum(*points[0]);
  for (const auto& point : points.subspan(1)) {
    hints.see(point->hint);
    const auto outcome = sum.add(*point);
    if (outcome.incompatible) {
      note_mixed_schemas(in);
      return nullptr;
    }
    reconciled = reconciled || outcome.bounds_reconciled;
  }
  note_aggregation(in, hints, reconciled);
  return std::make_shared<FloatHistogram>(sum.result());
}

metrics::HistogramPtr average_of_histograms(const RangeInput& in, std::size_t step) {
  const auto points = in.histograms(step);
  HintsSeen hints;
  bool reconciled = false, incremental = false;
  hints.see(points[0]->hint);
  HistogramSum sum(*points[0]);  // once incremental: the mean so far
  double count = 1;
  for (const auto& point : points.subspan(1)) {
    hints.see(point->hint);
    count += 1;
    if (!incremental) {
      HistogramSum next = sum;
      const auto outcome = next.add(*point);
      if (outcome.incompatible) {
        note_mixed_schemas(in);
        return nullptr;
      }
      reconciled = reconciled || outcome.bounds_reconciled;
      if (!next.has_overflow()) {
        sum = std::move(next);
        continue;
      }
      incremental = true;
      sum.divide(count - 1);
    }
    sum.multiply((count - 1) / count);
    FloatHistogram share = *point;
    share.divide(count);
    const auto outcome = sum.add(share);
    if (outcome.incompatible) {
      note_mixed_schemas(in);
      return nullptr;
    }
    reconciled = reconciled || outcome.bounds_reconciled;
  }
  note_aggregation(in, hints, reconciled);
  if (!incremental) sum.divide(count);
  return std::make_shared<FloatHistogram>(sum.result());
}

}  // namespace tocayo::promql::eval
