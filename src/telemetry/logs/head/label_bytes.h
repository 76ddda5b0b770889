// SPDX-License-Identifier: Apache-2.0
// Labels and structured metadata as one run of bytes: (varint length, name, varint length, value) for each pair, in
// ascending order of names. Equal sets have equal bytes, so hashing and comparing need no parsing.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/labels.h"
#include "logs/entry.h"

namespace tocayo::logs {

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

// Reads one varint and moves `at` behind it; false when the bytes end first or it is longer than 64 bits.
inline bool get_varint(std::string_view bytes, std::size_t& at, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Walks over the pairs. next() is false at the end and when the bytes are damaged.
class LabelCursor {
 public:
  explicit LabelCursor(std::string_view bytes) : bytes_(bytes) {}
  bool next(LabelView& pair) { return text(pair.name) && text(pair.value); }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  bool text(std::string_view& out) {
    std::uint64_t size = 0;
    if (!get_varint(bytes_, at_, size) || size > bytes_.size() - at_) return false;
    out = bytes_.substr(at_, size);
    at_ += size;
    return true;
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
};

void encode_labels(const Labels& labels, std::string& out);  // appends
void encode_labels(std::span<const LabelView> labels, std::string& out);
Labels decode_labels(std::string_view bytes);
// The value, or "".
std::string_view label_in(std::string_view bytes, std::string_view name);
// Whether these are whole pairs with ascending names and values that are not empty.
bool valid_label_bytes(std::string_view bytes);
// As Labels::operator<=>.
std::strong_ordering compare_labels(std::string_view a, std::string_view b);
// First byte of the names that are ours (store/spill.h).
inline constexpr char kReserved = '\x01';
// Whether the rows of a stream with these label bytes carry some of its labels: its first name is that byte alone.
inline bool is_spilled(std::string_view label_bytes) {
  return label_bytes.size() > 1 && label_bytes[0] == 1 && label_bytes[1] == kReserved;
}
// The labels that choose the stream group: service_name, else the first present of app, job, namespace, container.
std::uint64_t group_hash(std::string_view label_bytes);

}  // namespace tocayo::logs
