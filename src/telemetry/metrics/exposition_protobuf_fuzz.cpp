// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/labels.h"
#include "metrics/exposition_protobuf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo;
  using namespace tocayo::metrics;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  ExpositionProtobufParser parser(body, {.classic_too = (size % 2) == 0});
  // A metric of two bytes yields at most three entries beside its buckets of two bytes each.
  for (std::size_t entries = 0; entries <= 4 * size + 4; ++entries) {
    auto event = parser.next();
    if (!event || *event == ExpositionEvent::end) return 0;
    for (const ExpositionLabel& label : parser.labels()) {
      if (!is_valid_utf8(label.name) || !is_valid_utf8(label.value)) std::abort();
    }
    if (const HistogramParts* parts = parser.histogram()) {
      auto checked = check_histogram(*parts, {});
      if (checked && !is_stale((*checked)->sum) && !(*checked)->validate()) std::abort();
    }
  }
  std::abort();
}
