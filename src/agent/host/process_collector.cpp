// SPDX-License-Identifier: Apache-2.0
// process_*: this program itself, under the names that every Prometheus client library uses.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

class ProcessCollector final : public Collector {
 public:
  // Always this process' own /proc, whatever tree the other collectors read.
  ProcessCollector(const HostContext&, Writer& out)
      : stat_("/proc/self/stat"),
        kernel_("/proc/stat"),
        cpu_(out.counter("process_cpu_seconds_total", "User and system CPU time of this process.")),
        max_fds_(out.gauge("process_max_fds", "Most open file descriptors allowed.")),
        open_fds_(out.gauge("process_open_fds", "Open file descriptors.")),
        resident_(out.gauge("process_resident_memory_bytes", "Resident memory.")),
        start_(out.gauge("process_start_time_seconds", "Unix time at which this process started.")),
        virtual_(out.gauge("process_virtual_memory_bytes", "Virtual memory.")),
        virtual_max_(out.gauge("process_virtual_memory_max_bytes", "Most virtual memory allowed.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    if (boot_time_ == 0) {
      auto text = TRY(kernel_.read(buffer));
      std::string_view line;
      while (scan::next_line(text, line)) {
        if (line.starts_with("btime ")) boot_time_ = scan::to_double(line.substr(6)).value_or(0);
      }
    }
    auto text = TRY(stat_.read(buffer));
    // The name in parentheses may hold anything; what follows the last one is numbered from field 3 (proc(5)).
    std::size_t end = text.rfind(')');
    if (end == std::string_view::npos) return fail(ErrorKind::internal, "/proc/self/stat is not understood");
    text.remove_prefix(end + 1);
    std::uint64_t fields[25] = {};
    scan::next_word(text);  // state
    for (std::size_t i = 4; i < 25; ++i) fields[i] = scan::to_u64(scan::next_word(text)).value_or(0);
    double ticks = static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
    out.put(cpu_, static_cast<double>(fields[14] + fields[15]) / ticks);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    out.put(max_fds_, static_cast<double>(limit.rlim_cur));
    out.put(open_fds_, count_descriptors());
    out.put(resident_, static_cast<double>(fields[24]) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    out.put(start_, boot_time_ + static_cast<double>(fields[22]) / ticks);
    out.put(virtual_, static_cast<double>(fields[23]));
    ::getrlimit(RLIMIT_AS, &limit);
    out.put(virtual_max_, limit.rlim_cur == RLIM_INFINITY
                              ? static_cast<double>(std::numeric_limits<std::uint64_t>::max())
                              : static_cast<double>(limit.rlim_cur));
    return {};
  }

 private:
  static double count_descriptors() {
    DIR* directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) return 0;
    double count = -3;  // ".", ".." and this directory's own
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
  }

  KeptFile stat_, kernel_;
  const Family &cpu_, &max_fds_, &open_fds_, &resident_, &start_, &virtual_, &virtual_max_;
  double boot_time_ = 0;
};

}  // namespace

std::unique_ptr<Collector> make_process(const HostContext& context, Writer& out) {
  return std::make_unique<ProcessCollector>(context, out);
}

}  // namespace tocayo::agent
