// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/column.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

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
  return text[first] != '0' || (text.size() == 1);
}

// -?digits that need 64 bits beside the sign.
bool wide_integer(std::string_view text, std::int64_t& value) {
  const std::size_t first = !text.empty() && text[0] == '-' ? 1 : 0;
  std::uint64_t magnitude = 0;
  const char* const begin = text.data() + first;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), magnitude);
  if (error != std::errc{} || end != text.data() + text.size() || (*begin == '0' && text.size() > 1)) return false;
  value = static_cast<std::int64_t>(magnitude);
  return true;
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
  const bool negative = text.starts_with('-');
  const auto body = text.substr(negative ? 1 : 0);
  if (places == 0 || body.size() < places + 2 || body.size() > 20 || body[body.size() - places - 1] != '.')
    return false;
  if (body[0] == '0' && body[1] != '.') return false;
  value = 0;
  for (char c : body) {
    if (c == '.') continue;
    if (c < '0' || c > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) return false;
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

// One number per value. Values that cannot be read are noted as exceptions, up to `most` of them.
template <class Parse>
bool all_numbers(std::span<const std::string_view> values, std::size_t most, EncodeContext& context, Parse parse) {
  auto& numbers = context.numbers;
  numbers.clear();
  numbers.reserve(values.size());
  context.exceptions.clear();
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    std::int64_t number = 0;
    if (values[i].empty() || !parse(values[i], number)) {
      if (context.exceptions.size() == most) return false;
      context.exceptions.push_back(i);
      number = numbers.empty() ? 0 : numbers.back();
    }
    numbers.push_back(number);
  }
  return true;
}

// What the encoders know of the values of a column.
struct Encoder {
  std::span<const std::string_view> whole;   // as they are
  std::span<const std::string_view> values;  // without what all of them share at both ends
  std::string_view prefix;
  std::string_view suffix;
  std::size_t most_exceptions = 0;
  Column& column;
  EncodeContext& context;

  // Puts what stands before the bytes of the type, then those.
  void put(ColumnType type, std::string_view bytes, bool text) {
    column.type = type;
    if (prefix.empty() && suffix.empty() && context.exceptions.empty()) {
      context.sink->put(column, bytes, text);
      return;
    }
    std::string all;
    ByteWriter writer(all);
    if (!prefix.empty() || !suffix.empty()) {
      column.flags |= format::kAffixed;
      writer.bytes(prefix);
      writer.bytes(suffix);
    }
    if (!context.exceptions.empty()) {
      column.flags |= format::kExceptions;
      writer.varint(context.exceptions.size());
      std::uint32_t before = 0;
      for (auto i : context.exceptions) {
        writer.varint(i - before);
        writer.bytes(whole[i]);
        before = i;
      }
    }
    all.append(bytes);
    context.sink->put(column, all, text);
  }
  void put_numbers(ColumnType type, std::size_t aux = 0) {
    const auto [low, high] = std::ranges::minmax(context.numbers);
    column.min = low;
    column.max = high;
    column.aux = static_cast<std::uint8_t>(aux);
    context.scratch.clear();
    encode_ints(context.numbers, context.scratch);
    put(type, context.scratch, false);
  }

  // A look at some values before all are read.
  template <class Parse>
  bool try_numbers(Parse parse) {
    if (most_exceptions != 0) {
      const std::size_t step = values.size() / 16 + 1;
      std::size_t bad = 0;
      std::int64_t number = 0;
      for (std::size_t i = 0; i < values.size(); i += step)
        bad += values[i].empty() || !parse(values[i], number) ? 1 : 0;
      if (bad > 1) return false;
    }
    return all_numbers(values, most_exceptions, context, parse);
  }

  bool numbers(const SlotKind& kind, std::span<const TimestampNs> times) {
    if (kind.family != SlotKind::Family::token) {
      const auto* first = values.data();
      if (!all_numbers(values, most_exceptions, context, [&](const std::string_view& text, std::int64_t& number) {
            return time_to_offset(kind, text, times[static_cast<std::size_t>(&text - first)], number);
          })) {
        return false;
      }
      put_numbers(ColumnType::time);
      return true;
    }
    const bool strict = most_exceptions == 0 && prefix.empty() && suffix.empty();
    const unsigned mask = strict ? column.mask : 0;  // what is known of all values
    if (only(mask, format::kMaskDigit | format::kMaskSign)) {
      if (try_numbers(canonical_integer)) {
        if (!strict || !epoch(times)) put_numbers(ColumnType::integer);
        return true;
      }
      const auto width = values[0].size();
      const bool one_width =
          strict ? column.mask == format::kMaskDigit && column.min_length == column.max_length : true;
      if (one_width && width <= 18 && try_numbers([&](std::string_view text, std::int64_t& number) {
            return text.size() == width && fixed_integer(text, number);
          })) {
        put_numbers(ColumnType::fixed, width);
        return true;
      }
      if (try_numbers(wide_integer)) {
        put_wide();
        return true;
      }
    }
    if (!only(mask, format::kMaskDigit | format::kMaskSign | format::kMaskPoint)) return false;
    const auto point = values[0].find('.');
    if (point == std::string_view::npos) return false;
    const std::size_t places = values[0].size() - point - 1;
    if (places < 18 &&
        try_numbers([&](std::string_view text, std::int64_t& number) { return decimal(text, places, number); })) {
      if (!strict || !epoch_decimal(times, places)) put_numbers(ColumnType::decimal, places);
      return true;
    }
    if (try_numbers(ipv4)) {
      put_numbers(ColumnType::ipv4);
      return true;
    }
    return false;
  }
  // Seconds, milliseconds … since 1970 that go with the rows' times.
  bool epoch(std::span<const TimestampNs> times) {
    const auto digits = column.min_length;
    if (digits != column.max_length || digits < 10 || digits > 19 || (digits - 10) % 3 != 0) return false;
    const std::size_t zeros = 9 - (digits - 10);
    return epoch(times, ColumnType::epoch, zeros, zeros);
  }
  // Seconds with a point: 1764000000.125
  bool epoch_decimal(std::span<const TimestampNs> times, std::size_t places) {
    if (column.min_length != column.max_length || column.min_length != 11 + places || places > 9) return false;
    return epoch(times, ColumnType::epoch_decimal, 9 - places, places);
  }
  bool epoch(std::span<const TimestampNs> times, ColumnType type, std::size_t zeros, std::size_t aux) {
    if (times.empty()) return false;
    const std::int64_t unit = kPowersOfTen[zeros];
    const auto& numbers = context.numbers;
    std::vector<std::int64_t> offsets(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i)
      offsets[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(numbers[i]) -
                                             static_cast<std::uint64_t>(floor_units(times[i], unit)));
    const auto [low, high] = std::ranges::minmax(numbers);
    context.scratch.clear();
    encode_ints(offsets, context.scratch);
    std::string plain;
    encode_ints(numbers, plain);
    if (context.scratch.size() >= plain.size()) return false;
    column.min = low;
    column.max = high;
    column.aux = static_cast<std::uint8_t>(aux);
    put(type, context.scratch, false);
    return true;
  }
  void put_wide() {
    context.scratch.clear();
    std::string signs((values.size() + 7) / 8, '\0');
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i].starts_with('-')) signs[i / 8] = static_cast<char>(signs[i / 8] | (1 << (i % 8)));
    }
    encode_ints(context.numbers, context.scratch);
    context.scratch += signs;
    put(ColumnType::wide, context.scratch, false);
  }

  // Values that repeat enough, as ids of the segment's dictionary.
  // With `few` only where there are few different ones in all (of numbers, which pack well by themselves).
  bool dictionary(std::size_t share, bool few = false) {
    constexpr std::size_t kMostValues = 1U << 20;
    constexpr std::size_t kMostBytes = 64U << 20;
    auto& dictionary = *context.dictionary;
    context.exceptions.clear();
    if (column.max_length > 1024 || dictionary.size() > kMostValues || dictionary.bytes() > kMostBytes) return false;
    StringTable distinct;
    const std::size_t most = values.size() / share + 4;
    std::size_t known = 0;
    auto& numbers = context.numbers;
    numbers.clear();
    for (auto value : values) {
      const auto before = distinct.size();
      numbers.push_back(distinct.add(value));
      if (distinct.size() == before) continue;
      if (dictionary.find(value) != StringTable::kNone) ++known;
      if (distinct.size() - (few ? 0 : known) > most) return false;
    }
    // The column's own numbers follow the ids, so that they need few bits wherever in the dictionary the values stand.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ids(distinct.size());
    for (std::uint32_t i = 0; i < distinct.size(); ++i) ids[i] = {dictionary.add(distinct.at(i)), i};
    std::ranges::sort(ids);
    std::vector<std::int64_t> place(ids.size());
    context.scratch.clear();
    ByteWriter writer(context.scratch);
    writer.varint(ids.size());
    std::uint32_t before = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      writer.varint(ids[i].first - before);
      before = ids[i].first;
      place[ids[i].second] = static_cast<std::int64_t>(i);
    }
    column.min = ids.front().first;
    column.max = ids.back().first;
    for (auto& number : numbers) number = place[static_cast<std::size_t>(number)];
    encode_ints(numbers, context.scratch);
    put(ColumnType::dictionary, context.scratch, false);
    return true;
  }

  // UUIDs and hexadecimal digits of one length; texts that repeat are better off in the dictionary.
  bool packed(bool ask_dictionary) {
    const auto length = values[0].size();
    if (length < 6 || length > 64) return false;
    const bool as_uuid = uuid(values[0]);
    context.exceptions.clear();
    std::uint8_t mask = 0;
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      const auto of_value = byte_mask(values[i]);
      const bool fits = values[i].size() == length &&
                        (as_uuid ? uuid(values[i])
                                 : only(mask | of_value, format::kMaskDigit | format::kMaskLowerHex) ||
                                       only(mask | of_value, format::kMaskDigit | format::kMaskUpperHex));
      if (fits) {
        mask |= of_value;
        continue;
      }
      if (context.exceptions.size() == most_exceptions) return false;
      context.exceptions.push_back(i);
    }
    if (ask_dictionary) {
      auto exceptions = std::move(context.exceptions);
      if (dictionary(8)) return true;
      context.exceptions = std::move(exceptions);
    }
    std::string bytes;
    auto next = context.exceptions.begin();
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      if (next != context.exceptions.end() && *next == i) {
        ++next;
        bytes.append(as_uuid ? 16 : (length + 1) / 2, '\0');
      } else if (as_uuid) {
        for (auto [at, size] : {std::pair{0, 8}, {9, 4}, {14, 4}, {19, 4}, {24, 12}})
          pack_hex(values[i].substr(static_cast<std::size_t>(at), static_cast<std::size_t>(size)), bytes);
      } else {
        pack_hex(values[i], bytes);
      }
    }
    column.aux = static_cast<std::uint8_t>(length);
    put(as_uuid                               ? ColumnType::uuid
        : (mask & format::kMaskUpperHex) != 0 ? ColumnType::hex_upper
                                              : ColumnType::hex_lower,
        bytes, false);
    return true;
  }

  void raw() {
    context.exceptions.clear();
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
    put(counted ? ColumnType::counted : ColumnType::raw, bytes, true);
  }
};

// What all values begin and end with; digits at the border stay with the values.
std::pair<std::string_view, std::string_view> shared_ends(std::span<const std::string_view> values) {
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  auto prefix = values[0];
  for (auto value : values) {
    const auto size = std::min(prefix.size(), value.size());
    std::size_t same = 0;
    while (same < size && prefix[same] == value[same]) ++same;
    prefix = prefix.substr(0, same);
    if (prefix.empty()) break;
  }
  // Letters that hexadecimal digits may begin with are no prefix either, unless something else ends it.
  const auto end = prefix.find_last_of("-_.+");
  prefix = prefix.substr(0, end == std::string_view::npos ? 0 : end + 1);
  auto suffix = values[0].substr(prefix.size());
  for (auto value : values) {
    const auto size = std::min(suffix.size(), value.size() - prefix.size());
    std::size_t same = 0;
    while (same < size && suffix[suffix.size() - 1 - same] == value[value.size() - 1 - same]) ++same;
    suffix = suffix.substr(suffix.size() - same);
    if (suffix.empty()) break;
  }
  while (!suffix.empty() && digit(suffix.front())) suffix.remove_prefix(1);
  const auto begin = suffix.find_first_of("-_.+");
  suffix = begin == std::string_view::npos ? std::string_view() : suffix.substr(begin);
  return {prefix, suffix};
}

// Decimal zeros at the end of all numbers, in threes: times are often whole seconds, milliseconds or microseconds.
std::uint8_t shared_zeros(std::span<const std::int64_t> values) {
  for (std::uint8_t zeros : {9, 6, 3}) {
    if (std::ranges::all_of(values, [&](std::int64_t value) { return value % kPowersOfTen[zeros] == 0; })) return zeros;
  }
  return 0;
}

}  // namespace

std::uint8_t byte_mask(std::string_view text) {
  std::uint8_t mask = 0;
  for (char c : text) mask |= kMasks[static_cast<unsigned char>(c)];
  return mask;
}

bool has_token_filter(ColumnType type) {
  return type == ColumnType::raw || type == ColumnType::counted || type == ColumnType::hex_lower ||
         type == ColumnType::hex_upper || type == ColumnType::uuid || type == ColumnType::wide;
}

Column encode_numbers(std::span<const std::int64_t> values, EncodeContext& context) {
  Column column{};
  column.type = ColumnType::integer;
  column.block = format::kNoBlock;
  const auto [low, high] = std::ranges::minmax(values);
  column.min = low;
  column.max = high;
  if (low == high) return column;
  context.scratch.clear();
  column.aux = shared_zeros(values);
  if (column.aux == 0) {
    encode_ints(values, context.scratch);
  } else {
    context.numbers.assign(values.begin(), values.end());
    for (auto& number : context.numbers) number /= kPowersOfTen[column.aux];
    encode_ints(context.numbers, context.scratch);
  }
  context.sink->put(column, context.scratch, false);
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
  context.exceptions.clear();
  if (same) {
    column.type = ColumnType::constant;
    context.sink->put(column, values[0], true);
    return column;
  }
  Encoder encoder{.whole = values, .values = values, .prefix = {}, .suffix = {}, .column = column, .context = context};
  if (column.min_length > 0) {
    const bool long_numbers = only(column.mask, format::kMaskDigit | format::kMaskSign | format::kMaskPoint) &&
                              column.max_length >= 5 && kind.family == SlotKind::Family::token;
    if (long_numbers && encoder.dictionary(32, true)) return column;
    if (encoder.numbers(kind, times)) return column;
    if (column.min_length == column.max_length && encoder.packed(true)) return column;
  }
  if (encoder.dictionary(4)) return column;
  // Nearly all of one type: the rest is kept beside it.
  encoder.most_exceptions = values.size() / 50;
  if (encoder.most_exceptions != 0 && (encoder.numbers(kind, times) || encoder.packed(false))) return column;
  encoder.most_exceptions = 0;
  const auto [prefix, suffix] = shared_ends(values);
  if (!prefix.empty() || !suffix.empty()) {
    std::vector<std::string_view> inner;
    inner.reserve(values.size());
    for (auto value : values)
      inner.push_back(value.substr(prefix.size(), value.size() - prefix.size() - suffix.size()));
    Encoder of_inner{
        .whole = values, .values = inner, .prefix = prefix, .suffix = suffix, .column = column, .context = context};
    if (of_inner.numbers(SlotKind{}, {}) || of_inner.packed(false)) return column;
  }
  encoder.raw();
  return column;
}

}  // namespace tocayo::logs
