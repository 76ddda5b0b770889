// SPDX-License-Identifier: Apache-2.0
// The samples of a head shard: the open tail, the chain of mini-blocks, histograms and late rows of each series.
#include <algorithm>
#include <bit>
#include <cstring>

#include "metrics/head_shard.h"

// libstdc++ 12 marks what its own std::stable_sort uses as deprecated.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

namespace tocayo::metrics {
namespace {

// Calls f(rows) for each block of the chain, until it returns false.
template <typename F>
void each_block(const Series& series, F&& f) {
  BlockState state;
  Row rows[kMaxBlockRows];
  for (const SlabNode* node = series.first_node; node != nullptr; node = node->next) {
    std::span<const std::uint8_t> bytes(node->data, node->used);
    while (!bytes.empty()) {
      std::size_t count = 0;
      const std::size_t size = decode_block(bytes, state, rows, count);
      if (size == 0 || !f(std::span<const Row>(rows, count))) return;
      bytes = bytes.subspan(size);
    }
  }
}

Row tail_row(const Series& series, unsigned i) {
  return {series.tail_base + series.tail_offset[i], series.tail_value[i],
          series.extra ? series.extra->tail_start[i] : 0};
}

// What Prometheus' store says of a histogram: a gauge stays one, a reset that was announced too; else `not_reset` when
// it follows one of the same layout without a reset, and `unknown` when it does not.
ResetHint stored_hint(const FloatHistogram& next, const FloatHistogram* previous) {
  if (next.hint == ResetHint::gauge || next.hint == ResetHint::reset || is_stale(next.sum)) return next.hint;
  const bool comparable = previous != nullptr && previous->hint != ResetHint::gauge && !is_stale(previous->sum) &&
                          next.schema == previous->schema && next.zero_threshold == previous->zero_threshold &&
                          next.custom_values == previous->custom_values;
  return comparable && !next.shrank_since(*previous) ? ResetHint::not_reset : ResetHint::unknown;
}

std::size_t histogram_bytes(const FloatHistogram& h) {
  return sizeof h + 32 +
         (h.positive_buckets.size() + h.negative_buckets.size() + h.custom_values.size()) * sizeof(double) +
         (h.positive_spans.size() + h.negative_spans.size()) * sizeof(Span);
}
std::size_t late_bytes(const LateRow& row) {
  return sizeof row + (row.histogram ? histogram_bytes(*row.histogram) : 0);
}

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
bool get_signed(std::span<const std::uint8_t>& in, std::int64_t& value) {
  std::uint64_t raw = 0;
  if (!get_varint(in, raw)) return false;
  value = unzigzag(raw);
  return true;
}
bool get_bytes(std::span<const std::uint8_t>& in, std::size_t size, std::span<const std::uint8_t>& out) {
  if (in.size() < size) return false;
  out = in.first(size);
  in = in.subspan(size);
  return true;
}

}  // namespace

SeriesExtra& HeadShard::extra(Series& series) {
  if (!series.extra) {
    series.extra = std::make_unique<SeriesExtra>();
    ++extra_count_;
  }
  return *series.extra;
}

void HeadShard::append_block(Series& series, std::span<const std::uint8_t> block) {
  SlabNode* node = series.last_node;
  if (node == nullptr || node->capacity - node->used < static_cast<int>(block.size())) {
    SlabNode* fresh = slab_.allocate(block.size(), node == nullptr ? 0 : node->size_class + 1U);
    (node == nullptr ? series.first_node : node->next) = fresh;
    series.last_node = node = fresh;
  }
  std::memcpy(node->data + node->used, block.data(), block.size());
  node->used = static_cast<std::uint16_t>(node->used + block.size());
}

void HeadShard::flush_tail(Series& series) {
  if (series.tail_count == 0) return;
  Row rows[kTailRows];
  for (unsigned i = 0; i < series.tail_count; ++i) rows[i] = tail_row(series, i);
  BlockState state{series.block_time, series.block_delta, series.block_value,
                   series.extra ? series.extra->block_start : 0};
  std::uint8_t buffer[kMaxBlockBytes];
  const std::size_t size = encode_block({rows, series.tail_count}, state, buffer);
  append_block(series, {buffer, size});
  series.block_time = state.time;
  series.block_delta = state.delta;
  series.block_value = state.value;
  if (series.extra) {
    series.extra->block_start = state.start;
    std::fill(std::begin(series.extra->tail_start), std::end(series.extra->tail_start), 0);
  }
  series.block_rows += series.tail_count;
  series.tail_count = 0;
}

void HeadShard::push(Series& series, const Row& row) {
  note(series, row.time);
  if (row.time <= series.applied_time) {
    auto& late = extra(series).late;
    late.push_back({row.time, row.start, row.value, false, nullptr});
    extra_bytes_ += sizeof(LateRow);
    return;
  }
  series.applied_time = row.time;
  if (series.extra) series.extra->applied_histogram = nullptr;
  note_in_order(row.time);
  if (series.tail_count == kTailRows) flush_tail(series);
  if (series.tail_count > 0 && row.time - series.tail_base > INT32_MAX) flush_tail(series);
  if (series.tail_count == 0) series.tail_base = row.time;
  if (row.start != 0) extra(series).tail_start[series.tail_count] = row.start;
  series.tail_offset[series.tail_count] = static_cast<std::int32_t>(row.time - series.tail_base);
  series.tail_value[series.tail_count++] = row.value;
}

void HeadShard::push(Series& series, const HistRow& row) {
  note(series, row.time);
  SeriesExtra& more = extra(series);
  if (row.time <= series.applied_time) {
    more.late.push_back({row.time, row.start, 0, row.integer, row.histogram});
    extra_bytes_ += late_bytes(more.late.back());
    return;
  }
  series.applied_time = row.time;
  note_in_order(row.time);
  const std::size_t before = more.histograms.size();
  encode_histogram(row, stored_hint(*row.histogram, more.applied_histogram.get()), more.histogram_state,
                   more.histograms);
  extra_bytes_ += more.histograms.size() - before;
  ++more.histogram_count;
  more.applied_histogram = row.histogram;
}

void HeadShard::reset_accepted(Series& series) {
  series.last_time = series.applied_time;
  series.last_is_histogram = false;
  series.stale = false;
  if (series.extra) series.extra->newest_histogram = nullptr;
  if (series.applied_time == kMinTime) return;
  if (auto found = lookup(series, series.applied_time)) {
    series.last_value = found->value;
    series.stale = is_stale(found->histogram ? found->histogram->sum : found->value);
    if (found->histogram) {
      series.last_is_histogram = true;
      extra(series).newest_histogram = found->histogram;
    }
  }
}

std::optional<HeadShard::Found> HeadShard::lookup(const Series& series, TimestampMs time) const {
  if (time < series.min_time || time > series.max_time) return std::nullopt;
  for (unsigned i = 0; i < series.tail_count; ++i) {
    if (series.tail_base + series.tail_offset[i] == time) return Found{series.tail_value[i], nullptr};
  }
  std::optional<Found> found;
  if (series.block_rows > 0 && time <= series.block_time) {
    each_block(series, [&](std::span<const Row> rows) {
      if (rows.back().time < time) return true;
      for (const Row& row : rows) {
        if (row.time == time) found = Found{row.value, nullptr};
      }
      return false;
    });
    if (found) return found;
  }
  if (!series.extra) return found;
  for (const LateRow& row : series.extra->late) {
    if (row.time == time) return Found{row.value, row.histogram};
  }
  std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(series.extra->histograms.data()),
                                      series.extra->histograms.size());
  HistState state;
  HistRow row;
  while (!bytes.empty() && decode_histogram(bytes, state, row)) {
    if (row.time == time) return Found{0, row.histogram};
    if (row.time > time) break;
  }
  return std::nullopt;
}

void HeadShard::read(const Series& series, const Cut& cut, TimestampMs start, TimestampMs end, RowBuffer& out) const {
  if (series.min_time > end || series.max_time < start) return;
  const TimestampMs last = std::min(end, cut.time);
  if (series.block_rows > 0 && series.block_time >= start) {
    each_block(series, [&](std::span<const Row> rows) {
      if (rows.back().time < start) return true;
      for (const Row& row : rows) {
        if (row.time > last) return false;
        if (row.time >= start) out.floats.push_back(row);
      }
      return true;
    });
  }
  for (unsigned i = 0; i < series.tail_count; ++i) {
    const Row row = tail_row(series, i);
    if (row.time >= start && row.time <= last) out.floats.push_back(row);
  }
  if (!series.extra) return;
  std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(series.extra->histograms.data()),
                                      series.extra->histograms.size());
  HistState state;
  HistRow row;
  while (!bytes.empty() && decode_histogram(bytes, state, row)) {
    if (row.time > last) break;
    if (row.time >= start) out.histograms.push_back(row);
  }
  const std::size_t late_rows =
      cut.drops == series.drops ? std::min<std::size_t>(cut.late, series.extra->late.size()) : 0;
  for (std::size_t i = 0; i < late_rows; ++i) {
    const LateRow& late = series.extra->late[i];
    if (late.time < start || late.time > end) continue;
    if (late.histogram) {
      out.histograms.push_back({late.time, late.start, late.integer, late.histogram});
    } else {
      out.floats.push_back({late.time, late.value, late.start});
    }
  }
}

void HeadShard::recompute_range() {
  oldest_ = kMaxTime;
  newest_ = kMinTime;
  for_each([this](const Series& series) {
    if (series.block_rows + series.tail_count == 0 && (!series.extra || series.extra->histogram_count == 0)) return;
    note_in_order(series.min_time);
    note_in_order(series.max_time);
  });
}

void HeadShard::drop(Series& series, const Cut& cut) {
  // What came after the cut starts the series' memory anew; usually it is nothing, or a few rows.
  RowBuffer keep;
  if (cut.time < series.applied_time) {
    Cut in_order{series.applied_time, 0, series.drops};
    read(series, in_order, cut.time + 1, kMaxTime, keep);
  }
  ++series.drops;
  const TimestampMs applied = series.applied_time;
  slab_.free_chain(series.first_node);
  series.first_node = series.last_node = nullptr;
  series.block_time = series.block_delta = 0;
  series.block_value = 0;
  series.block_rows = 0;
  series.tail_count = 0;
  series.min_time = kMaxTime;
  series.max_time = kMinTime;
  std::vector<LateRow> late;
  if (series.extra) {
    SeriesExtra& more = *series.extra;
    for (const LateRow& row : more.late) extra_bytes_ -= late_bytes(row);
    extra_bytes_ -= more.histograms.size();
    if (cut.late < more.late.size())
      late.assign(more.late.begin() + static_cast<std::ptrdiff_t>(cut.late), more.late.end());
    auto newest = std::move(more.newest_histogram);
    series.extra.reset();
    --extra_count_;
    if (newest) extra(series).newest_histogram = std::move(newest);
  }
  series.applied_time = cut.time;
  std::size_t f = 0;
  std::size_t h = 0;
  while (f < keep.floats.size() || h < keep.histograms.size()) {
    const bool take_float =
        h == keep.histograms.size() || (f < keep.floats.size() && keep.floats[f].time < keep.histograms[h].time);
    take_float ? push(series, keep.floats[f++]) : push(series, keep.histograms[h++]);
  }
  series.applied_time = applied;
  for (LateRow& row : late) {
    note(series, row.time);
    extra_bytes_ += late_bytes(row);
    extra(series).late.push_back(std::move(row));
  }
}

void HeadShard::save_rows(const Series& series, std::string& out) const {
  put(out, zigzag(series.applied_time));
  put(out, zigzag(series.last_time));
  put_double(out, series.last_value);
  put(out, (series.last_is_histogram ? 1U : 0U) | (series.stale ? 2U : 0U) | (series.extra ? 4U : 0U) |
               (series.has_rows() ? 8U : 0U));
  if (series.has_rows()) {
    put(out, zigzag(series.min_time));
    put(out, zigzag(series.max_time));
  }
  put(out, series.block_rows);
  if (series.block_rows > 0) {
    put(out, zigzag(series.block_time));
    put(out, zigzag(series.block_delta));
    put_double(out, series.block_value);
    std::size_t size = 0;
    for (const SlabNode* node = series.first_node; node != nullptr; node = node->next) size += node->used;
    put(out, size);
    for (const SlabNode* node = series.first_node; node != nullptr; node = node->next) {
      out.append(reinterpret_cast<const char*>(node->data), node->used);
    }
  }
  put(out, series.tail_count);
  for (unsigned i = 0; i < series.tail_count; ++i) {
    const Row row = tail_row(series, i);
    put(out, zigzag(row.time));
    put_double(out, row.value);
  }
  if (!series.extra) return;
  const SeriesExtra& more = *series.extra;
  put(out, zigzag(more.block_start));
  for (TimestampMs start : more.tail_start) put(out, zigzag(start));
  put(out, more.histogram_count);
  put(out, more.histograms.size());
  out += more.histograms;
  std::string late;
  HistState state;
  put(out, more.late.size());
  for (const LateRow& row : more.late) {
    put(out, row.histogram ? 1 : 0);
    if (row.histogram) {
      HistState fresh;
      late.clear();
      encode_histogram({row.time, row.start, row.integer, row.histogram}, fresh, late);
      put(out, late.size());
      out += late;
    } else {
      put(out, zigzag(row.time));
      put(out, zigzag(row.start));
      put_double(out, row.value);
    }
  }
}

bool HeadShard::load_rows(Series& series, std::span<const std::uint8_t>& in) {
  std::uint64_t flags = 0;
  std::uint64_t count = 0;
  if (!get_signed(in, series.applied_time) || !get_signed(in, series.last_time) || !get_double(in, series.last_value) ||
      !get_varint(in, flags)) {
    return false;
  }
  series.last_is_histogram = (flags & 1) != 0;
  series.stale = (flags & 2) != 0;
  if ((flags & 8) != 0 && (!get_signed(in, series.min_time) || !get_signed(in, series.max_time))) return false;
  if (!get_varint(in, count) || count > UINT32_MAX) return false;
  series.block_rows = static_cast<std::uint32_t>(count);
  std::span<const std::uint8_t> bytes;
  if (series.block_rows > 0) {
    if (!get_signed(in, series.block_time) || !get_signed(in, series.block_delta) ||
        !get_double(in, series.block_value) || !get_varint(in, count) || !get_bytes(in, count, bytes)) {
      return false;
    }
    BlockState state;
    Row rows[kMaxBlockRows];
    while (!bytes.empty()) {
      const std::size_t size = decode_block(bytes, state, rows, count);
      if (size == 0) return false;
      append_block(series, bytes.first(size));
      bytes = bytes.subspan(size);
    }
  }
  if (!get_varint(in, count) || count > kTailRows) return false;
  for (unsigned i = 0; i < count; ++i) {
    TimestampMs time = 0;
    if (!get_signed(in, time) || !get_double(in, series.tail_value[i])) return false;
    if (i == 0) series.tail_base = time;
    series.tail_offset[i] = static_cast<std::int32_t>(time - series.tail_base);
  }
  series.tail_count = static_cast<std::uint8_t>(count);
  if (series.has_rows()) {
    note_in_order(series.min_time);
    note_in_order(series.max_time);
  }
  if ((flags & 4) == 0) return true;
  SeriesExtra& more = extra(series);
  if (!get_signed(in, more.block_start)) return false;
  for (TimestampMs& start : more.tail_start) {
    if (!get_signed(in, start)) return false;
  }
  if (!get_varint(in, count) || count > UINT32_MAX) return false;
  more.histogram_count = static_cast<std::uint32_t>(count);
  if (!get_varint(in, count) || !get_bytes(in, count, bytes)) return false;
  more.histograms.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  extra_bytes_ += bytes.size();
  HistRow row;
  while (!bytes.empty()) {
    if (!decode_histogram(bytes, more.histogram_state, row)) return false;
  }
  if (!get_varint(in, count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t kind = 0;
    std::uint64_t size = 0;
    if (!get_varint(in, kind)) return false;
    LateRow late{};
    if (kind == 1) {
      HistState fresh;
      if (!get_varint(in, size) || !get_bytes(in, size, bytes) || !decode_histogram(bytes, fresh, row)) return false;
      late = {row.time, row.start, 0, row.integer, row.histogram};
    } else if (!get_signed(in, late.time) || !get_signed(in, late.start) || !get_double(in, late.value)) {
      return false;
    }
    extra_bytes_ += late_bytes(late);
    more.late.push_back(std::move(late));
  }
  if (series.last_is_histogram) {
    auto found = lookup(series, series.last_time);
    if (found && found->histogram) more.newest_histogram = found->histogram;
  }
  return true;
}

void merge_rows(RowBuffer& rows) {
  auto by_time = [](const auto& a, const auto& b) { return a.time < b.time; };
  auto same_time = [](const auto& a, const auto& b) { return a.time == b.time; };
  auto tidy = [&](auto& list) {
    if (!std::is_sorted(list.begin(), list.end(), by_time)) std::stable_sort(list.begin(), list.end(), by_time);
    list.erase(std::unique(list.begin(), list.end(), same_time), list.end());
  };
  tidy(rows.floats);
  tidy(rows.histograms);
  if (rows.floats.empty() || rows.histograms.empty()) return;
  // Across types the float wins: which came first is not known here, and a series changes its type at most now and
  // then.
  auto f = rows.floats.begin();
  std::erase_if(rows.histograms, [&](const HistRow& row) {
    while (f != rows.floats.end() && f->time < row.time) ++f;
    return f != rows.floats.end() && f->time == row.time;
  });
}

}  // namespace tocayo::metrics
