// SPDX-License-Identifier: Apache-2.0
// The set of host collectors: runs those that are asked for and hands out their samples, with node_scrape_collector_*
// beside them.
#pragma once

#include <bitset>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/options.h"
#include "agent/host/series.h"
#include "core/error.h"

namespace tocayo::agent {

struct CollectorSpec;

// Which collectors; bit = index into collector_specs().
using Selection = std::bitset<128>;

// What one collection found, collector by collector.
struct Collection {
  struct Part {
    std::size_t collector;  // index into collector_specs()
    bool success;
    std::size_t first, count;  // range of `samples`; the last two are the collector's duration and success
  };
  std::vector<Part> parts;
  std::vector<Sample> samples;
  std::chrono::nanoseconds duration{};

  std::span<const Sample> of(const Part& part) const { return std::span(samples).subspan(part.first, part.count); }
};

// Thread-safe; collections are serialised. Starts no thread before the first collection. A collector of the guarded
// lane (drivers, devices, locks of the kernel) runs on a helper thread; after a second it is left behind there,
// reported as failed and skipped until it comes back, and the others go on. The destructor waits at most a second; a
// thread that still hangs keeps its own collector alive and nothing else.
class HostCollectors {
 public:
  // bad_input when a filter does not compile.
  static Result<std::unique_ptr<HostCollectors>> create(HostOptions options);
  // The same over another table of collectors, which must outlive the set (tests: one that hangs).
  static Result<std::unique_ptr<HostCollectors>> create_with(HostOptions options, std::span<const CollectorSpec> specs);
  virtual ~HostCollectors() = default;

  // All that are switched on.
  virtual const Selection& enabled() const = 0;
  // By names, for `collect[]` and `exclude[]`. bad_input with node_exporter's words: unknown, switched off, or both
  // lists given.
  virtual Result<Selection> select(std::span<const std::string> collect,
                                   std::span<const std::string> exclude) const = 0;
  // Fills `out` (whose vectors are reused). A collector that ran less than `max_age` ago answers with what it found
  // then.
  virtual void collect(const Selection& selection, std::chrono::milliseconds max_age, Collection& out) = 0;
  virtual const HostOptions& options() const = 0;
};

// Index into collector_specs(), or -1.
int collector_index(std::string_view name);

}  // namespace tocayo::agent
