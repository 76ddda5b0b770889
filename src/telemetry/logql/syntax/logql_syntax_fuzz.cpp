// SPDX-License-Identifier: Apache-2.0
// Any text: the parser neither crashes nor hangs, and what it accepts prints to text that it reads back as the same
// tree, in both forms.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::logql;
  if (size > 4'096) return 0;
  auto expr = parse({reinterpret_cast<const char*>(data), size});
  if (!expr) return expr.error().message.empty() ? std::abort(), 0 : 0;
  const std::string line = to_string(*expr);
  for (const std::string& text : {line, format(*expr)}) {
    auto again = parse(text);
    if (!again || to_string(*again) != line) std::abort();
  }
  return 0;
}
