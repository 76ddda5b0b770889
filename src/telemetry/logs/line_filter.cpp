// SPDX-License-Identifier: Apache-2.0
#include "logs/line_filter.h"

#include <re2/re2.h>

#include <fmt/format.h>
#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>

#include "core/labels.h"
#include "logs/required_literals.h"

namespace tocayo::logs {

namespace {

struct PatternNode {
  bool capture = false;
  std::string literal;
};

// `<name>` is a capture when the name is an identifier; any other text is literal.
std::size_t capture_end(std::string_view text, std::size_t at) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  std::size_t i = at + 1;
  if (i >= text.size() || !letter(text[i])) return std::string_view::npos;
  while (i < text.size() && (letter(text[i]) || (text[i] >= '0' && text[i] <= '9'))) ++i;
  return i < text.size() && text[i] == '>' ? i + 1 : std::string_view::npos;
}

Result<std::vector<PatternNode>> parse_pattern(std::string_view text) {
  std::vector<PatternNode> nodes;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '<') {
      if (auto end = capture_end(text, i); end != std::string_view::npos) {
        auto name = text.substr(i, end - i);
        if (name != "<_>") {
          return fail(ErrorKind::bad_input, fmt::format("named captures are not allowed: found '{}'", name));
        }
        if (!nodes.empty() && nodes.back().capture) {
          return fail(ErrorKind::bad_input, "found consecutive capture '<_><_>': invalid expression");
        }
        nodes.push_back({.capture = true, .literal = {}});
        i = end;
        continue;
      }
    }
    if (nodes.empty() || nodes.back().capture) nodes.emplace_back();
    nodes.back().literal.push_back(text[i++]);
  }
  return nodes;
}

// Each literal is taken at its first place, a capture must not be empty, and a line that ends on a literal must end
// there (Loki's rule, which does not go back to try a later place).
bool pattern_matches(const std::vector<PatternNode>& nodes, std::string_view line) {
  if (line.empty() || nodes.empty()) return line.empty() && nodes.empty();
  std::size_t at = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].capture) continue;
    auto found = find_bytes(line.substr(at), nodes[i].literal);
    if (found == std::string_view::npos || (i != 0 && found == 0)) return false;
    at += found + nodes[i].literal.size();
  }
  return nodes.back().capture == (at != line.size());
}

// Go decodes each byte that is not UTF-8 as U+FFFD.
std::string repaired(std::string_view line) {
  std::string out;
  out.reserve(line.size() + 16);
  for (std::size_t i = 0; i < line.size();) {
    std::size_t length = 1;
    auto byte = static_cast<unsigned char>(line[i]);
    if (byte >= 0xF0) {
      length = 4;
    } else if (byte >= 0xE0) {
      length = 3;
    } else if (byte >= 0xC0) {
      length = 2;
    }
    auto part = line.substr(i, length);
    if (part.size() == length && is_valid_utf8(part)) {
      out.append(part);
      i += length;
    } else {
      out.append("\xEF\xBF\xBD");
      ++i;
    }
  }
  return out;
}

}  // namespace

struct LineMatcher::Program {
  LineFilter filter;
  std::vector<std::unique_ptr<re2::RE2>> regexes;
  std::vector<std::vector<PatternNode>> patterns;
  Required required;
  // The expressions for many lines at once; empty when one cannot be used so. Made when first asked for.
  mutable std::once_flag over_lines_once;
  mutable std::vector<std::unique_ptr<re2::RE2>> over_lines;

  bool found(std::string_view line) const;
  bool ready_for_many() const;
};

namespace {

Result<std::unique_ptr<re2::RE2>> compile_regex(const std::string& text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  auto regex = std::make_unique<re2::RE2>(text, options);
  if (!regex->ok()) {
    return fail(ErrorKind::bad_input, fmt::format("error parsing regexp: {}: `{}`", regex->error(), text));
  }
  return regex;
}

// The expression for a text of many lines: `^` and `$` mean the borders of lines, nothing matches a newline. Null when
// it speaks of the text's ends or of lines itself.
std::unique_ptr<re2::RE2> compile_over_lines(const std::string& text) {
  for (const char* unfit : {"\\A", "\\z", "\\Q", "\\C"}) {
    if (text.find(unfit) != std::string::npos) return nullptr;
  }
  for (auto at = text.find("(?"); at != std::string::npos; at = text.find("(?", at + 2)) {
    const auto end = text.find_first_of(":)><", at);
    if (end == std::string::npos || text.substr(at, end - at).find_first_of("m-") != std::string::npos) return nullptr;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  options.set_never_nl(true);
  auto regex = std::make_unique<re2::RE2>("(?m)" + text, options);
  return regex->ok() ? std::move(regex) : nullptr;
}

// Adds what one operand needs to the literals of the chain; false when it may match without any.
bool add_required(const LineFilter& filter, const std::string& operand, const std::vector<PatternNode>* pattern,
                  LineMatcher::Required& required) {
  switch (filter.kind) {
    case LineFilter::Kind::contains:
      if (operand.empty()) return false;
      required.any_of.push_back(operand);
      return true;
    case LineFilter::Kind::regex: {
      auto literals = required_literals(operand);
      if (literals.any_of.empty()) return false;
      required.fold |= literals.fold;
      required.any_of.insert(required.any_of.end(), literals.any_of.begin(), literals.any_of.end());
      return true;
    }
    case LineFilter::Kind::pattern: {
      const std::string* longest = nullptr;
      for (const auto& node : *pattern) {
        if (!node.capture && (longest == nullptr || node.literal.size() > longest->size())) longest = &node.literal;
      }
      if (longest == nullptr) return false;
      required.any_of.push_back(*longest);
      return true;
    }
  }
  return false;
}

}  // namespace

Result<LineMatcher> LineMatcher::create(const LineFilter& filter) {
  auto program = std::make_shared<Program>();
  program->filter = filter;
  bool known = true;
  for (const auto& operand : filter.operands) {
    const std::vector<PatternNode>* pattern = nullptr;
    if (filter.kind == LineFilter::Kind::regex) program->regexes.push_back(TRY(compile_regex(operand)));
    if (filter.kind == LineFilter::Kind::pattern) {
      program->patterns.push_back(TRY(parse_pattern(operand)));
      pattern = &program->patterns.back();
    }
    known = known && add_required(filter, operand, pattern, program->required);
  }
  if (!known) program->required = {};
  return LineMatcher(std::move(program));
}

bool LineMatcher::Program::found(std::string_view line) const {
  switch (filter.kind) {
    case LineFilter::Kind::contains:
      return std::ranges::any_of(filter.operands, [&](const std::string& operand) {
        return find_bytes(line, operand) != std::string_view::npos;
      });
    case LineFilter::Kind::regex: {
      std::optional<std::string> repair;
      if (!is_valid_utf8(line)) repair = repaired(line);
      const std::string_view text = repair ? std::string_view(*repair) : line;
      return std::ranges::any_of(regexes, [&](const auto& regex) {
        return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex);
      });
    }
    case LineFilter::Kind::pattern:
      return std::ranges::any_of(patterns, [&](const auto& nodes) { return pattern_matches(nodes, line); });
  }
  return false;
}

bool LineMatcher::matches(std::string_view line) const {
  const auto& required = program_->required;
  // A cheap look before the dear one.
  if (program_->filter.kind == LineFilter::Kind::regex && !required.any_of.empty() &&
      std::ranges::none_of(required.any_of, [&](const std::string& literal) {
        return (required.fold ? find_folded(line, literal) : find_bytes(line, literal)) != std::string_view::npos;
      })) {
    return program_->filter.negated;
  }
  return program_->found(line) != program_->filter.negated;
}

bool LineMatcher::Program::ready_for_many() const {
  if (filter.kind == LineFilter::Kind::pattern) return false;
  if (filter.kind == LineFilter::Kind::contains) {
    return std::ranges::none_of(filter.operands,
                                [](const std::string& operand) { return operand.find('\n') != std::string::npos; });
  }
  std::call_once(over_lines_once, [this] {
    for (const auto& operand : filter.operands) {
      auto regex = compile_over_lines(operand);
      if (!regex) {
        over_lines.clear();
        return;
      }
      over_lines.push_back(std::move(regex));
    }
  });
  return !over_lines.empty();
}

void LineMatcher::matches(std::string_view text, std::span<const Place> lines, std::vector<char>& passes) const {
  const bool negated = program_->filter.negated;
  // A line with a newline or with bytes that are not UTF-8 is to be looked at by itself.
  if (!program_->ready_for_many() || static_cast<std::size_t>(std::ranges::count(text, '\n')) != lines.size() ||
      (program_->filter.kind == LineFilter::Kind::regex && !is_valid_utf8(text))) {
    passes.resize(lines.size());
    for (std::size_t k = 0; k < lines.size(); ++k)
      passes[k] = matches(text.substr(lines[k].at, lines[k].length)) ? 1 : 0;
    return;
  }
  passes.assign(lines.size(), negated ? 1 : 0);
  std::vector<std::uint32_t> order;  // of the lines in memory; worked out at the first place found
  auto mark_all = [&](auto find) {
    std::size_t next = 0;  // in order
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t found = find(at);
      if (found >= text.size()) return;
      if (order.empty()) {
        order.resize(lines.size());
        std::iota(order.begin(), order.end(), 0);
        std::ranges::sort(order, {}, [&](std::uint32_t k) { return lines[k].at; });
      }
      while (next < order.size() && lines[order[next]].at + lines[order[next]].length < found) ++next;
      if (next == order.size()) return;
      const auto& line = lines[order[next]];
      passes[order[next]] = negated ? 0 : 1;
      at = line.at + line.length + 1;
    }
  };
  if (program_->filter.kind == LineFilter::Kind::contains) {
    for (const auto& operand : program_->filter.operands) {
      mark_all([&](std::size_t at) {
        const auto found = find_bytes(text.substr(at), operand);
        return found == std::string_view::npos ? found : at + found;
      });
    }
    return;
  }
  for (const auto& regex : program_->over_lines) {
    const re2::StringPiece whole(text.data(), text.size());
    mark_all([&](std::size_t at) {
      re2::StringPiece found;
      return regex->Match(whole, at, text.size(), re2::RE2::UNANCHORED, &found, 1)
                 ? static_cast<std::size_t>(found.data() - text.data())
                 : std::string_view::npos;
    });
  }
}

const LineFilter& LineMatcher::filter() const { return program_->filter; }
const LineMatcher::Required& LineMatcher::required() const { return program_->required; }

}  // namespace tocayo::logs
