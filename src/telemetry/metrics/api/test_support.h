// SPDX-License-Identifier: Apache-2.0
// Fakes for this room's tests: an appender that keeps what it is given, a small store, and handlers called without a
// server.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/pool.h"
#include "core/task.h"
#include "metrics/api/handlers.h"
#include "metrics/histogram.h"
#include "promql/test_storage.h"
#include "promql/testfile.h"

namespace tocayo::metrics::api::test {

class FakeClock final : public Clock {
 public:
  TimestampMs now_ms() const override { return now.load(); }
  std::atomic<TimestampMs> now{1'700'000'000'000};
};

// Keeps the rows of the last append as text; answers as told.
class FakeAppender final : public Appender {
 public:
  Task<Result<AppendResult>> append(std::string_view tenant, AppendBatch batch) override {
    std::lock_guard lock(mutex);
    ++calls;
    last_tenant = tenant;
    lines.clear();
    metadata.clear();
    AppendResult result;
    for (const SeriesRows& series : batch.series) {
      for (const FloatRow& row : series.floats) {
        lines.push_back((series.labels ? series.labels->to_string() : std::string("ref")) + " " +
                        std::to_string(row.value) + " " + std::to_string(row.time));
      }
      result.floats_written += series.floats.size();
      result.histograms_written += series.histograms.size();
      result.exemplars_written += series.exemplars.size();
    }
    for (const MetadataRow& row : batch.metadata) metadata.push_back(row);
    if (failure) co_return std::unexpected(*failure);
    if (change) change(result, batch);
    co_return result;
  }

  std::mutex mutex;
  int calls = 0;
  std::string last_tenant;
  std::vector<std::string> lines;
  std::vector<MetadataRow> metadata;
  std::optional<Error> failure;
  std::function<void(AppendResult&, AppendBatch&)> change;
};

class StringSink final : public http::BodySink {
 public:
  Task<Result<>> write(std::string chunk) override {
    ++chunks;
    biggest = std::max(biggest, chunk.size());
    text += chunk;
    if (fail_after != 0 && chunks >= fail_after) co_return fail(ErrorKind::canceled, "the client is gone");
    co_return Result<>{};
  }
  std::string text;
  std::size_t chunks = 0, biggest = 0, fail_after = 0;
};

// One API with everything faked but the engine.
struct Fixture {
  explicit Fixture(std::function<void(ApiDependencies&)> change = {}) {
    ApiDependencies deps;
    deps.appender = &appender;
    deps.querier = [this](std::string_view) -> Result<std::shared_ptr<const Querier>> {
      if (store_failure) return std::unexpected(*store_failure);
      return std::shared_ptr<const Querier>(&storage, [](const Querier*) {});
    };
    deps.engine = &engine;
    deps.compute = &pool;
    deps.registry = &registry;
    deps.clock = &clock;
    deps.limits = [this](std::string_view) { return limits; };
    deps.query_limits = [this](std::string_view) { return std::make_shared<const QueryLimits>(reads); };
    deps.query_concurrency = 4;
    if (change) change(deps);
    core = std::make_unique<ApiCore>(std::move(deps));
  }

  // One series in the notation of promqltest files; point i is at `start` + i × `interval`.
  void load(std::string_view series, TimestampMs start = 0, std::int64_t interval = 10'000) {
    auto described = promql::testing::parse_series_description(series);
    ASSERT_TRUE(described) << described.error().message;
    promql::testing::TestSeries out{described->labels, {}};
    for (std::size_t i = 0; i < described->values.size(); ++i) {
      const auto& value = described->values[i];
      if (value.omitted) continue;
      out.points.push_back({start + static_cast<std::int64_t>(i) * interval, value.value, value.histogram});
    }
    storage.add(std::span(&out, 1));
  }

  static http::Request get(std::string_view query) {
    http::Request request;
    request.method = "GET";
    request.query = http::Params::parse(query);
    request.identity.tenant = "t1";
    return request;
  }
  static http::Request form(std::string_view body) {
    http::Request request = get("");
    request.method = "POST";
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = body;
    return request;
  }

  using Function = Handled (*)(ApiCore&, http::Request&);
  http::Response call(Function function, http::Request request) { return sync_wait(function(*core, request)); }
  // Status and whole body, streamed or not.
  std::pair<int, std::string> ask(Function function, http::Request request) {
    http::Response response = sync_wait(function(*core, request));
    if (!response.stream) return {response.status, response.body};
    StringSink sink;
    auto done = sync_wait(response.stream(sink));
    if (!done) sink.text += "\nBROKEN OFF: " + done.error().message;
    return {response.status, sink.text};
  }
  std::pair<int, std::string> ask(Function function, std::string_view query) { return ask(function, get(query)); }
  double metric(std::string_view name, std::string_view labels = "") const {
    const std::string line = std::string(name) + std::string(labels) + " ";
    const std::string text = "\n" + registry.to_text();
    const std::size_t at = text.find("\n" + line);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + 1 + line.size()));
  }

  FakeClock clock;
  FakeAppender appender;
  promql::testing::TestStorage storage;
  Registry registry;
  ApiLimits limits;   // of writes
  QueryLimits reads;  // of reads
  std::optional<Error> store_failure;
  Pool pool{"compute", 2};
  promql::Engine engine{promql::EngineOptions{.features = promql::Features{.per_step_stats = true}}};
  std::unique_ptr<ApiCore> core;
};

}  // namespace tocayo::metrics::api::test
