// SPDX-License-Identifier: Apache-2.0
#include "metrics/wal_record.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace tocayo::metrics {
namespace {

enum Tag : std::uint8_t { kSeries = 1, kRows = 2, kHistograms = 3, kExemplars = 4, kMetadata = 5 };
enum RowFlag : std::uint8_t { kOtherSeries = 1, kOtherTime = 2, kStart = 4 };
// Value codes, in the upper five bits of a row's first byte.
constexpr unsigned kZero = 0, kInteger = 0, kTopBytes = 7, kDecimal = 15, kStale = 23;  // + number of bytes
constexpr double kPowersOfTen[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};

unsigned byte_count(std::uint64_t v) { return (71U - static_cast<unsigned>(std::countl_zero(v | 1))) / 8; }

bool as_scaled(double value, double scale, std::uint64_t& out) {
  const double scaled = value * scale;
  if (!(std::fabs(scaled) < 9007199254740992.0)) return false;
  const auto integer = static_cast<std::int64_t>(std::nearbyint(scaled));
  out = zigzag(integer);
  return std::bit_cast<std::uint64_t>(static_cast<double>(integer) / scale) == std::bit_cast<std::uint64_t>(value);
}

void put_low(std::string& out, std::uint64_t v, unsigned bytes) {
  out.append(reinterpret_cast<const char*>(&v), bytes);
}

// Appends the value and returns its code.
unsigned put_value(std::string& out, double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  if (bits == 0) return kZero;
  if (bits == kStaleNaNBits) return kStale;
  // Top bytes of the double: what is left when its trailing zero bytes go.
  const unsigned top = 8U - static_cast<unsigned>(std::countr_zero(bits)) / 8U;
  std::uint64_t integer = 0;
  if (as_scaled(value, 1, integer)) {
    const unsigned n = byte_count(integer);
    if (n <= top) {
      put_low(out, integer, n);
      return kInteger + n;
    }
  }
  if (top > 3) {
    for (unsigned e = 1; e < std::size(kPowersOfTen); ++e) {
      if (!as_scaled(value, kPowersOfTen[e], integer)) continue;
      const unsigned n = byte_count(integer);
      if (n + 1 >= top) break;
      out.push_back(static_cast<char>(e));
      put_low(out, integer, n);
      return kDecimal + n;
    }
  }
  put_low(out, bits >> (64 - 8 * top), top);
  return kTopBytes + top;
}

bool get_low(std::span<const std::uint8_t>& in, unsigned bytes, std::uint64_t& v) {
  if (in.size() < bytes) return false;
  v = 0;
  std::memcpy(&v, in.data(), bytes);
  in = in.subspan(bytes);
  return true;
}

bool get_value(std::span<const std::uint8_t>& in, unsigned code, double& value) {
  std::uint64_t raw = 0;
  if (code == kZero) {
    value = 0;
  } else if (code <= kTopBytes) {
    if (!get_low(in, code - kInteger, raw)) return false;
    value = static_cast<double>(unzigzag(raw));
  } else if (code <= kDecimal) {
    const unsigned n = code - kTopBytes;
    if (!get_low(in, n, raw)) return false;
    value = std::bit_cast<double>(raw << (64 - 8 * n));
  } else if (code < kStale) {
    if (in.empty() || in[0] >= std::size(kPowersOfTen)) return false;
    const double scale = kPowersOfTen[in[0]];
    in = in.subspan(1);
    if (!get_low(in, code - kDecimal, raw)) return false;
    value = static_cast<double>(unzigzag(raw)) / scale;
  } else if (code == kStale) {
    value = kStaleNaN;
  } else {
    return false;
  }
  return true;
}

bool get_signed(std::span<const std::uint8_t>& in, std::int64_t& value) {
  std::uint64_t raw = 0;
  if (!get_varint(in, raw)) return false;
  value = unzigzag(raw);
  return true;
}
bool get_id(std::span<const std::uint8_t>& in, SeriesId& id) {
  std::uint64_t raw = 0;
  if (!get_varint(in, raw) || raw > UINT32_MAX) return false;
  id = static_cast<SeriesId>(raw);
  return true;
}
// Signed difference without overflow.
std::int64_t difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

bool decode_rows(std::span<const std::uint8_t>& in, std::uint64_t count, WalVisitor& visitor) {
  SeriesId id = 0;
  TimestampMs time = 0;
  TimestampMs start = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (in.empty()) return false;
    const std::uint8_t first = in[0];
    in = in.subspan(1);
    std::int64_t change = 1;
    if ((first & kOtherSeries) != 0 && !get_signed(in, change)) return false;
    id = static_cast<SeriesId>(sum(static_cast<std::int64_t>(id), change));
    if ((first & kOtherTime) != 0) {
      if (!get_signed(in, change)) return false;
      time = sum(time, change);
    }
    Row row{time, 0, 0};
    if ((first & kStart) != 0) {
      if (!get_signed(in, change)) return false;
      row.start = start = sum(start, change);
    }
    if (!get_value(in, first >> 3, row.value)) return false;
    visitor.row(id, row);
  }
  return true;
}

bool decode_histograms(std::span<const std::uint8_t>& in, std::uint64_t count, WalVisitor& visitor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    SeriesId id = 0;
    HistState state;
    HistRow row;
    if (!get_id(in, id) || !decode_histogram(in, state, row)) return false;
    visitor.histogram(id, row);
  }
  return true;
}

bool decode_exemplars(std::span<const std::uint8_t>& in, std::uint64_t count, WalVisitor& visitor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    SeriesId id = 0;
    ExemplarRow row;
    std::uint64_t raw = 0;
    if (!get_id(in, id) || !get_signed(in, row.time) || !get_low(in, 8, raw)) return false;
    row.value = std::bit_cast<double>(raw);
    if (!get_labels(in, row.labels, {})) return false;
    visitor.exemplar(id, std::move(row));
  }
  return true;
}

bool decode_metadata(std::span<const std::uint8_t>& in, std::uint64_t count, WalVisitor& visitor) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string_view metric, type, help, unit;
    if (!get_text(in, metric) || !get_text(in, type) || !get_text(in, help) || !get_text(in, unit)) return false;
    visitor.metadata({std::string(metric), std::string(type), std::string(help), std::string(unit)});
  }
  return true;
}

}  // namespace

void put_varint(std::string& out, std::uint64_t value) {
  std::uint8_t buffer[10];
  out.append(reinterpret_cast<const char*>(buffer), put_varint(buffer, value));
}

void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out += text;
}

bool get_text(std::span<const std::uint8_t>& in, std::string_view& text) {
  std::uint64_t size = 0;
  if (!get_varint(in, size) || size > in.size()) return false;
  text = {reinterpret_cast<const char*>(in.data()), static_cast<std::size_t>(size)};
  in = in.subspan(size);
  return true;
}

// Per label: 0 = as the previous set's label at this place, 1 = its name with another value, 2 = another name.
void put_labels(std::string& out, const Labels& labels, Labels& previous) {
  put_varint(out, labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool same_name = i < previous.size() && previous[i].name == labels[i].name;
    if (same_name && previous[i].value == labels[i].value) {
      out.push_back(0);
      continue;
    }
    out.push_back(same_name ? 1 : 2);
    if (!same_name) put_text(out, labels[i].name);
    put_text(out, labels[i].value);
  }
  previous = labels;
}

bool get_labels(std::span<const std::uint8_t>& in, Labels& labels, const Labels& previous) {
  std::uint64_t count = 0;
  if (!get_varint(in, count) || count > in.size()) return false;
  std::vector<Label> list;
  list.reserve(std::min<std::uint64_t>(count, 64));
  for (std::size_t i = 0; i < count; ++i) {
    if (in.empty()) return false;
    const std::uint8_t mode = in[0];
    in = in.subspan(1);
    if (mode > 2 || (mode < 2 && i >= previous.size())) return false;
    Label label;
    std::string_view text;
    if (mode == 2) {
      if (!get_text(in, text)) return false;
      label.name = text;
    } else {
      label.name = previous[i].name;
    }
    if (mode == 0) {
      label.value = previous[i].value;
    } else {
      if (!get_text(in, text)) return false;
      label.value = text;
    }
    if (label.value.empty() || (!list.empty() && list.back().name >= label.name)) return false;
    list.push_back(std::move(label));
  }
  labels = Labels::from_sorted(std::move(list));
  return true;
}

void WalEncoder::begin(std::string_view tenant) {
  tenant_ = tenant;
  for (Section* section : {&series_, &rows_, &histograms_, &exemplars_, &metadata_}) section->clear();
  previous_labels_ = {};
  previous_id_ = 0;
  previous_time_ = previous_start_ = 0;
  sections_ = 0;
}

void WalEncoder::series(SeriesId id, const Labels& labels) {
  ++sections_;
  ++series_.count;
  put_varint(series_.bytes, id);
  put_labels(series_.bytes, labels, previous_labels_);
}

void WalEncoder::row(SeriesId id, const Row& row) {
  ++sections_;
  ++rows_.count;
  std::string& out = rows_.bytes;
  const std::size_t at = out.size();
  unsigned flags = 0;
  out.push_back(0);
  if (id != previous_id_ + 1) {
    flags |= kOtherSeries;
    put_varint(out, zigzag(static_cast<std::int64_t>(id) - static_cast<std::int64_t>(previous_id_)));
  }
  if (row.time != previous_time_) {
    flags |= kOtherTime;
    put_varint(out, zigzag(difference(row.time, previous_time_)));
  }
  if (row.start != 0) {
    flags |= kStart;
    put_varint(out, zigzag(difference(row.start, previous_start_)));
    previous_start_ = row.start;
  }
  const unsigned code = put_value(out, row.value);
  out[at] = static_cast<char>(flags | (code << 3));
  previous_id_ = id;
  previous_time_ = row.time;
}

void WalEncoder::histogram(SeriesId id, const HistRow& row) {
  ++sections_;
  ++histograms_.count;
  put_varint(histograms_.bytes, id);
  HistState state;
  encode_histogram(row, state, histograms_.bytes);
}

void WalEncoder::exemplar(SeriesId id, const ExemplarRow& row) {
  ++sections_;
  ++exemplars_.count;
  put_varint(exemplars_.bytes, id);
  put_varint(exemplars_.bytes, zigzag(row.time));
  put_low(exemplars_.bytes, std::bit_cast<std::uint64_t>(row.value), 8);
  Labels none;
  put_labels(exemplars_.bytes, row.labels, none);
}

void WalEncoder::metadata(const MetadataRow& row) {
  ++sections_;
  ++metadata_.count;
  put_text(metadata_.bytes, row.metric);
  put_text(metadata_.bytes, row.type);
  put_text(metadata_.bytes, row.help);
  put_text(metadata_.bytes, row.unit);
}

std::string_view WalEncoder::finish() {
  record_.clear();
  put_text(record_, tenant_);
  auto add = [this](Tag tag, const Section& section) {
    if (section.count == 0) return;
    record_.push_back(static_cast<char>(tag));
    put_varint(record_, section.count);
    record_ += section.bytes;
  };
  add(kSeries, series_);
  add(kRows, rows_);
  add(kHistograms, histograms_);
  add(kExemplars, exemplars_);
  add(kMetadata, metadata_);
  return record_;
}

bool decode_wal_record(std::string_view record, WalVisitor& visitor) {
  std::span<const std::uint8_t> in(reinterpret_cast<const std::uint8_t*>(record.data()), record.size());
  std::string_view tenant;
  if (!get_text(in, tenant)) return false;
  visitor.tenant(tenant);
  Labels previous;
  while (!in.empty()) {
    const std::uint8_t tag = in[0];
    in = in.subspan(1);
    std::uint64_t count = 0;
    if (!get_varint(in, count)) return false;
    bool ok = false;
    switch (tag) {
      case kSeries:
        ok = true;
        for (std::uint64_t i = 0; ok && i < count; ++i) {
          SeriesId id = 0;
          Labels labels;
          ok = get_id(in, id) && get_labels(in, labels, previous);
          if (!ok) break;
          previous = labels;
          visitor.series(id, std::move(labels));
        }
        break;
      case kRows: ok = decode_rows(in, count, visitor); break;
      case kHistograms: ok = decode_histograms(in, count, visitor); break;
      case kExemplars: ok = decode_exemplars(in, count, visitor); break;
      case kMetadata: ok = decode_metadata(in, count, visitor); break;
      default: return false;
    }
    if (!ok) return false;
  }
  return true;
}

}  // namespace tocayo::metrics
