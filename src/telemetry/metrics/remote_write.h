// SPDX-License-Identifier: Apache-2.0
// Prometheus remote write 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request): from the decompressed
// protobuf body to rows, in one pass.
#pragma once

#include <string_view>

#include "core/error.h"
#include "metrics/ingest_rows.h"

namespace tocayo::metrics {

enum class RemoteWriteVersion : unsigned char { v1, v2 };

// Fills `rows` (which the caller has reset). A refused series, row or piece of metadata is counted in
// rows.rejections(); bad_input is returned when the body as a whole cannot be read (truncated, wrong wire types, bad
// symbol table): then nothing of it is to be stored. `rows` may point into `body` until batch() has been appended.
Result<> decode_remote_write(RemoteWriteVersion version, std::string_view body, IngestRows& rows);

}  // namespace tocayo::metrics
