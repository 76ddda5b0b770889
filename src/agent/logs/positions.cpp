// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/positions.h"

#include <fmt/format.h>

#include <charconv>

#include "agent/ship/queue_files.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {

namespace {
constexpr std::string_view kHeader = "tocayo positions 2";

bool number(std::string_view text, std::uint64_t& value) {
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

// "<device> <inode> <fingerprint> <size> <offset> <path>".
std::optional<Position> parse_position(std::string_view line) {
  const auto parts = split(line, ' ');
  Position position;
  std::uint64_t size = 0;
  if (parts.size() < 6 || !number(parts[0], position.file.device) || !number(parts[1], position.file.inode) ||
      !number(parts[2], position.file.fingerprint) || !number(parts[3], size) || !number(parts[4], position.offset)) {
    return std::nullopt;
  }
  position.file.fingerprint_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(size, 256));
  position.path = std::string(line.substr(static_cast<std::size_t>(parts[5].data() - line.data())));
  return position;
}

std::string text_of(const Position& position) {
  return fmt::format("{} {} {} {} {} {}", position.file.device, position.file.inode, position.file.fingerprint,
                     position.file.fingerprint_size, position.offset, position.path);
}
}  // namespace

Result<Positions> Positions::open(std::string file) {
  Positions positions;
  positions.file_ = std::move(file);
  auto text = read_file(positions.file_, 256 << 20);
  if (!text) {
    if (text.error().kind != ErrorKind::not_found) return std::unexpected(std::move(text.error()));
    positions.fresh_ = true;
    return positions;
  }
  for (const auto line : split(*text, '\n')) {
    if (line.starts_with("batch ")) {
      (void)number(line.substr(6), positions.batch_);
    } else if (line.starts_with("cursor ")) {
      // The job's name may have spaces, a cursor has none.
      const auto space = line.rfind(' ');
      if (space > 7) positions.cursors_[std::string(line.substr(7, space - 7))] = line.substr(space + 1);
    } else if (auto position = parse_position(line.starts_with("file ") ? line.substr(5) : line)) {
      positions.set(std::move(*position));  // version 1 had no word in front
    }
  }
  return positions;
}

std::optional<Position> Positions::find(int fd) const {
  const auto identity = identify(fd);
  if (!identity) return std::nullopt;
  const Position* found = find(*identity);
  if (found == nullptr || !is_same_file(fd, found->file)) return std::nullopt;
  return *found;
}

const Position* Positions::find(const FileIdentity& file) const {
  const auto found = list_.find({file.device, file.inode});
  return found == list_.end() ? nullptr : &found->second;
}

void Positions::set(Position position) {
  const Inode inode{position.file.device, position.file.inode};
  list_.insert_or_assign(inode, std::move(position));
}

void Positions::forget(const FileIdentity& file) { list_.erase({file.device, file.inode}); }

std::string Positions::cursor(const std::string& job) const {
  const auto found = cursors_.find(job);
  return found == cursors_.end() ? std::string() : found->second;
}

void Positions::set_cursor(const std::string& job, std::string cursor) { cursors_[job] = std::move(cursor); }

std::vector<Position> Positions::all() const {
  std::vector<Position> out;
  for (const auto& [inode, position] : list_) out.push_back(position);
  return out;
}

Result<> Positions::save() {
  std::string text = fmt::format("{}\nbatch {}\n", kHeader, batch_);
  for (const auto& [inode, position] : list_) {
    // A path with a line end in it would be two lines; such a file is read from the beginning after a restart.
    if (position.path.find('\n') == std::string::npos) text += "file " + text_of(position) + "\n";
  }
  for (const auto& [job, cursor] : cursors_) {
    if (job.find('\n') == std::string::npos) text += fmt::format("cursor {} {}\n", job, cursor);
  }
  TRY(replace_file(file_, text, true));
  fresh_ = false;
  return {};
}

Positions::Mark Positions::mark(const Position& position) {
  return {fmt::format("file {} {}", position.file.device, position.file.inode), text_of(position)};
}

Positions::Mark Positions::mark(const std::string& job, const std::string& cursor) { return {"cursor " + job, cursor}; }

bool Positions::apply(const Mark& mark) {
  if (mark.first.starts_with("cursor ")) {
    set_cursor(mark.first.substr(7), mark.second);
    return true;
  }
  auto position = parse_position(mark.second);
  if (!mark.first.starts_with("file ") || !position) return false;
  set(std::move(*position));
  return true;
}

Result<PromtailPositions> parse_promtail_positions(std::string_view text, const std::string& file) {
  PromtailPositions out;
  yaml::Fields fields(TRY(yaml::parse(text, file)), file);
  TRY(fields.open());
  std::map<std::string, std::string> entries;
  TRY(fields.read("positions", entries));
  for (const auto& [key, value] : entries) {
    std::uint64_t offset = 0;
    if (key.starts_with("cursor-"))
      out.cursors[key.substr(7)] = value;
    else if (number(value, offset))
      out.files[key] = offset;
    else
      return std::unexpected(fields.error("positions", fmt::format("\"{}\" is no offset", value)));
  }
  return out;
}

}  // namespace tocayo::agent
