// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo;
  static const std::vector<ConfigKey> kKeys = {{"a.b", ConfigType::text, "", ""},
                                               {"a.c", ConfigType::duration, "1s", ""},
                                               {"d", ConfigType::list, "", ""},
                                               {"e", ConfigType::tree, "", ""},
                                               {"f.g", ConfigType::bytes, "1", ""}};
  auto config = Config::load(kKeys, {"f", std::string(reinterpret_cast<const char*>(data), size), {}, {}});
  if (config && !Config::load(kKeys, {"f", config->to_yaml(true), {}, {}})) __builtin_trap();
  return 0;
}
