// SPDX-License-Identifier: Apache-2.0
// Lets the collector read as soon as something was written, by inotify. What the kernel does not tell of (network and
// overlay file systems, too many watches) is found by polling as before: a wait never lasts longer than it is told to.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <stop_token>
#include <string>

namespace tocayo::agent {

// Not thread-safe, but for wake(); a stop token may be stopped from anywhere.
class FileWatch {
 public:
  FileWatch();
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // These files, and names that come and go in their directories and in `directories`. Replaces what was followed.
  void follow(const std::set<std::string>& files, std::set<std::string> directories);
  enum class Woken : unsigned char { time, written, names };
  // Until something happens, `most` is over or `stop`. Writes that follow each other closely wake it once.
  Woken wait(std::chrono::milliseconds most, std::stop_token stop);
  // Ends the wait, or the next one at once. From any thread.
  void wake() const;

 private:
  void update(const std::set<std::string>& wanted, std::uint32_t events, std::map<std::string, int>& watches);
  Woken drain();

  int inotify_ = -1;                  // -1: not available
  int stopped_ = -1;                  // of wake() and stop tokens
  std::map<std::string, int> files_;  // path: watch
  std::map<std::string, int> directories_;
  std::chrono::steady_clock::time_point woken_{};
};

}  // namespace tocayo::agent
