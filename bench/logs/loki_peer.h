// SPDX-License-Identifier: Apache-2.0
// Loki beside us: the real program, one process, on a directory of its own.
#pragma once

#include <filesystem>
#include <memory>

#include "bench/logs/system.h"

namespace tocayo::bench {

struct Loki {
  System system;
  std::filesystem::path data;
  std::filesystem::path files;  // chunks and index, below `data`, without its journal
  std::unique_ptr<testing::Process> process;
  // Chunks from memory to the files; false when it does not say that it has done so.
  bool flush() const;
};

// Starts the binary that TOCAYO_BENCH_LOKI names with its documented single-binary configuration (filesystem, TSDB
// schema v13, embedded cache) and with limits that let the corpus in at any speed; null when there is none.
std::unique_ptr<Loki> start_loki(const std::filesystem::path& work);

}  // namespace tocayo::bench
