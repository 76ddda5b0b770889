// SPDX-License-Identifier: Apache-2.0
// Helpers of this folder's tests: a small tree of files that stands for another machine's /proc and /sys.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "agent/host/collector.h"

namespace tocayo::agent {

// A temporary directory, removed at the end.
class FixtureTree {
 public:
  FixtureTree() {
    std::string name = (std::filesystem::temp_directory_path() / "tocayo-host-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  FixtureTree(const FixtureTree&) = delete;
  ~FixtureTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  std::string path(std::string_view name = {}) const { return root_ + "/" + std::string(name); }
  // Creates or overwrites in place (an open descriptor sees the new content).
  void write(std::string_view name, std::string_view content) {
    std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  }
  void remove(std::string_view name) { std::filesystem::remove_all(path(name)); }
  void link(std::string_view name, std::string_view target) {
    std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink(target, file);
  }

 private:
  std::string root_;
};

}  // namespace tocayo::agent
