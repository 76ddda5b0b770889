// SPDX-License-Identifier: Apache-2.0
// The streams of one tenant that are in memory: their labels, and which of them a selector chooses.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/labels.h"
#include "core/time.h"

namespace tocayo::logs {

using StreamId = std::uint32_t;

// What is known of the rows of a stream that are on disk already, so that a line sent twice is stored once. Guarded by
// the tenant's stripe lock of the stream.
struct SealedRows {
  enum class State : unsigned char { unknown, none, range, keys } state = State::unknown;
  TimestampNs max_time = 0;         // newest row of the newest segment that has the stream; from `range` on
  std::vector<std::uint64_t> keys;  // row_key() of its rows; with `keys`
  bool sorted = false;              // `keys` ascends: made so when it is first searched
  bool contains(std::uint64_t key) {
    if (!sorted) std::sort(keys.begin(), keys.end());
    sorted = true;
    return std::binary_search(keys.begin(), keys.end(), key);
  }
};

// One stream. Labels never change; the object lives as long as anybody holds it.
struct Stream {
  StreamId id = 0;
  std::uint64_t hash = 0;   // of the label bytes
  std::uint64_t group = 0;  // group_hash() of the label bytes
  std::string labels;       // label bytes
  std::atomic<TimestampMs> last_append{0};
  SealedRows sealed;
  double tokens = 0;  // of the stream's rate limit, bytes; with sealed's lock
  TimestampMs refilled = 0;
};

// Thread-safe. Ids are not used again, so an id that was forgotten finds nothing.
class StreamIndex {
 public:
  // nullptr when there is none.
  std::shared_ptr<Stream> find(StreamId id) const;
  std::shared_ptr<Stream> find(std::string_view label_bytes, std::uint64_t hash) const;
  // Finds or adds; nullptr when it would have to be added and `limit` (0 = none) streams are there already.
  std::shared_ptr<Stream> add(std::string_view label_bytes, std::uint64_t hash, std::size_t limit, TimestampMs now);

  // Ids that a selector may choose: exact for equality matchers, all streams when there is none. Ascending.
  // nullopt: every stream (walk with for_each).
  struct Candidates {
    bool all = false;
    std::vector<StreamId> ids;
  };
  Candidates candidates(std::span<const Matcher> matchers) const;
  void for_each(const std::function<void(const std::shared_ptr<Stream>&)>& visit) const;
  std::vector<std::string> label_names() const;  // ascending
  // Each value of a label with the streams that have it, until `visit` returns false. The index is locked meanwhile.
  void for_each_value(std::string_view name,
                      const std::function<bool(std::string_view value, std::span<const StreamId>)>& visit) const;

  // Labels that got at least `least` new values since the last midnight (UTC).
  std::vector<std::pair<std::string, std::size_t>> grown(std::size_t least, TimestampMs now) const;

  // Removes the streams that `idle` names; returns how many. They stay usable for those who hold them.
  std::size_t forget(const std::function<bool(const Stream&)>& idle);
  std::size_t size() const { return count_.load(std::memory_order_relaxed); }
  std::size_t memory_bytes() const;

 private:
  static constexpr std::size_t kPage = 1024;
  struct Page {
    std::shared_ptr<Stream> streams[kPage];
    std::size_t live = 0;
  };
  // Most values belong to one stream: it needs no list of its own.
  struct Posting {
    StreamId first = 0;
    std::uint32_t count = 1;
    std::unique_ptr<std::vector<StreamId>> all;  // when count > 1
  };
  std::shared_ptr<Stream> locked_find(std::string_view label_bytes, std::uint64_t hash) const;
  // Calls back for each value that was not there.
  void post(const Stream& stream, const std::function<void(std::string_view name, std::uint64_t key)>& fresh);

  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<Page>> pages_;
  StreamId next_ = 0;
  std::atomic<std::size_t> count_{0};
  std::size_t label_bytes_ = 0;
  std::unordered_multimap<std::uint64_t, StreamId> by_hash_;
  std::unordered_map<std::uint64_t, Posting> postings_;                    // by hash of name and value
  std::map<std::string, std::vector<std::uint64_t>, std::less<>> values_;  // name: keys of its postings
  std::int64_t day_ = 0;
  // Of the day, by name: values that were not there. Of one that was forgotten and came back only the first counts,
  // as long as there are not very many.
  struct Fresh {
    std::unordered_set<std::uint64_t> keys;
    std::size_t count = 0;
  };
  std::map<std::string, Fresh, std::less<>> fresh_;
};

bool matches_all(std::span<const Matcher> matchers, std::string_view label_bytes);

}  // namespace tocayo::logs
