// SPDX-License-Identifier: Apache-2.0
// Journal records of the log store (docs/formats/journal-logs.md): one record is the accepted lines of one request, in
// columns, compressed. A record needs nothing but itself to be read.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tocayo::logs {

inline constexpr std::uint8_t kLinesRecord = 1;
inline constexpr std::uint64_t kMaxRecordBody = 256ULL << 20;  // before compression
// Bytes that a record decompresses to, as it says itself; nullopt: it is damaged.
std::optional<std::uint64_t> record_body_size(std::string_view payload);

struct RecordRow {
  TimestampNs time = 0;
  std::string_view line;
  std::string_view metadata;  // label bytes
};

// Collects the streams of one request. Reusable; not thread-safe. Lines are not copied before finish().
class RecordWriter {
 public:
  void begin(std::string_view tenant);
  void stream(std::string_view label_bytes, std::span<const RecordRow> rows);
  bool empty() const { return streams_ == 0; }
  // The payload, valid until the next begin(). `level` is zstd's.
  Result<std::string_view> finish(int level);

 private:
  std::string tenant_;
  std::string heads_;  // labels and row counts
  std::string times_;
  std::string lengths_;
  std::string metadata_;
  std::vector<std::string_view> lines_;
  std::size_t line_bytes_ = 0;
  std::uint64_t streams_ = 0;
  std::string body_;
  std::string payload_;
};

// Reads payloads. Reusable; not thread-safe.
class RecordReader {
 public:
  struct Stream {
    std::string_view labels;
    std::span<const RecordRow> rows;
  };
  // bad_input names what is damaged. The streams are valid until the next read.
  Result<> read(std::string_view payload);
  std::string_view tenant() const { return tenant_; }
  std::span<const Stream> streams() const { return streams_; }

 private:
  Result<> parse();

  std::string body_;
  std::string_view tenant_;
  std::vector<RecordRow> rows_;
  std::vector<Stream> streams_;
};

}  // namespace tocayo::logs
