// SPDX-License-Identifier: Apache-2.0
#include "core/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>

#include "core/text.h"

namespace tocayo {
namespace {

double number(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

double open_descriptors() {
  double count = 0;
  if (DIR* directory = ::opendir("/proc/self/fd")) {
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
  }
  return count > 3 ? count - 3 : 0;  // ".", ".." and the descriptor of this look
}

// Seconds since the epoch at which the process started.
double start_time() {
  auto stat = read_file("/proc/self/stat");
  auto boot = read_file("/proc/stat");
  if (!stat || !boot) return 0;
  auto after_name = stat->rfind(')');
  if (after_name == std::string::npos || after_name + 2 > stat->size()) return 0;
  auto fields = split(std::string_view(*stat).substr(after_name + 2), ' ');
  auto line = boot->find("btime ");
  if (fields.size() < 20 || line == std::string::npos) return 0;
  return number(std::string_view(*boot).substr(line + 6)) +
         number(fields[19]) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

void add_process_metrics(Registry& registry) {
  static const int kOwner = 0;
  registry.remove_collectors(&kOwner);
  registry.add_collector(&kOwner, [started = start_time()](std::vector<Registry::Family>& families) {
    auto add = [&](const char* name, const char* help, MetricType type, double value) {
      families.push_back({name, help, type, {{"", {}, value}}});
    };
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    add("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", MetricType::counter,
        seconds(usage.ru_utime) + seconds(usage.ru_stime));
    if (auto memory = read_file("/proc/self/statm")) {
      auto fields = split(*memory, ' ');
      auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
      if (fields.size() > 1) {
        add("process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::gauge,
            number(fields[0]) * page);
        add("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::gauge,
            number(fields[1]) * page);
      }
    }
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    add("process_open_fds", "Number of open file descriptors.", MetricType::gauge, open_descriptors());
    add("process_max_fds", "Maximum number of open file descriptors.", MetricType::gauge,
        static_cast<double>(files.rlim_cur));
    add("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", MetricType::gauge,
        started);
  });
}

}  // namespace tocayo
