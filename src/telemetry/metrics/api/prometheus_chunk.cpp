// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/prometheus_chunk.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "metrics/histogram.h"

namespace tocayo::metrics::api {
namespace {

// Most significant bit first, as Prometheus' bstream.
class BitWriter {
 public:
  void bits(std::uint64_t value, int count) {
    while (count > 0) {
      if (free_ == 0) {
        out_.push_back('\0');
        free_ = 8;
      }
      const int take = std::min(count, free_);
      const auto part = static_cast<std::uint8_t>((value >> (count - take)) & ((1u << take) - 1));
      out_.back() = static_cast<char>(static_cast<std::uint8_t>(out_.back()) | (part << (free_ - take)));
      free_ -= take;
      count -= take;
    }
  }
  void byte(std::uint8_t value) { bits(value, 8); }
  void real(double value) { bits(std::bit_cast<std::uint64_t>(value), 64); }
  void uvarint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80));
    byte(static_cast<std::uint8_t>(value));
  }
  void varint(std::int64_t value) {
    uvarint((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
  }
  std::string take(std::size_t samples) {
    out_[0] = static_cast<char>(samples >> 8);
    out_[1] = static_cast<char>(samples & 0xff);
    return std::move(out_);
  }

 private:
  std::string out_ = std::string(2, '\0');  // the number of samples, big endian
  int free_ = 0;                            // bits of the last byte
};

// Whether `value` fits the two's complement of so many bits, in Prometheus' shifted range.
bool fits(std::int64_t value, int bits) {
  return -((std::int64_t{1} << (bits - 1)) - 1) <= value && value <= std::int64_t{1} << (bits - 1);
}

// Prefix code by size class: k ones and a zero, then the value in sizes[k] bits.
constexpr int kVarbitSizes[] = {0, 3, 6, 9, 12, 18, 25, 56};

void varbit(BitWriter& out, std::int64_t value) {
  if (value == 0) return out.bits(0, 1);
  for (int k = 1; k < 8; ++k) {
    if (!fits(value, kVarbitSizes[k])) continue;
    out.bits((1u << (k + 1)) - 2, k + 1);
    return out.bits(static_cast<std::uint64_t>(value), kVarbitSizes[k]);
  }
  out.byte(0xff);
  out.bits(static_cast<std::uint64_t>(value), 64);
}

void uvarbit(BitWriter& out, std::uint64_t value) {
  if (value == 0) return out.bits(0, 1);
  for (int k = 1; k < 8; ++k) {
    if (value >> kVarbitSizes[k] != 0) continue;
    out.bits((1u << (k + 1)) - 2, k + 1);
    return out.bits(value, kVarbitSizes[k]);
  }
  out.byte(0xff);
  out.bits(value, 64);
}

// A double against the one before.
struct XorValue {
  std::uint64_t last = 0;
  int leading = -1, trailing = 0;  // -1: no window yet

  void write(BitWriter& out, double value) {
    const std::uint64_t now = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t delta = now ^ std::exchange(last, now);
    if (delta == 0) return out.bits(0, 1);
    out.bits(1, 1);
    const int new_leading = std::min(std::countl_zero(delta), 31), new_trailing = std::countr_zero(delta);
    if (leading >= 0 && new_leading >= leading && new_trailing >= trailing) {
      out.bits(0, 1);
      return out.bits(delta >> trailing, 64 - leading - trailing);
    }
    leading = new_leading;
    trailing = new_trailing;
    const int significant = 64 - leading - trailing;
    out.bits(1, 1);
    out.bits(static_cast<std::uint64_t>(leading), 5);
    out.bits(static_cast<std::uint64_t>(significant) & 63, 6);  // 64 is written as 0
    out.bits(delta >> trailing, significant);
  }
};

PrometheusChunk xor_chunk(const SampleColumns& samples, std::size_t begin, std::size_t end) {
  BitWriter out;
  XorValue value;
  std::int64_t delta = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const TimestampMs time = samples.times[i];
    if (i == begin) {
      out.varint(time);
      out.real(samples.values[i]);
      value.last = std::bit_cast<std::uint64_t>(samples.values[i]);
      continue;
    }
    const std::int64_t step = time - samples.times[i - 1];
    if (i == begin + 1) {
      out.uvarint(static_cast<std::uint64_t>(step));
    } else {
      const std::int64_t change = step - delta;
      constexpr int kSizes[] = {14, 17, 20};
      int k = 0;
      while (k < 3 && !fits(change, kSizes[k])) ++k;
      if (change == 0) {
        out.bits(0, 1);
      } else if (k < 3) {
        out.bits((1u << (k + 2)) - 2, k + 2);
        out.bits(static_cast<std::uint64_t>(change), kSizes[k]);
      } else {
        out.bits(0b1111, 4);
        out.bits(static_cast<std::uint64_t>(change), 64);
      }
    }
    delta = step;
    value.write(out, samples.values[i]);
  }
  return {PrometheusChunk::Encoding::xor_floats, samples.times[begin], samples.times[end - 1], out.take(end - begin)};
}

void write_spans(BitWriter& out, const std::vector<Span>& spans) {
  uvarbit(out, spans.size());
  for (const Span& span : spans) {
    uvarbit(out, span.length);
    varbit(out, span.offset);
  }
}

void write_zero_threshold(BitWriter& out, double threshold) {
  if (threshold == 0) return out.byte(0);
  int exponent = 0;
  const double fraction = std::frexp(threshold, &exponent);
  if (fraction == 0.5 && exponent >= -242 && exponent <= 11) return out.byte(static_cast<std::uint8_t>(exponent + 243));
  out.byte(255);
  out.real(threshold);
}

// Multiples of 0.001 up to 33554.430 as one more than their thousandfold, others whole behind a zero bit.
void write_custom_bound(BitWriter& out, double bound) {
  const double scaled = bound * 1000;
  if (scaled >= 0 && scaled <= 33'554'430 && static_cast<double>(std::llround(scaled)) / 1000 == bound) {
    return uvarbit(out, static_cast<std::uint64_t>(std::llround(scaled)) + 1);
  }
  out.bits(0, 1);
  out.real(bound);
}

std::uint8_t header_of(ResetHint hint) {
  switch (hint) {
    case ResetHint::reset: return 0b1000'0000;
    case ResetHint::not_reset: return 0b0100'0000;
    case ResetHint::gauge: return 0b1100'0000;
    default: return 0;
  }
}

// A stale marker has no layout and no buckets.
const FloatHistogram& written_form(const FloatHistogram& histogram) {
  static const FloatHistogram stale = [] {
    FloatHistogram empty;
    empty.sum = kStaleNaN;
    return empty;
  }();
  return is_stale(histogram.sum) ? stale : histogram;
}

bool same_layout(const FloatHistogram& a, const FloatHistogram& b) {
  return a.schema == b.schema && a.zero_threshold == b.zero_threshold && a.positive_spans == b.positive_spans &&
         a.negative_spans == b.negative_spans && a.custom_values == b.custom_values;
}

// Whether `next` may follow `previous` in one chunk, whose reader takes every later sample as "not reset" (or, in a
// gauge chunk, as a gauge).
bool continues(const FloatHistogram& previous, const FloatHistogram& next) {
  if (is_stale(previous.sum) != is_stale(next.sum)) return false;
  if (is_stale(next.sum)) return true;
  if (!same_layout(previous, next)) return false;
  if (next.hint == ResetHint::gauge || previous.hint == ResetHint::gauge) return next.hint == previous.hint;
  if (next.hint == ResetHint::reset) return false;
  return next.hint == ResetHint::not_reset || !next.detect_reset(previous);
}

PrometheusChunk histogram_chunk(const SampleColumns& samples, std::size_t begin, std::size_t end) {
  BitWriter out;
  const FloatHistogram& first = written_form(*samples.histograms[begin]);
  out.byte(header_of(samples.histograms[begin]->hint));
  write_zero_threshold(out, first.zero_threshold);
  varbit(out, first.schema);
  write_spans(out, first.positive_spans);
  write_spans(out, first.negative_spans);
  if (first.uses_custom_buckets()) {
    uvarbit(out, first.custom_values.size());
    for (const double bound : first.custom_values) write_custom_bound(out, bound);
  }
  std::vector<XorValue> values;  // count, zero count, sum, positive buckets, negative buckets
  std::vector<double> row;
  std::int64_t delta = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const FloatHistogram& histogram = written_form(*samples.histograms[i]);
    row = {histogram.count, histogram.zero_count, histogram.sum};
    row.insert(row.end(), histogram.positive_buckets.begin(), histogram.positive_buckets.end());
    row.insert(row.end(), histogram.negative_buckets.begin(), histogram.negative_buckets.end());
    const TimestampMs time = samples.histogram_times[i];
    if (i == begin) {
      varbit(out, time);
      values.resize(row.size());
      for (std::size_t k = 0; k < row.size(); ++k) {
        out.real(row[k]);
        values[k].last = std::bit_cast<std::uint64_t>(row[k]);
      }
      continue;
    }
    const std::int64_t step = time - samples.histogram_times[i - 1];
    varbit(out, step - delta);
    delta = step;
    for (std::size_t k = 0; k < row.size(); ++k) values[k].write(out, row[k]);
  }
  return {PrometheusChunk::Encoding::float_histogram, samples.histogram_times[begin], samples.histogram_times[end - 1],
          out.take(end - begin)};
}

}  // namespace

Result<> each_chunk(const SampleColumns& samples, const std::function<Result<>(PrometheusChunk&&)>& sink) {
  const auto &times = samples.times, &histogram_times = samples.histogram_times;
  std::size_t f = 0, h = 0;
  while (f < times.size() || h < histogram_times.size()) {
    if (h == histogram_times.size() || (f < times.size() && times[f] < histogram_times[h])) {
      const TimestampMs until = h < histogram_times.size() ? histogram_times[h] : INT64_MAX;
      std::size_t end = f + 1;
      while (end < times.size() && end - f < kChunkSamples && times[end] < until) ++end;
      if (auto sent = sink(xor_chunk(samples, f, end)); !sent) return sent;
      f = end;
    } else {
      const TimestampMs until = f < times.size() ? times[f] : INT64_MAX;
      std::size_t end = h + 1;
      while (end < histogram_times.size() && end - h < kChunkSamples && histogram_times[end] < until &&
             continues(*samples.histograms[end - 1], *samples.histograms[end]))
        ++end;
      if (auto sent = sink(histogram_chunk(samples, h, end)); !sent) return sent;
      h = end;
    }
  }
  return {};
}

}  // namespace tocayo::metrics::api
