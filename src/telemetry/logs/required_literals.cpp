// SPDX-License-Identifier: Apache-2.0
#include "logs/required_literals.h"

#include <algorithm>
#include <optional>

namespace tocayo::logs {

namespace {

constexpr std::size_t kShortest = 3;
constexpr std::size_t kMostAlternatives = 64;
constexpr int kDeepest = 50;

using Any = std::vector<std::string>;

std::size_t shortest(const Any& any) {
  std::size_t length = std::string::npos;
  for (const auto& literal : any) length = std::min(length, literal.size());
  return length;
}

// Walks an expression of the usual syntax. Whatever it does not know ends the run of literal bytes, or (`give_up`) the
// whole attempt: the answer is then "nothing is known".
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  std::optional<Any> walk() {
    auto any = alternation(false, 0);
    if (give_up_ || at_ != text_.size()) return std::nullopt;
    return any;
  }
  bool folded() const { return folded_; }

 private:
  // a|b|c: every branch must give something.
  std::optional<Any> alternation(bool fold, int depth) {
    if (depth > kDeepest) give_up_ = true;
    Any all;
    bool known = true;
    while (!give_up_) {
      auto branch = sequence(fold, depth);
      if (!branch) {
        known = false;
      } else {
        all.insert(all.end(), branch->begin(), branch->end());
      }
      if (at_ < text_.size() && text_[at_] == '|') {
        ++at_;
        continue;
      }
      break;
    }
    if (!known || give_up_ || all.size() > kMostAlternatives) return std::nullopt;
    return all;
  }

  // The best of what stands one after the other. `fold` may change at a (?i) in the middle.
  std::optional<Any> sequence(bool& fold, int depth) {
    best_of scope;
    std::string run;
    auto end_run = [&] {
      offer(scope, run, fold);
      run.clear();
    };
    while (!give_up_ && at_ < text_.size() && text_[at_] != '|' && text_[at_] != ')') {
      const char c = text_[at_];
      if (c == '(') {
        end_run();
        auto inner = group(fold, depth);
        const auto repeat = quantifier();
        if (inner && repeat != Repeat::may_be_none) offer(scope, std::move(*inner));
        continue;
      }
      if (c == '[') {
        end_run();
        skip_class();
        quantifier();
        continue;
      }
      if (c == '.' || c == '^' || c == '$') {
        end_run();
        ++at_;
        quantifier();
        continue;
      }
      auto literal = character();
      if (!literal) {  // a class, an assertion: \d \b …
        end_run();
        quantifier();
        continue;
      }
      const bool breaks = fold && static_cast<unsigned char>((*literal)[0]) >= 0x80;
      const auto repeat = quantifier();
      if (breaks || repeat == Repeat::may_be_none) {
        end_run();
        continue;
      }
      run += *literal;
      if (repeat == Repeat::at_least_once) end_run();
    }
    end_run();
    return scope.best;
  }

  struct best_of {
    std::optional<Any> best;
  };
  static void offer(best_of& scope, Any any) {
    if (any.empty() || shortest(any) < kShortest) return;
    if (!scope.best || shortest(any) > shortest(*scope.best)) scope.best = std::move(any);
  }
  void offer(best_of& scope, const std::string& run, bool fold) {
    if (run.size() < kShortest) return;
    Any any{run};
    if (fold) {
      std::string lower = run;
      std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
      any = {lower};
      // The Kelvin sign and the long s fold to ASCII letters.
      if (lower.find('k') != std::string::npos) any.emplace_back("\xE2\x84\xAA");
      if (lower.find('s') != std::string::npos) any.emplace_back("\xC5\xBF");
      folded_ = true;
      // They are shorter than what is asked of a literal, and so rare that this does not matter.
      const std::size_t length = lower.size();
      if (!scope.best || length > shortest(*scope.best)) scope.best = std::move(any);
      return;
    }
    offer(scope, std::move(any));
  }

  enum class Repeat : unsigned char { once, at_least_once, may_be_none };
  Repeat quantifier() {
    Repeat repeat = Repeat::once;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '*' || c == '?') {
        // `+?` is only lazy.
        repeat = repeat == Repeat::at_least_once && c == '?' ? repeat : Repeat::may_be_none;
        ++at_;
      } else if (c == '+') {
        if (repeat == Repeat::once) repeat = Repeat::at_least_once;
        ++at_;
      } else if (c == '{') {
        const auto close = text_.find('}', at_);
        const bool counted =
            close != std::string_view::npos && close > at_ + 1 &&
            text_.substr(at_ + 1, close - at_ - 1).find_first_not_of("0123456789,") == std::string_view::npos;
        if (!counted) {  // a literal brace
          return repeat;
        }
        repeat = Repeat::may_be_none;
        at_ = close + 1;
      } else {
        break;
      }
    }
    return repeat;
  }

  std::optional<Any> group(bool& fold, int depth) {
    ++at_;  // (
    bool inner_fold = fold;
    if (at_ < text_.size() && text_[at_] == '?') {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == 'P' || text_[at_] == '<')) {
        at_ = text_.find('>', at_);
        if (at_ == std::string_view::npos) return abandon();
        ++at_;
      } else {
        bool on = true;
        while (at_ < text_.size() && text_[at_] != ':' && text_[at_] != ')') {
          const char flag = text_[at_++];
          if (flag == '-') {
            on = false;
          } else if (flag == 'i') {
            inner_fold = on;
          } else if (flag != 's' && flag != 'm' && flag != 'U') {
            return abandon();
          }
        }
        if (at_ >= text_.size()) return abandon();
        if (text_[at_] == ')') {  // (?i) holds for the rest of the enclosing group
          ++at_;
          // A repeat behind it would mean what stands before it.
          if (at_ < text_.size() && std::string_view("*+?{").find(text_[at_]) != std::string_view::npos)
            return abandon();
          fold = inner_fold;
          return std::nullopt;
        }
        ++at_;
      }
    }
    auto any = alternation(inner_fold, depth + 1);
    if (at_ >= text_.size() || text_[at_] != ')') return abandon();
    ++at_;
    return any;
  }

  void skip_class() {
    ++at_;  // [
    if (at_ < text_.size() && text_[at_] == '^') ++at_;
    if (at_ < text_.size() && text_[at_] == ']') ++at_;
    while (at_ < text_.size() && text_[at_] != ']') {
      if (text_[at_] == '\\') ++at_;
      if (text_[at_] == '[' && at_ + 1 < text_.size() && text_[at_ + 1] == ':') {
        const auto close = text_.find(":]", at_);
        if (close == std::string_view::npos) break;
        at_ = close + 1;
      }
      ++at_;
    }
    if (at_ >= text_.size()) {
      give_up_ = true;
      return;
    }
    ++at_;
  }

  // One literal character (its UTF-8 bytes), or nullopt for what is none; moves on in both cases.
  std::optional<std::string> character() {
    const char c = text_[at_];
    if (c != '\\') {
      std::size_t length = 1;
      while (at_ + length < text_.size() && (static_cast<unsigned char>(text_[at_ + length]) & 0xC0) == 0x80) ++length;
      std::string out(text_.substr(at_, length));
      at_ += length;
      return out;
    }
    if (at_ + 1 >= text_.size()) return abandon_character();
    const char escaped = text_[at_ + 1];
    const bool alphanumeric =
        (escaped >= '0' && escaped <= '9') || (escaped >= 'a' && escaped <= 'z') || (escaped >= 'A' && escaped <= 'Z');
    if (!alphanumeric && static_cast<unsigned char>(escaped) < 0x80) {
      at_ += 2;
      return std::string(1, escaped);
    }
    switch (escaped) {
      case 'd':
      case 'D':
      case 's':
      case 'S':
      case 'w':
      case 'W':
      case 'b':
      case 'B':
      case 'A':
      case 'z': at_ += 2; return std::nullopt;
      case 'n': at_ += 2; return "\n";
      case 't': at_ += 2; return "\t";
      case 'r': at_ += 2; return "\r";
      default: return abandon_character();  // \x41, \pL, \Q…\E and the like
    }
  }

  std::optional<Any> abandon() {
    give_up_ = true;
    return std::nullopt;
  }
  std::optional<std::string> abandon_character() {
    give_up_ = true;
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool give_up_ = false;
  bool folded_ = false;
};

}  // namespace

LineMatcher::Required required_literals(std::string_view regex) {
  LineMatcher::Required required;
  Walker walker(regex);
  auto any = walker.walk();
  if (!any) return required;
  required.any_of = std::move(*any);
  required.fold = walker.folded();
  if (required.fold) {
    for (auto& literal : required.any_of) {
      std::ranges::transform(literal, literal.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    }
  }
  return required;
}

}  // namespace tocayo::logs
