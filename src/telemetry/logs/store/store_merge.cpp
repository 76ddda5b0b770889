// SPDX-License-Identifier: Apache-2.0
// Merging segments of a day: of closed hours into level 1, of a closed day into level 2. Streams through with one row
// group of each input in memory. Rows that retention or delete requests hide are left behind. A merge writes a segment
// for each stretch of the day, so that a question about an hour does not meet rows of the whole day in every row group
// (docs/decisions/0010-what-lies-together-in-segments.md).
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <map>
#include <optional>

#include "core/log.h"
#include "logs/head/label_bytes.h"
#include "logs/store/masks.h"
#include "logs/store/segment_cursor.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

constexpr std::size_t kMaxInputs = 8;    // times a row group of 8 MiB and its rows: the memory of a merge
constexpr std::size_t kMaxWaiting = 64;  // segments of a day that wait for more of them
constexpr TimestampNs kHour = 3'600LL * 1'000'000'000;
constexpr TimestampNs kDay = 24 * kHour;
// Lengths of a stretch of the day; each is a multiple of those before it, so that what is merged again fits.
constexpr std::array<TimestampNs, 5> kStretches{kHour, 2 * kHour, 4 * kHour, 8 * kHour, kDay};
constexpr std::size_t kMaxReached = 6;  // stretches for which a merge writes: each times the memory of a row group

TimestampNs in_day(TimestampNs time) { return (time % kDay + kDay) % kDay; }

// One output: the streams of one group in one stretch.
struct Output {
  SegmentRecord record;
  std::optional<SegmentWriter> writer;
};

// The segments of a day so far.
struct DayTotals {
  std::uint64_t bytes = 0;
  TimestampNs first = std::numeric_limits<TimestampNs>::max();
  TimestampNs last = std::numeric_limits<TimestampNs>::min();

  void add(const SegmentRecord& record) {
    bytes += record.raw_bytes;
    first = std::min(first, record.min_time);
    last = std::max(last, record.max_time);
  }
  // How long a stretch is: short, but not so short that segments become small.
  TimestampNs stretch(std::uint64_t least_bytes) const {
    const double rate = static_cast<double>(bytes) / static_cast<double>(std::max(last - first, kHour));
    for (const TimestampNs length : kStretches) {
      if (rate * static_cast<double>(length) >= static_cast<double>(least_bytes)) return length;
    }
    return kDay;
  }
};

using Entries = std::vector<std::shared_ptr<SegmentEntry>>;

// Leaves the segments that reach into the stretch of the day where rewriting pays most: those of level 1 must be a good
// part of what lies there, or many, which then go without the rest. None: it pays nowhere.
void keep_stretch_worth_merging(Entries& entries, TimestampNs stretch, std::size_t many) {
  const auto reaches = [&](const SegmentEntry& entry, TimestampNs start) {
    return in_day(entry.record().min_time) < start + stretch && in_day(entry.record().max_time) >= start;
  };
  std::uint64_t most = 0;
  Entries best;
  for (TimestampNs start = 0; start < kDay; start += stretch) {
    std::uint64_t fresh = 0;
    std::uint64_t all = 0;
    Entries here;
    for (const auto& entry : entries) {
      if (!reaches(*entry, start)) continue;
      here.push_back(entry);
      all += entry->record().raw_bytes;
      if (entry->record().level < 2) fresh += entry->record().raw_bytes;
    }
    if (fresh * 4 < all) {
      std::erase_if(here, [](const auto& entry) { return entry->record().level >= 2; });
      if (here.size() < many) continue;
    }
    if (fresh <= most) continue;
    most = fresh;
    best = std::move(here);
  }
  entries = std::move(best);
}

}  // namespace

// The day's segments of a level, when merging them pays: enough of them, none still growing, and few enough at once.
std::optional<StoreImpl::MergeTask> StoreImpl::merge_task(const Tenant& tenant) const {
  auto view = tenant.view();
  const TimestampNs time = now_ns();
  std::map<std::pair<std::int64_t, std::uint32_t>, std::vector<std::shared_ptr<SegmentEntry>>> by_day;
  std::map<std::int64_t, DayTotals> days;
  for (const auto& entry : view->segments) {
    const SegmentRecord& record = entry->record();
    if (entry->excluded()) continue;
    by_day[{record.day, record.level}].push_back(entry);
    days[record.day].add(record);
  }
  const std::int64_t today = time / kDay;
  for (auto& [key, entries] : by_day) {
    const auto& [day, level] = key;
    if (level >= 2) continue;
    const bool day_closed = day < today && time - (day + 1) * kDay >= kHour;
    const TimestampNs stretch = days[day].stretch(options_.stretch_bytes);
    std::erase_if(entries, [&](const auto& entry) {
      return level == 0 && !day_closed && entry->record().max_time / kHour >= time / kHour;
    });
    if (level == 0) {
      // A closed day gets its last few in as well, when they waited an hour.
      const bool leftovers = day_closed && !entries.empty() &&
                             (entries.size() > 1 || by_day.contains({day, 1}) || by_day.contains({day, 2})) &&
                             now() - entries.back()->record().created >= 3'600'000;
      if (entries.size() < options_.merge_count && !leftovers) continue;
      // While a day is still being filled its segments wait, so that one merge takes many of them.
      const auto newest = std::max_element(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
        return a->record().created < b->record().created;
      });
      if (entries.size() < kMaxWaiting && now() - (*newest)->record().created < options_.merge_settle.count()) continue;
    } else {
      if (!day_closed) continue;
      if (auto done = by_day.find({day, 2}); done != by_day.end()) {
        entries.insert(entries.end(), done->second.begin(), done->second.end());
      }
      keep_stretch_worth_merging(entries, stretch, options_.merge_count);
      if (entries.empty()) continue;
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a->record().rank < b->record().rank; });
    const Entries all = entries;
    // Segments of one stream group hold the same streams: where enough of them wait, they stay together.
    std::map<std::uint64_t, std::size_t> by_group;
    for (const auto& entry : entries) ++by_group[entry->record().group];
    const auto& [group, members] =
        *std::ranges::max_element(by_group, {}, [](const auto& pair) { return pair.second; });
    if (members >= std::max(options_.merge_count, kMaxInputs / 2)) {
      std::erase_if(entries, [&](const auto& entry) { return entry->record().group != group; });
    }
    if (entries.size() > kMaxInputs) entries.resize(kMaxInputs);
    // A merge raises what it takes of the level, so that merging comes to an end: never those of level 2 alone.
    const auto is_fresh = [level](const auto& entry) { return entry->record().level == level; };
    if (std::ranges::none_of(entries, is_fresh)) {
      entries.clear();
      std::ranges::copy_if(all, std::back_inserter(entries), is_fresh);
      if (entries.size() > kMaxInputs) entries.resize(kMaxInputs);
    }
    return MergeTask{day, level + 1, std::move(entries), stretch};
  }
  return std::nullopt;
}

Result<> StoreImpl::merge(Tenant& tenant, const MergeTask& task) {
  std::lock_guard merging(tenant.merge_mutex);
  Entries inputs;
  bool by_group = false;
  for (const auto& input : task.inputs) {
    const bool own = TRY(input->open())->reader->info().options.by_group;
    if (inputs.empty()) by_group = own;
    // Those whose streams are in another order (older versions wrote them) are left for another time.
    if (own == by_group) inputs.push_back(input);
  }
  std::uint64_t input_bytes = 0;
  for (const auto& input : inputs) input_bytes += input->record().file_bytes;
  if (disk_.left() < input_bytes) {
    return fail(ErrorKind::unavailable,
                fmt::format("merging segments may need {} MiB of disk, more than is free", (input_bytes >> 20) + 1));
  }
  auto view = tenant.view();
  const auto limits = limits_of(tenant.name);
  const TimestampNs time = now_ns();
  std::uint64_t raw = 0;
  std::int64_t rank = std::numeric_limits<std::int64_t>::max();
  std::uint64_t from = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t to = 0;
  for (const auto& input : inputs) {
    raw += input->record().raw_bytes;
    rank = std::min(rank, input->record().rank);
    from = std::min(from, input->record().journal_from);
    to = std::max(to, input->record().journal_to);
  }
  TimestampNs earliest = kDay;
  TimestampNs latest = 0;
  for (const auto& input : inputs) {
    for (const TimestampNs at : {in_day(input->record().min_time), in_day(input->record().max_time)}) {
      earliest = std::min(earliest, at);
      latest = std::max(latest, at);
    }
  }
  TimestampNs stretch = task.stretch;
  for (const TimestampNs longer : kStretches) {
    if (latest / stretch - earliest / stretch >= static_cast<TimestampNs>(kMaxReached))
      stretch = std::max(stretch, longer);
  }
  const auto reached = static_cast<std::size_t>(latest / stretch - earliest / stretch) + 1;
  const auto stretch_of = [&](TimestampNs time) {
    return static_cast<std::size_t>(std::clamp(in_day(time), earliest, latest) / stretch - earliest / stretch);
  };
  // A stretch with too many lines for one segment is divided by stream group.
  const std::uint64_t target = std::max<std::uint64_t>(1, task.level == 1 ? options_.merge_bytes : options_.day_bytes);
  const std::uint64_t groups = std::bit_ceil(std::clamp<std::uint64_t>((raw / reached + target - 1) / target, 1, 64));
  const std::uint64_t group = inputs.front()->record().group;
  const bool one_group = std::ranges::all_of(inputs, [&](const auto& input) { return input->record().group == group; });
  const std::int64_t tombstone = view->tombstones.empty() ? 0 : view->tombstones.back()->record.sequence;
  std::vector<SegmentCursor> cursors;
  for (const auto& input : inputs) cursors.push_back(TRY(SegmentCursor::open(input)));

  std::vector<Output> outputs(reached * groups);
  std::vector<SegmentRecord> records;
  auto abandon = [&](Error error) {
    std::vector<SegmentRecord> made;
    for (Output& output : outputs) {
      output.writer.reset();
      if (output.record.id != 0) made.push_back(output.record);
    }
    remove_files(made);
    return std::unexpected(std::move(error).with_context("merge segments"));
  };
  std::uint64_t visited = 0;
  auto write_all = [&]() -> Result<> {
    std::string bytes;
    for (;;) {
      const SegmentCursor* least = nullptr;
      for (const SegmentCursor& cursor : cursors) {
        if (cursor.at_end()) continue;
        if (least == nullptr || cursor.place() < least->place() ||
            (cursor.place() == least->place() && cursor.labels() < least->labels())) {
          least = &cursor;
        }
      }
      if (least == nullptr) return {};
      const Labels labels = least->labels();
      bytes.clear();
      encode_labels(labels, bytes);
      RowRules rules(view->tombstones, limits.get(), time, bytes);
      const std::uint64_t own_group = group_hash(bytes) & (groups - 1);
      std::vector<SegmentCursor*> parts;
      for (SegmentCursor& cursor : cursors) {
        if (!cursor.at_end() && cursor.labels() == labels) parts.push_back(&cursor);
      }
      const Output* started = nullptr;
      while (!parts.empty()) {
        // Of equal times the older input comes first: cursors are in order of rank.
        SegmentCursor* next = parts[0];
        for (SegmentCursor* part : parts) {
          if (part->row().time < next->row().time) next = part;
        }
        if (++visited % 4096 == 0 && stopping_.load(std::memory_order_relaxed)) {
          return fail(ErrorKind::canceled, "the store is closing");
        }
        const Row& row = next->row();
        if (!rules.drops(row, next->entry().tombstone())) {
          Output& output = outputs[stretch_of(row.time) * groups + own_group];
          if (!output.writer) {
            output.record =
                new_segment(tenant, task.day, groups == 1 && one_group ? group : groups << 32 | own_group, task.level);
            std::error_code error;
            std::filesystem::create_directories(path_of(output.record).parent_path(), error);
            if (error) return std::unexpected(error_from_errno("create a segment's directory", error.value()));
            output.writer.emplace(TRY(SegmentWriter::create(path_of(output.record), {.tenant = tenant.name,
                                                                                     .level = task.level,
                                                                                     .group_hash = output.record.group,
                                                                                     .journal_from = from,
                                                                                     .journal_to = to,
                                                                                     .by_group = by_group})));
          }
          if (started != &output) TRY(output.writer->start_stream(labels));
          started = &output;
          TRY(output.writer->add({row.time, row.line, row.metadata}));
        }
        TRY(next->next());
        if (next->at_end() || !(next->labels() == labels)) std::erase(parts, next);
      }
    }
  };
  if (auto written = write_all(); !written) return abandon(std::move(written.error()));
  cursors.clear();
  for (Output& output : outputs) {
    if (!output.writer) continue;
    auto info = output.writer->finish();
    if (!info) return abandon(std::move(info.error()));
    SegmentRecord& record = output.record;
    record.min_time = info->min_time;
    record.max_time = info->max_time;
    record.rows = info->rows;
    record.raw_bytes = info->raw_bytes;
    record.file_bytes = info->file_bytes;
    record.journal_from = from;
    record.journal_to = to;
    record.rank = rank;
    record.tombstone = tombstone;
    records.push_back(record);
  }
  if (auto went = step("merge: files written"); !went) return abandon(std::move(went.error()));
  std::vector<std::int64_t> removed;
  for (const auto& input : inputs) removed.push_back(input->record().id);
  if (auto swapped = catalogue_.swap(tenant.name, records, removed, std::nullopt, now()); !swapped) {
    return abandon(std::move(swapped.error()));
  }
  TRY(step("merge: catalogue written"));
  publish_swap(tenant, records, inputs);
  metrics_.merges.add();
  log::info("logs", "segments merged",
            {{"tenant", tenant.name},
             {"day", task.day},
             {"level", task.level},
             {"from", inputs.size()},
             {"to", records.size()}});
#ifdef __GLIBC__
  ::malloc_trim(0);  // as after a cut: row groups came and went in many sizes
#endif
  return step("merge: published");
}

void StoreImpl::publish_swap(Tenant& tenant, std::span<const SegmentRecord> added,
                             std::span<const std::shared_ptr<SegmentEntry>> removed) {
  std::lock_guard lock(tenant.mutex);
  tenant.change([&](View& view) {
    for (const auto& entry : removed) std::erase(view.segments, entry);
    for (const SegmentRecord& record : added) {
      view.segments.push_back(std::make_shared<SegmentEntry>(record, path_of(record)));
    }
  });
  std::erase_if(tenant.retired, [](const auto& path) { return !std::filesystem::exists(path); });
  for (const auto& entry : removed) {
    tenant.retired.push_back(entry->file());
    entry->retire();
  }
}

// Whole segments that no rule keeps; rows within segments vanish from queries by time and go at the next merge.
Result<> StoreImpl::retire_expired(Tenant& tenant) {
  const auto limits = limits_of(tenant.name);
  if (!retention_set(*limits)) return {};
  std::lock_guard merging(tenant.merge_mutex);
  const TimestampNs time = now_ns();
  auto longest = limits->retention_period;
  bool for_ever = longest.count() <= 0;
  for (const RetentionRule& rule : limits->retention_stream) {
    longest = std::max(longest, rule.period);
    if (rule.period.count() <= 0) for_ever = true;
  }
  auto shortest = longest;
  if (limits->retention_period.count() > 0) shortest = limits->retention_period;
  for (const RetentionRule& rule : limits->retention_stream) {
    if (rule.period.count() > 0) shortest = std::min(shortest, rule.period);
  }
  auto view = tenant.view();
  std::vector<std::shared_ptr<SegmentEntry>> expired;
  std::string bytes;
  for (const auto& entry : view->segments) {
    const auto age = std::chrono::nanoseconds(time - entry->record().max_time);
    if (age <= shortest) continue;
    if (for_ever || age <= longest) {
      // Some rule may keep it: ask for each stream.
      auto open = entry->open();
      if (!open) continue;  // quarantined: an operator decides
      const auto streams = (*open)->reader->streams();
      const bool kept = std::any_of(streams.begin(), streams.end(), [&](const SegmentStream& stream) {
        bytes.clear();
        encode_labels(stream.labels, bytes);
        return stream.max_time >= longest_floor(*limits, bytes, time);
      });
      if (kept) continue;
    }
    expired.push_back(entry);
  }
  if (expired.empty()) return {};
  std::vector<std::int64_t> ids;
  for (const auto& entry : expired) ids.push_back(entry->record().id);
  TRY(catalogue_.swap(tenant.name, {}, ids, std::nullopt, now()));
  publish_swap(tenant, {}, expired);
  metrics_.retired.add(static_cast<double>(ids.size()));
  log::info("logs", "segments expired", {{"tenant", tenant.name}, {"segments", ids.size()}});
  return {};
}

}  // namespace tocayo::logs
