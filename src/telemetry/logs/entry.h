// SPDX-License-Identifier: Apache-2.0
// Log lines as the store takes and gives them. Times are nanoseconds since the Unix epoch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/task.h"
#include "core/time.h"

namespace tocayo::logs {

// One name and value of structured metadata. Borrowed bytes.
struct LabelView {
  std::string_view name;
  std::string_view value;
  auto operator<=>(const LabelView&) const = default;
};

// One line on its way in. `line` may hold any bytes. `metadata` is sorted by name, names unique, no empty values.
struct EntryRow {
  TimestampNs time = 0;
  std::string_view line;
  std::span<const LabelView> metadata;
};

// A stream named once by a writer that will send it again. Opaque; 0 = not known yet.
using StreamRef = std::uint64_t;

// One stream with its lines, in any order of time. Borrowed: must live until append() has finished.
struct StreamRows {
  StreamRef ref = 0;  // when known and still valid, `labels` may be null
  const Labels* labels = nullptr;
  std::span<const EntryRow> entries;
};

struct AppendResult {
  std::size_t lines_written = 0;
  std::size_t bytes_written = 0;
  std::size_t duplicates = 0;  // equal in stream, time, line and metadata to a stored one: stored once, not an error
  struct Rejected {
    std::string_view reason;  // Loki's, static: "stream_limit", "too_far_in_future", …
    std::size_t lines;
    std::size_t bytes;
  };
  std::vector<Rejected> rejected;
  // Where in the call the refused stood, for whoever answers line by line; kAll: every stream, or every line of it.
  static constexpr std::uint32_t kAll = UINT32_MAX;
  struct Place {
    std::uint32_t stream;
    std::uint32_t entry;
    std::string_view reason;
  };
  std::vector<Place> places;
  std::vector<std::string> messages;      // Loki's wording of the first rejections (at most 10)
  std::vector<std::uint32_t> unresolved;  // indices of streams whose `ref` is not valid (any more) and had no labels
};

// Per tenant, thread-safe. A failed Result (unavailable: journal, disk, memory) means that nothing of the batch is
// readable. The task resumes when the batch is as durable as the configured journal mode promises; from then on every
// query sees it. Fills in the refs.
class Appender {
 public:
  virtual ~Appender() = default;
  virtual Task<Result<AppendResult>> append(std::string_view tenant, std::span<StreamRows> streams) = 0;
};

}  // namespace tocayo::logs
