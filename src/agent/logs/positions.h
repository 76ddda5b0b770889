// SPDX-License-Identifier: Apache-2.0
// How far each source was read and handed over, kept over restarts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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
  // As the queues' records hold them: a key and a value for each source.
  using Mark = std::pair<std::string, std::string>;

  // A file that does not exist is empty; a damaged line is left out.
  static Result<Positions> open(std::string file);

  bool fresh() const { return fresh_; }  // there was no file: the first start ever
  // Of a file by what it is; its path does not matter.
  std::optional<Position> find(int fd) const;
  const Position* find(const FileIdentity& file) const;  // by device and inode
  void set(Position position);
  void forget(const FileIdentity& file);
  // Of the machine's journal: the cursor by the job's name; "" unknown.
  std::string cursor(const std::string& job) const;
  void set_cursor(const std::string& job, std::string cursor);
  // The last batch that this takes account of.
  std::uint64_t batch() const { return batch_; }
  void set_batch(std::uint64_t batch) { batch_ = batch; }
  Result<> save();
  std::vector<Position> all() const;
  const std::map<std::string, std::string>& cursors() const { return cursors_; }

  static Mark mark(const Position& position);
  static Mark mark(const std::string& job, const std::string& cursor);
  // False for what mark() cannot have made.
  bool apply(const Mark& mark);

 private:
  struct Inode {
    std::uint64_t device, inode;
    bool operator==(const Inode&) const = default;
  };
  struct InodeHash {
    std::size_t operator()(const Inode& i) const { return i.device * 0x9E3779B97F4A7C15ULL ^ i.inode; }
  };
  std::string file_;
  bool fresh_ = false;
  std::uint64_t batch_ = 0;
  std::unordered_map<Inode, Position, InodeHash> list_;
  std::map<std::string, std::string> cursors_;
};

// promtail's positions file: paths and offsets, journal jobs and cursors. Errors "<file>:<line>:<column>: …".
struct PromtailPositions {
  std::map<std::string, std::uint64_t> files;
  std::map<std::string, std::string> cursors;
};
Result<PromtailPositions> parse_promtail_positions(std::string_view text, const std::string& file);

}  // namespace tocayo::agent
