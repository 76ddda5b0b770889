// SPDX-License-Identifier: Apache-2.0
// info(): adds the labels of info metrics (target_info and the like) to series of the same instance and job.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <set>

#include "promql/eval.h"
#include "promql/function_signatures.h"

namespace tocayo::promql::eval {

namespace {

constexpr std::string_view kTargetInfo = "target_info";
const std::string kIdentifying[] = {"instance", "job"};

// Where the selector of the first argument looks in time: info series are taken from there too.
struct Shift {
  std::optional<TimestampMs> at;
  std::int64_t offset = 0;
};

Shift shift_of(const Expr& expr) {
  Shift shift;
  bool found = false;
  walk(expr, [&](const Expr& node, const std::vector<const Expr*>& path) {
    const auto* selector = node.as<VectorSelector>();
    if (found || selector == nullptr) return;
    found = true;
    shift = {selector->timestamp, selector->original_offset.count()};
    for (std::size_t i = path.size(); !shift.at && i > 0; --i) {
      const auto* subquery = path[i - 1]->as<SubqueryExpr>();
      if (subquery == nullptr) continue;
      shift.offset += subquery->original_offset.count();
      shift.at = subquery->timestamp;
    }
  });
  return shift;
}

// Which metrics count as info metrics.
std::vector<Matcher> name_matchers(std::vector<Matcher> given) {
  if (given.empty()) return {Matcher::equal(std::string(kMetricName), std::string(kTargetInfo))};
  if (std::ranges::none_of(given, [](const Matcher& matcher) { return !matcher.negative(); })) {
    // Only exclusions: out of everything that is called an info metric.
    if (auto any = Matcher::create(Matcher::Type::regex, std::string(kMetricName), ".+_info"))
      given.insert(given.begin(), *any);
  }
  return given;
}

using Identity = std::pair<std::string_view, std::string_view>;  // instance, job

Identity identity_of(const Labels& labels) { return {labels.get(kIdentifying[0]), labels.get(kIdentifying[1])}; }

class InfoJoin {
 public:
  InfoJoin(Evaluator& evaluator, const Call& call, const Grid& grid)
      : evaluator_(evaluator), grid_(grid), shift_(shift_of(*call.args[0])) {
    if (call.args.size() < 2) return;
    for (const Matcher& matcher : unwrap(*call.args[1]).as<VectorSelector>()->matchers) {
      if (matcher.name() == kMetricName) {
        names_.push_back(matcher);
      } else {
        data_[matcher.name()].push_back(matcher);
      }
    }
  }

  Outcome<> run(const Expr& base_expr, const Sink& sink) {
    Batch base = TRY_EVAL(evaluator_.collect(base_expr, grid_));
    names_ = name_matchers(std::move(names_));
    std::vector<bool> is_info(base.series.size());
    for (std::size_t b = 0; b < base.series.size(); ++b) {
      const std::string_view name = metric_name(*base.series[b].labels);
      is_info[b] = std::ranges::all_of(names_, [&](const Matcher& matcher) { return matcher.matches(name); });
    }
    Batch infos(evaluator_.budget());
    TRY_VOID(fetch(base, is_info, infos));
    TRY_VOID(choose_newest(base, infos));
    std::vector<EvalSeries> results;
    for (std::size_t b = 0; b < base.series.size(); ++b) {
      TRY_VOID(evaluator_.check());
      if (is_info[b]) {
        results.push_back(std::move(base.series[b]));
      } else {
        TRY_VOID(enrich(base.series[b], infos, results));
      }
    }
    return evaluator_.push_merged(std::move(results), grid_, true, sink);
  }

 private:
  // The info series of one metric with one identity, and which of them is newest at each step (-1: none).
  struct Choice {
    std::vector<std::size_t> series;
    std::vector<std::int32_t> newest;
  };

  Outcome<> fetch(const Batch& base, const std::vector<bool>& is_info, Batch& infos) {
    std::vector<Matcher> matchers;
    for (const std::string& label : kIdentifying) {
      std::set<std::string_view> values;
      for (std::size_t b = 0; b < base.series.size(); ++b) {
        if (is_info[b]) continue;
        if (const std::string_view value = base.series[b].labels->get(label); !value.empty()) values.insert(value);
      }
      if (values.empty()) continue;
      std::string alternatives;
      for (std::string_view value : values) {
        if (!alternatives.empty()) alternatives += '|';
        alternatives += re2::RE2::QuoteMeta(re2::StringPiece(value.data(), value.size()));
      }
      auto matcher = Matcher::create(Matcher::Type::regex, label, alternatives);
      if (!matcher) return std::unexpected(QueryError(std::move(matcher.error())));
      matchers.push_back(std::move(*matcher));
    }
    if (matchers.empty()) return {};
    for (const auto& [name, list] : data_) matchers.insert(matchers.end(), list.begin(), list.end());
    matchers.insert(matchers.end(), names_.begin(), names_.end());

    const TimestampMs first = saturating_sub(shift_.at.value_or(grid_.start), shift_.offset);
    const TimestampMs last = saturating_sub(shift_.at.value_or(grid_.end()), shift_.offset);
    const auto set = TRY_EVAL(evaluator_.select(matchers, saturating_sub(first, evaluator_.settings().lookback - 1),
                                                last, grid_.steps > 1 ? grid_.step : 0, 0, "info"));
    return stream_series_set(
        evaluator_, *set, grid_, shift_.at, shift_.offset, SelectorValue::raw_time, false,
        [&](EvalSeries&& series) -> Outcome<> {
          if (series.column.any_histograms()) {
            return execution_error("this should be an info metric, with float samples: " + series.labels->to_string());
          }
          return infos.add(std::move(series));
        });
  }

  Outcome<> choose_newest(const Batch& base, const Batch& infos) {
    StepSet active(grid_.steps);
    for (const EvalSeries& series : base.series) series.column.add_presence(active);
    for (std::size_t s = 0; s < infos.series.size(); ++s) {
      const Labels& labels = *infos.series[s].labels;
      choices_[identity_of(labels)][metric_name(labels)].series.push_back(s);
    }
    for (auto& [identity, by_name] : choices_) {
      for (auto& [name, choice] : by_name) {
        choice.newest.assign(grid_.steps, -1);
        for (std::size_t s : choice.series) {
          const EvalSeries& series = infos.series[s];
          for (std::size_t i = 0; i < grid_.steps; ++i) {
            if (!series.column.has_float(i) || !active.test(i)) continue;
            std::int32_t& newest = choice.newest[i];
            if (newest >= 0) {
              const EvalSeries& other = infos.series[static_cast<std::size_t>(newest)];
              const double old_time = other.column.value(i), time = series.column.value(i);
              if (old_time == time) {
                return execution_error(
                    fmt::format("found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                                other.labels->to_string(false), static_cast<std::int64_t>(old_time),
                                series.labels->to_string(false), static_cast<std::int64_t>(time)));
              }
              if (old_time > time) continue;
            }
            newest = static_cast<std::int32_t>(s);
          }
        }
      }
    }
    return {};
  }

  // The labels the chosen info series (in order of metric name) add to a base series; nullopt when the sample is to go.
  Outcome<std::optional<Labels>> added_labels(const Labels& base, const std::vector<std::int32_t>& chosen,
                                              const Batch& infos) const {
    Labels added;
    bool any = false;
    for (std::int32_t index : chosen) {
      if (index < 0) continue;
      any = true;
      for (const Label& label : *infos.series[static_cast<std::size_t>(index)].labels) {
        if (label.name == kMetricName || (!data_.empty() && !data_.contains(label.name))) continue;
        const std::string_view present = added.get(label.name);
        if (!present.empty() && present != label.value) return execution_error("conflicting label: " + label.name);
        if (!base.has(label.name)) added.set(label.name, label.value);
      }
    }
    if (!any) {
      for (const auto& [name, matchers] : data_) {
        if (!std::ranges::all_of(matchers, [](const Matcher& matcher) { return matcher.matches_empty(); }))
          return std::nullopt;
      }
    }
    return added;
  }

  Outcome<> enrich(const EvalSeries& base, const Batch& infos, std::vector<EvalSeries>& results) {
    const auto found = choices_.find(identity_of(*base.labels));
    std::vector<const Choice*> choices;
    if (found != choices_.end()) {
      for (const auto& [name, choice] : found->second) choices.push_back(&choice);
    }
    constexpr std::size_t kDropped = SIZE_MAX;
    std::map<std::vector<std::int32_t>, std::size_t> outputs;  // chosen info series → result
    std::vector<std::int32_t> chosen(choices.size()), previous;
    std::size_t output = kDropped;
    bool first = true;
    for (std::size_t i = 0; i < grid_.steps; ++i) {
      if (!base.column.has(i)) continue;
      for (std::size_t c = 0; c < choices.size(); ++c) chosen[c] = choices[c]->newest[i];
      if (first || chosen != previous) {
        first = false;
        previous = chosen;
        auto [place, is_new] = outputs.try_emplace(chosen, kDropped);
        if (is_new) {
          auto added = TRY_EVAL(added_labels(*base.labels, chosen, infos));
          if (added) {
            Labels labels = *base.labels;
            for (const Label& label : *added) labels.set(label.name, label.value);
            place->second = results.size();
            EvalSeries series{nullptr, base.drop_name, Column(grid_.steps)};
            series.set_labels(std::move(labels));
            results.push_back(std::move(series));
          }
        }
        output = place->second;
      }
      if (output != kDropped) results[output].column.copy_step(i, base.column, i);
    }
    return {};
  }

  Evaluator& evaluator_;
  Grid grid_;
  Shift shift_;
  std::vector<Matcher> names_;
  std::map<std::string, std::vector<Matcher>, std::less<>> data_;  // labels to add, by name; empty: all
  std::map<Identity, std::map<std::string_view, Choice>> choices_;
};

}  // namespace

Outcome<> stream_info(Evaluator& evaluator, const Call& call, const Grid& grid, const Sink& sink) {
  return InfoJoin(evaluator, call, grid).run(*call.args[0], sink);
}

}  // namespace tocayo::promql::eval
