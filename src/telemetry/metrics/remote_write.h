// SPDX-License-Identifier: Apache-2.0
// Prometheus remote write 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request): from the decompressed
// protobuf body to rows, in one pass.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "metrics/ingest_rows.h"

namespace tocayo::metrics {

enum class RemoteWriteVersion : unsigned char { v1, v2 };

// Reused from request to request for its memory. Not thread-safe. Must live as long as the rows it decoded into are
// used, and so must the body.
class RemoteWriteDecoder final : public EncodedLabels {
 public:
  // Fills `rows` (which the caller has reset). A refused series, row or piece of metadata is counted in
  // rows.rejections(); bad_input is returned when the body as a whole cannot be read (truncated, wrong wire types, bad
  // symbol table): then nothing of it is to be stored. Series that `known` has are not looked at closer; null: none.
  Result<> decode(RemoteWriteVersion version, std::string_view body, IngestRows& rows,
                  SeriesCache::Lookup* known = nullptr);
  void read(std::string_view encoded, std::vector<LabelView>& out) override;

  struct Symbol {
    std::string_view text;
    std::uint64_t hash = 0;  // 0: not made yet
    enum class Utf8 : unsigned char { unknown, valid, invalid } utf8 = Utf8::unknown;
    // What was last said of a metric of this name; wrong types are no value of it.
    std::uint64_t type = UINT64_MAX, help = 0, unit = 0;
  };

 private:
  class V1;
  class V2;
  RemoteWriteVersion version_ = RemoteWriteVersion::v1;
  std::vector<Symbol> symbols_;  // of 2.0
  std::vector<std::uint64_t> references_, exemplar_references_, hashes_;
  std::vector<LabelView> labels_, exemplar_labels_;
  HistogramParts parts_;
};

// The same with a decoder of its own and without anything known; the rows name what `body` holds.
Result<> decode_remote_write(RemoteWriteVersion version, std::string_view body, IngestRows& rows);

}  // namespace tocayo::metrics
