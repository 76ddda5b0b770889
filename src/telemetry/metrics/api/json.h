// SPDX-License-Identifier: Apache-2.0
// Writes Prometheus' JSON straight into a growing buffer: no tree, numbers by std::to_chars. The caller takes the
// buffer away in chunks, so that a result of any size needs 64 KiB.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/labels.h"
#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::metrics::api {

inline constexpr std::size_t kJsonChunk = 64 << 10;

// Go's strconv.FormatFloat(value, 'f' or 'e', -1, 64) as encoding/json chooses between them: fixed for 1e-6 <= |x| <
// 1e21, else exponent; NaN, +Inf, -Inf. Shortest digits that read back to the same bits.
void append_float(std::string& out, double value);
// Milliseconds as seconds: `1435781451.781`, without a point when there are no milliseconds.
void append_timestamp(std::string& out, TimestampMs time);
// Quoted and escaped. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

class JsonWriter {
 public:
  void raw(std::string_view json) { out_.append(json); }
  void raw(char c) { out_.push_back(c); }
  void string(std::string_view text) { append_json_string(out_, text); }
  // `"name":`
  void key(std::string_view name) {
    string(name);
    out_.push_back(':');
  }
  void integer(std::int64_t value);
  void unsigned_integer(std::uint64_t value);
  // A bare JSON number (statistics, seconds): the shortest form that Go's encoding/json writes. Not for NaN and
  // infinities.
  void number(double value) { append_float(out_, value); }
  void boolean(bool value) { out_.append(value ? "true" : "false"); }
  // A sample value: quoted.
  void value(double value) {
    out_.push_back('"');
    append_float(out_, value);
    out_.push_back('"');
  }
  void timestamp(TimestampMs time) { append_timestamp(out_, time); }
  void labels(const Labels& labels);
  // {"count":"…","sum":"…","buckets":[[rule,"lower","upper","count"]…]}; empty buckets are left out.
  void histogram(const FloatHistogram& histogram);
  // [time,"value"] and [time,{histogram}].
  void point(TimestampMs time, double value);
  void point(TimestampMs time, const FloatHistogram& histogram);

  std::size_t size() const { return out_.size(); }
  bool full() const { return out_.size() >= kJsonChunk; }
  std::string take() {
    std::string chunk;
    chunk.swap(out_);
    return chunk;
  }

 private:
  std::string out_;
};

// Puts the commas of one array or object: `Separator comma; for (…) { comma(writer); … }`.
class Separator {
 public:
  void operator()(JsonWriter& writer) {
    if (!first_) writer.raw(',');
    first_ = false;
  }

 private:
  bool first_ = true;
};

}  // namespace tocayo::metrics::api
