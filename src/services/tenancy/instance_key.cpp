// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/text.h"
#include "tenancy/detail/service_impl.h"

namespace tocayo::tenancy {

namespace {

constexpr std::string_view kHeader = "tocayo-instance-key-v1 ";

std::optional<std::string> parse_key(std::string_view text) {
  text = trim(text);
  if (!text.starts_with(kHeader)) return std::nullopt;
  text.remove_prefix(kHeader.size());
  if (text.size() != 64) return std::nullopt;
  std::string key;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int value = 0;
    for (char c : text.substr(i, 2)) {
      if (c >= '0' && c <= '9')
        value = value * 16 + (c - '0');
      else if (c >= 'a' && c <= 'f')
        value = value * 16 + (c - 'a') + 10;
      else
        return std::nullopt;
    }
    key += static_cast<char>(value);
  }
  return key;
}

// Complete and on disk under another name first: a crash leaves no half key. link() never replaces an existing key.
Result<> write_key(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::path temporary = file.string() + ".new";
  ::unlink(temporary.c_str());
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(error_from_errno("create " + temporary.string(), errno));
  bool ok = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  int code = errno;
  ::close(fd);
  if (ok && ::link(temporary.c_str(), file.c_str()) != 0 && errno != EEXIST) {
    ok = false;
    code = errno;
  }
  ::unlink(temporary.c_str());
  if (!ok) return std::unexpected(error_from_errno("write " + file.string(), code));
  int directory =
      ::open(file.parent_path().empty() ? "." : file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return {};
}

}  // namespace

Result<std::string> load_instance_key(const std::filesystem::path& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) {
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), failed);
    TRY(write_key(file, std::string(kHeader) + to_hex(random_bytes(32)) + "\n"));
  }
  int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return std::unexpected(error_from_errno("open the instance key " + file.string(), errno));
  struct stat info;
  char buffer[256];
  bool known = ::fstat(fd, &info) == 0;
  ssize_t got = ::read(fd, buffer, sizeof buffer);
  ::close(fd);
  if (!known || got < 0) return fail(ErrorKind::internal, "cannot read the instance key " + file.string());
  if ((info.st_mode & 077) != 0) {
    return fail(ErrorKind::forbidden, "the instance key " + file.string() + " can be read by others: chmod 600 it");
  }
  auto key = parse_key(std::string_view(buffer, static_cast<std::size_t>(got)));
  if (!key)
    return fail(
        ErrorKind::internal,
        file.string() + " is not an instance key; restore it from a backup (without it stored secrets are lost)");
  return *key;
}

}  // namespace tocayo::tenancy
