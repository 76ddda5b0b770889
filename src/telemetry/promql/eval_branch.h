// SPDX-License-Identifier: Apache-2.0
// The sides of an operator at once. Private to the room.
//
// evaluate_both() evaluates its first side on the evaluator itself. The second may run ahead of its turn on another
// thread, on a child evaluator with a budget, meter, annotations and statistics of its own, and counts only when its
// turn has come: if everything it took then still fits into the limits, the child is absorbed, and all is as if the
// second side had been evaluated after the first one; otherwise the child is dropped and the second side is evaluated
// again, in its turn. So results, annotations, statistics and errors do not depend on who ran when.
//
// What runs ahead is bounded: once both sides together hold more than the query may, all that runs ahead is dropped.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>

#include "promql/eval.h"

namespace tocayo::promql::eval {

// How many series selectors chose when they were last asked: what costs are estimated from. Thread-safe; of two
// selectors with one place the older is forgotten.
class SelectorHistory {
 public:
  void note(std::span<const Matcher> matchers, std::size_t series);
  std::optional<std::size_t> find(std::span<const Matcher> matchers) const;

 private:
  static constexpr std::uint64_t kCount =
      (1 << 24) - 1;  // lower bits: the count plus one; the others tell selectors apart
  std::array<std::atomic<std::uint64_t>, 4096> places_{};
};

// What a side is expected to take.
struct Cost {
  double nanoseconds = 0;
  bool unknown = false;  // has a selector that nobody has asked yet
};

// The series of one selector, chosen once in a query.
struct Selection {
  std::shared_ptr<metrics::SeriesSet> set;
  std::unique_ptr<metrics::QueryMeter> meter;  // of one that ran ahead of its turn: what it fetched
  bool ended = false;                          // guarded by QueryState's mutex
};

// What the evaluators of one query share. Thread-safe.
class QueryState {
 public:
  explicit QueryState(const Evaluator::Settings& settings);

  // Estimates all sides of operators in `expr`. Before anything is evaluated.
  void plan(const Expr& expr, const Grid& grid);
  Cost cost_of(const Expr& side) const;
  // Whether anything may run ahead (any more).
  bool may_branch() const { return planned_ && !abandoned_.load(std::memory_order_relaxed); }
  bool is_dear(double nanoseconds) const { return nanoseconds >= inline_nanoseconds_; }
  bool branched() const { return branched_.load(std::memory_order_relaxed); }
  // Nothing runs ahead from here on, and what does stops.
  void abandon();
  std::stop_token abandoned() const { return stop_.get_token(); }

  // What all evaluators hold together.
  void hold(std::size_t samples, std::size_t bytes);
  void release(std::size_t samples, std::size_t bytes);

  // Work ahead of its turn. The thread that takes it may come when its owner has withdrawn it.
  struct Run {
    enum class State : unsigned char { waiting, running, over } state = State::waiting;  // guarded by mutex_
  };
  // Gives `work` to a thread of the pool, if it has one to spare and the query may have one more.
  static bool launch(const std::shared_ptr<QueryState>& self, const std::shared_ptr<Run>& run,
                     std::function<void()> work);
  // True: it has not begun, and will not. False: it is over; until then this thread has helped with blocks.
  bool claim(Run& run);

  // fill(0) … fill(blocks - 1) on this thread and others of the pool, as many as the query may have.
  void run_blocks(std::size_t blocks, const std::function<void(std::size_t)>& fill);

  // The selection with this key, when there is one; waits for one that is under way. Null: the caller makes it (its
  // entry is in `mine`) and says how it went.
  std::shared_ptr<Selection> find_or_begin(const std::string& key, std::shared_ptr<Selection>& mine);
  void end_selection(const std::string& key, Selection& selection, bool ok);
  // All that were made before anything ran ahead.
  void begin_sharing(const std::unordered_map<std::string, std::shared_ptr<Selection>>& selections);

  // The query is over: what it selected goes.
  void close();

  metrics::QueryMeter* meter() const { return meter_; }  // of the query itself, may be null
  void note_selector(std::span<const Matcher> matchers, std::size_t series);

 private:
  struct Blocks {
    const std::function<void(std::size_t)>& fill;
    std::size_t count;
    std::atomic<std::size_t> next{0};
    std::size_t helpers = 0;  // guarded by mutex_
    bool run_one() {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i < count) fill(i);
      return i < count;
    }
  };
  struct Times {
    double span, steps;  // ms that an evaluation looks over, and how many times it evaluates
  };
  Cost estimate(const Expr& expr, Times times);
  Cost estimate_selector(const VectorSelector& selector, double window, double per_step, Times times) const;
  std::size_t take_threads(std::size_t wanted);
  void give_threads(std::size_t count);

  Pool* const pool_;
  SelectorHistory* const history_;
  metrics::QueryMeter* const meter_;
  const std::size_t parallelism_, max_samples_, max_bytes_;
  const double inline_nanoseconds_;
  const std::int64_t lookback_;
  const std::function<Duration(Duration)> subquery_step_;

  bool planned_ = false;
  std::unordered_map<const Expr*, Cost> costs_;  // not changed after plan()
  std::atomic<bool> abandoned_{false}, branched_{false};
  std::stop_source stop_;
  std::atomic<std::size_t> samples_{0}, bytes_{0}, threads_{1};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Blocks*> running_blocks_;
  std::unordered_map<std::string, std::shared_ptr<Selection>> selections_;
};

// The second side of an operator while the first one is evaluated. Belongs to its owner's thread.
class Branch {
 public:
  using Work = std::function<Outcome<>(Evaluator&)>;

  Branch(Evaluator& owner, const Expr& first, const Expr& second);
  ~Branch() { withdraw(); }
  Branch(const Branch&) = delete;
  Branch& operator=(const Branch&) = delete;

  // Whether the second side is worth a thread: neither side is known to be cheap.
  bool worthwhile() const { return worthwhile_; }
  // `work` may run from now on: at once when both sides are known to be dear, else when the first turns out so.
  void offer(Work work);
  void launch();
  // It does not run any more, nor will.
  void withdraw();
  // The second side's turn: how it ended, or nothing when it is to be evaluated now.
  std::optional<Outcome<>> join();

 private:
  Evaluator& owner_;
  bool worthwhile_ = false, at_once_ = false, offered_ = false, launched_ = false;
  Work work_;
  StepStats frame_;  // of the owner when the branch was made: the first side may have another one
  std::unique_ptr<Evaluator> child_;
  Outcome<> outcome_;
  std::shared_ptr<QueryState::Run> run_;
  struct Stop {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };
  std::stop_source stop_;
  std::optional<std::stop_callback<Stop>> on_owner_, on_abandoned_;
};

// Both results, or the error that comes first in their order. `first` and `second` take an evaluator and return an
// Outcome; `second` must touch only that evaluator and constants. The expressions are what they evaluate.
template <typename First, typename Second>
auto evaluate_both(Evaluator& evaluator, const Expr& first_expr, const First& first, const Expr& second_expr,
                   const Second& second)
    -> Outcome<std::pair<typename std::invoke_result_t<First, Evaluator&>::value_type,
                         typename std::invoke_result_t<Second, Evaluator&>::value_type>> {
  using Ahead = std::optional<typename std::invoke_result_t<Second, Evaluator&>::value_type>;
  Branch branch(evaluator, first_expr, second_expr);
  if (branch.worthwhile()) {
    Ahead ahead;  // charged to the branch: goes before it
    branch.offer([&](Evaluator& child) -> Outcome<> {
      ahead.emplace(TRY_EVAL(second(child)));
      return {};
    });
    struct Withdraw {
      Branch& branch;
      ~Withdraw() { branch.withdraw(); }
    } before_ahead_goes{branch};
    auto one = TRY_EVAL(first(evaluator));
    if (auto joined = branch.join()) {
      TRY_VOID(std::move(*joined));
      return std::pair(std::move(one), std::move(*ahead));
    }
    ahead.reset();
    branch.withdraw();
    auto two = TRY_EVAL(second(evaluator));
    return std::pair(std::move(one), std::move(two));
  }
  auto one = TRY_EVAL(first(evaluator));
  auto two = TRY_EVAL(second(evaluator));
  return std::pair(std::move(one), std::move(two));
}

}  // namespace tocayo::promql::eval
