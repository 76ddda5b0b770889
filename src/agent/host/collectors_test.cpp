// SPDX-License-Identifier: Apache-2.0
// The collectors on trees of files: values, other machines, damage of every kind, and things that hang.
#include <gtest/gtest.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "agent/host/collectors.h"
#include "agent/host/fabric.h"
#include "agent/host/filesystem.h"
#include "agent/host/host_collectors.h"
#include "agent/host/hwmon.h"
#include "agent/host/network.h"
#include "agent/host/storage.h"
#include "agent/host/system.h"
#include "agent/host/testing.h"
#include "agent/host/text_format.h"
#include "agent/host/textfile.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;

std::string fixture() { return std::string(TOCAYO_SOURCE_DIR) + "/src/agent/host/testdata/big"; }

HostOptions tree_options(const std::string& root) {
  HostOptions options;
  options.procfs = root + "/proc";
  options.sysfs = root + "/sys";
  options.rootfs = root;
  options.udev_data = root + "/udev";
  return options;
}

// One collector run twice (the second time finds its series again); values by series without __name__ brackets.
struct Outcome {
  Result<> result;
  std::map<std::string, double> values;
  double at(const std::string& series) const {
    auto found = values.find(series);
    EXPECT_NE(found, values.end()) << series;
    return found == values.end() ? -1 : found->second;
  }
};

Outcome run(const HostOptions& options, CollectorFactory make, int rounds = 2) {
  HostContext context{options};
  Writer writer{Labels()};
  auto collector = make(context, writer);
  Buffer buffer;
  Outcome outcome;
  for (int i = 0; i < rounds; ++i) {
    writer.begin(i);
    outcome.result = collector->collect(writer, buffer);
  }
  for (const Sample& sample : writer.samples()) outcome.values[sample.series->labels.to_string()] = sample.value;
  return outcome;
}

TEST(Collectors, BigMachineWith256Cpus) {
  FixtureTree tree;
  std::string stat = "cpu  0 0 0 0 0 0 0 0 0 0\n", softnet, schedstat = "version 15\ntimestamp 1\n";
  for (int i = 0; i < 256; ++i) {
    stat += "cpu" + std::to_string(i) + " " + std::to_string(100 * i) + " 0 0 500 0 0 0 0 0 0\n";
    char line[160];
    std::snprintf(line, sizeof line, "%08x 00000000 00000000 0 0 0 0 0 00000000 00000000 00000000 00000000 %08x\n", i,
                  i);
    softnet += line;
    schedstat += "cpu" + std::to_string(i) + " 0 0 0 0 0 0 1000000000 2000000000 3\n";
  }
  stat += "intr " + std::string(300000, '0') + "\nctxt 5\nbtime 1\nprocesses 2\nprocs_running 1\nprocs_blocked 0\n";
  tree.write("proc/stat", stat);
  tree.write("proc/net/softnet_stat", softnet);
  tree.write("proc/schedstat", schedstat);
  HostOptions options = tree_options(tree.path());
  Outcome cpu = run(options, make_cpu);
  ASSERT_TRUE(cpu.result.has_value());
  EXPECT_EQ(cpu.values.size(), 256u * 10);
  EXPECT_EQ(cpu.at("node_cpu_seconds_total{cpu=\"255\", mode=\"user\"}"), 255);
  EXPECT_EQ(run(options, make_softnet).at("node_softnet_processed_total{cpu=\"255\"}"), 255);
  EXPECT_EQ(run(options, make_schedstat).at("node_schedstat_waiting_seconds_total{cpu=\"255\"}"), 2);
  EXPECT_EQ(run(options, make_stat).at("node_context_switches_total"), 5);
}

TEST(Collectors, IdleGoingBackIsClampedUnlessItIsAReset) {
  FixtureTree tree;
  HostContext context{tree_options(tree.path())};
  Writer writer{Labels()};
  auto collector = make_cpu(context, writer);
  Buffer buffer;
  auto idle = [&](const char* line) {
    tree.write("proc/stat", line);
    writer.begin(0);
    EXPECT_TRUE(collector->collect(writer, buffer).has_value());
    for (const Sample& sample : writer.samples()) {
      if (sample.series->labels.get("mode") == "idle") return sample.value;
    }
    return -1.0;
  };
  EXPECT_EQ(idle("cpu0 0 0 0 1000 50 0 0 0 0 0\n"), 10);
  EXPECT_EQ(idle("cpu0 0 0 0 990 40 0 0 0 0 0\n"), 10) << "0.1 s back is the kernel's accounting";
  EXPECT_EQ(idle("cpu0 0 0 0 1001 40 0 0 0 0 0\n"), 10.01);
  EXPECT_EQ(idle("cpu0 0 0 0 500 0 0 0 0 0 0\n"), 5) << "5 s back is a CPU that was off";
}

TEST(Collectors, FilesOfTheFixtureTree) {
  HostOptions options = tree_options(fixture());
  EXPECT_EQ(run(options, make_meminfo).at("node_memory_Active_anon_bytes"), 4096000.0 * 1024);
  EXPECT_EQ(run(options, make_meminfo).at("node_memory_HugePages_Total"), 16);
  EXPECT_EQ(run(options, make_vmstat).values.size(), 7u) << "fields that the filter leaves out are not there";
  Outcome disks = run(options, make_diskstats);
  EXPECT_EQ(disks.at("node_disk_read_bytes_total{device=\"sda\"}"), 1003346126.0 * 512);
  EXPECT_EQ(disks.at("node_disk_info{device=\"sda\", major=\"8\", minor=\"0\", model=\"EXAMPLE-1000\", "
                     "path=\"pci-0000:00:1f.2-ata-1\", "
                     "revision=\"A1\", rotational=\"1\", serial=\"S3R14L\", wwn=\"0x5000c500a1b2c3d4\"}"),
            1);
  EXPECT_FALSE(disks.values.contains("node_disk_io_now{device=\"sda1\"}")) << "partitions are filtered";
  EXPECT_FALSE(disks.values.contains("node_disk_flush_requests_total{device=\"nvme0n1\"}"))
      << "that kernel had no such column";
  EXPECT_EQ(run(options, make_nvme)
                .at("node_nvme_info{cntlid=\"5\", device=\"nvme0\", firmware_revision=\"1B2QEXP7\", "
                    "model=\"Samsung SSD\", serial=\"S680HF8N\", state=\"live\"}"),
            1);
  Outcome edac = run(options, make_edac);
  EXPECT_EQ(edac.at("node_edac_channel_correctable_errors_total{channel=\"0\", controller=\"0\", csrow=\"0\", "
                    "dimm_label=\"mc0_csrow1_channel0\"}"),
            2);
  Outcome zfs = run(options, make_zfs);
  EXPECT_EQ(zfs.at("node_zfs_zpool_dataset_nread{dataset=\"tank/data set\", zpool=\"tank\"}"), 28);
  EXPECT_EQ(zfs.at("node_zfs_zpool_state{state=\"degraded\", zpool=\"tank\"}"), 1);
  EXPECT_EQ(zfs.at("node_zfs_zpool_state{state=\"suspended\", zpool=\"tank\"}"), 0);
  Outcome infiniband = run(options, make_infiniband);
  EXPECT_EQ(infiniband.at("node_infiniband_lifespan_seconds{device=\"mlx4_0\", port=\"1\"}"), 10);
  EXPECT_EQ(infiniband.at("node_infiniband_rate_bytes_per_second{device=\"mlx4_0\", port=\"1\"}"), 5e9);
  EXPECT_EQ(run(options, make_hwmon).at("node_hwmon_freq_freq_mhz{chip=\"applesmc\", sensor=\"sclk\"}"), 214);
  EXPECT_EQ(run(options, make_nfs).at("node_nfs_requests_total{method=\"GetDeviceInfo\", proto=\"4\"}"), 45);
  EXPECT_EQ(run(options, make_nfsd).at("node_nfsd_requests_total{method=\"Access\", proto=\"4\"}"), 1098);
  EXPECT_EQ(
      run(options, make_btrfs).at("node_btrfs_last_commit_seconds{uuid=\"0abb23a9-579b-43e6-ad30-227ef47fcb9d\"}"), 1);
  Outcome processes = run(options, make_processes);
  EXPECT_EQ(processes.at("node_processes_threads"), 3);
  EXPECT_EQ(processes.at("node_processes_threads_state{thread_state=\"D\"}"), 1);
  EXPECT_EQ(processes.at("node_processes_state{state=\"S\"}"), 1);
  EXPECT_EQ(run(options, make_os).at("node_os_support_end_timestamp_seconds"), 1845936000);
}

TEST(Collectors, NothingThereIsNoCrash) {
  FixtureTree tree;
  HostOptions options = tree_options(tree.path("none"));
  for (const CollectorSpec& spec : collector_specs()) {
    Outcome empty = run(options, spec.make);
    if (empty.result.has_value()) continue;
    EXPECT_FALSE(empty.result.error().message.empty()) << spec.name;
  }
}

// Files that cannot be read: a directory in a file's place for root, no permission for others.
TEST(Collectors, UnreadableFilesFailOnlyTheirCollector) {
  FixtureTree tree;
  fs::copy(fixture(), tree.path("m"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  HostOptions options = tree_options(tree.path("m"));
  options.collectors["tcpstat"] = false;
  for (const char* file : {"m/proc/stat", "m/proc/meminfo", "m/proc/net/netstat", "m/proc/mdstat"}) {
    if (::geteuid() == 0) {
      tree.remove(file);
      fs::create_directory(tree.path(file));
    } else {
      fs::permissions(tree.path(file), fs::perms::none);
    }
  }
  auto collectors = HostCollectors::create(options);
  ASSERT_TRUE(collectors.has_value());
  std::string text = host_metrics_text(**collectors, (*collectors)->enabled());
  for (const char* name : {"cpu", "stat", "meminfo", "netstat", "mdadm"}) {
    EXPECT_NE(text.find("node_scrape_collector_success{collector=\"" + std::string(name) + "\"} 0\n"),
              std::string::npos)
        << name;
  }
  for (const char* name : {"loadavg", "vmstat", "diskstats", "sockstat", "hwmon", "zfs"}) {
    EXPECT_NE(text.find("node_scrape_collector_success{collector=\"" + std::string(name) + "\"} 1\n"),
              std::string::npos)
        << name;
  }
}

// Every file of the tree cut off at many places: no collector crashes, none goes on for ever, none invents a label
// without end.
TEST(Collectors, AnyFileCutOffAnywhere) {
  FixtureTree tree;
  fs::copy(fixture(), tree.path("m"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  HostOptions options = tree_options(tree.path("m"));
  options.collectors["filesystem"] =
      false;  // its scanner is tested below; statfs on the tree's mounts is not what is meant here
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(tree.path("m"))) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  ASSERT_GT(files.size(), 300u);
  auto collectors = HostCollectors::create(options);
  ASSERT_TRUE(collectors.has_value());
  Collection collection;
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    std::string whole = content.str();
    std::size_t steps = whole.size() < 40 ? 1 : 8;
    for (std::size_t i = 0; i < steps; ++i) {
      std::size_t size = whole.size() * (2 * i + 1) / (2 * steps);
      std::ofstream(file, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
      (*collectors)->collect((*collectors)->enabled(), {}, collection);
      ASSERT_LT(collection.samples.size(), 5000u) << file;
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  }
}

TEST(Filesystem, MountinfoLines) {
  MountLine mount;
  ASSERT_TRUE(parse_mountinfo_line(
      "36 35 98:0 /mnt1 /mnt2\\040x rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue", mount));
  EXPECT_EQ(mount.major, "98");
  EXPECT_EQ(mount.mountpoint, "/mnt2\\040x");
  EXPECT_EQ(mount.fstype, "ext3");
  EXPECT_EQ(mount.device, "/dev/root");
  EXPECT_FALSE(mount.readonly);
  ASSERT_TRUE(parse_mountinfo_line("36 35 98:0 / / rw - xfs /dev/sda1 ro,attr2", mount));
  EXPECT_TRUE(mount.readonly);
  for (const char* bad :
       {"", "36", "36 35 98:0 /mnt1 /mnt2 rw", "36 35 98 / / rw - ext3 d rw", "36 35 a:b / / rw - ext3 d rw"}) {
    EXPECT_FALSE(parse_mountinfo_line(bad, mount)) << bad;
  }
}

// One mount never answers: the others are on time, and after the limit it is reported; when it answers it is back.
TEST(Filesystem, StuckMountIsReportedAndTheOthersAreOnTime) {
  FixtureTree tree;
  tree.write("proc/1/mountinfo",
             "1 0 8:1 / /good rw - ext4 /dev/a rw\n2 0 8:2 / /stuck rw - nfs srv:/x rw\n3 0 8:3 / /late ro - ext4 "
             "/dev/b rw\n");
  HostOptions options = tree_options(tree.path());
  options.rootfs = "/";
  HostContext context{options};
  Writer writer{Labels()};
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int inside = 0;
  };
  auto gate = std::make_shared<Gate>();  // shared with the thread that hangs
  auto call = [gate](const std::string& path, struct statfs& result) {
    if (path == "/stuck") {
      std::unique_lock lock(gate->mutex);
      ++gate->inside;
      gate->changed.notify_all();
      gate->changed.wait(lock, [&] { return gate->open; });
      --gate->inside;
      gate->changed.notify_all();
    }
    result.f_bsize = 4096;
    result.f_blocks = 10;
    return 0;
  };
  auto collector = make_filesystem_with(context, writer, call, std::chrono::milliseconds(1));
  Buffer buffer;
  auto values = [&] {
    writer.begin(0);
    EXPECT_TRUE(collector->collect(writer, buffer).has_value());
    std::map<std::string, double> found;
    for (const Sample& sample : writer.samples()) found[sample.series->labels.to_string()] = sample.value;
    return found;
  };
  auto first = values();
  EXPECT_EQ(first["node_filesystem_size_bytes{device=\"/dev/a\", fstype=\"ext4\", mountpoint=\"/good\"}"], 40960);
  EXPECT_EQ(first["node_filesystem_size_bytes{device=\"/dev/b\", fstype=\"ext4\", mountpoint=\"/late\"}"], 40960);
  EXPECT_EQ(first["node_filesystem_readonly{device=\"/dev/b\", fstype=\"ext4\", mountpoint=\"/late\"}"], 1);
  std::string reported =
      "node_filesystem_device_error{device=\"srv:/x\", device_error=\"mountpoint timeout\", fstype=\"nfs\", "
      "mountpoint=\"/stuck\"}";
  auto second = values();
  EXPECT_EQ(second[reported], 1);
  EXPECT_EQ(second["node_filesystem_device_error{device=\"/dev/a\", fstype=\"ext4\", mountpoint=\"/good\"}"], 0);
  {
    std::unique_lock lock(gate->mutex);
    gate->open = true;
    gate->changed.notify_all();
    ASSERT_TRUE(gate->changed.wait_for(lock, std::chrono::seconds(10), [&] { return gate->inside == 0; }));
  }
  std::string back = "node_filesystem_size_bytes{device=\"srv:/x\", fstype=\"nfs\", mountpoint=\"/stuck\"}";
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::map<std::string, double> last;
  do last = values();
  while (!last.contains(back) && std::chrono::steady_clock::now() < limit);
  EXPECT_EQ(last[back], 40960);
}

struct Hang {
  std::mutex mutex;
  std::condition_variable changed;
  bool hold = true;
  int runs = 0;
};
Hang& hang() {
  static Hang instance;
  return instance;
}

class HangingCollector final : public Collector {
 public:
  explicit HangingCollector(Writer& out) : family_(out.gauge("test_hanging")) {}
  Result<> collect(Writer& out, Buffer&) override {
    std::unique_lock lock(hang().mutex);
    ++hang().runs;
    hang().changed.notify_all();
    hang().changed.wait(lock, [] { return !hang().hold; });
    out.put(family_, 1);
    return {};
  }

 private:
  const Family& family_;
};
class QuickCollector final : public Collector {
 public:
  explicit QuickCollector(Writer& out) : family_(out.gauge("test_quick")) {}
  Result<> collect(Writer& out, Buffer&) override {
    out.put(family_, 1);
    return {};
  }

 private:
  const Family& family_;
};

TEST(HostCollectors, ACollectorThatHangsIsLeftBehindAndComesBack) {
  static const CollectorSpec kSpecs[] = {
      {"hanging", true, Lane::guarded,
       [](const HostContext&, Writer& out) -> std::unique_ptr<Collector> {
         return std::make_unique<HangingCollector>(out);
       }},
      {"quick", true, Lane::guarded,
       [](const HostContext&, Writer& out) -> std::unique_ptr<Collector> {
         return std::make_unique<QuickCollector>(out);
       }},
  };
  auto collectors = HostCollectors::create_with({}, kSpecs);
  ASSERT_TRUE(collectors.has_value());
  Collection collection;
  auto has = [&](std::string_view name) {
    return std::ranges::any_of(collection.samples, [&](const Sample& sample) { return sample.series->name == name; });
  };
  (*collectors)->collect((*collectors)->enabled(), {}, collection);
  EXPECT_FALSE(has("test_hanging"));
  EXPECT_TRUE(has("test_quick")) << "the collector behind it in the queue is not held up";
  EXPECT_FALSE(collection.parts[0].success);
  EXPECT_TRUE(collection.parts[1].success);
  (*collectors)->collect((*collectors)->enabled(), {}, collection);
  {
    std::lock_guard lock(hang().mutex);
    EXPECT_EQ(hang().runs, 1) << "it is not started again while it hangs";
  }
  EXPECT_LT(collection.duration, std::chrono::milliseconds(900)) << "and nobody waits for it any more";
  {
    std::lock_guard lock(hang().mutex);
    hang().hold = false;
    hang().changed.notify_all();
  }
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do (*collectors)->collect((*collectors)->enabled(), {}, collection);
  while (!has("test_hanging") && std::chrono::steady_clock::now() < limit);
  EXPECT_TRUE(has("test_hanging"));
}

TEST(HostCollectors, SelectionByQuery) {
  HostOptions options = tree_options(fixture());
  options.collectors["xfs"] = false;
  auto collectors = HostCollectors::create(options);
  ASSERT_TRUE(collectors.has_value());
  auto selected = selection_from_query(**collectors, "collect[]=loadavg&collect%5B%5D=stat&other=1");
  ASSERT_TRUE(selected.has_value());
  EXPECT_EQ(selected->count(), 2u);
  std::string text = host_metrics_text(**collectors, *selected);
  EXPECT_NE(text.find("\nnode_load1 1.5\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("node_memory"), std::string::npos);
  auto excluded = selection_from_query(**collectors, "exclude[]=loadavg");
  ASSERT_TRUE(excluded.has_value());
  EXPECT_EQ(excluded->count() + 1, (*collectors)->enabled().count());
  EXPECT_EQ(selection_from_query(**collectors, "collect[]=nonsense").error().message, "missing collector: nonsense");
  EXPECT_EQ(selection_from_query(**collectors, "collect[]=xfs").error().message, "disabled collector: xfs");
  EXPECT_EQ(selection_from_query(**collectors, "collect[]=stat&exclude[]=cpu").error().message,
            "Combined collect and exclude queries are not allowed.");
}

TEST(HostCollectors, ResultsYoungerThanASecondAreServedAgain) {
  FixtureTree tree;
  tree.write("proc/loadavg", "1 1 1 1/1 1\n");
  HostOptions options = tree_options(tree.path());
  auto collectors = HostCollectors::create(options);
  Selection load;
  load.set(static_cast<std::size_t>(collector_index("loadavg")));
  Collection collection;
  (*collectors)->collect(load, {}, collection);
  tree.write("proc/loadavg", "2 2 2 1/1 1\n");
  (*collectors)->collect(load, std::chrono::hours(1), collection);
  EXPECT_EQ(collection.samples.front().value, 1);
  (*collectors)->collect(load, {}, collection);
  EXPECT_EQ(collection.samples.front().value, 2);
}

TEST(HostOptions, Flags) {
  HostOptions options;
  EXPECT_TRUE(options.apply_flag("--collector.netdev.device-exclude=^veth").has_value());
  EXPECT_EQ(options.filter("netdev.device").exclude, "^veth");
  EXPECT_TRUE(options.apply_flag("--collector.diskstats.device-include=^sda$").has_value());
  EXPECT_EQ(options.filter("diskstats.device").exclude, "") << "a default gives way";
  EXPECT_FALSE(options.apply_flag("--collector.netdev.device-include=^eth").has_value())
      << "both halves were asked for";
  EXPECT_FALSE(options.apply_flag("--collector.netdev.device-exclude=(").has_value());
  EXPECT_FALSE(options.apply_flag("--collector.nonsense").has_value());
  EXPECT_FALSE(options.apply_flag("--collector.wifi").has_value());
  EXPECT_TRUE(options.apply_flag("--no-collector.wifi").has_value());
  EXPECT_TRUE(options.apply_flag("--no-collector.cpu").has_value());
  EXPECT_FALSE(options.collectors.at("cpu"));
  bool used = false;
  std::string value = "/host/proc";
  EXPECT_TRUE(options.apply_flag("--path.procfs", &value, &used).has_value());
  EXPECT_TRUE(used);
  EXPECT_EQ(options.procfs, "/host/proc");
  EXPECT_FALSE(options.live());
  EXPECT_TRUE(options.apply_flag("--collector.disable-defaults").has_value());
  EXPECT_FALSE(options.collectors.at("stat"));
}

TEST(Writer, ConstantLabelsWinAndOwnOnesAreRenamed) {
  Writer writer{Labels{{"job", "node"}}};
  const Family& family = writer.gauge("g", {}, {"job", "device"});
  writer.begin(0);
  writer.put(family, {"own", "bad\xff\xfe"}, 1);
  writer.put(family, {"own", "bad\xff\xfe"}, 2);
  ASSERT_EQ(writer.samples().size(), 1u) << "a series twice in a round keeps its first value";
  EXPECT_EQ(writer.samples()[0].series->labels.to_string(),
            "g{device=\"bad\xEF\xBF\xBD\", exported_job=\"own\", job=\"node\"}");
}

TEST(Writer, SeriesAreFoundAgainInAnyOrderAndRetired) {
  Writer writer{Labels()};
  const Family& family = writer.gauge("g", {}, {"device"});
  writer.begin(1);
  for (int i = 0; i < 100; ++i) writer.put(family, {std::to_string(i)}, i);
  std::map<std::string, const Series*> first;
  for (const Sample& sample : writer.samples()) first[sample.series->labels.to_string()] = sample.series.get();
  writer.begin(2);
  for (int i = 99; i >= 0; i -= 2) writer.put(family, {std::to_string(i)}, i);
  for (const Sample& sample : writer.samples())
    EXPECT_EQ(first[sample.series->labels.to_string()], sample.series.get());
  EXPECT_EQ(writer.series_count(), 100u);
  for (std::int64_t now : {300, 600}) {
    writer.begin(now);
    for (int i = 99; i >= 0; i -= 2) writer.put(family, {std::to_string(i)}, i);
  }
  writer.begin(650);
  EXPECT_EQ(writer.series_count(), 50u) << "what was not seen for ten minutes is gone";
  for (int i = 99; i >= 0; i -= 2) writer.put(family, {std::to_string(i)}, i);
  for (const Sample& sample : writer.samples())
    EXPECT_EQ(first[sample.series->labels.to_string()], sample.series.get());
}

TEST(Scanners, SmallOnes) {
  SocketLine socket;
  ASSERT_TRUE(parse_socket_line("   0: 0100007F:0019 00000000:0000 0A 00000015:00000001 00:00000000", socket));
  EXPECT_EQ(socket.state, 10u);
  EXPECT_EQ(socket.tx, 21u);
  EXPECT_FALSE(parse_socket_line("   0: 0100007F:0019", socket));
  EXPECT_EQ(tcp_state_name(1), "established");
  EXPECT_EQ(tcp_state_name(12), "unknown");
  ProcessStat stat;
  EXPECT_FALSE(parse_process_stat("1 (x", stat));
  EXPECT_FALSE(parse_process_stat("1 (x) S 1 2", stat));
  SensorName name;
  ASSERT_TRUE(split_sensor_name("temp1_crit_alarm", name));
  EXPECT_EQ(name.property, "crit_alarm");
  EXPECT_FALSE(split_sensor_name("temp1x", name));
  EXPECT_FALSE(split_sensor_name("1temp", name));
  EXPECT_EQ(clean_metric_name("__PCI:0 a__"), "pci:0_a");
  EXPECT_EQ(parse_human_size("1.5k"), 1536 + 1024 * (5 / 10.24 - 0.5))
      << "the fraction is in steps of 1/1024, as the kernel prints it";
  EXPECT_EQ(parse_human_size("-3M"), -3.0 * 1024 * 1024);
  EXPECT_FALSE(parse_human_size("x").has_value());
  std::string address;
  std::uint64_t port = 0;
  ASSERT_TRUE(parse_ipvs_address("C0A80016:0CEA", address, port));
  EXPECT_EQ(address, "192.168.0.22");
  EXPECT_EQ(port, 3306u);
  ASSERT_TRUE(parse_ipvs_address("[2620:0000:0000:0000:0000:0000:0000:0001]:0050", address, port));
  EXPECT_EQ(address, "2620::1");
  EXPECT_FALSE(parse_ipvs_address("C0A80016", address, port));
}

TEST(Textfile, FormatAndErrors) {
  auto file = parse_text_file(
      "# HELP a_total help \\\\ here\n# TYPE a_total counter\na_total{x=\"1\\n2\",y=\"\\\"\"} 1e3\nb NaN\nc +Inf\n\n# "
      "free text\n");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(file->families[0].help, "help \\ here");
  EXPECT_EQ(file->samples[0].labels[0].value, "1\n2");
  EXPECT_EQ(file->samples[0].value, 1000);
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& bad :
       {Case{"a 1\nb\n", "line 2: expected float"}, Case{"a{x=\"1\" 1\n", "line 1: expected ','"},
        Case{"a{x=1} 1\n", "line 1: expected '\"'"}, Case{"a 1 1700000000\n", "line 1: client-side timestamps"},
        Case{"a{x=\"1\n", "line 1: label value is not ended"},
        Case{"# TYPE a nonsense\n", "line 1: unknown metric type"}, Case{"1a 1\n", "line 1: invalid metric name"},
        Case{"a{x=\"1\",x=\"2\"} 1\n", "line 1: duplicate label"}}) {
    auto parsed = parse_text_file(bad.text);
    ASSERT_FALSE(parsed.has_value()) << bad.text;
    EXPECT_TRUE(parsed.error().message.starts_with(bad.error)) << parsed.error().message;
  }
}

TEST(Textfile, BadFileSetsTheErrorAndTheOthersCount) {
  FixtureTree tree;
  tree.write("text/good.prom", "good 1\n");
  tree.write("text/bad.prom", "bad\n");
  tree.write("text/ignored.txt", "ignored 1\n");
  HostOptions options;
  options.textfile_directories = {tree.path("te*")};
  Outcome result = run(options, make_textfile);
  EXPECT_EQ(result.at("good"), 1);
  EXPECT_EQ(result.at("node_textfile_scrape_error"), 1);
  EXPECT_FALSE(result.values.contains("ignored"));
  EXPECT_FALSE(result.values.contains("bad"));
}

TEST(TextFormat, ValuesAsGoPrintsThem) {
  auto text = [](double value) {
    std::string out;
    append_value(out, value);
    return out;
  };
  EXPECT_EQ(text(0), "0");
  EXPECT_EQ(text(0.25), "0.25");
  EXPECT_EQ(text(123456), "123456");
  EXPECT_EQ(text(2468409200), "2.4684092e+09");
  EXPECT_EQ(text(0.00001), "1e-05");
  EXPECT_EQ(text(-1.5), "-1.5");
}

}  // namespace
}  // namespace tocayo::agent
