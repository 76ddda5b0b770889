// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/notifications.h"

#include <algorithm>
#include <optional>
#include <stop_token>

namespace tocayo::metrics::api {

namespace {
constexpr std::size_t kMaxQueued = 100;
}

NotificationHub::NotificationHub(Pool& pool, const Clock& clock) : pool_(pool), clock_(clock) {}

void NotificationHub::add(std::string text) {
  std::lock_guard lock(mutex_);
  for (const Notification& known : active_) {
    if (known.text == text) return;
  }
  active_.push_back({std::move(text), clock_.now_ms(), true});
  publish(active_.back());
}

void NotificationHub::remove(std::string_view text) {
  std::lock_guard lock(mutex_);
  const auto at =
      std::find_if(active_.begin(), active_.end(), [&](const Notification& known) { return known.text == text; });
  if (at == active_.end()) return;
  Notification gone = std::move(*at);
  active_.erase(at);
  gone.active = false;
  publish(gone);
}

std::vector<Notification> NotificationHub::active() const {
  std::lock_guard lock(mutex_);
  return active_;
}

std::shared_ptr<NotificationHub::Subscription> NotificationHub::subscribe() {
  std::lock_guard lock(mutex_);
  subscribers_.remove_if([](const std::weak_ptr<Subscription>& subscriber) { return subscriber.expired(); });
  if (subscribers_.size() >= kMaxSubscribers) return nullptr;
  auto subscription = std::make_shared<Subscription>(pool_);  // shared: with the list of subscribers, weakly
  for (const Notification& notification : active_) subscription->push(notification);
  subscribers_.push_back(subscription);
  return subscription;
}

void NotificationHub::publish(const Notification& notification) {
  for (const std::weak_ptr<Subscription>& weak : subscribers_) {
    if (auto subscriber = weak.lock()) subscriber->push(notification);
  }
}

void NotificationHub::Subscription::push(Notification notification) {
  std::unique_lock lock(mutex_);
  if (queue_.size() >= kMaxQueued) queue_.pop_front();
  queue_.push_back(std::move(notification));
  wake(lock);
}

// Resumes the reader, if one waits. Called under the mutex, which it gives up.
void NotificationHub::Subscription::wake(std::unique_lock<std::mutex>& lock) {
  auto waiter = std::exchange(waiter_, nullptr);
  lock.unlock();
  if (waiter) {
    pool_.post([waiter = std::move(waiter)] { waiter(true); });
  }
}

Task<Result<Notification>> NotificationHub::Subscription::next(Context context) {
  // Held by this frame, so that the reader may drop its own while it waits.
  auto self = shared_from_this();
  CO_TRY_VOID(context.check());
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
  on_stop.emplace(context.stop_token(), std::function<void()>([weak = weak_from_this()] {
                    if (auto subscription = weak.lock()) {
                      std::unique_lock lock(subscription->mutex_);
                      subscription->wake(lock);
                    }
                  }));
  for (;;) {
    co_await completion<bool>([self, &context](auto complete) {
      std::unique_lock lock(self->mutex_);
      // A stop that came before the waiter was set would find nobody to wake.
      if (!self->queue_.empty() || context.stop_token().stop_requested()) {
        lock.unlock();
        return complete(true);
      }
      self->waiter_ = complete;
    });
    CO_TRY_VOID(context.check());
    std::lock_guard lock(self->mutex_);
    if (self->queue_.empty()) continue;
    Notification first = std::move(self->queue_.front());
    self->queue_.pop_front();
    co_return first;
  }
}

}  // namespace tocayo::metrics::api
