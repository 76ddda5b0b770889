// SPDX-License-Identifier: Apache-2.0
// One running query: the state all nodes share, and how nodes hand series to each other. Private to the room.
//
// Life cycle: Engine::run makes an Evaluator, calls stream()/collect()/scalar() on the root, drops it. Not thread-safe;
// for_each_series() uses other threads, and what it lets them touch is said there; a side of an operator that runs
// ahead of its turn has an evaluator of its own (eval_branch.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "metrics/querier.h"
#include "promql/annotations.h"
#include "promql/ast.h"
#include "promql/engine.h"
#include "promql/eval_column.h"

namespace tocayo::promql::eval {

template <typename T = void>
using Outcome = std::expected<T, QueryError>;

// auto x = TRY_EVAL(f());   as TRY, for results that carry a QueryError (or an Error, which becomes one).
#define TRY_EVAL(...)                                               \
  ({                                                                \
    auto tried_ = (__VA_ARGS__);                                    \
    if (!tried_) return std::unexpected(std::move(tried_.error())); \
    std::move(*tried_);                                             \
  })
// The same for something that returns no value.
#define TRY_VOID(...) \
  if (auto tried_ = (__VA_ARGS__); !tried_) return std::unexpected(std::move(tried_.error()))

[[nodiscard]] std::unexpected<QueryError> execution_error(std::string message);

// One series of a node's result. `labels` are the store's or kept by the evaluator and live as long as the query,
// unless the series has its own, which go with it: who needs the labels longer than the series copies them.
struct EvalSeries {
  const Labels* labels = nullptr;
  bool drop_name = false;  // delayed name removal: the name goes when the query ends
  Column column;
  std::unique_ptr<const Labels> own;

  void set_labels(Labels value) {
    own = std::make_unique<const Labels>(std::move(value));
    labels = own.get();
  }
};
using Sink = std::function<Outcome<>(EvalSeries&&)>;

class Branch;
class QueryState;
class SelectorHistory;
struct Selection;

// What may be alive at once. Single-threaded.
class Budget {
 public:
  // With a meter, bytes are counted there as well.
  Budget(std::size_t max_samples, std::size_t max_bytes, metrics::QueryMeter* meter)
      : max_samples_(max_samples), max_bytes_(max_bytes), meter_(meter) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  // Error in Prometheus' (samples) or Mimir's (bytes) words when it does not fit.
  Outcome<> take(std::size_t samples, std::size_t bytes);
  void give_back(std::size_t samples, std::size_t bytes);
  // Counts samples that are only held for a moment.
  Outcome<> touch(std::size_t samples);
  bool fits(std::size_t samples) const { return live_ + samples <= max_samples_; }
  std::size_t live() const { return live_; }
  std::size_t peak() const { return peak_; }
  // So many samples were asked about with fits().
  void note_asked(std::size_t samples) { asked_ = std::max(asked_, samples); }

  // From here on what is held counts there as well.
  void share(QueryState& state);
  // Whether nothing of what `part` granted would have been refused here, coming now.
  bool fits(const Budget& part) const;
  // Takes over what `part` holds; it is given back to `part`, which hands it on and must not outlive this.
  void absorb(Budget& part);

 private:
  std::size_t max_samples_, max_bytes_;
  metrics::QueryMeter* meter_;
  std::size_t live_ = 0, bytes_ = 0, peak_ = 0, peak_bytes_ = 0, asked_ = 0;
  QueryState* state_ = nullptr;
  Budget* into_ = nullptr;  // absorbed by it
};

// What somebody holds of the budget, given back when he goes.
class Charge {
 public:
  explicit Charge(Budget& budget) : budget_(&budget) {}
  Charge(Charge&& other) noexcept
      : budget_(other.budget_), samples_(std::exchange(other.samples_, 0)), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&&) = delete;
  ~Charge() { budget_->give_back(samples_, bytes_); }
  Outcome<> take(std::size_t samples, std::size_t bytes) {
    samples_ += samples;
    bytes_ += bytes;
    return budget_->take(samples, bytes);
  }

 private:
  Budget* budget_;
  std::size_t samples_ = 0, bytes_ = 0;
};

// Materialised series, charged to the budget until destroyed.
class Batch {
 public:
  explicit Batch(Budget& budget) : charge_(budget) {}
  Outcome<> add(EvalSeries&& one);

  std::vector<EvalSeries> series;

 private:
  Charge charge_;
};

using metrics::memory_bytes;

// Samples looked at, per evaluator frame (the query, a subquery, a step-invariant part).
struct StepStats {
  std::int64_t total = 0, read = 0;
  std::vector<std::int64_t> total_per_step, read_per_step;  // empty when not asked for
  StepStats() = default;
  StepStats(const Grid& grid, bool per_step) {
    if (per_step) total_per_step.resize(grid.steps), read_per_step.resize(grid.steps);
  }
  StepStats like() const {
    StepStats out;
    out.total_per_step.resize(total_per_step.size());
    out.read_per_step.resize(read_per_step.size());
    return out;
  }
  void count(std::size_t step, std::int64_t total_count, std::int64_t read_count) {
    total += total_count;
    read += read_count;
    if (!total_per_step.empty()) {
      total_per_step[step] += total_count;
      read_per_step[step] += read_count;
    }
  }
  void add(const StepStats& other);
};

// What a worker keeps for itself while it makes series.
struct Worker {
  metrics::SampleColumns samples;
  std::vector<std::uint32_t> bounds[4];
  std::vector<double> scratch;
  Annotations annotations;
  StepStats stats;
  std::size_t largest_read = 0;  // samples of one series held at once
  std::size_t most_asked = 0;    // of the budget: these and what was alive
};

class Evaluator {
 public:
  struct Settings {
    const metrics::Querier* querier;
    Features features;
    std::int64_t lookback;  // ms
    std::function<Duration(Duration)> subquery_step;
    Pool* pool;
    Context context;
    std::size_t max_samples;
    std::size_t max_bytes;
    metrics::QueryMeter* meter;  // may be null
    std::size_t parallelism;     // threads at once; 0 = all of the pool
    bool per_step_stats;
    SelectorHistory* history;   // may be null: then nothing runs ahead
    double inline_nanoseconds;  // cheaper sides of operators do not run ahead
  };
  Evaluator(Settings settings, const Grid& grid);
  // Of something that runs ahead of its turn: with the owner's settings, and statistics shaped as `frame`.
  Evaluator(const Evaluator& owner, StepStats frame, std::stop_token stop);
  ~Evaluator();

  // Estimates what the parts of the expression cost. First of all, if at all.
  void plan(const Expr& expr, const Grid& grid);

  // Pushes the series of an instant vector one after the other, in the node's order; empty series are left out. The
  // labels pushed are unique, except in an instant query with delayed name removal (as in Prometheus).
  Outcome<> stream(const Expr& expr, const Grid& grid, const Sink& sink);
  Outcome<Batch> collect(const Expr& expr, const Grid& grid);
  // A scalar expression at every step.
  Outcome<std::vector<double>> scalar(const Expr& expr, const Grid& grid);
  // Two of either at once, if that is worth it; the first one's errors come first.
  Outcome<std::pair<Batch, Batch>> collect_both(const Expr& first, const Expr& second, const Grid& grid);
  Outcome<std::pair<std::vector<double>, std::vector<double>>> scalars(const Expr& first, const Expr& second,
                                                                       const Grid& grid);

  // Makes series 0 … count-1 with `make` and pushes the non-empty ones in order. With a pool, `make` runs on several
  // threads at once (fixed blocks, so that nothing depends on their number); it may touch its Worker, keep() and const
  // members only.
  using Maker = std::function<Outcome<std::optional<EvalSeries>>(std::size_t index, Worker& worker)>;
  Outcome<> for_each_series(std::size_t count, const Grid& grid, const Maker& make, const Sink& sink);

  // The series a selector means for reference times [first, last] reaching back `before` and forward `after` ms.
  Outcome<std::shared_ptr<metrics::SeriesSet>> select(std::span<const Matcher> matchers, TimestampMs start,
                                                      TimestampMs end, std::int64_t step, std::int64_t range,
                                                      std::string_view function);

  // Gives labels the life of the query. Thread-safe.
  const Labels* keep(Labels labels);
  // Takes the metric name (and type and unit) away: at once, or when the query ends.
  void drop_name(EvalSeries& series);

  Outcome<> check() const;  // canceled, timed out
  // Pushes series whose labels may repeat: those that never meet at one step become one, others are an error.
  Outcome<> push_merged(std::vector<EvalSeries>&& series, const Grid& grid, bool always, const Sink& sink);

  // A frame of its own for statistics, e.g. of a subquery.
  StepStats& stats() { return *stats_; }
  StepStats exchange_stats(StepStats replacement) { return std::exchange(*stats_, std::move(replacement)); }

  const Settings& settings() const { return settings_; }
  const Features& features() const { return settings_.features; }
  bool delayed() const { return settings_.features.delayed_name_removal; }
  Budget& budget() { return budget_; }
  std::unexpected<QueryError> budget_error() const;  // more samples than fit
  Annotations& annotations() { return annotations_; }

 private:
  friend class Branch;
  // Makes what ran on `child` count as if it had run here; false, and nothing done, when it does not fit.
  bool absorb(std::unique_ptr<Evaluator>& child);
  Outcome<std::shared_ptr<Selection>> select_new(std::span<const Matcher> matchers, metrics::SelectHints& hints,
                                                 const std::string& key);
  Outcome<> select_into(Selection& selection, std::span<const Matcher> matchers, const metrics::SelectHints& hints);
  // The loop that follows is dear: what waits for a thread may have one.
  void launch_offers();
  Outcome<> stream_call(const Call& call, const Grid& grid, const Sink& sink);
  Outcome<> stream_invariant(const StepInvariantExpr& expr, const Grid& grid, const Sink& sink);
  Outcome<> stream_unary(const UnaryExpr& expr, const Grid& grid, const Sink& sink);

  std::shared_ptr<QueryState> state_;  // shared: by all evaluators of the query, and work that may begin after its end
  std::unique_ptr<metrics::QueryMeter> own_meter_;  // of what runs ahead
  Settings settings_;
  Budget budget_;
  Annotations annotations_;
  StepStats root_stats_;
  StepStats* stats_ = &root_stats_;
  std::mutex labels_mutex_;
  std::deque<Labels> labels_;
  std::unordered_map<std::string, std::shared_ptr<Selection>> selected_;  // their sets own the labels of series
  std::vector<Branch*> offers_;                                           // the innermost last
  std::vector<std::unique_ptr<Evaluator>> absorbed_;                      // they own labels, too
  bool ahead_ = false;                                                    // of its turn
};

// --- nodes, each in its own file
// -----------------------------------------------------------------------------------------------

// eval_selector.cpp: what a selector gives at each step: the sample's value, or its time or start time in seconds, or
// its time in ms.
enum class SelectorValue : unsigned char { sample, time, start_time, raw_time };
Outcome<> stream_selector(Evaluator& evaluator, const VectorSelector& selector, const Grid& grid, SelectorValue what,
                          std::string_view function, const Sink& sink);
Outcome<> stream_smoothed(Evaluator& evaluator, const VectorSelector& selector, const Grid& grid, const Sink& sink);
Outcome<> stream_series_set(Evaluator& evaluator, const metrics::SeriesSet& set, const Grid& grid,
                            std::optional<TimestampMs> at, std::int64_t offset, SelectorValue what, bool stats_only,
                            const Sink& sink);
// eval_range.cpp: the samples of a range vector as the result of an instant query.
Outcome<std::vector<Series>> matrix_result(Evaluator& evaluator, const Expr& expr, TimestampMs time);
Outcome<> stream_range_call(Evaluator& evaluator, const Call& call, std::size_t matrix_arg, const Grid& grid,
                            const Sink& sink);
// functions.cpp
bool is_range_argument(const Expr& arg);  // matrix selector or subquery, possibly inside a step-invariant wrapper
Outcome<> stream_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink);
Outcome<std::vector<double>> scalar_function(Evaluator& evaluator, const Call& call, const Grid& grid);
// aggregate.cpp, binop.cpp, histogram_quantile.cpp, label_functions.cpp, info_function.cpp
Outcome<> stream_aggregate(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink);
Outcome<> stream_binary(Evaluator& evaluator, const BinaryExpr& expr, const Grid& grid, const Sink& sink);
Outcome<> stream_histogram_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink);
Outcome<> stream_label_function(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink);
Outcome<> stream_info(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink);

double scalar_binary(BinaryOp op, double lhs, double rhs);
// Labels without __name__, __type__ and __unit__.
Labels without_metadata(const Labels& labels);
bool has_metadata(const Labels& labels);
// Whether all series of the expression have the same name or none, so that dropping it cannot make two equal.
bool has_one_name(const Expr& expr, const Features& features);
// The labels absent() gives its result.
Labels labels_of_absent(const Expr& arg);
// Names as __name__.
inline std::string_view metric_name(const Labels& labels) { return labels.get(kMetricName); }

}  // namespace tocayo::promql::eval
