// SPDX-License-Identifier: Apache-2.0
// Hands acknowledged lines to subscribers on a thread of its own. Appends only copy their lines into a queue, and only
// while somebody listens to the tenant.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "logs/head/stream.h"
#include "logs/store/store.h"

namespace tocayo::logs {

struct FeedRow {
  TimestampNs time;
  std::uint64_t order;
  std::string_view line;
  std::string_view metadata;  // label bytes
};

// Thread-safe.
class Feed {
 public:
  Feed();
  ~Feed();

  // Copies the rows. Calls for one stream must not run at once; their order is kept.
  void push(const std::string& tenant, const std::shared_ptr<Stream>& stream, std::vector<FeedRow> rows);
  std::unique_ptr<Subscription> subscribe(std::string tenant, std::function<void(const TailBatch&)> callback);
  bool listening(const std::string& tenant) const;
  bool anybody() const { return subscribers_.load(std::memory_order_relaxed) != 0; }

 private:
  struct Subscriber;
  class Handle;
  struct Batch {
    std::string tenant;
    std::shared_ptr<Stream> stream;  // shared: the index may forget it before delivery
    std::string bytes;
    std::vector<FeedRow> rows;
  };
  static constexpr std::size_t kMaxWaiting = 64 << 20;  // bytes

  void run(std::stop_token stop);
  void deliver(const Batch& batch);
  std::vector<std::shared_ptr<Subscriber>> listeners(const std::string& tenant) const;

  mutable std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<Batch> queue_;
  std::size_t waiting_ = 0;  // bytes
  std::multimap<std::string, std::shared_ptr<Subscriber>> by_tenant_;
  std::atomic<std::size_t> subscribers_{0};
  std::jthread thread_;
};

}  // namespace tocayo::logs
