// SPDX-License-Identifier: Apache-2.0
// The write side: Loki's push and OpenTelemetry logs. Decodes on the compute pool, gives streams their service and rows
// their level, hands them to the store and says what became of them in Loki's words.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/message.h"
#include "logs/api/limits.h"
#include "logs/api/push_decode.h"
#include "logs/entry.h"

namespace tocayo::logs::api {

using LimitsLookup = std::function<std::shared_ptr<const LogLimits>(std::string_view tenant)>;

struct PushOptions {
  std::size_t max_body = 100 << 20;          // decompressed, bytes
  std::size_t max_inflight = 512 << 20;      // of all requests being worked on; above it 503
  std::size_t streams_remembered = 200'000;  // of a tenant
  // Told of lines with spilled labels, and the address they came from; may be empty.
  std::function<void(std::string_view tenant, const Labels& labels, std::string_view address)> spilled;
};

// Thread-safe. Outlives its requests.
class PushHandler {
 public:
  PushHandler(Appender& appender, Pool& compute, LimitsLookup limits, Registry& registry, PushOptions options,
              const Clock& clock);
  ~PushHandler();

  // POST /loki/api/v1/push: application/x-protobuf (snappy) or application/json; Content-Encoding gzip, deflate, zstd,
  // snappy. The route must leave the body raw.
  Task<http::Response> push(http::Request& request);
  // POST /otlp/v1/logs.
  Task<http::Response> otlp(http::Request& request);

  // For receivers of other shapes: stores the rows that `decode` makes, as those of a push; `bytes` is the size of what
  // it reads. `decode` runs on the compute pool; streams without rows are left out of the numbering of
  // AppendResult::places. unavailable also when too many requests are under way.
  using Decode = std::move_only_function<Result<>(PushRows& rows, const LogLimits& limits)>;
  struct Stored {
    AppendResult result;
    std::shared_ptr<const LogLimits> limits;
    std::size_t lines = 0;
  };
  Task<Result<Stored>> store(std::string_view tenant, std::size_t bytes, Decode decode);

 private:
  struct Known;
  struct Tenant;
  struct Arena;
  Task<http::Response> handle(http::Request& request, bool otlp);
  // Whether a request of this many bytes may be worked on; it must subtract them from inflight_ in the end.
  bool enter(std::size_t weight);
  Result<> decode(http::Request& request, bool otlp, const LogLimits& limits, Arena& arena);
  Result<> unpack(http::Request& request, bool proto, std::string& out) const;
  void tell_spilled(const Tenant& tenant, const Arena& arena, std::string_view address) const;
  // Gives the rows their labels and appends them.
  Task<Result<AppendResult>> append(Tenant& tenant, const LogLimits& limits, Arena& arena);
  Result<> resolve(Tenant& tenant, const LogLimits& limits, Arena& arena);
  Result<std::shared_ptr<Known>> learn(Tenant& tenant, const LogLimits& limits, const PushRows::Stream& stream,
                                       std::string_view spelled);
  http::Response answer(const AppendResult& result, const LogLimits& limits, std::size_t lines) const;
  std::shared_ptr<Tenant> tenant(std::string_view name);
  std::unique_ptr<Arena> take_arena();
  void return_arena(std::unique_ptr<Arena> arena);

  Appender& appender_;
  Pool& compute_;
  LimitsLookup limits_;
  Registry& registry_;
  PushOptions options_;
  const Clock& clock_;
  std::atomic<std::size_t> inflight_{0};
  std::mutex tenants_mutex_;
  std::unordered_map<std::string, std::shared_ptr<Tenant>> tenants_;
  std::mutex arenas_mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;
};

}  // namespace tocayo::logs::api
