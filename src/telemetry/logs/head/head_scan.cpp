// SPDX-License-Identifier: Apache-2.0
#include "logs/head/head_scan.h"

#include <algorithm>
#include <optional>

#include "logs/head/bloom.h"
#include "logs/head/label_bytes.h"
#include "logs/required_literals.h"

namespace tocayo::logs {
namespace {

constexpr std::size_t kBatch = 2048;

struct Hit {
  TimestampNs time;
  std::uint32_t row;  // in the stream
  std::uint32_t at;   // in the slab
  const Slab* slab;
};

// Whether the filter is nothing but one literal that must be there.
bool one_literal(const LineMatcher& matcher) {
  const LineFilter& filter = matcher.filter();
  return filter.kind == LineFilter::Kind::contains && !filter.negated && filter.operands.size() == 1 &&
         filter.operands[0].size() >= 2;
}

// Whether no line passes without one literal: then a slab's lines are searched for it as one text.
bool needs_literal(const LineMatcher& matcher) {
  return one_literal(matcher) || (!matcher.filter().negated && matcher.required().any_of.size() == 1);
}

class PieceScan {
 public:
  PieceScan(const HeadPiece& piece, const RowFilter& filter, std::vector<const Matcher*> label_filters,
            TimestampNs start, TimestampNs end, ScanStats& stats)
      : piece_(piece),
        filter_(filter),
        label_filters_(std::move(label_filters)),
        start_(start),
        end_(end),
        stats_(stats) {}

  Result<> collect(const Context& context);
  Result<bool> emit(std::uint64_t order_base, const Scan::Visitor& visit);

 private:
  void slab_rows(const Slab& slab, std::uint32_t from, std::uint32_t to);
  void cover(const Slab& slab, std::uint32_t from, std::uint32_t to, bool whole);
  bool passes(const Slab& slab, std::uint32_t at, std::size_t first_filter) const;
  void take(const Slab& slab, std::uint32_t at) {
    const TimestampNs time = slab.time(at);
    if (!hits_.empty() && time < hits_.back().time) ordered_ = false;
    hits_.push_back({time, slab.first_row() + at, at, &slab});
  }
  bool in_range(TimestampNs time) const { return time >= start_ && time < end_; }

  const HeadPiece& piece_;
  const RowFilter& filter_;
  std::vector<const Matcher*> label_filters_;
  TimestampNs start_;
  TimestampNs end_;
  ScanStats& stats_;
  std::vector<Hit> hits_;
  bool ordered_ = true;
};

// Counts the rows of a slab that lie in the range; they are covered whether or not they are looked at.
void PieceScan::cover(const Slab& slab, std::uint32_t from, std::uint32_t to, bool whole) {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t metadata = 0;
  if (whole && from == 0 && to >= slab.count()) {
    rows = to;
    bytes = slab.lines(to).size();
    metadata = slab.metadata_total();
    to = 0;
  }
  for (std::uint32_t at = from; at < to; ++at) {
    if (!whole && !in_range(slab.time(at))) continue;
    ++rows;
    bytes += slab.place(at).length;
    if (slab.place(at).metadata != Slab::kNone) metadata += slab.metadata(at).size();
  }
  stats_.rows += rows;
  stats_.head_rows += rows;
  stats_.bytes += bytes;
  stats_.metadata_bytes += metadata;
}

bool PieceScan::passes(const Slab& slab, std::uint32_t at, std::size_t first_filter) const {
  const std::string_view line = slab.line(at);
  for (std::size_t i = first_filter; i < filter_.lines().size(); ++i) {
    if (!filter_.lines()[i].matches(line)) return false;
  }
  if (label_filters_.empty()) return true;
  const std::string_view metadata = slab.metadata(at);
  return std::all_of(label_filters_.begin(), label_filters_.end(),
                     [&](const Matcher* matcher) { return matcher->matches(label_in(metadata, matcher->name())); });
}

void PieceScan::slab_rows(const Slab& slab, std::uint32_t from, std::uint32_t to) {
  const bool whole = slab.min_time() >= start_ && slab.max_time() < end_;
  if (!filter_.lines().empty() && needs_literal(filter_.lines()[0])) {
    const LineMatcher& first = filter_.lines()[0];
    const bool decided = one_literal(first);
    const bool fold = !decided && first.required().fold;
    const std::string& needle = decided ? first.filter().operands[0] : first.required().any_of[0];
    const std::string_view text = slab.lines(to);
    stats_.bytes_read += text.size();
    std::size_t base = slab.place(from).offset;
    std::uint32_t at = from;
    for (;;) {
      const auto rest = text.substr(base);
      const std::size_t found = fold ? find_folded(rest, needle) : find_bytes(rest, needle);
      if (found == std::string_view::npos) return;
      const std::size_t place = base + found;
      // The row that holds the place: its line is the last one that begins at or before it and is not empty there.
      std::uint32_t low = at;
      std::uint32_t high = to;
      while (high - low > 1) {
        const std::uint32_t middle = low + (high - low) / 2;
        (slab.place(middle).offset <= place ? low : high) = middle;
      }
      at = low;
      const std::size_t line_end = std::size_t{slab.place(at).offset} + slab.place(at).length;
      if (place + needle.size() > line_end) {  // across two lines
        base = place + 1;
        continue;
      }
      if ((whole || in_range(slab.time(at))) && passes(slab, at, decided ? 1 : 0)) take(slab, at);
      base = line_end;
      if (++at >= to) return;
    }
  }
  for (std::uint32_t at = from; at < to; ++at) {
    if (!whole && !in_range(slab.time(at))) continue;
    if (!filter_.lines().empty()) stats_.bytes_read += slab.place(at).length;
    if (passes(slab, at, 0)) take(slab, at);
  }
}

Result<> PieceScan::collect(const Context& context) {
  std::uint32_t skip = 0;  // slabs that a bloom has ruled out
  for (const Slab* slab = piece_.slab; slab != nullptr; slab = slab->next()) {
    const std::uint32_t base = slab->first_row();
    if (base >= piece_.end_row) break;
    const std::uint32_t from = piece_.first_row > base ? piece_.first_row - base : 0;
    const std::uint32_t to = std::min(slab->count(), piece_.end_row - base);
    if (from >= to || slab->max_time() < start_ || slab->min_time() >= end_) {
      if (skip > 0) --skip;
      continue;
    }
    if (auto alive = context.check(); !alive) return alive;
    cover(*slab, from, to, slab->min_time() >= start_ && slab->max_time() < end_);
    ++stats_.groups;
    if (const HeadBloom* bloom = slab->bloom(); bloom != nullptr && skip == 0) {
      const bool absent = std::any_of(filter_.lines().begin(), filter_.lines().end(), [&](const LineMatcher& matcher) {
        return !matcher.filter().negated && !bloom->may_match(matcher.required());
      });
      if (absent) skip = bloom->slabs();
    }
    if (skip > 0) {
      --skip;
      ++stats_.groups_skipped;
      continue;
    }
    slab_rows(*slab, from, to);
  }
  if (!ordered_) {
    std::sort(hits_.begin(), hits_.end(),
              [](const Hit& a, const Hit& b) { return a.time != b.time ? a.time < b.time : a.row < b.row; });
  }
  stats_.rows_selected += hits_.size();
  return {};
}

Result<bool> PieceScan::emit(std::uint64_t order_base, const Scan::Visitor& visit) {
  std::vector<Row> batch;
  std::vector<LabelView> pairs;
  std::vector<std::uint32_t> ends;  // of each row's pairs
  for (std::size_t i = 0; i < hits_.size();) {
    batch.clear();
    pairs.clear();
    ends.clear();
    for (; i < hits_.size() && batch.size() < kBatch; ++i) {
      const Hit& hit = hits_[i];
      Row& row = batch.emplace_back();
      row.time = hit.time;
      row.order = order_base + hit.row;
      row.stream = piece_.stream;
      row.length = hit.slab->place(hit.at).length;
      if (filter_.want_line()) row.line = hit.slab->line(hit.at);
      if (filter_.want_metadata()) {
        LabelCursor cursor(hit.slab->metadata(hit.at));
        for (LabelView pair; cursor.next(pair);) pairs.push_back(pair);
      }
      ends.push_back(static_cast<std::uint32_t>(pairs.size()));
    }
    for (std::size_t r = 0; r < batch.size(); ++r) {
      const std::uint32_t begin = r == 0 ? 0 : ends[r - 1];
      batch[r].metadata = std::span<const LabelView>(pairs.data() + begin, ends[r] - begin);
    }
    auto more = visit(batch);
    if (!more || !*more) return more;
  }
  return true;
}

}  // namespace

Result<RowFilter> RowFilter::create(const Selection& selection) {
  RowFilter filter;
  filter.labels_ = selection.label_filters;
  filter.want_line_ = selection.want_line;
  filter.want_metadata_ = selection.want_metadata;
  for (const LineFilter& line : selection.line_filters) filter.lines_.push_back(TRY(LineMatcher::create(line)));
  // A literal goes first: it is searched for in a whole slab at once.
  std::stable_partition(filter.lines_.begin(), filter.lines_.end(), needs_literal);
  std::stable_partition(filter.lines_.begin(), filter.lines_.end(), one_literal);
  return filter;
}

std::optional<std::vector<const Matcher*>> RowFilter::open_filters(std::string_view stream_labels) const {
  std::vector<const Matcher*> open;
  for (const Matcher& matcher : labels_) {
    const std::string_view value = label_in(stream_labels, matcher.name());
    if (value.empty()) {
      open.push_back(&matcher);
    } else if (!matcher.matches(value)) {
      return std::nullopt;
    }
  }
  return open;
}

void add_pieces(const HeadStream& rows, std::uint32_t stream, TimestampNs start, TimestampNs end,
                std::vector<HeadPiece>& out) {
  const std::uint32_t size = rows.size();
  if (size == 0 || rows.max_time() < start || rows.min_time() >= end) return;
  HeadPiece piece;
  std::size_t bytes = 0;
  auto close = [&](std::uint32_t end_row) {
    piece.end_row = end_row;
    if (piece.slab != nullptr && piece.max_time >= start && piece.min_time < end) out.push_back(piece);
    piece = {};
    bytes = 0;
  };
  for (const Slab* slab = rows.first(); slab != nullptr && slab->first_row() < size; slab = slab->next()) {
    if (piece.slab == nullptr) {
      piece = {&rows, slab, slab->first_row(), 0, stream, slab->min_time(), slab->max_time()};
    } else {
      piece.min_time = std::min(piece.min_time, slab->min_time());
      piece.max_time = std::max(piece.max_time, slab->max_time());
    }
    const std::uint32_t slab_end = std::min(size, slab->first_row() + slab->count());
    bytes += slab->lines(slab_end - slab->first_row()).size();
    // The same bounds as those of the bloom pages.
    if (slab_end - piece.first_row >= HeadBloom::kRows || bytes >= HeadBloom::kBytes) close(slab_end);
  }
  close(size);
}

Result<bool> scan_piece(const HeadPiece& piece, const RowFilter& filter, std::uint64_t order_base, TimestampNs start,
                        TimestampNs end, const Context& context, const Scan::Visitor& visit, ScanStats& stats) {
  auto label_filters = filter.open_filters(piece.rows->stream().labels);
  if (!label_filters) {
    // The stream's labels say no to every row; they are covered all the same.
    static const RowFilter everything = *RowFilter::create({});
    ScanStats covered;
    PieceScan counting(piece, everything, {}, start, end, covered);
    if (auto done = counting.collect(context); !done) return std::unexpected(std::move(done.error()));
    stats.rows += covered.rows;
    stats.head_rows += covered.head_rows;
    stats.bytes += covered.bytes;
    stats.metadata_bytes += covered.metadata_bytes;
    stats.groups += covered.groups;
    stats.groups_skipped += covered.groups;
    return true;
  }
  PieceScan scan(piece, filter, std::move(*label_filters), start, end, stats);
  if (auto done = scan.collect(context); !done) return std::unexpected(std::move(done.error()));
  return scan.emit(order_base, visit);
}

Result<> visit_sorted(const HeadStream& rows, const RowFilter& filter, TimestampNs start, TimestampNs end,
                      const Scan::Visitor& visit) {
  if (rows.size() == 0) return {};
  const HeadPiece piece{&rows, rows.first(), 0, rows.size(), 0, rows.min_time(), rows.max_time()};
  ScanStats ignored;
  auto done = scan_piece(piece, filter, 0, start, end, {}, visit, ignored);
  if (!done) return std::unexpected(std::move(done.error()));
  return {};
}

bool has_rows(const HeadStream& rows, TimestampNs start, TimestampNs end) {
  const std::uint32_t size = rows.size();
  if (size == 0 || rows.max_time() < start || rows.min_time() >= end) return false;
  if (rows.min_time() >= start && rows.max_time() < end) return true;
  for (const Slab* slab = rows.first(); slab != nullptr && slab->first_row() < size; slab = slab->next()) {
    if (slab->max_time() < start || slab->min_time() >= end) continue;
    for (std::uint32_t at = 0; at < slab->count(); ++at) {
      if (slab->time(at) >= start && slab->time(at) < end) return true;
    }
  }
  return false;
}

RowTotals totals(const HeadStream& rows, TimestampNs start, TimestampNs end) {
  RowTotals out;
  const std::uint32_t size = rows.size();
  for (const Slab* slab = rows.first(); slab != nullptr && slab->first_row() < size; slab = slab->next()) {
    const std::uint32_t count = std::min(slab->count(), size - slab->first_row());
    if (slab->min_time() >= start && slab->max_time() < end) {
      out.rows += count;
      out.bytes += slab->lines(count).size();
      continue;
    }
    if (slab->max_time() < start || slab->min_time() >= end) continue;
    for (std::uint32_t at = 0; at < count; ++at) {
      if (slab->time(at) < start || slab->time(at) >= end) continue;
      ++out.rows;
      out.bytes += slab->place(at).length;
    }
  }
  return out;
}

}  // namespace tocayo::logs
