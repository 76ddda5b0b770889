// SPDX-License-Identifier: Apache-2.0
// A template read: constant texts around slots.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "logs/segment/tokenizer.h"

namespace tocayo::logs {

struct TemplateShape {
  std::vector<std::string_view> constants;  // slots + 1, views of the template's text
  std::vector<SlotKind> slots;
  std::size_t constant_bytes = 0;

  // False when the text is no template (damaged).
  static bool read(std::string_view text, TemplateShape& out);
  // With <_> for slots; neighbouring slots and slots in one word merged, so that it works after |>.
  std::string pattern() const;
};

}  // namespace tocayo::logs
