// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <set>

#include "logs/segment.h"
#include "logs/segment/bytes.h"
#include "logs/segment/group_columns.h"
#include "logs/segment/group_search.h"
#include "logs/segment/parts.h"
#include "logs/segment/segment_impl.h"
#include "logs/segment/selection.h"

namespace tocayo::logs {

Result<std::string> decompress_part(std::string_view part, std::size_t limit) {
  ByteReader reader(part);
  const auto size = reader.varint();
  if (!reader.ok() || size > limit) return fail(ErrorKind::bad_input, "a compressed part is damaged");
  std::string out(size, '\0');
  const auto got = ZSTD_decompress(out.data(), out.size(), reader.rest().data(), reader.rest().size());
  if (ZSTD_isError(got) != 0 || got != size) return fail(ErrorKind::bad_input, "a compressed part is damaged");
  return out;
}

namespace {
constexpr std::size_t kBatch = 2048;
}  // namespace

namespace {

// The rows of a group that streams, times and label filters leave; nullopt: none can be left.
struct Candidates {
  RowSet set;
  std::uint64_t covered = 0;
};

Result<Candidates> candidates(GroupRows& rows, std::span<const std::uint32_t> stream_map, TimestampNs start,
                              TimestampNs end) {
  const auto& head = *rows.view().head;
  const bool whole_time = head.min_time >= start && head.max_time < end;
  std::span<const std::int64_t> times;
  if (!whole_time) times = TRY(rows.times());
  Candidates out{.set = RowSet(rows.size())};
  std::size_t row = 0;
  for (std::uint32_t s = 0; s < head.stream_count; ++s) {
    const std::size_t next = row + rows.view().stream_rows[s];
    if (stream_map[head.first_stream + s] != SegmentReader::kSkipStream) {
      if (whole_time) {
        out.set.add_range(row, next);
        out.covered += next - row;
      }
      for (std::size_t i = row; !whole_time && i < next; ++i) {
        if (times[i] >= start && times[i] < end) {
          out.set.add(i);
          ++out.covered;
        }
      }
    }
    row = next;
  }
  return out;
}

// Hands the rows of a set over in batches.
class Emitter {
 public:
  Emitter(GroupRows& rows, const Selection& selection, std::span<const std::uint32_t> stream_map, std::uint64_t order)
      : rows_(rows), selection_(selection), stream_map_(stream_map), order_(order) {}

  Result<bool> run(const RowSet& set, const Context& context, const Scan::Visitor& visit) {
    times_ = TRY(rows_.times());
    std::vector<std::uint32_t> wanted;
    wanted.reserve(set.count());
    set.each([&](std::size_t row) { wanted.push_back(static_cast<std::uint32_t>(row)); });
    stream_end_ = rows_.view().stream_rows[0];
    for (std::size_t i = 0; i < wanted.size(); i += kBatch) {
      TRY(context.check());
      TRY(fill(std::span<const std::uint32_t>(wanted).subspan(i, std::min(kBatch, wanted.size() - i))));
      if (!TRY(visit(batch_))) return false;
    }
    return true;
  }

 private:
  Result<> fill(std::span<const std::uint32_t> rows) {
    const auto& head = *rows_.view().head;
    if (selection_.want_line) {
      TRY(rows_.lines(rows, lines_));
    } else if (selection_.want_length) {
      TRY(rows_.lengths(rows, lengths_));
    } else {
      lengths_.assign(rows.size(), 0);
    }
    if (selection_.want_metadata) TRY(rows_.metadata(rows, metadata_));
    batch_.resize(rows.size());
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const auto row = rows[k];
      while (row >= stream_end_) stream_end_ += rows_.view().stream_rows[++stream_];
      auto& out = batch_[k];
      out.time = times_[row];
      out.order = order_ + row;
      out.stream = stream_map_[head.first_stream + stream_];
      if (selection_.want_line) {
        out.line = lines_.line(k);
        out.length = static_cast<std::uint32_t>(out.line.size());
      } else {
        out.length = lengths_[k];
      }
      if (selection_.want_metadata) out.metadata = metadata_.of(k);
    }
    return {};
  }

  GroupRows& rows_;
  const Selection& selection_;
  std::span<const std::uint32_t> stream_map_;
  std::uint64_t order_;
  std::span<const std::int64_t> times_;
  std::uint32_t stream_ = 0;
  std::size_t stream_end_ = 0;
  std::vector<Row> batch_;
  LineBatch lines_;
  std::vector<std::uint32_t> lengths_;
  MetadataBatch metadata_;
};

}  // namespace

SegmentReader::SegmentReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentReader::~SegmentReader() = default;

Result<std::shared_ptr<SegmentReader>> SegmentReader::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->file = TRY(MappedFile::open(path));
  TRY(impl->read_footer());
  TRY(impl->read_facts());
  TRY(impl->read_streams());
  TRY(impl->read_templates());
  impl->dictionary = TRY(Dictionary::open(TRY(impl->section(impl->footer.dictionary, impl->footer.dictionary_size))));
  TRY(impl->read_trained());
  TRY(impl->read_groups());
  return std::shared_ptr<SegmentReader>(new SegmentReader(std::move(impl)));
}

const SegmentInfo& SegmentReader::info() const { return impl_->info; }
std::span<const SegmentStream> SegmentReader::streams() const { return impl_->streams; }
std::span<const SegmentGroup> SegmentReader::groups() const { return impl_->groups; }

// The rows of a group that a selection chose.
struct SegmentReader::Chosen {
  GroupRows& rows;
  const RowSet& set;
  std::uint64_t first_order;
};

Result<> SegmentReader::scan(std::uint32_t group, const CompiledSelection& selection,
                             std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                             const Context& context, const Scan::Visitor& visit, ScanStats& stats) const {
  auto take = [&](const Chosen& chosen) -> Result<> {
    TRY(Emitter(chosen.rows, selection.selection(), stream_map, chosen.first_order).run(chosen.set, context, visit));
    return {};
  };
  return choose(group, selection, stream_map, start, end, context, take, stats);
}

Result<> SegmentReader::scan_columns(std::uint32_t group, const CompiledSelection& selection,
                                     std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                                     std::uint64_t first_order, const Context& context,
                                     const Scan::ColumnVisitor& visit, ScanStats& stats) const {
  auto take = [&](const Chosen& chosen) -> Result<> {
    GroupColumns columns(chosen.rows, chosen.set, selection.selection(), stream_map, *impl_->dictionary,
                         first_order + chosen.first_order);
    return visit(columns);
  };
  return choose(group, selection, stream_map, start, end, context, take, stats);
}

Result<> SegmentReader::choose(std::uint32_t group, const CompiledSelection& selection,
                               std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                               const Context& context, const std::function<Result<>(const Chosen&)>& take,
                               ScanStats& stats) const {
  auto work = [&]() -> Result<> {
    const auto& summary = impl_->groups[group];
    if (summary.max_time < start || summary.min_time >= end) return {};
    const auto& view = *TRY(impl_->view(group));
    const auto first = stream_map.begin() + view.head->first_stream;
    if (std::all_of(first, first + view.head->stream_count, [](auto number) { return number == kSkipStream; }))
      return {};
    auto rows = impl_->rows(view);
    auto [set, covered] = TRY(candidates(rows, stream_map, start, end));
    if (covered == 0) return {};
    ++stats.groups;
    stats.rows += covered;
    stats.bytes += view.head->raw_bytes * covered / view.head->rows;
    stats.metadata_bytes += view.head->metadata_bytes * covered / view.head->rows;
    const auto plan = selection.plan_for(impl_.get(), impl_->shapes, *impl_->dictionary);
    GroupSearch search(rows, selection, *plan);
    auto skip = [&] {
      ++stats.groups_skipped;
      stats.bytes_read += rows.bytes_read();
    };
    if (!search.may_match()) {
      skip();
      return {};
    }
    const auto& filters = selection.selection().label_filters;
    for (std::size_t f = 0; f < filters.size(); ++f) {
      // Streams that have the label are decided by it.
      RowSet by_label(rows.size());
      bool any_metadata = false;
      std::size_t row = 0;
      for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
        const auto value = impl_->streams[view.head->first_stream + s].labels.get(filters[f].name());
        const auto next = row + view.stream_rows[s];
        if (value.empty()) {
          any_metadata = true;
        } else if (filters[f].matches(value)) {
          for (; row < next; ++row) by_label.add(row);
        }
        row = next;
      }
      if (any_metadata && search.metadata_may_match(f)) {
        auto matches = TRY(search.metadata_matches(f));
        row = 0;
        for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
          const bool own = !impl_->streams[view.head->first_stream + s].labels.get(filters[f].name()).empty();
          const auto next = row + view.stream_rows[s];
          for (; row < next; ++row) {
            if (!own && matches.has(row)) by_label.add(row);
          }
        }
      }
      set &= by_label;
      if (set.empty()) {
        skip();
        return {};
      }
    }
    TRY(search.apply_line_filters(set, context));
    const auto selected = set.count();
    stats.rows_selected += selected;
    if (selected != 0) {
      std::uint64_t order = 0;
      for (std::uint32_t g = 0; g < group; ++g) order += impl_->groups[g].rows;
      TRY(take({rows, set, order}));
    }
    stats.bytes_read += rows.bytes_read();
    return {};
  };
  return impl_->located(group, work());
}

bool SegmentReader::may_match(std::uint32_t group, const CompiledSelection& selection) const {
  const auto& label_filters = selection.selection().label_filters;
  if (selection.filters().empty() && label_filters.empty()) return true;
  const auto view = impl_->view(group);
  if (!view) return true;  // the scan will say what is damaged
  const auto plan = selection.plan_for(impl_.get(), impl_->shapes, *impl_->dictionary);
  auto rows = impl_->rows(**view);
  GroupSearch search(rows, selection, *plan);
  for (std::size_t f = 0; f < label_filters.size(); ++f) {
    // Streams that have the label themselves are decided by it.
    if (label(label_filters[f].name()).values.empty() && !search.metadata_may_match(f)) return false;
  }
  return search.may_match();
}

bool SegmentReader::may_match(const CompiledSelection& selection) const {
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    if (may_match(group, selection)) return true;
  }
  return false;
}

void SegmentReader::count_skipped(std::uint32_t group, std::span<const char> wanted, ScanStats& stats) const {
  const auto view = impl_->view(group);
  if (!view) return;
  const auto& head = *(*view)->head;
  std::uint64_t covered = 0;
  for (std::uint32_t s = 0; s < head.stream_count; ++s) {
    if (wanted[head.first_stream + s] != 0) covered += (*view)->stream_rows[s];
  }
  if (covered == 0) return;
  ++stats.groups;
  ++stats.groups_skipped;
  stats.rows += covered;
  stats.bytes += head.raw_bytes * covered / head.rows;
  stats.metadata_bytes += head.metadata_bytes * covered / head.rows;
}

const SegmentReader::LabelFacts& SegmentReader::label(std::string_view name) const {
  std::scoped_lock lock(impl_->labels_mutex);
  if (auto found = impl_->labels.find(name); found != impl_->labels.end()) return *found->second;
  auto facts = std::make_unique<LabelFacts>();
  facts->everywhere = true;
  std::set<std::string_view> values;
  for (const auto& stream : impl_->streams) {
    const auto value = stream.labels.get(name);
    if (value.empty()) {
      facts->everywhere = false;
    } else {
      values.insert(value);
    }
  }
  facts->values.assign(values.begin(), values.end());
  return *impl_->labels.emplace(name, std::move(facts)).first->second;
}

void SegmentReader::release(std::uint32_t group) const {
  const auto view = impl_->view(group);
  if (!view) return;
  auto begin = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t end = 0;
  for (const auto& block : (*view)->blocks) {
    begin = std::min(begin, block.offset);
    end = std::max(end, block.offset + block.stored);
  }
  if (begin < end) impl_->file->release(begin, end - begin);
}

Result<> SegmentReader::volume(
    std::span<const std::uint32_t> wanted, TimestampNs start, TimestampNs end,
    const std::function<void(std::uint32_t stream, std::uint64_t rows, std::uint64_t bytes)>& visit) const {
  std::vector<std::uint32_t> partly;
  for (auto stream : wanted) {
    const auto& facts = impl_->streams[stream];
    if (facts.max_time < start || facts.min_time >= end) continue;
    if (facts.min_time >= start && facts.max_time < end) {
      visit(stream, facts.rows, facts.bytes);
    } else {
      partly.push_back(stream);
    }
  }
  if (partly.empty()) return {};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sums(impl_->streams.size());
  std::vector<bool> ask(impl_->streams.size());
  for (auto stream : partly) ask[stream] = true;
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    const auto& summary = impl_->groups[group];
    if (summary.max_time < start || summary.min_time >= end) continue;
    const auto& view = *TRY(impl_->view(group));
    auto rows = impl_->rows(view);
    auto work = [&]() -> Result<> {
      const auto times = TRY(rows.times());
      std::uint32_t row = 0;
      std::vector<std::uint32_t> within;
      std::vector<std::uint32_t> lengths;
      for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
        const auto stream = view.head->first_stream + s;
        const auto next = row + view.stream_rows[s];
        within.clear();
        for (; ask[stream] && row < next; ++row) {
          if (times[row] >= start && times[row] < end) within.push_back(row);
        }
        row = next;
        if (within.empty()) continue;
        TRY(rows.lengths(within, lengths));
        sums[stream].first += within.size();
        for (auto length : lengths) sums[stream].second += length;
      }
      return {};
    };
    TRY(impl_->located(group, work()));
  }
  for (auto stream : partly) {
    if (sums[stream].first != 0) visit(stream, sums[stream].first, sums[stream].second);
  }
  return {};
}

Result<> SegmentReader::verify() const {
  TRY(impl_->dictionary->verify());
  std::vector<std::uint32_t> all(impl_->streams.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const auto selection = TRY(compile(Selection{.start = INT64_MIN, .end = INT64_MAX}));
  std::vector<std::uint64_t> rows(all.size());
  std::vector<std::uint64_t> bytes(all.size());
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    ScanStats stats;
    TRY(scan(
        group, *selection, all, INT64_MIN, INT64_MAX, Context{},
        [&](std::span<const Row> batch) -> Result<bool> {
          for (const auto& row : batch) {
            ++rows[row.stream];
            bytes[row.stream] += row.line.size();
          }
          return true;
        },
        stats));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (rows[i] != impl_->streams[i].rows || bytes[i] != impl_->streams[i].bytes) {
      return fail(ErrorKind::internal, fmt::format("{}: rows or bytes of {} do not add up", impl_->path.string(),
                                                   impl_->streams[i].labels.to_string(false)));
    }
  }
  return {};
}

Result<> SegmentReader::patterns(std::uint32_t group, const CompiledSelection& selection,
                                 std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                                 const Context& context, const PatternVisitor& visit,
                                 const PatternVisitor& loose) const {
  const auto& view = *TRY(impl_->view(group));
  auto rows = impl_->rows(view);
  std::vector<std::string> texts;
  for (const auto& entry : view.templates) texts.push_back(impl_->shapes[entry.id].pattern());
  std::uint64_t order = 0;
  for (std::uint32_t g = 0; g < group; ++g) order += impl_->groups[g].rows;
  ScanStats stats;
  struct Loose {
    std::uint32_t row;
    std::string_view level;
    TimestampNs time;
  };
  std::vector<Loose> without;
  std::vector<std::uint32_t> which;
  LineBatch lines;
  auto each = [&](std::span<const Row> batch) -> Result<bool> {
    const auto ids = TRY(rows.template_ids());
    without.clear();
    for (const auto& row : batch) {
      const auto at = static_cast<std::uint32_t>(row.order - order);
      const auto local = static_cast<std::size_t>(ids[at]);
      std::string_view level;
      for (const auto& pair : row.metadata) {
        if (pair.name == "detected_level") level = pair.value;
      }
      if (local < texts.size()) {
        visit(texts[local], level, row.time);
      } else {
        without.push_back({at, level, row.time});
      }
    }
    if (without.empty()) return true;
    std::ranges::sort(without, {}, &Loose::row);
    which.clear();
    for (const auto& one : without) which.push_back(one.row);
    TRY(rows.lines(which, lines));
    for (std::size_t i = 0; i < without.size(); ++i) loose(lines.line(i), without[i].level, without[i].time);
    return true;
  };
  return scan(group, selection, stream_map, start, end, context, each, stats);
}

}  // namespace tocayo::logs
