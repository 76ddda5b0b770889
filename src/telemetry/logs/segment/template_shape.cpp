// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/template_shape.h"

namespace tocayo::logs {

bool TemplateShape::read(std::string_view text, TemplateShape& out) {
  out.constants.clear();
  out.slots.clear();
  out.constant_bytes = 0;
  std::size_t at = 0;
  while (true) {
    const auto mark = text.find(kSlotMark, at);
    const auto constant = text.substr(at, mark == std::string_view::npos ? mark : mark - at);
    out.constants.push_back(constant);
    out.constant_bytes += constant.size();
    if (mark == std::string_view::npos) return true;
    SlotKind kind;
    if (!read_slot_mark(text, mark, kind)) return false;
    out.slots.push_back(kind);
    at = mark + kSlotMarkSize;
  }
}

std::string TemplateShape::pattern() const {
  // A slot swallows what touches it up to the next space or bracket-like byte, so that the first place of each constant
  // is the right one more often.
  std::string out(constants[0]);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    while (!out.empty() && is_token_byte(static_cast<unsigned char>(out.back())) && !out.ends_with("<_>"))
      out.pop_back();
    if (!out.ends_with("<_>")) out += "<_>";
    std::string_view next = constants[i + 1];
    while (!next.empty() && is_token_byte(static_cast<unsigned char>(next.front()))) next.remove_prefix(1);
    out += next;
  }
  return out;
}

}  // namespace tocayo::logs
