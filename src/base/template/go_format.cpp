// SPDX-License-Identifier: Apache-2.0
// fmt's printing of values: verbs, flags, and the notes it prints for mistakes.
#include "template/go_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/labels.h"
#include "core/utf8.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

struct Flags {
  bool plus = false;
  bool minus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  bool plus_v = false;
  bool sharp_v = false;
  int width = -1;
  int precision = -1;
};

std::size_t rune_count(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(utf8::decode(text).size);
    ++count;
  }
  return count;
}

// strconv.QuoteToASCII of what Quote has made.
std::string ascii_only(std::string_view quoted) {
  std::string out;
  while (!quoted.empty()) {
    const auto rune = utf8::decode(quoted);
    if (rune.code_point < 0x80) {
      out += quoted[0];
    } else {
      out += rune.code_point < 0x10000 ? fmt::format("\\u{:04x}", rune.code_point)
                                       : fmt::format("\\U{:08x}", rune.code_point);
    }
    quoted.remove_prefix(rune.size);
  }
  return out;
}

void pad(std::string& out, const Flags& flags, std::string_view text) {
  const std::size_t runes = flags.width > 0 ? rune_count(text) : 0;
  const std::size_t fill = flags.width > 0 && runes < static_cast<std::size_t>(flags.width) ? flags.width - runes : 0;
  if (fill == 0) {
    out += text;
  } else if (flags.minus) {
    out += text;
    out.append(fill, ' ');
  } else {
    out.append(fill, flags.zero ? '0' : ' ');
    out += text;
  }
}

std::string quote_rune(std::uint32_t rune) {
  std::string text;
  utf8::append(text, rune);
  if (rune == '\'') return "'\\''";
  if (rune == '"') return "'\"'";
  std::string quoted = go_quote(text);
  quoted.front() = '\'';
  quoted.back() = '\'';
  return quoted;
}

void format_integer(std::string& out, const Flags& given, std::uint64_t magnitude, bool negative, int base, char verb,
                    bool upper) {
  Flags flags = given;
  int least = 0;
  if (flags.precision >= 0) {
    least = flags.precision;
    if (least == 0 && magnitude == 0) {
      flags.zero = false;
      pad(out, flags, std::string(std::max(flags.width, 0), ' '));
      return;
    }
  } else if (flags.zero && !flags.minus && flags.width > 0) {
    least = flags.width;
    if (negative || flags.plus || flags.space) --least;
  }
  std::string digits;
  const char* alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  do {
    digits += alphabet[magnitude % base];
    magnitude /= base;
  } while (magnitude != 0);
  if (static_cast<int>(digits.size()) < least) digits.append(least - digits.size(), '0');
  if (flags.sharp) {
    if (base == 2) digits += "b0";
    if (base == 8 && digits.back() != '0') digits += '0';
    if (base == 16) digits += upper ? "X0" : "x0";
  }
  if (verb == 'O') digits += "o0";
  if (negative) {
    digits += '-';
  } else if (flags.plus) {
    digits += '+';
  } else if (flags.space) {
    digits += ' ';
  }
  std::reverse(digits.begin(), digits.end());
  flags.zero = false;
  pad(out, flags, digits);
}

void format_float_value(std::string& out, const Flags& given, double value, char verb, int precision) {
  Flags flags = given;
  if (flags.precision >= 0) precision = flags.precision;
  std::string number;
  append_float(number, value, verb, precision);
  if (number[0] != '-' && number[0] != '+') number.insert(number.begin(), '+');
  if (flags.space && number[0] == '+' && !flags.plus) number[0] = ' ';
  if (number[1] == 'I' || number[1] == 'N') {
    flags.zero = false;
    if (number[1] == 'N' && !flags.space && !flags.plus) number.erase(0, 1);
    pad(out, flags, number);
    return;
  }
  if (flags.sharp && (verb == 'g' || verb == 'G')) {
    int wanted = precision < 0 ? 6 : std::max(precision, 1);
    const auto e = number.find_first_of("eE");
    std::string tail = e == std::string::npos ? "" : number.substr(e);
    if (e != std::string::npos) number.resize(e);
    bool point = false;
    bool counting = false;
    for (std::size_t i = 1; i < number.size(); ++i) {
      if (number[i] == '.') {
        point = true;
      } else {
        if (number[i] != '0') counting = true;
        if (counting) --wanted;
      }
    }
    if (!point) {
      if (number == "+0" || number == "-0") --wanted;
      number += '.';
    }
    if (wanted > 0) number.append(wanted, '0');
    number += tail;
  }
  if (!flags.plus && number[0] == '+') number.erase(0, 1);
  const bool sign = number[0] == '-' || number[0] == '+' || number[0] == ' ';
  if (sign && flags.zero && !flags.minus && flags.width > static_cast<int>(number.size())) {
    out += number[0];
    out.append(flags.width - number.size(), '0');
    out += number.substr(1);
    return;
  }
  pad(out, flags, number);
}

void format_string(std::string& out, const Flags& flags, std::string_view text, char verb) {
  std::string_view cut = text;
  if (flags.precision >= 0 && verb != 'x' && verb != 'X') {
    std::size_t bytes = 0;
    for (int i = 0; i < flags.precision && bytes < text.size(); ++i) bytes += utf8::decode(text.substr(bytes)).size;
    cut = text.substr(0, bytes);
  }
  if (verb == 's' || verb == 'v') {
    pad(out, flags, cut);
    return;
  }
  if (verb == 'q') {
    const bool raw = flags.sharp && cut.find_first_of("`\x7f") == std::string_view::npos &&
                     std::none_of(cut.begin(), cut.end(), [](char c) { return c >= 0 && c < ' ' && c != '\t'; });
    const std::string quoted = raw ? fmt::format("`{}`", cut) : go_quote(cut);
    pad(out, flags, flags.plus ? ascii_only(quoted) : quoted);
    return;
  }
  const char* alphabet = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  const std::size_t length = flags.precision >= 0 ? std::min<std::size_t>(text.size(), flags.precision) : text.size();
  std::string hex;
  for (std::size_t i = 0; i < length; ++i) {
    if (i > 0 && flags.space) hex += ' ';
    if (flags.sharp && (i == 0 || flags.space)) hex += verb == 'X' ? "0X" : "0x";
    const auto byte = static_cast<unsigned char>(text[i]);
    hex += alphabet[byte >> 4];
    hex += alphabet[byte & 15];
  }
  pad(out, flags, hex);
}

void print_argument(std::string& out, const Value& value, char verb, const Flags& flags, int depth);

void bad_verb(std::string& out, const Value& value, char verb, const Flags& flags) {
  out += "%!";
  out += verb;
  out += '(';
  if (value.is_none()) {
    out += "<nil>";
  } else {
    out += value.type_name();
    out += '=';
    print_argument(out, value, 'v', flags, 0);
  }
  out += ')';
}

bool print_integer(std::string& out, const Value& value, char verb, const Flags& flags) {
  const bool is_signed = value.kind != Kind::unsigned_integer;
  const bool negative = is_signed && value.integer < 0;
  const std::uint64_t magnitude = negative ? 0 - value.unsigned_integer : value.unsigned_integer;
  switch (verb) {
    case 'v':
    case 'd': format_integer(out, flags, magnitude, negative, 10, verb, false); return true;
    case 'b': format_integer(out, flags, magnitude, negative, 2, verb, false); return true;
    case 'o':
    case 'O': format_integer(out, flags, magnitude, negative, 8, verb, false); return true;
    case 'x': format_integer(out, flags, magnitude, negative, 16, verb, false); return true;
    case 'X': format_integer(out, flags, magnitude, negative, 16, verb, true); return true;
    case 'c':
    case 'q': {
      const std::uint32_t rune =
          value.unsigned_integer > 0x10FFFF ? 0xFFFD : static_cast<std::uint32_t>(value.unsigned_integer);
      std::string text;
      if (verb == 'c') {
        utf8::append(text, rune);
      } else {
        text = flags.plus ? ascii_only(quote_rune(rune)) : quote_rune(rune);
      }
      pad(out, flags, text);
      return true;
    }
    case 'U': {
      std::string text = fmt::format("U+{:04X}", value.unsigned_integer);
      if (flags.sharp && value.unsigned_integer <= 0x10FFFF &&
          utf8::is_printable(static_cast<std::uint32_t>(value.unsigned_integer))) {
        text += " '";
        utf8::append(text, static_cast<std::uint32_t>(value.unsigned_integer));
        text += '\'';
      }
      Flags without_zero = flags;
      without_zero.zero = false;
      pad(out, without_zero, text);
      return true;
    }
    default: return false;
  }
}

void print_sequence(std::string& out, const Value& value, std::span<const Value> elements, char verb,
                    const Flags& flags, int depth) {
  if (flags.sharp_v) {
    out += value.type_name();
    out += '{';
  } else {
    out += '[';
  }
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out += flags.sharp_v ? ", " : " ";
    print_argument(out, elements[i], verb, flags, depth + 1);
  }
  out += flags.sharp_v ? '}' : ']';
}

void print_map(std::string& out, const Value& value, std::span<const MapEntry> entries, char verb, const Flags& flags,
               int depth) {
  if (flags.sharp_v) {
    out += value.type_name();
    out += '{';
  } else {
    out += "map[";
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out += flags.sharp_v ? ", " : " ";
    print_argument(out, Value::of(entries[i].key), verb, flags, depth + 1);
    out += ':';
    print_argument(out, entries[i].value, verb, flags, depth + 1);
  }
  out += flags.sharp_v ? '}' : ']';
}

// Go's String method, for the verbs that take text.
bool method_text(const Value& value, std::string& text) {
  switch (value.kind) {
    case Kind::time: text = format_time(*value.time); return true;
    case Kind::duration: text = format_duration_go(value.integer); return true;
    case Kind::object: return value.object->print(text);
    default: return false;
  }
}

void print_object(std::string& out, const Value& value, char verb, const Flags& flags, int depth) {
  Arena arena;
  if (value.object->is_map()) {
    print_map(out, value, value.object->entries(arena), verb, flags, depth);
  } else if (value.object->is_list()) {
    print_sequence(out, value, value.object->elements(arena), verb, flags, depth);
  } else {
    out += "{}";
  }
}

void print_argument(std::string& out, const Value& value, char verb, const Flags& flags, int depth) {
  if (depth > 100) {
    out += "…";
    return;
  }
  if (value.is_none()) {
    if (verb == 'v' || verb == 'T') {
      pad(out, flags, "<nil>");
    } else {
      bad_verb(out, value, verb, flags);
    }
    return;
  }
  if (verb == 'T') {
    format_string(out, flags, value.type_name(), 's');
    return;
  }
  if (!flags.sharp_v && (verb == 'v' || verb == 's' || verb == 'q' || verb == 'x' || verb == 'X')) {
    std::string text;
    if (method_text(value, text)) {
      format_string(out, flags, text, verb);
      return;
    }
  }
  switch (value.kind) {
    case Kind::boolean:
      if (verb != 't' && verb != 'v') return bad_verb(out, value, verb, flags);
      return pad(out, flags, value.boolean ? "true" : "false");
    case Kind::integer:
    case Kind::unsigned_integer:
    case Kind::duration:
      if (!print_integer(out, value, verb, flags)) bad_verb(out, value, verb, flags);
      return;
    case Kind::floating:
      if (verb == 'v') return format_float_value(out, flags, value.floating, 'g', -1);
      if (verb == 'e' || verb == 'E' || verb == 'f' || verb == 'F') {
        return format_float_value(out, flags, value.floating, verb == 'F' ? 'f' : verb, 6);
      }
      if (verb == 'g' || verb == 'G' || verb == 'x' || verb == 'X') {
        return format_float_value(out, flags, value.floating, verb, -1);
      }
      return bad_verb(out, value, verb, flags);
    case Kind::string:
      if (flags.sharp_v && verb == 'v') return pad(out, flags, go_quote(value.string()));
      if (verb != 'v' && verb != 's' && verb != 'q' && verb != 'x' && verb != 'X')
        return bad_verb(out, value, verb, flags);
      return format_string(out, flags, value.string(), verb);
    case Kind::list: return print_sequence(out, value, value.elements(), verb, flags, depth);
    case Kind::map: return print_map(out, value, value.entries(), verb, flags, depth);
    case Kind::object: return print_object(out, value, verb, flags, depth);
    case Kind::time: return bad_verb(out, value, verb, flags);
    case Kind::function: out += "<func>"; return;
    case Kind::none: return;
  }
}

// The state of one Sprintf.
class Printf {
 public:
  Printf(std::string& out, std::string_view format, std::span<const Value> values, std::size_t limit)
      : out_(out), format_(format), values_(values), limit_(out.size() + limit) {}

  void run() {
    while (at_ < format_.size() && out_.size() < limit_) {
      const auto percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ >= format_.size()) break;
      ++at_;
      directive();
    }
    if (!reordered_ && next_ < values_.size()) {
      out_ += "%!(EXTRA ";
      for (std::size_t i = next_; i < values_.size(); ++i) {
        if (i > next_) out_ += ", ";
        if (values_[i].is_none()) {
          out_ += "<nil>";
        } else {
          out_ += values_[i].type_name();
          out_ += '=';
          print_argument(out_, values_[i], 'v', {}, 0);
        }
      }
      out_ += ')';
    }
    if (out_.size() > limit_) out_.resize(limit_);
  }

 private:
  // [n]: which operand comes next.
  void argument_number() {
    if (at_ >= format_.size() || format_[at_] != '[') return;
    reordered_ = true;
    const auto close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      good_index_ = false;
      ++at_;
      return;
    }
    std::size_t p = at_ + 1;
    const int number = parse_number(p);
    at_ = close + 1;
    if (number < 1 || p != close || static_cast<std::size_t>(number) > values_.size()) {
      good_index_ = false;
      return;
    }
    next_ = number - 1;
    after_index_ = true;
  }

  // -1: no digits; numbers over 1e6 count as none, as in Go.
  int parse_number(std::size_t& p) const {
    int number = -1;
    while (p < format_.size() && format_[p] >= '0' && format_[p] <= '9') {
      if (number > 1'000'000) return -1;
      number = std::max(number, 0) * 10 + (format_[p++] - '0');
    }
    return number > 1'000'000 ? -1 : number;
  }

  bool star(int& number) {
    if (next_ >= values_.size()) return false;
    const Value& value = values_[next_++];
    if (value.kind != Kind::integer || value.integer > 1'000'000 || value.integer < -1'000'000) return false;
    number = static_cast<int>(value.integer);
    return true;
  }

  void width_and_precision(Flags& flags) {
    argument_number();
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      int width = 0;
      if (!star(width)) {
        out_ += "%!(BADWIDTH)";
      } else {
        if (width < 0) {
          flags.minus = true;
          flags.zero = false;
          width = -width;
        }
        flags.width = width;
      }
      after_index_ = false;
    } else {
      flags.width = parse_number(at_);
      if (after_index_ && flags.width >= 0) good_index_ = false;
    }
    if (at_ + 1 <= format_.size() && at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      if (after_index_) good_index_ = false;
      argument_number();
      if (at_ < format_.size() && format_[at_] == '*') {
        ++at_;
        int precision = -1;
        if (!star(precision)) {
          out_ += "%!(BADPREC)";
        } else {
          flags.precision = precision < 0 ? -1 : precision;
          if (precision < 0) out_ += "%!(BADPREC)";
        }
        after_index_ = false;
      } else {
        flags.precision = std::max(parse_number(at_), 0);
      }
    }
    if (!after_index_) argument_number();
  }

  void directive() {
    Flags flags;
    after_index_ = false;
    good_index_ = true;
    for (; at_ < format_.size(); ++at_) {
      const char c = format_[at_];
      if (c == '#') {
        flags.sharp = true;
      } else if (c == '0') {
        flags.zero = true;
      } else if (c == '+') {
        flags.plus = true;
      } else if (c == '-') {
        flags.minus = true;
      } else if (c == ' ') {
        flags.space = true;
      } else {
        break;
      }
    }
    if (flags.minus) flags.zero = false;
    width_and_precision(flags);
    flags.width = std::min<long>(flags.width, static_cast<long>(limit_));
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const auto rune = utf8::decode(format_.substr(at_));
    const std::string_view verb_text = format_.substr(at_, rune.size);
    const char verb = rune.size == 1 ? verb_text[0] : '\0';
    at_ += rune.size;
    if (verb == '%') {
      out_ += '%';
    } else if (!good_index_) {
      out_ += fmt::format("%!{}(BADINDEX)", verb_text);
    } else if (next_ >= values_.size()) {
      out_ += fmt::format("%!{}(MISSING)", verb_text);
    } else {
      if (verb == 'v') {
        flags.sharp_v = flags.sharp;
        flags.plus_v = flags.plus;
        flags.sharp = flags.plus = false;
      }
      if (verb == '\0') {
        out_ += fmt::format("%!{}({}=", verb_text, values_[next_].type_name());
        print_argument(out_, values_[next_++], 'v', flags, 0);
        out_ += ')';
      } else {
        print_argument(out_, values_[next_++], verb, flags, 0);
      }
    }
  }

  std::string& out_;
  std::string_view format_;
  std::span<const Value> values_;
  std::size_t limit_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool reordered_ = false;
  bool after_index_ = false;
  bool good_index_ = true;
};

}  // namespace

void print_value(std::string& out, const Value& value) {
  switch (value.kind) {  // the common kinds without the machinery
    case Kind::none: out += "<no value>"; return;
    case Kind::string: out += value.string(); return;
    default: print_argument(out, value, 'v', {}, 0);
  }
}

void sprint(std::string& out, std::span<const Value> values) {
  bool previous_string = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_string = values[i].kind == Kind::string;
    if (i > 0 && !is_string && !previous_string) out += ' ';
    print_argument(out, values[i], 'v', {}, 0);
    previous_string = is_string;
  }
}

void sprintln(std::string& out, std::span<const Value> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    print_argument(out, values[i], 'v', {}, 0);
  }
  out += '\n';
}

void sprintf(std::string& out, std::string_view format, std::span<const Value> values, std::size_t limit) {
  Printf(out, format, values, limit).run();
}

}  // namespace tocayo::templates
