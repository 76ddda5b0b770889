// SPDX-License-Identifier: Apache-2.0
#include "metrics/hist_codec.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "metrics/codec.h"

namespace tocayo::metrics {
namespace {

enum Flag : std::uint8_t {
  kNewLayout = 1,
  kHintShift = 1,  // two bits
  kInteger = 8,
  kRawCounts = 16,  // counts as 8-byte xors instead of integer differences
  kStale = 32,
  kStart = 64,
};
constexpr std::uint64_t kMaxSpans = 1U << 16;
constexpr std::uint64_t kMaxBuckets = 1U << 20;
constexpr double kMaxExactInt = 9007199254740992.0;

std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }

void put(std::string& out, std::uint64_t value) {
  std::uint8_t buffer[10];
  out.append(reinterpret_cast<const char*>(buffer), put_varint(buffer, value));
}
void put_double(std::string& out, double value) { out.append(reinterpret_cast<const char*>(&value), 8); }
bool get_double(std::span<const std::uint8_t>& in, double& value) {
  if (in.size() < 8) return false;
  std::memcpy(&value, in.data(), 8);
  in = in.subspan(8);
  return true;
}

bool is_exact_integer(double v) {
  return std::fabs(v) < kMaxExactInt && std::nearbyint(v) == v && bits_of(v) != bits_of(-0.0);
}

// Calls f(this count, the same count of `last` or 0) for zero bucket, count and buckets.
template <typename F>
void each_count(const FloatHistogram& h, const FloatHistogram* last, F&& f) {
  f(h.count, last != nullptr ? last->count : 0);
  f(h.zero_count, last != nullptr ? last->zero_count : 0);
  for (std::size_t i = 0; i < h.positive_buckets.size(); ++i)
    f(h.positive_buckets[i], last != nullptr ? last->positive_buckets[i] : 0);
  for (std::size_t i = 0; i < h.negative_buckets.size(); ++i)
    f(h.negative_buckets[i], last != nullptr ? last->negative_buckets[i] : 0);
}

void put_spans(std::string& out, const std::vector<Span>& spans, std::size_t buckets) {
  put(out, spans.size());
  for (const Span& span : spans) {
    put(out, zigzag(span.offset));
    put(out, span.length);
  }
  put(out, buckets);
}

bool get_spans(std::span<const std::uint8_t>& in, std::vector<Span>& spans, std::vector<double>& buckets) {
  std::uint64_t count = 0;
  if (!get_varint(in, count) || count > kMaxSpans || count > in.size()) return false;
  spans.resize(count);
  for (Span& span : spans) {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    if (!get_varint(in, offset) || !get_varint(in, length) || length > UINT32_MAX) return false;
    span.offset = static_cast<std::int32_t>(unzigzag(offset));
    span.length = static_cast<std::uint32_t>(length);
  }
  // Each bucket takes at least a byte behind the layout, so damaged bytes cannot ask for much memory.
  if (!get_varint(in, count) || count > kMaxBuckets || count > in.size()) return false;
  buckets.assign(count, 0);
  return true;
}

void put_layout(std::string& out, const FloatHistogram& h) {
  put(out, zigzag(h.schema));
  put_double(out, h.zero_threshold);
  put_spans(out, h.positive_spans, h.positive_buckets.size());
  put_spans(out, h.negative_spans, h.negative_buckets.size());
  put(out, h.custom_values.size());
  for (double bound : h.custom_values) put_double(out, bound);
}

bool get_layout(std::span<const std::uint8_t>& in, FloatHistogram& h) {
  std::uint64_t schema = 0;
  std::uint64_t count = 0;
  if (!get_varint(in, schema) || !get_double(in, h.zero_threshold)) return false;
  h.schema = static_cast<std::int32_t>(unzigzag(schema));
  if (!get_spans(in, h.positive_spans, h.positive_buckets) || !get_spans(in, h.negative_spans, h.negative_buckets))
    return false;
  if (!get_varint(in, count) || count > kMaxSpans || count > in.size() / 8) return false;
  h.custom_values.resize(count);
  for (double& bound : h.custom_values) {
    if (!get_double(in, bound)) return false;
  }
  return true;
}

bool same_doubles(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

}  // namespace

bool same_layout(const FloatHistogram& a, const FloatHistogram& b) {
  return a.schema == b.schema && bits_of(a.zero_threshold) == bits_of(b.zero_threshold) &&
         a.positive_spans == b.positive_spans && a.negative_spans == b.negative_spans &&
         a.positive_buckets.size() == b.positive_buckets.size() &&
         a.negative_buckets.size() == b.negative_buckets.size() && same_doubles(a.custom_values, b.custom_values);
}

bool same_histogram(const FloatHistogram& a, const FloatHistogram& b) {
  if (is_stale(a.sum) || is_stale(b.sum)) return is_stale(a.sum) && is_stale(b.sum);
  return same_layout(a, b) && bits_of(a.count) == bits_of(b.count) && bits_of(a.zero_count) == bits_of(b.zero_count) &&
         bits_of(a.sum) == bits_of(b.sum) && same_doubles(a.positive_buckets, b.positive_buckets) &&
         same_doubles(a.negative_buckets, b.negative_buckets);
}

void encode_histogram(const HistRow& row, HistState& state, std::string& out) {
  encode_histogram(row, row.histogram->hint, state, out);
}

void encode_histogram(const HistRow& row, ResetHint hint, HistState& state, std::string& out) {
  const FloatHistogram& h = *row.histogram;
  const std::size_t flags_at = out.size();
  std::uint8_t flags =
      static_cast<std::uint8_t>((static_cast<unsigned>(hint) << kHintShift) | (row.integer ? kInteger : 0));
  out.push_back(0);
  put(out,
      zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(row.time) - static_cast<std::uint64_t>(state.time))));
  state.time = row.time;
  if (row.start != state.start) {
    flags |= kStart;
    put(out, zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(row.start) -
                                              static_cast<std::uint64_t>(state.start))));
    state.start = row.start;
  }
  if (is_stale(h.sum)) {
    out[flags_at] = static_cast<char>(flags | kStale);
    return;
  }
  const FloatHistogram* last = state.last.get();
  if (last == nullptr || !same_layout(h, *last)) {
    flags |= kNewLayout;
    put_layout(out, h);
    last = nullptr;
  }
  bool exact = true;
  each_count(h, last,
             [&](double now, double before) { exact = exact && is_exact_integer(now) && is_exact_integer(before); });
  if (exact) {
    each_count(h, last, [&](double now, double before) {
      put(out, zigzag(static_cast<std::int64_t>(now) - static_cast<std::int64_t>(before)));
    });
  } else {
    flags |= kRawCounts;
    each_count(h, last, [&](double now, double before) { put(out, std::byteswap(bits_of(now) ^ bits_of(before))); });
  }
  put(out, std::byteswap(bits_of(h.sum) ^ bits_of(last != nullptr ? last->sum : 0)));
  out[flags_at] = static_cast<char>(flags);
  state.last = row.histogram;
}

bool decode_histogram(std::span<const std::uint8_t>& in, HistState& state, HistRow& row) {
  if (in.empty()) return false;
  const std::uint8_t flags = in[0];
  in = in.subspan(1);
  std::uint64_t raw = 0;
  if (!get_varint(in, raw)) return false;
  state.time =
      static_cast<TimestampMs>(static_cast<std::uint64_t>(state.time) + static_cast<std::uint64_t>(unzigzag(raw)));
  if ((flags & kStart) != 0) {
    if (!get_varint(in, raw)) return false;
    state.start =
        static_cast<TimestampMs>(static_cast<std::uint64_t>(state.start) + static_cast<std::uint64_t>(unzigzag(raw)));
  }
  row.time = state.time;
  row.start = state.start;
  row.integer = (flags & kInteger) != 0;
  auto h = std::make_shared<FloatHistogram>();
  if ((flags & kStale) != 0) {
    h->sum = kStaleNaN;
    h->hint = static_cast<ResetHint>((flags >> kHintShift) & 3);
    row.histogram = std::move(h);
    return true;
  }
  const FloatHistogram* last = state.last.get();
  if ((flags & kNewLayout) != 0) {
    if (!get_layout(in, *h)) return false;
    last = nullptr;
  } else {
    if (last == nullptr) return false;
    *h = *last;
  }
  h->hint = static_cast<ResetHint>((flags >> kHintShift) & 3);
  bool ok = true;
  auto restore = [&](double& now, double before) {
    if (!ok || !get_varint(in, raw)) {
      ok = false;
    } else if ((flags & kRawCounts) != 0) {
      now = std::bit_cast<double>(std::byteswap(raw) ^ bits_of(before));
    } else if (std::fabs(before) >= kMaxExactInt || before != before) {
      ok = false;
    } else {
      now = static_cast<double>(static_cast<std::int64_t>(
          static_cast<std::uint64_t>(static_cast<std::int64_t>(before)) + static_cast<std::uint64_t>(unzigzag(raw))));
    }
  };
  restore(h->count, last != nullptr ? last->count : 0);
  restore(h->zero_count, last != nullptr ? last->zero_count : 0);
  for (std::size_t i = 0; i < h->positive_buckets.size(); ++i)
    restore(h->positive_buckets[i], last != nullptr ? last->positive_buckets[i] : 0);
  for (std::size_t i = 0; i < h->negative_buckets.size(); ++i)
    restore(h->negative_buckets[i], last != nullptr ? last->negative_buckets[i] : 0);
  if (!ok || !get_varint(in, raw)) return false;
  h->sum = std::bit_cast<double>(std::byteswap(raw) ^ bits_of(last != nullptr ? last->sum : 0));
  row.histogram = h;
  state.last = std::move(h);
  return true;
}

}  // namespace tocayo::metrics
