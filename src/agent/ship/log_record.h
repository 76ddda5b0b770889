// SPDX-License-Identifier: Apache-2.0
// What one batch of log lines leaves in a destination's queue. Each record can be read alone. Layout: README.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"

namespace tocayo::agent {

inline constexpr std::uint8_t kLogRecord = 2;  // journal record kind

// One line on its way into a queue. Borrowed.
struct ShipLine {
  std::string_view tenant;  // "": the destination's
  const Labels* labels = nullptr;
  TimestampNs time = 0;
  std::string_view text;
  std::span<const Label> metadata;
};

// How far a source was read when the batch was made: read again from there, nothing is lost or doubled.
using LogMarks = std::vector<std::pair<std::string, std::string>>;

struct LogTenantHead {
  std::string tenant;
  std::uint64_t lines = 0, bytes = 0;  // bytes of the lines themselves
  TimestampNs min_time = 0, max_time = 0;
};

// What can be told of a record without unpacking it.
struct LogRecordHead {
  std::uint64_t batch = 0;  // number of the batch, ascending
  LogMarks marks;
  std::vector<LogTenantHead> tenants;
};

// `external` labels are put on lines that do not have them. Streams of one label set are one in the record, in the
// order of their first lines; lines of a stream keep their order.
std::string encode_log_record(std::uint64_t batch, const LogMarks& marks, std::span<const ShipLine> lines,
                              const Labels& external);

// The lines of one tenant of a record. Views point into `body`.
struct LogRows {
  struct Entry {
    TimestampNs time;
    std::string_view line;
    std::uint32_t metadata_begin, metadata_count;  // in `metadata`
  };
  struct Stream {
    std::string_view labels;     // `{a="b"}`
    std::uint32_t begin, count;  // in `entries`
  };
  LogRows() = default;
  LogRows(const LogRows&) = delete;
  LogRows& operator=(const LogRows&) = delete;

  std::string body;
  std::vector<Stream> streams;
  std::vector<Entry> entries;
  std::vector<std::pair<std::string_view, std::string_view>> metadata;
};

// bad_input for bytes that encode_log_record() cannot have made.
Result<LogRecordHead> decode_log_head(std::string_view payload);
Result<std::unique_ptr<LogRows>> decode_log_rows(std::string_view payload, std::string_view tenant);

// Lines of one stream that go into a request.
struct LogItem {
  const LogRows* rows = nullptr;
  std::uint32_t stream = 0, begin = 0, count = 0;  // entries [begin, begin + count)
  std::uint64_t weight() const { return count; }
  // The first `wanted` lines, or all, leave this item and are returned.
  LogItem take_front(std::uint64_t wanted) {
    LogItem front = *this;
    front.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, count));
    begin += front.count;
    count -= front.count;
    return front;
  }
};
// logproto.PushRequest, not compressed.
std::string encode_push_request(std::span<const LogItem> items);

}  // namespace tocayo::agent
