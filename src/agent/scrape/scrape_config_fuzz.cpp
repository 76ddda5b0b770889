// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/scrape/config.h"
#include "agent/scrape/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  auto file = parse_scrape_file({reinterpret_cast<const char*>(data), size}, "fuzz.yml", "/etc");
  if (!file) {
    // Every error names its place, here or in a file that this one leads to.
    if (!file.error().message.starts_with("fuzz.yml:") && !file.error().message.starts_with("/")) std::abort();
    return 0;
  }
  for (const auto& job : file->jobs) {
    (void)accept_header(job);
    for (const auto& group : job.static_groups) {
      for (const auto& target : group.targets) {
        auto spec = make_target(job, discovered_labels(job, target, group.labels));
        if (spec && *spec && (*spec)->timeout > (*spec)->interval) std::abort();
      }
    }
  }
  return 0;
}
