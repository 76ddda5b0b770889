// SPDX-License-Identifier: Apache-2.0
// Small kernel-wide sources: stat, loadavg, uname, time, timex, entropy, filefd, kernel_hung.
#include <sys/timex.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

class StatCollector final : public Collector {
 public:
  StatCollector(const HostContext& context, Writer& out)
      : file_(context.proc("stat")),
        softirq_(out.counter("node_softirqs_total", "Soft interrupts by vector.", {"vector"})),
        softirq_on_(context.options.feature("stat.softirq")) {
    fields_ = {{
        {"intr", &out.counter("node_intr_total", "Interrupts serviced.")},
        {"ctxt", &out.counter("node_context_switches_total", "Context switches.")},
        {"processes", &out.counter("node_forks_total", "Forks.")},
        {"btime", &out.gauge("node_boot_time_seconds", "Unix time of the boot.")},
        {"procs_running", &out.gauge("node_procs_running", "Processes that are runnable.")},
        {"procs_blocked", &out.gauge("node_procs_blocked", "Processes that wait for I/O.")},
    }};
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::array<std::uint64_t, 6> values{};
    std::array<std::uint64_t, kVectors.size()> soft{};
    bool any = false;
    std::string_view line;
    while (scan::next_line(text, line)) {
      if (line.starts_with("cpu")) continue;
      std::string_view key = scan::next_word(line);
      if (key == "softirq") {
        std::uint64_t total = 0;
        scan::next_u64(line, total);
        for (std::uint64_t& value : soft) {
          if (!scan::next_u64(line, value)) break;
        }
        continue;
      }
      for (std::size_t i = 0; i < fields_.size(); ++i) {
        if (key == fields_[i].key) any |= scan::next_u64(line, values[i]);
      }
    }
    if (!any) return fail(ErrorKind::internal, file_.path() + ": none of its usual lines");
    for (std::size_t i = 0; i < fields_.size(); ++i) out.put(*fields_[i].family, static_cast<double>(values[i]));
    for (std::size_t i = 0; softirq_on_ && i < soft.size(); ++i)
      out.put(softirq_, {kVectors[i]}, static_cast<double>(soft[i]));
    return {};
  }

 private:
  static constexpr std::array<std::string_view, 10> kVectors = {"hi",           "timer",   "net_tx", "net_rx",  "block",
                                                                "block_iopoll", "tasklet", "sched",  "hrtimer", "rcu"};
  struct Field {
    std::string_view key;
    const Family* family;
  };
  KeptFile file_;
  const Family& softirq_;
  bool softirq_on_;
  std::array<Field, 6> fields_;
};

class LoadavgCollector final : public Collector {
 public:
  LoadavgCollector(const HostContext& context, Writer& out)
      : file_(context.proc("loadavg")),
        loads_{&out.gauge("node_load1", "Load average over one minute."),
               &out.gauge("node_load5", "Load average over five minutes."),
               &out.gauge("node_load15", "Load average over fifteen minutes.")} {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::array<double, 3> values{};
    for (double& value : values) {
      auto number = scan::to_double(scan::next_word(text));
      if (!number) return fail(ErrorKind::internal, file_.path() + ": does not start with three numbers");
      value = *number;
    }
    for (std::size_t i = 0; i < 3; ++i) out.put(*loads_[i], values[i]);
    return {};
  }

 private:
  KeptFile file_;
  std::array<const Family*, 3> loads_;
};

class UnameCollector final : public Collector {
 public:
  UnameCollector(const HostContext&, Writer& out)
      : info_(out.gauge("node_uname_info", "What uname(2) says.",
                        {"sysname", "release", "version", "machine", "nodename", "domainname"})) {}

  Result<> collect(Writer& out, Buffer&) override {
    utsname name{};
    if (::uname(&name) != 0) return std::unexpected(error_from_errno("uname", errno));
    out.put(info_, {name.sysname, name.release, name.version, name.machine, name.nodename, name.domainname}, 1);
    return {};
  }

 private:
  const Family& info_;
};

class TimeCollector final : public Collector {
 public:
  TimeCollector(const HostContext& context, Writer& out)
      : now_(out.gauge("node_time_seconds", "System time, Unix seconds.")),
        zone_(out.gauge("node_time_zone_offset_seconds", "Offset of the system's time zone.", {"time_zone"})),
        available_(out.gauge("node_time_clocksource_available_info", "A clock source the kernel offers.",
                             {"device", "clocksource"})),
        current_(
            out.gauge("node_time_clocksource_current_info", "The clock source in use.", {"device", "clocksource"})),
        base_(context.sys("devices/system/clocksource")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    out.put(now_, static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9);
    tm local{};
    ::localtime_r(&now.tv_sec, &local);
    out.put(zone_, {local.tm_zone == nullptr ? "UTC" : local.tm_zone}, static_cast<double>(local.tm_gmtoff));
    auto names = list_directory(base_);
    if (!names) return {};
    for (const std::string& name : *names) {
      if (!name.starts_with("clocksource")) continue;
      std::string_view device = std::string_view(name).substr(11);
      if (auto text = read_trimmed(base_ + "/" + name + "/available_clocksource", buffer)) {
        for (auto word = scan::next_word(*text); !word.empty(); word = scan::next_word(*text))
          out.put(available_, {device, word}, 1);
      }
      if (auto text = read_trimmed(base_ + "/" + name + "/current_clocksource", buffer))
        out.put(current_, {device, *text}, 1);
    }
    return {};
  }

 private:
  const Family &now_, &zone_, &available_, &current_;
  std::string base_;
};

class TimexCollector final : public Collector {
 public:
  TimexCollector(const HostContext&, Writer& out) {
    auto gauge = [&](std::string_view name, std::string_view help) { families_.push_back(&out.gauge(name, help)); };
    auto counter = [&](std::string_view name, std::string_view help) { families_.push_back(&out.counter(name, help)); };
    gauge("node_timex_sync_status", "Whether the clock is synchronised.");
    gauge("node_timex_offset_seconds", "Offset between local clock and reference.");
    gauge("node_timex_frequency_adjustment_ratio", "Frequency adjustment of the local clock.");
    gauge("node_timex_maxerror_seconds", "Largest possible error.");
    gauge("node_timex_estimated_error_seconds", "Estimated error.");
    gauge("node_timex_status", "Status bits of adjtimex(2).");
    gauge("node_timex_loop_time_constant", "Time constant of the phase-locked loop.");
    gauge("node_timex_tick_seconds", "Seconds between clock ticks.");
    gauge("node_timex_pps_frequency_hertz", "Pulse-per-second frequency.");
    gauge("node_timex_pps_jitter_seconds", "Pulse-per-second jitter.");
    gauge("node_timex_pps_shift_seconds", "Pulse-per-second interval.");
    gauge("node_timex_pps_stability_hertz", "Pulse-per-second stability.");
    counter("node_timex_pps_jitter_total", "Pulse-per-second jitter limit exceeded.");
    counter("node_timex_pps_calibration_total", "Pulse-per-second calibration intervals.");
    counter("node_timex_pps_error_total", "Pulse-per-second calibration errors.");
    counter("node_timex_pps_stability_exceeded_total", "Pulse-per-second stability limit exceeded.");
    gauge("node_timex_tai_offset_seconds", "Offset of International Atomic Time.");
  }

  Result<> collect(Writer& out, Buffer&) override {
    timex t{};
    int state = ::adjtimex(&t);
    if (state < 0) {
      if (errno == EPERM || errno == EACCES) return fail(ErrorKind::not_found, "adjtimex is not permitted");
      return std::unexpected(error_from_errno("adjtimex", errno));
    }
    double unit = (t.status & STA_NANO) != 0 ? 1e9 : 1e6;
    constexpr double kScaledPpm = 1000000.0 * 65536.0;  // frequencies are parts per million with 16 fractional bits
    const double values[] = {state == TIME_ERROR ? 0.0 : 1.0,
                             static_cast<double>(t.offset) / unit,
                             1 + static_cast<double>(t.freq) / kScaledPpm,
                             static_cast<double>(t.maxerror) / 1e6,
                             static_cast<double>(t.esterror) / 1e6,
                             static_cast<double>(t.status),
                             static_cast<double>(t.constant),
                             static_cast<double>(t.tick) / 1e6,
                             static_cast<double>(t.ppsfreq) / kScaledPpm,
                             static_cast<double>(t.jitter) / unit,
                             static_cast<double>(t.shift),
                             static_cast<double>(t.stabil) / kScaledPpm,
                             static_cast<double>(t.jitcnt),
                             static_cast<double>(t.calcnt),
                             static_cast<double>(t.errcnt),
                             static_cast<double>(t.stbcnt),
                             static_cast<double>(t.tai)};
    for (std::size_t i = 0; i < families_.size(); ++i) out.put(*families_[i], values[i]);
    return {};
  }

 private:
  std::vector<const Family*> families_;
};

// Files that hold one number each.
class NumberFiles : public Collector {
 public:
  struct Entry {
    KeptFile file;
    const Family* family;
  };

 protected:
  // All must be readable.
  Result<> put_all(Writer& out, Buffer& buffer) {
    for (Entry& entry : entries_) {
      auto text = TRY(entry.file.read(buffer));
      auto value = scan::to_u64(scan::trim(text));
      if (!value) return fail(ErrorKind::internal, entry.file.path() + ": is no number");
      out.put(*entry.family, static_cast<double>(*value));
    }
    return {};
  }
  std::vector<Entry> entries_;
};

class EntropyCollector final : public NumberFiles {
 public:
  EntropyCollector(const HostContext& context, Writer& out) {
    entries_.push_back({KeptFile(context.proc("sys/kernel/random/entropy_avail")),
                        &out.gauge("node_entropy_available_bits", "Bits of entropy available.")});
    entries_.push_back({KeptFile(context.proc("sys/kernel/random/poolsize")),
                        &out.gauge("node_entropy_pool_size_bits", "Bits of the entropy pool.")});
  }
  Result<> collect(Writer& out, Buffer& buffer) override { return put_all(out, buffer); }
};

class KernelHungCollector final : public Collector {
 public:
  KernelHungCollector(const HostContext& context, Writer& out)
      : file_(context.proc("sys/kernel/hung_task_detect_count")),
        total_(out.counter("node_kernel_hung_tasks_total", "Tasks found hung since the boot.")),
        plain_(out.counter("node_kernel_hung_tasks",
                           "Tasks found hung since the boot (name read by older dashboards).")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    auto value = scan::to_u64(scan::trim(text));
    if (!value) return fail(ErrorKind::internal, file_.path() + ": is no number");
    out.put(total_, static_cast<double>(*value));
    out.put(plain_, static_cast<double>(*value));
    return {};
  }

 private:
  KeptFile file_;
  const Family &total_, &plain_;
};

class FilefdCollector final : public Collector {
 public:
  FilefdCollector(const HostContext& context, Writer& out)
      : file_(context.proc("sys/fs/file-nr")),
        allocated_(out.gauge("node_filefd_allocated", "File handles in use.")),
        maximum_(out.gauge("node_filefd_maximum", "Most file handles allowed.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    auto allocated = scan::to_double(scan::next_word(text));
    scan::next_word(text);
    auto maximum = scan::to_double(scan::next_word(text));
    if (!allocated || !maximum) return fail(ErrorKind::internal, file_.path() + ": does not hold three numbers");
    out.put(allocated_, *allocated);
    out.put(maximum_, *maximum);
    return {};
  }

 private:
  KeptFile file_;
  const Family &allocated_, &maximum_;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_stat, StatCollector)
TOCAYO_MAKE(make_loadavg, LoadavgCollector)
TOCAYO_MAKE(make_uname, UnameCollector)
TOCAYO_MAKE(make_time, TimeCollector)
TOCAYO_MAKE(make_timex, TimexCollector)
TOCAYO_MAKE(make_entropy, EntropyCollector)
TOCAYO_MAKE(make_kernel_hung, KernelHungCollector)
TOCAYO_MAKE(make_filefd, FilefdCollector)

}  // namespace tocayo::agent
