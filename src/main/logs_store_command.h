// SPDX-License-Identifier: Apache-2.0
// `tocayo logs …`: the log store's files while no server has them open.
#pragma once

#include <memory>

#include <CLI/CLI.hpp>

namespace tocayo {

// Adds the command to the program's; run() when chosen() after parsing gives the exit code.
class LogsCommands {
 public:
  explicit LogsCommands(CLI::App& program);
  ~LogsCommands();
  bool chosen() const;
  // 0: went well; 1: damage was found, or it failed.
  int run() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo
