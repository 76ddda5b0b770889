// SPDX-License-Identifier: Apache-2.0
// Lines of the usual kinds, made from a seed: for tests, fuzz seeds and benchmarks of the segment.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <random>
#include <string>

#include "core/time.h"

namespace tocayo::logs::sample {

inline std::string hex(std::mt19937_64& random, std::size_t digits) {
  std::string out;
  while (out.size() < digits) out += fmt::format("{:016x}", random());
  out.resize(digits);
  return out;
}

// A line of one of nine kinds (`kind` < kKinds) as a service would write it at `time`.
inline constexpr unsigned kKinds = 9;
inline std::string line(unsigned kind, std::mt19937_64& random, TimestampNs time) {
  auto pick = [&](std::initializer_list<const char*> of) { return *(of.begin() + random() % of.size()); };
  const auto ms = time / 1'000'000;
  const auto clock = fmt::format("{:02}:{:02}:{:02}", ms / 3600000 % 24, ms / 60000 % 60, ms / 1000 % 60);
  switch (kind) {
    case 0:
      return fmt::format("{} INFO dfs.DataNode$PacketResponder: PacketResponder {} for block blk_{}{} terminating",
                         clock, random() % 3, random() % 4 == 0 ? "" : "-", random());
    case 1:
      return fmt::format(
          "{{\"ts\":\"2026-11-25T{}.{:03}Z\",\"level\":\"{}\",\"msg\":\"request "
          "{}\",\"status\":{},\"ms\":{}.{},\"user\":\"{}\"}}",
          clock, ms % 1000, pick({"info", "info", "info", "warn", "error"}), pick({"done", "slow"}),
          pick({"200", "200", "404", "500"}), random() % 90, random() % 10, pick({"alice", "bob", "carol", "dave"}));
    case 2:
      return fmt::format("level={} caller=main.go:{} trace_id={} duration={}.{:03}s msg=\"served {}\"",
                         pick({"info", "debug", "error"}), random() % 500, hex(random, 16), random() % 3,
                         random() % 1000, pick({"/api/users", "/api/orders", "/health"}));
    case 3:
      return fmt::format("Nov 25 {} host-{} sshd[{}]: Failed password for {} from 10.{}.{}.{} port {} ssh2", clock,
                         random() % 5, random() % 30000, pick({"root", "admin", "guest"}), random() % 256,
                         random() % 256, random() % 256, 1024 + random() % 60000);
    case 4:
      return fmt::format("10.0.{}.{} - - [25/Nov/2026:{} +0000] \"GET /item/{} HTTP/1.1\" {} {}", random() % 256,
                         random() % 256, clock, random() % 10000, pick({"200", "304", "500"}), random() % 100000);
    case 5:
      return fmt::format("session {}-{}-{}-{}-{} opened for user u{:06}", hex(random, 8), hex(random, 4),
                         hex(random, 4), hex(random, 4), hex(random, 12), random() % 1000);
    case 6:
      return fmt::format("{} {}ms queue={} 0x{} {}%", pick({"flush", "compact", "merge"}), random() % 100, random() % 4,
                         hex(random, 8), random() % 100);
    case 7: {  // words that nobody has seen before
      std::string out;
      for (unsigned i = 0, n = random() % 8; i < n; ++i) {
        for (unsigned k = 0, m = 1 + random() % 9; k < m; ++k) out.push_back(static_cast<char>('a' + random() % 26));
        out.push_back(" :=/,\t\"-"[random() % 8]);
      }
      return out;
    }
    default: {  // any bytes
      std::string out(random() % 40, ' ');
      for (auto& c : out) c = static_cast<char>(random());
      return out;
    }
  }
}

}  // namespace tocayo::logs::sample
