// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/positions.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/text.h"

namespace tocayo::agent {

namespace {
constexpr std::string_view kHeader = "tocayo positions 1";
bool number(std::string_view text, std::uint64_t& value) {
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}
bool same_inode(const FileIdentity& a, const FileIdentity& b) { return a.device == b.device && a.inode == b.inode; }
}  // namespace

Result<Positions> Positions::open(std::string file) {
  Positions positions;
  positions.file_ = std::move(file);
  auto text = read_file(positions.file_, 64 << 20);
  if (!text) {
    if (text.error().kind != ErrorKind::not_found) return std::unexpected(std::move(text.error()));
    positions.fresh_ = true;
    return positions;
  }
  // device inode fingerprint size offset path
  for (const auto line : split(*text, '\n')) {
    const auto parts = split(line, ' ');
    Position position;
    std::uint64_t size = 0;
    if (parts.size() < 6 || !number(parts[0], position.file.device) || !number(parts[1], position.file.inode) ||
        !number(parts[2], position.file.fingerprint) || !number(parts[3], size) || !number(parts[4], position.offset)) {
      continue;
    }
    position.file.fingerprint_size = static_cast<std::uint32_t>(size);
    position.path = std::string(line.substr(static_cast<std::size_t>(parts[5].data() - line.data())));
    positions.list_.push_back(std::move(position));
  }
  return positions;
}

std::optional<Position> Positions::find(int fd) const {
  for (const auto& position : list_) {
    if (is_same_file(fd, position.file)) return position;
  }
  return std::nullopt;
}

void Positions::set(Position position) {
  const auto found =
      std::ranges::find_if(list_, [&](const Position& other) { return same_inode(other.file, position.file); });
  if (found != list_.end()) {
    *found = std::move(position);
  } else {
    list_.push_back(std::move(position));
  }
}

void Positions::forget(const FileIdentity& file) {
  std::erase_if(list_, [&](const Position& position) { return same_inode(position.file, file); });
}

Result<> Positions::save() {
  std::string text(kHeader);
  text += '\n';
  for (const auto& position : list_) {
    text += fmt::format("{} {} {} {} {} {}\n", position.file.device, position.file.inode, position.file.fingerprint,
                        position.file.fingerprint_size, position.offset, position.path);
  }
  const std::string temporary = file_ + ".new";
  auto failed = [&] { return fail(ErrorKind::unavailable, fmt::format("{}: {}", temporary, std::strerror(errno))); };
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed();
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto written = ::write(fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      auto error = failed();
      ::close(fd);
      return error;
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  if (!synced || ::rename(temporary.c_str(), file_.c_str()) != 0) return failed();
  fresh_ = false;
  return {};
}

}  // namespace tocayo::agent
