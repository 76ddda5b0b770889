// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/range_eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "logql/engine/accumulator.h"
#include "logql/engine/plan.h"

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
  Worker(Run& run, const Plan& plan, const RangeAggregation& aggregation, const Windows& windows)
      : processor(plan.pipeline), cursor(windows), accumulator(make_accumulator(aggregation, windows)), account(run) {}

  Processor processor;
  Windows::Cursor cursor;
  std::unique_ptr<Accumulator> accumulator;
  std::vector<std::shared_ptr<const LabelResult>> labels;  // by LabelResult::id, which numbers the series
  Account account;
  logs::ScanStats stats;
  std::uint64_t kept = 0;
  Failure failure;
};

class RangeScan {
 public:
  RangeScan(Run& run, const RangeAggregation& aggregation, const Windows& windows, const Plan& plan, bool keep_errors,
            const logs::Scan& scan)
      : run_(run), aggregation_(aggregation), windows_(windows), plan_(plan), keep_errors_(keep_errors), scan_(scan) {
    const auto streams = scan.streams();
    std::vector<std::uint32_t> sorted(streams.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::ranges::sort(sorted, [&](std::uint32_t a, std::uint32_t b) { return streams[a] < streams[b]; });
    rank_.resize(streams.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) rank_[sorted[i]] = static_cast<std::uint32_t>(i);
    for (std::size_t i = 0; i < run.worker_count(scan.morsels().size()); ++i) {
      workers_.push_back(std::make_unique<Worker>(run, plan, aggregation, windows));
    }
  }

  Result<> read() {
    TRY(run_.each(scan_.morsels().size(), [this](std::size_t worker, std::size_t morsel) {
      Worker& mine = *workers_[worker];
      return scan_.scan(
          morsel, windows_.first(), windows_.last(), run_.context(),
          [&](std::span<const logs::Row> rows) -> Result<bool> {
            TRY(plan_.rows_only ? count(mine, rows) : process(mine, rows));
            return true;
          },
          mine.stats);
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
  Result<std::vector<EvalSeries>> series() {
    std::unordered_map<Labels, std::size_t, LabelsHash> index;
    std::vector<const Labels*> labels;
    std::vector<bool> errors;
    auto all = make_accumulator(aggregation_, windows_);
    for (auto& worker : workers_) {
      for (std::size_t id = 0; id < worker->labels.size(); ++id) {
        const auto& result = worker->labels[id];
        if (result == nullptr) continue;
        const auto [at, added] = index.try_emplace(result->labels(), labels.size());
        if (added) {
          labels.push_back(&at->first);
          errors.push_back(result->error);
        }
        all->absorb(at->second, *worker->accumulator, id);
      }
      if (plan_.rows_only && worker->kept > 0) {
        const auto [at, added] = index.try_emplace(Labels{}, 0U);
        if (added) {
          labels.push_back(&at->first);
          errors.push_back(false);
        }
        all->absorb(at->second, *worker->accumulator, 0);
      }
    }
    Account account(run_);
    std::vector<std::size_t> order(labels.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return *labels[a] < *labels[b]; });
    std::vector<EvalSeries> out;
    std::size_t bytes = 0;
    for (std::size_t one : order) {
      TRY(run_.context().check());
      Column column = all->finish(one);
      if (!column.any()) continue;
      bytes += column.memory_bytes();
      TRY(account.set(bytes + all->memory_bytes()));
      out.push_back({*labels[one], std::move(column), errors[one]});
    }
    return out;
  }

 private:
  Result<> count(Worker& worker, std::span<const logs::Row> rows) {
    const bool bytes = counts_bytes(aggregation_.op);
    for (const logs::Row& row : rows) {
      const auto interval = worker.cursor.interval(row.time);
      if (!interval) continue;
      ++worker.kept;
      worker.accumulator->add(0, *interval, {row.time, rank_[row.stream], row.order, bytes ? row.length : 1.0});
    }
    TRY(run_.context().check());
    return worker.account.set(worker.accumulator->memory_bytes());
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
        worker.failure.add(sample, labels, row.line);
        continue;
      }
      if (!bytes) {
        sample.value = processor.value();
      } else {
        sample.value = stored_length ? row.length : static_cast<double>(processor.line().size());
      }
      if (labels->id >= worker.labels.size()) worker.labels.resize(labels->id + 1);
      if (worker.labels[labels->id] == nullptr) worker.labels[labels->id] = labels;
      worker.accumulator->add(labels->id, *interval, sample);
    }
    TRY(run_.context().check());
    const auto held = worker.account.set(processor.memory_bytes() + worker.accumulator->memory_bytes());
    return held ? held : std::unexpected(explain(worker, std::move(held.error())));
  }

  // Names the label that makes most of the series: the one to aggregate away.
  static Error explain(const Worker& worker, Error error) {
    std::unordered_map<std::string_view, std::unordered_set<std::string_view>> values;
    std::size_t looked_at = 0;
    for (const auto& result : worker.labels) {
      if (result == nullptr) continue;
      for (const Label& label : result->all) values[label.name].insert(label.value);
      if (++looked_at == 10'000) break;
    }
    const auto most = std::ranges::max_element(values, {}, [](const auto& entry) { return entry.second.size(); });
    if (most != values.end() && most->second.size() > 1) {
      error.message += fmt::format(" (label {} alone has {} or more values)", most->first, most->second.size());
    }
    return error;
  }

  Run& run_;
  const RangeAggregation& aggregation_;
  const Windows& windows_;
  const Plan& plan_;
  const bool keep_errors_;
  const logs::Scan& scan_;
  std::vector<std::uint32_t> rank_;  // of streams in the order of their labels
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

Labels absent_labels(const std::vector<Matcher>& matchers) {
  Labels labels;
  std::vector<std::string> ambiguous;
  for (const Matcher& matcher : matchers) {
    if (matcher.name() == kMetricName) continue;
    if (matcher.type() == Matcher::Type::equal && !labels.has(matcher.name())) {
      labels.set(matcher.name(), matcher.value());
    } else {
      ambiguous.push_back(matcher.name());
    }
  }
  return labels.drop(ambiguous);
}

Result<std::vector<EvalSeries>> evaluate_range(Run& run, const RangeAggregation& aggregation, const Grouping* pushed,
                                               const Steps& steps) {
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
  if (plan.selection.start >= plan.selection.end) return std::vector<EvalSeries>{};
  const auto scan = TRY(run.querier().select(plan.selection, run.context()));
  RangeScan work(run, aggregation, windows, plan, keep_errors, *scan);
  TRY(work.read());
  run.add_warnings(scan->warnings());
  return work.series();
}

}  // namespace tocayo::logql::detail
