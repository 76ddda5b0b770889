// SPDX-License-Identifier: Apache-2.0
#include "logs/api/query_share.h"

#include <optional>
#include <utility>

namespace tocayo::logs::api {

struct QueryShare::Flight::Waiter {
  std::function<void(http::Response)> complete;
  bool waiting = true;  // under the share's mutex
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

void QueryShare::Flight::begin() {
  std::lock_guard lock(mutex_);
  begun_ = true;
}

Task<http::Response> QueryShare::run(std::string key, std::uint64_t version, Context context,
                                     std::chrono::milliseconds timeout, Work work) {
  if (auto alive = context.check(); !alive) co_return http::Response::text(499, alive.error().message + "\n");
  co_return co_await completion<http::Response>([this, key = std::move(key), version, context = std::move(context),
                                                 timeout, work = std::move(work)](auto complete) {
    auto waiter = std::make_shared<Flight::Waiter>();  // shared by the flight and the stop callback
    waiter->complete = complete;
    std::shared_ptr<Flight> flight;
    bool leads = false;
    {
      std::lock_guard lock(mutex_);
      if (const auto found = flights_.find(key); found != flights_.end()) {
        std::lock_guard of_flight(found->second->mutex_);
        if (!found->second->begun_ || found->second->version_ == version) flight = found->second;
      }
      if (!flight) {
        leads = true;
        flight = std::make_shared<Flight>();
        flight->version_ = version;
        flight->context_ = Context(flight->stop_.get_token(), Context::Steady::now() + timeout);
        flights_[key] = flight;
        ++running_;
      }
      flight->waiters_.push_back(waiter);
      ++waiting_;
    }
    // From here on the waiting frame may run, and be gone, at any moment; all names here are this function's own.
    std::weak_ptr<Flight::Waiter> weak = waiter;
    waiter->on_stop.emplace(context.stop_token(), std::function<void()>([this, key, flight, weak] {
                              if (auto one = weak.lock()) leave(key, flight, std::move(one));
                            }));
    if (!leads) return;
    flight->work_ = work;
    spawn<http::Response>(flight->work_(flight),
                          [this, key, flight](http::Response response) { finish(key, flight, std::move(response)); });
  });
}

void QueryShare::finish(const std::string& key, const std::shared_ptr<Flight>& flight, http::Response response) {
  std::list<std::shared_ptr<Flight::Waiter>> waiters;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = flights_.find(key); found != flights_.end() && found->second == flight)
      flights_.erase(found);
    waiters.swap(flight->waiters_);
    for (auto& one : waiters) one->waiting = false;
    waiting_ -= waiters.size();
    --running_;
  }
  for (auto& one : waiters) {
    http::Response answer;
    answer.status = response.status;
    answer.headers = response.headers;
    answer.body = one == waiters.back() ? std::move(response.body) : response.body;
    pool_.post([one = std::move(one), answer = std::move(answer)]() mutable { one->complete(std::move(answer)); });
  }
}

void QueryShare::leave(const std::string& key, const std::shared_ptr<Flight>& flight,
                       std::shared_ptr<Flight::Waiter> one) {
  bool last = false;
  {
    std::lock_guard lock(mutex_);
    if (!one->waiting) return;
    one->waiting = false;
    --waiting_;
    flight->waiters_.remove(one);
    last = flight->waiters_.empty();
    if (last) {
      // Who comes now must not get the answer of a stopped execution.
      if (const auto found = flights_.find(key); found != flights_.end() && found->second == flight)
        flights_.erase(found);
    }
  }
  // Posted, also so that the stop callback that runs this is not destroyed by itself.
  pool_.post([one = std::move(one)] { one->complete(http::Response::text(499, "the request was canceled\n")); });
  if (last) flight->stop_.request_stop();
}

std::size_t QueryShare::running() const {
  std::lock_guard lock(mutex_);
  return running_;
}

std::size_t QueryShare::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace tocayo::logs::api
