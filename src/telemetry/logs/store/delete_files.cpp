// SPDX-License-Identifier: Apache-2.0
#include "logs/store/delete_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

#include "core/hash.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr std::string_view kMagic = "TDEL\x01";
constexpr std::size_t kHeader = kMagic.size() + 8;
constexpr std::string_view kEnding = ".delete";

std::filesystem::path path_of(const std::filesystem::path& dir, std::int64_t sequence) {
  return dir / "deletes" / fmt::format("{:012}{}", sequence, kEnding);
}

Result<> sync_directory(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + path.string(), errno));
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return std::unexpected(error_from_errno("sync " + path.string(), failed));
  return {};
}

Error damaged(std::string_view what) { return Error{ErrorKind::bad_input, fmt::format("delete request: {}", what)}; }

std::string hash_bytes(std::string_view text) {
  std::string out;
  for (std::uint64_t hash = hash64(text); out.size() < 8; hash >>= 8) out += static_cast<char>(hash & 0xFF);
  return out;
}

}  // namespace

std::string encode_delete_file(const TombstoneRecord& record) {
  const Labels pairs{{"created", std::to_string(record.created)},
                     {"end", std::to_string(record.end)},
                     {"id", record.id},
                     {"query", record.query},
                     {"sequence", std::to_string(record.sequence)},
                     {"start", std::to_string(record.start)},
                     {"tenant", record.tenant}};
  std::string body;
  encode_labels(pairs, body);
  return std::string(kMagic) + hash_bytes(body) + body;
}

Result<TombstoneRecord> decode_delete_file(std::string_view bytes) {
  if (bytes.size() < kHeader) return std::unexpected(damaged("cut off"));
  if (!bytes.starts_with(kMagic)) return std::unexpected(damaged("not a file of this kind and version"));
  const std::string_view body = bytes.substr(kHeader);
  if (bytes.substr(kMagic.size(), 8) != hash_bytes(body) || !valid_label_bytes(body)) {
    return std::unexpected(damaged("damaged"));
  }
  TombstoneRecord record;
  auto number = [&](std::string_view name, std::int64_t& out) -> Result<> {
    const std::string_view text = label_in(body, name);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return std::unexpected(damaged(fmt::format("{} is not a number", name)));
    }
    return {};
  };
  TRY(number("created", record.created));
  TRY(number("end", record.end));
  TRY(number("sequence", record.sequence));
  TRY(number("start", record.start));
  record.id = label_in(body, "id");
  record.query = label_in(body, "query");
  record.tenant = label_in(body, "tenant");
  if (record.id.empty()) return std::unexpected(damaged("has no id"));
  return record;
}

Result<> write_delete_file(const std::filesystem::path& dir, const TombstoneRecord& record) {
  const std::filesystem::path path = path_of(dir, record.sequence);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return std::unexpected(error_from_errno("create " + path.parent_path().string(), error.value()));
  const std::string bytes = encode_delete_file(record);
  const std::string temporary = path.string() + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("create " + temporary, errno));
  int failed = ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) ? 0 : EIO;
  if (failed == 0 && ::fsync(fd) != 0) failed = errno;
  ::close(fd);
  if (failed == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) failed = errno;
  if (failed != 0) {
    ::unlink(temporary.c_str());
    return std::unexpected(error_from_errno("write " + temporary, failed));
  }
  return sync_directory(path.parent_path());
}

Result<> remove_delete_file(const std::filesystem::path& dir, std::int64_t sequence) {
  const std::filesystem::path path = path_of(dir, sequence);
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return std::unexpected(error_from_errno("delete " + path.string(), errno));
  }
  return sync_directory(path.parent_path());
}

Result<std::vector<TombstoneRecord>> read_delete_files(const std::filesystem::path& dir) {
  std::vector<TombstoneRecord> out;
  std::error_code error;
  if (!std::filesystem::exists(dir / "deletes", error)) return out;
  for (const auto& entry : std::filesystem::directory_iterator(dir / "deletes", error)) {
    if (entry.path().extension() != kEnding) continue;  // one that was never finished
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    auto record = decode_delete_file(bytes);
    if (!record) return std::unexpected(std::move(record.error()).with_context(entry.path().string()));
    out.push_back(std::move(*record));
  }
  if (error) return std::unexpected(error_from_errno("list " + (dir / "deletes").string(), error.value()));
  std::ranges::sort(out, {}, &TombstoneRecord::sequence);
  return out;
}

}  // namespace tocayo::logs
