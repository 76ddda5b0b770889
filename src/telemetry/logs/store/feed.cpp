// SPDX-License-Identifier: Apache-2.0
#include "logs/store/feed.h"

#include <pthread.h>

#include <algorithm>

#include "logs/head/label_bytes.h"
#include "logs/store/spill.h"

namespace tocayo::logs {

// The mutex is held during a call, so that removing a subscriber waits for it.
struct Feed::Subscriber {
  std::mutex mutex;
  std::function<void(const TailBatch&)> callback;
  std::atomic<std::uint64_t> dropped{0};
};

class Feed::Handle final : public Subscription {
 public:
  Handle(Feed& feed, std::string tenant, std::shared_ptr<Subscriber> subscriber)
      : feed_(feed), tenant_(std::move(tenant)), subscriber_(std::move(subscriber)) {}
  ~Handle() override {
    {
      std::lock_guard lock(feed_.mutex_);
      auto [at, end] = feed_.by_tenant_.equal_range(tenant_);
      while (at != end && at->second != subscriber_) ++at;
      if (at != end) feed_.by_tenant_.erase(at);
      feed_.subscribers_.fetch_sub(1);
    }
    std::lock_guard lock(subscriber_->mutex);
    subscriber_->callback = nullptr;
  }
  std::uint64_t dropped() const override { return subscriber_->dropped.load(); }

 private:
  Feed& feed_;
  std::string tenant_;
  std::shared_ptr<Subscriber> subscriber_;  // shared with a delivery under way
};

Feed::Feed() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "logs-feed");
    run(stop);
  });
}

Feed::~Feed() {
  thread_.request_stop();
  ready_.notify_all();
}

bool Feed::listening(const std::string& tenant) const {
  std::lock_guard lock(mutex_);
  return by_tenant_.contains(tenant);
}

std::vector<std::shared_ptr<Feed::Subscriber>> Feed::listeners(const std::string& tenant) const {
  std::vector<std::shared_ptr<Subscriber>> out;
  auto [at, end] = by_tenant_.equal_range(tenant);
  for (; at != end; ++at) out.push_back(at->second);
  return out;
}

std::unique_ptr<Subscription> Feed::subscribe(std::string tenant, std::function<void(const TailBatch&)> callback) {
  auto subscriber = std::make_shared<Subscriber>();
  subscriber->callback = std::move(callback);
  std::lock_guard lock(mutex_);
  by_tenant_.emplace(tenant, subscriber);
  subscribers_.fetch_add(1);
  return std::make_unique<Handle>(*this, std::move(tenant), std::move(subscriber));
}

void Feed::push(const std::string& tenant, const std::shared_ptr<Stream>& stream, std::vector<FeedRow> rows) {
  Batch batch{tenant, stream, {}, std::move(rows)};
  std::size_t size = 0;
  for (const FeedRow& row : batch.rows) size += row.line.size() + row.metadata.size();
  batch.bytes.reserve(size);  // the views below must not move
  for (FeedRow& row : batch.rows) {
    auto copy = [&](std::string_view text) {
      const std::size_t at = batch.bytes.size();
      batch.bytes += text;
      return std::string_view(batch.bytes.data() + at, text.size());
    };
    row.line = copy(row.line);
    row.metadata = copy(row.metadata);
  }
  // A short string keeps its bytes within itself, where moving the batch would leave the views behind.
  if (batch.bytes.capacity() < 64) {
    std::string grown;
    grown.reserve(64);
    grown += batch.bytes;
    const char* old = batch.bytes.data();
    for (FeedRow& row : batch.rows) {
      row.line = {grown.data() + (row.line.data() - old), row.line.size()};
      row.metadata = {grown.data() + (row.metadata.data() - old), row.metadata.size()};
    }
    batch.bytes = std::move(grown);
  }
  std::lock_guard lock(mutex_);
  if (!by_tenant_.contains(tenant)) return;
  waiting_ += batch.bytes.size();
  queue_.push_back(std::move(batch));
  while (waiting_ > kMaxWaiting && queue_.size() > 1) {
    const Batch& oldest = queue_.front();
    for (const auto& subscriber : listeners(oldest.tenant)) subscriber->dropped.fetch_add(oldest.rows.size());
    waiting_ -= oldest.bytes.size();
    queue_.pop_front();
  }
  ready_.notify_one();
}

void Feed::deliver(const Batch& batch) {
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  {
    std::lock_guard lock(mutex_);
    subscribers = listeners(batch.tenant);
  }
  if (subscribers.empty()) return;
  std::vector<LabelView> pairs;
  std::vector<std::size_t> ends;
  for (const FeedRow& row : batch.rows) {
    LabelCursor cursor(row.metadata);
    for (LabelView pair; cursor.next(pair);) pairs.push_back(pair);
    ends.push_back(pairs.size());
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    const FeedRow& from = batch.rows[i];
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    rows.push_back({from.time, from.order, 0, static_cast<std::uint32_t>(from.line.size()), from.line,
                    std::span<const LabelView>(pairs.data() + begin, ends[i] - begin)});
  }
  auto give = [&](const Labels& labels, std::span<const Row> part) {
    for (const auto& subscriber : subscribers) {
      std::lock_guard lock(subscriber->mutex);
      if (subscriber->callback) subscriber->callback({&labels, part});
    }
  };
  if (!is_spilled(batch.stream->labels)) {
    give(decode_labels(batch.stream->labels), rows);
    return;
  }
  // Runs of rows with equal labels, as they were pushed.
  const SpilledStream spilled(batch.stream->labels);
  std::string labels;
  for (std::size_t begin = 0; begin < rows.size();) {
    const std::size_t count = spilled_pairs(rows[begin].metadata);
    const auto own = rows[begin].metadata.first(count);
    std::size_t end = begin;
    while (end < rows.size() && spilled_pairs(rows[end].metadata) == count &&
           std::ranges::equal(rows[end].metadata.first(count), own)) {
      ++end;
    }
    labels.clear();
    spilled.fold(own, labels);
    for (std::size_t i = begin; i < end; ++i) rows[i].metadata = rows[i].metadata.subspan(count);
    give(decode_labels(labels), std::span<const Row>(rows).subspan(begin, end - begin));
    begin = end;
  }
}

void Feed::run(std::stop_token stop) {
  for (;;) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      if (!ready_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
      waiting_ -= batch.bytes.size();
    }
    deliver(batch);
  }
}

}  // namespace tocayo::logs
