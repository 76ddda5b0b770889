// SPDX-License-Identifier: Apache-2.0
// label_replace() and label_join(): they look at labels only, never at values.
#include <fmt/format.h>
#include <re2/re2.h>

#include <charconv>

#include "promql/eval.h"
#include "promql/function_signatures.h"

namespace tocayo::promql::eval {

namespace {

const std::string& string_arg(const Call& call, std::size_t index) {
  return unwrap(*call.args[index]).as<StringLiteral>()->value;
}

bool is_valid_label_name(std::string_view name) { return !name.empty() && is_valid_utf8(name); }

// A replacement text cut into literals and group references, in Go's syntax: $1, ${1}, $name, ${name}, $$.
class Template {
 public:
  Template(std::string_view text, const re2::RE2& regex) {
    const auto& names = regex.NamedCapturingGroups();
    while (!text.empty()) {
      const auto dollar = text.find('$');
      add_literal(text.substr(0, dollar));
      if (dollar == std::string_view::npos) return;
      text.remove_prefix(dollar + 1);
      if (text.starts_with('$')) {
        add_literal("$");
        text.remove_prefix(1);
        continue;
      }
      const bool braced = text.starts_with('{');
      std::size_t length = braced ? 1 : 0;
      while (length < text.size() && is_word(text[length])) ++length;
      const std::string_view name = text.substr(braced ? 1 : 0, length - (braced ? 1 : 0));
      if (name.empty() || (braced && (length >= text.size() || text[length] != '}'))) {
        add_literal("$");  // malformed: stands for itself
        continue;
      }
      text.remove_prefix(length + (braced ? 1 : 0));
      int group = -1;
      if (name.find_first_not_of("0123456789") == std::string_view::npos) {
        if (std::from_chars(name.data(), name.data() + name.size(), group).ec != std::errc()) group = -1;
      } else if (const auto found = names.find(std::string(name)); found != names.end()) {
        group = found->second;
      }
      parts_.push_back({{}, group});
    }
  }

  std::string expand(std::span<const re2::StringPiece> groups) const {
    std::string out;
    for (const Part& part : parts_) {
      if (part.group == kLiteral) {
        out += part.text;
      } else if (part.group >= 0 && static_cast<std::size_t>(part.group) < groups.size()) {
        const auto& group = groups[static_cast<std::size_t>(part.group)];
        out.append(group.data() == nullptr ? "" : group.data(), group.size());
      }
    }
    return out;
  }

 private:
  static constexpr int kLiteral = -2;
  struct Part {
    std::string text;
    int group;  // -1: of no group, empty
  };
  static bool is_word(char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  void add_literal(std::string_view text) {
    if (!text.empty()) parts_.push_back({std::string(text), kLiteral});
  }
  std::vector<Part> parts_;
};

void set_label(EvalSeries& series, const std::string& name, std::string_view value) {
  Labels labels = *series.labels;
  labels.set(name, value);
  series.set_labels(std::move(labels));
  if (name == kMetricName) series.drop_name = false;
}

Outcome<> stream_label_replace(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string &destination = string_arg(call, 1), &replacement = string_arg(call, 2),
                    &source = string_arg(call, 3);
  const std::string& pattern = string_arg(call, 4);
  re2::RE2::Options options;
  options.set_log_errors(false);
  const re2::RE2 regex("^(?s:" + pattern + ")$", options);
  if (!regex.ok()) return execution_error("invalid regular expression in label_replace(): " + pattern);
  if (!is_valid_label_name(destination))
    return execution_error("invalid destination label name in label_replace(): " + destination);
  const Template expansion(replacement, regex);
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);

  Batch batch = TRY_EVAL(evaluator.collect(*call.args[0], grid));
  for (EvalSeries& series : batch.series) {
    const std::string_view value = series.labels->get(source);
    const re2::StringPiece text(value.data() == nullptr ? "" : value.data(), value.size());
    if (!regex.Match(text, 0, text.size(), re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size())))
      continue;
    set_label(series, destination, expansion.expand(groups));
  }
  return evaluator.push_merged(std::move(batch.series), grid, true, sink);
}

Outcome<> stream_label_join(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  const std::string &destination = string_arg(call, 1), &separator = string_arg(call, 2);
  std::vector<std::string> sources;
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    sources.push_back(string_arg(call, i));
    if (!is_valid_label_name(sources.back()))
      return execution_error("invalid source label name in label_join(): " + sources.back());
  }
  if (!is_valid_label_name(destination))
    return execution_error("invalid destination label name in label_join(): " + destination);
  Batch batch = TRY_EVAL(evaluator.collect(*call.args[0], grid));
  for (EvalSeries& series : batch.series) {
    std::string joined;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (i > 0) joined += separator;
      joined += series.labels->get(sources[i]);
    }
    set_label(series, destination, joined);
  }
  return evaluator.push_merged(std::move(batch.series), grid, true, sink);
}

}  // namespace

Outcome<> stream_label_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  return call.function->name == "label_replace" ? stream_label_replace(evaluator, call, grid, sink)
                                                : stream_label_join(evaluator, call, grid, sink);
}

}  // namespace tocayo::promql::eval
