// SPDX-License-Identifier: Apache-2.0
// The engine as the one that answers tables.
#include <algorithm>

#include "logql/engine/engine.h"
#include "logql/engine/testfile.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"

namespace tocayo::logql::table {

namespace {

// The tables are of a server with Loki's own limits.
constexpr std::size_t kLokiMaxEntries = 5'000;

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
    case ErrorKind::limit: return 400;
    case ErrorKind::timeout: return 504;
    case ErrorKind::canceled: return 499;
    case ErrorKind::unavailable: return 503;
    default: return 500;
  }
}

Answer failure(const Error& error) { return Failure{status_of(error.kind), error.message}; }

LabelList list_of(const Labels& labels) { return {labels.begin(), labels.end()}; }

Answer answer_of(const QueryResult& result, bool categorize) {
  if (const auto* scalar = std::get_if<ScalarValue>(&result.value)) return Scalar{scalar->value};
  if (const auto* vector = std::get_if<VectorValue>(&result.value)) {
    std::vector<Sample> samples;
    for (const VectorSample& one : vector->samples) samples.push_back({list_of(one.labels), one.value});
    return samples;
  }
  if (const auto* matrix = std::get_if<MatrixValue>(&result.value)) {
    std::vector<Series> all;
    for (const MatrixSeries& one : matrix->series) {
      Series series{list_of(one.labels), {}};
      for (const Point& point : one.points) series.points.emplace_back(point.time, point.value);
      all.push_back(std::move(series));
    }
    return all;
  }
  std::vector<Lines> streams;
  for (const ResultStream& one : group_streams(std::get<LogValue>(result.value), categorize)) {
    Lines stream{one.labels, {}};
    for (const LogLine* line : one.lines) {
      Line copy{line->time, line->line, {}, {}};
      if (categorize) {
        copy.metadata = line->labels->metadata;
        copy.parsed = line->labels->parsed;
      }
      stream.lines.push_back(std::move(copy));
    }
    streams.push_back(std::move(stream));
  }
  return streams;
}

Result<QueryParams> params_of(const Request& request) {
  QueryParams params;
  if (const auto* instant = std::get_if<Instant>(&request.what)) {
    params.instant = true;
    params.start = params.end = instant->time;
  } else if (const auto* range = std::get_if<Range>(&request.what)) {
    params.start = range->start;
    params.end = range->end;
    params.step_ns = range->step_ns;
  } else if (const auto* logs = std::get_if<Logs>(&request.what)) {
    params.start = logs->start;
    params.end = logs->end;
    params.step_ns = 1'000'000'000;
    params.direction = TRY(parse_direction(logs->direction));
    params.limit = static_cast<std::size_t>(std::max<std::int64_t>(logs->limit, 0));
  }
  return params;
}

}  // namespace

Result<> EngineTarget::load(const std::string& tenant, const DataSet& data) {
  std::vector<logs::StreamRows> streams;
  std::vector<std::vector<logs::EntryRow>> rows(data.size());
  std::vector<std::vector<std::vector<logs::LabelView>>> metadata(data.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    for (const Entry& entry : data[i].entries) {
      auto& views = metadata[i].emplace_back();
      for (const Label& label : entry.metadata) views.push_back({label.name, label.value});
    }
    for (std::size_t j = 0; j < data[i].entries.size(); ++j) {
      rows[i].push_back({data[i].entries[j].time, data[i].entries[j].line, metadata[i][j]});
    }
    streams.push_back({0, &data[i].labels, rows[i]});
  }
  return append_(tenant, streams);
}

Answer EngineTarget::answer(const Request& request) {
  if (std::holds_alternative<Format>(request.what)) {
    auto expr = parse(request.query);
    return expr ? Answer(format(*expr)) : failure(expr.error());
  }
  auto params = params_of(request);
  if (!params) return failure(params.error());
  auto querier = querier_(request.tenant);
  if (!querier) return failure(querier.error());
  EngineOptions options;
  options.max_entries = kLokiMaxEntries;
  auto result = Engine(options).query(**querier, request.query, *params, {.pool = pool_});
  return result ? answer_of(*result, request.categorize()) : failure(result.error());
}

}  // namespace tocayo::logql::table
