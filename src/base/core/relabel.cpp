// SPDX-License-Identifier: Apache-2.0
#include "core/relabel.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>

#include "core/text.h"
#include "core/yaml.h"

namespace tocayo {
namespace {

using Action = RelabelRule::Action;
constexpr std::string_view kActions[] = {"replace",  "keep",      "drop",      "keepequal", "dropequal", "hashmod",
                                         "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"};

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

// Full match with all groups; empty when it does not match.
std::vector<std::string_view> match(const RE2& regex, std::string_view text) {
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  if (!regex.Match(piece(text), 0, text.size(), RE2::ANCHOR_BOTH, groups.data(), static_cast<int>(groups.size())))
    return {};
  std::vector<std::string_view> result;
  for (const auto& group : groups) result.emplace_back(group.data() == nullptr ? "" : group.data(), group.size());
  return result;
}

// The low 64 bits of MD5, read big-endian, as Prometheus' hashmod does.
std::uint64_t md5_tail(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_md5(), nullptr);
  std::uint64_t value = 0;
  for (int i = 8; i < 16; ++i) value = value << 8 | digest[i];
  return value;
}

std::string joined(const Labels& labels, const RelabelRule& rule) {
  std::string value;
  for (std::size_t i = 0; i < rule.source_labels.size(); ++i) {
    if (i > 0) value += rule.separator;
    value += labels.get(rule.source_labels[i]);
  }
  return value;
}

// A label name with `$…` in it is a template, not a name.
bool is_target_label(std::string_view name) { return !name.empty() && is_valid_utf8(name); }

}  // namespace

std::string expand_template(std::string_view replacement, std::span<const std::string_view> groups, const RE2& regex) {
  std::string out;
  const std::map<std::string, int>& names = regex.NamedCapturingGroups();
  while (!replacement.empty()) {
    auto dollar = replacement.find('$');
    out += replacement.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    replacement.remove_prefix(dollar + 1);
    if (replacement.starts_with('$')) {
      out += '$';
      replacement.remove_prefix(1);
      continue;
    }
    bool brace = replacement.starts_with('{');
    std::string_view rest = brace ? replacement.substr(1) : replacement;
    std::size_t length = 0;
    while (length < rest.size() && (std::isalnum(static_cast<unsigned char>(rest[length])) || rest[length] == '_'))
      ++length;
    std::string_view name = rest.substr(0, length);
    bool closed = !brace || (length < rest.size() && rest[length] == '}');
    if (name.empty() || !closed) {
      out += '$';  // not a reference: the dollar is text
      continue;
    }
    replacement.remove_prefix(length + (brace ? 2 : 0));
    int index = -1;
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }) && name.size() < 6) {
      index = std::stoi(std::string(name));
    } else if (auto it = names.find(std::string(name)); it != names.end()) {
      index = it->second;
    }
    if (index >= 0 && static_cast<std::size_t>(index) < groups.size()) out += groups[static_cast<std::size_t>(index)];
  }
  return out;
}

Result<> compile(RelabelRule& rule) {
  auto bad = [](std::string text) { return fail(ErrorKind::bad_input, std::move(text)); };
  std::string_view name = kActions[static_cast<int>(rule.action)];
  RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  options.set_max_mem(8 << 20);
  auto program = std::make_shared<RE2>(rule.regex, options);
  if (!program->ok()) return bad("regex: " + program->error());
  rule.program = std::move(program);
  bool needs_target = rule.action == Action::replace || rule.action == Action::hashmod ||
                      rule.action == Action::lowercase || rule.action == Action::uppercase ||
                      rule.action == Action::keepequal || rule.action == Action::dropequal;
  if (needs_target && rule.target_label.empty()) {
    return bad(fmt::format("relabel configuration for {} action requires 'target_label' value", name));
  }
  if (needs_target && !is_target_label(rule.target_label)) {
    return bad(fmt::format("{} is invalid 'target_label' for {} action", go_quote(rule.target_label), name));
  }
  if (rule.action == Action::hashmod && rule.modulus == 0)
    return bad("relabel configuration for hashmod requires non-zero modulus");
  if ((rule.action == Action::lowercase || rule.action == Action::uppercase || rule.action == Action::keepequal ||
       rule.action == Action::dropequal) &&
      rule.replacement != "$1") {
    return bad(fmt::format("'replacement' can not be set for {} action", name));
  }
  if ((rule.action == Action::keepequal || rule.action == Action::dropequal) &&
      (rule.regex != "(.*)" || rule.modulus != 0 || rule.separator != ";")) {
    return bad(fmt::format("{} action requires only 'source_labels' and `target_label`, and no other fields", name));
  }
  if ((rule.action == Action::labeldrop || rule.action == Action::labelkeep) &&
      (!rule.source_labels.empty() || !rule.target_label.empty() || rule.modulus != 0 || rule.separator != ";" ||
       rule.replacement != "$1")) {
    return bad(fmt::format("{} action requires only 'regex', and no other fields", name));
  }
  return {};
}

Result<std::vector<RelabelRule>> parse_relabel_rules(const YAML::Node& list, std::string_view file) {
  std::vector<RelabelRule> rules;
  if (!list.IsDefined() || list.IsNull()) return rules;
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "a list of relabelling rules is expected"));
  for (const auto& item : list) {
    yaml::Fields fields(item, file);
    TRY(fields.open());
    RelabelRule rule;
    std::string action = "replace";
    std::int64_t modulus = 0;
    TRY(fields.read("source_labels", rule.source_labels));
    TRY(fields.read("separator", rule.separator));
    TRY(fields.read("regex", rule.regex));
    TRY(fields.read("modulus", modulus));
    TRY(fields.read("target_label", rule.target_label));
    TRY(fields.read("replacement", rule.replacement));
    TRY(fields.read("action", action));
    TRY(fields.finish());
    if (modulus < 0) return std::unexpected(fields.error("modulus", "must not be negative"));
    rule.modulus = static_cast<std::uint64_t>(modulus);
    auto found = std::find(std::begin(kActions), std::end(kActions), to_lower(action));
    if (found == std::end(kActions))
      return std::unexpected(fields.error("action", fmt::format("unknown relabel action \"{}\"", action)));
    rule.action = static_cast<Action>(found - std::begin(kActions));
    if (auto compiled = compile(rule); !compiled)
      return std::unexpected(yaml::error_at(item, file, compiled.error().message));
    rules.push_back(std::move(rule));
  }
  return rules;
}

bool relabel_step(Labels& labels, const RelabelRule& rule) {
  switch (rule.action) {
    case Action::keep: return !match(*rule.program, joined(labels, rule)).empty();
    case Action::drop: return match(*rule.program, joined(labels, rule)).empty();
    case Action::keepequal: return labels.get(rule.target_label) == joined(labels, rule);
    case Action::dropequal: return labels.get(rule.target_label) != joined(labels, rule);
    case Action::replace: {
      std::string value = joined(labels, rule);
      auto groups = match(*rule.program, value);
      if (groups.empty()) return true;
      std::string target = expand_template(rule.target_label, groups, *rule.program);
      if (!is_target_label(target)) return true;
      labels.set(target, expand_template(rule.replacement, groups, *rule.program));
      return true;
    }
    case Action::lowercase: labels.set(rule.target_label, to_lower(joined(labels, rule))); return true;
    case Action::uppercase: {
      std::string value = joined(labels, rule);
      for (char& c : value) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      }
      labels.set(rule.target_label, value);
      return true;
    }
    case Action::hashmod:
      labels.set(rule.target_label, std::to_string(md5_tail(joined(labels, rule)) % rule.modulus));
      return true;
    case Action::labelmap: {
      Labels before = labels;
      for (const Label& label : before) {
        auto groups = match(*rule.program, label.name);
        if (!groups.empty()) labels.set(expand_template(rule.replacement, groups, *rule.program), label.value);
      }
      return true;
    }
    case Action::labeldrop:
    case Action::labelkeep: {
      Labels before = labels;
      for (const Label& label : before) {
        if (match(*rule.program, label.name).empty() == (rule.action == Action::labelkeep)) labels.erase(label.name);
      }
      return true;
    }
  }
  return true;
}

bool relabel(Labels& labels, std::span<const RelabelRule> rules) {
  for (const RelabelRule& rule : rules) {
    if (!relabel_step(labels, rule)) return false;
  }
  return true;
}

}  // namespace tocayo
