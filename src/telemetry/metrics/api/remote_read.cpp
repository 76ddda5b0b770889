// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/read: Prometheus' remote read, response types SAMPLES (one message, so whole in memory and counted by
// the query's meter) and STREAMED_XOR_CHUNKS (series by series).
#include <fmt/format.h>

#include <protozero/pbf_writer.hpp>
#include <protozero/varint.hpp>

#include <bit>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "core/hash.h"
#include "core/log.h"
#include "metrics/api/handlers.h"
#include "metrics/api/prometheus_chunk.h"
#include "metrics/api/respond.h"
#include "metrics/remote_write_proto.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {

namespace {

using namespace proto;

constexpr std::size_t kMaxRequestBytes = 32 << 20;
constexpr std::size_t kCountEvery = 256 << 10;   // bytes of an answer between reports to the meter
constexpr std::size_t kFrameBytes = 64 << 10;    // of a stream: frames and writes are about as big
constexpr std::size_t kMaxSamples = 50'000'000;  // Prometheus' storage.remote.read-sample-limit

struct ReadQuery {
  TimestampMs start = 0, end = 0;
  std::vector<Matcher> matchers;
  SelectHints hints;
};

Matcher read_matcher(std::string_view bytes) {
  std::uint64_t type = 0;
  std::string name;
  std::string value;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: type = get_uint64(message, "LabelMatcher.type"); break;
      case 2: name = get_bytes(message, "LabelMatcher.name"); break;
      case 3: value = get_bytes(message, "LabelMatcher.value"); break;
      default: message.skip();
    }
  }
  if (type > 3) throw WireError{fmt::format("invalid matcher type {}", type)};
  if (!is_valid_utf8(name) || !is_valid_utf8(value)) throw WireError{"a matcher is not valid UTF-8"};
  auto matcher = Matcher::create(static_cast<Matcher::Type>(type), std::move(name), std::move(value));
  if (!matcher) throw WireError{matcher.error().message};
  return std::move(*matcher);
}

void read_hints(std::string_view bytes, SelectHints& hints) {
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: hints.step = get_int64(message, "ReadHints.step_ms"); break;
      case 2: hints.function = get_bytes(message, "ReadHints.func"); break;
      case 7: hints.range = get_int64(message, "ReadHints.range_ms"); break;
      default: message.skip();  // start and end of the hints may be wider than the query's
    }
  }
}

ReadQuery read_one(std::string_view bytes) {
  ReadQuery query;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: query.start = get_int64(message, "Query.start_timestamp_ms"); break;
      case 2: query.end = get_int64(message, "Query.end_timestamp_ms"); break;
      case 3: query.matchers.push_back(read_matcher(get_bytes(message, "Query.matchers"))); break;
      case 4: read_hints(get_bytes(message, "Query.hints"), query.hints); break;
      default: message.skip();
    }
  }
  query.hints.start = query.start;
  query.hints.end = query.end;
  return query;
}

struct ReadRequest {
  std::vector<ReadQuery> queries;
  bool streamed = false;
};

// The first response type of the client's list that we have; SAMPLES when it names none.
Result<ReadRequest> read_request(std::string_view body) {
  ReadRequest request;
  bool any_type = false, supported = false;
  auto decoded = guard("decoding remote read request", [&] {
    Reader message = reader(body);
    while (message.next()) {
      switch (message.tag()) {
        case 1: request.queries.push_back(read_one(get_bytes(message, "ReadRequest.queries"))); break;
        case 2:
          each_varint(message, "ReadRequest.accepted_response_types", [&](std::uint64_t type) {
            any_type = true;
            if (supported || type > 1) return;
            supported = true;
            request.streamed = type == 1;
          });
          break;
        default: message.skip();
      }
    }
  });
  if (!decoded) return std::unexpected(std::move(decoded.error()));
  if (any_type && !supported) {
    return fail(ErrorKind::bad_input,
                "server does not support any of the requested response types; supported: SAMPLES, STREAMED_XOR_CHUNKS");
  }
  return request;
}

void write_spans(protozero::pbf_writer& out, protozero::pbf_tag_type tag, const std::vector<Span>& spans) {
  for (const Span& span : spans) {
    protozero::pbf_writer message(out, tag);
    message.add_sint32(1, span.offset);
    message.add_uint32(2, span.length);
  }
}

void write_histogram(protozero::pbf_writer& series, TimestampMs time, const FloatHistogram& histogram) {
  protozero::pbf_writer out(series, 4);
  out.add_double(2, histogram.count);
  out.add_double(3, histogram.sum);
  out.add_sint32(4, histogram.schema);
  out.add_double(5, histogram.zero_threshold);
  out.add_double(7, histogram.zero_count);
  write_spans(out, 8, histogram.negative_spans);
  out.add_packed_double(10, histogram.negative_buckets.begin(), histogram.negative_buckets.end());
  write_spans(out, 11, histogram.positive_spans);
  out.add_packed_double(13, histogram.positive_buckets.begin(), histogram.positive_buckets.end());
  out.add_enum(14, static_cast<std::int32_t>(histogram.hint));
  out.add_int64(15, time);
  out.add_packed_double(16, histogram.custom_values.begin(), histogram.custom_values.end());
}

void write_series(protozero::pbf_writer& result, const Labels& labels, const SampleColumns& samples) {
  protozero::pbf_writer series(result, 1);
  for (const Label& label : labels) {
    protozero::pbf_writer out(series, 1);
    out.add_string(1, label.name);
    out.add_string(2, label.value);
  }
  for (std::size_t i = 0; i < samples.times.size(); ++i) {
    protozero::pbf_writer out(series, 2);
    out.add_fixed64(1, std::bit_cast<std::uint64_t>(samples.values[i]));  // fixed64 and double are the same on the wire
    out.add_int64(2, samples.times[i]);
  }
  for (std::size_t i = 0; i < samples.histogram_times.size(); ++i) {
    write_histogram(series, samples.histogram_times[i], *samples.histograms[i]);
  }
}

// The body of a ReadResponse; what it takes is counted and stays so.
Result<std::string> answer(const Reading& reading, const std::vector<ReadQuery>& queries) {
  const Querier& querier = *reading.querier;
  const Context& context = reading.query->context();
  std::size_t counted = 0;
  std::string body;
  protozero::pbf_writer response(body);
  std::size_t total = 0;
  SampleColumns samples;
  for (const ReadQuery& query : queries) {
    protozero::pbf_writer result(response, 1);
    auto set = querier.select(query.matchers, query.hints, context);
    if (!set) {
      result.rollback();
      return std::unexpected(std::move(set.error()));
    }
    for (std::size_t i = 0; i < (*set)->size(); ++i) {
      Result<> step = context.check();
      if (step) step = (*set)->read(i, samples);
      total += samples.times.size() + samples.histogram_times.size();
      if (step && total > kMaxSamples)
        step = fail(ErrorKind::bad_input, fmt::format("exceeded sample limit ({})", kMaxSamples));
      if (!step) {
        result.rollback();
        return std::unexpected(std::move(step.error()));
      }
      if (samples.times.empty() && samples.histogram_times.empty()) continue;
      write_series(result, (*set)->labels(i), samples);
      if (body.size() - counted < kCountEvery) continue;
      if (auto taken = reading.query->meter().take(body.size() - counted); !taken) {
        result.rollback();
        return std::unexpected(std::move(taken.error()));
      }
      counted = body.size();
    }
  }
  return body;
}

// What a STREAMED_XOR_CHUNKS answer still has to send.
struct ChunkStream {
  Reading reading;                               // first: the sets read from it
  std::vector<std::unique_ptr<SeriesSet>> sets;  // one per query
  Pool* pool;
};

// One frame: length, CRC-32C (big endian) and a ChunkedReadResponse with some chunks of one series.
void append_frame(std::string& out, const Labels& labels, const std::vector<PrometheusChunk>& chunks,
                  std::size_t query) {
  std::string message;
  protozero::pbf_writer response(message);
  {
    protozero::pbf_writer series(response, 1);
    for (const Label& label : labels) {
      protozero::pbf_writer pair(series, 1);
      pair.add_string(1, label.name);
      pair.add_string(2, label.value);
    }
    for (const PrometheusChunk& chunk : chunks) {
      protozero::pbf_writer body(series, 2);
      body.add_int64(1, chunk.min_time);
      body.add_int64(2, chunk.max_time);
      body.add_enum(3, static_cast<std::int32_t>(chunk.encoding));
      body.add_bytes(4, chunk.bytes);
    }
  }
  if (query != 0) response.add_int64(2, static_cast<std::int64_t>(query));
  protozero::write_varint(std::back_inserter(out), message.size());
  const std::uint32_t checksum = crc32c(message);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(checksum >> shift));
  out += message;
}

// All frames of one series.
Result<> append_series(std::string& out, const SeriesSet& set, std::size_t index, std::size_t query,
                       SampleColumns& samples) {
  if (auto read = set.read(index, samples); !read) return read;
  std::vector<PrometheusChunk> chunks;
  std::size_t bytes = 0;
  auto cut = each_chunk(samples, [&](PrometheusChunk&& chunk) -> Result<> {
    bytes += chunk.bytes.size();
    chunks.push_back(std::move(chunk));
    if (bytes < kFrameBytes) return {};
    append_frame(out, set.labels(index), chunks, query);
    chunks.clear();
    bytes = 0;
    return {};
  });
  if (!chunks.empty()) append_frame(out, set.labels(index), chunks, query);
  return cut;
}

Task<Result<>> stream_chunks(std::shared_ptr<ChunkStream> stream, http::BodySink& sink) {
  co_await stream->pool->schedule();
  SampleColumns samples;
  std::string out;
  for (std::size_t query = 0; query < stream->sets.size(); ++query) {
    const SeriesSet& set = *stream->sets[query];
    for (std::size_t i = 0; i < set.size(); ++i) {
      Result<> step = stream->reading.query->context().check();
      if (step) step = append_series(out, set, i, query, samples);
      if (!step) {
        Error error = stream->reading.query->cause(std::move(step.error()));
        log::warn("metrics_api", "a streamed remote read broke off", {{"error", error}});
        co_return std::unexpected(std::move(error));
      }
      if (out.size() < kFrameBytes && (query + 1 < stream->sets.size() || i + 1 < set.size())) continue;
      CO_TRY_VOID(co_await sink.write(std::exchange(out, {})));
      co_await stream->pool->schedule();  // write() may have resumed on an io thread
    }
  }
  if (!out.empty()) CO_TRY_VOID(co_await sink.write(std::move(out)));
  co_return Result<>{};
}

Result<http::Response> streamed_answer(Reading reading, const std::vector<ReadQuery>& queries, Pool& pool) {
  // Shared: by the response's function object and the coroutine that it starts.
  auto stream = std::make_shared<ChunkStream>(ChunkStream{std::move(reading), {}, &pool});
  for (const ReadQuery& query : queries) {
    auto set = stream->reading.querier->select(query.matchers, query.hints, stream->reading.query->context());
    if (!set) return std::unexpected(stream->reading.query->cause(std::move(set.error())));
    stream->sets.push_back(std::move(*set));
  }
  http::Response response;
  response.headers.add("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
  response.compress = false;
  response.stream = [stream = std::move(stream)](http::BodySink& sink) { return stream_chunks(stream, sink); };
  return response;
}

http::Response plain(const Error& error) {
  return http::Response::text(status_of(type_of(error.kind, ErrorType::bad_data)), error.message + "\n");
}

}  // namespace

Handled handle_remote_read(ApiCore& core, http::Request& request) {
  co_await core.deps.queries->schedule();
  std::string body;
  if (auto decoded = snappy_block_decode(request.body, kMaxRequestBytes, body); !decoded)
    co_return plain(decoded.error());
  auto asked = read_request(body);
  if (!asked) co_return plain(asked.error());
  // As with queries, the permit does not cover the sending.
  auto permit = co_await core.gate.acquire(request.identity.tenant, request.context);
  if (!permit) {
    if (permit.error().kind == ErrorKind::limit) co_return http::Response::text(429, permit.error().message + "\n");
    co_return plain(permit.error());
  }
  co_await core.deps.queries->schedule();
  auto reading = core.begin(request);
  if (!reading) co_return plain(reading.error());
  if (asked->streamed) {
    auto streamed = streamed_answer(std::move(*reading), asked->queries, *core.deps.queries);
    if (!streamed) co_return plain(streamed.error());
    co_return std::move(*streamed);
  }
  auto answered = answer(*reading, asked->queries);
  if (!answered) co_return plain(reading->query->cause(answered.error()));
  http::Response response;
  response.headers.add("Content-Type", "application/x-protobuf");
  response.headers.add("Content-Encoding", "snappy");
  response.compress = false;
  response.body = snappy_block_encode(*answered);
  co_return response;
}

}  // namespace tocayo::metrics::api
