// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/group_search.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "core/hash.h"
#include "core/labels.h"
#include "logs/required_literals.h"
#include "logs/segment/bloom.h"
#include "logs/segment/bytes.h"
#include "logs/segment/grams.h"

namespace tocayo::logs {

using format::Column;
using format::ColumnType;

namespace {

std::uint8_t fold_mask(std::uint8_t mask) {
  if ((mask & (format::kMaskLowerHex | format::kMaskUpperHex)) != 0)
    mask |= format::kMaskLowerHex | format::kMaskUpperHex;
  if ((mask & (format::kMaskLower | format::kMaskUpper)) != 0) mask |= format::kMaskLower | format::kMaskUpper;
  return mask;
}

// Without capitals in the column, a folded literal (lower case) is looked for as it is.
bool folds(const Column& column, bool fold) {
  return fold && (column.mask & (format::kMaskUpperHex | format::kMaskUpper)) != 0;
}

// Whether any of the ascending ids lies in the column's range.
bool any_within(const std::vector<std::uint32_t>& ids, const Column& column) {
  const auto first =
      std::ranges::lower_bound(ids, column.min, {}, [](std::uint32_t id) { return static_cast<std::int64_t>(id); });
  return first != ids.end() && static_cast<std::int64_t>(*first) <= column.max;
}

}  // namespace

bool GroupSearch::column_may_hold(const Column& column, const SlotTest& test, bool fold) const {
  fold = folds(column, fold);
  const auto size = test.text.size();
  if (size > column.max_length) return false;
  if (test.op == SlotTest::Op::equals && size < column.min_length) return false;
  const auto mask = fold ? fold_mask(column.mask) : column.mask;
  if ((byte_mask(test.text) & ~mask) != 0) return false;
  if (column.type == ColumnType::dictionary) return any_within(plan_.dictionary_ids(test, fold), column);
  const bool equals = test.op == SlotTest::Op::equals || (size == column.max_length && size == column.min_length);
  if (equals && column.flags == 0 && (column.type == ColumnType::integer || column.type == ColumnType::fixed)) {
    std::int64_t number = 0;
    const auto end = test.text.data() + size;
    if (const auto parsed = std::from_chars(test.text.data(), end, number);
        parsed.ec == std::errc{} && parsed.ptr == end) {
      return number >= column.min && number <= column.max;
    }
    return false;
  }
  if (!has_token_filter(column.type)) return true;
  const auto& filter = rows_.view().token_filter;
  if (equals && !fold) return bloom_may_hold(filter, hash64(test.text, format::kSeedSlot));
  if (column.type == ColumnType::raw && size > kGramToken) return grams_may_hold(rows_.view().gram_filter, test.text);
  return true;
}

bool GroupSearch::template_may_hold(std::size_t filter, std::size_t needle, std::uint32_t local) const {
  const auto& entry = rows_.view().templates[local];
  const auto& plan = plan_.plan(filter, needle, entry.id);
  if (plan.all || plan.rebuild) return true;
  const bool fold = selection_.filters()[filter].needles[needle].fold;
  return std::ranges::any_of(plan.placements, [&](const auto& placement) {
    return std::ranges::all_of(placement, [&](const SlotTest& test) {
      return column_may_hold(rows_.view().columns[entry.column + test.slot], test, fold);
    });
  });
}

bool GroupSearch::text_may_hold(const Needle& needle) const {
  const auto& view = rows_.view();
  if (view.head->text_rows == 0) return false;
  for (const auto& word : needle.words) {
    if (!bloom_may_hold(view.token_filter, hash64(word, format::kSeedText))) return false;
  }
  // Without any byte between tokens it lies inside one token, which is as long at least.
  if (needle.text.size() > kGramToken &&
      std::ranges::all_of(needle.text, [](char c) { return is_token_byte(static_cast<unsigned char>(c)); })) {
    return grams_may_hold(view.gram_filter, needle.text);
  }
  return true;
}

TemplateMatch& GroupSearch::match_of(std::size_t filter, std::uint32_t local) {
  matches_.resize(selection_.filters().size());
  auto& of_filter = matches_[filter];
  of_filter.resize(rows_.view().templates.size());
  auto& match = of_filter[local];
  if (!match) match = std::make_unique<TemplateMatch>(*selection_.filters()[filter].automaton, rows_, local);
  return *match;
}

bool GroupSearch::regex_may_match(std::size_t f) {
  const auto& filter = selection_.filters()[f];
  const auto& view = rows_.view();
  auto may_hold = [&](std::uint32_t local) {
    if (filter.needles.empty()) return true;
    for (std::size_t n = 0; n < filter.needles.size(); ++n) {
      if (template_may_hold(f, n, local)) return true;
    }
    return false;
  };
  if (view.head->text_rows != 0 &&
      (filter.needles.empty() ||
       std::ranges::any_of(filter.needles, [&](const auto& needle) { return text_may_hold(needle); })))
    return true;
  for (std::uint32_t local = 0; local < view.templates.size(); ++local) {
    if (may_hold(local) && match_of(f, local).verdict() != TemplateMatch::Verdict::none) return true;
  }
  return false;
}

bool GroupSearch::may_match() {
  const auto& filters = selection_.filters();
  for (std::size_t f = 0; f < filters.size(); ++f) {
    const auto& filter = filters[f];
    if (filter.matcher.filter().negated) continue;
    if (filter.automaton) {
      if (!regex_may_match(f)) return false;
      continue;
    }
    if (filter.needles.empty()) continue;
    bool possible = false;
    for (std::size_t n = 0; n < filter.needles.size() && !possible; ++n) {
      possible = text_may_hold(filter.needles[n]);
      for (std::uint32_t local = 0; local < rows_.view().templates.size() && !possible; ++local) {
        possible = template_may_hold(f, n, local);
      }
    }
    if (!possible) return false;
  }
  return true;
}

// Marks in `passed` (places among the template's rows) the values that pass.
Result<> GroupSearch::test_column(std::uint32_t local, const SlotTest& test, bool fold, RowSet& passed) {
  const auto& entry = rows_.view().templates[local];
  const auto& column = rows_.view().columns[entry.column + test.slot];
  fold = folds(column, fold);
  const auto* decoded = TRY(rows_.slot(local, test.slot));
  if (column.type == ColumnType::dictionary) {
    const auto& wanted = plan_.dictionary_ids(test, fold);
    const auto ids = decoded->ids();
    std::vector<char> in(ids.size());
    bool any = false;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      in[i] = std::ranges::binary_search(wanted, ids[i]) ? 1 : 0;
      any = any || in[i] != 0;
    }
    const auto numbers = decoded->numbers();
    for (std::size_t i = 0; any && i < numbers.size(); ++i) {
      if (in[static_cast<std::size_t>(numbers[i])] != 0) passed.add(i);
    }
    return {};
  }
  std::string arena;
  if (column.type == ColumnType::constant) {
    if (holds(test, decoded->text(0, 0, arena), fold)) passed = RowSet(entry.rows, true);
    return {};
  }
  if (test.op == SlotTest::Op::equals && column.type == ColumnType::integer && column.flags == 0) {
    // Every number has one text: no need to write them all.
    std::int64_t wanted = 0;
    const auto* const end = test.text.data() + test.text.size();
    const auto parsed = std::from_chars(test.text.data(), end, wanted);
    if (parsed.ec != std::errc{} || parsed.ptr != end || std::to_string(wanted) != test.text) return {};
    const auto numbers = decoded->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] == wanted) passed.add(i);
    }
    return {};
  }
  constexpr std::uint32_t kBatch = 4096;
  const bool timed = needs_times(column.type);
  std::span<const std::uint32_t> rows;
  std::span<const std::int64_t> group_times;
  if (timed) {
    rows = TRY(rows_.rows_of(local));
    group_times = TRY(rows_.times());
  }
  std::vector<std::uint32_t> places;
  std::vector<TimestampNs> times;
  for (std::uint32_t begin = 0; begin < entry.rows; begin += kBatch) {
    places.resize(std::min(kBatch, entry.rows - begin));
    std::iota(places.begin(), places.end(), begin);
    times.clear();
    for (std::size_t k = 0; timed && k < places.size(); ++k) times.push_back(group_times[rows[places[k]]]);
    decoded->texts(places, times, arena, texts_);
    for (std::size_t k = 0; k < places.size(); ++k) {
      if (holds(test, texts_[k], fold)) passed.add(places[k]);
    }
  }
  return {};
}

// Adds the rows kept as whole lines that the filter finds.
Result<> GroupSearch::add_text_matches(const FilterPlan& filter, RowSet& found, const Context& context) {
  const auto count = rows_.view().head->text_rows;
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < count; ++rank) {
    if (rank % 1024 == 0) TRY(context.check());
    const auto line = TRY(rows_.text_line(rank));
    const bool in = filter.automaton && is_valid_utf8(line)
                        ? filter.automaton->matches(line)
                        : filter.matcher.matches(line) != filter.matcher.filter().negated;
    if (in) ranks.push_back(rank);
  }
  // Where they are is asked for only now: mostly there are none.
  if (ranks.empty()) return {};
  const auto rows = TRY(rows_.rows_of(static_cast<std::uint32_t>(rows_.view().templates.size())));
  for (auto rank : ranks) found.add(rows[rank]);
  return {};
}

// Adds the rows that the filter's automaton finds to `found`; those that only their lines can tell to `unsure`.
Result<> GroupSearch::add_matches(std::size_t f, const RowSet& within, RowSet& found, RowSet& unsure,
                                  const Context& context) {
  const auto& filter = selection_.filters()[f];
  const auto& view = rows_.view();
  const auto needles = filter.needles.size();
  auto any_needle = [&](auto may_hold) {
    for (std::size_t n = 0; n < needles; ++n) {
      if (may_hold(n)) return true;
    }
    return needles == 0;
  };
  if (view.head->text_rows != 0 && any_needle([&](std::size_t n) { return text_may_hold(filter.needles[n]); }))
    TRY(add_text_matches(filter, found, context));
  for (std::uint32_t local = 0; local < view.templates.size(); ++local) {
    if (!any_needle([&](std::size_t n) { return template_may_hold(f, n, local); })) continue;
    auto& match = match_of(f, local);
    switch (match.verdict()) {
      case TemplateMatch::Verdict::none: break;
      case TemplateMatch::Verdict::all:
      case TemplateMatch::Verdict::unknown: {
        auto& to = match.verdict() == TemplateMatch::Verdict::all ? found : unsure;
        for (auto row : TRY(rows_.rows_of(local))) to.add(row);
        break;
      }
      case TemplateMatch::Verdict::rows: TRY(match.evaluate(within, found, context)); break;
    }
  }
  return {};
}

// Adds the rows that hold the needle to `found`; those that only their lines can tell to `unsure`.
Result<> GroupSearch::add_holders(std::size_t f, std::size_t n, RowSet& found, RowSet& unsure) {
  const auto& needle = selection_.filters()[f].needles[n];
  const auto& view = rows_.view();
  if (text_may_hold(needle)) {
    const auto text_rows = view.head->text_rows;
    std::vector<std::uint32_t> ranks;
    for (std::uint32_t rank = 0; rank < text_rows; ++rank) {
      const auto line = TRY(rows_.text_line(rank));
      if ((needle.fold ? find_folded(line, needle.text) : find_bytes(line, needle.text)) != std::string_view::npos)
        ranks.push_back(rank);
    }
    if (!ranks.empty()) {
      const auto rows = TRY(rows_.rows_of(static_cast<std::uint32_t>(view.templates.size())));
      for (auto rank : ranks) found.add(rows[rank]);
    }
  }
  for (std::uint32_t local = 0; local < view.templates.size(); ++local) {
    if (!template_may_hold(f, n, local)) continue;
    const auto& entry = view.templates[local];
    const auto& plan = plan_.plan(f, n, entry.id);
    if (plan.all || plan.rebuild) {
      auto& to = plan.all ? found : unsure;
      for (auto row : TRY(rows_.rows_of(local))) to.add(row);
      continue;
    }
    RowSet any(entry.rows);
    for (const auto& placement : plan.placements) {
      RowSet passed(entry.rows, true);
      for (const auto& test : placement) {
        if (!column_may_hold(view.columns[entry.column + test.slot], test, needle.fold)) {
          passed = RowSet(entry.rows);
          break;
        }
        RowSet of_test(entry.rows);
        TRY(test_column(local, test, needle.fold, of_test));
        passed &= of_test;
        if (passed.empty()) break;
      }
      any |= passed;
    }
    if (any.empty()) continue;
    const auto rows = TRY(rows_.rows_of(local));
    any.each([&](std::size_t i) { found.add(rows[i]); });
  }
  return {};
}

// Leaves of `unsure` rows in `set` those whose line passes.
Result<> GroupSearch::confirm(const FilterPlan& filter, RowSet& set, const RowSet& unsure, const Context& context) {
  constexpr std::size_t kBatch = 2048;
  RowSet open = unsure;
  open &= set;
  std::vector<std::uint32_t> rows;
  rows.reserve(kBatch);
  LineBatch batch;
  std::vector<char> passes;
  auto look = [&]() -> Result<> {
    TRY(context.check());
    TRY(rows_.lines(rows, batch));
    filter.matcher.matches(batch.bytes, batch.places, passes);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (passes[k] == 0) set.remove(rows[k]);
    }
    rows.clear();
    return {};
  };
  Result<> state;
  open.each([&](std::size_t row) {
    if (!state) return;
    rows.push_back(static_cast<std::uint32_t>(row));
    if (rows.size() == kBatch) state = look();
  });
  if (state && !rows.empty()) state = look();
  return state;
}

Result<> GroupSearch::apply_line_filters(RowSet& set, const Context& context) {
  const auto& filters = selection_.filters();
  // What literals decide first, then what needs the lines.
  std::vector<std::pair<const FilterPlan*, RowSet>> later;
  for (std::size_t f = 0; f < filters.size(); ++f) {
    if (set.empty()) return {};
    const auto& filter = filters[f];
    const bool negated = filter.matcher.filter().negated;
    if (filter.automaton) {
      RowSet found(set.rows());
      RowSet unsure(set.rows());
      TRY(add_matches(f, set, found, unsure, context));
      if (negated) {
        set -= found;
      } else {
        found |= unsure;
        set &= found;
      }
      if (!unsure.empty()) later.emplace_back(&filter, std::move(unsure));
      continue;
    }
    if (filter.needles.empty()) {
      // A `contains` with an empty operand finds every line.
      if (filter.exact) {
        if (negated && !filter.matcher.filter().operands.empty()) set = RowSet(set.rows());
      } else {
        later.emplace_back(&filter, RowSet(set.rows(), true));
      }
      continue;
    }
    RowSet found(set.rows());
    RowSet unsure(set.rows());
    for (std::size_t n = 0; n < filter.needles.size(); ++n) TRY(add_holders(f, n, found, unsure));
    if (filter.exact) {
      unsure -= found;
      if (negated) {
        set -= found;
      } else {
        RowSet possible = found;
        possible |= unsure;
        set &= possible;
      }
    } else {
      unsure |= found;
      if (!negated) set &= unsure;
    }
    if (!unsure.empty()) later.emplace_back(&filter, std::move(unsure));
  }
  for (auto& [filter, unsure] : later) {
    if (set.empty()) return {};
    TRY(confirm(*filter, set, unsure, context));
  }
  return {};
}

bool GroupSearch::metadata_may_match(std::size_t label_filter) const {
  const auto& matcher = selection_.selection().label_filters[label_filter];
  if (matcher.matches_empty()) return true;
  const auto name = plan_.key(label_filter);
  const auto& view = rows_.view();
  const auto key = std::ranges::find(view.keys, name, &format::Key::name);
  if (name == StringTable::kNone || key == view.keys.end()) return false;
  if (matcher.type() != Matcher::Type::equal) return true;
  const auto& column = view.columns[key->column];
  const SlotTest test{.slot = 0, .op = SlotTest::Op::equals, .text = matcher.value()};
  if (has_token_filter(column.type)) {
    const auto seed = hash64(matcher.name(), format::kSeedMetadata);
    return test.text.size() <= column.max_length && test.text.size() >= column.min_length &&
           bloom_may_hold(view.token_filter, hash64(test.text, seed));
  }
  return column_may_hold(column, test, false);
}

Result<RowSet> GroupSearch::metadata_matches(std::size_t label_filter) {
  const auto& matcher = selection_.selection().label_filters[label_filter];
  const auto& view = rows_.view();
  const auto name = plan_.key(label_filter);
  const auto key = std::ranges::find(view.keys, name, &format::Key::name);
  if (name == StringTable::kNone || key == view.keys.end()) return RowSet(rows_.size(), matcher.matches_empty());
  const auto number = static_cast<std::size_t>(key - view.keys.begin());
  const auto* values = TRY(rows_.key_values(number));
  std::vector<char> passes(key->rows);
  std::string scratch;
  if (view.columns[key->column].type == ColumnType::dictionary) {
    std::vector<char> known;
    for (auto value : values->values()) known.push_back(matcher.matches(value) ? 1 : 0);
    const auto numbers = values->numbers();
    for (std::size_t i = 0; i < passes.size(); ++i) passes[i] = known[static_cast<std::size_t>(numbers[i])];
  } else if (view.columns[key->column].type == ColumnType::constant) {
    std::ranges::fill(passes, matcher.matches(values->text(0, 0, scratch)) ? 1 : 0);
  } else {
    std::vector<std::uint32_t> all(passes.size());
    std::iota(all.begin(), all.end(), 0);
    values->texts(all, {}, scratch, texts_);
    for (std::size_t i = 0; i < passes.size(); ++i) passes[i] = matcher.matches(texts_[i]) ? 1 : 0;
  }
  const auto places = TRY(rows_.key_places(number));
  RowSet set(rows_.size());
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const auto place = places.empty() ? static_cast<std::int32_t>(row) : places[row];
    if (place < 0 ? matcher.matches_empty() : passes[static_cast<std::size_t>(place)] != 0) set.add(row);
  }
  return set;
}

}  // namespace tocayo::logs
