// SPDX-License-Identifier: Apache-2.0
// Helpers of this folder's tests: a server in-process, and what it was sent.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/host/testing.h"
#include "agent/ship/destination.h"
#include "http/client.h"
#include "metrics/ingest_rows.h"
#include "metrics/remote_write.h"
#include "metrics/snappy_block.h"

namespace tocayo::agent {

inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Says for each request what to answer, and keeps what was in those that it took. `read` unpacks a request.
template <typename Seen>
class FakeServer final : public http::Client {
 public:
  using Read = std::vector<Seen> (*)(const http::ClientRequest&);
  using Answer = std::function<Result<http::ClientResponse>(const std::vector<Seen>&, const http::ClientRequest&)>;

  explicit FakeServer(Read read) : read_(read) {}
  Task<Result<http::ClientResponse>> send(http::ClientRequest request, Context) override {
    std::vector<Seen> seen = read_(request);
    std::lock_guard lock(mutex_);
    ++requests_;
    last_ = request;
    if (!answer_) co_return fail(ErrorKind::unavailable, "connection refused");
    auto response = answer_(seen, request);
    if (response && response->status / 100 == 2) taken_.insert(taken_.end(), seen.begin(), seen.end());
    co_return response;
  }
  // nullptr: there is no server.
  void answer(Answer answer) {
    std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  void answer(int status) {
    answer([status](auto&, auto&) { return http::ClientResponse{.status = status}; });
  }
  std::vector<Seen> taken() const {
    std::lock_guard lock(mutex_);
    return taken_;
  }
  // And forgets it.
  std::vector<Seen> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(taken_, {});
  }
  std::size_t requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  http::ClientRequest last() const {
    std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  const Read read_;
  mutable std::mutex mutex_;
  Answer answer_ = [](auto&, auto&) { return http::ClientResponse{.status = 204}; };
  std::vector<Seen> taken_;
  std::size_t requests_ = 0;
  http::ClientRequest last_;
};

// --- remote write ---

struct SeenSample {
  Labels labels;
  TimestampMs time;
  double value;
};

inline std::vector<SeenSample> read_samples(const http::ClientRequest& request) {
  using metrics::RemoteWriteVersion;
  std::string body;
  EXPECT_TRUE(metrics::snappy_block_decode(request.body, 64 << 20, body));
  const bool v2 = request.headers.get("Content-Type").find("v2.Request") != std::string_view::npos;
  metrics::IngestLimits limits;
  metrics::IngestRows rows;
  rows.reset(limits, Clock::system().now_ms());
  EXPECT_TRUE(metrics::decode_remote_write(v2 ? RemoteWriteVersion::v2 : RemoteWriteVersion::v1, body, rows));
  std::vector<SeenSample> seen;
  for (const auto& series : rows.batch().series) {
    for (const auto& row : series.floats) seen.push_back({*series.labels, row.time, row.value});
  }
  return seen;
}

// A server that is near and soon asked again.
inline Destination near_destination(std::string url = "http://server.example/api/v1/push") {
  Destination out;
  out.name = "test";
  out.url = std::move(url);
  out.queue.batch_send_deadline = std::chrono::milliseconds(5);
  out.queue.min_backoff = std::chrono::milliseconds(1);
  out.queue.max_backoff = std::chrono::milliseconds(5);
  return out;
}

}  // namespace tocayo::agent
