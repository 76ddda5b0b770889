// SPDX-License-Identifier: Apache-2.0
// Any bytes as a promqltest file: commands or an error with its line. Repetitions are cut so that inputs stay small in
// memory.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "promql/testfile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  // `x` and more than four digits would ask for millions of points.
  int digits = 0;
  for (char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 4) return 0;
  }
  auto commands = tocayo::promql::testing::parse_test_file(text);
  if (!commands && !commands.error().message.starts_with("line ")) std::abort();
  return 0;
}
