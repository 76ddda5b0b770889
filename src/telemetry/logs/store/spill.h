// SPDX-License-Identifier: Apache-2.0
// Spilled labels: a label with very many values stays a label for every reader, but does not split streams. Its value
// is kept with each row, as metadata under a reserved name; the stream keeps its other labels and a mark that says
// which ones its rows carry. Everything between journal and segments moves such streams and rows as they are; readers
// give each row the labels that were pushed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/time.h"
#include "logs/entry.h"
#include "logs/head/head_stream.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {

// kReserved begins the names that are ours: nothing pushed may have such a name. The mark's name is this byte alone (so
// it is a stream's first label), its value the spilled names, each with this byte in front; a row's pairs have these
// names, and stand before all its metadata.
inline constexpr std::string_view kSpillMark = "\x01";
inline bool reserved_name(std::string_view name) { return name.empty() || name[0] <= kReserved; }
// Row::order of spilled rows in a head, behind those of its other streams.
inline constexpr std::uint64_t kSpilledOrder = std::uint64_t{1} << 39;

inline bool is_spilled(const Labels& labels) { return !labels.empty() && labels.begin()->name == kSpillMark; }
// How many of a row's pairs belong to its stream.
std::size_t spilled_pairs(std::span<const LabelView> metadata);

// What the label bytes of a spilled stream say.
class SpilledStream {
 public:
  explicit SpilledStream(std::string_view label_bytes);

  const std::vector<std::string>& names() const { return names_; }  // ascending
  bool has(std::string_view name) const;
  std::string_view plain() const { return plain_; }  // label bytes of what its rows share
  // Tells sets of values of this stream apart from all others. `pairs` as stored.
  std::uint64_t key(std::span<const LabelView> pairs) const;
  // The label bytes that were pushed.
  void fold(std::span<const LabelView> pairs, std::string& out) const;
  // Whether the labels that rows share, and if given the row's, pass every matcher on them.
  bool plain_matches(std::span<const Matcher> matchers) const;
  bool row_matches(std::span<const Matcher> matchers, std::span<const LabelView> pairs) const;

 private:
  std::vector<std::string> names_;
  std::string plain_;
  std::uint64_t seed_ = 0;
};

// A row with its stream's stored labels, as it was pushed.
std::pair<Labels, std::span<const LabelView>> as_pushed(const Labels& stored, std::span<const LabelView> metadata);
// Stored labels for people: `{app="web"} by pod` when rows carry the pod.
std::string spilled_text(const Labels& stored);

// Divides pushed labels: label bytes of the stream and of what each row carries. False when none of `names` is there.
using Names = std::set<std::string, std::less<>>;
bool spill(const Labels& labels, const Names& names, std::string& stream, std::string& row);

// The sets of spilled values that the rows of a head stream have in [start, end), with the newest time of each.
using SpilledVisit = std::function<void(std::span<const LabelView> pairs, std::uint64_t key, TimestampNs newest)>;
void for_each_spilled(const HeadStream& rows, const SpilledStream& stream, TimestampNs start, TimestampNs end,
                      const SpilledVisit& visit);

// The sets of a segment, with the time each spans.
struct SpilledSets {
  struct Set {
    std::uint32_t stream;  // of the segment
    std::uint32_t size;
    std::size_t offset;  // of the pairs in `bytes`
    TimestampNs min_time;
    TimestampNs max_time;
    std::uint64_t key;
  };
  std::map<std::uint32_t, SpilledStream> streams;  // that are spilled
  std::vector<Set> sets;                           // ascending by stream
  std::string bytes;
  std::size_t memory_bytes() const { return sets.capacity() * sizeof(Set) + bytes.capacity() + 256; }
  // Valid until `scratch` changes.
  std::span<const LabelView> pairs(const Set& set, std::vector<LabelView>& scratch) const;
};

// Keeps the newest used sets in memory, up to a budget for the process. Thread-safe.
void keep_spilled_sets(const std::shared_ptr<const SpilledSets>& sets);

// About how many different texts were added (within 2 %). 4 KiB. Not thread-safe.
class DistinctCount {
 public:
  void add(std::string_view text);
  std::uint64_t estimate() const;
  void clear() { ranks_.fill(0); }

 private:
  std::array<std::uint8_t, 4096> ranks_{};
};

// What is known of a tenant's labels that get many values. Thread-safe.
class SpillState {
 public:
  // The labels that new streams leave to their rows; null when there are none.
  std::shared_ptr<const Names> names() const;
  // From now on; false when it was so before.
  bool add(std::string_view name, TimestampMs since);
  // A value that made no stream, and who sent some (an address).
  void add_value(std::string_view name, std::string_view value, TimestampMs now);
  void set_sender(std::string_view name, std::string_view sender);
  struct Note {
    std::string sender;        // of the newest value
    std::uint64_t values = 0;  // about, of today (UTC), that made no streams
    TimestampMs since = 0;     // 0: not spilled
  };
  std::map<std::string, Note> notes(TimestampMs now) const;
  // Labels that were added since the last call.
  std::vector<std::pair<std::string, TimestampMs>> take_unsaved();
  void put_back(std::vector<std::pair<std::string, TimestampMs>> unsaved);

 private:
  struct Entry {
    std::string sender;
    std::int64_t day = 0;
    TimestampMs since = 0;
    std::unique_ptr<DistinctCount> distinct;
  };
  Entry& entry(std::string_view name);
  mutable std::mutex mutex_;
  std::shared_ptr<const Names> names_;  // shared with appends under way
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::pair<std::string, TimestampMs>> unsaved_;
};

}  // namespace tocayo::logs
