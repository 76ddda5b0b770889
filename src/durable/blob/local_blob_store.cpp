// SPDX-License-Identifier: Apache-2.0
#include "blob/local_blob_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "core/fd.h"
#include "core/registry.h"

namespace tocayo::blob {

namespace fs = std::filesystem;

namespace {

constexpr int kPutRetries = 16;  // a concurrent remove may take the directory away between mkdir and rename

std::unexpected<Error> errno_failure(const std::string& doing, int code = errno) {
  return std::unexpected(error_from_errno(doing, code));
}

Result<> sync_directory(const fs::path& directory) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_failure("open " + directory.string());
  if (::fsync(fd.get()) != 0) return errno_failure("fsync " + directory.string());
  return {};
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_failure("write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::string> read_range(int fd, std::uint64_t offset, std::uint64_t length) {
  std::string out(length, '\0');
  std::size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_failure("read");
    }
    if (n == 0) return fail(ErrorKind::internal, "read: the file is shorter than its size");
    done += static_cast<std::size_t>(n);
  }
  return out;
}

TimestampMs modified_ms(const struct stat& info) {
  return static_cast<TimestampMs>(info.st_mtim.tv_sec) * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

Result<> copy_file_bytes(const fs::path& from, int to) {
  Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return errno_failure("open " + from.string());
  std::string buffer(1 << 20, '\0');
  for (;;) {
    ssize_t n = ::read(in.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_failure("read " + from.string());
    if (n == 0) return {};
    if (auto written = write_all(to, std::string_view(buffer).substr(0, static_cast<std::size_t>(n))); !written) {
      return std::unexpected(std::move(written.error()));
    }
  }
}

// Leaves no file behind unless it was released.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const fs::path& path() const { return path_; }
  void release() { path_.clear(); }

 private:
  fs::path path_;
};

struct Operation {
  explicit Operation(std::string_view name)
      : seconds(Registry::global().histogram("tocayo_blob_operation_seconds", "Time of one call of the blob store.",
                                             {{"operation", std::string(name)}})),
        failures(Registry::global().counter("tocayo_blob_failures_total",
                                            "Calls of the blob store that failed for its own reasons.",
                                            {{"operation", std::string(name)}})) {}

  template <typename T>
  Result<T> run(const std::function<Result<T>()>& body) {
    auto start = std::chrono::steady_clock::now();
    Result<T> result = body();
    seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (!result && (result.error().kind == ErrorKind::internal || result.error().kind == ErrorKind::unavailable))
      failures.add();
    return result;
  }

  Histogram& seconds;
  Counter& failures;
};

}  // namespace

struct LocalBlobStore::Impl {
  fs::path root;
  fs::path objects;
  fs::path temporary;
  Pool& pool;
  Fd lock;
  std::atomic<std::uint64_t> next_temporary{1};
  Operation put_operation{"put"}, get_operation{"get"}, stat_operation{"stat"}, list_operation{"list"},
      remove_operation{"remove"};
  Counter& bytes_written = Registry::global().counter("tocayo_blob_written_bytes_total", "Bytes of objects put.");
  Counter& bytes_read = Registry::global().counter("tocayo_blob_read_bytes_total", "Bytes of objects read.");

  fs::path path_of(std::string_view key) const { return objects / key; }
  fs::path new_temporary() { return temporary / std::to_string(next_temporary.fetch_add(1)); }

  // Makes the directories of a key, each durable in its parent before the object is.
  Result<> make_directories(const fs::path& directory) {
    if (::mkdir(directory.c_str(), 0755) == 0) return sync_directory(directory.parent_path());
    if (errno == EEXIST) {
      struct stat info;
      if (::stat(directory.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
        return fail(ErrorKind::conflict, "the blob key continues an existing key");
      }
      return {};
    }
    if (errno == ENOTDIR) return fail(ErrorKind::conflict, "the blob key continues an existing key");
    if (errno != ENOENT) return errno_failure("mkdir " + directory.string());
    if (auto made = make_directories(directory.parent_path()); !made) return made;
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return errno_failure("mkdir " + directory.string());
    return sync_directory(directory.parent_path());
  }

  // Gives the complete, fsynced file `from` its name. EXDEV comes back as a failure with `crossed` set.
  Result<> publish(const fs::path& from, const std::string& key, PutMode mode, bool* crossed) {
    fs::path to = path_of(key);
    for (int attempt = 0; attempt < kPutRetries; ++attempt) {
      if (auto made = make_directories(to.parent_path()); !made) {
        if (made.error().kind == ErrorKind::not_found) continue;  // a remove took the parent away
        return made;
      }
      int rc = mode == PutMode::create_only ? ::link(from.c_str(), to.c_str()) : ::rename(from.c_str(), to.c_str());
      if (rc == 0) {
        if (mode == PutMode::create_only) ::unlink(from.c_str());
        auto synced = sync_directory(to.parent_path());
        // The directory can be gone only when a later remove took the object: this put came first and is done.
        if (!synced && synced.error().kind == ErrorKind::not_found) return {};
        return synced;
      }
      if (errno == ENOENT) continue;
      if (errno == EXDEV && crossed) {
        *crossed = true;
        return errno_failure("rename");
      }
      if (errno == EISDIR || errno == ENOTDIR || errno == ENOTEMPTY) {
        return fail(ErrorKind::conflict, "another blob key continues the key '" + key + "'");
      }
      if (errno == EEXIST) {
        struct stat info;
        bool directory = ::stat(to.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
        return fail(ErrorKind::conflict, directory ? "another blob key continues the key '" + key + "'"
                                                   : "the blob '" + key + "' exists already");
      }
      return errno_failure("rename to " + to.string());
    }
    return fail(ErrorKind::unavailable, "the directory of blob '" + key + "' is being removed over and over");
  }

  Result<> put_filled(const std::string& key, PutMode mode, const std::function<Result<>(int fd)>& fill) {
    TemporaryFile file(new_temporary());
    Fd fd(::open(file.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) return errno_failure("create " + file.path().string());
    if (auto filled = fill(fd.get()); !filled) return filled;
    if (::fsync(fd.get()) != 0) return errno_failure("fsync " + file.path().string());
    if (auto published = publish(file.path(), key, mode, nullptr); !published) return published;
    file.release();
    return {};
  }

  Result<> put(const std::string& key, std::string_view bytes, PutMode mode) {
    if (auto ok = check_key(key); !ok) return ok;
    auto done = put_filled(key, mode, [&](int fd) { return write_all(fd, bytes); });
    if (!done) return std::unexpected(std::move(done.error()).with_context("put blob '" + key + "'"));
    bytes_written.add(static_cast<double>(bytes.size()));
    return {};
  }

  Result<> put_file_checked(const std::string& key, const fs::path& file, PutMode mode) {
    std::uint64_t size = 0;
    {
      Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd) return errno_failure("open " + file.string());
      struct stat info;
      if (::fstat(fd.get(), &info) != 0) return errno_failure("stat " + file.string());
      if (!S_ISREG(info.st_mode)) return fail(ErrorKind::bad_input, file.string() + " is not a regular file");
      size = static_cast<std::uint64_t>(info.st_size);
      if (::fsync(fd.get()) != 0) return errno_failure("fsync " + file.string());
    }
    bool crossed = false;
    auto moved = publish(file, key, mode, &crossed);
    if (!moved && crossed) {
      if (auto copied = put_filled(key, mode, [&](int fd) { return copy_file_bytes(file, fd); }); !copied)
        return copied;
      ::unlink(file.c_str());
    } else if (!moved) {
      return moved;
    }
    bytes_written.add(static_cast<double>(size));
    return {};
  }

  Result<> put_file(const std::string& key, const fs::path& file, PutMode mode) {
    if (auto ok = check_key(key); !ok) return ok;
    auto done = put_file_checked(key, file, mode);
    if (!done) return std::unexpected(std::move(done.error()).with_context("put blob '" + key + "'"));
    return {};
  }

  struct Opened {
    Fd fd;
    std::uint64_t size;
  };
  Result<Opened> open_object(const std::string& key) {
    if (auto ok = check_key(key); !ok) return std::unexpected(std::move(ok.error()));
    Fd fd(::open(path_of(key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info;
    if (!fd && (errno == ENOENT || errno == ENOTDIR)) return fail(ErrorKind::not_found, "no blob '" + key + "'");
    if (!fd) return errno_failure("open blob '" + key + "'");
    if (::fstat(fd.get(), &info) != 0) return errno_failure("stat blob '" + key + "'");
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::not_found, "no blob '" + key + "'");
    return Opened{std::move(fd), static_cast<std::uint64_t>(info.st_size)};
  }

  Result<std::string> get_range(const std::string& key, std::uint64_t offset, std::uint64_t length) {
    Opened object = TRY(open_object(key));
    if (offset > object.size) {
      return fail(ErrorKind::bad_input, "offset " + std::to_string(offset) + " is beyond the " +
                                            std::to_string(object.size) + " bytes of blob '" + key + "'");
    }
    auto bytes = read_range(object.fd.get(), offset, std::min(length, object.size - offset));
    if (!bytes) return std::unexpected(std::move(bytes.error()).with_context("read blob '" + key + "'"));
    bytes_read.add(static_cast<double>(bytes->size()));
    return bytes;
  }

  Result<BlobInfo> stat(const std::string& key) {
    if (auto ok = check_key(key); !ok) return std::unexpected(std::move(ok.error()));
    struct stat info;
    if (::lstat(path_of(key).c_str(), &info) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return fail(ErrorKind::not_found, "no blob '" + key + "'");
      return errno_failure("stat blob '" + key + "'");
    }
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::not_found, "no blob '" + key + "'");
    return BlobInfo{key, static_cast<std::uint64_t>(info.st_size), modified_ms(info)};
  }

  // Appends the objects below `directory` (whose keys start with `base`), in key order, until `limit` is exceeded by
  // one.
  Result<> walk(const fs::path& directory, const std::string& base, const std::string& prefix, const std::string& after,
                std::size_t limit, std::vector<BlobInfo>& out) {
    // A directory sorts as "name/": all keys below it start so, which makes the walk's order the order of the keys.
    std::vector<std::string> names;
    DIR* handle = ::opendir(directory.c_str());
    if (!handle) {
      if (errno == ENOENT || errno == ENOTDIR) return {};  // removed meanwhile
      return errno_failure("list " + directory.string());
    }
    while (dirent* entry = ::readdir(handle)) {
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat info;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN)
        is_directory = ::lstat((directory / name).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
      if (is_directory) name += '/';
      std::string key = base + name;
      std::size_t common = std::min(key.size(), prefix.size());
      if (key.compare(0, common, prefix, 0, common) != 0) continue;  // neither inside the prefix nor on the way to it
      if (!is_directory && key.size() < prefix.size()) continue;
      if (!is_directory && key <= after) continue;
      if (is_directory && key < after && after.compare(0, key.size(), key) != 0) continue;  // wholly before the page
      names.push_back(std::move(name));
    }
    ::closedir(handle);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (out.size() > limit) return {};
      if (name.back() == '/') {
        auto walked = walk(directory / name.substr(0, name.size() - 1), base + name, prefix, after, limit, out);
        if (!walked) return walked;
        continue;
      }
      struct stat info;
      if (::lstat((directory / name).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      out.push_back({base + name, static_cast<std::uint64_t>(info.st_size), modified_ms(info)});
    }
    return {};
  }

  Result<ListPage> list(const std::string& prefix, const std::string& after, std::size_t limit) {
    if (limit < 1 || limit > 1000) return fail(ErrorKind::bad_input, "a page of blobs has 1 to 1000 entries");
    ListPage page;
    if (auto walked = walk(objects, "", prefix, after, limit, page.blobs); !walked)
      return std::unexpected(std::move(walked.error()));
    if (page.blobs.size() > limit) {
      page.blobs.resize(limit);
      page.next = page.blobs.back().key;
    }
    return page;
  }

  Result<> remove(const std::string& key) {
    if (auto ok = check_key(key); !ok) return ok;
    fs::path path = path_of(key);
    if (::unlink(path.c_str()) != 0) {
      if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) return {};
      return errno_failure("remove blob '" + key + "'");
    }
    fs::path directory = path.parent_path();
    if (auto synced = sync_directory(directory); !synced) {
      if (synced.error().kind != ErrorKind::not_found)
        return synced;  // not_found: another remove took the empty directory
    }
    while (directory != objects && ::rmdir(directory.c_str()) == 0) directory = directory.parent_path();
    return {};
  }
};

LocalBlobStore::LocalBlobStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalBlobStore::~LocalBlobStore() = default;

Result<std::unique_ptr<LocalBlobStore>> LocalBlobStore::open(fs::path root, Pool& pool) {
  std::error_code failed;
  for (const char* name : {"objects", "tmp"}) {
    fs::create_directories(root / name, failed);
    if (failed) return errno_failure("create " + (root / name).string(), failed.value());
  }
  if (auto synced = sync_directory(root); !synced) return std::unexpected(std::move(synced.error()));
  Fd lock(::open((root / "LOCK").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock) return errno_failure("open " + (root / "LOCK").string());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::unavailable, "the blob store " + root.string() + " is in use by another process");
  }
  for (const auto& left : fs::directory_iterator(root / "tmp", failed)) fs::remove(left.path(), failed);
  auto impl = std::unique_ptr<Impl>(new Impl{
      .root = root, .objects = root / "objects", .temporary = root / "tmp", .pool = pool, .lock = std::move(lock)});
  return std::unique_ptr<LocalBlobStore>(new LocalBlobStore(std::move(impl)));
}

Task<Result<>> LocalBlobStore::put(std::string key, std::string bytes, PutMode mode) {
  co_await impl_->pool.schedule();
  co_return impl_->put_operation.run<void>([&] { return impl_->put(key, bytes, mode); });
}

Task<Result<>> LocalBlobStore::put_file(std::string key, fs::path file, PutMode mode) {
  co_await impl_->pool.schedule();
  co_return impl_->put_operation.run<void>([&] { return impl_->put_file(key, file, mode); });
}

Task<Result<std::string>> LocalBlobStore::get(std::string key) {
  co_await impl_->pool.schedule();
  co_return impl_->get_operation.run<std::string>([&] { return impl_->get_range(key, 0, UINT64_MAX); });
}

Task<Result<std::string>> LocalBlobStore::get_range(std::string key, std::uint64_t offset, std::uint64_t length) {
  co_await impl_->pool.schedule();
  co_return impl_->get_operation.run<std::string>([&] { return impl_->get_range(key, offset, length); });
}

Task<Result<BlobInfo>> LocalBlobStore::stat(std::string key) {
  co_await impl_->pool.schedule();
  co_return impl_->stat_operation.run<BlobInfo>([&] { return impl_->stat(key); });
}

Task<Result<ListPage>> LocalBlobStore::list(std::string prefix, std::string start_after, std::size_t limit) {
  co_await impl_->pool.schedule();
  co_return impl_->list_operation.run<ListPage>([&] { return impl_->list(prefix, start_after, limit); });
}

Task<Result<>> LocalBlobStore::remove(std::string key) {
  co_await impl_->pool.schedule();
  co_return impl_->remove_operation.run<void>([&] { return impl_->remove(key); });
}

std::optional<fs::path> LocalBlobStore::local_path(std::string_view key) const {
  if (!check_key(key)) return std::nullopt;
  return impl_->path_of(key);
}

}  // namespace tocayo::blob
