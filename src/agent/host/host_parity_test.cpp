// SPDX-License-Identifier: Apache-2.0
// Parity with Debian's prometheus-node-exporter on this machine: the same names, types and label sets, and values that
// lie between two scrapes of it, one before and one after ours.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "agent/host/collector.h"
#include "agent/host/host_collectors.h"
#include "agent/host/testing.h"
#include "agent/host/text_format.h"
#include "agent/host/textfile.h"

extern char** environ;

namespace tocayo::agent {
namespace {

constexpr const char* kBinary = "/usr/bin/prometheus-node-exporter";

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t free_port() {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

class Exporter {
 public:
  explicit Exporter(const std::vector<std::string>& flags) : port_(free_port()) {
    std::vector<std::string> args = {kBinary, "--web.listen-address=127.0.0.1:" + std::to_string(port_),
                                     "--log.level=error"};
    args.insert(args.end(), flags.begin(), flags.end());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (::posix_spawn(&pid_, kBinary, &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Exporter() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  // The page, or empty while nobody listens.
  std::string fetch() const {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(port_);
    std::string reply;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      std::string request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
      if (::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
        char buffer[65536];
        for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
          reply.append(buffer, static_cast<std::size_t>(n));
      }
    }
    ::close(fd);
    std::size_t body = reply.find("\r\n\r\n");
    return body == std::string::npos ? std::string() : reply.substr(body + 4);
  }

  std::string first_page() const {
    auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::string page;
    while ((page = fetch()).empty() && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    return page;
  }

 private:
  std::uint16_t port_;
  pid_t pid_ = -1;
};

struct Page {
  std::map<std::string, FamilyType> types;
  std::map<std::string, double> values;  // by series, labels sorted, without empty ones
  std::map<std::string, std::string> family;
};

// Labels that newer versions of node_exporter have and 1.5 has not.
bool newer_label(const std::string& family, const std::string& label) {
  return (family == "node_disk_info" && label == "rotational") ||
         (family == "node_filesystem_device_error" && label == "device_error") ||
         (family == "node_network_info" && label == "adminstate");
}

Page read_page(const std::string& text) {
  Page page;
  auto parsed = parse_text_file(text);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  if (!parsed) return page;
  for (const TextFamily& family : parsed->families) page.types[family.name] = family.type;
  for (TextSample& sample : parsed->samples) {
    std::erase_if(sample.labels,
                  [&](const Label& label) { return label.value.empty() || newer_label(sample.family, label.name); });
    std::string key = sample.name + Labels(sample.labels).to_string();
    page.values[key] = sample.value;
    page.family[key] = sample.family;
  }
  return page;
}

// Not a property of the machine, or another collector's.
bool outside(const std::string& family) {
  return family.starts_with("go_") || family.starts_with("promhttp_") || family.starts_with("node_exporter_") ||
         family == "node_scrape_collector_duration_seconds";
}

// Which series there are depends on the moment.
bool fleeting(const std::string& family) {
  return family == "node_processes_state" || family == "node_processes_threads_state" ||
         family == "node_tcp_connection_states";
}

// Added to node_exporter after 1.5, or read by dashboards under this name.
bool newer_family(const std::string& family) {
  static const std::set<std::string> kNewer = {"node_cpu_online",
                                               "node_cpu_isolated",
                                               "node_filesystem_mount_info",
                                               "node_kernel_hung_tasks",
                                               "node_kernel_hung_tasks_total",
                                               "node_pressure_irq_stalled_seconds_total",
                                               "node_softnet_cpu_collision_total",
                                               "node_softnet_received_rps_total",
                                               "node_softnet_flow_limit_count_total",
                                               "node_softnet_backlog_len",
                                               "node_xfs_inode_operation_attempts_total",
                                               "node_network_altnames_info",
                                               "node_os_support_end_timestamp_seconds",
                                               "node_netstat_Tcp_MaxConn"};
  return kNewer.contains(family);
}

// How far a value may lie outside the two that bracket it.
double tolerance(const std::string& family, double low, double high) {
  double magnitude = std::max(std::fabs(low), std::fabs(high));
  if (family.starts_with("node_memory_")) return std::max(0.01 * magnitude, 256.0 * 1024 * 1024);  // a machine at work
  if (family.starts_with("node_filesystem_")) return std::max(0.01 * magnitude, 64.0 * 1024 * 1024);
  if (family.ends_with("_seconds_total")) return std::max(0.01 * magnitude, 0.02);  // a tick on each side
  if (family.starts_with("node_load") || family.starts_with("node_procs_") || family.starts_with("node_sockstat_"))
    return 16;
  if (family.starts_with("node_processes_") || family.starts_with("node_filefd_") || family == "node_disk_io_now")
    return 64;
  if (family.starts_with("node_timex_")) return std::max(0.01 * magnitude, 0.01);
  if (family == "node_udp_queues" || family.starts_with("node_entropy_")) return 65536;
  if (family == "node_netstat_Tcp_CurrEstab" || family == "node_arp_entries" ||
      family.starts_with("node_nf_conntrack_entries"))
    return 16;
  return 0.01 * magnitude + 1e-9;
}

bool own_value(const std::string& family) {
  return family.starts_with("process_") || fleeting(family) || family == "node_textfile_scrape_error";
}

// Families of the fixture tree for which we follow a newer node_exporter than Debian's 1.5.
bool fixture_difference(const std::string& family) {
  static const std::set<std::string> kDifferent = {
      "node_btrfs_commit_seconds_total",
      "node_btrfs_commits_total",
      "node_btrfs_last_commit_seconds",
      "node_btrfs_max_commit_seconds",
      "node_cpu_scaling_governor",
      "node_edac_channel_correctable_errors_total",
      "node_edac_channel_uncorrectable_errors_total",
      "node_hwmon_freq_freq_mhz",
      "node_hwmon_sensor_label",  // of freq sensors too
      "node_infiniband_duplicate_requests_packets_total",
      "node_infiniband_lifespan_seconds",
      "node_infiniband_out_of_buffer_drops_total",
      "node_nfs_requests_total",              // 1.5 has two procedures swapped
      "node_nfsd_requests_total",             // and here two columns too few
      "node_nvme_info",                       // label cntlid
      "node_zfs_arc_memory_available_bytes",  // signed statistics
      "node_zfs_zpool_dataset_nread",
      "node_zfs_zpool_dataset_writes",  // data set names with blanks
      "node_zfs_zpool_state",           // state suspended
  };
  return kDifferent.contains(family);
}

void compare_families(Page& ours, const Page& theirs, bool (*skip)(const std::string&),
                      std::map<std::string, std::string>& found) {
  for (const auto& [family, type] : theirs.types) {
    if (skip(family)) continue;
    if (!ours.types.contains(family))
      found[family] = "family is missing";
    else if (ours.types[family] != type) {
      found[family] = "type is " + std::string(to_string(ours.types[family])) + ", not " + std::string(to_string(type));
    }
  }
}

void compare_series(const Page& ours, const Page& before, Page& after, bool (*skip)(const std::string&),
                    std::map<std::string, std::string>& found) {
  for (const auto& [series, value] : after.values) {
    const std::string& family = after.family[series];
    if (skip(family) || fleeting(family)) continue;
    auto own = ours.values.find(series);
    auto earlier = before.values.find(series);
    if (own == ours.values.end()) {
      if (earlier != before.values.end()) found[series] = "series is missing";
      continue;
    }
    if (own_value(family) || earlier == before.values.end() || (std::isnan(own->second) && std::isnan(value))) continue;
    double low = std::min(value, earlier->second), high = std::max(value, earlier->second),
           slack = tolerance(family, low, high);
    if (!(own->second >= low - slack && own->second <= high + slack)) {
      found[series] =
          std::to_string(own->second) + " is not in [" + std::to_string(low) + ", " + std::to_string(high) + "]";
    }
  }
  for (const auto& [series, value] : ours.values) {
    const std::string& family = ours.family.at(series);
    if (skip(family) || fleeting(family) || newer_family(family) || after.values.contains(series) ||
        before.values.contains(series))
      continue;
    // Newer versions also say whether a file system that cannot be looked at is read-only.
    if (series.find("device_error=\"") != std::string::npos) continue;
    if (series.find("collector=\"kernel_hung\"") == std::string::npos)
      found[series] = "node_exporter does not have this series";
  }
}

// Series of ours and node_exporter's that differ in every one of `rounds` attempts, with what is wrong.
std::map<std::string, std::string> compare(const HostOptions& options, const std::vector<std::string>& flags,
                                           int rounds, bool (*skip)(const std::string& family)) {
  std::map<std::string, std::string> wrong;
  auto collectors = HostCollectors::create(options);
  Exporter exporter(flags);
  if (!collectors || exporter.first_page().empty()) return {{"exporter", "does not answer"}};
  for (int round = 0; round < rounds; ++round) {
    Page before = read_page(exporter.fetch());
    Collection fresh;  // nothing older than the scrape before
    (*collectors)->collect((*collectors)->enabled(), {}, fresh);
    Page ours = read_page(host_metrics_text(**collectors, (*collectors)->enabled()));
    Page after = read_page(exporter.fetch());
    std::map<std::string, std::string> found;
    if (after.values.size() < 300) found["page"] = "is too small to compare with";
    compare_families(ours, after, skip, found);
    compare_series(ours, before, after, skip, found);
    if (round == 0) {
      wrong = std::move(found);
    } else {
      std::erase_if(wrong, [&](const auto& entry) { return !found.contains(entry.first); });
    }
    if (wrong.empty()) break;
  }
  return wrong;
}

class HostParityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access(kBinary, X_OK) == 0) return;
    if (::getenv("CI") != nullptr) FAIL() << kBinary << " is not installed (package prometheus-node-exporter)";
    GTEST_SKIP() << kBinary << " is not installed (package prometheus-node-exporter): parity is not tested";
  }
};

TEST_F(HostParityTest, NamesTypesLabelsAndValues) {
  FixtureTree tree;
  tree.write(
      "textfile/one.prom",
      "# HELP parity_total A counter.\n# TYPE parity_total counter\nparity_total{b=\"x\\\"y\",a=\"1\"} 3\n"
      "# TYPE parity_seconds histogram\nparity_seconds_bucket{le=\"0.5\"} 1\nparity_seconds_bucket{le=\"+Inf\"} 2\n"
      "parity_seconds_sum 1.5\nparity_seconds_count 2\nparity_plain 7\n");
  HostOptions options;
  std::vector<std::string> both = {"--collector.interrupts", "--collector.textfile.directory=" + tree.path("textfile")};
  for (const std::string& flag : both) ASSERT_TRUE(options.apply_flag(flag).has_value()) << flag;
  std::vector<std::string> flags = both;
  for (const char* on : {"--collector.processes", "--collector.tcpstat", "--no-collector.systemd",
                         "--collector.netdev.device-exclude=^$"}) {
    flags.emplace_back(on);
  }
  flags.push_back("--collector.diskstats.device-exclude=" + options.filter("diskstats.device").exclude);
  flags.push_back("--collector.filesystem.mount-points-exclude=" + options.filter("filesystem.mount-points").exclude);
  flags.push_back("--collector.filesystem.fs-types-exclude=" + options.filter("filesystem.fs-types").exclude);
  flags.push_back("--collector.netstat.fields=" + options.filter("netstat.fields").include);
  options.collectors["systemd"] = false;

  auto wrong = compare(options, flags, 5, outside);
  for (const auto& [series, what] : wrong) ADD_FAILURE() << series << ": " << what;
}

// The hardware that this machine does not have, from a tree of files.
TEST_F(HostParityTest, FixtureTree) {
  std::string tree = std::string(TOCAYO_SOURCE_DIR) + "/src/agent/host/testdata/big";
  HostOptions options;
  std::vector<std::string> flags = {"--path.procfs=" + tree + "/proc", "--path.sysfs=" + tree + "/sys",
                                    "--path.rootfs=" + tree,           "--path.udev.data=" + tree + "/udev",
                                    "--collector.interrupts",          "--no-collector.systemd",
                                    "--no-collector.filesystem"};
  for (const std::string& flag : flags) ASSERT_TRUE(options.apply_flag(flag).has_value()) << flag;
  for (const char* on :
       {"--collector.processes", "--no-collector.netdev.netlink", "--collector.netdev.device-exclude=^$"})
    flags.emplace_back(on);
  flags.push_back("--collector.diskstats.device-exclude=" + options.filter("diskstats.device").exclude);
  flags.push_back("--collector.netstat.fields=" + options.filter("netstat.fields").include);
  options.collectors["tcpstat"] = false;
  auto skip = [](const std::string& family) { return outside(family) || fixture_difference(family); };
  auto wrong = compare(options, flags, 1, skip);
  for (const auto& [series, what] : wrong) ADD_FAILURE() << series << ": " << what;
}

}  // namespace
}  // namespace tocayo::agent
