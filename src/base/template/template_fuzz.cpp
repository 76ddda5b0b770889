// SPDX-License-Identifier: Apache-2.0
// Any bytes as a template, in text and HTML mode; layouts and durations on the way.
#include <cstdint>
#include <string_view>

#include "template/go_time.h"
#include "template/template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::templates;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const auto table = std::make_shared<const FunctionTable>();
  static const MapEntry entries[] = {{"a", Value::of("x")}, {"b", Value::of(2.5)}, {"c", Value::nil()}};
  Options options;
  options.mode = (data[0] & 1) != 0 ? Mode::html : Mode::text;
  options.missing_key = static_cast<MissingKey>((data[0] >> 1) % 3);
  options.limits.steps = 20'000;
  options.limits.output_bytes = 64 << 10;
  options.limits.memory_bytes = 1 << 20;
  if (auto compiled = Template::compile("t", text, table, options)) {
    Scratch scratch;
    std::string out;
    (void)compiled->execute("t", Value::of_map(entries), out, scratch);
  }
  (void)format_time({1700000000, 5, nullptr}, text);
  (void)parse_duration_go(text);
  (void)parse_time(text.substr(0, text.size() / 2), text.substr(text.size() / 2), nullptr);
  return 0;
}
