// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/range_eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "core/hash.h"
#include "logql/engine/accumulator.h"
#include "logql/engine/merged_series.h"
#include "logql/engine/metric_eval.h"
#include "logql/engine/partial_cache.h"
#include "logql/engine/plan.h"
#include "logql/engine/range_columns.h"
#include "logql/engine/spill.h"
#include "logql/syntax/printer.h"
#include "logs/columns.h"

namespace tocayo::logql::detail {

namespace {

bool counts_bytes(RangeOp op) { return op == RangeOp::bytes_over_time || op == RangeOp::bytes_rate; }

bool names_error(const LabelFilter& filter) {
  return filter.name == kErrorLabel || std::ranges::any_of(filter.operands, names_error);
}

// Whether rows with an error may become series: the query groups by labels, and says by them or by a filter that it
// knows of errors (as Loki).
bool keeps_errors(const RangeAggregation& aggregation, const std::optional<Grouping>& grouping) {
  if (!grouping || grouping->without) return false;
  if (std::ranges::find(grouping->labels, kErrorLabel) != grouping->labels.end()) return true;
  for (const Stage& stage : aggregation.range.log.stages) {
    if (const auto* filter = std::get_if<LabelFilterStage>(&stage.node)) {
      if (names_error(filter->filter)) return true;
    }
  }
  return aggregation.range.unwrap && std::ranges::any_of(aggregation.range.unwrap->filters, names_error);
}

constexpr std::size_t kSpillWrite = 256 << 10;

// The earliest row whose error the query did not expect, and how many there are.
struct Failure {
  std::uint64_t rows = 0;
  RangeSample at;
  std::shared_ptr<const LabelResult> labels;
  std::string line;

  void add(const RangeSample& sample, const std::shared_ptr<const LabelResult>& result, std::string_view text) {
    if (rows++ > 0 && !earlier(sample, at)) return;
    at = sample;
    labels = result;
    line = std::string(text.substr(0, 200));
  }
  void merge(Failure&& other) {
    if (other.rows == 0) return;
    if (rows == 0 || earlier(other.at, at)) {
      at = other.at;
      labels = std::move(other.labels);
      line = std::move(other.line);
    }
    rows += other.rows;
  }
  static bool earlier(const RangeSample& a, const RangeSample& b) {
    return std::tie(a.time, a.rank, a.order) < std::tie(b.time, b.rank, b.order);
  }
  // Loki's words, and a last line of ours that says how much of the data it is about.
  Error error() const {
    const std::string_view name = labels->error_name();
    std::string message = fmt::format(
        "pipeline error: '{0}' for series: '{1}'.\n"
        "Use a label filter to intentionally skip this error. (e.g | __error__!=\"{0}\").\n"
        "To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
        "The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n",
        name, labels->labels().to_string(false));
    message += fmt::format("{} line{} of the range cannot be used so", rows, rows == 1 ? "" : "s");
    message += line.empty() ? "." : fmt::format(", for example: {}", line);
    return Error{ErrorKind::bad_input, std::move(message)};
  }
};

// One thread's part of the scan.
struct Worker {
  Worker(Run& run, const Plan& plan, const RangeAggregation& aggregation, const Windows& windows,
         std::span<const Labels> streams)
      : aggregation(aggregation),
        windows(windows),
        processor(plan.pipeline),
        cursor(windows),
        accumulator(make_accumulator(aggregation, windows)),
        account(run) {
    if (plan.columns) columns.emplace(*plan.columns, streams);
  }

  std::size_t memory_bytes() const {
    return processor.memory_bytes() + accumulator->memory_bytes() + (known == nullptr ? 0 : known->memory_bytes());
  }
  void begin_anew() {
    processor.forget();
    labels = {};
    accumulator = make_accumulator(aggregation, windows);
    known = nullptr;
    known_index.clear();
    known_labels = {};
  }

  const RangeAggregation& aggregation;
  const Windows& windows;
  Processor processor;
  Windows::Cursor cursor;
  std::unique_ptr<Accumulator> accumulator;
  std::vector<std::shared_ptr<const LabelResult>> labels;  // by LabelResult::id, which numbers the series
  Account account;
  logs::ScanStats stats;
  std::uint64_t kept = 0;
  Failure failure;
  std::optional<ColumnReader> columns;
  bool may_spill = true;

  // What came out of the cache.
  std::unique_ptr<Accumulator> known;
  std::unordered_map<Labels, std::size_t, LabelsHash> known_index;
  std::vector<std::pair<Labels, bool>> known_labels;  // with whether they have an error
};

// Says all that the states of a row group depend on but its rows; 0 when they are not to be kept.
std::uint64_t partial_key(const RangeAggregation& aggregation, const PipelineOptions& options, bool keep_errors,
                          const Windows& windows) {
  switch (aggregation.op) {
    case RangeOp::first_over_time:
    case RangeOp::last_over_time:
    case RangeOp::quantile_over_time:  // as large as the rows where a group has few of the query's
    case RangeOp::rate_counter: return 0;
    default: break;
  }
  for (const Stage& stage : aggregation.range.log.stages) {  // templates may ask for the time of day
    if (std::holds_alternative<LineFormatStage>(stage.node) || std::holds_alternative<LabelFormatStage>(stage.node)) {
      return 0;
    }
  }
  std::string text = fmt::format("{}\n{}\n{}\n{}\n", to_string(aggregation.op), to_string(aggregation.range.log),
                                 keep_errors, windows.range());
  text += fmt::format("{} {} {}\n", windows.offset(), windows.steps().step,
                      OpenGrid::phase(windows.steps().start, windows.steps().step));
  if (options.grouping) {
    text += options.grouping->without ? "without" : "by";
    for (const std::string& name : options.grouping->labels) text += "\n" + name;
  }
  if (options.unwrap != nullptr) {
    text += fmt::format("\nunwrap {} {}", options.unwrap->label, to_string(options.unwrap->conversion));
    for (const LabelFilter& filter : options.unwrap->filters) text += "\n" + to_string(filter);
  }
  return std::max<std::uint64_t>(hash64(text), 1);
}

// Whether a sample is its value alone, so that equal ones of an interval may be counted first.
bool takes_counts(const RangeAggregation& aggregation) {
  return aggregation.range.unwrap == std::nullopt && !counts_bytes(aggregation.op);
}

// Whether states are small beside the lines they are of: else reading those again is no dearer than the memory.
bool worth_keeping(const Partial& partial) {
  return partial.memory_bytes() <= std::max<std::size_t>(64 << 10, partial.stats.bytes / 16);
}

class RangeScan {
 public:
  // `partial_key` of this query; 0: nothing is kept. `pushed` and `outer` as evaluate_range().
  RangeScan(Run& run, const RangeAggregation& aggregation, const Windows& windows, const Plan& plan, bool keep_errors,
            const logs::Scan& scan, std::uint64_t partial_key, const Grouping* pushed, OuterGroups* outer)
      : run_(run),
        aggregation_(aggregation),
        windows_(windows),
        plan_(plan),
        keep_errors_(keep_errors),
        scan_(scan),
        partial_key_(partial_key),
        parted_by_(pushed),
        outer_(outer) {
    const auto streams = scan.streams();
    std::vector<std::uint32_t> sorted(streams.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::ranges::sort(sorted, [&](std::uint32_t a, std::uint32_t b) { return streams[a] < streams[b]; });
    rank_.resize(streams.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) rank_[sorted[i]] = static_cast<std::uint32_t>(i);
    for (std::size_t i = 0; i < run.worker_count(scan.morsels().size()); ++i) {
      workers_.push_back(std::make_unique<Worker>(run, plan, aggregation, windows, streams));
    }
  }

  Result<> read() {
    TRY(run_.each(scan_.morsels().size(), [this](std::size_t worker, std::size_t morsel) {
      Worker& mine = *workers_[worker];
      if (partial_key_ != 0) {
        const logs::Morsel& piece = scan_.morsels()[morsel];
        const auto rows = scan_.identity(morsel);
        const bool whole = piece.min_time >= windows_.first() && piece.max_time < windows_.last();
        const auto grid = rows && whole ? OpenGrid::of(windows_, piece.min_time, piece.max_time) : std::nullopt;
        // Where most states are not worth keeping, making them apart from the others is only dear.
        if (grid && not_worth_ <= worth_) return read_kept(mine, morsel, *rows, *grid);
      }
      return read(mine, morsel);
    }));
    Failure failure;
    for (auto& worker : workers_) {
      run_.add_scan(worker->stats, worker->kept);
      failure.merge(std::move(worker->failure));
    }
    if (failure.rows > 0) return std::unexpected(failure.error());
    return {};
  }

  // After read().
  Result<> deliver(const SeriesSink& sink) {
    if (file_ == nullptr && (run_.options().spill == nullptr || fits())) {
      MergedSeries all(aggregation_, windows_);
      for (auto& worker : workers_) {
        each_series(*worker, [&](const Labels& labels, bool error, Accumulator& from, std::size_t series) {
          all.absorb(labels, error, from, series);
        });
        TRY(worker->account.set(worker->processor.memory_bytes()));  // less than before
      }
      if (outer_ != nullptr) outer_->whole = true;
      return sink(TRY(all.finish(run_)));
    }
    for (auto& worker : workers_) TRY(spill(*worker));
    workers_.clear();
    for (std::size_t part = 0; part < SpillFile::kParts; ++part) TRY(deliver(part, sink));
    run_.add_spilled(file_->bytes());
    return {};
  }

 private:
  // What a worker has gathered: visit(labels, error, accumulator, number in it) for each series.
  std::size_t series_count(const Worker& worker) const {
    if (plan_.rows_only) return worker.known_labels.size() + 1;
    return worker.labels.size() + worker.known_labels.size();
  }
  template <typename Visit>
  void visit_series(const Worker& worker, std::size_t nth, const Visit& visit) const {
    if (nth < worker.known_labels.size()) {
      const auto& [labels, error] = worker.known_labels[nth];
      return visit(labels, error, *worker.known, nth);
    }
    nth -= worker.known_labels.size();
    if (plan_.rows_only) {
      if (worker.kept > 0) visit(Labels{}, false, *worker.accumulator, 0);
    } else if (const auto& result = worker.labels[nth]; result != nullptr) {
      visit(result->labels(), result->error, *worker.accumulator, nth);
    }
  }
  template <typename Visit>
  void each_series(const Worker& worker, const Visit& visit) const {
    for (std::size_t i = 0; i < series_count(worker); ++i) visit_series(worker, i, visit);
  }

  // Whether the series fit into memory over all steps. Their states do, and become less meanwhile.
  bool fits() {
    std::size_t bytes = 0;
    for (auto& worker : workers_) {
      each_series(*worker, [&](const Labels& labels, bool, Accumulator&, std::size_t) {
        bytes += memory_of(labels) + windows_.steps().count * Column::kBytesPerStep;
      });
    }
    return Account(run_).set(bytes).has_value();
  }

  Result<SpillFile*> open_file(const Worker& worker) {
    std::lock_guard lock(file_mutex_);
    if (file_ == nullptr) {
      file_ = TRY(SpillFile::create(*run_.options().spill));
      if (outer_ != nullptr && has_many_groups(worker)) {
        parted_by_ = outer_->grouping;
        outer_->whole = true;
      }
    }
    return file_.get();
  }

  // Whether the aggregation around this one has enough groups to be parted by them.
  bool has_many_groups(const Worker& worker) const {
    std::unordered_set<std::uint64_t> groups;
    std::size_t series = 0;
    for (std::size_t i = 0; i < series_count(worker) && groups.size() < 4 * SpillFile::kParts; ++i) {
      visit_series(worker, i, [&](const Labels& labels, bool, Accumulator&, std::size_t) {
        groups.insert(group_labels(labels, *outer_->grouping).hash());
        ++series;
      });
    }
    if (run_.options().spill_states_at != 0) return groups.size() > 1;
    return groups.size() >= 4 * SpillFile::kParts || (groups.size() >= 16 && groups.size() * 2 >= series);
  }

  // Puts all that a worker has gathered on disk and begins anew.
  Result<> spill(Worker& worker) {
    SpillFile& file = *TRY(open_file(worker));
    std::array<std::vector<std::uint32_t>, SpillFile::kParts> parts;
    for (std::size_t i = 0; i < series_count(worker); ++i) {
      visit_series(worker, i, [&](const Labels& labels, bool, Accumulator&, std::size_t) {
        const std::uint64_t hash = parted_by_ == nullptr ? labels.hash() : group_labels(labels, *parted_by_).hash();
        parts[SpillFile::part_of(hash)].push_back(static_cast<std::uint32_t>(i));
      });
    }
    SpillRecords records;
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (const std::uint32_t one : parts[part]) {
        visit_series(worker, one, [&](const Labels& labels, bool error, Accumulator& from, std::size_t series) {
          records.add(labels, error, [&](std::string& out) { from.save(series, out); });
        });
        if (records.size() < kSpillWrite && one != parts[part].back()) continue;
        TRY(run_.context().check());
        if (auto wrote = records.write(file, part); !wrote) {
          return std::unexpected(explain(worker, std::move(wrote.error())));
        }
      }
    }
    worker.begin_anew();
    return {};
  }

  Result<> deliver(std::size_t part, const SeriesSink& sink) {
    MergedSeries all(aggregation_, windows_);
    Account account(run_);
    TRY(file_->read(part, [&](std::string_view records) -> Result<> {
      TRY(run_.context().check());
      const bool read = SpillRecords::parse(records, [&](const Labels& labels, bool error, std::string_view states) {
        return all.load(labels, error, states);
      });
      if (!read) return fail(ErrorKind::internal, "the states of a query cannot be read back");
      auto held = account.set(all.memory_bytes());
      return held ? held : std::unexpected(all.explain(std::move(held.error())));
    }));
    TRY(account.set(0));
    return sink(TRY(all.finish(run_)));
  }

  Result<> count(Worker& worker, std::span<const logs::Row> rows) {
    const bool bytes = counts_bytes(aggregation_.op);
    for (const logs::Row& row : rows) {
      const auto interval = worker.cursor.interval(row.time);
      if (!interval) continue;
      ++worker.kept;
      worker.accumulator->add(0, *interval, {row.time, rank_[row.stream], row.order, bytes ? row.length : 1.0});
    }
    return settle(worker);
  }

  Result<> read(Worker& mine, std::size_t morsel) {
    const logs::Scan::Visitor rows_one_by_one = [&](std::span<const logs::Row> rows) -> Result<bool> {
      TRY(plan_.rows_only ? count(mine, rows) : process(mine, rows));
      return true;
    };
    if (!plan_.rows_only && !plan_.columns) {
      return scan_.scan(morsel, windows_.first(), windows_.last(), run_.context(), rows_one_by_one, mine.stats);
    }
    return scan_.scan_columns(
        morsel, windows_.first(), windows_.last(), run_.context(),
        [&](logs::ColumnGroup& group) { return plan_.rows_only ? count(mine, group) : process(mine, group); },
        rows_one_by_one, mine.stats);
  }

  // The states of a row group that never changes, from the cache or for it.
  Result<> read_kept(Worker& mine, std::size_t morsel, std::uint64_t rows, const OpenGrid& grid) {
    auto partial = run_.options().partials->find(partial_key_, rows);
    if (partial == nullptr) {
      Worker fresh(run_, plan_, aggregation_, grid.windows(), scan_.streams());
      fresh.may_spill = false;  // its intervals are others
      TRY(read(fresh, morsel));
      mine.failure.merge(std::move(fresh.failure));
      auto made = std::make_shared<Partial>();
      made->grid_start = grid.windows().steps().start;
      made->stats = fresh.stats;
      made->kept = fresh.kept;
      for (std::size_t id = 0; id < fresh.labels.size(); ++id) {
        if (fresh.labels[id] == nullptr) continue;
        made->series.push_back({fresh.labels[id]->labels(), fresh.labels[id]->error, fresh.accumulator->keep(id)});
      }
      if (plan_.rows_only && fresh.kept > 0) made->series.push_back({Labels{}, false, fresh.accumulator->keep(0)});
      // What could not be read now may be readable later, and rows with an error end the query.
      const bool worth = worth_keeping(*made);
      ++(worth ? worth_ : not_worth_);
      if (worth && mine.failure.rows == 0 && scan_.warnings().empty()) {
        run_.options().partials->put(partial_key_, rows, made);
      }
      mine.stats.bytes_read += made->stats.bytes_read;
      partial = std::move(made);
    } else {
      ++worth_;
    }
    const std::uint64_t read_before = mine.stats.bytes_read;
    mine.stats.add(partial->stats);
    mine.stats.bytes_read = read_before;
    mine.kept += partial->kept;
    if (mine.known == nullptr) mine.known = make_accumulator(aggregation_, windows_);
    for (const auto& one : partial->series) {
      const auto [at, added] = mine.known_index.try_emplace(one.labels, mine.known_labels.size());
      if (added) mine.known_labels.emplace_back(one.labels, one.error);
      mine.known->merge(at->second, *one.states, [&](std::uint32_t interval) {
        return OpenGrid::place(interval, partial->grid_start, windows_);
      });
    }
    return settle(mine);
  }

  Result<> count(Worker& worker, logs::ColumnGroup& group) {
    const auto times = TRY(group.times());
    Counted counted(*this, worker);
    const auto rows = group.rows();
    for (std::size_t i = 0; i < rows.size(); ++i) TRY(counted.take(group, i, 0, times[rows[i]], 0, 1));
    counted.flush();
    return settle(worker);
  }

  Result<> process(Worker& worker, logs::ColumnGroup& group) {
    Counted counted(*this, worker);
    // The reader knows series by their numbers until the group ends.
    const bool may_spill = std::exchange(worker.may_spill, false);
    TRY(worker.columns->read(group, counted));
    worker.may_spill = may_spill;
    counted.flush();
    return settle(worker);
  }

  // Takes the rows of a group. Runs of rows of one series and interval are counted before they are added.
  class Counted final : public ColumnReader::Handler {
   public:
    Counted(RangeScan& scan, Worker& worker)
        : scan_(scan),
          worker_(worker),
          bytes_(counts_bytes(scan.aggregation_.op)),
          counts_(takes_counts(scan.aggregation_)) {}

    RowOutcome decide(const logs::Row& row) override {
      Processor& processor = worker_.processor;
      processor.set_stream(scan_.scan_.streams()[row.stream]);
      if (!processor.process(row.time, row.line, row.metadata)) return {RowOutcome::Kind::dropped};
      const auto& labels = processor.labels();
      if (labels->error && !scan_.keep_errors_) return {RowOutcome::Kind::by_row};
      remember(worker_, labels);
      return {RowOutcome::Kind::kept, labels->id, processor.value()};
    }
    Result<> by_row(std::span<const logs::Row> rows) override { return scan_.process(worker_, rows); }
    Result<> take(logs::ColumnGroup& group, std::size_t nth, std::uint32_t stream, TimestampNs time,
                  std::uint32_t series, double value) override {
      const auto interval = worker_.cursor.interval(time);
      if (!interval) return {};
      ++worker_.kept;
      if (counts_) {
        if (count_ == 0 || series != series_ || *interval != interval_) {
          flush();
          series_ = series;
          interval_ = *interval;
        }
        if ((++count_ & 0x1FFF) == 0) return scan_.run_.context().check();
        return {};
      }
      if (bytes_) value = TRY(group.lengths())[nth];
      worker_.accumulator->add(series, *interval,
                               {time, scan_.rank_[stream], group.first_order() + group.rows()[nth], value});
      if ((worker_.kept & 0x1FFF) == 0) return scan_.run_.context().check();
      return {};
    }
    void flush() {
      if (count_ != 0) worker_.accumulator->add_equal(series_, interval_, {.value = 1}, std::exchange(count_, 0));
    }

   private:
    RangeScan& scan_;
    Worker& worker_;
    const bool bytes_;
    const bool counts_;
    std::uint32_t series_ = 0;
    std::uint32_t interval_ = 0;
    std::uint64_t count_ = 0;
  };

  static void remember(Worker& worker, const std::shared_ptr<const LabelResult>& labels) {
    if (labels->id >= worker.labels.size()) worker.labels.resize(labels->id + 1);
    if (worker.labels[labels->id] == nullptr) worker.labels[labels->id] = labels;
  }

  Result<> process(Worker& worker, std::span<const logs::Row> rows) {
    const bool bytes = counts_bytes(aggregation_.op);
    const bool stored_length = !plan_.selection.want_line;
    const auto streams = scan_.streams();
    Processor& processor = worker.processor;
    const Labels* current = nullptr;
    for (const logs::Row& row : rows) {
      const auto interval = worker.cursor.interval(row.time);
      if (!interval) continue;
      if (current != &streams[row.stream]) {
        current = &streams[row.stream];
        processor.set_stream(*current);
      }
      if (!processor.process(row.time, row.line, row.metadata)) continue;
      ++worker.kept;
      const auto& labels = processor.labels();
      RangeSample sample{row.time, rank_[row.stream], row.order, 0};
      if (labels->error && !keep_errors_) {
        // Only what the plan asked for is shown, however the rows came.
        worker.failure.add(sample, labels, plan_.selection.want_line ? row.line : std::string_view());
        continue;
      }
      if (!bytes) {
        sample.value = processor.value();
      } else {
        sample.value = stored_length ? row.length : static_cast<double>(processor.line().size());
      }
      remember(worker, labels);
      worker.accumulator->add(labels->id, *interval, sample);
    }
    return settle(worker);
  }

  // Charges what a worker holds. What is too much goes to disk, at once or as soon as it may.
  Result<> settle(Worker& worker) {
    TRY(run_.context().check());
    const RunOptions& options = run_.options();
    const std::size_t bytes = worker.memory_bytes();
    auto held = worker.account.set(bytes);
    if (options.spill == nullptr) return held ? held : std::unexpected(explain(worker, std::move(held.error())));
    if (held && (options.spill_states_at == 0 || bytes < options.spill_states_at)) return {};
    if (!worker.may_spill) return {};
    // Another one holds nearly all, and is about to find that out.
    if (!held && bytes < run_.memory() / 8) return {};
    TRY(spill(worker));
    (void)worker.account.set(worker.memory_bytes());  // what is left is no state
    return {};
  }

  static Error explain(const Worker& worker, Error error) {
    LabelValues values;
    const std::size_t stride = LabelValues::stride(worker.labels.size());
    for (std::size_t i = 0; i < worker.labels.size(); i += stride) {
      if (worker.labels[i] == nullptr) continue;
      for (const Label& label : worker.labels[i]->all) values.add(label.name, label.value);
    }
    const std::size_t known_stride = LabelValues::stride(worker.known_labels.size());
    for (std::size_t i = 0; i < worker.known_labels.size(); i += known_stride) {
      for (const Label& label : worker.known_labels[i].first) values.add(label.name, label.value);
    }
    return values.name_largest(std::move(error));
  }

  Run& run_;
  const RangeAggregation& aggregation_;
  const Windows& windows_;
  const Plan& plan_;
  const bool keep_errors_;
  const logs::Scan& scan_;
  const std::uint64_t partial_key_;
  std::atomic<std::uint32_t> worth_{0};      // row groups whose states were kept …
  std::atomic<std::uint32_t> not_worth_{0};  // … or were too large to be
  const Grouping* parted_by_;                // what is on disk; null: by all labels
  OuterGroups* outer_;
  std::mutex file_mutex_;
  std::unique_ptr<SpillFile> file_;  // made when something did not fit
  std::vector<std::uint32_t> rank_;  // of streams in the order of their labels
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

Result<> evaluate_range(Run& run, const RangeAggregation& aggregation, const Grouping* pushed, const Steps& steps,
                        OuterGroups* outer, const SeriesSink& sink) {
  const Windows windows(steps, aggregation.range.interval_ns, aggregation.range.offset_ns);
  PipelineOptions options;
  options.grouping = aggregation.grouping;
  if (!options.grouping && pushed != nullptr) options.grouping = *pushed;
  if (aggregation.op == RangeOp::absent_over_time) options.grouping = Grouping{};  // only whether there is a row
  options.unwrap = aggregation.range.unwrap ? &*aggregation.range.unwrap : nullptr;
  const bool keep_errors = aggregation.op != RangeOp::absent_over_time && keeps_errors(aggregation, options.grouping);
  Plan plan =
      TRY(make_plan(aggregation.range.log, options, counts_bytes(aggregation.op) ? Wants::length : Wants::labels));
  plan.selection.start = windows.first();
  plan.selection.end = windows.last();
  if (plan.selection.start >= plan.selection.end) return {};
  const auto scan = TRY(run.querier().select(plan.selection, run.context()));
  const std::uint64_t key =
      run.options().partials == nullptr ? 0 : partial_key(aggregation, options, keep_errors, windows);
  RangeScan work(run, aggregation, windows, plan, keep_errors, *scan, key, pushed, outer);
  TRY(work.read());
  run.add_warnings(scan->warnings());
  run.add_scan(scan->covered(), 0);
  return work.deliver(sink);
}

}  // namespace tocayo::logql::detail
