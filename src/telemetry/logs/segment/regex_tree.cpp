// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/regex_tree.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace tocayo::logs {

namespace {

constexpr int kDeepest = 100;
constexpr std::size_t kMostNodes = 4096;
using Set = std::bitset<256>;

bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

Set range(int low, int high) {
  Set set;
  for (int c = low; c <= high; ++c) set.set(static_cast<std::size_t>(c));
  return set;
}
Set ascii() { return range(0, 127); }
Set digits() { return range('0', '9'); }
Set words() { return digits() | range('a', 'z') | range('A', 'Z') | range('_', '_'); }
Set spaces() { return range('\t', '\n') | range('\f', '\r') | range(' ', ' '); }

std::optional<Set> posix_class(std::string_view name) {
  const Set letters = range('a', 'z') | range('A', 'Z');
  const Set graph = range('!', '~');
  const std::array<std::pair<std::string_view, Set>, 14> known{{
      {"alnum", letters | digits()},
      {"alpha", letters},
      {"ascii", ascii()},
      {"blank", range('\t', '\t') | range(' ', ' ')},
      {"cntrl", range(0, 31) | range(127, 127)},
      {"digit", digits()},
      {"graph", graph},
      {"lower", range('a', 'z')},
      {"print", range(' ', '~')},
      {"punct", graph & ~letters & ~digits()},
      {"space", range('\t', '\r') | range(' ', ' ')},
      {"upper", range('A', 'Z')},
      {"word", words()},
      {"xdigit", digits() | range('a', 'f') | range('A', 'F')},
  }};
  for (const auto& [known_name, set] : known) {
    if (known_name == name) return set;
  }
  return std::nullopt;
}

// A class while it is read: a set of ASCII, and whether all other characters belong to it.
struct Class {
  Set set;
  bool others = false;
};

struct Flags {
  bool fold = false;
  bool dot_all = false;
  bool lines = false;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<RegexTree> parse() {
    Flags flags;
    tree_.root = alternation(flags, 0);
    if (failed_ || at_ != text_.size()) return std::nullopt;
    return std::move(tree_);
  }

 private:
  using Kind = RegexNode::Kind;

  std::uint32_t make(RegexNode node) {
    if (tree_.nodes.size() >= kMostNodes) failed_ = true;
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }
  std::uint32_t make(Kind kind) { return make(RegexNode{.kind = kind}); }
  std::uint32_t make(Kind kind, std::vector<std::uint32_t> children) {
    if (children.size() == 1) return children[0];
    return make(RegexNode{.kind = kind, .children = std::move(children)});
  }
  std::uint32_t bytes(const Set& set) { return make(RegexNode{.kind = Kind::bytes, .set = set}); }
  std::uint32_t text(std::string_view of) {
    std::vector<std::uint32_t> parts;
    for (char c : of) parts.push_back(bytes(Set().set(static_cast<unsigned char>(c))));
    return make(Kind::sequence, std::move(parts));
  }
  std::uint32_t give_up() {
    failed_ = true;
    return 0;
  }

  bool more() const { return !failed_ && at_ < text_.size(); }

  std::uint32_t alternation(Flags& flags, int depth) {
    if (depth > kDeepest) return give_up();
    std::vector<std::uint32_t> branches;
    while (true) {
      branches.push_back(sequence(flags, depth));
      if (!more() || text_[at_] != '|') break;
      ++at_;
    }
    return failed_ ? 0 : make(Kind::choice, std::move(branches));
  }

  std::uint32_t sequence(Flags& flags, int depth) {
    std::vector<std::uint32_t> parts;
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      auto part = atom(flags, depth);
      if (!part) continue;
      parts.push_back(quantified(*part));
    }
    if (parts.empty()) return make(Kind::empty);
    return failed_ ? 0 : make(Kind::sequence, std::move(parts));
  }

  // nullopt: only flags have changed.
  std::optional<std::uint32_t> atom(Flags& flags, int depth) {
    const char c = text_[at_];
    switch (c) {
      case '(': return group(flags, depth);
      case '[': return char_class(flags);
      case '.': {
        ++at_;
        return of_class({.set = flags.dot_all ? ascii() : ascii() & ~range('\n', '\n'), .others = true});
      }
      case '^': ++at_; return make(flags.lines ? Kind::begin_line : Kind::begin_text);
      case '$': ++at_; return make(flags.lines ? Kind::end_line : Kind::end_text);
      case '\\': return escape(flags);
      default: break;
    }
    if (static_cast<unsigned char>(c) < 0x80) {
      ++at_;
      return literal(c, flags);
    }
    if (flags.fold) return give_up();
    std::size_t length = 1;
    while (at_ + length < text_.size() && (static_cast<unsigned char>(text_[at_ + length]) & 0xC0) == 0x80) ++length;
    const auto rune = text_.substr(at_, length);
    at_ += length;
    return text(rune);
  }

  std::uint32_t literal(char c, const Flags& flags) {
    Class one{.set = Set().set(static_cast<unsigned char>(c))};
    if (flags.fold) return folded(one);
    return of_class(one);
  }

  std::uint32_t of_class(const Class& one) {
    if (!one.others) return bytes(one.set);
    if (one.set.none()) return make(Kind::rune);
    return make(Kind::choice, {bytes(one.set), make(Kind::rune)});
  }
  // Without regard to case: the Kelvin sign and the long s are letters of ASCII then.
  std::uint32_t folded(Class one) {
    for (int c = 'a'; c <= 'z'; ++c) {
      const auto small = static_cast<std::size_t>(c);
      const auto large = small - 32;
      if (one.set[small] || one.set[large]) one.set.set(small).set(large);
    }
    if (one.others || (!one.set['k'] && !one.set['s'])) return of_class(one);
    std::vector<std::uint32_t> choices{bytes(one.set)};
    if (one.set['k']) choices.push_back(text("\xE2\x84\xAA"));
    if (one.set['s']) choices.push_back(text("\xC5\xBF"));
    return make(Kind::choice, std::move(choices));
  }

  std::optional<Class> perl_class(char name) {
    Class out;
    switch (name) {
      case 'd':
      case 'D': out.set = digits(); break;
      case 'w':
      case 'W': out.set = words(); break;
      case 's':
      case 'S': out.set = spaces(); break;
      default: return std::nullopt;
    }
    if (upper(name)) {
      out.set = ascii() & ~out.set;
      out.others = true;
    }
    return out;
  }

  // A character behind a backslash that stands for one byte of ASCII.
  std::optional<char> escaped_character() {
    const char c = text_[at_ + 1];
    if (!digit(c) && !lower(c) && !upper(c) && static_cast<unsigned char>(c) < 0x80) {
      at_ += 2;
      return c;
    }
    at_ += 2;
    switch (c) {
      case 'a': return '\a';
      case 'f': return '\f';
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'v': return '\v';
      case 'x': {
        const bool braces = at_ < text_.size() && text_[at_] == '{';
        if (braces) ++at_;
        int value = 0;
        std::size_t count = 0;
        while (at_ < text_.size() && (braces ? text_[at_] != '}' : count < 2)) {
          const char h = text_[at_++];
          const int nibble = digit(h)               ? h - '0'
                             : h >= 'a' && h <= 'f' ? h - 'a' + 10
                             : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                                    : -1;
          if (nibble < 0 || ++count > 6) return std::nullopt;
          value = value * 16 + nibble;
        }
        if (braces) ++at_;
        if (count == 0 || value > 127) return std::nullopt;
        return static_cast<char>(value);
      }
      default: return std::nullopt;
    }
  }

  std::uint32_t escape(const Flags& flags) {
    if (at_ + 1 >= text_.size()) return give_up();
    const char c = text_[at_ + 1];
    if (auto known = perl_class(c)) {
      at_ += 2;
      if (!flags.fold || c == 'd' || c == 's' || c == 'D' || c == 'S') return of_class(*known);
      if (c == 'W') return give_up();  // which characters fold into it is not known here
      return folded(*known);
    }
    switch (c) {
      case 'b': at_ += 2; return make(Kind::word);
      case 'B': at_ += 2; return make(Kind::not_word);
      case 'A': at_ += 2; return make(Kind::begin_text);
      case 'z': at_ += 2; return make(Kind::end_text);
      default: break;
    }
    const auto one = escaped_character();
    if (!one) return give_up();
    return literal(*one, flags);
  }

  // One end of a range, or a class inside a class (then `out` has grown and there is no value).
  std::optional<char> class_member(Class& out, const Flags& flags) {
    const char c = text_[at_];
    if (c == '[' && at_ + 1 < text_.size() && text_[at_ + 1] == ':') {
      const auto close = text_.find(":]", at_ + 2);
      if (close != std::string_view::npos) {
        auto name = text_.substr(at_ + 2, close - at_ - 2);
        const bool negated = name.starts_with('^');
        if (negated) name.remove_prefix(1);
        const auto set = posix_class(name);
        if (!set || (negated && flags.fold)) {
          failed_ = true;
          return std::nullopt;
        }
        out.set |= negated ? ascii() & ~*set : *set;
        out.others = out.others || negated;
        at_ = close + 2;
        return std::nullopt;
      }
    }
    if (c == '\\') {
      if (at_ + 1 >= text_.size()) {
        failed_ = true;
        return std::nullopt;
      }
      if (auto known = perl_class(text_[at_ + 1])) {
        if (flags.fold && known->others) failed_ = true;
        out.set |= known->set;
        out.others = out.others || known->others;
        at_ += 2;
        return std::nullopt;
      }
      auto one = escaped_character();
      if (!one) failed_ = true;
      return one;
    }
    if (static_cast<unsigned char>(c) >= 0x80) {
      failed_ = true;
      return std::nullopt;
    }
    ++at_;
    return c;
  }

  std::uint32_t char_class(const Flags& flags) {
    ++at_;  // [
    bool negated = false;
    if (more() && text_[at_] == '^') {
      negated = true;
      ++at_;
    }
    Class out;
    for (bool first = true; more() && (first || text_[at_] != ']'); first = false) {
      const auto low = class_member(out, flags);
      if (failed_) return 0;
      if (!low) continue;
      char high = *low;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        Class inner;
        const auto end = class_member(inner, flags);
        if (!end) return give_up();
        high = *end;
      }
      if (high < *low) return give_up();
      out.set |= range(*low, high);
    }
    if (!more()) return give_up();
    ++at_;  // ]
    if (flags.fold) {
      if (out.others && negated) return give_up();
      if (!negated) return folded(out);
      for (int c = 'a'; c <= 'z'; ++c) {
        const auto small = static_cast<std::size_t>(c);
        if (out.set[small] || out.set[small - 32]) out.set.set(small).set(small - 32);
      }
      if (out.set['k'] || out.set['s']) return give_up();  // two characters outside ASCII would be missing
    }
    if (negated) {
      out.set = ascii() & ~out.set;
      out.others = !out.others;
    }
    if (out.set.none() && !out.others) return give_up();
    return of_class(out);
  }

  std::optional<std::uint32_t> group(Flags& flags, int depth) {
    ++at_;  // (
    Flags inner = flags;
    if (more() && text_[at_] == '?') {
      ++at_;
      if (more() && (text_[at_] == 'P' || text_[at_] == '<')) {
        at_ = text_.find('>', at_);
        if (at_ == std::string_view::npos) return give_up();
        ++at_;
      } else {
        bool on = true;
        while (more() && text_[at_] != ':' && text_[at_] != ')') {
          switch (text_[at_++]) {
            case '-': on = false; break;
            case 'i': inner.fold = on; break;
            case 's': inner.dot_all = on; break;
            case 'm': inner.lines = on; break;
            case 'U': break;
            default: return give_up();
          }
        }
        if (!more()) return give_up();
        if (text_[at_++] == ')') {
          // A repeat behind it would mean what stands before it.
          if (more() && std::string_view("*+?{").find(text_[at_]) != std::string_view::npos) return give_up();
          flags = inner;
          return std::nullopt;
        }
      }
    }
    const auto out = alternation(inner, depth + 1);
    if (!more() || text_[at_] != ')') return give_up();
    ++at_;
    return out;
  }

  std::uint32_t quantified(std::uint32_t node) {
    while (more()) {
      const char c = text_[at_];
      int least = 0;
      int most = -1;
      if (c == '*') {
        ++at_;
      } else if (c == '+') {
        least = 1;
        ++at_;
      } else if (c == '?') {
        most = 1;
        ++at_;
      } else if (c != '{' || !counts(least, most)) {
        break;
      }
      if (more() && text_[at_] == '?') ++at_;  // lazy: the same lines
      node = make(RegexNode{.kind = Kind::repeat, .least = least, .most = most, .children = {node}});
    }
    return node;
  }
  // {n}, {n,}, {n,m}; anything else is a literal brace.
  bool counts(int& least, int& most) {
    std::size_t i = at_ + 1;
    auto number = [&](int& value) {
      const auto first = i;
      value = 0;
      while (i < text_.size() && digit(text_[i]) && i - first < 6) value = value * 10 + (text_[i++] - '0');
      return i != first;
    };
    if (!number(least)) return false;
    most = least;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      if (!number(most)) most = -1;
    }
    if (i >= text_.size() || text_[i] != '}') return false;
    at_ = i + 1;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
  RegexTree tree_;
};

}  // namespace

std::optional<RegexTree> parse_regex(std::string_view text) { return Parser(text).parse(); }

}  // namespace tocayo::logs
