// SPDX-License-Identifier: Apache-2.0
// Private to push.cpp and import.cpp.
#pragma once

#include <string>
#include <string_view>

#include "metrics/api/push.h"

namespace tocayo::metrics::api {

inline constexpr std::size_t kMaxErrorBody = 4096;

// Text of an error, cut to kMaxErrorBody.
http::Response plain_error(int status, std::string_view text);
// On 429 and 5xx.
void add_retry_after(http::Response& response, const http::Request& request);
void add_written(http::Response& response, std::size_t samples, std::size_t histograms, std::size_t exemplars);
// An error before anything was written.
http::Response refusal(const http::Request& request, int status, std::string_view text);

// Counters and token buckets of one tenant.
struct PushHandler::Tenant {
  std::string name;
  RateLimiter requests, items;
  Counter &requests_in, &samples_in, &exemplars_in, &metadata_in;
  Counter &samples, &exemplars, &metadata;
  Gauge& last_sample;
  SeriesCache series;  // what remote write sent before
  std::atomic<TimestampMs> last_used{0};

  Tenant(Registry& registry, std::string tenant_name)
      : name(std::move(tenant_name)),
        requests_in(registry.counter("cortex_distributor_requests_in_total",
                                     "Write requests received, also those refused later.", {{"user", name}})),
        samples_in(registry.counter("cortex_distributor_samples_in_total",
                                    "Samples received, also those refused later.", {{"user", name}})),
        exemplars_in(registry.counter("cortex_distributor_exemplars_in_total",
                                      "Exemplars received, also those refused later.", {{"user", name}})),
        metadata_in(registry.counter("cortex_distributor_metadata_in_total",
                                     "Metadata received, also what is refused later.", {{"user", name}})),
        samples(registry.counter("cortex_distributor_received_samples_total", "Samples stored.", {{"user", name}})),
        exemplars(
            registry.counter("cortex_distributor_received_exemplars_total", "Exemplars stored.", {{"user", name}})),
        metadata(
            registry.counter("cortex_distributor_received_metadata_total", "Metadata accepted.", {{"user", name}})),
        last_sample(registry.gauge("cortex_distributor_latest_seen_sample_timestamp_seconds",
                                   "When a sample was last stored.", {{"user", name}})) {}
};

struct PushHandler::Arena {
  IngestRows rows;
  RemoteWriteDecoder decoder;
  std::string body;  // decompressed
};

// Counts a request and its bytes against the process' budget while it lives.
class PushHandler::Inflight {
 public:
  explicit Inflight(PushHandler& handler) : handler_(handler) { handler_.inflight_requests_.fetch_add(1); }
  Inflight(const Inflight&) = delete;
  Inflight& operator=(const Inflight&) = delete;
  ~Inflight() {
    handler_.inflight_requests_.fetch_sub(1);
    handler_.inflight_bytes_.fetch_sub(bytes_);
    handler_.inflight_gauge_.set(static_cast<double>(handler_.inflight_bytes_.load()));
  }

  // What exceeds a limit, or "".
  std::string admit(std::size_t bytes) {
    bytes_ = bytes;
    const std::size_t total = handler_.inflight_bytes_.fetch_add(bytes) + bytes;
    handler_.inflight_gauge_.set(static_cast<double>(total));
    const PushOptions& options = handler_.options_;
    if (options.max_inflight_push_requests != 0 &&
        handler_.inflight_requests_.load() > options.max_inflight_push_requests) {
      return with_error_id("the write request has been rejected because too many write requests are being handled",
                           "distributor-max-inflight-push-requests");
    }
    if (total > options.max_inflight_push_requests_bytes) {
      return with_error_id(
          "the write request has been rejected because the write requests being handled hold too many bytes",
          "distributor-max-inflight-push-requests-bytes");
    }
    return {};
  }

 private:
  PushHandler& handler_;
  std::size_t bytes_ = 0;
};

}  // namespace tocayo::metrics::api
