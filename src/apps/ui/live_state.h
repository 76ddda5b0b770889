// SPDX-License-Identifier: Apache-2.0
// What LiveHub keeps of sockets, subscriptions and expressions. Private to live.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cstring>
#include <deque>
#include <limits>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/labels.h"
#include "core/text.h"
#include "ui/live.h"

namespace tocayo::ui {
namespace json = boost::json;

inline constexpr std::size_t kLiveQueueLimit = 1 << 20;  // bytes waiting in one connection before frames are shed

struct LiveFrame {
  std::uint64_t seq;
  TimestampMs end;
  std::string bytes;
};

struct LiveHub::Connection {
  std::string tenant;
  http::Request opener;               // what opened the socket, to ask again whether it may read; never changed
  std::atomic<bool> checking{false};  // one such question is under way
  std::mutex mutex;
  http::WebSocket* socket = nullptr;                                     // null once closed; guarded by mutex
  std::map<std::uint32_t, std::shared_ptr<Subscription>> subscriptions;  // guarded by mutex

  void send(json::object message) {
    std::lock_guard lock(mutex);
    if (socket) socket->post({json::serialize(message), false});
  }
  void error(std::uint32_t id, std::string_view code, std::string_view message, bool retryable) {
    send({{"op", "err"}, {"id", id}, {"code", code}, {"message", message}, {"retryable", retryable}});
  }
};

struct LiveHub::Sockets {
  std::mutex mutex;
  LiveHub* hub;                                                 // null once it is going; guarded by mutex
  std::size_t handling = 0;                                     // messages that it handles; guarded by mutex
  std::map<const Connection*, std::weak_ptr<Connection>> open;  // guarded by mutex
  std::condition_variable handled;

  explicit Sockets(LiveHub* of) : hub(of) {}
  std::vector<std::shared_ptr<Connection>> all() {
    std::lock_guard lock(mutex);
    std::vector<std::shared_ptr<Connection>> result;
    for (auto& [pointer, weak] : open) {
      if (auto connection = weak.lock()) result.push_back(std::move(connection));
    }
    return result;
  }
  std::size_t count() {
    std::lock_guard lock(mutex);
    return open.size();
  }
  // False when there is no hub any more.
  bool handle(const std::shared_ptr<Connection>& connection, std::string_view text) {
    LiveHub* to = nullptr;
    {
      std::lock_guard lock(mutex);
      if (hub == nullptr) return false;
      to = hub;
      ++handling;
    }
    struct Handled {  // also when something is thrown: the hub waits for it
      Sockets& sockets;
      ~Handled() {
        std::lock_guard lock(sockets.mutex);
        --sockets.handling;
        sockets.handled.notify_all();
      }
    } handled_then{*this};
    to->handle(connection, text);
    return true;
  }
};

struct LiveHub::Subscription {
  std::uint32_t id;
  std::weak_ptr<Connection> connection;
  TimestampMs from;
  std::string resume_epoch;
  std::uint64_t resume_seq;
  std::atomic<bool> ended{false};
  std::atomic<std::int64_t> credit{std::numeric_limits<std::int64_t>::max()};  // frames the client still takes
  TimestampMs gap_from = 0;  // first step that was shed, 0 = none; only touched by the evaluator

  // Sends a frame whose `sub` field is still open, or sheds it when the client is slow.
  void deliver(std::string_view bytes, TimestampMs start, TimestampMs end) {
    auto owner = connection.lock();
    if (!owner || ended) return;
    std::lock_guard lock(owner->mutex);
    if (!owner->socket) return;
    if (owner->socket->queued_bytes() > kLiveQueueLimit || credit.load() <= 0) {
      if (gap_from == 0) gap_from = start;
      return;
    }
    if (gap_from != 0) {
      owner->socket->post(
          {json::serialize(json::object{{"op", "gap"}, {"id", id}, {"from", gap_from}, {"to", end}}), false});
      gap_from = 0;
    }
    std::string copy(bytes);
    std::memcpy(copy.data() + 4, &id, sizeof id);
    if (credit.load() != std::numeric_limits<std::int64_t>::max()) --credit;
    owner->socket->post({std::move(copy), true});
  }
};

// One expression of one tenant at one step. Its fields below `mutex` belong to the one advance() that runs at a time.
struct LiveHub::Evaluator {
  std::string key, tenant, expr;
  std::int64_t step = 1000;

  std::mutex mutex;  // guards `pending`
  std::vector<std::shared_ptr<Subscription>> pending;
  std::atomic<bool> busy{false};           // runs, or stands in the queue
  std::atomic<TimestampMs> not_before{0};  // after a full queue
  std::atomic<TimestampMs> next{0};        // first step not yet evaluated

  std::string epoch = to_hex(random_bytes(6));
  std::uint64_t seq = 0;
  std::vector<std::shared_ptr<Subscription>> subscriptions;
  std::vector<Labels> schema;
  std::unordered_map<Labels, std::uint32_t, LabelsHash> index_of;
  std::deque<LiveFrame> ring;
  std::size_t ring_bytes = 0;

  bool is_awaited() {
    std::lock_guard lock(mutex);
    return !pending.empty();
  }

  // Positions of a result's series in the schema; new ones are appended.
  std::vector<std::uint32_t> positions(const promql::MatrixValue& matrix) {
    std::vector<std::uint32_t> result;
    for (const promql::Series& series : matrix.series) {
      auto [it, fresh] = index_of.emplace(series.labels, static_cast<std::uint32_t>(schema.size()));
      if (fresh) schema.push_back(series.labels);
      result.push_back(it->second);
    }
    return result;
  }

  static std::vector<double> columns(const promql::MatrixValue& matrix, TimestampMs start, std::int64_t step,
                                     std::uint32_t steps) {
    std::vector<double> values(matrix.series.size() * steps, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t s = 0; s < matrix.series.size(); ++s) {
      for (const promql::FloatPoint& point : matrix.series[s].floats) {
        values[s * steps + static_cast<std::size_t>((point.time - start) / step)] = point.value;
      }
    }
    return values;
  }
};

}  // namespace tocayo::ui
