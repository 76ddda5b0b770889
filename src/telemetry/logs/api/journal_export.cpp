// SPDX-License-Identifier: Apache-2.0
#include "logs/api/journal_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "core/text.h"
#include "logs/api/otlp.h"

namespace tocayo::logs::api {

namespace {

constexpr std::size_t kLongestName = 256;
constexpr std::size_t kLongestField = 16 << 10;  // of structured metadata; longer ones (core dumps) are left out
constexpr std::size_t kMostFields = 256;
constexpr std::size_t kMostInEntry = 4096;

std::unexpected<Error> damaged(std::size_t at, std::string_view what) {
  return fail(ErrorKind::bad_input, fmt::format("the journal export is damaged at byte {}: {}", at, what));
}

std::string_view keyword(std::string_view priority) {
  static constexpr std::string_view kWords[] = {"emerg",   "alert",  "crit", "error",
                                                "warning", "notice", "info", "debug"};
  if (priority.size() != 1 || priority[0] < '0' || priority[0] > '7') return {};
  return kWords[priority[0] - '0'];
}

// One entry as a row in the making.
struct Entry {
  TimestampNs time = 0;
  std::string_view line;
  std::vector<LabelView> metadata;
};

class JournalRows {
 public:
  explicit JournalRows(PushRows& rows) : rows_(rows) {}

  Result<> add(std::span<const JournalField> fields) {
    Entry entry;
    std::optional<TimestampNs> time;
    std::string_view unit;
    std::string_view user_unit;
    std::string_view host;
    std::string_view level;
    for (const auto& [name, value] : fields) {
      if (name == "MESSAGE") {
        entry.line = value;
      } else if (name == "__REALTIME_TIMESTAMP") {
        std::uint64_t us = 0;
        const auto end = value.data() + value.size();
        const auto parsed = std::from_chars(value.data(), end, us);
        if (parsed.ec != std::errc{} || parsed.ptr != end || us > INT64_MAX / 1000)
          return fail(ErrorKind::bad_input,
                      fmt::format("entry {}: __REALTIME_TIMESTAMP \"{}\" is no time", count_ + 1, value.substr(0, 64)));
        time = static_cast<TimestampNs>(us) * 1000;
      } else if (name == "_SYSTEMD_UNIT") {
        unit = value;
      } else if (name == "_SYSTEMD_USER_UNIT") {
        user_unit = value;
      } else if (name == "_HOSTNAME") {
        host = value;
      } else if (name == "PRIORITY" && !keyword(value).empty()) {
        level = keyword(value);
      } else if (value.size() <= kLongestField && entry.metadata.size() < kMostFields) {
        entry.metadata.push_back({metadata_name(name), value});
      }
    }
    if (!time) return fail(ErrorKind::bad_input, fmt::format("entry {} has no __REALTIME_TIMESTAMP", count_ + 1));
    entry.time = *time;
    ++count_;
    Labels labels({{"job", "systemd-journal"},
                   {"host", std::string(host)},
                   {"level", std::string(level)},
                   {"unit", std::string(unit.empty() ? user_unit : unit)}});
    auto [found, added] = group_of_.try_emplace(labels.to_string(false), groups_.size());
    if (added) groups_.emplace_back(std::move(labels), std::vector<Entry>());
    groups_[found->second].second.push_back(std::move(entry));
    return {};
  }

  void emit() {
    for (auto& [labels, entries] : groups_) {
      rows_.start_stream(std::move(labels));
      for (const auto& entry : entries) {
        for (const auto& pair : entry.metadata) rows_.add_metadata(pair.name, pair.value);
        rows_.add_entry(entry.time, entry.line);
      }
    }
  }

 private:
  std::string_view metadata_name(std::string_view field) {
    auto [found, added] = names_.try_emplace(std::string(field));
    if (added) {
      const auto start = field.find_first_not_of('_');
      found->second =
          rows_.keep(label_name_of(to_lower(start == std::string_view::npos ? field : field.substr(start))));
    }
    return found->second;
  }

  PushRows& rows_;
  std::size_t count_ = 0;
  std::unordered_map<std::string, std::string_view> names_;
  std::unordered_map<std::string, std::size_t> group_of_;
  std::vector<std::pair<Labels, std::vector<Entry>>> groups_;
};

}  // namespace

Result<> read_journal_export(std::string_view body,
                             const std::function<Result<>(std::span<const JournalField>)>& visit) {
  std::vector<JournalField> fields;
  std::size_t at = 0;
  while (at < body.size()) {
    const auto end = body.find('\n', at);
    if (end == std::string_view::npos) return damaged(at, "the last line does not end");
    const auto line = body.substr(at, end - at);
    if (line.empty()) {
      if (!fields.empty()) TRY(visit(fields));
      fields.clear();
      at = end + 1;
      continue;
    }
    JournalField field;
    const auto equals = line.find('=');
    field.name = line.substr(0, equals);
    if (field.name.empty() || field.name.size() > kLongestName)
      return damaged(at, field.name.empty() ? "a field without a name" : "the name of a field is too long");
    if (fields.size() >= kMostInEntry) return damaged(at, "an entry with too many fields");
    if (equals != std::string_view::npos) {
      field.value = line.substr(equals + 1);
      at = end + 1;
    } else {
      std::uint64_t size = 0;
      at = end + 1;
      if (body.size() - at < sizeof(size)) return damaged(at, "the size of a field is cut short");
      std::memcpy(&size, body.data() + at, sizeof(size));
      if constexpr (std::endian::native == std::endian::big) size = std::byteswap(size);
      at += sizeof(size);
      if (size >= body.size() - at) return damaged(at, fmt::format("a field of {} bytes is cut short", size));
      field.value = body.substr(at, static_cast<std::size_t>(size));
      at += static_cast<std::size_t>(size);
      if (body[at] != '\n') return damaged(at, "no new line behind the bytes of a field");
      ++at;
    }
    fields.push_back(field);
  }
  if (!fields.empty()) TRY(visit(fields));
  return {};
}

Result<> decode_journal_export(std::string_view body, PushRows& rows) {
  JournalRows made(rows);
  TRY(read_journal_export(body, [&](std::span<const JournalField> fields) { return made.add(fields); }));
  made.emit();
  return {};
}

}  // namespace tocayo::logs::api
