// SPDX-License-Identifier: Apache-2.0
// node_memory_* from /proc/meminfo and node_vmstat_* from /proc/vmstat: one family per line that is wanted.
#include "agent/host/collectors.h"
#include "agent/host/line_table.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

// "Active(anon)" is node_memory_Active_anon_bytes; a line without a unit is a count and has no suffix.
std::string memory_family(std::string_view key, bool bytes) {
  std::string name = "node_memory_";
  for (char c : key) {
    if (c == '(')
      name += '_';
    else if (c != ')')
      name += scan::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? c : '_';
  }
  if (bytes) name += "_bytes";
  return name;
}

class MeminfoCollector final : public Collector {
 public:
  MeminfoCollector(const HostContext& context, Writer&) : file_(context.proc("meminfo")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    lines_.rewind();
    std::string_view line;
    std::size_t count = 0;
    while (scan::next_line(text, line)) {
      std::size_t colon = line.find(':');
      if (colon == std::string_view::npos || colon == 0) continue;
      std::string_view key = line.substr(0, colon);
      line.remove_prefix(colon + 1);
      std::uint64_t value = 0;
      if (!scan::next_u64(line, value)) continue;
      bool kilo = scan::next_word(line) == "kB";
      if (lines_.full()) break;
      const Family*& family = lines_.find(key, [&]() -> const Family* {
        std::string name = memory_family(key, kilo);
        return &out.family(name, name.ends_with("_total") ? FamilyType::counter : FamilyType::gauge,
                           "Field " + std::string(key) + " of /proc/meminfo.");
      });
      out.put(*family, static_cast<double>(value) * (kilo ? 1024.0 : 1.0));
      ++count;
    }
    if (count == 0) return fail(ErrorKind::internal, file_.path() + ": no line \"Name: number\"");
    return {};
  }

 private:
  KeptFile file_;
  LineTable<const Family*> lines_;
};

class VmstatCollector final : public Collector {
 public:
  VmstatCollector(const HostContext& context, Writer&)
      : file_(context.proc("vmstat")), fields_(context.options.filter("vmstat.fields")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    lines_.rewind();
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::string_view key = scan::next_word(line);
      std::uint64_t value = 0;
      if (key.empty() || !scan::next_u64(line, value)) continue;
      if (lines_.full()) break;
      const Family*& family = lines_.find(key, [&]() -> const Family* {
        if (fields_.ignored(key)) return nullptr;
        return &out.family("node_vmstat_" + std::string(key), FamilyType::untyped,
                           "Field " + std::string(key) + " of /proc/vmstat.");
      });
      if (family != nullptr) out.put(*family, static_cast<double>(value));
    }
    return {};
  }

 private:
  KeptFile file_;
  Filter fields_;
  LineTable<const Family*> lines_;
};

}  // namespace

std::unique_ptr<Collector> make_meminfo(const HostContext& context, Writer& out) {
  return std::make_unique<MeminfoCollector>(context, out);
}
std::unique_ptr<Collector> make_vmstat(const HostContext& context, Writer& out) {
  return std::make_unique<VmstatCollector>(context, out);
}

}  // namespace tocayo::agent
