// SPDX-License-Identifier: Apache-2.0
// Scanners of the system collectors, for them and their tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::agent {

struct ProcessStat {
  char state = '?';
  std::int64_t threads = 0;
};
// /proc/<pid>/stat; false when it is cut off before the number of threads.
bool parse_process_stat(std::string_view text, ProcessStat& stat);

// One line of an os-release or sysconfig file; false for a comment or anything without a name.
bool parse_env_line(std::string_view line, std::string_view& name, std::string& value);

}  // namespace tocayo::agent
