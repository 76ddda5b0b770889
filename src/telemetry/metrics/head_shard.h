// SPDX-License-Identifier: Apache-2.0
// The part of one tenant's head that one shard owns: series, their index, and the samples not yet sealed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/labels.h"
#include "metrics/codec.h"
#include "metrics/hist_codec.h"
#include "metrics/label_index.h"
#include "metrics/slab.h"
#include "metrics/symbols.h"

namespace tocayo::metrics {

inline constexpr TimestampMs kMinTime = INT64_MIN;
inline constexpr TimestampMs kMaxTime = INT64_MAX;
inline constexpr unsigned kTailRows = 8;

// Stable hash of a label set; also in segments, so it never changes. `scratch` saves an allocation.
std::uint64_t series_hash(const Labels& labels, std::string& scratch);

// A sample that came out of order, in order of arrival. With `histogram` it is one, else a float.
struct LateRow {
  TimestampMs time;
  TimestampMs start;
  double value;
  bool integer;
  std::shared_ptr<const FloatHistogram> histogram;
};

// What few series have.
struct SeriesExtra {
  TimestampMs block_start = 0;  // BlockState::start of the chain
  TimestampMs tail_start[kTailRows] = {};
  std::vector<LateRow> late;
  std::string histograms;  // encoded rows, in order
  std::uint32_t histogram_count = 0;
  HistState histogram_state;
  std::shared_ptr<const FloatHistogram> applied_histogram;  // the row last pushed in order; null when it is a float
  std::shared_ptr<const FloatHistogram>
      newest_histogram;  // of the accepted row at Series::last_time, null when it is a float
};

// Two views of the newest row: accepted (validated and in the journal's hands) and applied (readable). Rows are applied
// after the journal has them.
struct Series {
  std::uint64_t hash = 0;
  const Symbol* labels = nullptr;    // name, value, …; in the shard's arena
  TimestampMs last_time = kMinTime;  // newest accepted
  double last_value = 0;
  TimestampMs applied_time = kMinTime;  // newest applied in order; survives sealing
  TimestampMs min_time = kMaxTime;      // oldest and newest row in memory
  TimestampMs max_time = kMinTime;
  TimestampMs block_time = 0;  // BlockState of the chain
  std::int64_t block_delta = 0;
  double block_value = 0;
  SlabNode* first_node = nullptr;
  SlabNode* last_node = nullptr;
  std::unique_ptr<SeriesExtra> extra;
  TimestampMs tail_base = 0;  // rows not yet in a block: time = base + offset
  double tail_value[kTailRows];
  std::int32_t tail_offset[kTailRows];
  SeriesId id = 0;
  std::uint32_t touched = 0;  // seconds, the store's clock, of the last accepted row
  std::uint32_t block_rows = 0;
  std::uint32_t pending = 0;  // rows accepted and not yet applied
  std::uint16_t label_count = 0;
  std::uint8_t tail_count = 0;
  bool logged = false;  // its definition is durable in the journal or a checkpoint
  bool last_is_histogram = false;
  bool stale = false;       // the newest accepted row is a stale marker
  std::uint16_t drops = 0;  // how often rows moved to a segment

  std::span<const Symbol> pairs() const { return {labels, std::size_t{label_count} * 2}; }
  bool has_rows() const { return min_time <= max_time; }
};

// What a reader may see of one series: rows that came in order up to `time`, and the first `late` others. When `drops`
// is not the series' any more, those others are in a segment by now.
struct Cut {
  TimestampMs time = kMinTime;
  std::uint32_t late = 0;
  std::uint16_t drops = 0;
};

// Rows of one series, in no particular order of time between `floats` and late ones; see merge_rows().
struct RowBuffer {
  std::vector<Row> floats;
  std::vector<HistRow> histograms;
  void clear() {
    floats.clear();
    histograms.clear();
  }
};
// Orders by time and keeps the first of several rows at one time, whatever its type.
void merge_rows(RowBuffer& rows);

class HeadShard {
 public:
  HeadShard() = default;
  ~HeadShard();
  HeadShard(const HeadShard&) = delete;
  HeadShard& operator=(const HeadShard&) = delete;

  // Writers hold it exclusively, readers shared. Everything below needs it.
  mutable std::shared_mutex mutex;

  Series* find(SeriesId id) const {
    const std::size_t page = id / kPageSize;
    return page < pages_.size() && pages_[page] ? pages_[page]->slots[id % kPageSize] : nullptr;
  }
  Series* find(std::uint64_t hash, const Labels& labels) const;
  // `id` 0 = the next one. Ids start at 1 and are never used twice.
  Series& create(std::uint64_t hash, const Labels& labels, SeriesId id = 0);
  void remove(Series& series);  // must have no rows and nothing pending
  SeriesId next_id() const { return next_id_; }
  void reserve_ids(SeriesId next) { next_id_ = std::max(next_id_, next); }

  // Applies one row: in order when it is newer than all applied ones, else among the late rows.
  void push(Series& series, const Row& row);
  void push(Series& series, const HistRow& row);
  // Forgets what was accepted but will not come (the request was aborted).
  void reset_accepted(Series& series);

  // Made when it is not there yet.
  SeriesExtra& extra_of(Series& series) { return extra(series); }

  // The applied row at exactly this time, if any.
  struct Found {
    double value = 0;
    std::shared_ptr<const FloatHistogram> histogram;
  };
  std::optional<Found> lookup(const Series& series, TimestampMs time) const;

  Cut cut(const Series& series) const {
    return {series.applied_time, series.extra ? static_cast<std::uint32_t>(series.extra->late.size()) : 0,
            series.drops};
  }
  // Appends the rows in [start, end] within the cut.
  void read(const Series& series, const Cut& cut, TimestampMs start, TimestampMs end, RowBuffer& out) const;
  // Drops what `cut` covers; it is in a segment now.
  void drop(Series& series, const Cut& cut);

  Labels labels_of(const Series& series) const;
  bool labels_equal(const Series& series, const Labels& labels) const;
  std::string_view text(Symbol symbol) const { return symbols_.text(symbol); }
  const SymbolTable& symbols() const { return symbols_; }
  const LabelIndex& index() const { return index_; }
  // Live series that match, ascending ids.
  std::vector<SeriesId> select(std::span<const Matcher> matchers) const;
  template <typename F>
  void for_each(F&& f) const {
    for (const auto& page : pages_) {
      if (!page) continue;
      for (Series* series : page->slots) {
        if (series != nullptr) f(*series);
      }
    }
  }
  // Ids from `from` on, at most `limit`; for work in slices.
  std::vector<SeriesId> ids_from(SeriesId from, std::size_t limit) const;

  std::size_t series_count() const { return series_count_; }
  std::size_t series_of_metric(std::string_view metric) const;
  // Builds symbols, label sets and postings anew when most of them belong to removed series. Returns whether it did.
  bool compact();

  // Range of the rows in memory that came in order; oldest > newest when there are none.
  TimestampMs oldest() const { return oldest_; }
  TimestampMs newest() const { return newest_; }
  void recompute_range();  // after drops

  // Bytes of samples in memory.
  std::size_t open_bytes() const { return slab_.used_bytes() + extra_bytes_; }
  struct Memory {
    std::size_t symbols, labels, postings, series, open;
  };
  Memory memory() const;

  // The rows that one request will apply, once the journal has them.
  class Pending {
   public:
    virtual ~Pending() = default;
    virtual std::optional<Found> at(const Series& series, TimestampMs time) = 0;
    // After another request was aborted: the newest rows of series are what is applied and what still comes.
    virtual void raise_accepted() = 0;
  };
  std::vector<Pending*> pending;  // of all requests under way

  // Positions of journal records whose rows are not applied yet.
  std::vector<std::uint64_t> in_flight;
  // Undo entries for readers that began before a request was applied; kept only while such readers live.
  struct Undo {
    std::uint64_t sequence;
    SeriesId id;
    Cut before;
  };
  std::deque<Undo> undo;
  std::uint64_t undo_lost = 0;  // entries up to this sequence were dropped to bound memory

  // Used when a checkpoint is written and read: the series' rows as bytes.
  void save_rows(const Series& series, std::string& out) const;
  bool load_rows(Series& series, std::span<const std::uint8_t>& in);

 private:
  static constexpr std::size_t kPageSize = 512;
  struct Page {
    Series* slots[kPageSize] = {};
    std::uint32_t live = 0;
  };

  void flush_tail(Series& series);
  void append_block(Series& series, std::span<const std::uint8_t> block);
  void note(Series& series, TimestampMs time) {
    series.min_time = std::min(series.min_time, time);
    series.max_time = std::max(series.max_time, time);
  }
  void note_in_order(TimestampMs time) {
    oldest_ = std::min(oldest_, time);
    newest_ = std::max(newest_, time);
  }
  SeriesExtra& extra(Series& series);
  const Symbol* store_labels(const Labels& labels);
  Symbol* label_space(std::size_t count);
  void table_insert(const Series& series);
  void rebuild_table(std::size_t minimum);

  std::vector<std::unique_ptr<Page>> pages_;
  SeriesId next_id_ = 1;
  std::size_t series_count_ = 0;
  std::size_t removed_ = 0;      // since the last compact()
  std::vector<SeriesId> table_;  // open addressing by hash; 0 = free
  std::size_t table_used_ = 0;   // slots taken, removed series included
  SymbolTable symbols_;
  LabelIndex index_;
  std::vector<std::unique_ptr<Symbol[]>> label_blocks_;
  std::size_t label_block_used_ = 0, label_block_size_ = 0, label_bytes_ = 0;
  SlabPool slab_;
  std::size_t extra_bytes_ = 0;  // late rows and histograms, about
  std::size_t extra_count_ = 0;
  TimestampMs oldest_ = kMaxTime, newest_ = kMinTime;
};

}  // namespace tocayo::metrics
