// SPDX-License-Identifier: Apache-2.0
// The text exposition format as the textfile collector reads it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/host/series.h"
#include "core/error.h"

namespace tocayo::agent {

struct TextSample {
  std::string name;    // as written, incl. _bucket, _sum, _count
  std::string family;  // the name of its # TYPE, else its own
  std::vector<Label> labels;
  double value = 0;
};
struct TextFamily {
  std::string name;
  std::string help;
  FamilyType type = FamilyType::untyped;
};
struct TextFile {
  std::vector<TextFamily> families;
  std::vector<TextSample> samples;
};
// Text format 0.0.4. bad_input names the line. Timestamps are refused, as node_exporter refuses them.
Result<TextFile> parse_text_file(std::string_view text);

}  // namespace tocayo::agent
