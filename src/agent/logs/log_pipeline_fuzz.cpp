// SPDX-License-Identifier: Apache-2.0
// A pipeline of a configuration file, over lines: the part before the first NUL byte is YAML, each line behind it is
// one that is run.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/logs/pipeline.h"
#include "core/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(input.find('\0'), input.size());
  auto node = tocayo::yaml::parse(input.substr(0, end), "fuzz.yml");
  if (!node) return 0;
  auto plan = PipelinePlan::parse(*node, "fuzz.yml");
  if (!plan) {
    // Every error names its place.
    if (!plan.error().message.starts_with("fuzz.yml:")) std::abort();
    return 0;
  }
  tocayo::Registry registry;
  std::uint64_t in = 0, out = 0;
  PipelineClocks clocks;
  clocks.wall = [] { return tocayo::TimestampNs{1'700'000'000'000'000'000}; };
  clocks.steady = [] { return std::chrono::steady_clock::time_point{}; };
  clocks.seed = 1;
  Pipeline pipeline(
      *plan, "job", registry, [&](LogLine line) { out += line.origin.end - line.origin.begin > 0 ? 1 : 0; }, clocks);
  auto labels = std::make_shared<const tocayo::Labels>(tocayo::Labels{{"job", "fuzz"}, {"filename", "/x"}});
  for (auto rest = input.substr(std::min(end + 1, input.size())); !rest.empty();) {
    const auto stop = std::min(rest.find('\n'), rest.size());
    LogLine line;
    line.labels = labels;
    line.text = rest.substr(0, stop);
    line.origin = {1, in, in + 1};
    ++in;
    pipeline.take(std::move(line));
    rest.remove_prefix(std::min(stop + 1, rest.size()));
  }
  pipeline.expire();
  pipeline.flush();
  std::map<std::uint32_t, std::uint64_t> held;
  pipeline.held(held);
  if (!held.empty() || out > in) std::abort();
  return 0;
}
