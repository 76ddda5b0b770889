// SPDX-License-Identifier: Apache-2.0
// Relabelling exactly as Prometheus does it (model/relabel): used on targets, scraped samples, remote write and ingest
// limits.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"

namespace re2 {
class RE2;
}
namespace YAML {
class Node;
}

namespace tocayo {

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$; unknown groups are empty. `groups[0]` is the whole match.
std::string expand_template(std::string_view replacement, std::span<const std::string_view> groups,
                            const re2::RE2& regex);

struct RelabelRule {
  enum class Action : unsigned char {
    replace,
    keep,
    drop,
    keepequal,
    dropequal,
    hashmod,
    labelmap,
    labeldrop,
    labelkeep,
    lowercase,
    uppercase
  };
  std::vector<std::string> source_labels;
  std::string separator = ";";
  std::string regex = "(.*)";
  std::uint64_t modulus = 0;
  std::string target_label;
  std::string replacement = "$1";
  Action action = Action::replace;
  std::shared_ptr<const re2::RE2> program;  // compiled by compile(); shared by copies
};

// Checks the rule as Prometheus does and compiles its regex (anchored, `.` matches newline). bad_input with the field's
// name.
Result<> compile(RelabelRule& rule);

// A list of rules from YAML, compiled. Errors "<file>:<line>:<column>: …".
Result<std::vector<RelabelRule>> parse_relabel_rules(const YAML::Node& list, std::string_view file);

// Applies the rules in order. Returns false when a rule dropped the label set (`labels` is then unspecified).
// Thread-safe.
bool relabel(Labels& labels, std::span<const RelabelRule> rules);

// One step of relabel() for showing how a result came about (`/api/v1/targets/relabel_steps`).
bool relabel_step(Labels& labels, const RelabelRule& rule);

}  // namespace tocayo
