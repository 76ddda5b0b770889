// SPDX-License-Identifier: Apache-2.0
// Encodes remote-write bodies for tests and benchmarks (independent of the server's decoder).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tocayo::testing {

struct PushSeries {
  std::vector<std::pair<std::string, std::string>> labels;  // sorted by name, incl. __name__
  std::vector<std::pair<std::int64_t, double>> samples;     // ms, value
};

// Snappy-compressed WriteRequest (remote write 1.0).
std::string remote_write_1(std::span<const PushSeries> series);
// Snappy-compressed io.prometheus.write.v2.Request.
std::string remote_write_2(std::span<const PushSeries> series);

// Headers that go with each.
std::vector<std::pair<std::string, std::string>> remote_write_headers(int version);

}  // namespace tocayo::testing
