// SPDX-License-Identifier: Apache-2.0
// `pattern` and `regexp`.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "core/labels.h"
#include "core/utf8.h"
#include "logql/pipeline/parsers.h"
#include "logs/line_filter.h"

namespace tocayo::logql {
namespace {

bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool in_name(char c) { return starts_name(c) || (c >= '0' && c <= '9'); }

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

// Go's newer spelling of named groups, which this RE2 does not know: (?<name>…) becomes (?P<name>…).
std::string with_named_groups(std::string_view regex) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    out += c;
    if (c == '\\' && i + 1 < regex.size()) {
      out += regex[++i];
    } else if (c == '[' && !in_class) {
      in_class = true;
      if (i + 1 < regex.size() && regex[i + 1] == '^') out += regex[++i];
      if (i + 1 < regex.size() && regex[i + 1] == ']') out += regex[++i];
    } else if (c == ']') {
      in_class = false;
    } else if (!in_class && regex.substr(i).starts_with("(?<") && i + 3 < regex.size() && starts_name(regex[i + 3])) {
      out += "?P";
      ++i;
    }
  }
  return out;
}

// Names of groups in the text, for a message that RE2 gives only in part.
std::string repeated_name(std::string_view regex) {
  std::set<std::string_view> seen;
  for (std::size_t i = regex.find("(?P<"); i != std::string_view::npos; i = regex.find("(?P<", i + 1)) {
    const std::string_view name = regex.substr(i + 4, regex.find('>', i) - i - 4);
    if (!seen.insert(name).second) return std::string(name);
  }
  return {};
}

}  // namespace

Result<LinePattern> LinePattern::compile(std::string_view text) {
  LinePattern pattern;
  if (text.empty()) return bad("syntax error: unexpected $end, expecting IDENTIFIER or LITERAL");
  if (!is_valid_utf8(text)) return bad("the pattern is not valid UTF-8");
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '<') {
      std::size_t end = i + 1;
      if (end < text.size() && starts_name(text[end])) {
        while (end < text.size() && in_name(text[end])) ++end;
        if (end < text.size() && text[end] == '>') {
          pattern.nodes_.push_back({true, std::string(text.substr(i + 1, end - i - 1))});
          i = end + 1;
          continue;
        }
      }
    }
    if (pattern.nodes_.empty() || pattern.nodes_.back().capture) pattern.nodes_.push_back({});
    pattern.nodes_.back().text += text[i++];
  }
  std::set<std::string_view> names;
  for (const Node& node : pattern.nodes_) {
    if (node.capture && node.text != "_") names.insert(node.text);
  }
  if (names.empty()) return bad("at least one capture is required");
  for (std::size_t i = 1; i < pattern.nodes_.size(); ++i) {
    const Node& a = pattern.nodes_[i - 1];
    const Node& b = pattern.nodes_[i];
    if (a.capture && b.capture) {
      return bad(fmt::format("found consecutive capture '<{}><{}>': invalid expression", a.text, b.text));
    }
  }
  std::set<std::string_view> once;
  for (const Node& node : pattern.nodes_) {
    if (node.capture && node.text != "_" && !once.insert(node.text).second) {
      return bad(fmt::format("duplicate capture name ({}): invalid expression", node.text));
    }
  }
  return pattern;
}

PatternParser::PatternParser(const LinePattern& pattern, NameTable& names) : pattern_(pattern) {
  for (const LinePattern::Node& node : pattern.nodes()) {
    names_.push_back(node.capture && node.text != "_" ? names.intern(node.text) : nullptr);
  }
}

bool PatternParser::run(std::string_view line, ParserContext& context) {
  if (context.expect.no_labels || context.expect.all_found(context.labels) || line.empty()) return true;
  const auto nodes = pattern_.nodes();
  std::size_t i = 0;
  std::string_view rest = line;
  if (!nodes[0].capture) {
    if (!rest.starts_with(nodes[0].text)) return true;
    rest.remove_prefix(nodes[0].text.size());
    i = 1;
  }
  const auto set = [&](Name* key, std::string_view value) {
    if (key == nullptr) return true;
    Name* name = context.labels.free_name(key);
    if (!name->wanted || context.labels.extracted(name)) return true;
    context.labels.set_parsed(name, value);
    return name->watch < 0 || !context.expect.fails(*name, value, context.parser);
  };
  while (i < nodes.size()) {
    if (i + 1 == nodes.size()) return set(names_[i], rest);
    const std::size_t found = logs::find_bytes(rest, nodes[i + 1].text);
    if (found == std::string_view::npos) return set(names_[i], rest);
    if (!set(names_[i], rest.substr(0, found))) return false;
    rest.remove_prefix(found + nodes[i + 1].text.size());
    i += 2;
  }
  return true;
}

Result<RegexpParser::Program> RegexpParser::compile(std::string_view regex) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(32 << 20);
  const std::string text = with_named_groups(regex);
  if (const std::string name = repeated_name(text); !name.empty()) {
    return bad(fmt::format("duplicate extracted label name '{}'", name));
  }
  auto compiled = std::make_shared<RE2>(text, options);
  if (!compiled->ok()) return bad("error parsing regexp: " + compiled->error());
  Program program;
  program.names.resize(static_cast<std::size_t>(compiled->NumberOfCapturingGroups()));
  for (const auto& [index, name] : compiled->CapturingGroupNames()) program.names[index - 1] = name;
  if (compiled->CapturingGroupNames().empty()) return bad("at least one named capture must be supplied");
  program.regex = std::move(compiled);
  return program;
}

RegexpParser::RegexpParser(const Program& program, NameTable& names) : program_(program) {
  for (const std::string& name : program.names) {
    const std::string clean = sanitized_name(name);
    names_.push_back(clean.empty() ? nullptr : names.intern(clean));
  }
}

bool RegexpParser::run(std::string_view line, ParserContext& context) {
  if (context.expect.no_labels || context.expect.all_found(context.labels)) return true;
  if (!is_valid_utf8(line)) {  // Go sees U+FFFD for each byte that is not UTF-8
    std::string repaired;
    repaired.reserve(line.size() + 16);
    for (std::string_view rest = line; !rest.empty();) {
      const auto rune = utf8::decode(rest);
      if (rune.valid) {
        repaired += rest.substr(0, rune.size);
      } else {
        repaired += "\xEF\xBF\xBD";
      }
      rest.remove_prefix(rune.size);
    }
    line = context.arena.copy(repaired);
  }
  const int groups = static_cast<int>(names_.size()) + 1;
  auto* found = context.arena.array<re2::StringPiece>(static_cast<std::size_t>(groups));
  std::uninitialized_default_construct_n(found, groups);
  if (!program_.regex->Match({line.data(), line.size()}, 0, line.size(), RE2::UNANCHORED, found, groups)) return true;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == nullptr) continue;
    Name* name = context.labels.free_name(names_[i]);
    if (!name->wanted || context.labels.extracted(name)) continue;
    const std::string_view value(found[i + 1].data(), found[i + 1].size());
    context.labels.set_parsed(name, value);
    if (name->watch >= 0 && context.expect.fails(*name, value, context.parser)) return false;
  }
  return true;
}

}  // namespace tocayo::logql
