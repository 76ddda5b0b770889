// SPDX-License-Identifier: Apache-2.0
// The overrides file and the limits block: no crash, and what was accepted prints as YAML that gives the same limits
// again.
#include <cstdint>
#include <cstdlib>

#include "tenancy/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::tenancy;
  if (size > 64 << 10) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Limits base = Limits::defaults(true);
  (void)parse_overrides(text, "fuzz", base);
  auto parsed = parse_limits(text, "fuzz", base);
  if (!parsed || !parsed->limits.metric_relabel_configs.empty()) return 0;
  auto again = parse_limits(to_yaml(parsed->limits, nullptr, 0), "printed", base);
  if (!again) std::abort();
  return 0;
}
