// SPDX-License-Identifier: Apache-2.0
#include "promql/eval_branch.h"

#include <algorithm>

#include "core/pool.h"

namespace tocayo::promql::eval {

namespace {

// Nanoseconds, measured on a machine of today; only their size matters.
constexpr double kSelect = 700;    // a series that is chosen
constexpr double kSample = 12;     // a sample that is decoded
constexpr double kStep = 6;        // a step that picks a sample
constexpr double kWindow = 12;     // a step that looks at a window
constexpr double kApart = 15'000;  // ms between samples, as nearly everybody scrapes

std::uint64_t key_of(std::span<const Matcher> matchers) {
  std::string text;
  for (const Matcher& matcher : matchers) text += ',' + matcher.to_string();
  return std::hash<std::string>()(text);
}

bool is_literal(const Expr& expr) {
  const Kind kind = unwrap(expr).kind;
  return kind == Kind::number || kind == Kind::string;
}

// Whether evaluate_both() is asked about its children, for more than a literal.
bool has_sides(const Expr& expr) {
  const auto sides = children(expr);
  return (expr.kind == Kind::binary || expr.kind == Kind::call) &&
         std::ranges::count_if(sides, [](const Expr* side) { return !is_literal(*side); }) > 1;
}

}  // namespace

void SelectorHistory::note(std::span<const Matcher> matchers, std::size_t series) {
  const std::uint64_t key = key_of(matchers);
  const std::uint64_t entry = (key & ~kCount) | (std::min<std::uint64_t>(series, kCount - 1) + 1);
  std::atomic<std::uint64_t>& place = places_[key % places_.size()];
  if (place.load(std::memory_order_relaxed) != entry) place.store(entry, std::memory_order_relaxed);
}

std::optional<std::size_t> SelectorHistory::find(std::span<const Matcher> matchers) const {
  const std::uint64_t key = key_of(matchers);
  const std::uint64_t entry = places_[key % places_.size()].load(std::memory_order_relaxed);
  if ((entry & kCount) == 0 || (entry & ~kCount) != (key & ~kCount)) return std::nullopt;
  return (entry & kCount) - 1;
}

QueryState::QueryState(const Evaluator::Settings& settings)
    : pool_(settings.pool),
      history_(settings.history),
      meter_(settings.meter),
      parallelism_(settings.parallelism),
      max_samples_(settings.max_samples),
      max_bytes_(settings.max_bytes),
      inline_nanoseconds_(settings.inline_nanoseconds),
      lookback_(settings.lookback),
      subquery_step_(settings.subquery_step) {}

void QueryState::plan(const Expr& expr, const Grid& grid) {
  if (pool_ == nullptr || pool_->thread_count() < 2 || parallelism_ == 1 || history_ == nullptr) return;
  bool any = false;
  walk(expr, [&](const Expr& node, const auto&) { any = any || has_sides(node); });
  if (!any) return;
  planned_ = true;
  estimate(expr, {static_cast<double>(grid.end()) - static_cast<double>(grid.start), static_cast<double>(grid.steps)});
}

Cost QueryState::estimate_selector(const VectorSelector& selector, double window, double per_step, Times times) const {
  const auto series = history_->find(selector.matchers);
  if (!series) return {0, true};
  const double samples = (times.span + window) / kApart + 1;
  return {static_cast<double>(*series) * (kSelect + kSample * samples + per_step * times.steps), false};
}

Cost QueryState::estimate(const Expr& expr, Times times) {
  if (const auto* selector = expr.as<VectorSelector>())
    return estimate_selector(*selector, static_cast<double>(lookback_), kStep, times);
  if (const auto* matrix = expr.as<MatrixSelector>())
    return estimate_selector(*matrix->selector, static_cast<double>(matrix->range.count()), kWindow, times);
  if (const auto* subquery = expr.as<SubqueryExpr>()) {
    const Duration step = subquery->step.count() != 0 ? subquery->step : subquery_step_(subquery->range);
    times.span += static_cast<double>(subquery->range.count());
    times.steps = times.span / std::max(1.0, static_cast<double>(step.count())) + 1;
  }
  if (expr.kind == Kind::step_invariant) times = {0, 1};
  Cost all;
  const bool sides = has_sides(expr);
  for (const Expr* child : children(expr)) {
    const Cost one = estimate(*child, times);
    if (sides) costs_.emplace(child, one);
    all.nanoseconds += one.nanoseconds;
    all.unknown = all.unknown || one.unknown;
  }
  return all;
}

Cost QueryState::cost_of(const Expr& side) const {
  const auto found = costs_.find(&side);
  return found == costs_.end() ? Cost{} : found->second;
}

void QueryState::abandon() {
  if (!abandoned_.exchange(true)) stop_.request_stop();
}

void QueryState::hold(std::size_t samples, std::size_t bytes) {
  const std::size_t all_samples = samples_.fetch_add(samples, std::memory_order_relaxed) + samples;
  const std::size_t all_bytes = bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const std::uint64_t most = meter_ == nullptr ? 0 : meter_->limits().max_memory;
  if (all_samples > max_samples_ || (max_bytes_ != 0 && all_bytes > max_bytes_) ||
      (most != 0 && meter_->memory() > most)) {
    abandon();
  }
}

void QueryState::release(std::size_t samples, std::size_t bytes) {
  samples_.fetch_sub(samples, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

std::size_t QueryState::take_threads(std::size_t wanted) {
  if (parallelism_ == 0) return wanted;
  std::size_t used = threads_.load(), got = 0;
  do {
    got = std::min(wanted, parallelism_ - std::min(used, parallelism_));
  } while (!threads_.compare_exchange_weak(used, used + got));
  return got;
}

void QueryState::give_threads(std::size_t count) {
  if (parallelism_ != 0) threads_ -= count;
}

bool QueryState::launch(const std::shared_ptr<QueryState>& self, const std::shared_ptr<Run>& run,
                        std::function<void()> work) {
  self->branched_ = true;
  if (self->take_threads(1) == 0) return false;
  const bool posted = self->pool_->post_if_idle([self, run, work = std::move(work)] {
    {
      std::lock_guard lock(self->mutex_);
      if (run->state != Run::State::waiting) return;
      run->state = Run::State::running;
    }
    work();
    self->give_threads(1);
    std::lock_guard lock(self->mutex_);
    run->state = Run::State::over;
    self->changed_.notify_all();
  });
  if (!posted) self->give_threads(1);
  return posted;
}

bool QueryState::claim(Run& run) {
  std::unique_lock lock(mutex_);
  if (run.state == Run::State::waiting) {
    run.state = Run::State::over;
    lock.unlock();
    give_threads(1);
    return true;
  }
  while (run.state != Run::State::over) {
    const auto open = std::ranges::find_if(running_blocks_, [](const Blocks* b) { return b->next < b->count; });
    if (open == running_blocks_.end()) {
      changed_.wait(lock);
      continue;
    }
    Blocks& blocks = **open;
    ++blocks.helpers;
    lock.unlock();
    blocks.run_one();
    lock.lock();
    if (--blocks.helpers == 0) changed_.notify_all();
  }
  return false;
}

void QueryState::run_blocks(std::size_t count, const std::function<void(std::size_t)>& fill) {
  Blocks blocks{fill, count};
  const std::size_t more = take_threads(std::min(count, pool_->thread_count() + 1) - 1);
  const bool shown = branched();  // somebody may be waiting, or come to wait, who can help
  if (shown) {
    std::lock_guard lock(mutex_);
    running_blocks_.push_back(&blocks);
    changed_.notify_all();
  }
  pool_->parallel_for(more + 1, [&blocks](std::size_t) {
    while (blocks.run_one()) {
    }
  });
  give_threads(more);
  if (!shown) return;
  std::unique_lock lock(mutex_);
  std::erase(running_blocks_, &blocks);
  changed_.wait(lock, [&blocks] { return blocks.helpers == 0; });
}

std::shared_ptr<Selection> QueryState::find_or_begin(const std::string& key, std::shared_ptr<Selection>& mine) {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto [place, fresh] = selections_.try_emplace(key);
    if (fresh) {
      mine = place->second = std::make_shared<Selection>();
      return nullptr;
    }
    if (place->second->ended) return place->second;
    changed_.wait(lock);
  }
}

void QueryState::end_selection(const std::string& key, Selection& selection, bool ok) {
  std::lock_guard lock(mutex_);
  selection.ended = true;
  if (!ok) selections_.erase(key);
  changed_.notify_all();
}

void QueryState::begin_sharing(const std::unordered_map<std::string, std::shared_ptr<Selection>>& selections) {
  std::lock_guard lock(mutex_);
  for (const auto& [key, selection] : selections) {
    selection->ended = true;
    selections_.emplace(key, selection);
  }
}

void QueryState::close() {
  std::lock_guard lock(mutex_);
  selections_.clear();
}

void QueryState::note_selector(std::span<const Matcher> matchers, std::size_t series) {
  if (history_ != nullptr) history_->note(matchers, series);
}

Branch::Branch(Evaluator& owner, const Expr& first, const Expr& second) : owner_(owner) {
  const QueryState& state = *owner.state_;
  if (!state.may_branch()) return;
  const Cost one = state.cost_of(first), two = state.cost_of(second);
  const bool one_dear = state.is_dear(one.nanoseconds), two_dear = state.is_dear(two.nanoseconds);
  worthwhile_ = (one_dear || one.unknown) && (two_dear || two.unknown);
  at_once_ = one_dear && two_dear;
}

void Branch::offer(Work work) {
  work_ = std::move(work);
  frame_ = owner_.stats().like();
  offered_ = true;
  owner_.offers_.push_back(this);
  if (at_once_) launch();
}

void Branch::launch() {
  const std::shared_ptr<QueryState>& state = owner_.state_;
  if (launched_ || !state->may_branch()) return;
  if (!state->branched()) {
    state->begin_sharing(owner_.selected_);
    owner_.budget_.share(*state);
  }
  on_owner_.emplace(owner_.settings_.context.stop_token(), Stop{&stop_});
  on_abandoned_.emplace(state->abandoned(), Stop{&stop_});
  run_ = std::make_shared<QueryState::Run>();
  launched_ = QueryState::launch(state, run_, [this] {
    child_ = std::make_unique<Evaluator>(owner_, std::move(frame_), stop_.get_token());
    outcome_ = work_(*child_);
  });
}

void Branch::withdraw() {
  if (!offered_) return;
  offered_ = false;
  std::erase(owner_.offers_, this);
  if (!launched_) return;
  stop_.request_stop();
  owner_.state_->claim(*run_);
}

std::optional<Outcome<>> Branch::join() {
  offered_ = false;
  std::erase(owner_.offers_, this);
  if (!launched_ || owner_.state_->claim(*run_)) return std::nullopt;
  const bool depends = !outcome_ && (outcome_.error().error.kind == ErrorKind::limit ||
                                     outcome_.error().error.kind == ErrorKind::canceled ||
                                     outcome_.error().error.kind == ErrorKind::timeout);
  if (depends || !owner_.absorb(child_)) {
    owner_.state_->abandon();
    return std::nullopt;
  }
  return std::move(outcome_);
}

}  // namespace tocayo::promql::eval
