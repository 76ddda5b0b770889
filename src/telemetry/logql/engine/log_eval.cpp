// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/log_eval.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <numeric>
#include <tuple>

#include "logql/engine/grid.h"
#include "logql/engine/plan.h"

namespace tocayo::logql::detail {

namespace {

using logs::Direction;

constexpr std::size_t kForgetBytes = 8 << 20;  // label sets that a worker remembers

// A line that may be in the answer.
struct Candidate {
  std::uint32_t rank = 0;   // of the stream in the order of labels
  std::uint64_t order = 0;  // arrival within the stream
  LogLine line;
};

// The order of the answer. Backward is the exact reverse of forward.
struct Before {
  Direction direction;
  bool operator()(const Candidate& a, const Candidate& b) const { return less(a.line.time, a.rank, a.order, b); }
  bool less(TimestampNs time, std::uint32_t rank, std::uint64_t order, const Candidate& b) const {
    const auto mine = std::tie(time, rank, order);
    const auto other = std::tie(b.line.time, b.rank, b.order);
    return direction == Direction::forward ? mine < other : mine > other;
  }
};

struct Worker {
  Worker(Run& run, const Pipeline& pipeline) : processor(pipeline), account(run) {}
  Processor processor;
  std::vector<Candidate> best;  // a heap whose top is the last of them
  std::size_t bytes = 0;        // of their lines
  Account account;
  logs::ScanStats stats;
  std::uint64_t kept = 0;
};

// The first `capacity` lines of a scan. Workers keep their own best ones and share a bound: the time beyond which no
// line can be among the first any more.
class FirstLines {
 public:
  FirstLines(Run& run, const Plan& plan, const logs::Scan& scan, Direction direction, std::size_t capacity)
      : run_(run),
        plan_(plan),
        scan_(scan),
        before_{direction},
        capacity_(capacity),
        bound_(direction == Direction::forward ? std::numeric_limits<TimestampNs>::max()
                                               : std::numeric_limits<TimestampNs>::min()) {
    const auto streams = scan.streams();
    std::vector<std::uint32_t> sorted(streams.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::ranges::sort(sorted, [&](std::uint32_t a, std::uint32_t b) { return streams[a] < streams[b]; });
    rank_.resize(streams.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) rank_[sorted[i]] = static_cast<std::uint32_t>(i);
  }

  Result<std::vector<Candidate>> collect(TimestampNs start, TimestampNs end) {
    const auto morsels = scan_.morsels();
    std::vector<std::size_t> order(morsels.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      return forward() ? morsels[a].min_time < morsels[b].min_time : morsels[a].max_time > morsels[b].max_time;
    });
    for (std::size_t i = 0; i < run_.worker_count(order.size()); ++i) {
      workers_.push_back(std::make_unique<Worker>(run_, plan_.pipeline));
    }
    TRY(run_.each(order.size(), [&](std::size_t worker, std::size_t piece) {
      return read(*workers_[worker], order[piece], start, end);
    }));
    std::vector<Candidate> all;
    for (auto& worker : workers_) {
      run_.add_scan(worker->stats, worker->kept);
      std::ranges::move(worker->best, std::back_inserter(all));
    }
    std::ranges::sort(all, before_);
    if (all.size() > capacity_) all.erase(all.begin() + static_cast<std::ptrdiff_t>(capacity_), all.end());
    return all;
  }

 private:
  bool forward() const { return before_.direction == Direction::forward; }
  bool beyond(TimestampNs time) const {
    const TimestampNs bound = bound_.load(std::memory_order_relaxed);
    return forward() ? time > bound : time < bound;
  }
  void tighten(TimestampNs time) {
    TimestampNs bound = bound_.load(std::memory_order_relaxed);
    while ((forward() ? time < bound : time > bound) &&
           !bound_.compare_exchange_weak(bound, time, std::memory_order_relaxed)) {
    }
  }

  Result<> read(Worker& worker, std::size_t morsel, TimestampNs start, TimestampNs end) {
    const logs::Morsel& one = scan_.morsels()[morsel];
    start = std::max(start, one.min_time);
    end = std::min(end, add_saturated(one.max_time, 1));
    // Where every row counts, a small part at the near end usually has enough of them.
    const bool dense = plan_.pipeline.passes_everything() && plan_.selection.line_filters.empty() &&
                       plan_.selection.label_filters.empty();
    std::int64_t slice = subtract_saturated(end, start);
    if (dense && one.rows > 8 * capacity_) slice = std::max<std::int64_t>(slice / 16, 1);
    while (start < end) {
      if (beyond(forward() ? start : end - 1)) return {};
      TimestampNs from = start;
      TimestampNs to = end;
      if (forward()) {
        to = std::min(end, add_saturated(start, slice));
        start = to;
      } else {
        from = std::max(start, subtract_saturated(end, slice));
        end = from;
      }
      TRY(read_slice(worker, morsel, from, to));
      slice = add_saturated(slice, add_saturated(slice, slice));
    }
    return {};
  }

  Result<> read_slice(Worker& worker, std::size_t morsel, TimestampNs start, TimestampNs end) {
    const TimestampNs bound = bound_.load(std::memory_order_relaxed);
    if (forward()) {
      end = std::min(end, add_saturated(bound, 1));
    } else {
      start = std::max(start, bound);
    }
    return scan_.scan(
        morsel, start, end, run_.context(),
        [&](std::span<const logs::Row> rows) -> Result<bool> {
          TRY(take(worker, rows));
          return true;
        },
        worker.stats);
  }

  Result<> take(Worker& worker, std::span<const logs::Row> rows) {
    const Labels* current = nullptr;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const logs::Row& row = forward() ? rows[i] : rows[rows.size() - 1 - i];
      if (beyond(row.time)) continue;
      const bool full = worker.best.size() >= capacity_;
      if (full && !before_.less(row.time, rank_[row.stream], row.order, worker.best.front())) continue;
      if (current != &scan_.streams()[row.stream]) {
        current = &scan_.streams()[row.stream];
        worker.processor.set_stream(*current);
      }
      if (!worker.processor.process(row.time, row.line, row.metadata)) continue;
      ++worker.kept;
      if (full) {
        std::ranges::pop_heap(worker.best, before_);
        worker.bytes -= worker.best.back().line.line.size();
        worker.best.pop_back();
      }
      const std::string_view line = worker.processor.line();
      worker.best.push_back({rank_[row.stream], row.order, {row.time, std::string(line), worker.processor.labels()}});
      worker.bytes += line.size();
      std::ranges::push_heap(worker.best, before_);
      if (worker.best.size() >= capacity_) tighten(worker.best.front().line.time);
    }
    if (worker.processor.memory_bytes() > kForgetBytes) worker.processor.forget();
    TRY(run_.context().check());
    return worker.account.set(worker.bytes + worker.best.size() * sizeof(Candidate) + worker.processor.memory_bytes());
  }

  Run& run_;
  const Plan& plan_;
  const logs::Scan& scan_;
  const Before before_;
  const std::size_t capacity_;
  std::atomic<TimestampNs> bound_;
  std::vector<std::uint32_t> rank_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// One page of at most `limit` lines, all that the query has in its range without regard to the interval.
Result<LogValue> page(Run& run, Plan& plan, const QueryParams& params, const std::optional<Cursor>& cursor,
                      std::size_t limit) {
  plan.selection.start = params.start;
  plan.selection.end = params.end;
  plan.selection.probe = true;
  plan.selection.pool = run.options().pool;
  if (cursor) {
    if (params.direction == Direction::forward) {
      plan.selection.start = std::max(params.start, cursor->time);
    } else {
      plan.selection.end = std::min(params.end, add_saturated(cursor->time, 1));
    }
  }
  LogValue value;
  if (plan.selection.start >= plan.selection.end) return value;
  const std::uint64_t skip = cursor ? cursor->skip : 0;
  const auto scan = TRY(run.querier().select(plan.selection, run.context()));
  FirstLines first(run, plan, *scan, params.direction, limit + skip);
  std::vector<Candidate> lines = TRY(first.collect(plan.selection.start, plan.selection.end));
  run.add_warnings(scan->warnings());
  run.add_scan(scan->covered(), 0);
  std::uint64_t skipped = 0;
  for (Candidate& candidate : lines) {
    if (cursor && candidate.line.time == cursor->time && skipped < skip) {
      ++skipped;
      continue;
    }
    if (value.lines.size() == limit) break;
    value.lines.push_back(std::move(candidate.line));
  }
  if (value.lines.size() < limit) return value;
  Cursor next{value.lines.back().time, 0};
  for (const LogLine& line : value.lines) next.skip += line.time == next.time ? 1 : 0;
  if (cursor && cursor->time == next.time) next.skip += cursor->skip;
  value.next = next;
  return value;
}

// Lines at least `interval` apart, greedily from the near end. After each one the query goes on behind the interval,
// in pages, so that dense data is not read through.
Result<LogValue> spaced(Run& run, Plan& plan, const QueryParams& params) {
  constexpr std::size_t kPage = 500;
  const bool forward = params.direction == Direction::forward;
  LogValue value;
  std::optional<Cursor> cursor = params.cursor;
  while (true) {
    LogValue part = TRY(page(run, plan, params, cursor, kPage));
    for (LogLine& line : part.lines) {
      if (!value.lines.empty()) {
        const TimestampNs last = value.lines.back().time;
        const std::int64_t distance = forward ? line.time - last : last - line.time;
        if (distance < params.interval_ns) continue;
      }
      value.lines.push_back(std::move(line));
      if (value.lines.size() == params.limit) break;
    }
    if (value.lines.size() == params.limit || !part.next) break;
    cursor = part.next;
    const TimestampNs last = value.lines.back().time;
    const TimestampNs resume =
        forward ? add_saturated(last, params.interval_ns) : subtract_saturated(last, params.interval_ns);
    if (forward ? resume > cursor->time : resume < cursor->time) cursor = Cursor{resume, 0};
  }
  if (value.lines.size() == params.limit) {
    const TimestampNs last = value.lines.back().time;
    value.next =
        Cursor{forward ? add_saturated(last, params.interval_ns) : subtract_saturated(last, params.interval_ns), 0};
  }
  return value;
}

}  // namespace

Result<LogValue> evaluate_log(Run& run, const LogExpr& log, const QueryParams& params) {
  Plan plan = TRY(make_plan(log, {}, Wants::line));
  if (params.interval_ns > 0) return spaced(run, plan, params);
  return page(run, plan, params, params.cursor, params.limit);
}

}  // namespace tocayo::logql::detail
