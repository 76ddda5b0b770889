// SPDX-License-Identifier: Apache-2.0
// CPU time of one host collection on this machine.
//   agent_host_bench [--text] [--rounds N] [node_exporter flags…]
// --text prints the exposition and ends; otherwise: CPU per full collection, per collector, and resident memory.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

#include "agent/host/collector.h"
#include "agent/host/host_collectors.h"
#include "agent/host/text_format.h"

namespace {

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

std::string resident() {
  tocayo::agent::Buffer buffer;
  auto text = tocayo::agent::read_file("/proc/self/smaps_rollup", buffer);
  if (!text) return "?";
  std::size_t at = text->find("Rss:");
  return at == std::string_view::npos ? "?" : std::string(text->substr(at, text->find('\n', at) - at));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tocayo::agent;
  HostOptions options;
  bool text = false;
  int rounds = 500;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--text") == 0) {
      text = true;
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (auto applied = options.apply_flag(argv[i]); !applied) {
      fmt::print(stderr, "{}\n", applied.error().message);
      return 2;
    }
  }
  auto collectors = HostCollectors::create(options);
  if (!collectors) {
    fmt::print(stderr, "{}\n", collectors.error().message);
    return 1;
  }
  if (text) {
    std::string page = host_metrics_text(**collectors, (*collectors)->enabled());
    fmt::print("{}", page);
    return 0;
  }
  Collection collection;
  (*collectors)->collect((*collectors)->enabled(), {}, collection);
  double before = cpu_seconds();
  for (int i = 0; i < rounds; ++i) (*collectors)->collect((*collectors)->enabled(), {}, collection);
  double spent = cpu_seconds() - before;
  fmt::print("full collection: {:.0f} us CPU, {} samples, {} collectors, {} rounds; {}\n", spent / rounds * 1e6,
             collection.samples.size(), collection.parts.size(), rounds, resident());
  for (const Collection::Part& part : collection.parts) {
    Selection one;
    one.set(part.collector);
    Collection result;
    double start = cpu_seconds();
    for (int i = 0; i < rounds; ++i) (*collectors)->collect(one, {}, result);
    fmt::print("  {:<18} {:8.1f} us  {:5} samples{}\n", collector_specs()[part.collector].name,
               (cpu_seconds() - start) / rounds * 1e6, part.count, part.success ? "" : "  (no success)");
  }
}
