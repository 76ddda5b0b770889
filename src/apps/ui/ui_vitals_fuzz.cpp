// SPDX-License-Identifier: Apache-2.0
// Reports of browsers: any bytes; what is taken is within its ranges.
#include <cstdint>
#include <cstdlib>

#include "ui/vitals.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto report = tocayo::ui::parse_vitals({reinterpret_cast<const char*>(data), size});
  if (!report) return 0;
  if (report->page.empty() || report->chunk_errors > 1000 || report->slow_interactions > 1000) std::abort();
  for (const auto& [name, value] : report->signs) {
    if (name.empty() || !(value >= 0 && value <= 600)) std::abort();
  }
  return 0;
}
