// SPDX-License-Identifier: Apache-2.0
// Label sets and matchers, as Prometheus and Loki know them.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace re2 {
class RE2;
}

namespace tocayo {

inline constexpr std::string_view kMetricName = "__name__";

struct Label {
  std::string name;
  std::string value;
  auto operator<=>(const Label&) const = default;
};

// Immutable-by-convention set of labels, sorted by name (bytewise), names unique, no empty values. Value type; not
// synchronised.
class Labels {
 public:
  Labels() = default;
  // Sorts; a later duplicate of a name wins; labels with an empty value are dropped.
  explicit Labels(std::vector<Label> labels);
  Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}
  // `labels` must already be sorted, unique and free of empty values (checked in debug builds).
  static Labels from_sorted(std::vector<Label> labels);

  bool empty() const { return labels_.empty(); }
  std::size_t size() const { return labels_.size(); }
  auto begin() const { return labels_.begin(); }
  auto end() const { return labels_.end(); }
  const Label& operator[](std::size_t i) const { return labels_[i]; }

  // The value, or "" when the label is absent (absent and empty are the same thing).
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const { return !get(name).empty(); }

  // Sets or, with an empty value, removes one label. Keeps the order.
  void set(std::string_view name, std::string_view value);
  void erase(std::string_view name) { set(name, {}); }

  // Only / all but these names (any order).
  Labels keep(std::span<const std::string> names) const;
  Labels drop(std::span<const std::string> names) const;

  // Stable across runs and machines: used for placement and equality of groups.
  std::uint64_t hash() const;
  // `{__name__="up", job="node"}`; values Go-quoted. With `metric_style`: `up{job="node"}` as Prometheus prints series.
  std::string to_string(bool metric_style = true) const;

  bool operator==(const Labels&) const = default;
  // Bytewise by (name, value) pairs, then by length: Prometheus' order of results.
  std::strong_ordering operator<=>(const Labels&) const = default;

 private:
  std::vector<Label> labels_;
};

struct LabelsHash {
  std::size_t operator()(const Labels& labels) const { return labels.hash(); }
};

// One matcher of a selector. Regexes are RE2, fully anchored, and `.` matches newline (Prometheus 3). Copies share the
// program.
class Matcher {
 public:
  enum class Type : unsigned char { equal, not_equal, regex, not_regex };

  // bad_input when the regular expression does not compile.
  static Result<Matcher> create(Type type, std::string name, std::string value);
  static Matcher equal(std::string name, std::string value);

  Type type() const { return type_; }
  const std::string& name() const { return name_; }
  const std::string& value() const { return value_; }
  bool negative() const { return type_ == Type::not_equal || type_ == Type::not_regex; }
  // Whether a series with this label value (or "" for absent) is selected. Thread-safe.
  bool matches(std::string_view value) const;
  bool matches_empty() const { return matches({}); }
  // When a positive regex is just an alternation of literals ("a|b|c"), those; else nullopt.
  const std::optional<std::vector<std::string>>& literals() const { return literals_; }
  // `name="value"`, value Go-quoted; the name quoted when it is not a classic label name.
  std::string to_string() const;

  bool operator==(const Matcher& other) const {
    return type_ == other.type_ && name_ == other.name_ && value_ == other.value_;
  }

 private:
  Matcher(Type type, std::string name, std::string value)
      : type_(type), name_(std::move(name)), value_(std::move(value)) {}

  Type type_;
  std::string name_;
  std::string value_;
  std::shared_ptr<const re2::RE2> regex_;  // shared: immutable and dear to compile
  std::optional<std::vector<std::string>> literals_;
};

// [a-zA-Z_][a-zA-Z0-9_]*  /  the same with ':'  (what needs no quotes in PromQL).
bool is_classic_label_name(std::string_view name);
bool is_classic_metric_name(std::string_view name);
bool is_valid_utf8(std::string_view bytes);
// Go's strconv.Quote.
std::string go_quote(std::string_view text);

}  // namespace tocayo
