// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "logs/segment/bytes.h"
#include "logs/segment/column.h"
#include "logs/segment/int_page.h"

namespace tocayo::logs {

using format::Column;
using format::ColumnType;

namespace {

constexpr std::size_t kUuid = 36;

// Two digits for each byte.
constexpr std::array<char, 512> make_hex_pairs(const char* alphabet) {
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[i * 2] = alphabet[i >> 4];
    pairs[i * 2 + 1] = alphabet[i & 15];
  }
  return pairs;
}
constexpr auto kLowerPairs = make_hex_pairs("0123456789abcdef");
constexpr auto kUpperPairs = make_hex_pairs("0123456789ABCDEF");
char* unpack_hex(std::string_view bytes, std::size_t digits, bool upper, char* to) {
  const char* const pairs = upper ? kUpperPairs.data() : kLowerPairs.data();
  for (std::size_t i = 0; i + 1 < digits; i += 2)
    std::memcpy(to + i, pairs + static_cast<unsigned char>(bytes[i / 2]) * 2, 2);
  if (digits % 2 != 0) to[digits - 1] = pairs[static_cast<unsigned char>(bytes[digits / 2]) * 2];
  return to + digits;
}

}  // namespace

bool DecodedColumn::read_front(std::string_view& bytes) {
  ByteReader reader(bytes);
  if ((column_.flags & format::kAffixed) != 0) {
    prefix_ = reader.bytes();
    suffix_ = reader.bytes();
  }
  if ((column_.flags & format::kExceptions) != 0) {
    const auto n = reader.varint();
    if (n > count_) return false;
    std::uint64_t place = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto step = reader.varint();
      if (step >= count_ || (i != 0 && step == 0)) return false;
      place += step;
      if (place >= count_) return false;
      exceptions_.push_back(static_cast<std::uint32_t>(place));
      exception_texts_.push_back(reader.bytes());
    }
  }
  bytes = reader.rest();
  return reader.ok();
}

bool DecodedColumn::read_dictionary(std::string_view bytes, const DictionaryView& dictionary) {
  ByteReader reader(bytes);
  const auto distinct = reader.varint();
  if (distinct == 0 || distinct > bytes.size()) return false;
  std::uint64_t id = 0;
  for (std::uint64_t i = 0; i < distinct; ++i) {
    const auto step = reader.varint();
    if (step > 0xFFFFFFFFU || (i != 0 && step == 0)) return false;
    id += step;
    if (id > static_cast<std::uint64_t>(column_.max)) return false;
    ids_.push_back(static_cast<std::uint32_t>(id));
  }
  dictionary_ = &dictionary;
  if (!reader.ok() || ids_.front() != column_.min || !decode_ints(reader.rest(), count_, numbers_)) return false;
  return std::ranges::all_of(numbers_,
                             [&](std::int64_t n) { return n >= 0 && n < static_cast<std::int64_t>(distinct); });
}

std::span<const std::string_view> DecodedColumn::values() const {
  if (values_.size() != ids_.size()) {
    values_.reserve(ids_.size());
    for (const auto id : ids_) values_.push_back(dictionary_->at(id));
  }
  return values_;
}

bool DecodedColumn::read_raw(std::string_view bytes) {
  bytes_ = bytes;
  starts_.reserve(count_ + 1);
  starts_.push_back(0);
  if (column_.type == ColumnType::raw) {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto end = bytes.find('\0', at);
      if (end == std::string_view::npos) return false;
      at = end + 1;
      starts_.push_back(static_cast<std::uint32_t>(at));
    }
    return starts_.size() == count_ + 1;
  }
  ByteReader reader(bytes);
  const auto packed = reader.bytes();
  Numbers lengths;
  if (!reader.ok() || !decode_ints(packed, count_, lengths)) return false;
  bytes_ = reader.rest();
  std::uint64_t at = 0;
  for (auto length : lengths) {
    if (length < 0 || static_cast<std::uint64_t>(length) > bytes_.size() - at) return false;
    at += static_cast<std::uint64_t>(length);
    starts_.push_back(static_cast<std::uint32_t>(at));
  }
  return at == bytes_.size();
}

bool DecodedColumn::decode(const Column& column, std::string_view bytes, std::size_t count, const SlotKind& kind,
                           const DictionaryView& dictionary) {
  column_ = column;
  kind_ = kind;
  count_ = count;
  if (column.block == format::kNoBlock) {
    if (column.type != ColumnType::integer) return false;
    numbers_.assign(count, column.min);
    return true;
  }
  if (column.flags != 0 && !read_front(bytes)) return false;
  switch (column.type) {
    case ColumnType::constant: bytes_ = bytes; return true;
    case ColumnType::integer:
      if (!decode_ints(bytes, count, numbers_) || column.aux > 9) return false;
      if (column.aux != 0) {
        const auto power = static_cast<std::uint64_t>(kPowersOfTen[column.aux]);
        for (auto& number : numbers_) number = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) * power);
      }
      return true;
    case ColumnType::fixed:
    case ColumnType::decimal:
    case ColumnType::ipv4:
    case ColumnType::time: return decode_ints(bytes, count, numbers_);
    case ColumnType::epoch:
    case ColumnType::epoch_decimal: return column.aux <= 9 && decode_ints(bytes, count, numbers_);
    case ColumnType::dictionary: return read_dictionary(bytes, dictionary);
    case ColumnType::wide: {
      const std::size_t signs = (count + 7) / 8;
      if (bytes.size() < signs || !decode_ints(bytes.substr(0, bytes.size() - signs), count, numbers_)) return false;
      bytes_ = bytes.substr(bytes.size() - signs);
      return true;
    }
    case ColumnType::hex_lower:
    case ColumnType::hex_upper: bytes_ = bytes; return bytes.size() == count * ((column.aux + 1U) / 2);
    case ColumnType::uuid: bytes_ = bytes; return bytes.size() == count * 16;
    case ColumnType::raw:
    case ColumnType::counted: return read_raw(bytes);
  }
  return false;
}

// Room for any value that has to be made.
std::size_t DecodedColumn::most_bytes() const {
  std::size_t most = 0;
  switch (column_.type) {
    case ColumnType::integer:
    case ColumnType::epoch:
    case ColumnType::wide: most = 21; break;
    case ColumnType::fixed: most = std::max<std::size_t>(column_.aux, 20); break;
    case ColumnType::decimal:
    case ColumnType::epoch_decimal: most = column_.aux + 24U; break;
    case ColumnType::ipv4: most = 16; break;
    case ColumnType::time: most = kMostTimeBytes; break;
    case ColumnType::uuid: most = kUuid; break;
    case ColumnType::hex_lower:
    case ColumnType::hex_upper: most = column_.aux; break;
    case ColumnType::constant:
    case ColumnType::dictionary:
    case ColumnType::raw:
    case ColumnType::counted: break;
  }
  return most + prefix_.size() + suffix_.size();
}

char* DecodedColumn::write(std::size_t i, TimestampNs time, DayCache& day, char* to) const {
  std::uint64_t number = i < numbers_.size() ? static_cast<std::uint64_t>(numbers_[i]) : 0;
  switch (column_.type) {
    case ColumnType::time: return write_time(kind_, numbers_[i], time, day, to);
    case ColumnType::hex_lower:
    case ColumnType::hex_upper: {
      const std::size_t width = (column_.aux + 1U) / 2;
      return unpack_hex(bytes_.substr(i * width, width), column_.aux, column_.type == ColumnType::hex_upper, to);
    }
    case ColumnType::uuid: {
      const auto bytes = bytes_.substr(i * 16, 16);
      std::size_t at = 0;
      for (std::size_t part : {4U, 2U, 2U, 2U, 6U}) {
        if (at != 0) *to++ = '-';
        to = unpack_hex(bytes.substr(at, part), part * 2, false, to);
        at += part;
      }
      return to;
    }
    case ColumnType::integer: return std::to_chars(to, to + 20, numbers_[i]).ptr;
    case ColumnType::epoch: {
      const auto row = static_cast<std::uint64_t>(floor_units(time, kPowersOfTen[column_.aux]));
      return std::to_chars(to, to + 20, static_cast<std::int64_t>(row + number)).ptr;
    }
    case ColumnType::wide:
      if ((static_cast<unsigned char>(bytes_[i / 8]) >> (i % 8) & 1) != 0) *to++ = '-';
      return std::to_chars(to, to + 20, number).ptr;
    case ColumnType::ipv4:
      for (int part = 3; part >= 0; --part) {
        to = std::to_chars(to, to + 3, number >> (part * 8) & 255).ptr;
        if (part != 0) *to++ = '.';
      }
      return to;
    default: break;
  }
  if (column_.type == ColumnType::epoch_decimal)
    number += static_cast<std::uint64_t>(floor_units(time, kPowersOfTen[9 - column_.aux]));
  char digits[20];
  const bool negative = static_cast<std::int64_t>(number) < 0;
  const auto end = std::to_chars(digits, digits + sizeof digits, negative ? 0 - number : number).ptr;
  const auto size = static_cast<std::size_t>(end - digits);
  const std::size_t wanted = column_.aux;
  auto zeros = [&](std::size_t n) {
    std::memset(to, '0', n);
    to += n;
  };
  auto copy = [&](std::size_t from, std::size_t n) {
    std::memcpy(to, digits + from, n);
    to += n;
  };
  if (column_.type == ColumnType::fixed) {
    if (size < wanted) zeros(wanted - size);
    copy(0, size);
    return to;
  }
  if (negative) *to++ = '-';
  if (size <= wanted) {
    *to++ = '0';
    *to++ = '.';
    zeros(wanted - size);
    copy(0, size);
  } else {
    copy(0, size - wanted);
    *to++ = '.';
    copy(size - wanted, wanted);
  }
  return to;
}

void DecodedColumn::texts(std::span<const std::uint32_t> places, std::span<const TimestampNs> times, std::string& arena,
                          std::vector<std::string_view>& out) const {
  out.resize(places.size());
  switch (column_.type) {
    case ColumnType::constant: std::ranges::fill(out, bytes_); break;
    case ColumnType::dictionary:
      if (values_.empty() && places.size() * 4 < ids_.size()) {
        for (std::size_t k = 0; k < places.size(); ++k) {
          out[k] = dictionary_->at(ids_[static_cast<std::size_t>(numbers_[places[k]])]);
        }
      } else {
        const auto known = values();
        for (std::size_t k = 0; k < places.size(); ++k) out[k] = known[static_cast<std::size_t>(numbers_[places[k]])];
      }
      break;
    case ColumnType::raw:
    case ColumnType::counted: {
      const std::uint32_t ended = column_.type == ColumnType::raw ? 1 : 0;
      for (std::size_t k = 0; k < places.size(); ++k) {
        const auto i = places[k];
        out[k] = bytes_.substr(starts_[i], starts_[i + 1] - starts_[i] - ended);
      }
      break;
    }
    default: {
      arena.resize(std::max(arena.size(), most_bytes() * places.size()));
      DayCache day;
      char* to = arena.data();
      for (std::size_t k = 0; k < places.size(); ++k) {
        char* const begin = to;
        to = prefix_.copy(to, prefix_.size()) + to;
        to = write(places[k], times.empty() ? 0 : times[k], day, to);
        to = suffix_.copy(to, suffix_.size()) + to;
        out[k] = {begin, static_cast<std::size_t>(to - begin)};
      }
      break;
    }
  }
  if (exceptions_.empty()) return;
  for (std::size_t k = 0; k < places.size(); ++k) {
    const auto at = std::ranges::lower_bound(exceptions_, places[k]);
    if (at != exceptions_.end() && *at == places[k])
      out[k] = exception_texts_[static_cast<std::size_t>(at - exceptions_.begin())];
  }
}

std::string_view DecodedColumn::text(std::size_t i, TimestampNs time, std::string& scratch) const {
  const std::uint32_t place[1] = {static_cast<std::uint32_t>(i)};
  const TimestampNs times[1] = {time};
  std::vector<std::string_view> out;
  texts(place, times, scratch, out);
  return out[0];
}

}  // namespace tocayo::logs
