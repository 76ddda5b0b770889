// SPDX-License-Identifier: Apache-2.0
// What discovery reads from outside: the first byte selects JSON, YAML or a DNS answer.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/scrape/discovery.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: (void)parse_target_groups_json(text, "fuzz"); break;
    case 1: (void)parse_target_groups_yaml(text, "fuzz"); break;
    default:
      for (const char* type : {"A", "AAAA", "MX", "NS", "SRV"})
        (void)parse_dns_answer(text, {{"n"}, type, 9100, std::chrono::seconds(30)}, "n");
  }
  return 0;
}
