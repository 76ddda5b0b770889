// SPDX-License-Identifier: Apache-2.0
// Whether what becomes of a row depends on few of its parts, and on which: then rows that are equal in those share one
// run of the pipeline, and a segment is read by column (logs/columns.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "logql/pipeline/pipeline.h"
#include "logql/syntax/ast.h"
#include "logs/columns.h"

namespace tocayo::logql::detail {

// Of a metric query's pipeline.
struct ColumnPlan {
  enum class Parser : unsigned char { none, json, logfmt };
  Parser parser = Parser::none;
  bool keeps_empty = false;        // logfmt --keep-empty
  std::optional<Pipeline> probe;   // the parser alone, with all labels
  bool all_names = false;          // every label of stream and metadata counts
  std::vector<std::string> names;  // else: the labels that count; sorted, each once
  std::string value_name;          // the unwrapped label, when it counts for nothing else; "" none
  Unwrap::Conversion conversion = Unwrap::Conversion::none;

  bool counts(std::string_view name) const;
};

// nullopt: no; rows have to be looked at one by one. `stages` are those that the store does not decide.
std::optional<ColumnPlan> plan_columns(std::span<const Stage> stages, const PipelineOptions& options);

// What of a template's slots the outcome depends on.
struct TemplatePlan {
  bool possible = false;             // else its rows have to be looked at one by one
  std::vector<std::uint32_t> slots;  // ascending
  // The unwrapped value is prefix + slot + suffix, and the outcome does not depend on that slot otherwise.
  struct Value {
    std::uint32_t slot;
    std::string prefix;
    std::string suffix;
  };
  std::optional<Value> value;
};

// Not thread-safe.
class TemplateReader {
 public:
  // `plan` has a parser, and must outlive this.
  explicit TemplateReader(const ColumnPlan& plan) : plan_(plan), probe_(*plan.probe) {}
  TemplatePlan read(const logs::TemplateFacts& facts);

 private:
  bool place_slots(const logs::TemplateFacts& facts);
  bool judge_json(const logs::TemplateFacts& facts);
  bool judge_logfmt(const logs::TemplateFacts& facts);

  const ColumnPlan& plan_;
  Processor probe_;
  std::string line_;                      // the template with a number for each slot
  std::vector<std::string> stand_ins_;    // those numbers
  std::vector<std::int32_t> slot_at_;     // by byte of line_: the slot it stands for, -1 for constant text
  std::vector<std::uint8_t> structural_;  // by slot: its text may change what the line is made of
};

}  // namespace tocayo::logql::detail
