// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/plan.h"

#include <algorithm>

namespace tocayo::logql::detail {

namespace {

// Stages after which the line is not the stored one.
bool changes_line(const Stage& stage) {
  return std::holds_alternative<LineFormatStage>(stage.node) || std::holds_alternative<UnpackStage>(stage.node) ||
         std::holds_alternative<DecolorizeStage>(stage.node);
}

// Stages after which a label need not be the stream's or the metadata's.
bool changes_labels(const Stage& stage) {
  return !std::holds_alternative<LineFilterStage>(stage.node) &&
         !std::holds_alternative<LabelFilterStage>(stage.node) &&
         !std::holds_alternative<LineFormatStage>(stage.node) && !std::holds_alternative<DecolorizeStage>(stage.node);
}

std::optional<logs::LineFilter> as_store_filter(const LineFilterStage& stage) {
  using Match = LineFilterStage::Match;
  using Kind = logs::LineFilter::Kind;
  if (std::ranges::any_of(stage.operands, &LineFilterStage::Operand::ip)) return std::nullopt;
  logs::LineFilter filter;
  switch (stage.match) {
    case Match::contains:
    case Match::not_contains: filter.kind = Kind::contains; break;
    case Match::regex:
    case Match::not_regex: filter.kind = Kind::regex; break;
    case Match::pattern:
    case Match::not_pattern: filter.kind = Kind::pattern; break;
  }
  filter.negated =
      stage.match == Match::not_contains || stage.match == Match::not_regex || stage.match == Match::not_pattern;
  for (const auto& operand : stage.operands) filter.operands.push_back(operand.text);
  return filter;
}

// The conjunction of matchers that a label filter is, when it is one and means the stream's labels and the metadata
// alone. `x_extracted` may be a renamed clash, `__error__` is the pipeline's.
bool collect_matchers(const LabelFilter& filter, std::vector<Matcher>& out) {
  if (filter.kind == LabelFilter::Kind::all) {
    return std::ranges::all_of(filter.operands, [&](const LabelFilter& f) { return collect_matchers(f, out); });
  }
  if (filter.kind != LabelFilter::Kind::text || filter.name.ends_with("_extracted") || filter.name.starts_with("__")) {
    return false;
  }
  out.push_back(*filter.matcher);
  return true;
}

}  // namespace

Result<Plan> make_plan(const LogExpr& log, const PipelineOptions& options, Wants wants) {
  // The whole pipeline once, so that errors name the stage as it was written, whoever runs it later.
  TRY(Pipeline::compile(log.stages, options));
  logs::Selection selection;
  selection.matchers = log.matchers;
  std::vector<Stage> rest;
  bool line_is_stored = true;
  bool labels_are_stored = true;
  for (const Stage& stage : log.stages) {
    if (const auto* line = std::get_if<LineFilterStage>(&stage.node); line != nullptr && line_is_stored) {
      if (auto filter = as_store_filter(*line)) {
        selection.line_filters.push_back(std::move(*filter));
        continue;
      }
    }
    if (const auto* label = std::get_if<LabelFilterStage>(&stage.node); label != nullptr && labels_are_stored) {
      std::vector<Matcher> matchers;
      if (collect_matchers(label->filter, matchers)) {
        selection.label_filters.insert(selection.label_filters.end(), matchers.begin(), matchers.end());
        continue;
      }
    }
    line_is_stored = line_is_stored && !changes_line(stage);
    labels_are_stored = labels_are_stored && !changes_labels(stage);
    rest.push_back(stage);
  }
  Pipeline pipeline = TRY(Pipeline::compile(rest, options));
  const bool line_is_needed = wants == Wants::line || (wants == Wants::length && !line_is_stored);
  selection.want_line = line_is_needed || pipeline.needs_line();
  selection.want_length = wants == Wants::length;
  const bool no_labels = options.grouping && !options.grouping->without && options.grouping->labels.empty();
  const bool rows_only = wants != Wants::line && options.unwrap == nullptr && no_labels && rest.empty();
  selection.want_metadata = !rows_only;
  Plan plan{std::move(selection), std::move(pipeline), rows_only, std::nullopt};
  if (wants != Wants::line && !rows_only) plan.columns = plan_columns(rest, options);
  return plan;
}

}  // namespace tocayo::logql::detail
