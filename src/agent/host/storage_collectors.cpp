// SPDX-License-Identifier: Apache-2.0
// File systems and volumes with statistics of their own: mdadm, btrfs, bcache, xfs, zfs.
#include <array>
#include <cmath>
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/line_table.h"
#include "agent/host/storage.h"
#include "agent/host/sysfs_numbers.h"

namespace tocayo::agent {
namespace {

constexpr FamilyType kGauge = FamilyType::gauge;

std::size_t count_of(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

// "… [2/1] [U_]": required and active disks.
bool parse_disk_counts(std::string_view line, MdDevice& device) {
  for (std::size_t open = line.find('['); open != std::string_view::npos; open = line.find('[', open + 1)) {
    std::size_t close = line.find(']', open), slash = line.find('/', open);
    if (close == std::string_view::npos || slash == std::string_view::npos || slash > close) continue;
    auto required = scan::to_u64(line.substr(open + 1, slash - open - 1)),
         active = scan::to_u64(line.substr(slash + 1, close - slash - 1));
    if (!required || !active) continue;
    device.required = static_cast<double>(*required);
    device.active = static_cast<double>(*active);
    return true;
  }
  return false;
}

// "(12345/67890)".
std::optional<std::uint64_t> parse_synced_blocks(std::string_view line) {
  for (std::size_t open = line.find('('); open != std::string_view::npos; open = line.find('(', open + 1)) {
    std::size_t slash = line.find('/', open);
    if (slash == std::string_view::npos) break;
    if (auto blocks = scan::to_u64(line.substr(open + 1, slash - open - 1))) return blocks;
  }
  return std::nullopt;
}

}  // namespace

// A device is a line that starts in the first column, and the indented lines below it (drivers/md/md.c, md_seq_show).
bool parse_mdstat(std::string_view text, std::vector<MdDevice>& devices) {
  std::vector<std::string_view> lines;
  std::string_view line;
  while (scan::next_line(text, line)) lines.push_back(line);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    line = lines[i];
    if (line.empty() || scan::is_space(line.front()) || line.starts_with("Personalities") || line.starts_with("unused"))
      continue;
    MdDevice device;
    std::string_view words = line;
    device.name = scan::next_word(words);
    std::string_view colon = scan::next_word(words), state = scan::next_word(words);
    if (colon != ":" || state.empty() || i + 1 >= lines.size()) return false;
    device.state = state;
    device.failed = static_cast<double>(count_of(line, "(F)"));
    device.spare = static_cast<double>(count_of(line, "(S)"));
    std::string_view status = lines[i + 1];
    auto blocks = scan::to_u64(scan::next_word(status));
    if (!blocks) return false;
    device.blocks = device.synced = static_cast<double>(*blocks);
    if (line.find("raid0") != std::string_view::npos || line.find("linear") != std::string_view::npos) {
      device.required = device.active = static_cast<double>(count_of(line, "["));
    } else if (line.find("inactive") == std::string_view::npos && !parse_disk_counts(status, device)) {
      return false;
    }
    std::size_t sync = i + 2;
    if (sync < lines.size() && lines[sync].find("bitmap") != std::string_view::npos) ++sync;
    std::string_view progress = sync < lines.size() && !lines[sync].empty() && scan::is_space(lines[sync].front())
                                    ? lines[sync]
                                    : std::string_view{};
    auto has = [&](std::string_view word) { return progress.find(word) != std::string_view::npos; };
    std::string_view action = has("recovery")  ? "recovering"
                              : has("reshape") ? "reshaping"
                              : has("check")   ? "checking"
                              : has("resync")  ? "resyncing"
                                               : "";
    if (!action.empty()) {
      device.state = action;
      device.synced = 0;
      if (!has("PENDING") && !has("DELAYED")) {
        auto synced = parse_synced_blocks(progress);
        if (!synced) return false;
        device.synced = static_cast<double>(*synced);
      }
    }
    devices.push_back(device);
  }
  return true;
}

// bcache writes 1.5k for 1.5 KiB; the fraction counts in units of 1/1024 of which it prints the first digits.
std::optional<double> parse_human_size(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  double factor = 1;
  constexpr std::string_view kUnits = "kMGTPEZY";
  if (!text.empty() && !scan::is_digit(text.back())) {
    std::size_t unit = kUnits.find(text.back());
    if (unit == std::string_view::npos) return std::nullopt;
    factor = std::pow(1024.0, static_cast<double>(unit) + 1);
    text.remove_suffix(1);
  }
  std::size_t dot = text.find('.');
  auto whole = scan::to_u64(text.substr(0, dot));
  if (!whole) return std::nullopt;
  double value = static_cast<double>(*whole);
  if (dot != std::string_view::npos) {
    auto part = scan::to_u64(text.substr(dot + 1));
    if (!part) return std::nullopt;
    value += static_cast<double>(*part) / 10.24;
  }
  value = std::floor(value * factor);
  return negative ? -value : value;
}

namespace {

class MdadmCollector final : public Collector {
 public:
  MdadmCollector(const HostContext& context, Writer& out)
      : file_(context.proc("mdstat")),
        block_(context.sys("block")),
        state_(out.gauge("node_md_state", "Whether the device is in the state.", {"device", "state"})),
        disks_(out.gauge("node_md_disks", "Disks of the device by state.", {"device", "state"})),
        required_(out.gauge("node_md_disks_required", "Disks that the device should have.", {"device"})),
        blocks_(out.gauge("node_md_blocks", "Blocks of the device.", {"device"})),
        synced_(out.gauge("node_md_blocks_synced", "Blocks in sync.", {"device"})),
        raid_disks_(out.gauge("node_md_raid_disks", "Disks of the array.", {"device"})),
        degraded_(out.gauge("node_md_degraded", "Disks missing in the array.", {"device"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::vector<MdDevice> devices;
    bool whole = parse_mdstat(text, devices);
    static constexpr std::pair<std::string_view, std::string_view> kStates[] = {{"active", "active"},
                                                                                {"inactive", "inactive"},
                                                                                {"recovering", "recovering"},
                                                                                {"resyncing", "resync"},
                                                                                {"checking", "check"}};
    std::vector<std::string> names;
    for (const MdDevice& device : devices) {
      out.put(required_, {device.name}, device.required);
      out.put(disks_, {device.name, "active"}, device.active);
      out.put(disks_, {device.name, "failed"}, device.failed);
      out.put(disks_, {device.name, "spare"}, device.spare);
      for (auto [state, shown] : kStates) out.put(state_, {device.name, shown}, device.state == state ? 1 : 0);
      out.put(blocks_, {device.name}, device.blocks);
      out.put(synced_, {device.name}, device.synced);
      names.emplace_back(device.name);
    }
    if (!whole) return fail(ErrorKind::internal, file_.path() + ": is not understood");
    for (const std::string& name : names) {
      if (auto value = read_u64(block_ + "/" + name + "/md/raid_disks", buffer))
        out.put(raid_disks_, {name}, static_cast<double>(*value));
      if (auto value = read_u64(block_ + "/" + name + "/md/degraded", buffer))
        out.put(degraded_, {name}, static_cast<double>(*value));
    }
    return {};
  }

 private:
  KeptFile file_;
  std::string block_;
  const Family &state_, &disks_, &required_, &blocks_, &synced_, &raid_disks_, &degraded_;
};

class BtrfsCollector final : public Collector {
 public:
  BtrfsCollector(const HostContext& context, Writer& out)
      : base_(context.sys("fs/btrfs")),
        info_(out.gauge("node_btrfs_info", "A file system.", {"uuid", "label"})),
        reserve_(out.gauge("node_btrfs_global_rsv_size_bytes", "Size of the global reserve.", {"uuid"})),
        commits_(out.counter("node_btrfs_commits_total", "Commits.", {"uuid"})),
        last_commit_(out.gauge("node_btrfs_last_commit_seconds", "Duration of the last commit.", {"uuid"})),
        max_commit_(out.gauge("node_btrfs_max_commit_seconds", "Duration of the slowest commit.", {"uuid"})),
        commit_seconds_(out.counter("node_btrfs_commit_seconds_total", "Duration of all commits.", {"uuid"})),
        reserved_(
            out.gauge("node_btrfs_reserved_bytes", "Space reserved for a kind of data.", {"uuid", "block_group_type"})),
        used_(out.gauge("node_btrfs_used_bytes", "Space used.", {"uuid", "block_group_type", "mode"})),
        size_(out.gauge("node_btrfs_size_bytes", "Space allocated.", {"uuid", "block_group_type", "mode"})),
        ratio_(out.gauge("node_btrfs_allocation_ratio", "Bytes on disk per byte of data.",
                         {"uuid", "block_group_type", "mode"})),
        device_size_(
            out.gauge("node_btrfs_device_size_bytes", "Size of a device of the file system.", {"uuid", "device"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = list_directory(base_);
    if (!names) return {};
    for (const std::string& name : *names) {
      if (name.find('-') != std::string::npos) put_filesystem(out, buffer, base_ + "/" + name, name);
    }
    return {};
  }

 private:
  void put_filesystem(Writer& out, Buffer& buffer, const std::string& directory, const std::string& name) {
    auto text = [&](const char* file) {
      auto read = read_trimmed(directory + file, buffer);
      return read ? std::string(*read) : std::string();
    };
    std::string uuid = text("/metadata_uuid"), label = text("/label");
    if (uuid.empty()) uuid = name;
    auto devices = list_directory(directory + "/devices");
    double device_count = devices ? static_cast<double>(devices->size()) : 0;
    out.put(info_, {uuid, label}, 1);
    out.put(reserve_, {uuid},
            static_cast<double>(read_u64(directory + "/allocation/global_rsv_size", buffer).value_or(0)));
    put_commits(out, buffer, directory, uuid);
    for (std::string_view kind : {"data", "metadata", "system"}) {
      std::string group = directory + "/allocation/" + std::string(kind);
      out.put(reserved_, {uuid, kind}, static_cast<double>(read_u64(group + "/bytes_reserved", buffer).value_or(0)));
      auto modes = list_directory(group);
      if (!modes) continue;
      for (const std::string& mode : *modes) {
        auto total = read_u64(group + "/" + mode + "/total_bytes", buffer),
             used = read_u64(group + "/" + mode + "/used_bytes", buffer);
        if (!total || !used) continue;  // a plain file
        out.put(used_, {uuid, kind, mode}, static_cast<double>(*used));
        out.put(size_, {uuid, kind, mode}, static_cast<double>(*total));
        out.put(ratio_, {uuid, kind, mode}, allocation_ratio(mode, device_count));
      }
    }
    if (!devices) return;
    for (const std::string& device : *devices) {
      if (auto sectors = read_u64(directory + "/devices/" + device + "/size", buffer)) {
        out.put(device_size_, {uuid, device}, static_cast<double>(*sectors) * 512);
      }
    }
  }

  void put_commits(Writer& out, Buffer& buffer, const std::string& directory, std::string_view uuid) {
    double commits = 0, last = 0, slowest = 0, total = 0;
    auto text = read_file(directory + "/commit_stats", buffer);
    std::string_view line;
    while (text && scan::next_line(*text, line)) {
      std::string_view key = scan::next_word(line);
      double value = static_cast<double>(scan::to_u64(scan::next_word(line)).value_or(0));
      if (key == "commits")
        commits = value;
      else if (key == "last_commit_ms")
        last = value;
      else if (key == "max_commit_ms")
        slowest = value;
      else if (key == "total_commit_ms")
        total = value;
    }
    out.put(commits_, {uuid}, commits);
    out.put(last_commit_, {uuid}, last / 1000);
    out.put(max_commit_, {uuid}, slowest / 1000);
    out.put(commit_seconds_, {uuid}, total / 1000);
  }

  static double allocation_ratio(std::string_view mode, double devices) {
    if (mode == "single" || mode == "raid0") return 1;
    if (mode == "dup" || mode == "raid1" || mode == "raid10") return 2;
    if (mode == "raid1c3") return 3;
    if (mode == "raid1c4") return 4;
    if (mode == "raid5") return devices / (devices - 1);
    if (mode == "raid6") return devices / (devices - 2);
    return 0;
  }

  std::string base_;
  const Family &info_, &reserve_, &commits_, &last_commit_, &max_commit_, &commit_seconds_, &reserved_, &used_, &size_,
      &ratio_, &device_size_;
};

class BcacheCollector final : public Collector {
 public:
  BcacheCollector(const HostContext& context, Writer& out)
      : base_(context.sys("fs/bcache")), priority_(context.options.feature("bcache.priorityStats")) {
    auto add = [&](std::vector<Row>& rows, std::string_view file, std::string_view metric, FamilyType type,
                   double factor, std::initializer_list<std::string_view> labels) {
      rows.push_back(
          {std::string(file),
           &out.family("node_bcache_" + std::string(metric), type, "bcache: " + std::string(file) + ".", labels),
           factor});
    };
    constexpr FamilyType kCounter = FamilyType::counter;
    for (std::string_view name :
         {"average_key_size:average_key_size_sectors", "btree_cache_size:btree_cache_size_bytes",
          "cache_available_percent:cache_available_percent", "congested:congested",
          "root_usage_percent:root_usage_percent", "tree_depth:tree_depth",
          "internal/active_journal_entries:active_journal_entries", "internal/btree_nodes:btree_nodes"}) {
      add(set_, name.substr(0, name.find(':')), name.substr(name.find(':') + 1), kGauge, 1, {"uuid"});
    }
    add(set_, "internal/btree_read_average_duration_us", "btree_read_average_duration_seconds", kGauge, 1e-9, {"uuid"});
    add(set_, "internal/cache_read_races", "cache_read_races_total", kCounter, 1, {"uuid"});
    add(backing_, "dirty_data", "dirty_data_bytes", kGauge, 1, {"uuid", "backing_device"});
    for (std::string_view name : {"bypassed:bypassed_bytes", "cache_hits:cache_hits", "cache_misses:cache_misses",
                                  "cache_bypass_hits:cache_bypass_hits", "cache_bypass_misses:cache_bypass_misses",
                                  "cache_miss_collisions:cache_miss_collisions", "cache_readaheads:cache_readaheads"}) {
      add(backing_, "stats_total/" + std::string(name.substr(0, name.find(':'))),
          std::string(name.substr(name.find(':') + 1)) + "_total", kCounter, 1, {"uuid", "backing_device"});
    }
    add(cache_, "io_errors", "io_errors", kGauge, 1, {"uuid", "cache_device"});
    add(cache_, "metadata_written", "metadata_written_bytes_total", kCounter, 1, {"uuid", "cache_device"});
    add(cache_, "written", "written_bytes_total", kCounter, 1, {"uuid", "cache_device"});
    for (std::string_view name :
         {"target:dirty_target_bytes", "rate:writeback_rate", "proportional:writeback_rate_proportional_term",
          "integral:writeback_rate_integral_term", "change:writeback_change"}) {
      add(writeback_, name.substr(0, name.find(':')), name.substr(name.find(':') + 1), kGauge, 1,
          {"uuid", "backing_device"});
    }
    if (priority_) {
      add(priorities_, "Unused", "priority_stats_unused_percent", kGauge, 1, {"uuid", "cache_device"});
      add(priorities_, "Metadata", "priority_stats_metadata_percent", kGauge, 1, {"uuid", "cache_device"});
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto sets = list_directory(base_);
    if (!sets) return {};
    for (const std::string& uuid : *sets) {
      if (uuid.find('-') == std::string::npos) continue;
      std::string directory = base_ + "/" + uuid;
      put_rows(out, buffer, set_, directory, uuid, {});
      auto names = list_directory(directory);
      if (!names) continue;
      each_numbered(*names, "bdev", [&](const std::string& name, std::string_view) {
        put_rows(out, buffer, backing_, directory + "/" + name, uuid, name);
        put_lines(out, buffer, writeback_, directory + "/" + name + "/writeback_rate_debug", uuid, name);
      });
      each_numbered(*names, "cache", [&](const std::string& name, std::string_view) {
        put_rows(out, buffer, cache_, directory + "/" + name, uuid, name);
        if (priority_) put_lines(out, buffer, priorities_, directory + "/" + name + "/priority_stats", uuid, name);
      });
    }
    return {};
  }

 private:
  struct Row {
    std::string file;
    const Family* family;
    double factor;
  };

  static void put_rows(Writer& out, Buffer& buffer, const std::vector<Row>& rows, const std::string& directory,
                       std::string_view uuid, std::string_view device) {
    for (const Row& row : rows) {
      auto text = read_trimmed(directory + "/" + row.file, buffer);
      auto value = text ? parse_human_size(*text) : std::nullopt;
      if (!value) continue;
      if (device.empty())
        out.put(*row.family, {uuid}, *value * row.factor);
      else
        out.put(*row.family, {uuid, device}, *value * row.factor);
    }
  }

  // Lines of "name: value" with /sec or % behind the value.
  static void put_lines(Writer& out, Buffer& buffer, const std::vector<Row>& rows, const std::string& path,
                        std::string_view uuid, std::string_view device) {
    auto text = read_file(path, buffer);
    std::string_view line;
    while (text && scan::next_line(*text, line)) {
      std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      std::string_view value = scan::trim(line.substr(colon + 1));
      for (std::string_view suffix : {"/sec", "%"}) {
        if (value.ends_with(suffix)) value.remove_suffix(suffix.size());
      }
      for (const Row& row : rows) {
        if (line.substr(0, colon) != row.file) continue;
        if (auto number = parse_human_size(value)) out.put(*row.family, {uuid, device}, *number);
      }
    }
  }

  std::string base_;
  bool priority_;
  std::vector<Row> set_, backing_, cache_, writeback_, priorities_;
};

class XfsCollector final : public Collector {
 public:
  XfsCollector(const HostContext& context, Writer& out) : base_(context.sys("fs/xfs")) {
    auto add = [&](std::string_view line, std::initializer_list<std::string_view> names) {
      std::size_t column = 0;
      for (std::string_view name : names) {
        columns_.push_back({line, column++, &out.counter("node_xfs_" + std::string(name) + "_total", {}, {"device"})});
      }
    };
    add("extent_alloc", {"extent_allocation_extents_allocated", "extent_allocation_blocks_allocated",
                         "extent_allocation_extents_freed", "extent_allocation_blocks_freed"});
    add("abt", {"allocation_btree_lookups", "allocation_btree_compares", "allocation_btree_records_inserted",
                "allocation_btree_records_deleted"});
    add("blk_map", {"block_mapping_reads", "block_mapping_writes", "block_mapping_unmaps",
                    "block_mapping_extent_list_insertions", "block_mapping_extent_list_deletions",
                    "block_mapping_extent_list_lookups", "block_mapping_extent_list_compares"});
    add("bmbt", {"block_map_btree_lookups", "block_map_btree_compares", "block_map_btree_records_inserted",
                 "block_map_btree_records_deleted"});
    add("dir", {"directory_operation_lookup", "directory_operation_create", "directory_operation_remove",
                "directory_operation_getdents"});
    add("ig",
        {"inode_operation_attempts", "inode_operation_found", "inode_operation_recycled", "inode_operation_missed",
         "inode_operation_duplicates", "inode_operation_reclaims", "inode_operation_attribute_changes"});
    add("rw", {"write_calls", "read_calls"});
    add("vnodes", {"vnode_active", "vnode_allocate", "vnode_get", "vnode_hold", "vnode_release", "vnode_reclaim",
                   "vnode_remove"});
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = list_directory(base_);
    if (!names) return {};
    for (const std::string& device : *names) {
      auto text = read_file(base_ + "/" + device + "/stats/stats", buffer);
      if (!text) continue;  // "stats" itself lies there too
      std::string_view line;
      while (scan::next_line(*text, line)) {
        std::string_view key = scan::next_word(line);
        std::array<std::uint64_t, 8> values{};
        std::size_t count = 0;
        while (count < values.size() && scan::next_u64(line, values[count])) ++count;
        for (const Column& column : columns_) {
          if (column.line == key && column.index < count)
            out.put(*column.family, {device}, static_cast<double>(values[column.index]));
        }
      }
    }
    return {};
  }

 private:
  struct Column {
    std::string_view line;
    std::size_t index;
    const Family* family;
  };
  std::string base_;
  std::vector<Column> columns_;
};

class ZfsCollector final : public Collector {
 public:
  ZfsCollector(const HostContext& context, Writer& out)
      : base_(context.proc("spl/kstat/zfs")),
        pool_state_(out.gauge("node_zfs_zpool_state", "Whether the pool is in the state.", {"zpool", "state"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = TRY(list_directory(base_));
    static constexpr std::pair<std::string_view, std::string_view> kFiles[] = {{"abdstats", "zfs_abd"},
                                                                               {"arcstats", "zfs_arc"},
                                                                               {"dbufstats", "zfs_dbuf"},
                                                                               {"dmu_tx", "zfs_dmu_tx"},
                                                                               {"dnodestats", "zfs_dnode"},
                                                                               {"fm", "zfs_fm"},
                                                                               {"vdev_cache_stats", "zfs_vdev_cache"},
                                                                               {"vdev_mirror_stats", "zfs_vdev_mirror"},
                                                                               {"xuio_stats", "zfs_xuio"},
                                                                               {"zfetchstats", "zfs_zfetch"},
                                                                               {"zil", "zfs_zil"}};
    for (auto [file, prefix] : kFiles) {
      auto text = read_file(base_ + "/" + std::string(file), buffer);
      if (!text) continue;
      each_kstat(*text, [&](std::string_view name, double value) {
        if (const Family* family = declare(out, prefix, name, {})) out.put(*family, value);
      });
    }
    for (const std::string& pool : names) put_pool(out, buffer, pool);
    return {};
  }

 private:
  // Lines "name type data" below that heading; 3 and 4 are the integer types.
  template <typename Each>
  static void each_kstat(std::string_view text, Each each) {
    bool below = false;
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::string_view name = scan::next_word(line), type = scan::next_word(line), data = scan::next_word(line);
      if (!below) {
        below = name == "name" && type == "type" && data == "data";
        continue;
      }
      if (type == "4") {
        if (auto value = scan::to_u64(data)) each(name, static_cast<double>(*value));
      } else if (type == "3") {
        if (auto value = scan::to_i64(data)) each(name, static_cast<double>(*value));
      }
    }
  }

  const Family* declare(Writer& out, std::string_view prefix, std::string_view name,
                        std::initializer_list<std::string_view> labels) {
    key_.assign("node_").append(prefix).append("_").append(name);
    for (char& c : key_) {
      if (c == '-') c = '_';
    }
    auto found = families_.find(key_);
    if (found != families_.end()) return found->second;
    if (families_.size() > 4096) return nullptr;
    return families_.emplace(key_, &out.family(key_, FamilyType::untyped, "kstat " + std::string(name) + ".", labels))
        .first->second;
  }

  void put_pool(Writer& out, Buffer& buffer, const std::string& pool) {
    std::string directory = base_ + "/" + pool;
    auto files = list_directory(directory);
    if (!files) return;  // a statistics file, not a pool
    for (const std::string& file : *files) {
      auto text = read_file(directory + "/" + file, buffer);
      if (!text) continue;
      if (file == "io")
        put_io(out, *text, pool);
      else if (file.starts_with("objset-"))
        put_dataset(out, *text, pool);
      else if (file == "state") {
        std::string state(scan::trim(*text));
        for (char& c : state) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        for (std::string_view name : {"online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"}) {
          out.put(pool_state_, {pool, name}, state == name ? 1 : 0);
        }
      }
    }
  }

  void put_io(Writer& out, std::string_view text, std::string_view pool) {
    std::string_view line, names;
    while (scan::next_line(text, line)) {
      if (names.empty()) {
        if (scan::trim(line).starts_with("nread")) names = line;
        continue;
      }
      for (auto name = scan::next_word(names); !name.empty(); name = scan::next_word(names)) {
        auto value = scan::to_u64(scan::next_word(line));
        const Family* family = value ? declare(out, "zfs_zpool", name, {"zpool"}) : nullptr;
        if (family != nullptr) out.put(*family, {pool}, static_cast<double>(*value));
      }
      return;
    }
  }

  void put_dataset(Writer& out, std::string_view text, std::string_view pool) {
    std::size_t at = text.find("dataset_name");
    if (at == std::string_view::npos) return;
    std::string_view line = text.substr(at, text.find('\n', at) - at);
    scan::next_word(line);
    scan::next_word(line);
    std::string dataset(scan::trim(line));
    each_kstat(text, [&](std::string_view name, double value) {
      if (const Family* family = declare(out, "zfs_zpool_dataset", name, {"zpool", "dataset"}))
        out.put(*family, {pool, dataset}, value);
    });
  }

  std::string base_;
  const Family& pool_state_;
  std::map<std::string, const Family*, std::less<>> families_;
  std::string key_;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_mdadm, MdadmCollector)
TOCAYO_MAKE(make_btrfs, BtrfsCollector)
TOCAYO_MAKE(make_bcache, BcacheCollector)
TOCAYO_MAKE(make_xfs, XfsCollector)
TOCAYO_MAKE(make_zfs, ZfsCollector)

}  // namespace tocayo::agent
