// SPDX-License-Identifier: Apache-2.0
// A store under test as a child process: how it is started, where it takes writes, what it costs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/server_process.h"

namespace tocayo::bench {

struct Cost {
  double cpu_seconds = 0;  // user + system of the process
  double rss_bytes = 0;
};

class System {
 public:
  // "tocayo" (environment TOCAYO_BINARY), "prometheus", "victoria-metrics"; nullptr when its program is not installed.
  // All run with a log that is synced about once a second (Tocayo: wal.mode=interval).
  static std::unique_ptr<System> find(const std::string& name);

  bool start();
  void kill9();
  void stop();
  Cost cost() const;
  double disk_bytes() const;  // of the whole data directory
  // Brings everything onto disk in its final form (seal, forced merge, snapshot), stops, and says how many bytes the
  // samples and their index take there; logs, which do not grow for ever, aside. nullopt when that did not work.
  std::optional<double> settled_bytes();
  const std::string& name() const { return name_; }
  std::string push_url() const;
  std::string query_url(const std::string& endpoint) const;
  int protocol() const { return name_ == "tocayo" ? protocol_ : 1; }
  void set_protocol(int version) { protocol_ = version; }
  // Of Tocayo, "section.key=value"; before start().
  void set_option(const std::string& option) { options_.push_back(option); }

 private:
  std::string name_, program_, address_;
  int protocol_ = 1;
  std::vector<std::string> options_;
  testing::TempDir work_;
  std::unique_ptr<testing::Process> process_;
};

}  // namespace tocayo::bench
