// SPDX-License-Identifier: Apache-2.0
// What Pipeline::compile makes of the stages: shared by all processors, never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "logql/pipeline/ip_filter.h"
#include "logql/pipeline/parsers.h"
#include "logql/pipeline/pipeline.h"
#include "logs/line_filter.h"
#include "template/template.h"

namespace re2 {
class RE2;
}

namespace tocayo::logql {

// Names that stages use, by number; a processor has the Name of each.
using NameIndex = std::uint32_t;

struct CompiledLabelFilter {
  LabelFilter::Kind kind = LabelFilter::Kind::text;
  LabelFilter::Compare compare = LabelFilter::Compare::equal;
  NameIndex name = 0;
  enum class Special : unsigned char { none, error, error_details } special = Special::none;
  std::optional<Matcher> matcher;
  double number = 0;
  std::int64_t duration_ns = 0;
  std::uint64_t bytes = 0;
  std::optional<IpFilter> ip;
  std::vector<CompiledLabelFilter> operands;
};

struct CompiledLineFilter {
  std::optional<logs::LineMatcher> matcher;  // never negated
  std::vector<IpFilter> addresses;
  bool negated = false;
};

struct CompiledJson {};
struct CompiledJsonPaths {
  std::vector<JsonPaths::Path> paths;
};
struct CompiledLogfmt {
  bool strict = false;
  bool keep_empty = false;
};
struct CompiledLogfmtPaths {
  std::vector<LogfmtPaths::Path> paths;
  bool strict = false;
};
struct CompiledRegexp {
  RegexpParser::Program program;
};
struct CompiledPattern {
  LinePattern pattern;
};
struct CompiledUnpack {};
struct CompiledLineFormat {
  std::shared_ptr<const templates::Template> text;
  std::optional<NameIndex> simple;  // the whole template is {{.name}}
  CompiledLabelFilter::Special simple_special = CompiledLabelFilter::Special::none;
};
struct CompiledLabelFormat {
  struct Assignment {
    NameIndex name = 0;
    std::shared_ptr<const templates::Template> text;  // null: a renaming
    NameIndex source = 0;
  };
  std::vector<Assignment> assignments;
};
struct CompiledDecolorize {};
struct CompiledNames {  // drop and keep
  struct Item {
    NameIndex name = 0;
    CompiledLabelFilter::Special special = CompiledLabelFilter::Special::none;
    std::optional<Matcher> matcher;
  };
  bool keep = false;
  std::vector<Item> items;
};

using CompiledStage =
    std::variant<CompiledLineFilter, CompiledJson, CompiledJsonPaths, CompiledLogfmt, CompiledLogfmtPaths,
                 CompiledRegexp, CompiledPattern, CompiledUnpack, CompiledLabelFilter, CompiledLineFormat,
                 CompiledLabelFormat, CompiledDecolorize, CompiledNames>;

// A filter that directly follows a parser: a row whose value it refuses needs no further parsing.
struct Watch {
  std::size_t parser = 0;  // place of the stage
  NameIndex name = 0;
  const CompiledLabelFilter* filter = nullptr;
  std::int16_t next = -1;  // another one on the same name
};

struct Pipeline::Program {
  std::vector<std::string> names;
  std::vector<CompiledStage> stages;
  std::vector<Watch> watches;

  // metric queries
  bool grouped = false;
  bool without = false;
  std::vector<NameIndex> groups;  // sorted by name
  bool unwraps = false;
  NameIndex unwrap_name = 0;
  Unwrap::Conversion conversion = Unwrap::Conversion::none;
  std::vector<CompiledLabelFilter> after_unwrap;

  // hints
  bool no_labels = false;
  std::vector<std::string> required;
  bool preserve_error = false;  // __error__ is asked for by name: an error is a label like others

  bool needs_line = false;
};

// -1: the filter refuses the value; 1: it takes it; 0: it needs more than the value (a conversion fails, ip).
int decide(const CompiledLabelFilter& filter, std::string_view value);

}  // namespace tocayo::logql
