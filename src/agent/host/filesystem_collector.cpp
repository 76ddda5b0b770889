// SPDX-License-Identifier: Apache-2.0
// node_filesystem_*: mount points from /proc/1/mountinfo, sizes from statfs(2). statfs on a dead network mount never
// returns, so it runs on a prober thread; a mount that holds it for 5 s is left to that thread and reported, the others
// get a new one.
#include <sys/statfs.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "agent/host/collectors.h"
#include "agent/host/filesystem.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience{200};  // a collection waits no longer than this for a mount that hangs
constexpr std::chrono::seconds kStuckAfter{5};

int real_statfs(const std::string& path, struct statfs& result) {
  return ::statfs(path.c_str(), &result) == 0 ? 0 : errno;
}

// The state of one mount, shared with the prober thread that may be stuck in it.
struct Probe {
  std::string path;
  bool answered = false;
  int error = 0;
  struct statfs result{};
  Steady::time_point since{};
};

// A prober thread and its work. Shared: a thread that hangs outlives the collector.
struct Prober {
  std::mutex mutex;
  std::condition_variable wake, done;
  std::vector<std::shared_ptr<Probe>> work;
  std::size_t next = 0;
  bool stop = false;  // finish and exit
  bool exited = false;
};

void run_prober(std::shared_ptr<Prober> prober, StatfsFunction call) {
  std::unique_lock lock(prober->mutex);
  for (;;) {
    prober->wake.wait(lock, [&] { return prober->stop || prober->next < prober->work.size(); });
    if (prober->stop) break;
    std::shared_ptr<Probe> probe = prober->work[prober->next];
    std::string path = probe->path;
    lock.unlock();
    struct statfs result{};
    int error = call(path, result);
    lock.lock();
    probe->result = result;
    probe->error = error;
    probe->answered = true;
    ++prober->next;
    prober->done.notify_all();
  }
  prober->exited = true;
  prober->done.notify_all();
}

std::string unescape_octal(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && scan::is_digit(text[i + 1]) && scan::is_digit(text[i + 2]) &&
        scan::is_digit(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool has_option(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    std::size_t comma = options.find(',');
    if (options.substr(0, comma) == wanted) return true;
    options = comma == std::string_view::npos ? std::string_view{} : options.substr(comma + 1);
  }
  return false;
}

}  // namespace

// proc(5): id parent major:minor root mountpoint options [optional…] - fstype source superoptions
bool parse_mountinfo_line(std::string_view line, MountLine& mount) {
  scan::next_word(line);
  scan::next_word(line);
  std::string_view numbers = scan::next_word(line);
  std::size_t colon = numbers.find(':');
  if (colon == std::string_view::npos) return false;
  mount.major = numbers.substr(0, colon);
  mount.minor = numbers.substr(colon + 1);
  if (!scan::to_u64(mount.major) || !scan::to_u64(mount.minor)) return false;
  scan::next_word(line);
  mount.mountpoint = scan::next_word(line);
  std::string_view options = scan::next_word(line);
  std::string_view word;
  do {
    word = scan::next_word(line);
    if (word.empty()) return false;
  } while (word != "-");
  mount.fstype = scan::next_word(line);
  mount.device = scan::next_word(line);
  std::string_view super = scan::next_word(line);
  mount.readonly = has_option(options, "ro") || has_option(super, "ro") || has_option(super, "emergency_ro");
  return !mount.fstype.empty() && !mount.mountpoint.empty();
}

namespace {

class FilesystemCollector final : public Collector {
 public:
  FilesystemCollector(const HostContext& context, Writer& out, StatfsFunction call,
                      std::chrono::milliseconds stuck_after)
      : context_(context),
        call_(std::move(call)),
        stuck_after_(stuck_after),
        mounts_(context.proc("1/mountinfo")),
        own_mounts_(context.proc("self/mountinfo")),
        mount_points_(context.options.filter("filesystem.mount-points")),
        types_(context.options.filter("filesystem.fs-types")) {
    auto gauge = [&](std::string_view name, std::string_view help) -> const Family* {
      return &out.gauge(name, help, {"device", "mountpoint", "fstype", "device_error"});
    };
    device_error_ = gauge("node_filesystem_device_error", "Whether the file system could not be asked for its state.");
    readonly_ = gauge("node_filesystem_readonly", "Whether the file system is read-only.");
    size_ = gauge("node_filesystem_size_bytes", "Size of the file system.");
    free_ = gauge("node_filesystem_free_bytes", "Free space.");
    avail_ = gauge("node_filesystem_avail_bytes", "Free space for users other than root.");
    files_ = gauge("node_filesystem_files", "File nodes.");
    files_free_ = gauge("node_filesystem_files_free", "Free file nodes.");
    mount_info_ = &out.gauge("node_filesystem_mount_info", "A mount.", {"device", "major", "minor", "mountpoint"});
  }

  ~FilesystemCollector() override {
    if (prober_ == nullptr) return;
    std::unique_lock lock(prober_->mutex);
    prober_->stop = true;
    prober_->wake.notify_all();
    bool exited = prober_->done.wait_for(lock, std::chrono::seconds(1), [&] { return prober_->exited; });
    lock.unlock();
    if (exited) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = mounts_.read(buffer);
    if (!text) text = own_mounts_.read(buffer);  // hidepid
    if (!text) return std::unexpected(std::move(text.error()));
    ++round_;
    std::vector<Mount*> order;
    std::string_view line;
    while (scan::next_line(*text, line)) {
      MountLine found;
      if (line.empty()) continue;
      if (!parse_mountinfo_line(line, found)) {
        return fail(ErrorKind::internal, "mountinfo: line is not understood: " + std::string(line.substr(0, 120)));
      }
      std::string point = strip_rootfs(found.mountpoint);
      if (mount_points_.ignored(point) || types_.ignored(found.fstype)) continue;
      order.push_back(&remember(found, std::move(point)));
    }
    std::erase_if(known_, [&](const auto& entry) { return entry.second.round != round_; });
    probe(order);
    for (Mount* mount : order) put_mount(out, *mount);
    return {};
  }

 private:
  struct Mount {
    std::string device, point, fstype, major, minor;
    bool readonly = false;
    bool has_values = false;
    int error = 0;
    struct statfs values{};
    std::shared_ptr<Probe> probe;
    std::uint64_t round = 0;
  };

  std::string strip_rootfs(std::string_view escaped) const {
    std::string point = escaped.find('\\') == std::string_view::npos ? std::string(escaped) : unescape_octal(escaped);
    const std::string& root = context_.options.rootfs;
    if (root == "/" || !point.starts_with(root)) return point;
    point.erase(0, root.size());
    return point.empty() ? "/" : point;
  }

  Mount& remember(const MountLine& line, std::string point) {
    std::string key;
    for (std::string_view part : {std::string_view(point), line.device, line.fstype}) key.append(part).push_back('\0');
    Mount& mount = known_[key];
    if (mount.round != round_) mount.readonly = line.readonly;
    mount.round = round_;
    if (mount.probe == nullptr) {
      mount.device =
          line.device.find('\\') == std::string_view::npos ? std::string(line.device) : unescape_octal(line.device);
      mount.fstype = line.fstype;
      mount.probe = std::make_shared<Probe>();
      const std::string& root = context_.options.rootfs;
      mount.probe->path = root == "/" ? point : root + point;
      mount.point = std::move(point);
    }
    mount.major = line.major;
    mount.minor = line.minor;
    return mount;
  }

  // Asks every mount that is not still being asked. Waits for answers while they keep coming.
  void probe(const std::vector<Mount*>& order) {
    if (prober_ == nullptr) start_prober();
    std::erase_if(stuck_, [](const auto& entry) {  // came back after its mount was gone
      std::lock_guard guard(entry.second->mutex);
      return entry.second->exited && entry.second.use_count() == 1 && entry.second->work.back().use_count() == 1;
    });
    std::unique_lock lock(prober_->mutex);
    auto now = Steady::now();
    prober_->work.erase(prober_->work.begin(), prober_->work.begin() + static_cast<std::ptrdiff_t>(prober_->next));
    prober_->next = 0;
    for (Mount* mount : order) {
      Probe& probe = *mount->probe;
      if (stuck_.contains(&probe)) continue;
      probe.answered = false;
      probe.since = now;
      prober_->work.push_back(mount->probe);
    }
    prober_->wake.notify_all();
    std::size_t seen = prober_->next;
    while (prober_->next < prober_->work.size()) {
      prober_->done.wait_for(lock, kPatience, [&] { return prober_->next != seen; });
      if (prober_->next != seen) {
        seen = prober_->next;
        continue;
      }
      abandon(lock);
      seen = prober_->next;
    }
    for (Mount* mount : order) take(*mount);
  }

  // The prober hangs in work[next]: leave it that one mount and give the rest to a new thread.
  void abandon(std::unique_lock<std::mutex>& lock) {
    std::shared_ptr<Prober> old = prober_;
    std::vector<std::shared_ptr<Probe>> rest(old->work.begin() + static_cast<std::ptrdiff_t>(old->next) + 1,
                                             old->work.end());
    old->work.resize(old->next + 1);
    stuck_[old->work[old->next].get()] = old;
    old->stop = true;
    lock.unlock();
    thread_.detach();
    start_prober();
    lock = std::unique_lock(prober_->mutex);
    auto now = Steady::now();
    for (auto& probe : rest) probe->since = now;
    prober_->work = std::move(rest);
    prober_->wake.notify_all();
  }

  void start_prober() {
    prober_ = std::make_shared<Prober>();
    thread_ = std::thread(run_prober, prober_, call_);
  }

  void take(Mount& mount) {
    // A probe that a left-behind prober still holds is guarded by that prober's mutex.
    std::unique_lock<std::mutex> lock;
    auto stuck = stuck_.find(mount.probe.get());
    if (stuck != stuck_.end()) lock = std::unique_lock(stuck->second->mutex);
    Probe& probe = *mount.probe;
    if (probe.answered) {
      mount.error = probe.error;
      mount.values = probe.result;
      mount.has_values = probe.error == 0;
      if (stuck != stuck_.end()) {
        lock.unlock();
        stuck_.erase(stuck);
      }
    } else if (Steady::now() - probe.since >= stuck_after_) {
      mount.error = ETIMEDOUT;
      mount.has_values = false;
    }
  }

  void put_mount(Writer& out, const Mount& mount) {
    if (!mount.has_values && mount.error == 0) return;  // asked a moment ago, no answer yet
    std::string_view message;
    if (mount.error == ETIMEDOUT)
      message = "mountpoint timeout";
    else if (mount.error != 0)
      message = ::strerrordesc_np(mount.error) == nullptr ? "error" : ::strerrordesc_np(mount.error);
    // Go writes errno texts in lower case.
    std::string lowered(message);
    if (!lowered.empty() && lowered[0] >= 'A' && lowered[0] <= 'Z')
      lowered[0] = static_cast<char>(lowered[0] - 'A' + 'a');
    auto put = [&](const Family* family, double value) {
      out.put(*family, {mount.device, mount.point, mount.fstype, lowered}, value);
    };
    put(device_error_, mount.error != 0 ? 1 : 0);
    put(readonly_, mount.readonly ? 1 : 0);
    if (mount.error != 0) return;
    double block = static_cast<double>(mount.values.f_bsize);
    put(size_, static_cast<double>(mount.values.f_blocks) * block);
    put(free_, static_cast<double>(mount.values.f_bfree) * block);
    put(avail_, static_cast<double>(mount.values.f_bavail) * block);
    put(files_, static_cast<double>(mount.values.f_files));
    put(files_free_, static_cast<double>(mount.values.f_ffree));
    out.put(*mount_info_, {mount.device, mount.major, mount.minor, mount.point}, 1);
  }

  const HostContext& context_;
  StatfsFunction call_;
  std::chrono::milliseconds stuck_after_;
  KeptFile mounts_, own_mounts_;
  Filter mount_points_, types_;
  const Family *device_error_, *readonly_, *size_, *free_, *avail_, *files_, *files_free_, *mount_info_;
  std::map<std::string, Mount> known_;
  std::map<const Probe*, std::shared_ptr<Prober>> stuck_;
  std::shared_ptr<Prober> prober_;  // shared with its thread
  std::thread thread_;
  std::uint64_t round_ = 0;
};

}  // namespace

std::unique_ptr<Collector> make_filesystem(const HostContext& context, Writer& out) {
  return std::make_unique<FilesystemCollector>(context, out, real_statfs, kStuckAfter);
}
std::unique_ptr<Collector> make_filesystem_with(const HostContext& context, Writer& out, StatfsFunction call,
                                                std::chrono::milliseconds stuck_after) {
  return std::make_unique<FilesystemCollector>(context, out, std::move(call), stuck_after);
}

}  // namespace tocayo::agent
