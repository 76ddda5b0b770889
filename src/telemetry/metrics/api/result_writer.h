// SPDX-License-Identifier: Apache-2.0
// Query results as JSON, piece by piece: advance() writes until a chunk is full, so that the text of a result never
// exists whole.
#pragma once

#include <string>
#include <vector>

#include "http/message.h"
#include "metrics/api/json.h"
#include "promql/engine.h"

namespace tocayo::metrics::api {

class ResultWriter {
 public:
  ResultWriter(promql::QueryResult result, bool with_stats, std::vector<std::string> warnings,
               std::vector<std::string> infos);

  // Appends to `writer` until it is full or everything is written; true when everything is. What is written is freed.
  bool advance(JsonWriter& writer);

 private:
  bool advance_matrix(JsonWriter& writer, promql::MatrixValue& matrix);
  bool advance_vector(JsonWriter& writer, promql::VectorValue& vector);
  void write_stats(JsonWriter& writer) const;

  promql::QueryResult result_;
  bool with_stats_;
  std::vector<std::string> warnings_, infos_;
  enum class Stage : unsigned char { head, body, tail, done } stage_ = Stage::head;
  std::size_t item_ = 0;                   // series or sample
  std::size_t float_ = 0, histogram_ = 0;  // points of the series that are written
  bool series_open_ = false;
};

// A producer of JSON in pieces, like ResultWriter::advance.
using JsonProducer = std::move_only_function<Result<bool>(JsonWriter&)>;
// Runs the producer: what fits one chunk becomes a plain body, more is streamed. Call on `compute`; the stream
// continues there.
http::Response stream_json(JsonProducer producer, Pool& compute);

}  // namespace tocayo::metrics::api
