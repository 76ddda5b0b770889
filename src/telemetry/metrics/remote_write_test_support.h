// SPDX-License-Identifier: Apache-2.0
// Builds remote-write bodies for tests, right and wrong ones.
#pragma once

#include <protozero/pbf_writer.hpp>

#include <bit>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "metrics/ingest_histogram.h"

namespace tocayo::metrics::test {

using Writer = protozero::pbf_writer;
using Pairs = std::vector<std::pair<std::string, std::string>>;

inline void add_double_bits(Writer& out, protozero::pbf_tag_type tag, double value) {
  out.add_fixed64(tag, std::bit_cast<std::uint64_t>(value));
}

inline void add_sample(Writer& series, double value, std::int64_t time, std::int64_t start_time = 0) {
  Writer sample(series, 2);
  add_double_bits(sample, 1, value);
  sample.add_int64(2, time);
  if (start_time != 0) sample.add_int64(3, start_time);
}

// The message's own fields; `tag` is 4 in 1.0, 3 in 2.0.
inline void add_histogram(Writer& series, protozero::pbf_tag_type tag, const HistogramParts& parts, std::int64_t time,
                          std::int64_t start_time = 0) {
  Writer out(series, tag);
  if (parts.is_float) {
    out.add_double(2, parts.count_float);
  } else {
    out.add_uint64(1, parts.count_int);
  }
  add_double_bits(out, 3, parts.sum);
  out.add_sint32(4, parts.schema);
  out.add_double(5, parts.zero_threshold);
  if (parts.is_float) {
    out.add_double(7, parts.zero_count_float);
  } else {
    out.add_uint64(6, parts.zero_count_int);
  }
  const auto spans = [&](protozero::pbf_tag_type span_tag, const std::vector<Span>& list) {
    for (const Span& span : list) {
      Writer message(out, span_tag);
      message.add_sint32(1, span.offset);
      message.add_uint32(2, span.length);
    }
  };
  spans(8, parts.negative_spans);
  out.add_packed_sint64(9, parts.negative_deltas.begin(), parts.negative_deltas.end());
  out.add_packed_double(10, parts.negative_counts.begin(), parts.negative_counts.end());
  spans(11, parts.positive_spans);
  out.add_packed_sint64(12, parts.positive_deltas.begin(), parts.positive_deltas.end());
  out.add_packed_double(13, parts.positive_counts.begin(), parts.positive_counts.end());
  out.add_enum(14, static_cast<std::int32_t>(parts.hint));
  out.add_int64(15, time);
  out.add_packed_double(16, parts.custom_values.begin(), parts.custom_values.end());
  if (start_time != 0) out.add_int64(17, start_time);
}

// prometheus.WriteRequest.
class RequestV1 {
 public:
  RequestV1& series(const Pairs& labels, const std::function<void(Writer&)>& rows) {
    Writer out(body_);
    Writer series(out, 1);
    for (const auto& [name, value] : labels) {
      Writer label(series, 1);
      label.add_string(1, name);
      label.add_string(2, value);
    }
    rows(series);
    return *this;
  }
  RequestV1& sample(const Pairs& labels, double value, std::int64_t time) {
    return series(labels, [&](Writer& series) { add_sample(series, value, time); });
  }
  static void exemplar(Writer& series, const Pairs& labels, double value, std::int64_t time) {
    Writer out(series, 3);
    for (const auto& [name, label_value] : labels) {
      Writer label(out, 1);
      label.add_string(1, name);
      label.add_string(2, label_value);
    }
    out.add_double(2, value);
    out.add_int64(3, time);
  }
  RequestV1& metadata(std::int32_t type, const std::string& name, const std::string& help, const std::string& unit) {
    Writer out(body_);
    Writer metadata(out, 3);
    metadata.add_enum(1, type);
    metadata.add_string(2, name);
    metadata.add_string(4, help);
    metadata.add_string(5, unit);
    return *this;
  }
  const std::string& body() const { return body_; }

 private:
  std::string body_;
};

// io.prometheus.write.v2.Request. References can be given raw, to be wrong.
class RequestV2 {
 public:
  RequestV2() { symbols_.push_back(""); }

  std::uint32_t symbol(const std::string& text) {
    for (std::size_t i = 0; i < symbols_.size(); ++i) {
      if (symbols_[i] == text) return static_cast<std::uint32_t>(i);
    }
    symbols_.push_back(text);
    return static_cast<std::uint32_t>(symbols_.size() - 1);
  }
  std::vector<std::uint32_t> references(const Pairs& labels) {
    std::vector<std::uint32_t> result;
    for (const auto& [name, value] : labels) {
      result.push_back(symbol(name));
      result.push_back(symbol(value));
    }
    return result;
  }
  RequestV2& raw_series(const std::vector<std::uint32_t>& references, const std::function<void(Writer&)>& rows) {
    Writer out(series_);
    Writer series(out, 5);
    series.add_packed_uint32(1, references.begin(), references.end());
    rows(series);
    return *this;
  }
  RequestV2& series(const Pairs& labels, const std::function<void(Writer&)>& rows) {
    return raw_series(references(labels), rows);
  }
  RequestV2& sample(const Pairs& labels, double value, std::int64_t time) {
    return series(labels, [&](Writer& series) { add_sample(series, value, time); });
  }
  void exemplar(Writer& series, const Pairs& labels, double value, std::int64_t time) {
    const auto refs = references(labels);
    Writer out(series, 4);
    out.add_packed_uint32(1, refs.begin(), refs.end());
    out.add_double(2, value);
    out.add_int64(3, time);
  }
  void metadata(Writer& series, std::int32_t type, const std::string& help, const std::string& unit) {
    const std::uint32_t help_ref = symbol(help);
    const std::uint32_t unit_ref = symbol(unit);
    Writer out(series, 5);
    out.add_enum(1, type);
    out.add_uint32(3, help_ref);
    out.add_uint32(4, unit_ref);
  }
  void set_first_symbol(std::string text) { symbols_[0] = std::move(text); }
  std::string body(bool symbols_last = false) const {
    std::string symbols;
    Writer out(symbols);
    for (const std::string& symbol : symbols_) out.add_string(4, symbol);
    return symbols_last ? series_ + symbols : symbols + series_;
  }

 private:
  std::vector<std::string> symbols_;
  std::string series_;
};

// Three observations in two buckets and the zero bucket.
inline HistogramParts integer_histogram() {
  HistogramParts parts;
  parts.count_int = 6;
  parts.sum = 12.5;
  parts.schema = 1;
  parts.zero_threshold = 0.001;
  parts.zero_count_int = 1;
  parts.positive_spans = {{0, 2}};
  parts.positive_deltas = {2, -1};  // 2, 1
  parts.negative_spans = {{1, 1}};
  parts.negative_deltas = {2};
  return parts;
}

}  // namespace tocayo::metrics::test
