// SPDX-License-Identifier: Apache-2.0
// The first half of an append: which stream each line belongs to, and which lines the tenant's limits let in. Internal
// to the room.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "logs/store/limits.h"
#include "logs/store/record.h"
#include "logs/store/tenant.h"

namespace tocayo::logs {

StreamRef make_ref(std::uint64_t epoch, const Tenant& tenant, StreamId id);
// nullptr when the reference is of another process or tenant, or its stream was forgotten.
std::shared_ptr<Stream> stream_of(std::uint64_t epoch, const Tenant& tenant, StreamRef ref);

// Bytes that stay where they are until the arena is gone.
class Arena {
 public:
  std::string_view copy(std::string_view a, std::string_view b = {});

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t left_ = 0;
  char* at_ = nullptr;
};

class AppendPlan {
 public:
  struct Lines {
    std::shared_ptr<Stream> stream;  // shared: the index may forget it while the journal writes
    std::size_t first = 0;
    std::size_t count = 0;
  };
  std::vector<Lines> streams;  // none without rows
  std::size_t received_lines = 0;
  std::size_t received_bytes = 0;
  std::size_t created_streams = 0;

  // Fills the refs of `rows`; what is refused goes into `result`. Lines are borrowed from the caller.
  void make(Tenant& tenant, const TenantLimits& limits, std::uint64_t epoch, TimestampMs now,
            std::span<StreamRows> rows, AppendResult& result);
  std::span<const RecordRow> rows_of(const Lines& lines) const { return {rows_.data() + lines.first, lines.count}; }

 private:
  class Builder;
  struct Target;
  std::vector<RecordRow> rows_;
  Arena arena_;
};

}  // namespace tocayo::logs
