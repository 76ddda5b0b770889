// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/result_writer.h"

#include <memory>

#include "core/log.h"
#include "core/pool.h"
#include "metrics/api/respond.h"

namespace tocayo::metrics::api {

ResultWriter::ResultWriter(promql::QueryResult result, bool with_stats, std::vector<std::string> warnings,
                           std::vector<std::string> infos)
    : result_(std::move(result)), with_stats_(with_stats), warnings_(std::move(warnings)), infos_(std::move(infos)) {}

bool ResultWriter::advance(JsonWriter& writer) {
  if (stage_ == Stage::head) {
    writer.raw(kEnvelopeStart);
    writer.raw(R"({"resultType":")");
    static constexpr std::string_view kTypes[] = {"scalar", "string", "vector", "matrix"};
    writer.raw(kTypes[result_.value.index()]);
    writer.raw(R"(","result":)");
    stage_ = Stage::body;
  }
  if (stage_ == Stage::body) {
    if (const auto* scalar = std::get_if<promql::ScalarValue>(&result_.value)) {
      writer.point(scalar->time, scalar->value);
    } else if (const auto* text = std::get_if<promql::StringValue>(&result_.value)) {
      writer.raw('[');
      writer.timestamp(text->time);
      writer.raw(',');
      writer.string(text->text);
      writer.raw(']');
    } else if (auto* vector = std::get_if<promql::VectorValue>(&result_.value)) {
      if (!advance_vector(writer, *vector)) return false;
    } else {
      if (!advance_matrix(writer, std::get<promql::MatrixValue>(result_.value))) return false;
    }
    stage_ = Stage::tail;
  }
  if (stage_ == Stage::tail) {
    if (with_stats_) write_stats(writer);
    writer.raw('}');
    end_envelope(writer, warnings_, infos_);
    stage_ = Stage::done;
  }
  return true;
}

bool ResultWriter::advance_vector(JsonWriter& writer, promql::VectorValue& vector) {
  if (item_ == 0) writer.raw('[');
  for (; item_ < vector.samples.size(); ++item_) {
    if (writer.full()) return false;
    promql::Sample& sample = vector.samples[item_];
    if (item_ > 0) writer.raw(',');
    writer.raw(R"({"metric":)");
    writer.labels(sample.labels);
    if (sample.histogram) {
      writer.raw(R"(,"histogram":)");
      writer.point(vector.time, *sample.histogram);
    } else {
      writer.raw(R"(,"value":)");
      writer.point(vector.time, sample.value);
    }
    writer.raw('}');
    sample = {};
  }
  writer.raw(']');
  return true;
}

bool ResultWriter::advance_matrix(JsonWriter& writer, promql::MatrixValue& matrix) {
  if (item_ == 0 && !series_open_) writer.raw('[');
  for (; item_ < matrix.series.size(); ++item_) {
    promql::Series& series = matrix.series[item_];
    if (!series_open_) {
      if (writer.full()) return false;
      if (item_ > 0) writer.raw(',');
      writer.raw(R"({"metric":)");
      writer.labels(series.labels);
      series_open_ = true;
      float_ = histogram_ = 0;
    }
    for (; float_ < series.floats.size(); ++float_) {
      if (writer.full()) return false;
      writer.raw(float_ == 0 ? R"(,"values":[)" : ",");
      writer.point(series.floats[float_].time, series.floats[float_].value);
      if (float_ + 1 == series.floats.size()) writer.raw(']');
    }
    for (; histogram_ < series.histograms.size(); ++histogram_) {
      if (writer.full()) return false;
      writer.raw(histogram_ == 0 ? R"(,"histograms":[)" : ",");
      writer.point(series.histograms[histogram_].time, *series.histograms[histogram_].histogram);
      if (histogram_ + 1 == series.histograms.size()) writer.raw(']');
    }
    writer.raw('}');
    series_open_ = false;
    series = {};
  }
  writer.raw(']');
  return true;
}

void ResultWriter::write_stats(JsonWriter& writer) const {
  const promql::QueryStats& stats = result_.stats;
  const auto timing = [&](std::string_view name, double value, bool last = false) {
    writer.key(name);
    writer.number(value);
    if (!last) writer.raw(',');
  };
  const auto steps = [&](std::string_view name, const std::vector<std::pair<TimestampMs, std::int64_t>>& counts) {
    if (counts.empty()) return;
    writer.key(name);
    writer.raw('[');
    Separator comma;
    for (const auto& [time, count] : counts) {
      comma(writer);
      writer.raw('[');
      writer.timestamp(time);
      writer.raw(',');
      writer.integer(count);
      writer.raw(']');
    }
    writer.raw("],");
  };
  writer.raw(R"(,"stats":{"timings":{)");
  timing("evalTotalTime", stats.timings.eval_total);
  timing("resultSortTime", stats.timings.result_sort);
  timing("queryPreparationTime", stats.timings.query_preparation);
  timing("innerEvalTime", stats.timings.inner_eval);
  timing("execQueueTime", stats.timings.exec_queue);
  timing("execTotalTime", stats.timings.exec_total, true);
  writer.raw(R"(},"samples":{)");
  steps("totalQueryableSamplesPerStep", stats.total_queryable_samples_per_step);
  writer.key("totalQueryableSamples");
  writer.integer(stats.total_queryable_samples);
  writer.raw(',');
  steps("samplesReadPerStep", stats.samples_read_per_step);
  writer.key("samplesRead");
  writer.integer(stats.samples_read);
  writer.raw(',');
  writer.key("peakSamples");
  writer.integer(stats.peak_samples);
  writer.raw("}}");
}

namespace {

struct StreamState {
  JsonProducer producer;
  JsonWriter writer;
  Pool* compute;
};

Task<Result<>> stream_rest(std::shared_ptr<StreamState> state, http::BodySink& sink) {
  for (;;) {
    CO_TRY_VOID(co_await sink.write(state->writer.take()));
    co_await state->compute->schedule();  // write() may have resumed on an io thread
    auto done = state->producer(state->writer);
    if (!done) {
      log::warn("metrics_api", "a streamed answer broke off", {{"error", done.error()}});
      co_return std::unexpected(std::move(done.error()));
    }
    if (*done) break;
  }
  co_return co_await sink.write(state->writer.take());
}

}  // namespace

http::Response stream_json(JsonProducer producer, Pool& compute) {
  JsonWriter writer;
  auto done = producer(writer);
  if (!done) return error_response(done.error());
  if (*done) return json_body(std::move(writer));
  // Shared: by the response's function object and the coroutine that it starts.
  auto state = std::make_shared<StreamState>(StreamState{std::move(producer), std::move(writer), &compute});
  http::Response response;
  response.headers.add("Content-Type", "application/json");
  response.stream = [state](http::BodySink& sink) { return stream_rest(state, sink); };
  return response;
}

}  // namespace tocayo::metrics::api
