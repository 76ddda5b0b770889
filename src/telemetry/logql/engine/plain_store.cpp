// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/plain_store.h"

#include <algorithm>
#include <set>

namespace tocayo::logql {

namespace {

constexpr std::size_t kBatch = 2'048;

bool match_all(std::span<const Matcher> matchers, const Labels& labels) {
  return std::ranges::all_of(matchers, [&](const Matcher& m) { return m.matches(labels.get(m.name())); });
}

}  // namespace

void PlainStore::add(const Labels& stream, std::span<const logs::EntryRow> entries) {
  Stream& to = streams_[stream];
  to.labels = stream;
  for (const logs::EntryRow& row : entries) {
    Entry entry{row.time, 0, std::string(row.line), {}};
    for (const logs::LabelView& label : row.metadata) {
      entry.metadata.push_back({std::string(label.name), std::string(label.value)});
    }
    const auto [first, last] = std::ranges::equal_range(to.entries, row.time, {}, &Entry::time);
    const bool stored = std::any_of(
        first, last, [&](const Entry& other) { return other.line == entry.line && other.metadata == entry.metadata; });
    if (stored) continue;
    entry.order = next_order_++;
    to.entries.insert(last, std::move(entry));
    ++rows_;
  }
}

void PlainStore::add(std::span<const logs::StreamRows> streams) {
  for (const logs::StreamRows& rows : streams) add(*rows.labels, rows.entries);
}

class PlainStore::PlainScan final : public logs::Scan {
 public:
  static Result<std::unique_ptr<PlainScan>> create(const PlainStore& store, const logs::Selection& selection) {
    auto scan = std::make_unique<PlainScan>();
    scan->selection_ = selection;
    for (const logs::LineFilter& filter : selection.line_filters) {
      scan->filters_.push_back(TRY(logs::LineMatcher::create(filter)));
    }
    // Not in the order of labels: the interface promises none.
    for (auto at = store.streams_.rbegin(); at != store.streams_.rend(); ++at) {
      const Stream& stream = at->second;
      if (!match_all(selection.matchers, stream.labels)) continue;
      const auto index = static_cast<std::uint32_t>(scan->labels_.size());
      scan->labels_.push_back(stream.labels);
      const auto begin = std::ranges::lower_bound(stream.entries, selection.start, {}, &Entry::time);
      const auto end = std::ranges::lower_bound(stream.entries, selection.end, {}, &Entry::time);
      for (auto from = begin; from < end;) {
        const auto count = std::min<std::ptrdiff_t>(end - from, static_cast<std::ptrdiff_t>(store.morsel_rows_));
        scan->morsels_.push_back({from->time, (from + count - 1)->time, static_cast<std::uint64_t>(count)});
        scan->pieces_.push_back({index, std::span<const Entry>(from, from + count)});
        from += count;
      }
    }
    return scan;
  }

  std::span<const Labels> streams() const override { return labels_; }
  std::span<const logs::Morsel> morsels() const override { return morsels_; }
  std::vector<std::string> warnings() const override { return {}; }

  Result<> scan(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context, const Visitor& visit,
                logs::ScanStats& stats) const override {
    const Piece& piece = pieces_[morsel];
    std::vector<logs::Row> rows;
    std::vector<std::vector<logs::LabelView>> metadata;
    const auto flush = [&]() -> Result<bool> {
      if (rows.empty()) return true;
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i].metadata = metadata[i];
      const bool more = TRY(visit(rows));
      rows.clear();
      metadata.clear();
      return more;
    };
    ++stats.groups;
    start = std::max(start, selection_.start);
    end = std::min(end, selection_.end);
    for (const Entry& entry : piece.entries) {
      if (entry.time < start || entry.time >= end) continue;
      ++stats.rows;
      ++stats.head_rows;
      stats.bytes += entry.line.size();
      stats.bytes_read += entry.line.size();
      for (const Label& label : entry.metadata) stats.metadata_bytes += label.name.size() + label.value.size();
      if (!selected(entry, labels_[piece.stream])) continue;
      ++stats.rows_selected;
      rows.push_back({entry.time,
                      entry.order,
                      piece.stream,
                      static_cast<std::uint32_t>(entry.line.size()),
                      selection_.want_line ? std::string_view(entry.line) : std::string_view(),
                      {}});
      auto& views = metadata.emplace_back();
      if (selection_.want_metadata) {
        for (const Label& label : entry.metadata) views.push_back({label.name, label.value});
      }
      if (rows.size() == kBatch) {
        TRY(context.check());
        if (!TRY(flush())) return {};
      }
    }
    TRY(flush());
    return {};
  }

 private:
  struct Piece {
    std::uint32_t stream;
    std::span<const Entry> entries;
  };

  bool selected(const Entry& entry, const Labels& labels) const {
    for (const logs::LineMatcher& filter : filters_) {
      if (!filter.matches(entry.line)) return false;
    }
    return std::ranges::all_of(selection_.label_filters, [&](const Matcher& matcher) {
      std::string_view value = labels.get(matcher.name());
      if (value.empty()) {
        const auto at = std::ranges::find(entry.metadata, matcher.name(), &Label::name);
        if (at != entry.metadata.end()) value = at->value;
      }
      return matcher.matches(value);
    });
  }

  logs::Selection selection_;
  std::vector<logs::LineMatcher> filters_;
  std::vector<Labels> labels_;
  std::vector<logs::Morsel> morsels_;
  std::vector<Piece> pieces_;
};

Result<std::unique_ptr<logs::Scan>> PlainStore::select(const logs::Selection& selection, const Context& context) const {
  TRY(context.check());
  return TRY(PlainScan::create(*this, selection));
}

std::vector<const PlainStore::Stream*> PlainStore::matching(std::span<const std::vector<Matcher>> matcher_sets,
                                                            TimestampNs start, TimestampNs end) const {
  std::vector<const Stream*> found;
  for (const auto& [labels, stream] : streams_) {
    const auto first = std::ranges::lower_bound(stream.entries, start, {}, &Entry::time);
    if (first == stream.entries.end() || first->time >= end) continue;
    if (matcher_sets.empty() || std::ranges::any_of(matcher_sets, [&](const std::vector<Matcher>& matchers) {
          return match_all(matchers, labels);
        })) {
      found.push_back(&stream);
    }
  }
  return found;
}

Result<std::vector<Labels>> PlainStore::series(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                               TimestampNs end, const Context&) const {
  std::vector<Labels> labels;
  for (const Stream* stream : matching(matcher_sets, start, end)) labels.push_back(stream->labels);
  return labels;
}

Result<logs::NameList> PlainStore::label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                               TimestampNs end, const Context&) const {
  std::set<std::string> names;
  for (const Stream* stream : matching(matcher_sets, start, end)) {
    for (const Label& label : stream->labels) names.insert(label.name);
  }
  return logs::NameList{{names.begin(), names.end()}, false};
}

Result<logs::NameList> PlainStore::label_values(const std::string& name,
                                                std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                                TimestampNs end, const Context&) const {
  std::set<std::string> values;
  for (const Stream* stream : matching(matcher_sets, start, end)) {
    if (stream->labels.has(name)) values.emplace(stream->labels.get(name));
  }
  return logs::NameList{{values.begin(), values.end()}, false};
}

Result<std::vector<logs::StreamVolume>> PlainStore::volume(std::span<const Matcher> matchers, TimestampNs start,
                                                           TimestampNs end, const Context&) const {
  const std::vector<std::vector<Matcher>> sets{{matchers.begin(), matchers.end()}};
  std::vector<logs::StreamVolume> volumes;
  for (const Stream* stream : matching(sets, start, end)) {
    logs::StreamVolume volume{stream->labels, 0, 0};
    for (const Entry& entry : stream->entries) {
      if (entry.time < start || entry.time >= end) continue;
      ++volume.rows;
      volume.bytes += entry.line.size();
    }
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

}  // namespace tocayo::logql
