// SPDX-License-Identifier: Apache-2.0
// node_cpu_*: /proc/stat per CPU, throttling and topology from sysfs, optionally /proc/cpuinfo.
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kModes = 10;
constexpr std::array<std::string_view, 8> kModeNames = {"user",   "nice", "system",  "idle",
                                                        "iowait", "irq",  "softirq", "steal"};
constexpr std::size_t kIdle = 3;
constexpr double kJumpBackSeconds = 3;  // an idle counter that falls by more was reset (hot plug), not mis-accounted
constexpr int kTopologyEvery = 60;      // collections between two looks at which CPUs exist

class CpuCollector final : public Collector {
 public:
  CpuCollector(const HostContext& context, Writer& out)
      : context_(context),
        seconds_(out.counter("node_cpu_seconds_total", "Seconds each CPU spent in each mode.", {"cpu", "mode"})),
        guest_(out.counter("node_cpu_guest_seconds_total", "Seconds each CPU spent running guests.", {"cpu", "mode"})),
        core_throttles_(
            out.counter("node_cpu_core_throttles_total", "Times this core was throttled.", {"package", "core"})),
        package_throttles_(
            out.counter("node_cpu_package_throttles_total", "Times this package was throttled.", {"package"})),
        isolated_(out.gauge("node_cpu_isolated", "1 for each CPU kept free of the scheduler.", {"cpu"})),
        online_(out.gauge("node_cpu_online", "Whether the CPU is online.", {"cpu"})),
        info_(out.gauge("node_cpu_info", "CPU identification from /proc/cpuinfo.",
                        {"package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping",
                         "cachesize"})),
        frequency_(
            out.gauge("node_cpu_frequency_hertz", "CPU frequency from /proc/cpuinfo.", {"package", "core", "cpu"})),
        flag_info_(out.gauge("node_cpu_flag_info", "A CPU flag of the first core.", {"flag"})),
        bug_info_(out.gauge("node_cpu_bug_info", "A CPU bug of the first core.", {"bug"})),
        stat_(context.proc("stat")),
        online_list_(context.sys("devices/system/cpu/online"), true),
        flags_(context.options.filter("cpu.info.flags")),
        bugs_(context.options.filter("cpu.info.bugs")) {
    guest_on_ = context.options.feature("cpu.guest");
    flags_on_ = !context.options.filter("cpu.info.flags").include.empty();
    bugs_on_ = !context.options.filter("cpu.info.bugs").include.empty();
    info_on_ = context.options.feature("cpu.info") || flags_on_ || bugs_on_;
    auto cpufreq = context.options.collectors.find("cpufreq");
    frequency_on_ = cpufreq == context.options.collectors.end() || cpufreq->second;
    ticks_ = static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    if (info_on_) {
      if (auto read = put_info(out, buffer); !read) return read;
    }
    if (auto read = put_stat(out, buffer); !read) return read;
    if (countdown_-- <= 0 || cpus_.size() != last_cpu_count_) {
      countdown_ = kTopologyEvery;
      last_cpu_count_ = cpus_.size();
      read_topology(buffer);
    }
    for (const std::string& cpu : isolated_cpus_) out.put(isolated_, {cpu}, 1);
    put_throttles(out, buffer);
    put_online(out, buffer);
    return {};
  }

 private:
  struct Cpu {
    std::array<double, kModes> seconds{};
    std::uint64_t round = 0;
  };
  struct Throttle {
    std::string package;
    std::string core;
    KeptFile file;
  };

  Result<> put_stat(Writer& out, Buffer& buffer) {
    auto text = TRY(stat_.read(buffer));
    ++round_;
    std::string_view line;
    while (scan::next_line(text, line)) {
      if (!line.starts_with("cpu")) {
        if (line.starts_with("intr")) break;  // the CPUs come first
        continue;
      }
      line.remove_prefix(3);
      if (line.empty() || !scan::is_digit(line.front())) continue;
      std::string_view number = scan::next_word(line);
      if (!scan::to_u64(number)) return fail(ErrorKind::internal, stat_.path() + ": CPU number is no number");
      std::array<double, kModes> now{};
      for (double& field : now) {
        std::uint64_t ticks = 0;
        if (!scan::next_u64(line, ticks)) break;  // old kernels print fewer fields
        field = static_cast<double>(ticks) / ticks_;
      }
      auto found = cpus_.find(number);
      if (found == cpus_.end()) found = cpus_.emplace(std::string(number), Cpu{}).first;
      put_cpu(out, number, found->second, now);
    }
    std::erase_if(cpus_, [&](const auto& entry) { return entry.second.round != round_; });
    if (cpus_.empty()) return fail(ErrorKind::internal, stat_.path() + ": no CPU line");
    return {};
  }

  // Counters never go back, except when the idle time of a CPU falls by kJumpBackSeconds: then it starts anew.
  void put_cpu(Writer& out, std::string_view number, Cpu& cpu, const std::array<double, kModes>& now) {
    cpu.round = round_;
    if (cpu.seconds[kIdle] - now[kIdle] >= kJumpBackSeconds) cpu.seconds = {};
    for (std::size_t i = 0; i < kModes; ++i) cpu.seconds[i] = std::max(cpu.seconds[i], now[i]);
    for (std::size_t i = 0; i < kModeNames.size(); ++i) out.put(seconds_, {number, kModeNames[i]}, cpu.seconds[i]);
    if (guest_on_) {
      out.put(guest_, {number, "user"}, cpu.seconds[8]);
      out.put(guest_, {number, "nice"}, cpu.seconds[9]);
    }
  }

  void read_topology(Buffer& buffer) {
    core_files_.clear();
    package_files_.clear();
    all_cpus_.clear();
    isolated_cpus_.clear();
    std::string base = context_.sys("devices/system/cpu");
    if (auto text = read_trimmed(base + "/isolated", buffer)) {
      scan::each_of_list(*text, [&](std::uint64_t n) { isolated_cpus_.push_back(std::to_string(n)); });
    }
    auto names = list_directory(base);
    if (!names) return;
    std::set<std::pair<std::string, std::string>> cores;
    std::set<std::string> packages;
    for (const std::string& name : *names) {
      if (!name.starts_with("cpu") || name.size() < 4 || !scan::to_u64(std::string_view(name).substr(3))) continue;
      all_cpus_.push_back(name.substr(3));
      std::string directory = base + "/" + name;
      auto package = read_u64(directory + "/topology/physical_package_id", buffer);
      auto core = read_u64(directory + "/topology/core_id", buffer);
      if (!package || !core) continue;
      std::string package_text = std::to_string(*package), core_text = std::to_string(*core);
      std::string core_file = directory + "/thermal_throttle/core_throttle_count";
      if (path_exists(core_file) && cores.emplace(package_text, core_text).second) {
        core_files_.push_back({package_text, core_text, KeptFile(core_file, true)});
      }
      std::string package_file = directory + "/thermal_throttle/package_throttle_count";
      if (path_exists(package_file) && packages.emplace(package_text).second) {
        package_files_.push_back({package_text, {}, KeptFile(package_file, true)});
      }
    }
    // Whether CPUs can be switched off at all is told by the first one's `online` file.
    can_go_offline_ = !all_cpus_.empty() && path_exists(base + "/cpu" + all_cpus_.front() + "/online");
  }

  void put_throttles(Writer& out, Buffer& buffer) {
    for (Throttle& throttle : package_files_) {
      auto text = throttle.file.read(buffer);
      if (auto count = text ? scan::to_u64(scan::trim(*text)) : std::nullopt) {
        out.put(package_throttles_, {throttle.package}, static_cast<double>(*count));
      }
    }
    for (Throttle& throttle : core_files_) {
      auto text = throttle.file.read(buffer);
      if (auto count = text ? scan::to_u64(scan::trim(*text)) : std::nullopt) {
        out.put(core_throttles_, {throttle.package, throttle.core}, static_cast<double>(*count));
      }
    }
  }

  void put_online(Writer& out, Buffer& buffer) {
    if (!can_go_offline_) return;
    auto text = online_list_.read(buffer);
    if (!text) return;
    online_now_.clear();
    scan::each_of_list(*text, [&](std::uint64_t n) { online_now_.insert(n); });
    for (const std::string& cpu : all_cpus_) out.put(online_, {cpu}, online_now_.contains(*scan::to_u64(cpu)) ? 1 : 0);
  }

  Result<> put_info(Writer& out, Buffer& buffer) {
    auto text = TRY(read_file(context_.proc("cpuinfo"), buffer));
    std::map<std::string_view, std::string_view> fields;
    bool first = true;
    auto flush = [&] {
      if (!fields.contains("processor")) return;
      auto field = [&](std::string_view name) {
        auto found = fields.find(name);
        return found == fields.end() ? std::string_view{} : found->second;
      };
      out.put(info_,
              {field("physical id"), field("core id"), field("processor"), field("vendor_id"), field("cpu family"),
               field("model"), field("model name"), field("microcode"), field("stepping"), field("cache size")},
              1);
      if (auto mhz = scan::to_double(field("cpu MHz")); mhz && frequency_on_) {
        out.put(frequency_, {field("physical id"), field("core id"), field("processor")}, *mhz * 1e6);
      }
      if (first) put_words(out, flags_on_, flags_, flag_info_, field("flags"));
      if (first) put_words(out, bugs_on_, bugs_, bug_info_, field("bugs"));
      first = false;
      fields.clear();
    };
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      std::string_view name = scan::trim(line.substr(0, colon));
      if (name == "processor") flush();
      fields[name] = scan::trim(line.substr(colon + 1));
    }
    flush();
    return {};
  }

  static void put_words(Writer& out, bool on, Filter& filter, const Family& family, std::string_view words) {
    if (!on) return;
    for (std::string_view word = scan::next_word(words); !word.empty(); word = scan::next_word(words)) {
      if (!filter.ignored(word)) out.put(family, {word}, 1);
    }
  }

  const HostContext& context_;
  const Family &seconds_, &guest_, &core_throttles_, &package_throttles_, &isolated_, &online_, &info_, &frequency_,
      &flag_info_, &bug_info_;
  KeptFile stat_, online_list_;
  Filter flags_, bugs_;
  bool guest_on_, flags_on_, bugs_on_, info_on_, frequency_on_;
  double ticks_;
  std::map<std::string, Cpu, std::less<>> cpus_;
  std::uint64_t round_ = 0;
  int countdown_ = 0;
  std::size_t last_cpu_count_ = 0;
  std::vector<Throttle> core_files_, package_files_;
  std::vector<std::string> all_cpus_, isolated_cpus_;
  std::set<std::uint64_t> online_now_;
  bool can_go_offline_ = false;
};

}  // namespace

std::unique_ptr<Collector> make_cpu(const HostContext& context, Writer& out) {
  return std::make_unique<CpuCollector>(context, out);
}

}  // namespace tocayo::agent
