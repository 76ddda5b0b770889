// SPDX-License-Identifier: Apache-2.0
// How far each file was read and handed over, kept over restarts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/logs/tail_file.h"
#include "core/error.h"

namespace tocayo::agent {

struct Position {
  FileIdentity file;
  std::string path;  // when it was written
  std::uint64_t offset = 0;
};

// A small text file, replaced as a whole (written, fsynced, renamed) so that a crash leaves the former or the new one.
// Not thread-safe.
class Positions {
 public:
  // A file that does not exist is empty; a damaged line is left out.
  static Result<Positions> open(std::string file);

  bool fresh() const { return fresh_; }  // there was no file: the first start ever
  // Of a file by what it is; its path does not matter.
  std::optional<Position> find(int fd) const;
  void set(Position position);
  void forget(const FileIdentity& file);
  Result<> save();
  const std::vector<Position>& all() const { return list_; }

 private:
  std::string file_;
  bool fresh_ = false;
  std::vector<Position> list_;
};

}  // namespace tocayo::agent
