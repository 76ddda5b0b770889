// SPDX-License-Identifier: Apache-2.0
// Reading: a Querier over one view of a tenant.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/hash.h"
#include "logs/head/head_scan.h"
#include "logs/head/label_bytes.h"
#include "logs/store/masks.h"
#include "logs/store/store_impl.h"
#include "logs/store/store_scan.h"
#include "logs/store/stream_set.h"

namespace tocayo::logs {

std::uint32_t StreamSet::add(std::uint64_t hash, std::string_view label_bytes) {
  auto [at, fresh] = by_hash_.try_emplace(hash, static_cast<std::uint32_t>(labels_.size()));
  if (fresh || at->second == kNot) {
    at->second = static_cast<std::uint32_t>(labels_.size());
    labels_.emplace_back(label_bytes);
    return at->second;
  }
  if (labels_[at->second] == label_bytes) return at->second;
  // Two streams with one hash: rare enough to look through all.
  for (std::uint32_t i = 0; i < labels_.size(); ++i) {
    if (labels_[i] == label_bytes) return i;
  }
  labels_.emplace_back(label_bytes);
  return static_cast<std::uint32_t>(labels_.size() - 1);
}

std::string unreadable(const SegmentEntry& entry, const Error& error) {
  return fmt::format("log lines between {} and {} are left out: {}",
                     format_rfc3339(entry.record().min_time / 1'000'000),
                     format_rfc3339(entry.record().max_time / 1'000'000), error.message);
}

void for_each_head_stream(Tenant& tenant, const View& view, std::span<const Matcher> matchers,
                          const std::function<void(const Head&, const HeadStream&)>& visit) {
  const StreamIndex::Candidates candidates = tenant.index.candidates(matchers);
  for (const auto& head : view.heads) {
    if (candidates.all) {
      for (std::size_t stripe = 0; stripe < kStripes; ++stripe) {
        std::vector<const HeadStream*> chosen;
        head->for_each(stripe, tenant.stripes[stripe], [&](const HeadStream& rows) { chosen.push_back(&rows); });
        for (const HeadStream* rows : chosen) {
          if (!is_spilled(rows->stream().labels) && matches_all(matchers, rows->stream().labels)) visit(*head, *rows);
        }
      }
      continue;
    }
    for (const StreamId id : candidates.ids) {
      const HeadStream* rows = head->find_shared(id, tenant.stripe(id));
      if (rows != nullptr && !is_spilled(rows->stream().labels) && matches_all(matchers, rows->stream().labels)) {
        visit(*head, *rows);
      }
    }
  }
}

void for_each_spilled_head_stream(Tenant& tenant, const View& view, std::span<const Matcher> matchers,
                                  const SpilledStreamVisit& visit) {
  std::vector<StreamId> ids;
  tenant.index.for_each_value(kSpillMark, [&](std::string_view, std::span<const StreamId> some) {
    ids.insert(ids.end(), some.begin(), some.end());
    return true;
  });
  for (const StreamId id : ids) {
    std::optional<SpilledStream> spilled;
    for (const auto& head : view.heads) {
      const HeadStream* rows = head->find_shared(id, tenant.stripe(id));
      if (rows == nullptr) continue;
      if (!spilled) spilled.emplace(rows->stream().labels);
      if (!spilled->plain_matches(matchers)) break;
      visit(*head, *rows, *spilled);
    }
  }
}

namespace {

bool matches_all(std::span<const Matcher> matchers, const Labels& labels) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& matcher) { return matcher.matches(labels.get(matcher.name())); });
}

class StoreQuerier final : public Querier {
 public:
  StoreQuerier(std::shared_ptr<Tenant> tenant, std::shared_ptr<const TenantLimits> limits, TimestampNs now)
      : tenant_(std::move(tenant)),
        view_(tenant_->view()),
        limits_(std::move(limits)),
        now_(now),
        retention_(retention_set(*limits_)) {}

  Result<std::unique_ptr<Scan>> select(const Selection& selection, const Context& context) const override {
    return make_scan(tenant_, view_, limits_, now_, selection, context);
  }
  Result<std::vector<Labels>> series(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end,
                                     const Context& context) const override;
  Result<NameList> label_names(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end,
                               const Context& context) const override;
  Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> sets, TimestampNs start,
                                TimestampNs end, const Context& context) const override;
  Result<std::vector<StreamVolume>> volume(std::span<const Matcher> matchers, TimestampNs start, TimestampNs end,
                                           const Context& context) const override;

 private:
  using Visit = std::function<void(std::string_view label_bytes, std::uint64_t hash)>;
  // Streams with rows that may lie in the range; may visit one several times.
  Result<> walk(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end, const Context& context,
                const Visit& visit) const;
  // Without matchers and retention: asks the indexes instead of each stream. `visit` gets what heads and segments have
  // in the range.
  bool whole(std::span<const std::vector<Matcher>> sets) const {
    return !retention_ && (sets.empty() || (sets.size() == 1 && sets[0].empty()));
  }
  // Of a label that rows carry.
  Result<> spilled_values(const std::string& name, TimestampNs start, TimestampNs end, const Context& context,
                          const std::function<void(std::string_view)>& add) const;
  bool in_heads(std::span<const StreamId> ids, TimestampNs start, TimestampNs end) const;
  using Gather = std::function<std::shared_ptr<const std::vector<std::string>>(const OpenSegment&)>;
  // Texts of the segments that lie in the range as a whole; the other ones are walked stream by stream.
  Result<> gather(TimestampNs start, TimestampNs end, const Context& context, const Gather& all,
                  const std::function<void(const Labels&)>& part,
                  const std::function<void(std::string_view)>& add) const;

  // Where the visible part of a range begins.
  TimestampNs floor_of(std::string_view label_bytes, TimestampNs start) const {
    return retention_ ? std::max(start, retention_floor(*limits_, label_bytes, now_)) : start;
  }

  std::shared_ptr<Tenant> tenant_;    // shared with the store and other queries
  std::shared_ptr<const View> view_;  // the same
  std::shared_ptr<const TenantLimits> limits_;
  TimestampNs now_;
  bool retention_;
};

Result<> StoreQuerier::walk(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end,
                            const Context& context, const Visit& visit) const {
  static const std::vector<Matcher> kEverything[1];
  if (sets.empty()) sets = kEverything;
  std::string bytes;
  for (const std::vector<Matcher>& matchers : sets) {
    TRY(context.check());
    for_each_head_stream(*tenant_, *view_, matchers, [&](const Head&, const HeadStream& rows) {
      const std::string& labels = rows.stream().labels;
      if (has_rows(rows, floor_of(labels, start), end)) visit(labels, rows.stream().hash);
    });
    auto visit_spilled = [&](const SpilledStream& stream, std::span<const LabelView> pairs) {
      if (!stream.row_matches(matchers, pairs)) return std::string_view();
      bytes.clear();
      stream.fold(pairs, bytes);
      return std::string_view(bytes);
    };
    for_each_spilled_head_stream(
        *tenant_, *view_, matchers, [&](const Head&, const HeadStream& rows, const SpilledStream& stream) {
          for_each_spilled(rows, stream, start, end,
                           [&](std::span<const LabelView> pairs, std::uint64_t, TimestampNs newest) {
                             const std::string_view labels = visit_spilled(stream, pairs);
                             if (!labels.empty() && newest >= floor_of(labels, start)) visit(labels, hash64(labels));
                           });
        });
    std::vector<LabelView> scratch;
    std::unordered_map<std::uint64_t, bool> decided;
    for (const auto& entry : view_->segments) {
      if (!entry->overlaps(start, end)) continue;
      TRY(context.check());
      auto open = entry->open();
      if (!open) continue;  // select() warns
      const auto streams = (*open)->reader->streams();
      auto sets = (*open)->spilled();
      if (sets && *sets) {
        for (const SpilledSets::Set& set : (*sets)->sets) {
          if (set.max_time < start || set.min_time >= end) continue;
          const SpilledStream& stream = (*sets)->streams.at(set.stream);
          if (!stream.plain_matches(matchers)) continue;
          const std::string_view labels = visit_spilled(stream, (*sets)->pairs(set, scratch));
          if (labels.empty()) continue;
          const TimestampNs floor = floor_of(labels, start);
          if (floor < end && set.max_time >= floor) visit(labels, hash64(labels));
        }
      }
      for (std::size_t i = 0; i < streams.size(); ++i) {
        if (streams[i].max_time < start || streams[i].min_time >= end || is_spilled(streams[i].labels)) continue;
        const std::uint64_t hash = (*open)->hashes[i];
        auto [known, fresh] = decided.try_emplace(hash, false);
        if (fresh) {
          known->second = matches_all(matchers, streams[i].labels);
        } else if (!known->second || !retention_) {
          continue;  // does not match, or was visited
        }
        if (!known->second) continue;
        bytes.clear();
        encode_labels(streams[i].labels, bytes);
        const TimestampNs floor = floor_of(bytes, start);
        if (floor < end && streams[i].max_time >= floor) visit(bytes, hash);
      }
    }
  }
  return {};
}

Result<std::vector<Labels>> StoreQuerier::series(std::span<const std::vector<Matcher>> sets, TimestampNs start,
                                                 TimestampNs end, const Context& context) const {
  StreamSet found;
  TRY(walk(sets, start, end, context, [&](std::string_view bytes, std::uint64_t hash) { found.add(hash, bytes); }));
  std::vector<Labels> out;
  out.reserve(found.size());
  for (std::uint32_t i = 0; i < found.size(); ++i) out.push_back(decode_labels(found.label_bytes(i)));
  std::sort(out.begin(), out.end());
  return out;
}

bool StoreQuerier::in_heads(std::span<const StreamId> ids, TimestampNs start, TimestampNs end) const {
  return std::any_of(ids.begin(), ids.end(), [&](StreamId id) {
    return std::any_of(view_->heads.begin(), view_->heads.end(), [&](const auto& head) {
      const HeadStream* rows = head->find_shared(id, tenant_->stripe(id));
      return rows != nullptr && has_rows(*rows, start, end);
    });
  });
}

Result<> StoreQuerier::gather(TimestampNs start, TimestampNs end, const Context& context, const Gather& all,
                              const std::function<void(const Labels&)>& part,
                              const std::function<void(std::string_view)>& add) const {
  for (const auto& entry : view_->segments) {
    if (!entry->overlaps(start, end)) continue;
    TRY(context.check());
    auto open = entry->open();
    if (!open) continue;  // select() warns
    if (entry->record().min_time >= start && entry->record().max_time < end) {
      for (const std::string& text : *all(**open)) add(text);
      continue;
    }
    for (const SegmentStream& stream : (*open)->reader->streams()) {
      if (stream.max_time >= start && stream.min_time < end) part(stream.labels);
    }
  }
  return {};
}

Result<NameList> StoreQuerier::label_names(std::span<const std::vector<Matcher>> sets, TimestampNs start,
                                           TimestampNs end, const Context& context) const {
  std::set<std::string, std::less<>> names;
  if (whole(sets)) {
    auto add = [&](std::string_view name) {
      if (!names.contains(name)) names.emplace(name);
    };
    for_each_spilled_head_stream(*tenant_, *view_, {},
                                 [&](const Head&, const HeadStream& rows, const SpilledStream& stream) {
                                   if (!has_rows(rows, start, end)) return;
                                   for (const std::string& name : stream.names()) add(name);
                                 });
    for (const std::string& name : tenant_->index.label_names()) {
      if (name == kSpillMark) continue;
      tenant_->index.for_each_value(name, [&](std::string_view, std::span<const StreamId> ids) {
        if (!in_heads(ids, start, end)) return true;
        add(name);
        return false;
      });
    }
    TRY(gather(
        start, end, context, [](const OpenSegment& segment) { return segment.label_names(); },
        [&](const Labels& labels) {
          for (const Label& label : labels) {
            if (label.name != kSpillMark) add(label.name);
          }
          if (!is_spilled(labels)) return;
          std::string bytes;
          encode_labels(labels, bytes);
          for (const std::string& name : SpilledStream(bytes).names()) add(name);
        },
        add));
    return NameList{{names.begin(), names.end()}, false};
  }
  TRY(walk(sets, start, end, context, [&](std::string_view bytes, std::uint64_t) {
    LabelCursor cursor(bytes);
    for (LabelView pair; cursor.next(pair);) {
      if (!names.contains(pair.name)) names.emplace(pair.name);
    }
  }));
  return NameList{{names.begin(), names.end()}, false};
}

Result<NameList> StoreQuerier::label_values(const std::string& name, std::span<const std::vector<Matcher>> sets,
                                            TimestampNs start, TimestampNs end, const Context& context) const {
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash64(text); }
  };
  std::unordered_set<std::string, Hash, std::equal_to<>> values;
  auto add = [&](std::string_view value) {
    if (!value.empty() && !values.contains(value)) values.emplace(value);
  };
  if (whole(sets)) {
    tenant_->index.for_each_value(name, [&](std::string_view value, std::span<const StreamId> ids) {
      if (in_heads(ids, start, end)) add(value);
      return true;
    });
    TRY(spilled_values(name, start, end, context, add));
    TRY(gather(
        start, end, context, [&](const OpenSegment& segment) { return segment.label_values(name); },
        [&](const Labels& labels) { add(labels.get(name)); }, add));
  } else {
    TRY(walk(sets, start, end, context, [&](std::string_view bytes, std::uint64_t) { add(label_in(bytes, name)); }));
  }
  NameList out{{values.begin(), values.end()}, false};
  std::sort(out.names.begin(), out.names.end());
  return out;
}

Result<> StoreQuerier::spilled_values(const std::string& name, TimestampNs start, TimestampNs end,
                                      const Context& context, const std::function<void(std::string_view)>& add) const {
  auto add_pairs = [&](std::span<const LabelView> pairs) {
    for (const LabelView& pair : pairs) {
      if (pair.name.substr(1) == name) add(pair.value);
    }
  };
  for_each_spilled_head_stream(
      *tenant_, *view_, {}, [&](const Head&, const HeadStream& rows, const SpilledStream& stream) {
        if (!stream.has(name)) return;
        for_each_spilled(rows, stream, start, end,
                         [&](std::span<const LabelView> pairs, std::uint64_t, TimestampNs) { add_pairs(pairs); });
      });
  std::vector<LabelView> scratch;
  for (const auto& entry : view_->segments) {
    if (!entry->overlaps(start, end)) continue;
    TRY(context.check());
    auto open = entry->open();
    if (!open) continue;  // select() warns
    auto sets = (*open)->spilled();
    if (!sets || !*sets) continue;
    for (const SpilledSets::Set& set : (*sets)->sets) {
      if (set.max_time >= start && set.min_time < end) add_pairs((*sets)->pairs(set, scratch));
    }
  }
  return {};
}

Result<std::vector<StreamVolume>> StoreQuerier::volume(std::span<const Matcher> matchers, TimestampNs start,
                                                       TimestampNs end, const Context& context) const {
  struct Sum {
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
  };
  StreamSet set;
  std::vector<Sum> sums;
  auto number_of = [&](std::uint64_t hash, std::string_view bytes) {
    const std::uint32_t stream = set.add(hash, bytes);
    if (stream == sums.size()) sums.emplace_back();
    return stream;
  };
  auto covered = [&](std::string_view bytes) {
    if (is_spilled(bytes)) return true;
    if (view_->tombstones.empty()) return false;
    const DeleteMask mask(view_->tombstones, 0, bytes);
    return !mask.empty() && mask.touches(start, end);
  };
  // Streams some of whose rows are hidden by delete requests, and spilled ones, are counted by reading them.
  bool deleted = false;
  for_each_head_stream(*tenant_, *view_, matchers, [&](const Head&, const HeadStream& rows) {
    if (rows.size() == 0 || rows.max_time() < start || rows.min_time() >= end) return;
    if (covered(rows.stream().labels)) {
      deleted = true;
      return;
    }
    const RowTotals part = totals(rows, floor_of(rows.stream().labels, start), end);
    Sum& sum = sums[number_of(rows.stream().hash, rows.stream().labels)];
    sum.rows += part.rows;
    sum.bytes += part.bytes;
  });
  for_each_spilled_head_stream(*tenant_, *view_, matchers,
                               [&](const Head&, const HeadStream& rows, const SpilledStream&) {
                                 deleted = deleted || has_rows(rows, start, end);
                               });
  std::string bytes;
  std::vector<std::uint32_t> numbers;  // in `sums`, by stream of a segment
  for (const auto& entry : view_->segments) {
    if (!entry->overlaps(start, end)) continue;
    TRY(context.check());
    auto open = entry->open();
    if (!open) continue;
    const auto streams = (*open)->reader->streams();
    numbers.resize(streams.size());
    // Streams of one retention floor are asked for together.
    std::unordered_map<TimestampNs, std::vector<std::uint32_t>> wanted;
    for (std::uint32_t i = 0; i < streams.size(); ++i) {
      if (streams[i].max_time < start || streams[i].min_time >= end) continue;
      if (is_spilled(streams[i].labels)) {
        deleted = true;
        continue;
      }
      if (!matches_all(matchers, streams[i].labels)) continue;
      bytes.clear();
      encode_labels(streams[i].labels, bytes);
      if (covered(bytes)) {
        deleted = true;
        continue;
      }
      const TimestampNs floor = floor_of(bytes, start);
      if (floor >= end) continue;
      wanted[floor].push_back(i);
      numbers[i] = number_of((*open)->hashes[i], bytes);
    }
    for (const auto& [floor, list] : wanted) {
      auto counted = (*open)->reader->volume(
          list, floor, end, [&](std::uint32_t stream, std::uint64_t row_count, std::uint64_t byte_count) {
            Sum& sum = sums[numbers[stream]];
            sum.rows += row_count;
            sum.bytes += byte_count;
          });
      if (!counted && counted.error().kind != ErrorKind::internal) return std::unexpected(counted.error());
    }
  }
  if (deleted) {
    Selection selection;
    selection.matchers.assign(matchers.begin(), matchers.end());
    selection.start = start;
    selection.end = end;
    selection.want_line = selection.want_metadata = false;
    auto scan = TRY(make_scan(tenant_, view_, limits_, now_, selection, context, covered));
    std::vector<std::uint32_t> sum_of_stream;
    for (const Labels& labels : scan->streams()) {
      bytes.clear();
      encode_labels(labels, bytes);
      sum_of_stream.push_back(number_of(hash64(bytes), bytes));
    }
    for (std::size_t morsel = 0; morsel < scan->morsels().size(); ++morsel) {
      ScanStats stats;
      TRY(scan->scan(
          morsel, start, end, context,
          [&](std::span<const Row> rows) -> Result<bool> {
            for (const Row& row : rows) {
              Sum& sum = sums[sum_of_stream[row.stream]];
              ++sum.rows;
              sum.bytes += row.length;
            }
            return true;
          },
          stats));
    }
  }
  std::vector<StreamVolume> out;
  for (std::uint32_t i = 0; i < set.size(); ++i) {
    if (sums[i].rows > 0) out.push_back({decode_labels(set.label_bytes(i)), sums[i].rows, sums[i].bytes});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return out;
}

}  // namespace

std::shared_ptr<const Querier> make_querier(std::shared_ptr<Tenant> tenant, std::shared_ptr<const TenantLimits> limits,
                                            TimestampNs now) {
  return std::make_shared<StoreQuerier>(std::move(tenant), std::move(limits), now);
}

}  // namespace tocayo::logs
