// SPDX-License-Identifier: Apache-2.0
// Hardware that sysfs lists as numbers: cpufreq, thermal_zone, powersupplyclass, rapl, edac, nvme, tapestats, dmi.
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/sysfs_numbers.h"

namespace tocayo::agent {
namespace {

constexpr FamilyType kGauge = FamilyType::gauge;

std::string text_of(const std::string& path, Buffer& buffer) {
  auto text = read_trimmed(path, buffer);
  return text ? std::string(*text) : std::string();
}

class CpufreqCollector final : public Collector {
 public:
  CpufreqCollector(const HostContext& context, Writer& out)
      : base_(context.sys("devices/system/cpu")),
        numbers_(out, "node_cpu_",  // kHz in the files
                 {{"cpuinfo_cur_freq", "frequency_hertz", kGauge, 1000},
                  {"cpuinfo_avg_freq", "frequency_avg_hertz", kGauge, 1000},
                  {"cpuinfo_min_freq", "frequency_min_hertz", kGauge, 1000},
                  {"cpuinfo_max_freq", "frequency_max_hertz", kGauge, 1000},
                  {"scaling_cur_freq", "scaling_frequency_hertz", kGauge, 1000},
                  {"scaling_min_freq", "scaling_frequency_min_hertz", kGauge, 1000},
                  {"scaling_max_freq", "scaling_frequency_max_hertz", kGauge, 1000}},
                 {"cpu"}),
        governor_(out.gauge("node_cpu_scaling_governor", "Whether the governor is in use.", {"cpu", "governor"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = TRY(list_directory(base_));
    each_numbered(names, "cpu", [&](const std::string& name, std::string_view cpu) {
      std::string directory = base_ + "/" + name + "/cpufreq";
      if (!path_exists(directory)) return;
      numbers_.put(out, buffer, directory, {cpu});
      std::string governor = text_of(directory + "/scaling_governor", buffer);
      if (governor.empty()) return;
      std::string all = text_of(directory + "/scaling_available_governors", buffer);
      std::string_view words = all;
      for (auto word = scan::next_word(words); !word.empty(); word = scan::next_word(words)) {
        out.put(governor_, {cpu, word}, word == governor ? 1 : 0);
      }
    });
    return {};
  }

 private:
  std::string base_;
  NumberTable numbers_;
  const Family& governor_;
};

class ThermalZoneCollector final : public Collector {
 public:
  ThermalZoneCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/thermal")),
        temperature_(
            out.gauge("node_thermal_zone_temp", "Temperature of the zone in degrees Celsius.", {"zone", "type"})),
        current_(out.gauge("node_cooling_device_cur_state", "Present throttle state of the cooling device.",
                           {"name", "type"})),
        maximum_(out.gauge("node_cooling_device_max_state", "Highest throttle state of the cooling device.",
                           {"name", "type"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = list_directory(base_);
    if (!names) return {};
    each_numbered(*names, "thermal_zone", [&](const std::string& name, std::string_view zone) {
      std::string type = text_of(base_ + "/" + name + "/type", buffer);
      auto value = read_i64(base_ + "/" + name + "/temp", buffer);  // a sleeping sensor refuses with EAGAIN or EINVAL
      if (value) out.put(temperature_, {zone, type}, static_cast<double>(*value) / 1000);
    });
    each_numbered(*names, "cooling_device", [&](const std::string& name, std::string_view device) {
      std::string type = text_of(base_ + "/" + name + "/type", buffer);
      if (auto value = read_i64(base_ + "/" + name + "/cur_state", buffer))
        out.put(current_, {device, type}, static_cast<double>(*value));
      if (auto value = read_i64(base_ + "/" + name + "/max_state", buffer))
        out.put(maximum_, {device, type}, static_cast<double>(*value));
    });
    return {};
  }

 private:
  std::string base_;
  const Family &temperature_, &current_, &maximum_;
};

class PowerSupplyCollector final : public Collector {
 public:
  PowerSupplyCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/power_supply")),
        filter_(context.options.filter("powersupply.supplies")),
        plain_(out, "node_power_supply_",
               {{"authentic", "authentic", kGauge},
                {"calibrate", "calibrate", kGauge},
                {"capacity", "capacity", kGauge},
                {"capacity_alert_max", "capacity_alert_max", kGauge},
                {"capacity_alert_min", "capacity_alert_min", kGauge},
                {"cycle_count", "cyclecount", kGauge},
                {"online", "online", kGauge},
                {"present", "present", kGauge},
                {"time_to_empty_now", "time_to_empty_seconds", kGauge},
                {"time_to_full_now", "time_to_full_seconds", kGauge},
                {"temp", "temp_celsius", kGauge, 0.1},
                {"temp_alert_max", "temp_alert_max_celsius", kGauge, 0.1},
                {"temp_alert_min", "temp_alert_min_celsius", kGauge, 0.1},
                {"temp_ambient", "temp_ambient_celsius", kGauge, 0.1},
                {"temp_ambient_max", "temp_ambient_max_celsius", kGauge, 0.1},
                {"temp_ambient_min", "temp_ambient_min_celsius", kGauge, 0.1},
                {"temp_max", "temp_max_celsius", kGauge, 0.1},
                {"temp_min", "temp_min_celsius", kGauge, 0.1}},
               {"power_supply"}),
        micro_(out, "node_power_supply_",
               {{"current_boot", "current_boot", kGauge, 1e-6},
                {"current_max", "current_max", kGauge, 1e-6},
                {"current_now", "current_ampere", kGauge, 1e-6},
                {"energy_empty", "energy_empty", kGauge, 1e-6},
                {"energy_empty_design", "energy_empty_design", kGauge, 1e-6},
                {"energy_full", "energy_full", kGauge, 1e-6},
                {"energy_full_design", "energy_full_design", kGauge, 1e-6},
                {"energy_now", "energy_watthour", kGauge, 1e-6},
                {"voltage_boot", "voltage_boot", kGauge, 1e-6},
                {"voltage_max", "voltage_max", kGauge, 1e-6},
                {"voltage_max_design", "voltage_max_design", kGauge, 1e-6},
                {"voltage_min", "voltage_min", kGauge, 1e-6},
                {"voltage_min_design", "voltage_min_design", kGauge, 1e-6},
                {"voltage_now", "voltage_volt", kGauge, 1e-6},
                {"voltage_ocv", "voltage_ocv", kGauge, 1e-6},
                {"charge_control_limit", "charge_control_limit", kGauge, 1e-6},
                {"charge_control_limit_max", "charge_control_limit_max", kGauge, 1e-6},
                {"charge_counter", "charge_counter", kGauge, 1e-6},
                {"charge_empty", "charge_empty", kGauge, 1e-6},
                {"charge_empty_design", "charge_empty_design", kGauge, 1e-6},
                {"charge_full", "charge_full", kGauge, 1e-6},
                {"charge_full_design", "charge_full_design", kGauge, 1e-6},
                {"charge_now", "charge_ampere", kGauge, 1e-6},
                {"charge_term_current", "charge_term_current", kGauge, 1e-6},
                {"constant_charge_current", "constant_charge_current", kGauge, 1e-6},
                {"constant_charge_current_max", "constant_charge_current_max", kGauge, 1e-6},
                {"constant_charge_voltage", "constant_charge_voltage", kGauge, 1e-6},
                {"constant_charge_voltage_max", "constant_charge_voltage_max", kGauge, 1e-6},
                {"precharge_current", "precharge_current", kGauge, 1e-6},
                {"input_current_limit", "input_current_limit", kGauge, 1e-6},
                {"power_now", "power_watt", kGauge, 1e-6}},
               {"power_supply"}),
        info_(out.gauge("node_power_supply_info", "Properties of a power supply that are no numbers.",
                        {"power_supply", "capacity_level", "charge_type", "health", "manufacturer", "model_name",
                         "serial_number", "status", "technology", "type", "usb_type", "scope"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = TRY(list_directory(base_));
    for (const std::string& name : names) {
      if (filter_.ignored(name)) continue;
      std::string directory = base_ + "/" + name;
      plain_.put(out, buffer, directory, {name});
      micro_.put(out, buffer, directory, {name});
      auto text = [&](const char* file) { return text_of(directory + "/" + file, buffer); };
      std::string level = text("capacity_level"), charge = text("charge_type"), health = text("health"),
                  maker = text("manufacturer"), model = text("model_name"), serial = text("serial_number"),
                  status = text("status"), technology = text("technology"), type = text("type"), usb = text("usb_type"),
                  scope = text("scope");
      out.put(info_, {name, level, charge, health, maker, model, serial, status, technology, type, usb, scope}, 1);
    }
    return {};
  }

 private:
  std::string base_;
  Filter filter_;
  NumberTable plain_, micro_;
  const Family& info_;
};

class RaplCollector final : public Collector {
 public:
  RaplCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/powercap")), zone_label_(context.options.feature("rapl.enable-zone-label")) {
    if (zone_label_) zones_ = &out.counter("node_rapl_joules_total", "Energy used.", {"index", "path", "rapl_zone"});
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = TRY(list_directory(base_));
    std::map<std::string, std::uint64_t> used;  // zones may share a name; then they are counted
    for (const std::string& entry : names) {
      std::string directory = base_ + "/" + entry;
      std::string name = text_of(directory + "/name", buffer);
      if (name.empty()) continue;
      std::uint64_t index = 0;
      std::size_t dash = name.find('-');
      auto suffix = dash == std::string::npos ? std::nullopt : scan::to_u64(std::string_view(name).substr(dash + 1));
      if (suffix) {
        index = *suffix;
        name.resize(dash);
      } else {
        index = used[name];
      }
      used[name] = index + 1;
      auto text = read_file(directory + "/energy_uj", buffer);
      if (!text) return fail(ErrorKind::not_found, "energy counters are for root only");
      auto value = scan::to_u64(scan::trim(*text));
      if (!value) return fail(ErrorKind::internal, directory + "/energy_uj: is no number");
      double joules = static_cast<double>(*value) / 1e6;
      scan::NumberText number(index);
      if (zone_label_) {
        out.put(*zones_, {number, directory, name}, joules);
        continue;
      }
      std::string family = "node_rapl_";
      for (char c : name) family += scan::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? c : '_';
      out.put(out.counter(family + "_joules_total", "Energy used.", {"index", "path"}), {number, directory}, joules);
    }
    return {};
  }

 private:
  std::string base_;
  bool zone_label_;
  const Family* zones_ = nullptr;
};

class EdacCollector final : public Collector {
 public:
  EdacCollector(const HostContext& context, Writer& out)
      : base_(context.sys("devices/system/edac/mc")),
        controller_(out, "node_edac_",
                    {{"ce_count", "correctable_errors_total"}, {"ue_count", "uncorrectable_errors_total"}},
                    {"controller"}),
        row_(out, "node_edac_csrow_",
             {{"ce_count", "correctable_errors_total"}, {"ue_count", "uncorrectable_errors_total"}},
             {"controller", "csrow"}),
        unknown_row_(
            out, "node_edac_csrow_",
            {{"ce_noinfo_count", "correctable_errors_total"}, {"ue_noinfo_count", "uncorrectable_errors_total"}},
            {"controller", "csrow"}),
        channel_ce_(out.counter("node_edac_channel_correctable_errors_total", "Memory errors that were corrected.",
                                {"controller", "csrow", "channel", "dimm_label"})),
        channel_ue_(out.counter("node_edac_channel_uncorrectable_errors_total",
                                "Memory errors that could not be corrected.",
                                {"controller", "csrow", "channel", "dimm_label"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto controllers = list_directory(base_);
    if (!controllers) return {};
    Result<> result;
    each_numbered(*controllers, "mc", [&](const std::string& name, std::string_view controller) {
      std::string directory = base_ + "/" + name;
      if (controller_.put(out, buffer, directory, {controller}) != 2) {
        result = fail(ErrorKind::internal, directory + ": ce_count or ue_count cannot be read");
        return;
      }
      unknown_row_.put(out, buffer, directory, {controller, "unknown"});
      auto rows = list_directory(directory);
      if (!rows) return;
      each_numbered(*rows, "csrow", [&](const std::string& row_name, std::string_view row) {
        std::string row_directory = directory + "/" + row_name;
        row_.put(out, buffer, row_directory, {controller, row});
        auto files = list_directory(row_directory);
        if (files) put_channels(out, buffer, row_directory, *files, controller, row);
      });
    });
    return result;
  }

 private:
  void put_channels(Writer& out, Buffer& buffer, const std::string& directory, const std::vector<std::string>& files,
                    std::string_view controller, std::string_view row) {
    for (const std::string& file : files) {
      std::string_view name = file;
      if (!name.starts_with("ch") || !name.ends_with("_ce_count")) continue;
      std::string_view channel = name.substr(2, name.size() - 11);
      if (!scan::to_u64(channel)) continue;
      std::string prefix = directory + "/ch" + std::string(channel);
      std::string label = dimm_label(text_of(prefix + "_dimm_label", buffer));
      if (auto value = read_u64(prefix + "_ce_count", buffer))
        out.put(channel_ce_, {controller, row, channel, label}, static_cast<double>(*value));
      if (auto value = read_u64(prefix + "_ue_count", buffer))
        out.put(channel_ue_, {controller, row, channel, label}, static_cast<double>(*value));
    }
  }

  // "mc#0csrow#1channel#0" is shown as mc0_csrow1_channel0.
  static std::string dimm_label(std::string text) {
    if (text.empty()) return "unknown";
    std::erase(text, '#');
    for (std::string_view word : {"csrow", "channel"}) {
      for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + word.size() + 1))
        text.insert(at, "_");
    }
    return text;
  }

  std::string base_;
  NumberTable controller_, row_, unknown_row_;
  const Family &channel_ce_, &channel_ue_;
};

class NvmeCollector final : public Collector {
 public:
  NvmeCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/nvme")),
        info_(out.gauge("node_nvme_info", "Properties of an NVMe controller that are no numbers.",
                        {"device", "firmware_revision", "model", "serial", "state", "cntlid"})),
        namespace_info_(out.gauge("node_nvme_namespace_info", "An NVMe namespace.", {"device", "nsid", "ana_state"})),
        capacity_(out.gauge("node_nvme_namespace_capacity_bytes", "Capacity of the namespace.", {"device", "nsid"})),
        size_(out.gauge("node_nvme_namespace_size_bytes", "Size of the namespace.", {"device", "nsid"})),
        used_(out.gauge("node_nvme_namespace_used_bytes", "Used space of the namespace.", {"device", "nsid"})),
        block_(out.gauge("node_nvme_namespace_logical_block_size_bytes", "Logical block size of the namespace.",
                         {"device", "nsid"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto devices = TRY(list_directory(base_));
    for (const std::string& device : devices) {
      std::string directory = base_ + "/" + device;
      auto text = [&](const char* file) { return text_of(directory + "/" + file, buffer); };
      std::string firmware = text("firmware_rev"), model = text("model"), serial = text("serial"),
                  state = text("state"), id = text("cntlid");
      out.put(info_, {device, firmware, model, serial, state, id}, 1);
      auto entries = list_directory(directory);
      if (entries) put_namespaces(out, buffer, directory, device, *entries);
    }
    return {};
  }

 private:
  void put_namespaces(Writer& out, Buffer& buffer, const std::string& directory, std::string_view device,
                      const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
      if (!entry.starts_with(device) || entry.size() < device.size() + 2 || entry[device.size()] != 'n') continue;
      std::string_view id = std::string_view(entry).substr(device.size() + 1);
      std::string path = directory + "/" + entry;
      auto used = read_u64(path + "/nuse", buffer), size = read_u64(path + "/size", buffer),
           block = read_u64(path + "/queue/logical_block_size", buffer);
      if (!scan::to_u64(id) || !used || !size || !block) continue;
      std::string ana = text_of(path + "/ana_state", buffer);
      out.put(namespace_info_, {device, id, ana.empty() ? std::string_view("unknown") : std::string_view(ana)}, 1);
      double unit = static_cast<double>(*block);
      out.put(capacity_, {device, id}, static_cast<double>(*size) * unit);
      out.put(size_, {device, id}, static_cast<double>(*size) * unit);
      out.put(used_, {device, id}, static_cast<double>(*used) * unit);
      out.put(block_, {device, id}, unit);
    }
  }

  std::string base_;
  const Family &info_, &namespace_info_, &capacity_, &size_, &used_, &block_;
};

class TapestatsCollector final : public Collector {
 public:
  TapestatsCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/scsi_tape")),
        filter_(context.options.filter("tapestats.device")),
        numbers_(out, "node_tape_",
                 {{"in_flight", "io_now", kGauge},
                  {"io_ns", "io_time_seconds_total", FamilyType::counter, 1e-9},
                  {"other_cnt", "io_others_total"},
                  {"read_byte_cnt", "read_bytes_total"},
                  {"read_cnt", "reads_completed_total"},
                  {"read_ns", "read_time_seconds_total", FamilyType::counter, 1e-9},
                  {"resid_cnt", "residual_total"},
                  {"write_byte_cnt", "written_bytes_total"},
                  {"write_cnt", "writes_completed_total"},
                  {"write_ns", "write_time_seconds_total", FamilyType::counter, 1e-9}},
                 {"device"}) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto names = TRY(list_directory(base_));
    each_numbered(names, "st", [&](const std::string& name, std::string_view) {
      if (!filter_.ignored(name)) numbers_.put(out, buffer, base_ + "/" + name + "/stats", {name});
    });
    return {};
  }

 private:
  std::string base_;
  Filter filter_;
  NumberTable numbers_;
};

// Read once: it does not change until the next boot.
class DmiCollector final : public Collector {
 public:
  DmiCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/dmi/id")),
        info_(out.gauge("node_dmi_info", "What the firmware says about this machine.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    static constexpr std::string_view kFiles[] = {
        "bios_date",      "bios_release",   "bios_vendor",     "bios_version",    "board_asset_tag",
        "board_name",     "board_serial",   "board_vendor",    "board_version",   "chassis_asset_tag",
        "chassis_serial", "chassis_vendor", "chassis_version", "product_family",  "product_name",
        "product_serial", "product_sku",    "product_uuid",    "product_version", "sys_vendor"};
    if (!read_) {
      read_ = true;
      for (std::string_view file : kFiles) {
        std::string text = text_of(base_ + "/" + std::string(file), buffer);
        if (!text.empty())
          labels_.push_back({std::string(file == "sys_vendor" ? "system_vendor" : file), std::move(text)});
      }
    }
    if (labels_.empty()) return fail(ErrorKind::not_found, "no DMI");
    out.put_labels(info_, "node_dmi_info", labels_, 1);
    return {};
  }

 private:
  std::string base_;
  const Family& info_;
  std::vector<Label> labels_;
  bool read_ = false;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_cpufreq, CpufreqCollector)
TOCAYO_MAKE(make_thermal_zone, ThermalZoneCollector)
TOCAYO_MAKE(make_powersupplyclass, PowerSupplyCollector)
TOCAYO_MAKE(make_rapl, RaplCollector)
TOCAYO_MAKE(make_edac, EdacCollector)
TOCAYO_MAKE(make_nvme, NvmeCollector)
TOCAYO_MAKE(make_tapestats, TapestatsCollector)
TOCAYO_MAKE(make_dmi, DmiCollector)

}  // namespace tocayo::agent
