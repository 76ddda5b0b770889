// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/file_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>

namespace tocayo::agent {
namespace {

constexpr std::chrono::milliseconds kGather{100};  // between two wakes: a busy file must not make every read tiny

std::chrono::milliseconds until(std::chrono::steady_clock::time_point when) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(0));
}

}  // namespace

FileWatch::FileWatch()
    : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), stopped_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

FileWatch::~FileWatch() {
  if (inotify_ >= 0) ::close(inotify_);
  if (stopped_ >= 0) ::close(stopped_);
}

void FileWatch::follow(const std::set<std::string>& files, std::set<std::string> directories) {
  if (inotify_ < 0) return;
  for (const std::string& file : files) directories.insert(std::filesystem::path(file).parent_path().string());
  update(files, IN_MODIFY, files_);
  update(directories, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR, directories_);
}

void FileWatch::update(const std::set<std::string>& wanted, std::uint32_t events, std::map<std::string, int>& watches) {
  for (auto at = watches.begin(); at != watches.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    const int watch = at->second;
    at = watches.erase(at);
    // Two paths of one file share a watch.
    const bool shared = std::ranges::any_of(watches, [&](const auto& other) { return other.second == watch; });
    if (!shared) ::inotify_rm_watch(inotify_, watch);
  }
  for (const std::string& path : wanted) {
    // Again for what is watched: behind the path may be another file by now, and for the same one nothing changes.
    const int watch = ::inotify_add_watch(inotify_, path.c_str(), events | IN_MASK_ADD);
    if (watch < 0) continue;
    const auto [at, fresh] = watches.try_emplace(path, watch);
    if (fresh || at->second == watch) continue;
    const int before = std::exchange(at->second, watch);
    const bool shared = std::ranges::any_of(watches, [&](const auto& other) { return other.second == before; });
    if (!shared) ::inotify_rm_watch(inotify_, before);
  }
}

FileWatch::Woken FileWatch::drain() {
  alignas(inotify_event) char buffer[16 << 10];
  Woken woken = Woken::written;
  for (;;) {
    const auto got = ::read(inotify_, buffer, sizeof buffer);
    if (got <= 0) return woken;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      // An overflow may have hidden anything.
      if ((event->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_Q_OVERFLOW)) != 0)
        woken = Woken::names;
      at += sizeof(inotify_event) + event->len;
    }
  }
}

void FileWatch::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(stopped_, &one, sizeof one);
}

FileWatch::Woken FileWatch::wait(std::chrono::milliseconds most, std::stop_token stop) {
  const auto end = std::chrono::steady_clock::now() + most;
  const std::stop_callback stopped(stop, [this] { wake(); });
  pollfd fds[2] = {{stopped_, POLLIN, 0}, {inotify_, POLLIN, 0}};
  // First what belongs to the wake before.
  if (const auto gather = std::min(until(woken_ + kGather), until(end)); gather.count() > 0) {
    (void)::poll(fds, 1, static_cast<int>(gather.count()));
  }
  if (stop.stop_requested()) return Woken::time;
  const int ready = ::poll(fds, inotify_ >= 0 ? 2 : 1, static_cast<int>(until(end).count()));
  woken_ = std::chrono::steady_clock::now();
  std::uint64_t wakes = 0;
  (void)!::read(stopped_, &wakes, sizeof wakes);
  if (ready <= 0 || (fds[1].revents & POLLIN) == 0) return Woken::time;
  return drain();
}

}  // namespace tocayo::agent
