// SPDX-License-Identifier: Apache-2.0
// Any expression over a small fixed store: it ends, within its limits, with an error in words or a well-formed result;
// the same on several threads as on one, and the same when its printed form is asked instead.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "core/pool.h"
#include "metrics/querier_meter.h"
#include "promql/engine.h"
#include "promql/parser.h"
#include "promql/printer.h"
#include "promql/test_storage.h"

using namespace tocayo;
using namespace tocayo::promql;

namespace {

constexpr std::size_t kMaxSamples = 20'000;
constexpr std::uint64_t kMaxMemory = 16 << 20;
constexpr TimestampMs kStart = 600'000;

void require(bool condition, const char* what, std::string_view text) {
  if (condition) return;
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

metrics::HistogramPtr histogram(int i, bool custom) {
  auto out = std::make_shared<metrics::FloatHistogram>();
  if (custom) {
    out->schema = metrics::kCustomBucketsSchema;
    out->custom_values = {1, 2, 5};
  } else {
    out->zero_threshold = 0.001;
    out->zero_count = i;
  }
  out->positive_spans = {{0, 3}};
  out->positive_buckets = {1.0 * i, 2.0 * i, 0};
  out->count = out->zero_count + 3.0 * i;
  out->sum = 4.5 * i;
  return out;
}

// a, b: floats with gaps, resets, NaN and infinities; h, c: histograms; m: mixed; many: enough to be shared by threads.
const testing::TestStorage& storage() {
  static const testing::TestStorage store = [] {
    std::mt19937_64 random(5);
    std::vector<testing::TestSeries> all;
    for (int s = 0; s < 12; ++s) {
      static constexpr const char* kNames[] = {"a", "b", "h", "c", "m", "a_bucket"};
      testing::TestSeries series{Labels{{"__name__", kNames[s % 6]},
                                        {"i", std::to_string(s)},
                                        {"job", s % 4 < 2 ? "x" : "y"},
                                        {"le", s % 6 == 5 ? (s < 6 ? "1" : "+Inf") : ""}},
                                 {}};
      double counter = 0;
      for (int i = 0; i < 60; ++i) {
        testing::TestPoint point{.time = i * 15'000};
        if (random() % 11 == 0) continue;
        if (s % 6 == 2 || s % 6 == 3 || (s % 6 == 4 && i % 3 == 0)) {
          point.histogram = histogram(i % 20, s % 6 == 3);
        } else {
          counter = random() % 15 == 0 ? 0 : counter + static_cast<double>(random() % 50) / 3;
          point.value = counter;
          if (random() % 20 == 0) point.value = s % 2 == 0 ? std::nan("") : INFINITY;
          if (random() % 25 == 0) point.value = metrics::kStaleNaN;
        }
        series.points.push_back(point);
      }
      all.push_back(std::move(series));
    }
    for (int s = 0; s < 300; ++s) {
      testing::TestSeries series{Labels{{"__name__", "many"}, {"i", std::to_string(s)}, {"mod", std::to_string(s % 7)}},
                                 {}};
      for (int i = 38; i < 42; ++i) series.points.push_back({.time = i * 15'000, .value = 1.0 * s * i});
      all.push_back(std::move(series));
    }
    testing::TestStorage out;
    out.add(all);
    return out;
  }();
  return store;
}

bool same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) || (std::isnan(a) && std::isnan(b));
}
bool same(const metrics::HistogramPtr& a, const metrics::HistogramPtr& b) {
  if (!a || !b) return !a && !b;
  return same(a->count, b->count) && same(a->sum, b->sum) && a->schema == b->schema &&
         a->positive_buckets.size() == b->positive_buckets.size();
}

bool same(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* scalar = std::get_if<ScalarValue>(&a)) return same(scalar->value, std::get<ScalarValue>(b).value);
  if (const auto* text = std::get_if<StringValue>(&a)) return text->text == std::get<StringValue>(b).text;
  if (const auto* vector = std::get_if<VectorValue>(&a)) {
    const auto& other = std::get<VectorValue>(b).samples;
    if (vector->samples.size() != other.size()) return false;
    for (std::size_t i = 0; i < other.size(); ++i) {
      const Sample &x = vector->samples[i], &y = other[i];
      if (x.labels != y.labels || !same(x.histogram, y.histogram) || !same(x.value, y.value)) return false;
    }
    return true;
  }
  const auto &x = std::get<MatrixValue>(a).series, &y = std::get<MatrixValue>(b).series;
  if (x.size() != y.size()) return false;
  for (std::size_t s = 0; s < x.size(); ++s) {
    if (x[s].labels != y[s].labels || x[s].floats.size() != y[s].floats.size() ||
        x[s].histograms.size() != y[s].histograms.size())
      return false;
    for (std::size_t i = 0; i < x[s].floats.size(); ++i) {
      if (x[s].floats[i].time != y[s].floats[i].time || !same(x[s].floats[i].value, y[s].floats[i].value)) return false;
    }
    for (std::size_t i = 0; i < x[s].histograms.size(); ++i) {
      if (x[s].histograms[i].time != y[s].histograms[i].time ||
          !same(x[s].histograms[i].histogram, y[s].histograms[i].histogram))
        return false;
    }
  }
  return true;
}

struct Shape {
  bool range, everything;
  std::size_t steps;
  Duration step;
};

QueryOutcome ask(std::string_view text, const Shape& shape, Pool* pool) {
  static const Engine engine(EngineOptions{.timeout = std::chrono::seconds(2), .max_samples = kMaxSamples});
  metrics::QueryMeter meter({.max_memory = kMaxMemory});
  QueryOptions options;
  options.pool = pool;
  options.meter = &meter;
  if (shape.everything) options.features = Features::all();
  auto outcome = shape.range ? engine.range(storage(), text, kStart,
                                            kStart + static_cast<TimestampMs>(shape.steps) * shape.step.count(),
                                            shape.step, options)
                             : engine.instant(storage(), text, kStart, options);
  meter.release_selections();
  if (outcome) {
    require(meter.memory() <= kMaxMemory, "a result over its memory limit", text);
    require(outcome->stats.peak_samples <= static_cast<std::int64_t>(kMaxSamples), "more samples than allowed", text);
  } else {
    require(!outcome.error().message().empty(), "an error without words", text);
    require(outcome.error().type != QueryError::Type::internal, outcome.error().message().c_str(), text);
    require(meter.memory() < std::uint64_t{1} << 40, "more given back than was taken", text);
  }
  return outcome;
}

void check_shape(const QueryResult& result, const Shape& shape, std::string_view text) {
  const auto* matrix = std::get_if<MatrixValue>(&result.value);
  if (shape.range) require(matrix != nullptr, "a range query without a matrix", text);
  if (!matrix) return;
  for (std::size_t s = 0; s < matrix->series.size(); ++s) {
    const Series& series = matrix->series[s];
    if (s > 0) require(matrix->series[s - 1].labels < series.labels, "series out of order or twice", text);
    require(!series.floats.empty() || !series.histograms.empty(), "an empty series", text);
    for (std::size_t i = 0; i < series.floats.size(); ++i) {
      if (i > 0) require(series.floats[i - 1].time < series.floats[i].time, "points out of order", text);
      if (shape.range)
        require((series.floats[i].time - kStart) % shape.step.count() == 0, "a point off the grid", text);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  static Pool pool("fuzz", 2);
  const Shape shape{(data[0] & 1) != 0, (data[0] & 2) != 0, static_cast<std::size_t>(data[0] >> 3),
                    Duration(1 + 997 * (data[1] & 63))};
  const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
  auto alone = ask(text, shape, nullptr);
  if (!alone && alone.error().type == QueryError::Type::bad_data) return 0;
  if (alone) check_shape(*alone, shape, text);
  const auto timed_out = [](const QueryOutcome& outcome) {
    return !outcome && outcome.error().type == QueryError::Type::timeout;
  };
  const auto agrees = [&](const QueryOutcome& other, const char* what) {
    if (timed_out(alone) || timed_out(other)) return;
    require(alone.has_value() == other.has_value(), what, text);
    if (alone) require(same(alone->value, other->value), what, text);
  };
  agrees(ask(text, shape, &pool), "several threads give another result");
  // The labels of absent() depend on the order of matchers, which printing sorts (both as in Prometheus).
  if (text.find("bsent") != std::string::npos || text.find("BSENT") != std::string::npos) return 0;
  const ParserOptions all = ParserOptions::all();
  if (auto expr = parse_expr(text, shape.everything ? all : ParserOptions{})) {
    const Shape reading{shape.range, true, shape.steps, shape.step};  // what prints may need a feature to be read
    if (shape.everything) agrees(ask(print(**expr), reading, nullptr), "the printed form gives another result");
  }
  return 0;
}
