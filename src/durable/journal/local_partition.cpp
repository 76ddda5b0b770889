// SPDX-License-Identifier: Apache-2.0
#include "journal/local_partition.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "core/log.h"
#include "journal/frame.h"

namespace tocayo::journal {
namespace {

Result<> sync_dir(const std::string& dir) {
  int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + dir, errno));
  int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed) return std::unexpected(error_from_errno("fsync " + dir, failed));
  return {};
}

// A whole file, mapped for reading.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path) {
    MappedFile file;
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return std::unexpected(error_from_errno("open " + path, errno));
    struct stat info{};
    if (::fstat(fd, &info) != 0) {
      int failed = errno;
      ::close(fd);
      return std::unexpected(error_from_errno("stat " + path, failed));
    }
    file.size_ = static_cast<std::size_t>(info.st_size);
    if (file.size_ > 0) {
      file.data_ = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd, 0);
      int failed = errno;
      if (file.data_ == MAP_FAILED) {
        ::close(fd);
        return std::unexpected(error_from_errno("mmap " + path, failed));
      }
      ::madvise(file.data_, file.size_, MADV_SEQUENTIAL);
    }
    ::close(fd);
    return file;
  }
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedFile() = default;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

Error as_unavailable(Error error) {
  error.kind = ErrorKind::unavailable;
  return error;
}

}  // namespace

LocalPartition::LocalPartition(const LocalOptions& options, std::string dir)
    : options_(options),
      dir_(std::move(dir)),
      metrics_{
          Registry::global().histogram("tocayo_journal_fsync_seconds", "Time of one fdatasync of a journal partition."),
          Registry::global().counter("tocayo_journal_bytes_total", "Bytes appended to the journal."),
          Registry::global().counter("tocayo_journal_records_total", "Records appended to the journal."),
          Registry::global().counter("tocayo_journal_corrupt_records_total",
                                     "Damaged stretches of the journal that reading had to skip.")} {}

Result<std::unique_ptr<Partition>> LocalPartition::open(const LocalOptions& options, std::string dir) {
  std::unique_ptr<LocalPartition> partition(new LocalPartition(options, std::move(dir)));
  if (auto loaded = partition->load(); !loaded) return std::unexpected(std::move(loaded.error()));
  partition->writer_ = std::jthread([raw = partition.get()](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "journal");
    raw->run(stop);
  });
  return partition;
}

LocalPartition::~LocalPartition() {
  if (writer_.joinable()) {
    writer_.request_stop();
    work_.notify_all();
    writer_.join();
  }
  if (fd_ >= 0) ::close(fd_);
}

std::string LocalPartition::segment_path(Position first) const { return fmt::format("{}/{:020}.seg", dir_, first); }

Result<> LocalPartition::load() {
  std::error_code error;
  std::filesystem::create_directories(dir_, error);
  if (error) return std::unexpected(error_from_errno("create " + dir_, error.value()));
  for (const auto& entry : std::filesystem::directory_iterator(dir_, error)) {
    const std::string name = entry.path().filename().string();
    Position first = 0;
    auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), first);
    if (bad != std::errc() || std::string_view(end) != ".seg") continue;
    const auto size = entry.file_size(error);
    if (error) return std::unexpected(error_from_errno("stat " + entry.path().string(), error.value()));
    segments_[first] = size > kSegmentHeaderSize ? size - kSegmentHeaderSize : 0;
  }
  if (error) return std::unexpected(error_from_errno("list " + dir_, error.value()));
  if (segments_.empty()) return start_segment(0);

  const Position first = segments_.rbegin()->first;
  const std::string path = segment_path(first);
  if (auto cut = cut_torn_tail(path, first); !cut) return cut;
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) return std::unexpected(error_from_errno("open " + path, errno));
  segment_bytes_ = kSegmentHeaderSize + segments_[first];
  next_ = written_ = synced_ = first + segments_[first];
  return {};
}

// The last segment may end in a half-written frame (crash), or lack its header (crash right after creation).
Result<> LocalPartition::cut_torn_tail(const std::string& path, Position first) {
  std::uint64_t keep = kSegmentHeaderSize;
  std::uint64_t size = 0;
  bool rewrite_header = false;
  {
    auto file = TRY(MappedFile::open(path));
    size = file.bytes().size();
    Position named = 0;
    if (!decode_segment_header(file.bytes(), named) || named != first) {
      if (size > kSegmentHeaderSize) {
        return fail(ErrorKind::internal, path + ": not a journal segment of a version this program knows");
      }
      rewrite_header = true;
    } else {
      std::string_view frames = file.bytes().substr(kSegmentHeaderSize);
      std::size_t at = 0;
      while (at < frames.size()) {
        FrameView frame = decode_frame(frames.substr(at), first + at);
        if (frame.state == FrameState::valid) {
          at += frame.size;
          continue;
        }
        std::size_t next = find_frame(frames, at + 1, first);
        if (next == frames.size()) break;  // nothing valid behind it: the tail
        at = next;                         // damage in the middle; read() counts it
      }
      keep = kSegmentHeaderSize + at;
    }
  }
  if (rewrite_header) {
    int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0) return std::unexpected(error_from_errno("open " + path, errno));
    const std::string header = encode_segment_header(first);
    bool written = ::write(fd, header.data(), header.size()) == static_cast<ssize_t>(header.size()) && ::fsync(fd) == 0;
    int failed = errno;
    ::close(fd);
    if (!written) return std::unexpected(error_from_errno("write " + path, failed));
  } else if (keep < size) {
    log::warn("journal", "cut off a torn tail", {{"segment", path}, {"bytes", size - keep}});
    if (::truncate(path.c_str(), static_cast<off_t>(keep)) != 0) {
      return std::unexpected(error_from_errno("truncate " + path, errno));
    }
  }
  segments_[first] = keep - kSegmentHeaderSize;
  return {};
}

Result<> LocalPartition::start_segment(Position first) {
  const std::string path = segment_path(first);
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("create " + path, errno));
  const std::string header = encode_segment_header(first);
  std::uint64_t size = header.size();
  int injected = options_.faults != nullptr ? options_.faults->on_write(size) : 0;
  if (injected != 0 || ::write(fd, header.data(), header.size()) != static_cast<ssize_t>(header.size()) ||
      ::fsync(fd) != 0) {
    int failed = injected != 0 ? injected : errno;
    ::close(fd);
    ::unlink(path.c_str());
    return std::unexpected(error_from_errno("write " + path, failed));
  }
  if (auto synced = sync_dir(dir_); !synced) {
    ::close(fd);
    return synced;
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  segments_[first] = 0;
  segment_bytes_ = header.size();
  return {};
}

Result<> LocalPartition::write_bytes(std::string_view bytes) {
  const Position first = segments_.rbegin()->first;
  if (segment_bytes_ > kSegmentHeaderSize && segment_bytes_ + bytes.size() > options_.segment_size) {
    if (options_.mode != SyncMode::off) {
      if (auto synced = sync_file(); !synced) return synced;
    }
    if (auto started = start_segment(first + segments_[first]); !started) return started;
  }
  std::uint64_t allowed = bytes.size();
  const int injected = options_.faults != nullptr ? options_.faults->on_write(allowed) : 0;
  std::string_view rest = bytes.substr(0, injected != 0 ? allowed : bytes.size());
  int failed = 0;
  while (!rest.empty()) {
    ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      failed = errno;
      break;
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (injected != 0) failed = injected;
  if (failed != 0) {
    // Take back what part got in, so that the next frame follows the last whole one.
    if (::ftruncate(fd_, static_cast<off_t>(segment_bytes_)) != 0) {
      log::error("journal", "cannot take back a partial write",
                 {{"dir", dir_}, {"error", error_from_errno("truncate", errno)}});
    }
    return std::unexpected(error_from_errno("write to the journal " + dir_, failed));
  }
  segment_bytes_ += bytes.size();
  segments_.rbegin()->second += bytes.size();
  return {};
}

Result<> LocalPartition::sync_file() {
  const auto start = std::chrono::steady_clock::now();
  int failed = options_.faults != nullptr ? options_.faults->on_sync() : 0;
  if (failed == 0 && ::fdatasync(fd_) != 0) failed = errno;
  metrics_.fsync_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (failed == 0) return {};
  Error error =
      as_unavailable(error_from_errno("fsync of the journal " + dir_ + " failed, it is read-only now", failed));
  log::error("journal", "fsync failed; the partition is read-only until the next start",
             {{"dir", dir_}, {"error", error}});
  std::lock_guard lock(mutex_);
  if (read_only_) read_only_ = std::unexpected(error);
  return std::unexpected(std::move(error));
}

Result<Position> LocalPartition::append(std::uint8_t kind, std::string_view payload, Acknowledge acknowledge) {
  if (payload.size() > kMaxRecordSize) return fail(ErrorKind::too_large, "journal record larger than 256 MiB");
  if (options_.mode == SyncMode::batch) {
    std::lock_guard lock(mutex_);
    if (!read_only_) return std::unexpected(read_only_.error());
    const Position position = next_;
    const std::size_t before = buffer_.size();
    append_frame(buffer_, kind, payload, position);
    next_ += buffer_.size() - before;
    waiting_.push_back(std::move(acknowledge));
    metrics_.records.add();
    work_.notify_one();
    return position;
  }
  std::unique_lock file_lock(file_mutex_);
  Position position;
  {
    std::lock_guard lock(mutex_);
    if (!read_only_) return std::unexpected(read_only_.error());
    position = next_;
  }
  buffer_.clear();
  append_frame(buffer_, kind, payload, position);
  auto written = write_bytes(buffer_);
  const std::uint64_t size = buffer_.size();
  {
    std::lock_guard lock(mutex_);
    if (!written) {
      space_ = std::unexpected(as_unavailable(written.error()));
      return std::unexpected(space_.error());
    }
    space_ = {};
    next_ = written_ = position + size;
  }
  file_lock.unlock();
  metrics_.records.add();
  metrics_.bytes.add(static_cast<double>(size));
  if (acknowledge) acknowledge({});
  return position;
}

void LocalPartition::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (options_.mode == SyncMode::batch) {
    for (;;) {
      work_.wait(lock, stop, [this] { return !buffer_.empty(); });
      if (buffer_.empty()) return;
      if (options_.batch_delay.count() > 0 && !stop.stop_requested()) {
        lock.unlock();  // let the group gather
        std::this_thread::sleep_for(options_.batch_delay);
        lock.lock();
      }
      commit(lock);
    }
  }
  while (!stop.stop_requested()) {
    work_.wait_for(lock, stop, options_.interval, [&] { return stop.stop_requested(); });
    if (options_.mode == SyncMode::off || synced_ == written_ || !read_only_) continue;
    const Position target = written_;
    lock.unlock();
    Result<> synced;
    {
      std::lock_guard file_lock(file_mutex_);
      synced = sync_file();
    }
    lock.lock();
    if (synced) synced_ = std::max(synced_, target);
  }
}

// Writes and syncs everything buffered, then acknowledges. Called and left with mutex_ held.
void LocalPartition::commit(std::unique_lock<std::mutex>& lock) {
  std::string bytes = std::move(buffer_);
  std::vector<Acknowledge> group = std::move(waiting_);
  buffer_.clear();
  waiting_.clear();
  const Position target = next_;
  committing_ = true;
  lock.unlock();
  Result<> done;
  {
    std::lock_guard file_lock(file_mutex_);
    done = write_bytes(bytes);
    if (done) done = sync_file();
  }
  if (!done) return fail_pending(lock, std::move(group), as_unavailable(done.error()));
  metrics_.bytes.add(static_cast<double>(bytes.size()));
  {
    std::lock_guard relock(mutex_);
    written_ = synced_ = target;
    space_ = {};
  }
  for (auto& acknowledge : group) {
    if (acknowledge) acknowledge({});
  }
  lock.lock();
  if (buffer_.empty() && bytes.capacity() <= (4U << 20)) {
    bytes.clear();
    buffer_ = std::move(bytes);
  }
  committing_ = false;
  ++commits_;
  idle_.notify_all();
}

// The frames that gathered meanwhile carry positions behind the failed ones, so they fail with them.
void LocalPartition::fail_pending(std::unique_lock<std::mutex>& lock, std::vector<Acknowledge> group,
                                  const Error& error) {
  std::vector<Acknowledge> later;
  std::uint64_t file_end = 0;
  {
    std::lock_guard file_lock(file_mutex_);
    file_end = segments_.rbegin()->first + segments_.rbegin()->second;
  }
  lock.lock();
  later.swap(waiting_);
  buffer_.clear();
  next_ = written_ = file_end;
  space_ = std::unexpected(error);
  lock.unlock();
  for (auto* list : {&group, &later}) {
    for (auto& acknowledge : *list) {
      if (acknowledge) acknowledge(std::unexpected(error));
    }
  }
  lock.lock();
  committing_ = false;
  ++commits_;
  idle_.notify_all();
}

Result<> LocalPartition::sync() {
  if (options_.mode == SyncMode::batch) {
    std::unique_lock lock(mutex_);
    const Position target = next_;
    idle_.wait(lock, [&] { return (synced_ >= target) || (buffer_.empty() && !committing_); });
    if (!read_only_) return read_only_;
    if (synced_ < target) return space_ ? Result<>{} : space_;
    return {};
  }
  Position target;
  {
    std::lock_guard lock(mutex_);
    if (!read_only_) return read_only_;
    target = written_;
  }
  std::lock_guard file_lock(file_mutex_);
  if (auto synced = sync_file(); !synced) return synced;
  std::lock_guard lock(mutex_);
  synced_ = std::max(synced_, target);
  return {};
}

Result<ReadStats> LocalPartition::read(Position from, const std::function<Result<>(const Record&)>& visit) {
  std::map<Position, std::uint64_t> segments;
  {
    std::lock_guard file_lock(file_mutex_);
    segments = segments_;
  }
  ReadStats stats;
  stats.end = from;
  for (const auto& [first, size] : segments) {
    if (first + size <= from) {
      stats.end = std::max(stats.end, first + size);
      continue;
    }
    const std::string path = segment_path(first);
    auto file = TRY(MappedFile::open(path));
    Position named = 0;
    if (!decode_segment_header(file.bytes(), named) || named != first) {
      ++stats.corrupt;
      metrics_.corrupt.add();
      log::error("journal", "skipped a segment with a damaged header", {{"segment", path}});
      continue;
    }
    std::string_view frames = file.bytes().substr(kSegmentHeaderSize, size);
    // Positions are byte offsets and frames tell theirs, so reading can begin at `from` itself.
    std::size_t at = from > first ? static_cast<std::size_t>(from - first) : 0;
    while (at < frames.size()) {
      FrameView frame = decode_frame(frames.substr(at), first + at);
      if (frame.state != FrameState::valid) {
        const std::size_t next = find_frame(frames, at + 1, first);
        ++stats.corrupt;
        metrics_.corrupt.add();
        log::error("journal", "skipped a damaged stretch",
                   {{"segment", path}, {"position", first + at}, {"bytes", next - at}});
        at = next;
        continue;
      }
      if (auto visited = visit(Record{first + at, frame.kind, frame.payload}); !visited) {
        return std::unexpected(std::move(visited.error()));
      }
      ++stats.records;
      stats.bytes += frame.size;
      at += frame.size;
    }
    stats.end = first + frames.size();
  }
  return stats;
}

Result<> LocalPartition::trim(Position up_to) {
  std::lock_guard file_lock(file_mutex_);
  const Position last = segments_.rbegin()->first;
  if (up_to > last && segments_[last] > 0) {
    // Records of the newest file may go: a fresh segment lets it go as well, now or with the next trim. What waits in
    // the buffer continues there.
    if (up_to < last + segments_[last] && options_.mode != SyncMode::off) {
      if (auto synced = sync_file(); !synced) return synced;
    }
    if (auto started = start_segment(last + segments_[last]); !started) return started;
  }
  while (segments_.size() > 1) {
    auto oldest = segments_.begin();
    if (oldest->first + oldest->second > up_to) break;
    const std::string path = segment_path(oldest->first);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return std::unexpected(error_from_errno("delete " + path, errno));
    segments_.erase(oldest);
  }
  return {};
}

Position LocalPartition::first() const {
  std::lock_guard lock(file_mutex_);
  return segments_.begin()->first;
}

Position LocalPartition::next() const {
  std::lock_guard lock(mutex_);
  return next_;
}

std::uint64_t LocalPartition::bytes() const {
  std::lock_guard lock(file_mutex_);
  std::uint64_t total = 0;
  for (const auto& [first, size] : segments_) total += size;
  return total;
}

Result<> LocalPartition::health() const {
  std::lock_guard lock(mutex_);
  if (!read_only_) return read_only_;
  return space_;
}

}  // namespace tocayo::journal
