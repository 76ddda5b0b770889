// SPDX-License-Identifier: Apache-2.0
// Series and their index; the samples are in head_rows.cpp.
#include "metrics/head_shard.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace tocayo::metrics {
namespace {
constexpr std::size_t kLabelBlock = 16 * 1024;  // symbols
}

std::uint64_t series_hash(const Labels& labels, std::string& scratch) {
  scratch.clear();
  for (const Label& label : labels) {
    scratch += label.name;
    scratch += '\xff';
    scratch += label.value;
    scratch += '\xff';
  }
  return hash64(scratch);
}

HeadShard::~HeadShard() {
  for (auto& page : pages_) {
    if (!page) continue;
    for (Series* series : page->slots) delete series;
  }
}

bool HeadShard::labels_equal(const Series& series, const Labels& labels) const {
  if (series.label_count != labels.size()) return false;
  const Symbol* pair = series.labels;
  for (const Label& label : labels) {
    if (symbols_.text(pair[1]) != label.value || symbols_.text(pair[0]) != label.name) return false;
    pair += 2;
  }
  return true;
}

Series* HeadShard::find(std::uint64_t hash, const Labels& labels) const {
  if (table_.empty()) return nullptr;
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = hash & mask; table_[at] != 0; at = (at + 1) & mask) {
    Series* series = find(table_[at]);
    if (series != nullptr && series->hash == hash && labels_equal(*series, labels)) return series;
  }
  return nullptr;
}

void HeadShard::rebuild_table(std::size_t minimum) {
  std::size_t size = 64;
  while (size * 3 < minimum * 4) size *= 2;
  table_.assign(size, 0);
  table_.shrink_to_fit();
  table_used_ = 0;
  for_each([this](const Series& series) { table_insert(series); });
}

void HeadShard::table_insert(const Series& series) {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = series.hash & mask;
  while (table_[at] != 0) at = (at + 1) & mask;
  table_[at] = series.id;
  ++table_used_;
}

Symbol* HeadShard::label_space(std::size_t count) {
  if (label_block_used_ + count > label_block_size_) {
    label_block_size_ = std::max(count, label_blocks_.empty() ? kLabelBlock / 16 : kLabelBlock);
    label_blocks_.push_back(std::make_unique_for_overwrite<Symbol[]>(label_block_size_));
    label_block_used_ = 0;
    label_bytes_ += label_block_size_ * sizeof(Symbol);
  }
  Symbol* place = label_blocks_.back().get() + label_block_used_;
  label_block_used_ += count;
  return place;
}

const Symbol* HeadShard::store_labels(const Labels& labels) {
  Symbol* place = label_space(labels.size() * 2);
  Symbol* next = place;
  for (const Label& label : labels) {
    *next++ = symbols_.intern(label.name);
    *next++ = symbols_.intern(label.value);
  }
  return place;
}

Series& HeadShard::create(std::uint64_t hash, const Labels& labels, SeriesId id) {
  if (id == 0) id = next_id_;
  next_id_ = std::max(next_id_, id + 1);
  const std::size_t page = id / kPageSize;
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (!pages_[page]) pages_[page] = std::make_unique<Page>();
  auto* series = new Series;
  series->hash = hash;
  series->id = id;
  series->label_count = static_cast<std::uint16_t>(labels.size());
  series->labels = store_labels(labels);
  pages_[page]->slots[id % kPageSize] = series;
  ++pages_[page]->live;
  ++series_count_;
  if ((table_used_ + 1) * 4 > table_.size() * 3) {
    rebuild_table(series_count_ + series_count_ / 2);  // inserts this one too
  } else {
    table_insert(*series);
  }
  index_.add(id, series->pairs());
  return *series;
}

void HeadShard::remove(Series& series) {
  const std::size_t page = series.id / kPageSize;
  pages_[page]->slots[series.id % kPageSize] = nullptr;
  if (--pages_[page]->live == 0 && series.id + kPageSize < next_id_) pages_[page].reset();
  if (series.extra) --extra_count_;
  slab_.free_chain(series.first_node);
  delete &series;
  --series_count_;
  ++removed_;
}

bool HeadShard::compact() {
  if (removed_ < 256 || removed_ < series_count_ / 2) return false;
  SymbolTable symbols;
  LabelIndex index;
  auto old_blocks = std::move(label_blocks_);  // the old sets are read while the new ones are written
  label_blocks_.clear();
  label_block_used_ = label_block_size_ = label_bytes_ = 0;
  for_each([&](Series& series) {
    Symbol* place = label_space(series.label_count * 2);
    for (std::size_t i = 0; i < series.label_count * 2U; ++i)
      place[i] = symbols.intern(symbols_.text(series.labels[i]));
    series.labels = place;
    index.add(series.id, series.pairs());
  });
  symbols_ = std::move(symbols);
  index_.replace(std::move(index));
  rebuild_table(series_count_ + series_count_ / 4);
  removed_ = 0;
  return true;
}

Labels HeadShard::labels_of(const Series& series) const {
  std::vector<Label> labels;
  labels.reserve(series.label_count);
  for (std::size_t i = 0; i < series.label_count; ++i) {
    labels.push_back(
        {std::string(symbols_.text(series.labels[2 * i])), std::string(symbols_.text(series.labels[2 * i + 1]))});
  }
  return Labels::from_sorted(std::move(labels));
}

std::vector<SeriesId> HeadShard::select(std::span<const Matcher> matchers) const {
  auto ids = index_.select(matchers, symbols_, [this] {
    std::vector<SeriesId> all;
    all.reserve(series_count_);
    for_each([&](const Series& series) { all.push_back(series.id); });
    return all;
  });
  std::erase_if(ids, [this](SeriesId id) { return find(id) == nullptr; });
  return ids;
}

std::vector<SeriesId> HeadShard::ids_from(SeriesId from, std::size_t limit) const {
  std::vector<SeriesId> ids;
  for (std::size_t page = from / kPageSize; page < pages_.size() && ids.size() < limit; ++page) {
    if (!pages_[page]) continue;
    for (Series* series : pages_[page]->slots) {
      if (series != nullptr && series->id >= from && ids.size() < limit) ids.push_back(series->id);
    }
  }
  return ids;
}

std::size_t HeadShard::series_of_metric(std::string_view metric) const {
  const Symbol name = symbols_.find(kMetricName);
  const Symbol value = symbols_.find(metric);
  if (name == kNoSymbol || value == kNoSymbol) return 0;
  const LabelIndex::Name* names = index_.find(name);
  const LabelIndex::Value* found = names != nullptr ? names->find(value) : nullptr;
  if (found == nullptr) return 0;
  if (removed_ == 0) return found->postings.ids().size();
  std::size_t live = 0;
  for (SeriesId id : found->postings.ids()) live += find(id) != nullptr ? 1 : 0;
  return live;
}

HeadShard::Memory HeadShard::memory() const {
  std::size_t pages = pages_.capacity() * sizeof(void*);
  for (const auto& page : pages_) pages += page ? sizeof(Page) : 0;
  return {.symbols = symbols_.memory_bytes(),
          .labels = label_bytes_,
          .postings = index_.memory_bytes(),
          .series = series_count_ * (sizeof(Series) + 8) + pages + table_.capacity() * sizeof(SeriesId) +
                    undo.size() * sizeof(Undo),
          .open = slab_.memory_bytes() + extra_bytes_ + extra_count_ * (sizeof(SeriesExtra) + 8)};
}

}  // namespace tocayo::metrics
