// SPDX-License-Identifier: Apache-2.0
// Larger kernel-wide sources: pressure, schedstat, processes, interrupts, softirqs, os, selinux.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <map>
#include <unordered_map>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"
#include "agent/host/system.h"

namespace tocayo::agent {

// The name in parentheses may hold anything, also parentheses; the last one ends it (proc(5)).
bool parse_process_stat(std::string_view text, ProcessStat& stat) {
  std::size_t end = text.rfind(')');
  if (end == std::string_view::npos || end + 2 >= text.size()) return false;
  text.remove_prefix(end + 1);
  std::string_view state = scan::next_word(text);
  if (state.size() != 1) return false;
  stat.state = state.front();
  for (int field = 4; field < 20; ++field) scan::next_word(text);
  auto threads = scan::to_i64(scan::next_word(text));
  if (!threads) return false;
  stat.threads = *threads;
  return true;
}

// NAME=value, NAME="value", NAME='value' with backslashes; anything else is passed over (os-release(5)).
bool parse_env_line(std::string_view line, std::string_view& name, std::string& value) {
  line = scan::trim(line);
  std::size_t equals = line.find('=');
  if (line.empty() || line.front() == '#' || equals == std::string_view::npos || equals == 0) return false;
  name = line.substr(0, equals);
  std::string_view rest = line.substr(equals + 1);
  char quote = !rest.empty() && (rest.front() == '"' || rest.front() == '\'') ? rest.front() : '\0';
  if (quote != '\0') rest.remove_prefix(1);
  value.clear();
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == quote && quote != '\0') break;
    if (rest[i] == '\\' && quote != '\'' && i + 1 < rest.size()) ++i;
    value += rest[i];
  }
  return true;
}

namespace {

class PressureCollector final : public Collector {
 public:
  PressureCollector(const HostContext& context, Writer& out) {
    auto add = [&](std::string_view resource, const Family* some, const Family* full) {
      resources_.push_back({KeptFile(context.proc("pressure/" + std::string(resource))), some, full});
    };
    add("cpu", &out.counter("node_pressure_cpu_waiting_seconds_total", "Seconds that something waited for a CPU."),
        nullptr);
    add("io", &out.counter("node_pressure_io_waiting_seconds_total", "Seconds that something waited for I/O."),
        &out.counter("node_pressure_io_stalled_seconds_total", "Seconds that everything waited for I/O."));
    add("memory",
        &out.counter("node_pressure_memory_waiting_seconds_total", "Seconds that something waited for memory."),
        &out.counter("node_pressure_memory_stalled_seconds_total", "Seconds that everything waited for memory."));
    add("irq", nullptr,
        &out.counter("node_pressure_irq_stalled_seconds_total", "Seconds that everything waited for interrupts."));
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    bool any = false;
    for (Resource& resource : resources_) {
      auto text = resource.file.read(buffer);
      if (!text) {
        if (text.error().kind == ErrorKind::not_found) continue;
        return fail(ErrorKind::not_found,
                    "pressure stall information is switched off (psi=1): " + text.error().message);
      }
      any = true;
      std::string_view line;
      while (scan::next_line(*text, line)) {
        std::string_view kind = scan::next_word(line);
        const Family* family = kind == "some" ? resource.some : kind == "full" ? resource.full : nullptr;
        std::size_t total = line.find("total=");
        if (family == nullptr || total == std::string_view::npos) continue;
        line.remove_prefix(total + 6);
        std::uint64_t micros = 0;
        if (scan::next_u64(line, micros)) out.put(*family, static_cast<double>(micros) / 1000.0 / 1000.0);
      }
    }
    if (!any) return fail(ErrorKind::not_found, "no pressure stall information");
    return {};
  }

 private:
  struct Resource {
    KeptFile file;
    const Family* some;
    const Family* full;
  };
  std::vector<Resource> resources_;
};

class SchedstatCollector final : public Collector {
 public:
  SchedstatCollector(const HostContext& context, Writer& out)
      : file_(context.proc("schedstat")),
        running_(out.counter("node_schedstat_running_seconds_total", "Seconds the CPU ran tasks.", {"cpu"})),
        waiting_(out.counter("node_schedstat_waiting_seconds_total", "Seconds tasks waited for the CPU.", {"cpu"})),
        timeslices_(out.counter("node_schedstat_timeslices_total", "Time slices run on the CPU.", {"cpu"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    while (scan::next_line(text, line)) {
      if (!line.starts_with("cpu")) continue;
      line.remove_prefix(3);
      std::string_view cpu = scan::next_word(line);
      std::array<std::uint64_t, 9> fields{};
      bool whole = scan::to_u64(cpu).has_value();
      for (std::uint64_t& field : fields) whole = whole && scan::next_u64(line, field);
      if (!whole) continue;
      out.put(running_, {cpu}, static_cast<double>(fields[6]) / 1e9);
      out.put(waiting_, {cpu}, static_cast<double>(fields[7]) / 1e9);
      out.put(timeslices_, {cpu}, static_cast<double>(fields[8]));
    }
    return {};
  }

 private:
  KeptFile file_;
  const Family &running_, &waiting_, &timeslices_;
};

class ProcessesCollector final : public Collector {
 public:
  ProcessesCollector(const HostContext& context, Writer& out)
      : proc_(context.options.procfs),
        live_(context.options.live()),
        max_threads_file_(context.proc("sys/kernel/threads-max")),
        max_pids_file_(context.proc("sys/kernel/pid_max")),
        threads_(out.gauge("node_processes_threads", "Threads.")),
        max_threads_(out.gauge("node_processes_max_threads", "Most threads allowed.")),
        state_(out.gauge("node_processes_state", "Processes by state.", {"state"})),
        thread_state_(out.gauge("node_processes_threads_state", "Threads by state.", {"thread_state"})),
        pids_(out.gauge("node_processes_pids", "Processes.")),
        max_pids_(out.gauge("node_processes_max_processes", "Highest number of processes allowed.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    states_.fill(0);
    thread_states_.fill(0);
    // One file per thread is most of the work: their states are read once a minute, processes' each time.
    auto now = std::chrono::steady_clock::now();
    const bool read_threads =
        others_read_ == std::chrono::steady_clock::time_point{} || now - others_read_ >= kThreadsEvery;
    if (read_threads) {
      others_read_ = now;
      other_states_.fill(0);
    }
    double pids = 0, threads = 0;
    DIR* directory = ::opendir(proc_.c_str());
    if (directory == nullptr) return std::unexpected(error_from_errno(proc_, errno));
    while (dirent* entry = ::readdir(directory)) {
      std::string_view name = entry->d_name;
      if (!scan::is_digit(name.front()) || !scan::to_u64(name)) continue;
      ProcessStat stat;
      if (!read_process(::dirfd(directory), name, stat, buffer)) continue;  // it ended meanwhile
      ++pids;
      threads += static_cast<double>(stat.threads);
      ++states_[static_cast<unsigned char>(stat.state) & 127];
      ++thread_states_[static_cast<unsigned char>(stat.state) & 127];
      if (stat.threads > 1 && read_threads) count_threads(::dirfd(directory), name, buffer);
    }
    ::closedir(directory);
    forget_ended();
    for (std::size_t i = 0; i < thread_states_.size(); ++i) thread_states_[i] += other_states_[i];
    out.put(threads_, threads);
    for (auto [file, family] : {std::pair{&max_threads_file_, &max_threads_}, {&max_pids_file_, &max_pids_}}) {
      auto text = TRY(file->read(buffer));
      auto value = scan::to_u64(scan::trim(text));
      if (!value) return fail(ErrorKind::internal, file->path() + ": is no number");
      out.put(*family, static_cast<double>(*value));
    }
    put_states(out, state_, states_);
    put_states(out, thread_state_, thread_states_);
    out.put(pids_, pids);
    return {};
  }

  ~ProcessesCollector() override {
    for (const auto& [pid, kept] : kept_) ::close(kept.fd);
  }

 private:
  using Counts = std::array<double, 128>;

  static void put_states(Writer& out, const Family& family, const Counts& counts) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      char state = static_cast<char>(i);
      if (counts[i] > 0) out.put(family, {std::string_view(&state, 1)}, counts[i]);
    }
  }

  static bool read_stat(int directory, std::string_view name, std::string_view file, ProcessStat& stat,
                        Buffer& buffer) {
    char path[64];
    if (name.size() + file.size() >= sizeof path) return false;
    *std::copy(file.begin(), file.end(), std::copy(name.begin(), name.end(), path)) = '\0';
    int fd = ::openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    auto text = read_fd(fd, buffer, true);
    ::close(fd);
    return text && parse_process_stat(*text, stat);
  }

  // Opening costs twice what reading does: a process' file stays open while it lives, as far as descriptors go round.
  // That of its first thread has the same state and count of threads, and the kernel need not add up all of them.
  bool read_process(int directory, std::string_view name, ProcessStat& stat, Buffer& buffer) {
    if (!live_) return read_stat(directory, name, "/stat", stat, buffer);
    const std::uint64_t pid = scan::to_u64(name).value_or(0);
    auto known = kept_.find(pid);
    if (known != kept_.end()) {
      auto text = read_fd(known->second.fd, buffer, true);
      if (text && parse_process_stat(*text, stat)) {
        known->second.round = round_;
        return true;
      }
      ::close(known->second.fd);  // it ended; the number may be another's now
      kept_.erase(known);
    }
    char path[64];
    constexpr std::string_view kTask = "/task/", kStat = "/stat";
    if (2 * name.size() + kTask.size() + kStat.size() >= sizeof path) return false;
    char* end = std::copy(kTask.begin(), kTask.end(), std::copy(name.begin(), name.end(), path));
    *std::copy(kStat.begin(), kStat.end(), std::copy(name.begin(), name.end(), end)) = '\0';
    int fd = ::openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    auto text = read_fd(fd, buffer, true);
    const bool good = text && parse_process_stat(*text, stat);
    if (good && kept_.size() < most_kept_)
      kept_[pid] = {fd, round_};
    else
      ::close(fd);
    return good;
  }
  void forget_ended() {
    std::erase_if(kept_, [&](const auto& entry) {
      if (entry.second.round == round_) return false;
      ::close(entry.second.fd);
      return true;
    });
    ++round_;
  }
  static std::size_t most_kept() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    return std::min<std::size_t>(512, limit.rlim_cur / 8);
  }

  // The main thread is counted with its process.
  void count_threads(int proc, std::string_view pid, Buffer& buffer) {
    char path[64];
    constexpr std::string_view kTask = "/task";
    if (pid.size() + kTask.size() >= sizeof path) return;
    *std::copy(kTask.begin(), kTask.end(), std::copy(pid.begin(), pid.end(), path)) = '\0';
    int fd = ::openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* tasks = fd < 0 ? nullptr : ::fdopendir(fd);
    if (tasks == nullptr) {
      if (fd >= 0) ::close(fd);
      return;
    }
    while (dirent* entry = ::readdir(tasks)) {
      std::string_view name = entry->d_name;
      ProcessStat stat;
      if (!scan::is_digit(name.front()) || name == pid || !read_stat(fd, name, "/stat", stat, buffer)) continue;
      ++other_states_[static_cast<unsigned char>(stat.state) & 127];
    }
    ::closedir(tasks);
  }

  std::string proc_;
  bool live_;
  struct Kept {
    int fd;
    std::uint64_t round;  // of the last collection that read it
  };
  std::unordered_map<std::uint64_t, Kept> kept_;  // by pid
  const std::size_t most_kept_ = most_kept();
  std::uint64_t round_ = 1;
  KeptFile max_threads_file_, max_pids_file_;
  const Family &threads_, &max_threads_, &state_, &thread_state_, &pids_, &max_pids_;
  static constexpr std::chrono::seconds kThreadsEvery{55};
  Counts states_{}, thread_states_{}, other_states_{};  // the last: of threads that are not a process' first
  std::chrono::steady_clock::time_point others_read_{};
};

// Rows of numbers with a column per CPU.
class InterruptsCollector final : public Collector {
 public:
  InterruptsCollector(const HostContext& context, Writer& out)
      : file_(context.proc("interrupts")),
        filter_(context.options.filter("interrupts.name")),
        zeros_(context.options.feature("interrupts.include-zeros")),
        total_(out.counter("node_interrupts_total", "Interrupts.", {"cpu", "type", "info", "devices"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    scan::next_line(text, line);
    std::size_t cpus = 0;
    while (!scan::next_word(line).empty()) ++cpus;
    while (scan::next_line(text, line)) {
      std::string_view name = scan::next_word(line);
      if (!name.ends_with(':')) continue;
      name.remove_suffix(1);
      values_.clear();
      std::uint64_t value = 0;
      while (values_.size() < cpus && scan::next_u64(line, value)) values_.push_back(value);
      line = scan::trim(line);
      if (values_.size() < cpus || line.empty()) continue;  // ERR and MIS have one number and no words
      info_.clear();
      devices_.clear();
      bool numbered = scan::to_u64(name).has_value();
      if (numbered) info_ = scan::next_word(line);
      std::string& rest = numbered ? devices_ : info_;
      for (auto word = scan::next_word(line); !word.empty(); word = scan::next_word(line)) {
        if (!rest.empty()) rest += ' ';
        rest += word;
      }
      key_.assign(name).append(";").append(info_).append(";").append(devices_);
      if (filter_.ignored(key_)) continue;
      for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
        if (values_[cpu] == 0 && !zeros_) continue;
        out.put(total_, {scan::NumberText(cpu), name, info_, devices_}, static_cast<double>(values_[cpu]));
      }
    }
    return {};
  }

 private:
  KeptFile file_;
  Filter filter_;
  bool zeros_;
  const Family& total_;
  std::vector<std::uint64_t> values_;
  std::string info_, devices_, key_;
};

class SoftirqsCollector final : public Collector {
 public:
  SoftirqsCollector(const HostContext& context, Writer& out)
      : file_(context.proc("softirqs")),
        total_(out.counter("node_softirqs_functions_total", "Soft interrupts.", {"cpu", "type"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    scan::next_line(text, line);
    while (scan::next_line(text, line)) {
      std::string_view type = scan::next_word(line);
      if (!type.ends_with(':')) continue;
      type.remove_suffix(1);
      std::uint64_t value = 0;
      for (std::uint64_t cpu = 0; scan::next_u64(line, value); ++cpu) {
        out.put(total_, {scan::NumberText(cpu), type}, static_cast<double>(value));
      }
    }
    return {};
  }

 private:
  KeptFile file_;
  const Family& total_;
};

class OsCollector final : public Collector {
 public:
  OsCollector(const HostContext& context, Writer& out)
      : root_(context.options.rootfs == "/" ? "" : context.options.rootfs),
        info_(out.gauge("node_os_info", "What os-release says.",
                        {"build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant",
                         "variant_id", "version", "version_codename", "version_id"})),
        version_(out.gauge("node_os_version", "Version of the system as major.minor.", {"id", "id_like", "name"})),
        support_end_(out.gauge("node_os_support_end_timestamp_seconds", "When the system's support ends.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = read_file(root_ + "/etc/os-release", buffer);
    if (!text) text = read_file(root_ + "/usr/lib/os-release", buffer);
    if (!text) return std::unexpected(std::move(text.error()));
    std::map<std::string, std::string, std::less<>> values;
    std::string_view line, name;
    std::string value;
    while (scan::next_line(*text, line)) {
      if (parse_env_line(line, name, value)) values[std::string(name)] = value;
    }
    auto get = [&](std::string_view key) {
      auto found = values.find(key);
      return found == values.end() ? std::string_view{} : std::string_view(found->second);
    };
    out.put(info_,
            {get("BUILD_ID"), get("ID"), get("ID_LIKE"), get("IMAGE_ID"), get("IMAGE_VERSION"), get("NAME"),
             get("PRETTY_NAME"), get("VARIANT"), get("VARIANT_ID"), get("VERSION"), get("VERSION_CODENAME"),
             get("VERSION_ID")},
            1);
    std::string_view id = get("VERSION_ID");
    std::size_t end = 0, dots = 0;
    while (end < id.size() && (scan::is_digit(id[end]) || (id[end] == '.' && end > 0 && dots++ == 0))) ++end;
    if (auto number = scan::to_double(id.substr(0, end)); number && *number > 0) {
      out.put(version_, {get("ID"), get("ID_LIKE"), get("NAME")}, *number);
    }
    tm date{};
    if (std::string day(get("SUPPORT_END")); !day.empty() && ::strptime(day.c_str(), "%Y-%m-%d", &date) != nullptr) {
      out.put(support_end_, static_cast<double>(::timegm(&date)));
    }
    return {};
  }

 private:
  std::string root_;
  const Family &info_, &version_, &support_end_;
};

class SelinuxCollector final : public Collector {
 public:
  SelinuxCollector(const HostContext& context, Writer& out)
      : enforce_(context.sys("fs/selinux/enforce")),
        current_(context.proc("self/attr/current")),
        config_((context.options.rootfs == "/" ? "" : context.options.rootfs) + "/etc/selinux/config"),
        enabled_(out.gauge("node_selinux_enabled", "Whether SELinux is on.")),
        config_mode_(out.gauge("node_selinux_config_mode", "Configured mode: 1 enforcing, 0 permissive, -1 disabled.")),
        current_mode_(out.gauge("node_selinux_current_mode", "Present mode: 1 enforcing, 0 permissive.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto mode = read_u64(enforce_, buffer);
    auto label = read_trimmed(current_, buffer);
    bool on = mode && label && *label != "kernel";
    out.put(enabled_, on ? 1 : 0);
    if (!on) return {};
    double configured = -1;
    auto text = read_file(config_, buffer);
    std::string_view line, name;
    std::string value;
    while (text && scan::next_line(*text, line)) {
      if (!parse_env_line(line, name, value) || name != "SELINUX") continue;
      configured = value == "enforcing" ? 1 : value == "permissive" ? 0 : -1;
    }
    out.put(config_mode_, configured);
    out.put(current_mode_, static_cast<double>(*mode));
    return {};
  }

 private:
  std::string enforce_, current_, config_;
  const Family &enabled_, &config_mode_, &current_mode_;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_pressure, PressureCollector)
TOCAYO_MAKE(make_schedstat, SchedstatCollector)
TOCAYO_MAKE(make_processes, ProcessesCollector)
TOCAYO_MAKE(make_interrupts, InterruptsCollector)
TOCAYO_MAKE(make_softirqs, SoftirqsCollector)
TOCAYO_MAKE(make_os, OsCollector)
TOCAYO_MAKE(make_selinux, SelinuxCollector)

}  // namespace tocayo::agent
