// SPDX-License-Identifier: Apache-2.0
#include "logs/api/tail_match.h"

#include <algorithm>
#include <bit>
#include <variant>

#include "logs/line_filter.h"
#include "logs/required_literals.h"

namespace tocayo::logs::api {
namespace {

// The filter of a stage that decides on the line as it was stored, when its literals are known.
std::optional<LineFilter> positive_filter(const logql::LineFilterStage& stage) {
  using Match = logql::LineFilterStage::Match;
  LineFilter filter;
  switch (stage.match) {
    case Match::contains: filter.kind = LineFilter::Kind::contains; break;
    case Match::regex: filter.kind = LineFilter::Kind::regex; break;
    case Match::pattern: filter.kind = LineFilter::Kind::pattern; break;
    default: return std::nullopt;
  }
  for (const auto& operand : stage.operands) {
    if (operand.ip) return std::nullopt;
    filter.operands.push_back(operand.text);
  }
  return filter;
}

bool keeps_line(const logql::Stage& stage) {
  return !std::holds_alternative<logql::LineFormatStage>(stage.node) &&
         !std::holds_alternative<logql::UnpackStage>(stage.node) &&
         !std::holds_alternative<logql::DecolorizeStage>(stage.node);
}

}  // namespace

std::uint32_t LiteralSet::intern(const std::string& text, bool fold) {
  auto [at, fresh] = ids_.try_emplace({text, fold}, 0);
  if (fresh) {
    if (unused_.empty()) {
      unused_.push_back(static_cast<std::uint32_t>(literals_.size()));
      literals_.emplace_back();
    }
    at->second = unused_.back();
    unused_.pop_back();
    literals_[at->second] = {.text = text, .fold = fold, .rows = {}};
  }
  ++literals_[at->second].users;
  return at->second;
}

LiteralSet::Needs LiteralSet::add(const logql::LogExpr& log) {
  Needs needs;
  for (const auto& stage : log.stages) {
    if (!keeps_line(stage)) break;
    const auto* line = std::get_if<logql::LineFilterStage>(&stage.node);
    if (line == nullptr) continue;
    const auto filter = positive_filter(*line);
    if (!filter) continue;
    const auto matcher = LineMatcher::create(*filter);
    if (!matcher || matcher->required().any_of.empty()) continue;
    auto& one_of = needs.emplace_back();
    for (const auto& literal : matcher->required().any_of) one_of.push_back(intern(literal, matcher->required().fold));
  }
  return needs;
}

void LiteralSet::remove(const Needs& needs) {
  for (const auto& one_of : needs) {
    for (const auto id : one_of) {
      Literal& literal = literals_[id];
      if (--literal.users != 0) continue;
      ids_.erase({literal.text, literal.fold});
      literal = {};
      unused_.push_back(id);
    }
  }
}

void LiteralSet::begin(std::span<const Row> rows) {
  ++batch_;
  text_.clear();
  ends_.clear();
  for (const Row& row : rows) {
    text_ += row.line;
    ends_.push_back(text_.size());
  }
}

void LiteralSet::find(Literal& literal) {
  literal.batch = batch_;
  literal.rows.assign((ends_.size() + 63) / 64, 0);
  const std::string_view text = text_;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const std::size_t found = literal.fold ? find_folded(rest, literal.text) : find_bytes(rest, literal.text);
    if (found == std::string_view::npos) return;
    const std::size_t place = at + found;
    const auto row = std::upper_bound(ends_.begin(), ends_.end(), place) - ends_.begin();
    const std::size_t end = ends_[static_cast<std::size_t>(row)];
    if (place + literal.text.size() > end) {  // across two lines
      at = place + 1;
      continue;
    }
    literal.rows[static_cast<std::size_t>(row) / 64] |= std::uint64_t{1} << (row % 64);
    at = end;
  }
}

std::span<const std::uint32_t> LiteralSet::candidates(const Needs& needs) {
  const std::size_t words = (ends_.size() + 63) / 64;
  all_.assign(words, ~std::uint64_t{0});
  if (ends_.size() % 64 != 0) all_.back() = (std::uint64_t{1} << (ends_.size() % 64)) - 1;
  for (const auto& one_of : needs) {
    any_.assign(words, 0);
    for (const auto id : one_of) {
      Literal& literal = literals_[id];
      if (literal.batch != batch_) find(literal);
      for (std::size_t i = 0; i < words; ++i) any_[i] |= literal.rows[i];
    }
    for (std::size_t i = 0; i < words; ++i) all_[i] &= any_[i];
  }
  chosen_.clear();
  for (std::size_t i = 0; i < words; ++i) {
    for (std::uint64_t bits = all_[i]; bits != 0; bits &= bits - 1)
      chosen_.push_back(static_cast<std::uint32_t>(i * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
  }
  return chosen_;
}

}  // namespace tocayo::logs::api
