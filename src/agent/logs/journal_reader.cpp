// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/journal_reader.h"

#include <fmt/format.h>
#include <systemd/sd-journal.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "agent/logs/json_text.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

struct Close {
  void operator()(sd_journal* journal) const { ::sd_journal_close(journal); }
};
using Handle = std::unique_ptr<sd_journal, Close>;

std::unexpected<Error> failed(std::string_view doing, int code) {
  return fail(ErrorKind::unavailable, fmt::format("journal: {}: {}", doing, std::strerror(-code)));
}

class Reader final : public JournalReader {
 public:
  explicit Reader(Handle journal) : journal_(std::move(journal)) {}

  Result<> seek(const std::string& cursor, std::uint64_t oldest_us) {
    if (!cursor.empty() && ::sd_journal_seek_cursor(journal_.get(), cursor.c_str()) == 0) {
      const int moved = ::sd_journal_next(journal_.get());
      if (moved < 0) return failed("seek", moved);
      std::uint64_t time = 0;
      if (moved > 0 && ::sd_journal_get_realtime_usec(journal_.get(), &time) == 0 && time >= oldest_us) {
        // The entry itself was read; when it is gone this is the one that followed.
        at_entry_ = ::sd_journal_test_cursor(journal_.get(), cursor.c_str()) <= 0;
        return {};
      }
    }
    const int code = ::sd_journal_seek_realtime_usec(journal_.get(), oldest_us);
    return code < 0 ? Result<>(failed("seek", code)) : Result<>();
  }

  Result<std::size_t> read(std::size_t most, const std::function<void(JournalEntry)>& visit) override {
    // New, rotated and vanished files are taken notice of here.
    if (const int code = ::sd_journal_process(journal_.get()); code < 0) return failed("look for changes", code);
    std::size_t count = 0;
    while (count < most) {
      if (!std::exchange(at_entry_, false)) {
        const int code = ::sd_journal_next(journal_.get());
        if (code < 0) return failed("read", code);
        if (code == 0) break;
      }
      JournalEntry entry;
      std::uint64_t time = 0;
      // A damaged entry is passed over.
      if (::sd_journal_get_realtime_usec(journal_.get(), &time) < 0) continue;
      char* cursor = nullptr;
      if (::sd_journal_get_cursor(journal_.get(), &cursor) < 0) continue;
      entry.cursor = cursor;
      std::free(cursor);  // NOLINT(cppcoreguidelines-no-malloc): it is libsystemd's
      entry.time = static_cast<TimestampNs>(time) * 1000;
      const void* data = nullptr;
      std::size_t size = 0;
      ::sd_journal_restart_data(journal_.get());
      while (::sd_journal_enumerate_available_data(journal_.get(), &data, &size) > 0) {
        const std::string_view field(static_cast<const char*>(data), size);
        const auto equals = field.find('=');
        if (equals != std::string_view::npos)
          entry.fields.emplace_back(field.substr(0, equals), field.substr(equals + 1));
      }
      ++count;
      visit(std::move(entry));
    }
    return count;
  }

 private:
  Handle journal_;
  bool at_entry_ = false;  // it stands at an entry that was not read
};

std::string_view keyword(std::string_view priority) {
  static constexpr std::string_view kWords[] = {"emerg",   "alert",  "crit", "error",
                                                "warning", "notice", "info", "debug"};
  if (priority.size() == 1 && priority[0] >= '0' && priority[0] <= '7')
    return kWords[static_cast<std::size_t>(priority[0] - '0')];
  return priority;
}

}  // namespace

Result<std::unique_ptr<JournalReader>> JournalReader::open(const JournalSettings& settings, const std::string& cursor,
                                                           TimestampNs now) {
  sd_journal* raw = nullptr;
  const int code = settings.path.empty() ? ::sd_journal_open(&raw, SD_JOURNAL_LOCAL_ONLY)
                                         : ::sd_journal_open_directory(&raw, settings.path.c_str(), 0);
  if (code < 0) return failed(settings.path.empty() ? "open" : "open " + settings.path, code);
  Handle journal(raw);
  (void)::sd_journal_set_data_threshold(raw, 0);  // whole fields
  for (const auto& match : settings.matches) {
    if (const int added = ::sd_journal_add_match(raw, match.data(), match.size()); added < 0)
      return failed("match " + match, added);
  }
  // Without it the reader takes no notice of files that come later.
  if (const int fd = ::sd_journal_get_fd(raw); fd < 0) return failed("watch", fd);
  auto reader = std::make_unique<Reader>(std::move(journal));
  const auto oldest = std::max<TimestampNs>(0, now - settings.max_age.count());
  TRY(reader->seek(cursor, static_cast<std::uint64_t>(oldest / 1000)));
  return reader;
}

bool machine_has_journal() {
  for (const char* directory : {"/var/log/journal", "/run/log/journal"}) {
    std::error_code code;
    for (std::filesystem::recursive_directory_iterator
             at(directory, std::filesystem::directory_options::skip_permission_denied, code),
         end;
         !code && at != end; at.increment(code)) {
      if (at->path().extension() == ".journal" && ::access(at->path().c_str(), R_OK) == 0) return true;
    }
  }
  return false;
}

Labels journal_labels(const JournalEntry& entry, const JournalSettings& settings) {
  std::vector<Label> labels;
  for (const auto& [name, value] : entry.fields) {
    const std::string label = "__journal_" + to_lower(name);
    if (!is_classic_label_name(label)) continue;
    if (name == "PRIORITY") labels.push_back({"__journal_priority_keyword", valid_text(keyword(value))});
    labels.push_back({label, valid_text(value)});
  }
  for (const Label& label : settings.labels) labels.push_back(label);
  return Labels(std::move(labels));
}

std::optional<std::string> journal_text(const JournalEntry& entry, const JournalSettings& settings) {
  if (!settings.json) {
    for (const auto& [name, value] : entry.fields) {
      if (name == "MESSAGE") return value;
    }
    return std::nullopt;
  }
  std::map<std::string_view, std::string_view> fields;
  for (const auto& [name, value] : entry.fields) fields[name] = value;  // of equal names the last
  std::string out = "{";
  for (const auto& [name, value] : fields) {
    if (out.size() > 1) out += ',';
    append_json_string(out, valid_text(name));
    out += ':';
    append_json_string(out, valid_text(value));
  }
  return out + "}";
}

}  // namespace tocayo::agent
