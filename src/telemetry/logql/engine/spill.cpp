// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/spill.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/hash.h"

namespace tocayo::logql::detail {

namespace {

constexpr std::uint64_t kLeastLeft = 512ULL << 20;
constexpr std::uint64_t kShareLeft = 20;

std::string problem(const SpillSpace& space) { return "write the states of a query to " + space.directory(); }

Result<Fd> open_nameless(const std::string& directory) {
  Fd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return std::unexpected(error_from_errno("open a file in " + directory, errno));
  }
  std::string path = directory + "/query-XXXXXX";  // the file system has no nameless files
  file = Fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!file) return std::unexpected(error_from_errno("open a file in " + directory, errno));
  if (::unlink(path.c_str()) != 0) return std::unexpected(error_from_errno("unlink " + path, errno));
  return file;
}

void put_length(std::string& out, std::uint64_t length) {
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
}
void put(std::string& out, std::string_view bytes) {
  put_length(out, bytes.size());
  out.append(bytes);
}
bool take(std::string_view& from, std::string_view& out) {
  std::uint64_t length = 0;
  if (from.size() < sizeof length) return false;
  std::memcpy(&length, from.data(), sizeof length);
  from.remove_prefix(sizeof length);
  if (length > from.size()) return false;
  out = from.substr(0, length);
  from.remove_prefix(length);
  return true;
}

}  // namespace

Result<> SpillSpace::take(std::uint64_t bytes) {
  const std::uint64_t used = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (used > max_bytes_) {
    give_back(bytes);
    return fail(ErrorKind::limit,
                fmt::format("the query needs more than its memory budget, and more than the {} bytes that running "
                            "queries may put on disk (logs.query.spill); select fewer streams, shorten the time "
                            "range, or aggregate by fewer labels",
                            max_bytes_));
  }
  std::uint64_t left = kLeastLeft;
  std::uint64_t free = 0;
  if (free_bytes_) {
    free = free_bytes_();
  } else {
    struct statvfs disk{};
    if (::statvfs(directory_.c_str(), &disk) != 0) {
      give_back(bytes);
      return std::unexpected(error_from_errno(problem(*this), errno));
    }
    left = std::max(left, std::uint64_t{disk.f_blocks} * disk.f_frsize / kShareLeft);
    free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  }
  if (free < left + bytes) {
    give_back(bytes);
    return fail(ErrorKind::unavailable,
                fmt::format("the query needs more than its memory budget, and the disk has too little space to put the "
                            "rest there: {} MiB are free and {} MiB are left to others; select fewer streams, shorten "
                            "the time range, or aggregate by fewer labels",
                            free >> 20, left >> 20));
  }
  return {};
}

Result<std::unique_ptr<SpillFile>> SpillFile::create(SpillSpace& space) {
  std::error_code failed;
  std::filesystem::create_directories(space.directory(), failed);
  if (failed) return std::unexpected(error_from_errno(problem(space), failed.value()));
  Fd file = TRY(open_nameless(space.directory()));
  return std::unique_ptr<SpillFile>(new SpillFile(space, std::move(file)));
}

Result<> SpillFile::write(std::size_t part, std::string_view records) {
  TRY(space_.take(records.size()));
  const std::uint64_t offset = bytes_.fetch_add(records.size());
  for (std::size_t done = 0; done < records.size();) {
    const ssize_t wrote =
        ::pwrite(file_.get(), records.data() + done, records.size() - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return std::unexpected(error_from_errno(problem(space_), wrote < 0 ? errno : ENOSPC));
    done += static_cast<std::size_t>(wrote);
  }
  std::lock_guard lock(mutex_);
  pieces_[part].push_back({offset, records.size(), hash64(records)});
  return {};
}

Result<> SpillFile::read(std::size_t part, const std::function<Result<>(std::string_view)>& visit) const {
  std::string bytes;
  for (const Piece& piece : pieces_[part]) {
    bytes.resize(piece.length);
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t got =
          ::pread(file_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(piece.offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return std::unexpected(error_from_errno("read the states of a query back", errno));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    if (hash64(bytes) != piece.hash) {
      return fail(ErrorKind::internal, "the states of a query are damaged on disk (" + space_.directory() + ")");
    }
    TRY(visit(bytes));
  }
  return {};
}

void SpillRecords::add(const Labels& labels, bool error, const std::function<void(std::string&)>& save) {
  put_length(bytes_, labels.size() << 1 | (error ? 1 : 0));
  for (const Label& label : labels) {
    put(bytes_, label.name);
    put(bytes_, label.value);
  }
  states_.clear();
  save(states_);
  put(bytes_, states_);
}

Result<> SpillRecords::write(SpillFile& file, std::size_t part) {
  if (bytes_.empty()) return {};
  auto done = file.write(part, bytes_);
  bytes_.clear();
  return done;
}

bool SpillRecords::parse(std::string_view records,
                         const std::function<bool(Labels labels, bool error, std::string_view states)>& visit) {
  while (!records.empty()) {
    std::uint64_t head = 0;
    if (records.size() < sizeof head) return false;
    std::memcpy(&head, records.data(), sizeof head);
    records.remove_prefix(sizeof head);
    std::vector<Label> labels;
    for (std::uint64_t i = 0; i < head >> 1; ++i) {
      std::string_view name;
      std::string_view value;
      if (!take(records, name) || !take(records, value)) return false;
      labels.push_back({std::string(name), std::string(value)});
    }
    std::string_view states;
    if (!take(records, states)) return false;
    if (!visit(Labels::from_sorted(std::move(labels)), (head & 1) != 0, states)) return false;
  }
  return true;
}

}  // namespace tocayo::logql::detail
