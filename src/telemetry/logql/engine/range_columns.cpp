// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/range_columns.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "logql/pipeline/label_state.h"

namespace tocayo::logql::detail {

namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFF;
constexpr std::uint64_t kRoots = ~0ULL;  // where the first step begins: no node has this number
constexpr std::size_t kBatch = 2'048;    // rows fetched at once
constexpr std::uint64_t kFewRows = 512;  // before it is judged whether sharing pays
constexpr std::size_t kMostKnown = 8'192;

}  // namespace

ColumnReader::ColumnReader(const ColumnPlan& plan, std::span<const Labels> streams)
    : plan_(plan), streams_(streams), classes_(streams.size(), kNone) {
  if (plan.parser != ColumnPlan::Parser::none) reader_.emplace(plan);
}

std::uint32_t ColumnReader::class_of(std::uint32_t stream) {
  auto& known = classes_[stream];
  if (known != kNone) return known;
  const Labels& labels = streams_[stream];
  std::vector<std::string> names = plan_.names;
  if (!plan_.value_name.empty()) names.push_back(plan_.value_name);
  const auto [at, fresh] = class_numbers_.try_emplace(plan_.all_names ? labels : labels.keep(names),
                                                      static_cast<std::uint32_t>(class_has_value_.size()));
  if (fresh) class_has_value_.push_back(!plan_.value_name.empty() && labels.has(plan_.value_name));
  known = at->second;
  return known;
}

Result<> ColumnReader::begin(logs::ColumnGroup& group) {
  templates_.assign(group.template_count() + 1, {});
  keys_.clear();
  keys_by_row_ = value_in_keys_ = false;
  key_value_ = nullptr;
  steps_.clear();
  outcomes_.clear();
  by_row_.clear();
  for (std::size_t k = 0; k < group.key_count(); ++k) {
    const std::string name = sanitized_name(group.key(k));
    if (!plan_.counts(name)) continue;
    const auto places = TRY(group.key_places(k));
    const auto* values = TRY(group.key_values(k));
    if (name == plan_.value_name) {
      if (plan_.parser == ColumnPlan::Parser::none && !value_in_keys_) {
        key_value_ = values;
        key_value_places_ = places;
      } else {
        key_value_ = nullptr;
      }
      // With a parser, or twice: the values count as those of any other label.
      if (std::exchange(value_in_keys_, true) || plan_.parser != ColumnPlan::Parser::none) keys_by_row_ = true;
      if (!places.empty()) keys_.push_back({.codes = {}, .key_places = places});
      continue;
    }
    if (!values->coded()) keys_by_row_ = true;
    if (!places.empty() || !values->codes().empty()) keys_.push_back({.codes = values->codes(), .key_places = places});
  }
  return {};
}

Result<> ColumnReader::prepare(logs::ColumnGroup& group, std::size_t number, Template& out) {
  out.ready = true;
  out.by_row = keys_by_row_;
  out.sources = keys_;
  if (out.by_row || plan_.parser == ColumnPlan::Parser::none) {
    out.value = key_value_;
    return {};
  }
  if (number == group.template_count()) {
    out.by_row = true;
    return {};
  }
  const TemplatePlan plan = reader_->read(group.facts(number));
  out.by_row = !plan.possible;
  for (const std::uint32_t slot : plan.slots) {
    if (out.by_row) break;
    const auto* values = TRY(group.slot(number, slot));
    if (!values->coded()) out.by_row = true;
    if (!values->codes().empty()) out.sources.push_back({.codes = values->codes(), .key_places = {}, .by_place = true});
  }
  if (!out.by_row && plan.value) {
    out.value = TRY(group.slot(number, plan.value->slot));
    out.prefix = plan.value->prefix;
    out.suffix = plan.value->suffix;
  }
  return {};
}

Result<double> ColumnReader::value_of(Template& from, std::uint32_t place, TimestampNs time) {
  const auto codes = from.value->codes();
  if (codes.empty()) return read_value(from, place, time);
  const std::int64_t code = codes[place];
  if (from.value->integers() && from.prefix.empty() && from.suffix.empty() &&
      plan_.conversion == Unwrap::Conversion::none) {
    return static_cast<double>(code);
  }
  // Values repeat, and reading a text is dear.
  if (from.known.empty()) from.known.resize(std::bit_ceil(std::clamp<std::size_t>(codes.size() / 2, 16, kMostKnown)));
  const auto mixed = static_cast<std::uint64_t>(code) * 0x9E3779B97F4A7C15ULL;
  Known& known = from.known[(mixed >> 32) & (from.known.size() - 1)];
  if (known.set && known.code == code) return known.value;
  const double value = TRY(read_value(from, place, time));
  known = {code, value, true};
  return value;
}

Result<double> ColumnReader::read_value(const Template& from, std::uint32_t place, TimestampNs time) {
  const bool bare = from.prefix.empty() && from.suffix.empty();
  const std::string_view text = from.value->text(place, time, scratch_);
  if (text.empty()) return fail(ErrorKind::bad_input, "no value");
  if (bare) return unwrap_value(plan_.conversion, text);
  text_ = from.prefix;
  text_.append(text);
  text_.append(from.suffix);
  return unwrap_value(plan_.conversion, text_);
}

Result<> ColumnReader::read(logs::ColumnGroup& group, Handler& handler) {
  TRY(begin(group));
  const bool parses = plan_.parser != ColumnPlan::Parser::none;
  const auto times = TRY(group.times());
  const auto runs = group.runs();
  std::span<const std::int64_t> ids;
  std::span<const std::uint32_t> places;
  if (parses) {
    ids = TRY(group.template_ids());
    places = TRY(group.places());
  }
  std::size_t run = 0;
  const auto chosen = group.rows();
  for (std::size_t nth = 0; nth < chosen.size(); ++nth) {
    const std::uint32_t row = chosen[nth];
    while (row >= runs[run].end) ++run;
    const std::uint32_t stream = runs[run].stream;
    const std::size_t number = parses ? static_cast<std::size_t>(ids[row]) : 0;
    Template& from = templates_[number];
    if (!from.ready) TRY(prepare(group, number, from));
    const std::uint32_t kind = class_of(stream);
    // The stream's own label hides the parsed one, whose slot would be taken for it.
    if (from.by_row || (from.value != nullptr && class_has_value_[kind])) {
      by_row_.push_back(row);
      if (by_row_.size() == kBatch) TRY(hand_over(group, handler));
      continue;
    }
    if (from.root_class != kind) {
      from.root_class = kind;
      from.root = node(kRoots, static_cast<std::int64_t>(static_cast<std::uint64_t>(number) << 32 | kind));
    }
    std::uint32_t at = from.root;
    const std::uint32_t place = parses ? places[row] : 0;
    for (const Source& source : from.sources) {
      std::int64_t index = source.by_place ? place : row;
      if (!source.key_places.empty()) index = source.key_places[row];
      const bool present = index >= 0;
      const std::int64_t code = present && !source.codes.empty() ? source.codes[static_cast<std::size_t>(index)] : 0;
      at = node(static_cast<std::uint64_t>(at) << 1 | (present ? 1U : 0U), code);
    }
    if (outcomes_[at].kind == RowOutcome::Kind::unknown) {
      outcomes_[at] = handler.decide(TRY(group.fetch({&row, 1}))[0]);
      ++from.runs;
    }
    if (++from.rows == kFewRows || from.rows % (16 * kFewRows) == 0) from.by_row = from.runs * 2 > from.rows;
    const RowOutcome outcome = outcomes_[at];
    if (outcome.kind == RowOutcome::Kind::dropped) continue;
    if (outcome.kind == RowOutcome::Kind::by_row) {
      by_row_.push_back(row);
      continue;
    }
    double value = outcome.value;
    if (from.value != nullptr) {
      std::uint32_t index = parses ? place : row;
      if (!parses && !key_value_places_.empty()) index = static_cast<std::uint32_t>(key_value_places_[row]);
      const auto number_of = value_of(from, index, times[row]);
      if (!number_of) {
        by_row_.push_back(row);
        continue;
      }
      value = *number_of;
    }
    TRY(handler.take(group, nth, stream, times[row], outcome.series, value));
  }
  return hand_over(group, handler);
}

// The rows that are looked at one by one.
Result<> ColumnReader::hand_over(logs::ColumnGroup& group, Handler& handler) {
  for (std::span<const std::uint32_t> left = by_row_; !left.empty();) {
    const auto batch = left.first(std::min(left.size(), kBatch));
    TRY(handler.by_row(TRY(group.fetch(batch))));
    left = left.subspan(batch.size());
  }
  by_row_.clear();
  return {};
}

}  // namespace tocayo::logql::detail
