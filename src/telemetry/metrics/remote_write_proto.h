// SPDX-License-Identifier: Apache-2.0
// Private to the protobuf decoders of this room: protozero with every wire type checked. Malformed input throws
// protozero::exception or WireError, which the decoders turn into bad_input at their door.
#pragma once

#include <protozero/pbf_reader.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "metrics/ingest_histogram.h"

namespace tocayo::metrics::proto {

using Reader = protozero::pbf_reader;
using Wire = protozero::pbf_wire_type;

struct WireError {
  std::string text;
};

inline Reader reader(std::string_view bytes) { return Reader{bytes.data(), bytes.size()}; }

inline void expect(const Reader& message, Wire wanted, const char* field) {
  if (message.wire_type() != wanted) {
    throw WireError{std::string("wrong wire type ") + std::to_string(static_cast<unsigned>(message.wire_type())) +
                    " for field " + field};
  }
}
inline std::string_view get_bytes(Reader& message, const char* field) {
  expect(message, Wire::length_delimited, field);
  const auto view = message.get_view();
  return {view.data(), view.size()};
}
inline double get_double(Reader& message, const char* field) {
  expect(message, Wire::fixed64, field);
  return std::bit_cast<double>(message.get_fixed64());  // bit by bit: NaN payloads survive
}
inline std::int64_t get_int64(Reader& message, const char* field) {
  expect(message, Wire::varint, field);
  return message.get_int64();
}
inline std::uint64_t get_uint64(Reader& message, const char* field) {
  expect(message, Wire::varint, field);
  return message.get_uint64();
}
inline std::int32_t get_sint32(Reader& message, const char* field) {
  expect(message, Wire::varint, field);
  return message.get_sint32();
}

// Repeated scalars, packed or not.
template <typename Add>
void each_varint(Reader& message, const char* field, Add add) {
  if (message.wire_type() == Wire::varint) return add(message.get_uint64());
  const std::string_view bytes = get_bytes(message, field);
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) add(protozero::decode_varint(&at, end));
}
inline void add_doubles(Reader& message, const char* field, std::vector<double>& out) {
  if (message.wire_type() == Wire::fixed64) return out.push_back(get_double(message, field));
  const std::string_view bytes = get_bytes(message, field);
  if (bytes.size() % 8 != 0) throw WireError{std::string("packed length is not a multiple of 8 in field ") + field};
  const std::size_t old = out.size();
  out.resize(old + bytes.size() / 8);
  if (!bytes.empty()) std::memcpy(out.data() + old, bytes.data(), bytes.size());
}
inline void add_sint64s(Reader& message, const char* field, std::vector<std::int64_t>& out) {
  each_varint(message, field, [&](std::uint64_t value) { out.push_back(protozero::decode_zigzag64(value)); });
}
void add_span(Reader& message, const char* field, std::vector<Span>& out);

// prometheus.Histogram and io.prometheus.write.v2.Histogram have the same fields; 17 (start timestamp) only occurs in
// the latter.
void read_histogram(std::string_view bytes, HistogramParts& parts, std::int64_t& time, std::int64_t& start_time);

// Runs `decode`, turning its exceptions into bad_input "<what>: …".
template <typename Decode>
Result<> guard(std::string_view what, Decode decode) {
  try {
    decode();
    return {};
  } catch (const WireError& error) {
    return fail(ErrorKind::bad_input, std::string(what) + ": " + error.text);
  } catch (const protozero::exception& error) {
    return fail(ErrorKind::bad_input, std::string(what) + ": malformed protobuf (" + error.what() + ")");
  }
}

}  // namespace tocayo::metrics::proto
