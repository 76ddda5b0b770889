// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/labels.h"
#include "metrics/exposition_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo;
  using namespace tocayo::metrics;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  ExpositionTextParser parser(body, {});
  // Every entry takes at least one byte: more entries than bytes would be an endless loop.
  for (std::size_t entries = 0; entries <= size + 1; ++entries) {
    auto event = parser.next();
    if (!event || *event == ExpositionEvent::end) return 0;
    if (*event != ExpositionEvent::sample) continue;
    if (parser.name().empty() || parser.series().empty()) std::abort();
    for (const ExpositionLabel& label : parser.labels()) {
      if (!is_valid_utf8(label.name) || !is_valid_utf8(label.value)) std::abort();
    }
  }
  std::abort();
}
