// SPDX-License-Identifier: Apache-2.0
// Reading: one tenant at one moment, head and segments together.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "metrics/store_impl.h"

namespace tocayo::metrics {
namespace {

constexpr std::size_t kCheckEvery = 10'000;  // series between looks at the context
constexpr std::size_t kMeterEvery = 512;     // series between reports to the meter

struct HeadRef {
  std::int32_t shard = -1;  // -1: not in the head
  SeriesId id = 0;
  Cut cut;
};
struct SealedRef {
  std::uint32_t segment;  // index into the list
  std::uint32_t series;
};
struct Item {
  Labels labels;
  HeadRef head;
  std::vector<SealedRef> sealed;
};

// The part of `rows`, spread evenly over [first, last], that lies in [start, end]; at least 1.
std::uint64_t rows_within(std::uint64_t rows, TimestampMs first, TimestampMs last, TimestampMs start, TimestampMs end) {
  if (rows <= 1 || (start <= first && end >= last)) return std::max<std::uint64_t>(rows, 1);
  const double whole = static_cast<double>(last) - static_cast<double>(first) + 1;
  const double part = static_cast<double>(std::min(last, end)) - static_cast<double>(std::max(first, start)) + 1;
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(static_cast<double>(rows) * part / whole), 1, rows);
}

// Reports what a selection takes to its meter, in batches.
class Metered {
 public:
  Metered(QueryMeter* meter, TimestampMs start, TimestampMs end) : meter_(meter), start_(start), end_(end) {
    if (meter_ != nullptr) hashes_.reserve(kMeterEvery);
  }

  bool counts_bytes() const { return meter_ != nullptr && meter_->limits().max_chunk_bytes != 0; }
  // `rows` rows of `bytes` over [first, last] of one series; `memory` 0 when the series is known already.
  Result<> add(std::uint64_t hash, std::uint64_t rows, std::uint64_t bytes, TimestampMs first, TimestampMs last,
               std::uint64_t memory) {
    if (meter_ == nullptr) return {};
    const std::uint64_t inside = rows_within(rows, first, last, start_, end_);
    chunks_ += (inside + kSamplesPerChunk - 1) / kSamplesPerChunk;
    bytes_ += rows == 0 ? bytes
                        : static_cast<std::uint64_t>(static_cast<double>(bytes) * static_cast<double>(inside) /
                                                     static_cast<double>(rows));
    memory_ += memory;
    hashes_.push_back(hash);
    return hashes_.size() < kMeterEvery ? Result<>{} : flush();
  }
  Result<> flush() {
    if (meter_ == nullptr || hashes_.empty()) return {};
    auto fetched = meter_->fetch(hashes_, chunks_, bytes_, memory_);
    hashes_.clear();
    chunks_ = bytes_ = memory_ = 0;
    return fetched;
  }

 private:
  QueryMeter* meter_;
  TimestampMs start_, end_;
  std::vector<std::uint64_t> hashes_;
  std::uint64_t chunks_ = 0, bytes_ = 0, memory_ = 0;
};

// What a reader that began at `sequence` may see of the series that later requests changed.
std::unordered_map<SeriesId, Cut> cuts_before(const HeadShard& head, std::uint64_t sequence) {
  std::unordered_map<SeriesId, Cut> cuts;
  for (const HeadShard::Undo& undo : head.undo) {
    if (undo.sequence > sequence) cuts.try_emplace(undo.id, undo.before);  // the oldest one counts
  }
  return cuts;
}

void fill(const RowBuffer& rows, SampleColumns& out) {
  out.clear();
  bool starts = false;
  out.times.reserve(rows.floats.size());
  out.values.reserve(rows.floats.size());
  for (const Row& row : rows.floats) {
    out.times.push_back(row.time);
    out.values.push_back(row.value);
    starts = starts || row.start != 0;
  }
  if (starts) {
    for (const Row& row : rows.floats) out.start_times.push_back(row.start);
  }
  starts = false;
  for (const HistRow& row : rows.histograms) {
    out.histogram_times.push_back(row.time);
    out.histograms.push_back(row.histogram);
    starts = starts || row.start != 0;
  }
  if (starts) {
    for (const HistRow& row : rows.histograms) out.histogram_start_times.push_back(row.start);
  }
}

class StoreSeriesSet final : public SeriesSet {
 public:
  std::size_t size() const override { return items.size(); }
  const Labels& labels(std::size_t index) const override { return items[index].labels; }
  Result<> read(std::size_t index, SampleColumns& out) const override;

  std::shared_ptr<Tenant> tenant;  // shared: the set may outlive the querier
  std::shared_ptr<const SegmentList> segments;
  std::vector<Item> items;
  TimestampMs start = 0, end = 0;
};

Result<> StoreSeriesSet::read(std::size_t index, SampleColumns& out) const {
  thread_local RowBuffer rows;
  rows.clear();
  const Item& item = items[index];
  for (const SealedRef& ref : item.sealed) {
    if (auto read = (*segments)[ref.segment].segment->read(ref.series, start, end, rows); !read) return read;
  }
  if (item.head.shard >= 0) {
    const HeadShard& head = *tenant->shards[static_cast<std::size_t>(item.head.shard)];
    std::shared_ptr<const SegmentList> newer;
    {
      std::shared_lock lock(head.mutex);
      const Series* series = head.find(item.head.id);
      if (series != nullptr) head.read(*series, item.head.cut, start, end, rows);
      if (series == nullptr || series->drops != item.head.cut.drops) newer = tenant->segments();
    }
    if (newer) {
      // Rows moved from the head to a segment since the cut was taken.
      const std::uint64_t known = segments->empty() ? 0 : segments->back().sequence;
      for (const SegmentEntry& entry : *newer) {
        if (entry.sequence <= known || !entry.segment->overlaps(start, end)) continue;
        if (auto ok = entry.segment->check_index(); !ok) return ok;
        auto series = entry.segment->find(item.labels);
        if (!series) continue;
        if (auto read = entry.segment->read(*series, start, std::min(end, item.head.cut.time), rows); !read)
          return read;
      }
    }
  }
  merge_rows(rows);
  fill(rows, out);
  return {};
}

// Texts without doubles: all, or only the first `limit` (0: all) in order and whether there were more. Of a limited
// list most texts are passed over without a copy.
class FoundNames {
 public:
  explicit FoundNames(std::size_t limit) : limit_(limit) {}

  // Whether adding it would change anything: of many names most are beyond the first ones, and need not be looked at.
  bool wants(std::string_view text) const { return limit_ == 0 || first_.size() <= limit_ || text < *first_.rbegin(); }
  void add(std::string_view text) {
    if (limit_ == 0) {
      all_.emplace(text);
    } else if (wants(text) && first_.emplace(text).second && first_.size() > limit_ + 1) {
      first_.erase(std::prev(first_.end()));
    }
  }

  NameList take() && {
    NameList result;
    if (limit_ == 0) {
      result.names.assign(std::move_iterator(all_.begin()), std::move_iterator(all_.end()));
      std::ranges::sort(result.names);
    } else {
      result.truncated = first_.size() > limit_;
      if (result.truncated) first_.erase(std::prev(first_.end()));
      result.names.assign(first_.begin(), first_.end());
    }
    return result;
  }

 private:
  std::size_t limit_;
  std::unordered_set<std::string> all_;
  std::set<std::string, std::less<>> first_;
};

class StoreQuerier final : public Querier {
 public:
  explicit StoreQuerier(std::shared_ptr<Tenant> tenant)
      : tenant_(std::move(tenant)), sequence_(tenant_->begin_read()) {}
  ~StoreQuerier() override { tenant_->end_read(sequence_); }

  Result<std::unique_ptr<SeriesSet>> select(std::span<const Matcher> matchers, const SelectHints& hints,
                                            const Context& context) const override;
  Result<NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start, TimestampMs end,
                               std::size_t limit, const Context& context) const override;
  Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                TimestampMs start, TimestampMs end, std::size_t limit,
                                const Context& context) const override;

 private:
  Result<> select_head(StoreSeriesSet& set, std::span<const Matcher> matchers, Metered& metered,
                       const Context& context) const;
  Result<> select_segments(StoreSeriesSet& set, std::span<const Matcher> matchers, Metered& metered,
                           const Context& context) const;
  // Adds every label name, or value of `name`, to `found`.
  Result<> gather(const std::string* name, std::span<const Matcher> matchers, TimestampMs start, TimestampMs end,
                  FoundNames& found, const Context& context) const;
  Result<NameList> list(const std::string* name, std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start,
                        TimestampMs end, std::size_t limit, const Context& context) const;

  std::shared_ptr<Tenant> tenant_;  // shared: a tenant may be dropped while it is read
  std::uint64_t sequence_;
};

std::uint64_t memory_of(const Item& item) {
  constexpr std::uint64_t kHashEntry = 48;  // of select_segments' table
  return sizeof(Item) - sizeof(Labels) + memory_bytes(item.labels) + item.sealed.capacity() * sizeof(SealedRef) +
         kHashEntry;
}

bool in_range(const Series& series, TimestampMs start, TimestampMs end) {
  return series.has_rows() && series.min_time <= end && series.max_time >= start;
}

// Rows of a series in the head.
std::uint64_t rows_of(const Series& series) {
  std::uint64_t rows = std::uint64_t{series.block_rows} + series.tail_count;
  if (series.extra) rows += series.extra->late.size() + series.extra->histogram_count;
  return rows;
}
// Bytes they take. O(nodes of the chain).
std::uint64_t bytes_of(const Series& series) {
  std::uint64_t bytes = std::uint64_t{series.tail_count} * (sizeof(double) + sizeof(std::int32_t));
  for (const SlabNode* node = series.first_node; node != nullptr; node = node->next) bytes += node->used;
  if (series.extra) bytes += series.extra->histograms.size() + series.extra->late.size() * sizeof(LateRow);
  return bytes;
}

Result<> StoreQuerier::select_head(StoreSeriesSet& set, std::span<const Matcher> matchers, Metered& metered,
                                   const Context& context) const {
  for (std::size_t shard = 0; shard < tenant_->shards.size(); ++shard) {
    const HeadShard& head = *tenant_->shards[shard];
    std::shared_lock lock(head.mutex);
    auto ids = head.select(matchers);
    const auto cuts = cuts_before(head, sequence_);
    std::size_t done = 0;
    for (SeriesId id : ids) {
      if (++done % kCheckEvery == 0) {
        if (auto ok = context.check(); !ok) return ok;
      }
      const Series& series = *head.find(id);
      if (!in_range(series, set.start, set.end)) continue;
      Cut cut = head.cut(series);
      if (auto before = cuts.find(id); before != cuts.end()) cut = before->second;
      if (cut.time == kMinTime && cut.late == 0) continue;
      set.items.push_back({head.labels_of(series), {static_cast<std::int32_t>(shard), id, cut}, {}});
      if (auto ok = metered.add(series.hash, rows_of(series), metered.counts_bytes() ? bytes_of(series) : 0,
                                series.min_time, series.max_time, memory_of(set.items.back()));
          !ok)
        return ok;
    }
  }
  return {};
}

Result<> StoreQuerier::select_segments(StoreSeriesSet& set, std::span<const Matcher> matchers, Metered& metered,
                                       const Context& context) const {
  std::unordered_multimap<std::uint64_t, std::size_t> by_hash;
  std::string scratch;
  bool indexed = false;
  for (std::uint32_t s = 0; s < set.segments->size(); ++s) {
    const Segment& segment = *(*set.segments)[s].segment;
    if (!segment.overlaps(set.start, set.end)) continue;
    if (auto ok = segment.check_index(); !ok) return ok;
    if (auto ok = context.check(); !ok) return ok;
    if (!indexed) {
      for (std::size_t i = 0; i < set.items.size(); ++i) by_hash.emplace(series_hash(set.items[i].labels, scratch), i);
      indexed = true;
    }
    for (std::uint32_t series : segment.select(matchers)) {
      const auto [min_time, max_time] = segment.time_range(series);
      if (min_time > set.end || max_time < set.start) continue;
      const std::uint64_t hash = segment.hash(series);
      auto [first, last] = by_hash.equal_range(hash);
      while (first != last && !segment.labels_equal(series, set.items[first->second].labels)) ++first;
      if (first == last) {
        by_hash.emplace(hash, set.items.size());
        set.items.push_back({segment.labels(series), {}, {{s, series}}});
      } else {
        set.items[first->second].sealed.push_back({s, series});
      }
      const Segment::Extent extent = segment.extent(series);
      if (auto ok = metered.add(hash, extent.rows, extent.bytes, min_time, max_time,
                                first == last ? memory_of(set.items.back()) : sizeof(SealedRef));
          !ok)
        return ok;
    }
  }
  return {};
}

Result<std::unique_ptr<SeriesSet>> StoreQuerier::select(std::span<const Matcher> matchers, const SelectHints& hints,
                                                        const Context& context) const {
  auto set = std::make_unique<StoreSeriesSet>();
  set->tenant = tenant_;
  set->start = hints.start;
  set->end = hints.end;
  Metered metered(hints.meter, hints.start, hints.end);
  if (auto ok = select_head(*set, matchers, metered, context); !ok) return std::unexpected(std::move(ok.error()));
  // After the head: what left it before we looked is in this list for sure.
  set->segments = tenant_->segments();
  if (auto ok = select_segments(*set, matchers, metered, context); !ok) return std::unexpected(std::move(ok.error()));
  if (auto ok = metered.flush(); !ok) return std::unexpected(std::move(ok.error()));
  std::sort(set->items.begin(), set->items.end(), [](const Item& a, const Item& b) { return a.labels < b.labels; });
  if (hints.limit != 0 && set->items.size() > hints.limit) set->items.resize(hints.limit);
  return set;
}

Result<> StoreQuerier::gather(const std::string* name, std::span<const Matcher> matchers, TimestampMs start,
                              TimestampMs end, FoundNames& found, const Context& context) const {
  for (const auto& shard : tenant_->shards) {
    const HeadShard& head = *shard;
    std::shared_lock lock(head.mutex);
    if (auto ok = context.check(); !ok) return ok;
    const Symbol wanted = name != nullptr ? head.symbols().find(*name) : kNoSymbol;
    if (name != nullptr && wanted == kNoSymbol) continue;
    auto live = [&](SeriesId id) {
      const Series* series = head.find(id);
      return series != nullptr && in_range(*series, start, end);
    };
    if (matchers.empty()) {
      auto any = [&](const LabelIndex::Value& value) {
        auto ids = value.postings.ids();
        return std::any_of(ids.begin(), ids.end(), live);
      };
      if (name != nullptr) {
        if (const LabelIndex::Name* values = head.index().find(wanted)) {
          for (const auto& value : values->values) {
            const std::string_view text = head.text(value.symbol);
            if (found.wants(text) && any(value)) found.add(text);
          }
        }
      } else {
        for (const auto& [symbol, values] : head.index().names()) {
          if (std::any_of(values.values.begin(), values.values.end(), any)) found.add(head.text(symbol));
        }
      }
      continue;
    }
    std::unordered_set<Symbol> symbols;
    for (SeriesId id : head.select(matchers)) {
      if (!live(id)) continue;
      auto pairs = head.find(id)->pairs();
      for (std::size_t i = 0; i < pairs.size(); i += 2) {
        if (name == nullptr) {
          symbols.insert(pairs[i]);
        } else if (pairs[i] == wanted) {
          symbols.insert(pairs[i + 1]);
        }
      }
    }
    for (Symbol symbol : symbols) found.add(head.text(symbol));
  }
  auto segments = tenant_->segments();
  for (const SegmentEntry& entry : *segments) {
    const Segment& segment = *entry.segment;
    if (!segment.overlaps(start, end)) continue;
    if (auto ok = segment.check_index(); !ok) return ok;
    if (auto ok = context.check(); !ok) return ok;
    if (matchers.empty()) {
      if (name == nullptr) {
        segment.for_each_name([&](std::string_view label) { found.add(label); });
      } else {
        segment.for_each_pair(*name, [&](std::string_view, std::string_view value, std::span<const std::uint32_t> ids) {
          if (!found.wants(value)) return true;
          const bool live = std::any_of(ids.begin(), ids.end(), [&](std::uint32_t id) {
            const auto [min_time, max_time] = segment.time_range(id);
            return min_time <= end && max_time >= start;
          });
          if (live) found.add(value);
          return true;
        });
      }
      continue;
    }
    for (std::uint32_t series : segment.select(matchers)) {
      const auto [min_time, max_time] = segment.time_range(series);
      if (min_time > end || max_time < start) continue;
      for (const Label& label : segment.labels(series)) {
        if (name == nullptr) {
          found.add(label.name);
        } else if (label.name == *name) {
          found.add(label.value);
        }
      }
    }
  }
  return {};
}

Result<NameList> StoreQuerier::list(const std::string* name, std::span<const std::vector<Matcher>> matcher_sets,
                                    TimestampMs start, TimestampMs end, std::size_t limit,
                                    const Context& context) const {
  FoundNames found(limit);
  if (matcher_sets.empty()) {
    if (auto ok = gather(name, {}, start, end, found, context); !ok) return std::unexpected(std::move(ok.error()));
  }
  for (const auto& matchers : matcher_sets) {
    if (auto ok = gather(name, matchers, start, end, found, context); !ok)
      return std::unexpected(std::move(ok.error()));
  }
  return std::move(found).take();
}

Result<NameList> StoreQuerier::label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start,
                                           TimestampMs end, std::size_t limit, const Context& context) const {
  return list(nullptr, matcher_sets, start, end, limit, context);
}

Result<NameList> StoreQuerier::label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                            TimestampMs start, TimestampMs end, std::size_t limit,
                                            const Context& context) const {
  return list(&name, matcher_sets, start, end, limit, context);
}

}  // namespace

std::vector<BlockStats> StoreImpl::blocks(std::string_view name) const {
  std::vector<BlockStats> list;
  const auto tenant = find_tenant(name);
  if (!tenant) return list;
  for (const SegmentEntry& entry : *tenant->segments()) {
    const Segment& segment = *entry.segment;
    list.push_back({entry.sequence, segment.min_time(), segment.max_time(), segment.samples(), segment.series_count(),
                    segment.file_bytes()});
  }
  return list;
}

std::shared_ptr<const Querier> StoreImpl::querier(std::string_view name) {
  auto tenant = find_tenant(name);
  // Reading an unknown tenant must not create it.
  if (!tenant) tenant = std::make_shared<Tenant>(std::string(name), 0, 0);
  return std::make_shared<StoreQuerier>(std::move(tenant));
}

}  // namespace tocayo::metrics
