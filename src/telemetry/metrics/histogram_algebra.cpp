// SPDX-License-Identifier: Apache-2.0
// Adding, subtracting and comparing native histograms whose buckets need not agree. Each side of a histogram is turned
// into a list of (index, count) cells, the lists are brought to one schema and merged; when both layouts are equal,
// counts are added in place.
#include <algorithm>
#include <cmath>
#include <limits>

#include "metrics/histogram.h"

namespace tocayo::metrics {

namespace {

struct Cell {
  std::int64_t index;  // wide, so that no span list of a client can overflow it
  double count;
  double error;  // compensation, 0 where there is none
};
using Cells = std::vector<Cell>;

// Buckets of one side with ascending index. `errors` may be empty.
Cells to_cells(std::span<const Span> spans, std::span<const double> buckets, std::span<const double> errors = {}) {
  Cells cells;
  cells.reserve(buckets.size());
  std::int64_t index = 0;
  std::size_t i = 0;
  for (const Span& span : spans) {
    index += span.offset;
    for (std::uint32_t k = 0; k < span.length && i < buckets.size(); ++k, ++i, ++index) {
      cells.push_back({index, buckets[i], i < errors.size() ? errors[i] : 0});
    }
  }
  return cells;
}

void from_cells(const Cells& cells, std::vector<Span>& spans, std::vector<double>& buckets,
                std::vector<double>* errors) {
  spans.clear();
  buckets.clear();
  buckets.reserve(cells.size());
  if (errors != nullptr) {
    errors->clear();
    errors->reserve(cells.size());
  }
  std::int64_t next = 0;
  for (const Cell& cell : cells) {
    if (spans.empty() || cell.index != next) {
      spans.push_back({static_cast<std::int32_t>(cell.index - next), 1});
    } else {
      ++spans.back().length;
    }
    next = cell.index + 1;
    buckets.push_back(cell.count);
    if (errors != nullptr) errors->push_back(cell.error);
  }
}

// Merges cells that fall into one bucket of a lower schema.
void reduce_cells(Cells& cells, std::int32_t from, std::int32_t to) {
  if (from <= to) return;
  std::size_t out = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::int64_t index = ((cells[i].index - 1) >> (from - to)) + 1;
    if (out > 0 && cells[out - 1].index == index) {
      compensated_add(cells[i].count, cells[out - 1].count, cells[out - 1].error);
      cells[out - 1].error += cells[i].error;
    } else {
      cells[out] = cells[i];
      cells[out++].index = index;
    }
  }
  cells.resize(out);
}

// The same without compensation, as plain adding of histograms does it.
void reduce_plain(Cells& cells, std::int32_t from, std::int32_t to) {
  reduce_cells(cells, from, to);
  for (Cell& cell : cells) {
    cell.count += cell.error;
    cell.error = 0;
  }
}

Cells merge_cells(const Cells& a, const Cells& b, double sign) {
  Cells out;
  out.reserve(std::max(a.size(), b.size()));
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (j == b.size() || (i < a.size() && a[i].index < b[j].index)) {
      out.push_back(a[i++]);
    } else if (i == a.size() || b[j].index < a[i].index) {
      out.push_back({b[j].index, sign * b[j].count, sign * b[j].error});
      ++j;
    } else {
      Cell cell = a[i++];
      compensated_add(sign * b[j].count, cell.count, cell.error);
      if (b[j].error != 0) compensated_add(sign * b[j].error, cell.count, cell.error);
      ++j;
      out.push_back(cell);
    }
  }
  return out;
}

// Drops the leading cells that a zero bucket of this threshold covers.
void drop_covered(Cells& cells, std::int32_t schema, double threshold) {
  if (schema == kCustomBucketsSchema || threshold == 0) return;
  auto first =
      std::ranges::find_if(cells, [&](const Cell& cell) { return bucket_bound(cell.index, schema) > threshold; });
  cells.erase(cells.begin(), first);
}

// Whether a zero bucket of this threshold covers no bucket at all.
bool covers_none(std::span<const Span> spans, std::int32_t schema, double threshold) {
  return spans.empty() || threshold == 0 || bucket_bound(spans[0].offset, schema) > threshold;
}

struct ZeroBucket {
  double count;
  double error;
  double threshold;
};

// What the zero bucket becomes when it has to reach to `threshold` (≥ its own): buckets inside are counted in, and a
// populated bucket that contains the threshold moves it up to its end.
ZeroBucket widen_zero(const FloatHistogram& h, double zero_error, std::span<const double> positive_errors,
                      std::span<const double> negative_errors, double threshold) {
  if (threshold == h.zero_threshold) return {h.zero_count, zero_error, threshold};
  while (true) {
    ZeroBucket zero{h.zero_count, zero_error, threshold};
    bool again = false;
    for (bool positive : {true, false}) {
      const auto errors = positive ? positive_errors : negative_errors;
      BucketCursor cursor(h, positive ? BucketCursor::Order::positive : BucketCursor::Order::negative);
      for (std::size_t i = 0; cursor.next(); ++i) {
        const double near = std::fabs(positive ? cursor.bucket().lower : cursor.bucket().upper);
        const double far = std::fabs(positive ? cursor.bucket().upper : cursor.bucket().lower);
        if (near >= zero.threshold) break;
        compensated_add(cursor.bucket().count, zero.count, zero.error);
        if (i < errors.size()) compensated_add(errors[i], zero.count, zero.error);
        if (far > zero.threshold) {
          if (cursor.bucket().count != 0) {
            zero.threshold = far;
            if (!positive) again = true;  // positive buckets were judged by the smaller threshold
          }
          break;
        }
      }
    }
    if (!again) return zero;
    threshold = zero.threshold;
  }
}

void remove_inside_zero(std::vector<Span>& spans, std::vector<double>& buckets, std::vector<double>* errors,
                        std::int32_t schema, double threshold) {
  Cells cells =
      to_cells(spans, buckets, errors != nullptr ? std::span<const double>(*errors) : std::span<const double>());
  std::erase_if(cells, [&](const Cell& cell) {
    return bucket_bound(cell.index - 1, schema) < threshold || (cell.count == 0 && cell.error == 0);
  });
  from_cells(cells, spans, buckets, errors);
}

// Compensation of a running sum; null pointers stand for plain arithmetic.
struct Errors {
  double* zero = nullptr;
  std::vector<double>* positive = nullptr;
  std::vector<double>* negative = nullptr;
};

std::span<const double> view(const std::vector<double>* values) {
  return values != nullptr ? std::span<const double>(*values) : std::span<const double>();
}

// Finds the smallest zero bucket both can have; `h` is changed to it, the other's zero count under it is returned.
ZeroBucket reconcile_zero(FloatHistogram& h, Errors errors, const FloatHistogram& other) {
  ZeroBucket zero{other.zero_count, 0, other.zero_threshold};
  while (zero.threshold < h.zero_threshold || zero.threshold > h.zero_threshold) {
    if (h.zero_threshold > zero.threshold) zero = widen_zero(other, 0, {}, {}, h.zero_threshold);
    if (zero.threshold > h.zero_threshold) {
      const ZeroBucket wider = widen_zero(h, errors.zero != nullptr ? *errors.zero : 0, view(errors.positive),
                                          view(errors.negative), zero.threshold);
      h.zero_count = wider.count;
      h.zero_threshold = wider.threshold;
      if (errors.zero != nullptr) *errors.zero = wider.error;
      remove_inside_zero(h.positive_spans, h.positive_buckets, errors.positive, h.schema, h.zero_threshold);
      remove_inside_zero(h.negative_spans, h.negative_buckets, errors.negative, h.schema, h.zero_threshold);
    }
  }
  return zero;
}

// The hint of a sum. True when reset and not_reset met.
bool combine_hints(ResetHint& mine, ResetHint other) {
  if (mine == other || mine == ResetHint::gauge) return false;
  if (other == ResetHint::gauge) {
    mine = ResetHint::gauge;
    return false;
  }
  const bool collision = mine != ResetHint::unknown && other != ResetHint::unknown;
  mine = ResetHint::unknown;
  return collision;
}

std::vector<double> common_bounds(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  std::ranges::set_intersection(a, b, std::back_inserter(out));
  return out;
}

// Counts of an NHCB per bucket of coarser bounds, a subset of its own.
void map_to_bounds(const Cells& cells, const std::vector<double>& own, const std::vector<double>& bounds, double sign,
                   Cells& into) {
  std::size_t target = 0;
  for (const Cell& cell : cells) {
    std::size_t slot = bounds.size();
    if (cell.index >= 0 && static_cast<std::size_t>(cell.index) < own.size()) {
      const double bound = own[static_cast<std::size_t>(cell.index)];
      while (target < bounds.size() && bounds[target] < bound) ++target;
      slot = target;
    }
    compensated_add(sign * cell.count, into[slot].count, into[slot].error);
    if (cell.error != 0) compensated_add(sign * cell.error, into[slot].count, into[slot].error);
  }
}

Cells empty_cells(std::size_t count) {
  Cells cells(count);
  for (std::size_t i = 0; i < count; ++i) cells[i] = {static_cast<std::int64_t>(i), 0, 0};
  return cells;
}

void combine_custom(FloatHistogram& h, Errors errors, const FloatHistogram& other, double sign, bool& reconciled) {
  const Cells a = to_cells(h.positive_spans, h.positive_buckets, view(errors.positive));
  const Cells b = to_cells(other.positive_spans, other.positive_buckets);
  if (h.custom_values == other.custom_values) {
    from_cells(merge_cells(a, b, sign), h.positive_spans, h.positive_buckets, errors.positive);
    return;
  }
  reconciled = true;
  std::vector<double> bounds = common_bounds(h.custom_values, other.custom_values);
  Cells cells = empty_cells(bounds.size() + 1);
  map_to_bounds(a, h.custom_values, bounds, 1, cells);
  map_to_bounds(b, other.custom_values, bounds, sign, cells);
  std::erase_if(cells, [](const Cell& cell) { return cell.count == 0 && cell.error == 0; });
  from_cells(cells, h.positive_spans, h.positive_buckets, errors.positive);
  h.custom_values = std::move(bounds);
}

void combine_side(std::vector<Span>& spans, std::vector<double>& buckets, std::vector<double>* errors,
                  std::int32_t schema, std::int32_t own_schema, const std::vector<Span>& other_spans,
                  const std::vector<double>& other_buckets, std::int32_t other_schema, double threshold, double sign) {
  if (own_schema == other_schema && spans == other_spans && buckets.size() == other_buckets.size() &&
      covers_none(spans, schema, threshold)) {
    if (errors == nullptr) {
      for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += sign * other_buckets[i];
    } else {
      for (std::size_t i = 0; i < buckets.size(); ++i)
        compensated_add(sign * other_buckets[i], buckets[i], (*errors)[i]);
    }
    return;
  }
  Cells a = to_cells(spans, buckets, view(errors));
  Cells b = to_cells(other_spans, other_buckets);
  if (errors == nullptr) {
    reduce_plain(a, own_schema, schema);
    reduce_plain(b, other_schema, schema);
  } else {
    reduce_cells(a, own_schema, schema);
    reduce_cells(b, other_schema, schema);
  }
  drop_covered(b, schema, threshold);
  Cells merged = merge_cells(a, b, sign);
  if (errors == nullptr) {
    for (Cell& cell : merged) cell.error = 0;
  }
  from_cells(merged, spans, buckets, errors);
}

CombineOutcome combine(FloatHistogram& h, Errors errors, double* count_error, double* sum_error,
                       const FloatHistogram& other, double sign) {
  CombineOutcome outcome;
  if (h.uses_custom_buckets() != other.uses_custom_buckets()) {
    outcome.incompatible = true;
    return outcome;
  }
  outcome.counter_reset_collision = combine_hints(h.hint, other.hint);
  if (!h.uses_custom_buckets()) {
    const ZeroBucket zero = reconcile_zero(h, errors, other);
    if (errors.zero != nullptr) {
      compensated_add(sign * zero.count, h.zero_count, *errors.zero);
      compensated_add(sign * zero.error, h.zero_count, *errors.zero);
    } else {
      h.zero_count += sign * zero.count;
    }
  }
  if (count_error != nullptr) {
    compensated_add(sign * other.count, h.count, *count_error);
    compensated_add(sign * other.sum, h.sum, *sum_error);
  } else {
    h.count += sign * other.count;
    h.sum += sign * other.sum;
  }
  if (h.uses_custom_buckets()) {
    combine_custom(h, errors, other, sign, outcome.bounds_reconciled);
    return outcome;
  }
  const std::int32_t own = h.schema;
  h.schema = std::min(h.schema, other.schema);
  combine_side(h.positive_spans, h.positive_buckets, errors.positive, h.schema, own, other.positive_spans,
               other.positive_buckets, other.schema, h.zero_threshold, sign);
  combine_side(h.negative_spans, h.negative_buckets, errors.negative, h.schema, own, other.negative_spans,
               other.negative_buckets, other.schema, h.zero_threshold, sign);
  return outcome;
}

void compact_side(std::vector<Span>& spans, std::vector<double>& buckets, std::size_t max_empty) {
  const bool populated = std::ranges::none_of(buckets, [](double count) { return count == 0; });
  const bool tidy =
      populated && (spans.size() <= 1 || std::ranges::none_of(std::span(spans).subspan(1), [&](const Span& span) {
                      return span.length == 0 || static_cast<std::size_t>(std::max(span.offset, 0)) <= max_empty;
                    }));
  if (tidy && (spans.empty() || spans[0].length > 0)) return;
  Cells cells = to_cells(spans, buckets);
  std::erase_if(cells, [](const Cell& cell) { return cell.count == 0; });
  if (max_empty > 0) {
    Cells filled;
    for (const Cell& cell : cells) {
      if (!filled.empty()) {
        const auto gap = static_cast<std::size_t>(cell.index - filled.back().index - 1);
        if (gap <= max_empty) {
          for (std::int64_t index = filled.back().index + 1; index < cell.index; ++index)
            filled.push_back({index, 0, 0});
        }
      }
      filled.push_back(cell);
    }
    cells = std::move(filled);
  }
  from_cells(cells, spans, buckets, nullptr);
}

// Whether some populated bucket of `before` is missing or larger than in `now`.
bool side_shrank(const Cells& before, const Cells& now) {
  std::size_t j = 0;
  for (const Cell& cell : before) {
    while (j < now.size() && now[j].index < cell.index) ++j;
    if (j < now.size() && now[j].index == cell.index) {
      if (now[j].count < cell.count) return true;
    } else if (cell.count != 0) {
      return true;
    }
  }
  return false;
}

bool buckets_shrank(std::span<const Span> spans_before, std::span<const double> before, std::span<const Span> spans_now,
                    std::span<const double> now, std::int32_t schema_before, std::int32_t schema_now,
                    double threshold) {
  if (schema_before == schema_now && std::ranges::equal(spans_before, spans_now) && before.size() == now.size() &&
      covers_none(spans_now, schema_now, threshold)) {
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] < before[i]) return true;
    }
    return false;
  }
  Cells old_cells = to_cells(spans_before, before);
  Cells cells = to_cells(spans_now, now);
  reduce_plain(old_cells, schema_before, schema_now);
  drop_covered(old_cells, schema_now, threshold);
  drop_covered(cells, schema_now, threshold);
  return side_shrank(old_cells, cells);
}

}  // namespace

void FloatHistogram::multiply(double factor) {
  zero_count *= factor;
  count *= factor;
  sum *= factor;
  for (double& bucket : positive_buckets) bucket *= factor;
  for (double& bucket : negative_buckets) bucket *= factor;
  if (factor < 0) hint = ResetHint::gauge;
}

void FloatHistogram::divide(double divisor) {
  zero_count /= divisor;
  count /= divisor;
  sum /= divisor;
  if (divisor == 0) {
    positive_spans.clear();
    negative_spans.clear();
    positive_buckets.clear();
    negative_buckets.clear();
    return;
  }
  for (double& bucket : positive_buckets) bucket /= divisor;
  for (double& bucket : negative_buckets) bucket /= divisor;
  if (divisor < 0) hint = ResetHint::gauge;
}

CombineOutcome FloatHistogram::add(const FloatHistogram& other) {
  return combine(*this, {}, nullptr, nullptr, other, 1);
}

CombineOutcome FloatHistogram::subtract(const FloatHistogram& other) {
  return combine(*this, {}, nullptr, nullptr, other, -1);
}

void FloatHistogram::compact(std::size_t max_empty) {
  compact_side(positive_spans, positive_buckets, max_empty);
  compact_side(negative_spans, negative_buckets, max_empty);
}

Result<> FloatHistogram::reduce_resolution(std::int32_t target) {
  if (uses_custom_buckets())
    return fail(ErrorKind::bad_input, "cannot reduce resolution when there are custom buckets");
  if (target == kCustomBucketsSchema)
    return fail(ErrorKind::bad_input, "cannot reduce resolution to custom buckets schema");
  if (target >= schema) {
    return fail(ErrorKind::bad_input,
                "cannot reduce resolution from schema " + std::to_string(schema) + " to " + std::to_string(target));
  }
  for (bool positive : {true, false}) {
    auto& spans = positive ? positive_spans : negative_spans;
    auto& buckets = positive ? positive_buckets : negative_buckets;
    Cells cells = to_cells(spans, buckets);
    reduce_plain(cells, schema, target);
    from_cells(cells, spans, buckets, nullptr);
  }
  schema = target;
  return {};
}

bool FloatHistogram::detect_reset(const FloatHistogram& previous) const {
  if (hint == ResetHint::reset) return true;
  if (hint == ResetHint::not_reset) return false;
  return shrank_since(previous);
}

bool FloatHistogram::shrank_since(const FloatHistogram& previous) const {
  if (count < previous.count) return true;
  if (uses_custom_buckets()) {
    if (!previous.uses_custom_buckets()) return true;
    if (custom_values != previous.custom_values) {
      const std::vector<double> bounds = common_bounds(custom_values, previous.custom_values);
      Cells now = empty_cells(bounds.size() + 1), before = now;
      map_to_bounds(to_cells(positive_spans, positive_buckets), custom_values, bounds, 1, now);
      map_to_bounds(to_cells(previous.positive_spans, previous.positive_buckets), previous.custom_values, bounds, 1,
                    before);
      return side_shrank(before, now);
    }
  }
  if (schema > previous.schema || zero_threshold < previous.zero_threshold) return true;
  if (!uses_custom_buckets()) {
    const ZeroBucket zero = widen_zero(previous, 0, {}, {}, zero_threshold);
    if (zero.threshold != zero_threshold || zero_count < zero.count) return true;
  }
  return buckets_shrank(previous.positive_spans, previous.positive_buckets, positive_spans, positive_buckets,
                        previous.schema, schema, zero_threshold) ||
         buckets_shrank(previous.negative_spans, previous.negative_buckets, negative_spans, negative_buckets,
                        previous.schema, schema, zero_threshold);
}

HistogramSum::HistogramSum(FloatHistogram first) : value_(std::move(first)) {
  positive_errors_.assign(value_.positive_buckets.size(), 0);
  negative_errors_.assign(value_.negative_buckets.size(), 0);
}

CombineOutcome HistogramSum::add(const FloatHistogram& other) {
  return combine(value_, {&zero_error_, &positive_errors_, &negative_errors_}, &count_error_, &sum_error_, other, 1);
}

void HistogramSum::multiply(double factor) {
  value_.multiply(factor);
  for (double* error : {&count_error_, &sum_error_, &zero_error_}) *error *= factor;
  for (double& error : positive_errors_) error *= factor;
  for (double& error : negative_errors_) error *= factor;
}

void HistogramSum::divide(double divisor) {
  value_.divide(divisor);
  for (double* error : {&count_error_, &sum_error_, &zero_error_}) *error /= divisor;
  if (divisor == 0) {
    positive_errors_.clear();
    negative_errors_.clear();
  }
  for (double& error : positive_errors_) error /= divisor;
  for (double& error : negative_errors_) error /= divisor;
}

FloatHistogram HistogramSum::result() const {
  FloatHistogram out = value_;
  out.count += count_error_;
  out.sum += sum_error_;
  out.zero_count += zero_error_;
  for (std::size_t i = 0; i < out.positive_buckets.size(); ++i) out.positive_buckets[i] += positive_errors_[i];
  for (std::size_t i = 0; i < out.negative_buckets.size(); ++i) out.negative_buckets[i] += negative_errors_[i];
  return out;
}

}  // namespace tocayo::metrics
