// SPDX-License-Identifier: Apache-2.0
// node_disk_*: /proc/diskstats, with what udev and sysfs know about each device.
#include <array>
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

constexpr int kUdevEvery = 60;  // collections between two looks at a device's properties
constexpr std::size_t kColumns = 17;

struct Column {
  std::string_view name;
  FamilyType type;
  double factor;  // file unit to metric unit: sectors of 512 bytes, milliseconds
  std::string_view help;
};
constexpr std::array<Column, kColumns> kTable = {{
    {"node_disk_reads_completed_total", FamilyType::counter, 1, "Reads completed."},
    {"node_disk_reads_merged_total", FamilyType::counter, 1, "Reads merged with a neighbour."},
    {"node_disk_read_bytes_total", FamilyType::counter, 512, "Bytes read."},
    {"node_disk_read_time_seconds_total", FamilyType::counter, 0.001, "Seconds spent by all reads."},
    {"node_disk_writes_completed_total", FamilyType::counter, 1, "Writes completed."},
    {"node_disk_writes_merged_total", FamilyType::counter, 1, "Writes merged with a neighbour."},
    {"node_disk_written_bytes_total", FamilyType::counter, 512, "Bytes written."},
    {"node_disk_write_time_seconds_total", FamilyType::counter, 0.001, "Seconds spent by all writes."},
    {"node_disk_io_now", FamilyType::gauge, 1, "Requests in flight."},
    {"node_disk_io_time_seconds_total", FamilyType::counter, 0.001, "Seconds with at least one request in flight."},
    {"node_disk_io_time_weighted_seconds_total", FamilyType::counter, 0.001,
     "Seconds in flight, weighted by the number of requests."},
    {"node_disk_discards_completed_total", FamilyType::counter, 1, "Discards completed."},
    {"node_disk_discards_merged_total", FamilyType::counter, 1, "Discards merged with a neighbour."},
    {"node_disk_discarded_sectors_total", FamilyType::counter, 1, "Sectors discarded."},
    {"node_disk_discard_time_seconds_total", FamilyType::counter, 0.001, "Seconds spent by all discards."},
    {"node_disk_flush_requests_total", FamilyType::counter, 1, "Flush requests completed."},
    {"node_disk_flush_requests_time_seconds_total", FamilyType::counter, 0.001, "Seconds spent by all flush requests."},
}};

class DiskstatsCollector final : public Collector {
 public:
  DiskstatsCollector(const HostContext& context, Writer& out)
      : context_(context),
        file_(context.proc("diskstats")),
        filter_(context.options.filter("diskstats.device")),
        info_(out.gauge("node_disk_info", "What is known about a block device.",
                        {"device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"})),
        filesystem_info_(out.gauge("node_disk_filesystem_info", "The file system on a block device.",
                                   {"device", "type", "usage", "uuid", "version"})),
        mapper_info_(out.gauge("node_disk_device_mapper_info", "The device mapper's names of a block device.",
                               {"device", "name", "uuid", "vg_name", "lv_name", "lv_layer"})),
        write_cache_(out.gauge("node_disk_ata_write_cache", "Whether the ATA disk has a write cache.", {"device"})),
        write_cache_enabled_(
            out.gauge("node_disk_ata_write_cache_enabled", "Whether the ATA disk's write cache is on.", {"device"})),
        rotation_rate_(out.gauge("node_disk_ata_rotation_rate_rpm", "Rotation rate of the ATA disk, 0 for solid state.",
                                 {"device"})) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      columns_[i] = &out.family(kTable[i].name, kTable[i].type, kTable[i].help, {"device"});
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    bool refresh = countdown_-- <= 0;
    if (refresh) {
      countdown_ = kUdevEvery;
      disks_.clear();
    }
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::string_view major = scan::next_word(line), minor = scan::next_word(line), device = scan::next_word(line);
      if (device.empty() || filter_.ignored(device)) continue;
      if (!scan::to_u64(major) || !scan::to_u64(minor)) {
        return fail(ErrorKind::internal,
                    file_.path() + ": device number is no number: " + std::string(major.substr(0, 32)));
      }
      auto found = disks_.find(device);
      if (found == disks_.end() || found->second.major != major || found->second.minor != minor) {
        found = disks_.insert_or_assign(std::string(device), read_properties(device, major, minor)).first;
      }
      put_properties(out, device, found->second);
      for (std::size_t i = 0; i < kColumns; ++i) {
        std::uint64_t value = 0;
        if (!scan::next_u64(line, value)) break;  // older kernels print fewer columns
        out.put(*columns_[i], {device}, static_cast<double>(value) * kTable[i].factor);
      }
    }
    return {};
  }

 private:
  struct Disk {
    std::string major, minor;
    std::string serial;
    std::string_view rotational = "0";
    std::map<std::string, std::string, std::less<>> udev;
    std::string_view get(std::string_view key) const {
      auto found = udev.find(key);
      return found == udev.end() ? std::string_view{} : std::string_view(found->second);
    }
  };

  // A buffer of its own: the table that is being scanned lies in the shared one.
  Disk read_properties(std::string_view device, std::string_view major, std::string_view minor) {
    Disk disk{std::string(major), std::string(minor), {}, "0", {}};
    auto text = read_file(context_.options.udev_data + "/b" + disk.major + ":" + disk.minor, own_buffer_);
    std::string_view line;
    while (text && scan::next_line(*text, line)) {
      if (!line.starts_with("E:")) continue;
      line.remove_prefix(2);
      std::size_t equals = line.find('=');
      if (equals != std::string_view::npos) disk.udev.emplace(line.substr(0, equals), line.substr(equals + 1));
    }
    for (std::string_view key : {"SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"}) {
      if (disk.serial.empty()) disk.serial = disk.get(key);
    }
    std::string name(device);
    for (char& c : name) {
      if (c == '/') c = '!';  // sysfs writes cciss/c0d0 as cciss!c0d0
    }
    if (read_u64(context_.sys("block/" + name + "/queue/rotational"), own_buffer_) == 1) disk.rotational = "1";
    return disk;
  }

  void put_properties(Writer& out, std::string_view device, const Disk& disk) {
    out.put(info_,
            {device, disk.major, disk.minor, disk.get("ID_PATH"), disk.get("ID_WWN"), disk.get("ID_MODEL"), disk.serial,
             disk.get("ID_REVISION"), disk.rotational},
            1);
    if (disk.udev.empty()) return;
    if (auto type = disk.get("ID_FS_TYPE"); !type.empty()) {
      out.put(filesystem_info_,
              {device, type, disk.get("ID_FS_USAGE"), disk.get("ID_FS_UUID"), disk.get("ID_FS_VERSION")}, 1);
    }
    if (auto name = disk.get("DM_NAME"); !name.empty()) {
      out.put(
          mapper_info_,
          {device, name, disk.get("DM_UUID"), disk.get("DM_VG_NAME"), disk.get("DM_LV_NAME"), disk.get("DM_LV_LAYER")},
          1);
    }
    if (disk.get("ID_ATA").empty()) return;
    if (auto value = scan::to_double(disk.get("ID_ATA_WRITE_CACHE"))) out.put(write_cache_, {device}, *value);
    if (auto value = scan::to_double(disk.get("ID_ATA_WRITE_CACHE_ENABLED")))
      out.put(write_cache_enabled_, {device}, *value);
    if (auto value = scan::to_double(disk.get("ID_ATA_ROTATION_RATE_RPM"))) out.put(rotation_rate_, {device}, *value);
  }

  const HostContext& context_;
  KeptFile file_;
  Filter filter_;
  const Family &info_, &filesystem_info_, &mapper_info_, &write_cache_, &write_cache_enabled_, &rotation_rate_;
  std::array<const Family*, kColumns> columns_;
  std::map<std::string, Disk, std::less<>> disks_;
  Buffer own_buffer_;
  int countdown_ = 0;
};

}  // namespace

std::unique_ptr<Collector> make_diskstats(const HostContext& context, Writer& out) {
  return std::make_unique<DiskstatsCollector>(context, out);
}

}  // namespace tocayo::agent
