// SPDX-License-Identifier: Apache-2.0
// What an operator should know now ("configuration reload failed"): /api/v1/notifications, and live as server-sent
// events.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/pool.h"
#include "core/task.h"
#include "core/time.h"

namespace tocayo::metrics::api {

struct Notification {
  std::string text;
  TimestampMs date = 0;
  bool active = true;
};

// Thread-safe. Subscribers that do not keep up lose the oldest of what they have not read.
class NotificationHub {
 public:
  static constexpr std::size_t kMaxSubscribers = 16;

  // Waiting subscribers are resumed on `pool`.
  explicit NotificationHub(Pool& pool, const Clock& clock = Clock::system());

  // Shows `text` until it is deleted; the same text twice is one notification.
  void add(std::string text);
  void remove(std::string_view text);
  std::vector<Notification> active() const;

  class Subscription;
  // Null when there are too many subscribers. Begins with everything active.
  std::shared_ptr<Subscription> subscribe();

 private:
  void publish(const Notification& notification);

  Pool& pool_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<Notification> active_;
  std::list<std::weak_ptr<Subscription>> subscribers_;
};

class NotificationHub::Subscription : public std::enable_shared_from_this<Subscription> {
 public:
  explicit Subscription(Pool& pool) : pool_(pool) {}
  // The next notification; canceled when the context stops. One reader.
  Task<Result<Notification>> next(Context context);

 private:
  friend class NotificationHub;
  void push(Notification notification);
  void wake(std::unique_lock<std::mutex>& lock);

  Pool& pool_;
  std::mutex mutex_;
  std::deque<Notification> queue_;
  std::function<void(bool)> waiter_;
};

}  // namespace tocayo::metrics::api
