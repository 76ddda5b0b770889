// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/column.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "logs/segment/bytes.h"
#include "logs/segment/int_page.h"

namespace tocayo::logs {

using format::Column;
using format::ColumnType;

namespace {

constexpr std::array<std::uint8_t, 256> make_masks() {
  std::array<std::uint8_t, 256> masks{};
  masks.fill(format::kMaskOther);
  for (std::size_t c = '0'; c <= '9'; ++c) masks[c] = format::kMaskDigit;
  for (std::size_t c = 'a'; c <= 'z'; ++c) masks[c] = c <= 'f' ? format::kMaskLowerHex : format::kMaskLower;
  for (std::size_t c = 'A'; c <= 'Z'; ++c) masks[c] = c <= 'F' ? format::kMaskUpperHex : format::kMaskUpper;
  masks['.'] = format::kMaskPoint;
  for (std::size_t c : {'+', '-', '_'}) masks[c] = format::kMaskSign;
  return masks;
}
constexpr auto kMasks = make_masks();

bool only(std::uint8_t mask, unsigned allowed) { return (mask & ~allowed) == 0; }

bool canonical_integer(std::string_view text, std::int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  const std::size_t first = text[0] == '-' ? 1 : 0;
  if (text.size() == first) return false;
  return text[first] != '0' || (text.size() == 1);
}

bool fixed_integer(std::string_view text, std::int64_t& value) {
  if (text.empty() || text.size() > 18) return false;
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  return true;
}

// -?digits.digits with `places` digits behind the point and no needless zero in front.
bool decimal(std::string_view text, std::size_t places, std::int64_t& value) {
  const bool negative = text[0] == '-';
  const auto body = text.substr(negative ? 1 : 0);
  if (places == 0 || body.size() < places + 2 || body.size() > 18 || body[body.size() - places - 1] != '.')
    return false;
  if (body[0] == '0' && body[1] != '.') return false;
  value = 0;
  for (char c : body) {
    if (c == '.') continue;
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  if (negative && value == 0) return false;
  if (negative) value = -value;
  return std::ranges::count(body, '.') == 1;
}

bool ipv4(std::string_view text, std::int64_t& value) {
  value = 0;
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part != 0 && (at >= text.size() || text[at++] != '.')) return false;
    int number = 0;
    const std::size_t start = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - start < 3)
      number = number * 10 + (text[at++] - '0');
    if (at == start || number > 255 || (text[start] == '0' && at - start > 1)) return false;
    value = value * 256 + number;
  }
  return at == text.size();
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c - 'A' + 10;
}
void pack_hex(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = nibble(text[i]);
    const int low = i + 1 < text.size() ? nibble(text[i + 1]) : 0;
    out.push_back(static_cast<char>(high * 16 + low));
  }
}
void unpack_hex(std::string_view bytes, std::size_t digits, bool upper, std::string& out) {
  const char* const alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  for (std::size_t i = 0; i < digits; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i / 2]);
    out.push_back(alphabet[i % 2 == 0 ? byte >> 4 : byte & 15]);
  }
}

constexpr std::size_t kUuid = 36;
bool uuid(std::string_view text) {
  if (text.size() != kUuid) return false;
  for (std::size_t i = 0; i < kUuid; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

// Tries to read all values as numbers of one kind.
template <class Parse>
bool all_numbers(std::span<const std::string_view> values, std::vector<std::int64_t>& numbers, Parse parse) {
  numbers.clear();
  numbers.reserve(values.size());
  for (auto value : values) {
    std::int64_t number = 0;
    if (!parse(value, number)) return false;
    numbers.push_back(number);
  }
  return true;
}

void put_numbers(Column& column, EncodeContext& context) {
  const auto [low, high] = std::ranges::minmax(context.numbers);
  column.min = low;
  column.max = high;
  context.scratch.clear();
  encode_ints(context.numbers, context.scratch);
  context.sink->put(column, context.scratch, false);
}

bool number_column(std::span<const std::string_view> values, const SlotKind& kind, std::span<const TimestampNs> times,
                   Column& column, EncodeContext& context) {
  auto& numbers = context.numbers;
  if (kind.family != SlotKind::Family::token) {
    std::size_t i = 0;
    if (!all_numbers(values, numbers, [&](std::string_view text, std::int64_t& number) {
          return time_to_offset(kind, text, times[i++], number);
        })) {
      return false;
    }
    column.type = ColumnType::time;
    put_numbers(column, context);
    return true;
  }
  if (only(column.mask, format::kMaskDigit | format::kMaskSign) && all_numbers(values, numbers, canonical_integer)) {
    column.type = ColumnType::integer;
    put_numbers(column, context);
    return true;
  }
  if (column.mask == format::kMaskDigit && column.min_length == column.max_length &&
      all_numbers(values, numbers, fixed_integer)) {
    column.type = ColumnType::fixed;
    column.aux = static_cast<std::uint8_t>(column.max_length);
    put_numbers(column, context);
    return true;
  }
  if (only(column.mask, format::kMaskDigit | format::kMaskSign | format::kMaskPoint)) {
    const auto point = values[0].find('.');
    if (point != std::string_view::npos) {
      const std::size_t places = values[0].size() - point - 1;
      if (all_numbers(values, numbers,
                      [&](std::string_view text, std::int64_t& number) { return decimal(text, places, number); })) {
        column.type = ColumnType::decimal;
        column.aux = static_cast<std::uint8_t>(places);
        put_numbers(column, context);
        return true;
      }
      if (all_numbers(values, numbers, ipv4)) {
        column.type = ColumnType::ipv4;
        put_numbers(column, context);
        return true;
      }
    }
  }
  return false;
}

// Values that repeat enough, as ids of the segment's dictionary.
bool dictionary_column(std::span<const std::string_view> values, std::size_t share, Column& column,
                       EncodeContext& context) {
  constexpr std::size_t kMostValues = 1U << 20;
  constexpr std::size_t kMostBytes = 64U << 20;
  auto& dictionary = *context.dictionary;
  if (column.max_length > 1024 || dictionary.size() > kMostValues || dictionary.bytes() > kMostBytes) return false;
  StringTable distinct;
  const std::size_t most = values.size() / share + 4;
  std::size_t known = 0;
  for (auto value : values) {
    const auto before = distinct.size();
    distinct.add(value);
    if (distinct.size() != before && dictionary.find(value) != StringTable::kNone) ++known;
    if (distinct.size() - known > most) return false;
  }
  std::vector<std::uint32_t> ids(distinct.size());
  for (std::uint32_t i = 0; i < distinct.size(); ++i) ids[i] = dictionary.add(distinct.at(i));
  context.dictionary_ids->insert(context.dictionary_ids->end(), ids.begin(), ids.end());
  context.numbers.clear();
  for (auto value : values) context.numbers.push_back(ids[distinct.find(value)]);
  column.type = ColumnType::dictionary;
  put_numbers(column, context);
  return true;
}

void raw_column(std::span<const std::string_view> values, Column& column, EncodeContext& context) {
  std::string bytes;
  const bool counted =
      std::ranges::any_of(values, [](std::string_view text) { return text.find('\0') != std::string_view::npos; });
  if (counted) {
    context.numbers.clear();
    for (auto value : values) context.numbers.push_back(static_cast<std::int64_t>(value.size()));
    std::string lengths;
    encode_ints(context.numbers, lengths);
    ByteWriter(bytes).bytes(lengths);
  }
  for (auto value : values) {
    bytes.append(value);
    if (!counted) bytes.push_back('\0');
  }
  column.type = counted ? ColumnType::counted : ColumnType::raw;
  context.sink->put(column, bytes, true);
}

}  // namespace

std::uint8_t byte_mask(std::string_view text) {
  std::uint8_t mask = 0;
  for (char c : text) mask |= kMasks[static_cast<unsigned char>(c)];
  return mask;
}

bool has_token_filter(ColumnType type) {
  return type == ColumnType::raw || type == ColumnType::counted || type == ColumnType::hex_lower ||
         type == ColumnType::hex_upper || type == ColumnType::uuid;
}

Column encode_numbers(std::span<const std::int64_t> values, EncodeContext& context) {
  Column column{};
  column.type = ColumnType::integer;
  column.block = format::kNoBlock;
  context.numbers.assign(values.begin(), values.end());
  const auto [low, high] = std::ranges::minmax(values);
  if (low == high) {
    column.min = column.max = low;
    return column;
  }
  put_numbers(column, context);
  return column;
}

Column encode_column(std::span<const std::string_view> values, const SlotKind& kind, std::span<const TimestampNs> times,
                     EncodeContext& context) {
  Column column{};
  column.block = format::kNoBlock;
  column.min_length = 0xFFFFFFFF;
  bool same = true;
  for (auto value : values) {
    column.mask |= byte_mask(value);
    column.min_length = std::min(column.min_length, static_cast<std::uint32_t>(value.size()));
    column.max_length = std::max(column.max_length, static_cast<std::uint32_t>(value.size()));
    same = same && value == values[0];
  }
  if (same) {
    column.type = ColumnType::constant;
    context.sink->put(column, values[0], true);
    return column;
  }
  if (column.min_length > 0 && number_column(values, kind, times, column, context)) return column;
  const bool one_length = column.min_length == column.max_length;
  std::string bytes;
  if (one_length && column.max_length == kUuid && std::ranges::all_of(values, uuid) &&
      !dictionary_column(values, 8, column, context)) {
    for (auto value : values) {
      for (auto part :
           {value.substr(0, 8), value.substr(9, 4), value.substr(14, 4), value.substr(19, 4), value.substr(24)}) {
        pack_hex(part, bytes);
      }
    }
    column.type = ColumnType::uuid;
    context.sink->put(column, bytes, false);
    return column;
  }
  if (column.type == ColumnType::dictionary) return column;
  const bool lower = only(column.mask, format::kMaskDigit | format::kMaskLowerHex);
  const bool upper = only(column.mask, format::kMaskDigit | format::kMaskUpperHex);
  if (one_length && column.max_length >= 6 && column.max_length <= 64 && (lower || upper)) {
    if (dictionary_column(values, 8, column, context)) return column;
    for (auto value : values) pack_hex(value, bytes);
    column.type = lower ? ColumnType::hex_lower : ColumnType::hex_upper;
    column.aux = static_cast<std::uint8_t>(column.max_length);
    context.sink->put(column, bytes, false);
    return column;
  }
  if (dictionary_column(values, 4, column, context)) return column;
  raw_column(values, column, context);
  return column;
}

bool DecodedColumn::decode(const Column& column, std::string_view bytes, std::size_t count, const SlotKind& kind,
                           const DictionaryView& dictionary) {
  column_ = column;
  kind_ = kind;
  count_ = count;
  bytes_ = bytes;
  dictionary_ = &dictionary;
  numbers_.clear();
  starts_.clear();
  switch (column.type) {
    case ColumnType::constant: return true;
    case ColumnType::integer:
      if (column.block == format::kNoBlock) {
        numbers_.assign(count, column.min);
        return true;
      }
      return decode_ints(bytes, count, numbers_);
    case ColumnType::decimal:
      if (column.aux == 0 || column.aux > 17) return false;
      return decode_ints(bytes, count, numbers_);
    case ColumnType::fixed:
      if (column.aux == 0 || column.aux > 18) return false;
      return decode_ints(bytes, count, numbers_);
    case ColumnType::time:
      if (kind.family == SlotKind::Family::token) return false;
      return decode_ints(bytes, count, numbers_);
    case ColumnType::ipv4:
    case ColumnType::dictionary: return decode_ints(bytes, count, numbers_);
    case ColumnType::hex_lower:
    case ColumnType::hex_upper: return column.aux != 0 && bytes.size() == count * ((column.aux + 1U) / 2);
    case ColumnType::uuid: return bytes.size() == count * 16;
    case ColumnType::raw: {
      starts_.reserve(count + 1);
      std::size_t at = 0;
      for (std::size_t i = 0; i < count; ++i) {
        starts_.push_back(static_cast<std::uint32_t>(at));
        const auto end = bytes.find('\0', at);
        if (end == std::string_view::npos) return false;
        at = end + 1;
      }
      starts_.push_back(static_cast<std::uint32_t>(at));
      return true;
    }
    case ColumnType::counted: {
      ByteReader reader(bytes);
      const auto lengths = reader.bytes();
      if (!reader.ok() || !decode_ints(lengths, count, numbers_)) return false;
      bytes_ = reader.rest();
      std::uint64_t at = 0;
      for (std::size_t i = 0; i < count; ++i) {
        starts_.push_back(static_cast<std::uint32_t>(at));
        if (numbers_[i] < 0 || static_cast<std::uint64_t>(numbers_[i]) > bytes_.size() - at) return false;
        at += static_cast<std::uint64_t>(numbers_[i]);
      }
      starts_.push_back(static_cast<std::uint32_t>(at));
      numbers_.clear();
      return true;
    }
  }
  return false;
}

void DecodedColumn::append(std::size_t i, TimestampNs time, std::string& out) const {
  switch (column_.type) {
    case ColumnType::constant: out.append(bytes_); return;
    case ColumnType::raw: out.append(bytes_.substr(starts_[i], starts_[i + 1] - starts_[i] - 1)); return;
    case ColumnType::counted: out.append(bytes_.substr(starts_[i], starts_[i + 1] - starts_[i])); return;
    case ColumnType::dictionary: out.append(dictionary_->at(static_cast<std::uint32_t>(numbers_[i]))); return;
    case ColumnType::time: append_time(kind_, numbers_[i], time, out); return;
    case ColumnType::hex_lower:
    case ColumnType::hex_upper: {
      const std::size_t width = (column_.aux + 1U) / 2;
      unpack_hex(bytes_.substr(i * width, width), column_.aux, column_.type == ColumnType::hex_upper, out);
      return;
    }
    case ColumnType::uuid: {
      const auto bytes = bytes_.substr(i * 16, 16);
      std::size_t at = 0;
      for (std::size_t part : {4U, 2U, 2U, 2U, 6U}) {
        if (at != 0) out.push_back('-');
        unpack_hex(bytes.substr(at, part), part * 2, false, out);
        at += part;
      }
      return;
    }
    case ColumnType::integer:
    case ColumnType::fixed:
    case ColumnType::decimal:
    case ColumnType::ipv4: break;
  }
  char buffer[40];
  const std::int64_t number = numbers_[i];
  if (column_.type == ColumnType::integer) {
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    out.append(buffer, end);
    return;
  }
  if (column_.type == ColumnType::ipv4) {
    for (int part = 3; part >= 0; --part) {
      const auto end =
          std::to_chars(buffer, buffer + sizeof buffer, (static_cast<std::uint64_t>(number) >> (part * 8)) & 255).ptr;
      out.append(buffer, end);
      if (part != 0) out.push_back('.');
    }
    return;
  }
  const bool negative = number < 0;
  const auto magnitude = negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, magnitude).ptr;
  const std::string_view digits(buffer, static_cast<std::size_t>(end - buffer));
  if (column_.type == ColumnType::fixed) {
    if (digits.size() < column_.aux) out.append(column_.aux - digits.size(), '0');
    out.append(digits);
    return;
  }
  if (negative) out.push_back('-');
  const std::size_t places = column_.aux;
  if (digits.size() <= places) {
    out.append("0.");
    out.append(places - digits.size(), '0');
    out.append(digits);
  } else {
    out.append(digits.substr(0, digits.size() - places));
    out.push_back('.');
    out.append(digits.substr(digits.size() - places));
  }
}

std::string_view DecodedColumn::text(std::size_t i, TimestampNs time, std::string& scratch) const {
  switch (column_.type) {
    case ColumnType::constant: return bytes_;
    case ColumnType::raw: return bytes_.substr(starts_[i], starts_[i + 1] - starts_[i] - 1);
    case ColumnType::counted: return bytes_.substr(starts_[i], starts_[i + 1] - starts_[i]);
    case ColumnType::dictionary: return dictionary_->at(static_cast<std::uint32_t>(numbers_[i]));
    default: break;
  }
  scratch.clear();
  append(i, time, scratch);
  return scratch;
}

}  // namespace tocayo::logs
