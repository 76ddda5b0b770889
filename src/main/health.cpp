// SPDX-License-Identifier: Apache-2.0
#include "main/health.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <charconv>

#include "core/text.h"

namespace tocayo {
namespace {

std::uint64_t number_in(const std::string& path) {
  auto text = read_file(path);
  std::uint64_t value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

}  // namespace

std::uint64_t default_memory_limit() {
  std::uint64_t total =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (std::uint64_t limit = number_in(file); limit > 0 && limit < total) total = limit;
  }
  return total / 4 * 3;
}

std::uint64_t resident_bytes() {
  auto text = read_file("/proc/self/statm");
  if (!text) return 0;
  auto fields = split(*text, ' ');
  std::uint64_t pages = 0;
  if (fields.size() > 1) std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), pages);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::vector<ui::HealthItem> check_health(const HealthInputs& inputs) {
  std::vector<ui::HealthItem> items;
  if (auto* store = inputs.store.get()) {
    auto health = store->health();
    items.push_back({"wal", health ? "ok" : "critical", health ? "" : health.error().message});
  } else {
    items.push_back({"wal", "warning", "The store is starting."});
  }
  struct statvfs disk{};
  if (::statvfs(inputs.data_dir.c_str(), &disk) == 0 && disk.f_blocks > 0) {
    double free_bytes = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
    double share = static_cast<double>(disk.f_bavail) / static_cast<double>(disk.f_blocks);
    std::string state = share < 0.03 ? "critical" : share < 0.1 ? "warning" : "ok";
    items.push_back({"disk", state, state == "ok" ? "" : fmt::format("{:.1f} % of the data disk is free.", share * 100),
                     free_bytes});
  }
  double used = static_cast<double>(resident_bytes());
  double part = used / static_cast<double>(inputs.memory_limit);
  std::string state = part > 0.95 ? "critical" : part > 0.85 ? "warning" : "ok";
  items.push_back({"memory", state,
                   state == "ok" ? "" : fmt::format("{:.0f} % of the memory budget is in use.", part * 100), used});
  items.push_back({"config", inputs.reload_error.empty() ? "ok" : "warning", inputs.reload_error});
  return items;
}

}  // namespace tocayo
