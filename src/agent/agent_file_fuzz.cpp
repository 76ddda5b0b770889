// SPDX-License-Identifier: Apache-2.0
// Configuration files of `tocayo agent`, of every kind.
#include <cstdint>
#include <cstdlib>

#include "agent/agent_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  std::string text = expand_environment({reinterpret_cast<const char*>(data), size});
  auto file = parse_agent_file(text, "fuzz.yml", "/etc");
  if (file) return 0;
  // Every error names its place, here or in a file that this one leads to.
  if (!file.error().message.starts_with("fuzz.yml:") && !file.error().message.starts_with("/")) std::abort();
  return 0;
}
