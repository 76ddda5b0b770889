// SPDX-License-Identifier: Apache-2.0
// Every expression of the dashboard "Node Exporter Full" (datasets/dashboards, not part of this repository) against a
// server that watches this machine: it must give a result wherever the machine has what it asks for.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

fs::path dashboard_file() {
  if (const char* set = std::getenv("TOCAYO_CONFORMANCE_DIR"))
    return fs::path(set) / "../datasets/dashboards/01-node-exporter-full.sv41.json";
  return fs::path(TOCAYO_SOURCE_DIR) / "../shared/datasets/dashboards/01-node-exporter-full.sv41.json";
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
bool has(const char* path) { return fs::exists(path); }
bool any_in(const char* path) {
  std::error_code code;
  return fs::directory_iterator(path, code) != fs::directory_iterator();
}
bool file_says(const char* path, const std::string& pattern) {
  return std::regex_search(text_of(path), std::regex(pattern));
}
bool any_device_says(const char* file, const std::string& pattern) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/sys/class/net", code)) {
    if (file_says((entry.path() / file).c_str(), pattern)) return true;
  }
  return false;
}
bool any_hwmon(const std::string& pattern) {
  std::error_code code;
  for (const auto& chip : fs::directory_iterator("/sys/class/hwmon", code)) {
    for (const auto& entry : fs::directory_iterator(chip.path(), code)) {
      if (std::regex_match(entry.path().filename().string(), std::regex(pattern))) return true;
    }
  }
  return false;
}

// What not every machine has. An expression may be empty only when all that it asks for is here and `present` says no.
struct Optional {
  const char* metric;  // regular expression of the whole name
  const char* reason;
  std::function<bool()> present;
};
const std::vector<Optional>& optional_metrics() {
  static const std::vector<Optional> list = {
      {"node_hwmon_temp_.*|node_hwmon_chip_names", "no temperature sensor",
       [] { return any_hwmon("temp[0-9]+_input"); }},
      {"node_hwmon_fan_.*", "no fan that reports", [] { return any_hwmon("fan[0-9]+_input"); }},
      {"node_cooling_device_.*", "no cooling device",
       [] {
         std::error_code code;
         for (const auto& entry : fs::directory_iterator("/sys/class/thermal", code)) {
           if (entry.path().filename().string().starts_with("cooling_device")) return true;
         }
         return false;
       }},
      {"node_power_supply_.*", "no power supply", [] { return any_in("/sys/class/power_supply"); }},
      {"node_cpu_scaling_frequency_.*", "no frequency scaling",
       [] { return has("/sys/devices/system/cpu/cpu0/cpufreq"); }},
      {"node_systemd_.*", "systemd is not running", [] { return has("/run/systemd/private"); }},
      {"node_nf_conntrack_.*", "connection tracking is not loaded",
       [] { return has("/proc/sys/net/netfilter/nf_conntrack_count"); }},
      {"node_pressure_irq_.*", "the kernel does not account pressure of interrupts",
       [] { return has("/proc/pressure/irq"); }},
      {"node_pressure_.*", "the kernel does not account pressure", [] { return has("/proc/pressure/cpu"); }},
      {"node_schedstat_.*", "the kernel has no scheduler statistics", [] { return has("/proc/schedstat"); }},
      {"node_arp_entries", "no neighbour is known", [] { return file_says("/proc/net/arp", "\n.*0x[0-9]*[2-9a-f] "); }},
      {"node_network_speed_bytes", "no link tells its speed", [] { return any_device_says("speed", "^[0-9]"); }},
      {"node_interrupts_total", "a collector that is off by default, as in node_exporter", [] { return false; }},
      {"node_netstat_Icmp6_.*|node_netstat_Ip6_.*|node_netstat_Udp6_.*|node_sockstat_.*6_.*", "no IPv6",
       [] { return has("/proc/net/snmp6"); }},
      {"node_kernel_hung_tasks", "the kernel does not look for hung tasks",
       [] { return has("/proc/sys/kernel/hung_task_detect_count"); }},
      {"node_memory_.*", "this kernel's /proc/meminfo has no such line", [] { return true; }},
      {"node_disk_(discard|flush).*", "this kernel does not count them",
       [] { return file_says("/proc/diskstats", "([^ ]+ +){19}"); }},
      {"node_disk_.*", "no disk", [] { return any_in("/sys/block"); }},
  };
  return list;
}

// Metric names that the expression selects.
std::set<std::string> metrics_of(const std::string& expr) {
  static const std::regex name("\\b(node|process|scrape)_[a-zA-Z0-9_]+");
  std::set<std::string> names;
  for (std::sregex_iterator it(expr.begin(), expr.end(), name), end; it != end; ++it) names.insert(it->str());
  return names;
}

// Why the machine has nothing for the metric, or "".
std::string absence(const std::string& metric) {
  if (std::smatch line; std::regex_match(metric, line, std::regex("node_memory_(.+)_bytes"))) {
    // `Active(anon)` is Active_anon.
    std::string meminfo = std::regex_replace(text_of("/proc/meminfo"), std::regex("\\(([a-zA-Z]+)\\)"), "_$1");
    return std::regex_search(meminfo, std::regex("(^|\n)" + line[1].str() + ":"))
               ? ""
               : "this kernel's /proc/meminfo has no such line";
  }
  for (const Optional& optional : optional_metrics()) {
    if (std::regex_match(metric, std::regex(optional.metric))) return optional.present() ? "" : optional.reason;
  }
  return "";
}

void collect(const json::array& panels, std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& value : panels) {
    const auto& panel = value.as_object();
    if (const auto* inner = panel.if_contains("panels")) collect(inner->as_array(), out);
    if (const auto* targets = panel.if_contains("targets")) {
      for (const auto& target : targets->as_array()) {
        if (const auto* expr = target.as_object().if_contains("expr"))
          out.emplace_back(panel.contains("title") ? std::string(panel.at("title").as_string()) : "?",
                           std::string(expr->as_string()));
      }
    }
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

json::value query(Server& server, const std::string& expr) {
  auto reply = http_get(server.url("/api/v1/query?query=" + url_encode(expr)));
  boost::system::error_code code;
  auto value = json::parse(reply.body, code);
  EXPECT_EQ(reply.status, 200) << expr << "\n" << reply.body;
  return code ? json::value() : value;
}
std::size_t result_size(const json::value& answer) {
  if (!answer.is_object() || answer.at("status") != "success") return 0;
  const auto& data = answer.at("data");
  return data.at("resultType") == "scalar" ? 1 : data.at("result").as_array().size();
}
// label_values(node_uname_info{…}, label) as Grafana asks it, first value.
std::string label_value(Server& server, const std::string& selector, const std::string& label) {
  auto answer = query(server, selector);
  if (result_size(answer) == 0) return {};
  return std::string(answer.at("data").at("result").at(0).at("metric").at(label).as_string());
}

// Why the expression may be empty at the moment although the machine has all of it, or "".
std::string passing_absence(Server& server, const std::string& expr) {
  if (expr.ends_with(" > 0") && result_size(query(server, expr.substr(0, expr.size() - 4))) > 0)
    return "nothing is above zero, which the expression asks for";
  if (expr.find("node_network_up{operstate=") != std::string::npos)
    return "the dashboard asks for a label that node_exporter does not give either";
  if (expr.find("node_tcp_connection_states{state=") != std::string::npos &&
      result_size(query(server, "node_tcp_connection_states")) > 0)
    return "no connection is in that state at the moment";
  return "";
}

TEST(AgentDashboard, NodeExporterFullShowsAllThatThisMachineHas) {
  const fs::path file = dashboard_file();
  if (!fs::exists(file)) {
    if (in_ci()) FAIL() << file << " is not there";
    GTEST_SKIP() << file << " is not there";
  }
  Server server({.agent = true});
  ASSERT_TRUE(server.start());
  // Two collections of everything: what the rates need.
  ASSERT_TRUE(
      eventually([&] { return result_size(query(server, "count_over_time(node_boot_time_seconds[1m]) >= 2")) > 0; },
                 std::chrono::seconds(60)));
  std::string job = label_value(server, "node_uname_info", "job");
  std::string nodename = label_value(server, "node_uname_info{job=\"" + job + "\"}", "nodename");
  std::string node =
      label_value(server, "node_uname_info{job=\"" + job + "\", nodename=\"" + nodename + "\"}", "instance");
  ASSERT_FALSE(node.empty());
  std::vector<std::pair<std::string, std::string>> expressions;
  collect(json::parse(text_of(file)).at("panels").as_array(), expressions);
  EXPECT_EQ(expressions.size(), 286U);
  std::size_t filled = 0;
  std::map<std::string, std::set<std::string>> empty;  // reason: metrics
  for (const auto& [panel, written] : expressions) {
    // Grafana's $__rate_interval for a scrape interval of 15 s.
    std::string expr = replaced(replaced(replaced(written, "$__rate_interval", "1m"), "$node", node), "$job", job);
    if (result_size(query(server, expr)) > 0) {
      ++filled;
      continue;
    }
    std::string reason = passing_absence(server, expr);
    for (const std::string& metric : metrics_of(expr)) {
      if (std::string why = absence(metric); !why.empty()) {
        reason = why;
        empty[why].insert(metric);
      }
    }
    EXPECT_FALSE(reason.empty()) << "panel \"" << panel << "\" is empty: " << expr;
  }
  for (const auto& [reason, metrics] : empty) {
    std::string names;
    for (const auto& metric : metrics) names += " " + metric;
    std::printf("empty (%s):%s\n", reason.c_str(), names.c_str());
  }
  std::printf("%zu of %zu expressions have a result\n", filled, expressions.size());
  EXPECT_GT(filled, expressions.size() / 2);
}

}  // namespace
}  // namespace tocayo::testing
