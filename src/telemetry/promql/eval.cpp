// SPDX-License-Identifier: Apache-2.0
#include "promql/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/pool.h"
#include "promql/eval_branch.h"
#include "promql/function_signatures.h"

namespace tocayo::promql::eval {

namespace {

constexpr std::size_t kParallelThreshold = 256;  // series: fewer are not worth waking threads

// Series made by one worker at a time: few enough that their columns stay small, whatever the number of threads.
std::size_t block_size(std::size_t steps) {
  return std::clamp<std::size_t>(65'536 / std::max<std::size_t>(steps, 1), 4, 128);
}

constexpr double kSeriesCost = 100;  // ns of a series and step, about

constexpr std::string_view kMetadataNames[] = {"__name__", "__type__", "__unit__"};

bool is_metadata(std::string_view name) { return std::ranges::find(kMetadataNames, name) != std::end(kMetadataNames); }

// Series grouped by equal labels, in order of first appearance.
class LabelIndex {
 public:
  // Position of the group with these labels, or `next` after adding a new one.
  std::size_t find_or_add(const Labels& labels, std::size_t next) {
    auto [first, last] = groups_.equal_range(labels.hash());
    for (; first != last; ++first) {
      if (*first->second.first == labels) return first->second.second;
    }
    groups_.emplace(labels.hash(), std::pair(&labels, next));
    return next;
  }

 private:
  std::unordered_multimap<std::uint64_t, std::pair<const Labels*, std::size_t>> groups_;
};

std::unexpected<QueryError> same_labelset() {
  return execution_error("vector cannot contain metrics with the same labelset");
}

}  // namespace

std::unexpected<QueryError> execution_error(std::string message) {
  return std::unexpected(QueryError(QueryError::Type::execution, Error{ErrorKind::bad_input, std::move(message)}));
}

Labels without_metadata(const Labels& labels) {
  std::vector<Label> kept;
  kept.reserve(labels.size());
  for (const Label& label : labels) {
    if (!is_metadata(label.name)) kept.push_back(label);
  }
  return Labels::from_sorted(std::move(kept));
}

bool has_metadata(const Labels& labels) {
  return std::ranges::any_of(labels, [](const Label& label) { return is_metadata(label.name); });
}

bool has_one_name(const Expr& expr, const Features& features) {
  switch (expr.kind) {
    case Kind::vector_selector: {
      const auto& matchers = expr.as<VectorSelector>()->matchers;
      return !features.type_and_unit_labels && std::ranges::any_of(matchers, [](const Matcher& matcher) {
        return matcher.type() == Matcher::Type::equal && matcher.name() == kMetricName;
      });
    }
    case Kind::matrix_selector: return has_one_name(*expr.as<MatrixSelector>()->selector, features);
    case Kind::subquery: return has_one_name(*expr.as<SubqueryExpr>()->expr, features);
    case Kind::paren: return has_one_name(*expr.as<ParenExpr>()->expr, features);
    case Kind::step_invariant: return has_one_name(*expr.as<StepInvariantExpr>()->expr, features);
    case Kind::unary: return has_one_name(*expr.as<UnaryExpr>()->expr, features);
    case Kind::aggregate: {
      const auto& aggregate = *expr.as<AggregateExpr>();
      switch (aggregate.op) {
        case AggregateOp::topk:
        case AggregateOp::bottomk:
        case AggregateOp::limitk:
        case AggregateOp::limit_ratio: return has_one_name(*aggregate.expr, features);
        case AggregateOp::count_values: return false;
        default: break;
      }
      return !features.type_and_unit_labels &&
             (aggregate.without || std::ranges::none_of(aggregate.grouping, is_metadata));
    }
    case Kind::binary: {
      const auto& binary = *expr.as<BinaryExpr>();
      if (binary.op == BinaryOp::lor || (binary.matching && !binary.matching->include.empty())) return false;
      return has_one_name(type_of(*binary.lhs) == ValueType::vector ? *binary.lhs : *binary.rhs, features);
    }
    case Kind::call: {
      const auto& call = *expr.as<Call>();
      if (call.function->name.starts_with("label_") || call.function->name == "info") return false;
      for (const auto& arg : call.args) {
        const ValueType type = type_of(*arg);
        if (type == ValueType::vector || type == ValueType::matrix) return has_one_name(*arg, features);
      }
      return true;
    }
    default: return true;
  }
}

namespace {
std::unexpected<QueryError> too_many_samples() {
  return std::unexpected(QueryError(
      QueryError::Type::execution,
      Error{ErrorKind::limit, "query processing would load too many samples into memory in query execution"}));
}
}  // namespace

std::unexpected<QueryError> Evaluator::budget_error() const { return too_many_samples(); }

Outcome<> Budget::take(std::size_t samples, std::size_t bytes) {
  live_ += samples;
  bytes_ += bytes;
  peak_ = std::max(peak_, live_);
  peak_bytes_ = std::max(peak_bytes_, bytes_);
  if (state_ != nullptr) state_->hold(samples, bytes);
  // First, so that what is given back later was taken there too.
  if (meter_ != nullptr && bytes != 0) {
    if (auto taken = meter_->take(bytes); !taken) return std::unexpected(QueryError(std::move(taken.error())));
  }
  if (live_ > max_samples_) return too_many_samples();
  if (max_bytes_ != 0 && bytes_ > max_bytes_) {
    return std::unexpected(
        QueryError(QueryError::Type::execution,
                   Error{ErrorKind::limit, fmt::format("the query exceeded the maximum allowed estimated amount of "
                                                       "memory consumed by a single query (limit: {} bytes) "
                                                       "(err-mimir-max-estimated-memory-consumption-per-query)",
                                                       max_bytes_)}));
  }
  return {};
}

void Budget::give_back(std::size_t samples, std::size_t bytes) {
  if (into_ != nullptr) return into_->give_back(samples, bytes);
  live_ -= samples;
  bytes_ -= bytes;
  if (state_ != nullptr) state_->release(samples, bytes);
  if (meter_ != nullptr) meter_->give_back(bytes);
}

Outcome<> Budget::touch(std::size_t samples) {
  auto taken = take(samples, 0);
  give_back(samples, 0);
  return taken;
}

void Budget::share(QueryState& state) {
  state_ = &state;
  state.hold(live_, bytes_);
}

bool Budget::fits(const Budget& part) const {
  return live_ + std::max(part.peak_, part.asked_) <= max_samples_ &&
         (max_bytes_ == 0 || bytes_ + part.peak_bytes_ <= max_bytes_);
}

void Budget::absorb(Budget& part) {
  peak_ = std::max(peak_, live_ + part.peak_);
  peak_bytes_ = std::max(peak_bytes_, bytes_ + part.peak_bytes_);
  asked_ = std::max(asked_, live_ + part.asked_);
  live_ += part.live_;
  bytes_ += part.bytes_;
  if (meter_ != nullptr) {
    (void)meter_->take(part.bytes_);  // fits; that the query was stopped shows soon enough
    part.meter_->give_back(part.bytes_);
  }
  part.into_ = this;
}

Outcome<> Batch::add(EvalSeries&& one) {
  const std::size_t samples = one.column.weight();
  const std::size_t bytes =
      one.column.memory_bytes() + sizeof(EvalSeries) + (one.own ? eval::memory_bytes(*one.own) : 0);
  series.push_back(std::move(one));
  return charge_.take(samples, bytes);
}

void StepStats::add(const StepStats& other) {
  total += other.total;
  read += other.read;
  for (std::size_t i = 0; i < total_per_step.size() && i < other.total_per_step.size(); ++i) {
    total_per_step[i] += other.total_per_step[i];
    read_per_step[i] += other.read_per_step[i];
  }
}

Evaluator::Evaluator(Settings settings, const Grid& grid)
    : state_(std::make_shared<QueryState>(settings)),
      settings_(std::move(settings)),
      budget_(settings_.max_samples, settings_.max_bytes, settings_.meter),
      root_stats_(grid, settings_.per_step_stats) {}

Evaluator::Evaluator(const Evaluator& owner, StepStats frame, std::stop_token stop)
    : state_(owner.state_),
      own_meter_(state_->meter() == nullptr
                     ? nullptr
                     : std::make_unique<metrics::QueryMeter>(state_->meter()->limits(), state_->meter())),
      settings_(owner.settings_),
      budget_(settings_.max_samples, settings_.max_bytes, own_meter_.get()),
      root_stats_(std::move(frame)),
      ahead_(true) {
  settings_.meter = own_meter_.get();
  settings_.context = Context(std::move(stop), owner.settings_.context.deadline());
  budget_.share(*state_);
}

Evaluator::~Evaluator() {
  if (!ahead_) state_->close();
}

void Evaluator::plan(const Expr& expr, const Grid& grid) { state_->plan(expr, grid); }

Outcome<> Evaluator::check() const {
  if (auto checked = settings_.context.check(); !checked)
    return std::unexpected(QueryError(std::move(checked.error())));
  return {};
}

const Labels* Evaluator::keep(Labels labels) {
  std::lock_guard lock(labels_mutex_);
  return &labels_.emplace_back(std::move(labels));
}

void Evaluator::drop_name(EvalSeries& series) {
  if (delayed()) {
    series.drop_name = true;
  } else if (has_metadata(*series.labels)) {
    series.set_labels(without_metadata(*series.labels));
  }
}

Outcome<std::shared_ptr<metrics::SeriesSet>> Evaluator::select(std::span<const Matcher> matchers, TimestampMs start,
                                                               TimestampMs end, std::int64_t step, std::int64_t range,
                                                               std::string_view function) {
  TRY_VOID(check());
  std::string key = fmt::format("{} {} {} {}", start, end, step, range);
  for (const Matcher& matcher : matchers) key += ',' + matcher.to_string();
  if (auto found = selected_.find(key); found != selected_.end()) return found->second->set;
  metrics::SelectHints hints;
  hints.start = start;
  hints.end = end;
  hints.step = step;
  hints.range = range;
  hints.function = std::string(function);
  auto selection = TRY_EVAL(select_new(matchers, hints, key));
  return selected_.emplace(std::move(key), std::move(selection)).first->second->set;
}

Outcome<std::shared_ptr<Selection>> Evaluator::select_new(std::span<const Matcher> matchers,
                                                          metrics::SelectHints& hints, const std::string& key) {
  if (!state_->branched()) {
    auto selection = std::make_shared<Selection>();
    TRY_VOID(select_into(*selection, matchers, hints));
    return selection;
  }
  std::shared_ptr<Selection> mine;
  if (auto found = state_->find_or_begin(key, mine)) {
    metrics::QueryMeter* meter = settings_.meter;
    if (ahead_ || meter == nullptr || found->meter == nullptr) return found;  // counted in its turn, or already
    if (meter->fits(*found->meter)) {
      meter->absorb(*found->meter);
      found->meter->release_selections();
      return found;
    }
    mine = std::make_shared<Selection>();  // for the error that its turn gives
    TRY_VOID(select_into(*mine, matchers, hints));
    return mine;
  }
  if (ahead_ && state_->meter() != nullptr) {
    mine->meter = std::make_unique<metrics::QueryMeter>(state_->meter()->limits(), state_->meter());
    hints.meter = mine->meter.get();
  }
  auto done = select_into(*mine, matchers, hints);
  state_->end_selection(key, *mine, done.has_value());
  TRY_VOID(std::move(done));
  return mine;
}

Outcome<> Evaluator::select_into(Selection& selection, std::span<const Matcher> matchers,
                                 const metrics::SelectHints& hints) {
  auto set = settings_.querier->select(matchers, hints, settings_.context);
  if (!set) {
    QueryError error(std::move(set.error()));
    if (error.type == QueryError::Type::execution || error.type == QueryError::Type::internal) {
      error.error.message = "expanding series: " + error.error.message;
    }
    return std::unexpected(std::move(error));
  }
  selection.set = std::move(*set);
  state_->note_selector(matchers, selection.set->size());
  return {};
}

bool Evaluator::absorb(std::unique_ptr<Evaluator>& child) {
  if (!budget_.fits(child->budget_)) return false;
  if (settings_.meter != nullptr) {
    metrics::QueryMeter part(settings_.meter->limits());
    std::vector<metrics::QueryMeter*> fetched;
    for (const auto& [key, selection] : child->selected_) {
      if (ahead_ || selection->meter == nullptr || selected_.contains(key)) continue;
      part.absorb(*selection->meter);
      fetched.push_back(selection->meter.get());
    }
    part.absorb(*child->own_meter_);
    if (!ahead_ && !settings_.meter->fits(part)) return false;
    settings_.meter->absorb(part);
    for (metrics::QueryMeter* meter : fetched) meter->release_selections();
  }
  budget_.absorb(child->budget_);
  annotations_.merge(child->annotations_);
  stats_->add(child->root_stats_);
  selected_.merge(child->selected_);
  absorbed_.push_back(std::move(child));
  return true;
}

void Evaluator::launch_offers() {
  for (std::size_t i = offers_.size(); i > 0; --i) offers_[i - 1]->launch();
}

Outcome<Batch> Evaluator::collect(const Expr& expr, const Grid& grid) {
  Batch batch(budget_);
  TRY_VOID(stream(expr, grid, [&batch](EvalSeries&& series) { return batch.add(std::move(series)); }));
  return batch;
}

Outcome<> Evaluator::for_each_series(std::size_t count, const Grid& grid, const Maker& make, const Sink& sink) {
  Pool* pool = settings_.pool;
  const auto finish = [&](Worker& worker) -> Outcome<> {
    annotations_.merge(worker.annotations);
    stats_->add(worker.stats);
    return budget_.touch(worker.largest_read);
  };
  if (!offers_.empty() &&
      state_->is_dear(kSeriesCost * static_cast<double>(count) * static_cast<double>(grid.steps + 10)))
    launch_offers();
  if (pool == nullptr || pool->thread_count() < 2 || count < kParallelThreshold) {
    Worker worker;
    worker.stats = stats_->like();
    for (std::size_t i = 0; i < count; ++i) {
      TRY_VOID(check());
      auto made = make(i, worker);
      budget_.note_asked(worker.most_asked);
      if (!made) return std::unexpected(std::move(made.error()));
      if (*made && !(*made)->column.empty()) TRY_VOID(sink(std::move(**made)));
    }
    return finish(worker);
  }
  struct Block {
    Worker worker;
    std::vector<EvalSeries> made;
    std::optional<QueryError> error;
  };
  const std::size_t size = block_size(grid.steps), blocks = (count + size - 1) / size;
  const std::size_t wave = 2 * (pool->thread_count() + 1);
  for (std::size_t first = 0; first < blocks; first += wave) {
    std::vector<Block> running(std::min(wave, blocks - first));
    for (Block& block : running) block.worker.stats = stats_->like();
    const auto fill = [&](std::size_t b) {
      Block& block = running[b];
      const std::size_t begin = (first + b) * size;
      for (std::size_t i = begin; i < std::min(begin + size, count); ++i) {
        auto checked = check();
        auto made = checked ? make(i, block.worker) : std::unexpected(std::move(checked.error()));
        if (!made) {
          block.error = std::move(made.error());
          return;
        }
        if (*made && !(*made)->column.empty()) block.made.push_back(std::move(**made));
      }
    };
    state_->run_blocks(running.size(), fill);
    for (Block& block : running) {
      budget_.note_asked(block.worker.most_asked);
      if (block.error) return std::unexpected(std::move(*block.error));
      for (EvalSeries& series : block.made) TRY_VOID(sink(std::move(series)));
      TRY_VOID(finish(block.worker));
    }
  }
  return {};
}

Outcome<> Evaluator::push_merged(std::vector<EvalSeries>&& series, const Grid& grid, bool always, const Sink& sink) {
  // With delayed name removal an instant query checks only at its end.
  if (grid.steps == 1 && delayed() && !always) {
    for (EvalSeries& one : series) TRY_VOID(sink(std::move(one)));
    return {};
  }
  LabelIndex index;
  std::vector<EvalSeries> merged;
  merged.reserve(series.size());
  std::size_t seen = 0;
  for (EvalSeries& one : series) {
    if (++seen % 256 == 0) TRY_VOID(check());
    const std::size_t at = index.find_or_add(*one.labels, merged.size());
    if (at == merged.size()) {
      merged.push_back(std::move(one));
      continue;
    }
    Column& into = merged[at].column;
    for (std::size_t i = 0; i < grid.steps; ++i) {
      if (!one.column.has(i)) continue;
      if (into.has(i)) return same_labelset();
      into.copy_step(i, one.column, i);
    }
  }
  for (EvalSeries& one : merged) TRY_VOID(sink(std::move(one)));
  return {};
}

Outcome<> Evaluator::stream_invariant(const StepInvariantExpr& expr, const Grid& grid, const Sink& sink) {
  if (grid.steps == 1) return stream(*expr.expr, grid, sink);
  const Grid once = grid.first_step();
  StepStats outer = exchange_stats(StepStats(once, false));
  auto done = stream(*expr.expr, once, [&](EvalSeries&& series) {
    EvalSeries all{series.labels, series.drop_name, Column(grid.steps), std::move(series.own)};
    for (std::size_t i = 0; i < grid.steps; ++i) all.column.copy_step(i, series.column, 0);
    return sink(std::move(all));
  });
  StepStats inner = exchange_stats(std::move(outer));
  for (std::size_t i = 0; i < grid.steps; ++i) stats_->count(i, inner.total, i == 0 ? inner.read : 0);
  return done;
}

Outcome<> Evaluator::stream_unary(const UnaryExpr& expr, const Grid& grid, const Sink& sink) {
  if (expr.op == UnaryOp::add) return stream(*expr.expr, grid, sink);
  std::vector<EvalSeries> pending;
  const bool may_collide = !delayed() && !has_one_name(*expr.expr, features());
  TRY_VOID(stream(*expr.expr, grid, [&](EvalSeries&& series) -> Outcome<> {
    drop_name(series);
    Column& column = series.column;
    for (std::size_t i = 0; i < grid.steps; ++i) column.values()[i] = column.has_float(i) ? -column.values()[i] : 0;
    if (column.any_histograms()) {
      for (std::size_t i = 0; i < grid.steps; ++i) {
        if (!column.has_histogram(i)) continue;
        auto negated = std::make_shared<metrics::FloatHistogram>(*column.histogram(i));
        negated->multiply(-1);
        column.set_histogram(i, std::move(negated));
      }
    }
    if (!may_collide) return sink(std::move(series));
    pending.push_back(std::move(series));
    return {};
  }));
  return push_merged(std::move(pending), grid, true, sink);
}

Outcome<> Evaluator::stream(const Expr& expr, const Grid& grid, const Sink& sink) {
  if (grid.steps == 0) return {};
  TRY_VOID(check());
  switch (expr.kind) {
    case Kind::vector_selector: {
      const auto& selector = *expr.as<VectorSelector>();
      if (selector.smoothed) return stream_smoothed(*this, selector, grid, sink);
      return stream_selector(*this, selector, grid, SelectorValue::sample, "", sink);
    }
    case Kind::paren: return stream(*expr.as<ParenExpr>()->expr, grid, sink);
    case Kind::step_invariant: return stream_invariant(*expr.as<StepInvariantExpr>(), grid, sink);
    case Kind::unary: return stream_unary(*expr.as<UnaryExpr>(), grid, sink);
    case Kind::call: return stream_function(*this, *expr.as<Call>(), grid, sink);
    case Kind::aggregate: return stream_aggregate(*this, *expr.as<AggregateExpr>(), grid, sink);
    case Kind::binary: return stream_binary(*this, *expr.as<BinaryExpr>(), grid, sink);
    default: break;
  }
  return std::unexpected(
      QueryError(QueryError::Type::internal, Error{ErrorKind::internal, "expression is not an instant vector"}));
}

Outcome<std::vector<double>> Evaluator::scalar(const Expr& expr, const Grid& grid) {
  TRY_VOID(check());
  switch (expr.kind) {
    case Kind::number: return std::vector<double>(grid.steps, expr.as<NumberLiteral>()->value);
    case Kind::paren: return scalar(*expr.as<ParenExpr>()->expr, grid);
    case Kind::step_invariant: {
      if (grid.steps <= 1) return scalar(*expr.as<StepInvariantExpr>()->expr, grid);
      StepStats outer = exchange_stats(StepStats(grid.first_step(), false));
      auto once = scalar(*expr.as<StepInvariantExpr>()->expr, grid.first_step());
      StepStats inner = exchange_stats(std::move(outer));
      for (std::size_t i = 0; i < grid.steps; ++i) stats_->count(i, inner.total, i == 0 ? inner.read : 0);
      if (!once) return once;
      return std::vector<double>(grid.steps, once->front());
    }
    case Kind::unary: {
      auto values = TRY_EVAL(scalar(*expr.as<UnaryExpr>()->expr, grid));
      if (expr.as<UnaryExpr>()->op == UnaryOp::sub) {
        for (double& value : values) value = -value;
      }
      return values;
    }
    case Kind::binary: {
      const auto& binary = *expr.as<BinaryExpr>();
      auto [lhs, rhs] = TRY_EVAL(scalars(*binary.lhs, *binary.rhs, grid));
      for (std::size_t i = 0; i < grid.steps; ++i) lhs[i] = scalar_binary(binary.op, lhs[i], rhs[i]);
      return std::move(lhs);
    }
    case Kind::call: return scalar_function(*this, *expr.as<Call>(), grid);
    default: break;
  }
  return std::unexpected(
      QueryError(QueryError::Type::internal, Error{ErrorKind::internal, "expression is not a scalar"}));
}

Outcome<std::pair<std::vector<double>, std::vector<double>>> Evaluator::scalars(const Expr& first, const Expr& second,
                                                                                const Grid& grid) {
  return evaluate_both(
      *this, first, [&](Evaluator& on) { return on.scalar(first, grid); }, second,
      [&](Evaluator& on) { return on.scalar(second, grid); });
}

Outcome<std::pair<Batch, Batch>> Evaluator::collect_both(const Expr& first, const Expr& second, const Grid& grid) {
  return evaluate_both(
      *this, first, [&](Evaluator& on) { return on.collect(first, grid); }, second,
      [&](Evaluator& on) { return on.collect(second, grid); });
}

}  // namespace tocayo::promql::eval
