// SPDX-License-Identifier: Apache-2.0
// node_hwmon_*: sensors. The files of a chip are looked for now and then, and read at every collection; a driver may
// take its time or refuse, so this collector runs guarded and a file that refuses is left out.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/hwmon.h"
#include "agent/host/scan.h"

namespace tocayo::agent {

// <type><number>[_<property>], or a type without number.
bool split_sensor_name(std::string_view file, SensorName& name) {
  std::size_t digits = 0;
  while (digits < file.size() && !scan::is_digit(file[digits])) ++digits;
  if (digits == 0) return false;
  name.type = file.substr(0, digits);
  std::size_t end = digits;
  while (end < file.size() && scan::is_digit(file[end])) ++end;
  name.number = 0;
  if (end > digits) {
    auto number = scan::to_u64(file.substr(digits, end - digits));
    if (!number || *number > 1000000000) return false;
    name.number = *number;
  }
  std::string_view rest = file.substr(end);
  if (rest.empty()) {
    name.property = {};
    return true;
  }
  if (rest.size() < 2 || rest.front() != '_') return false;
  name.property = rest.substr(1);
  return true;
}

// Lower case, other than [a-z0-9:_] to '_', no '_' at the ends.
std::string clean_metric_name(std::string_view text) {
  std::string name;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    bool valid = scan::is_digit(c) || (c >= 'a' && c <= 'z') || c == ':' || c == '_';
    name += valid ? c : '_';
  }
  std::size_t first = name.find_first_not_of('_');
  if (first == std::string::npos) return {};
  return name.substr(first, name.find_last_not_of('_') - first + 1);
}

namespace {

constexpr int kRescanEvery = 20;  // collections
constexpr std::array<std::string_view, 14> kTypes = {
    "vrm",  "beep_enable", "update_interval", "in",     "cpu",      "fan",       "pwm",
    "temp", "curr",        "power",           "energy", "humidity", "intrusion", "freq"};

struct Metric {
  std::string name;
  FamilyType type = FamilyType::gauge;
  double divisor = 1;
};

// What one file of a sensor is called; `has_plain`: the sensor also has a file without property. The rules are
// node_exporter's.
Metric name_metric(std::string_view type, std::string_view element, bool has_plain) {
  Metric metric;
  metric.name = "node_hwmon_" + std::string(type);
  if (element == "input") {
    if (has_plain) metric.name += "_input";
  } else if (!element.empty()) {
    metric.name += "_" + clean_metric_name(element);
  }
  auto unit = [&](std::string_view suffix, double divisor) {
    metric.name += suffix;
    metric.divisor = divisor;
  };
  if (element == "fault" || element == "alarm") return metric;
  if (element == "beep")
    unit("_enabled", 1);
  else if (type == "in" || type == "cpu")
    unit("_volts", 1e3);
  else if (type == "temp" && element != "type")
    unit("_celsius", 1e3);
  else if (type == "curr")
    unit("_amps", 1e3);
  else if (type == "energy") {
    unit("_joule_total", 1e6);
    metric.type = FamilyType::counter;
  } else if (type == "power" && element == "accuracy")
    unit("", 1e6);
  else if (type == "power" &&
           (element == "average_interval" || element == "average_interval_min" || element == "average_interval_max"))
    unit("_seconds", 1e3);
  else if (type == "power")
    unit("_watt", 1e6);
  else if (type == "humidity")
    unit("", 1e6);
  else if (type == "fan" && (element == "input" || element == "min" || element == "max" || element == "target"))
    unit("_rpm", 1);
  return metric;
}

class HwmonCollector final : public Collector {
 public:
  HwmonCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/hwmon")),
        chips_filter_(context.options.filter("hwmon.chip")),
        sensors_filter_(context.options.filter("hwmon.sensor")),
        chip_names_(out.gauge("node_hwmon_chip_names", "Readable name of a chip.", {"chip", "chip_name"})),
        sensor_label_(out.gauge("node_hwmon_sensor_label", "Label of a sensor.", {"chip", "sensor", "label"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    if (countdown_-- <= 0) {
      countdown_ = kRescanEvery;
      if (auto scanned = scan_chips(out, buffer); !scanned) {
        countdown_ = 0;
        return scanned;
      }
    }
    bool vanished = false;
    for (const auto& [chip, name] : names_) out.put(chip_names_, {chip, name}, 1);
    for (const LabelText& label : labels_) out.put(sensor_label_, {label.chip, label.sensor, label.text}, 1);
    for (const Value& value : values_) {
      auto text = read_file(value.path, buffer);
      if (!text) {
        vanished = vanished || text.error().kind == ErrorKind::not_found;
        continue;
      }
      auto number = scan::to_double(scan::trim(*text));
      if (!number) {
        if (!value.flag) continue;
        number = 0;
      }
      if (value.flag) number = *number == 1 ? 1 : 0;
      out.put(*value.family, {value.chip, value.sensor},
              value.factor != 1 ? *number * value.factor : *number / value.divisor);
    }
    if (vanished) countdown_ = 0;
    return {};
  }

 private:
  struct Value {
    std::string path, chip, sensor;
    const Family* family;
    double divisor = 1,
           factor = 1;  // at most one differs from 1: which of both node_exporter computes with shows in the last digit
    bool flag = false;  // anything but 1 is 0
  };
  struct LabelText {
    std::string chip, sensor, text;
  };
  struct Chip {
    std::string directory, entry, base_name, name_file;
  };

  Result<> scan_chips(Writer& out, Buffer& buffer) {
    auto entries = TRY(list_directory(base_));
    values_.clear();
    labels_.clear();
    names_.clear();
    std::vector<Chip> chips;
    std::map<std::string, int> chip_counts, name_counts;
    for (const std::string& entry : entries) {
      Chip chip{base_ + "/" + entry, entry, {}, {}};
      auto name = read_trimmed(chip.directory + "/name", buffer);
      chip.name_file = name ? *name : std::string_view();
      chip.base_name = chip_name(chip);
      if (chip.base_name.empty()) continue;
      ++chip_counts[chip.base_name];
      ++name_counts[chip.base_name + '\0' + chip.name_file];
      chips.push_back(std::move(chip));
    }
    for (const Chip& chip : chips) {
      std::string name = chip.base_name;
      if (chip_counts[name] > 1) {  // names are not unique: two chips on one device
        std::string suffix = clean_metric_name(chip.name_file);
        if (suffix.empty() || name_counts[name + '\0' + chip.name_file] > 1) suffix = clean_metric_name(chip.entry);
        name += "_" + suffix;
      }
      if (!chips_filter_.ignored(name)) scan_chip(out, buffer, chip, name);
    }
    return {};
  }

  // Type and name of the device behind the chip (platform_coretemp_0), else the chip's own name, else that of its
  // directory.
  static std::string chip_name(const Chip& chip) {
    std::error_code error;
    auto device = std::filesystem::canonical(chip.directory + "/device", error);
    if (!error) {
      std::string name = clean_metric_name(device.filename().string());
      std::string type = clean_metric_name(device.parent_path().filename().string());
      if (!type.empty() && !name.empty()) return type + "_" + name;
      if (!name.empty()) return name;
    }
    if (std::string name = clean_metric_name(chip.name_file); !name.empty()) return name;
    auto real = std::filesystem::canonical(chip.directory, error);
    return error ? std::string() : clean_metric_name(real.filename().string());
  }

  void scan_chip(Writer& out, Buffer& buffer, const Chip& chip, const std::string& name) {
    if (std::string readable = clean_metric_name(chip.name_file); !readable.empty())
      names_.emplace_back(name, readable);
    // sensor -> property -> path; a file in device/ wins over one of the same name beside it
    std::map<std::string, std::map<std::string, std::string>> sensors;
    std::map<std::string, std::string> types;
    for (const char* sub : {"", "/device"}) {
      auto files = list_directory(chip.directory + sub);
      if (!files) continue;
      for (const std::string& file : *files) {
        SensorName parts;
        if (!split_sensor_name(file, parts) || std::find(kTypes.begin(), kTypes.end(), parts.type) == kTypes.end())
          continue;
        std::string sensor = std::string(parts.type) + std::to_string(parts.number);
        types[sensor] = parts.type;
        sensors[sensor][std::string(parts.property)] = chip.directory + sub + "/" + file;
      }
    }
    for (const auto& [sensor, properties] : sensors) {
      if (!sensors_filter_.ignored(name + ";" + sensor))
        scan_sensor(out, buffer, name, sensor, types[sensor], properties);
    }
  }

  void scan_sensor(Writer& out, Buffer& buffer, const std::string& chip, const std::string& sensor,
                   const std::string& type, const std::map<std::string, std::string>& properties) {
    auto label_path = properties.find("label");
    std::string label;
    bool has_label = false;
    if (label_path != properties.end()) {
      if (auto text = read_file(label_path->second, buffer)) {
        while (text->ends_with('\n')) text->remove_suffix(1);
        label = *text;
        has_label = true;
        labels_.push_back({chip, sensor, label});
      }
    }
    auto plain = properties.find("");
    auto add = [&](const std::string& path, const std::string& shown, const Metric& metric, double factor, bool flag) {
      const Family& family = out.family(metric.name, metric.type, "Sensor reading.", {"chip", "sensor"});
      values_.push_back({path, chip, shown, &family, metric.divisor, factor, flag});
    };
    if (type == "beep_enable" || type == "vrm" || type == "update_interval") {
      if (plain == properties.end()) return;
      if (type == "beep_enable")
        add(plain->second, sensor, {"node_hwmon_beep_enabled"}, 1, true);
      else if (type == "vrm")
        add(plain->second, sensor, {"node_hwmon_voltage_regulator_version"}, 1, false);
      else
        add(plain->second, sensor, {"node_hwmon_update_interval_seconds"}, 0.001, false);
      return;
    }
    for (const auto& [element, path] : properties) {
      if (element == "label") continue;
      if (type == "freq" && element == "input") {
        if (has_label)
          add(path, clean_metric_name(label), {"node_hwmon_freq_freq_mhz", FamilyType::gauge, 1e6}, 1, false);
        continue;
      }
      Metric metric = name_metric(type, element, plain != properties.end());
      double factor = 1;
      if (metric.divisor == 1e3) {  // node_exporter multiplies by 0.001 here and divides by a million there
        factor = 0.001;
        metric.divisor = 1;
      }
      add(path, sensor, metric, factor, false);
    }
  }

  std::string base_;
  Filter chips_filter_, sensors_filter_;
  const Family &chip_names_, &sensor_label_;
  std::vector<std::pair<std::string, std::string>> names_;
  std::vector<LabelText> labels_;
  std::vector<Value> values_;
  int countdown_ = 0;
};

}  // namespace

std::unique_ptr<Collector> make_hwmon(const HostContext& context, Writer& out) {
  return std::make_unique<HwmonCollector>(context, out);
}

}  // namespace tocayo::agent
