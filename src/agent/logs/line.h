// SPDX-License-Identifier: Apache-2.0
// One log line on its way through a pipeline: what promtail calls an entry with its extracted map.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/labels.h"
#include "core/time.h"

namespace tocayo::agent {

// The label that names the tenant of a line; it is taken off before the line leaves.
inline constexpr std::string_view kTenantLabel = "__tenant_id__";

// Without those whose names begin with __.
Labels without_hidden(const Labels& labels);

// What a stage found: nothing (JSON's null), a truth, a number, a text.
using FieldValue = std::variant<std::monostate, bool, double, std::string>;
// As promtail turns it to text ("true", "1.5", "15000000" without exponent); nullopt of nothing.
std::optional<std::string> to_text(const FieldValue& value);

// The values by name that stages hand to each other. Begins with the line's labels, which are not copied.
class Fields {
 public:
  // The labels as they are now count as found values, in place of former ones of their names.
  void seed(std::shared_ptr<const Labels> labels);
  bool has(std::string_view name) const;
  // nullopt: absent, or nothing. The view is valid until the next change, or as long as `scratch`.
  std::optional<std::string_view> text(std::string_view name, std::string& scratch) const;
  // A number, "1.5", a duration like "20ms" in seconds, true as 1; nullopt otherwise.
  std::optional<double> number(std::string_view name) const;
  void set(std::string_view name, FieldValue value);
  void erase(std::string_view name);
  // Every present value as text; those of nothing are left out. In no certain order.
  void each(const std::function<void(std::string_view name, std::string_view text)>& visit) const;

 private:
  struct Item {
    std::string name;
    FieldValue value;
    bool erased = false;
  };
  const Item* item(std::string_view name) const;
  std::shared_ptr<const Labels> base_;  // shared with the line and all lines of its stream
  std::vector<Item> items_;             // few: searched one by one
};

// Where a line was read: bytes [begin, end) of a source. Lines that are joined span theirs.
struct Origin {
  std::uint32_t source = 0;
  std::uint64_t begin = 0, end = 0;
};

struct LogLine {
  std::shared_ptr<const Labels> labels;  // shared by the lines of a stream; replaced when a stage changes them
  Fields fields;
  TimestampNs time = 0;
  std::string text;
  std::vector<Label> metadata;  // structured metadata, in no order
  Origin origin;

  void set_label(std::string_view name, std::string_view value);
};

}  // namespace tocayo::agent
