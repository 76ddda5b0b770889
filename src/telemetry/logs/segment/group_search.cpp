// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/group_search.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/hash.h"
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

// Whether any of the ascending ids lies in the column's range.
bool any_within(const std::vector<std::uint32_t>& ids, const Column& column) {
  const auto first =
      std::ranges::lower_bound(ids, column.min, {}, [](std::uint32_t id) { return static_cast<std::int64_t>(id); });
  return first != ids.end() && static_cast<std::int64_t>(*first) <= column.max;
}

}  // namespace

bool GroupSearch::column_may_hold(const Column& column, const SlotTest& test, bool fold) const {
  const auto size = test.text.size();
  if (size > column.max_length) return false;
  if (test.op == SlotTest::Op::equals && size < column.min_length) return false;
  const auto mask = fold ? fold_mask(column.mask) : column.mask;
  if ((byte_mask(test.text) & ~mask) != 0) return false;
  if (column.type == ColumnType::dictionary) return any_within(plan_.dictionary_ids(test, fold), column);
  const bool equals = test.op == SlotTest::Op::equals || (size == column.max_length && size == column.min_length);
  if (equals && (column.type == ColumnType::integer || column.type == ColumnType::fixed)) {
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
  if (!fold && column.type == ColumnType::raw && size > kGramToken)
    return grams_may_hold(rows_.view().gram_filter, test.text);
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
  if (needle.fold) return true;
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

bool GroupSearch::may_match() const {
  const auto& filters = selection_.filters();
  for (std::size_t f = 0; f < filters.size(); ++f) {
    const auto& filter = filters[f];
    if (filter.matcher.filter().negated || filter.needles.empty()) continue;
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
  const auto* decoded = TRY(rows_.slot(local, test.slot));
  if (column.type == ColumnType::dictionary) {
    const auto& ids = plan_.dictionary_ids(test, fold);
    const auto numbers = decoded->numbers();
    std::vector<bool> in(static_cast<std::size_t>(column.max - column.min + 1));
    for (auto id : ids) {
      if (static_cast<std::int64_t>(id) >= column.min && static_cast<std::int64_t>(id) <= column.max) {
        in[static_cast<std::size_t>(static_cast<std::int64_t>(id) - column.min)] = true;
      }
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] >= column.min && numbers[i] <= column.max && in[static_cast<std::size_t>(numbers[i] - column.min)])
        passed.add(i);
    }
    return {};
  }
  std::string scratch;
  if (column.type == ColumnType::constant) {
    if (holds(test, decoded->text(0, 0, scratch), fold)) passed = RowSet(entry.rows, true);
    return {};
  }
  const auto rows = TRY(rows_.rows_of(local));
  const auto times = TRY(rows_.times());
  for (std::size_t i = 0; i < entry.rows; ++i) {
    if (holds(test, decoded->text(i, times[rows[i]], scratch), fold)) passed.add(i);
  }
  return {};
}

// Adds the rows that hold the needle to `found`; those that only their lines can tell to `unsure`.
Result<> GroupSearch::add_holders(std::size_t f, std::size_t n, RowSet& found, RowSet& unsure) {
  const auto& needle = selection_.filters()[f].needles[n];
  const auto& view = rows_.view();
  if (text_may_hold(needle)) {
    for (auto row : TRY(rows_.rows_of(static_cast<std::uint32_t>(view.templates.size())))) unsure.add(row);
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
  std::string line;
  Result<> state;
  std::size_t looked = 0;
  unsure.each([&](std::size_t row) {
    if (!state || !set.has(row)) return;
    if (++looked % 4096 == 0) {
      if (state = context.check(); !state) return;
    }
    line.clear();
    if (state = rows_.append_line(static_cast<std::uint32_t>(row), line); !state) return;
    if (!filter.matcher.matches(line)) set.remove(row);
  });
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
    const auto ids = values->numbers();
    const auto& column = view.columns[key->column];
    std::vector<signed char> known(static_cast<std::size_t>(column.max - column.min + 1), -1);
    for (std::size_t i = 0; i < passes.size(); ++i) {
      if (ids[i] < column.min || ids[i] > column.max) continue;
      auto& answer = known[static_cast<std::size_t>(ids[i] - column.min)];
      if (answer < 0) answer = matcher.matches(values->text(i, 0, scratch)) ? 1 : 0;
      passes[i] = answer;
    }
  } else {
    for (std::size_t i = 0; i < passes.size(); ++i) passes[i] = matcher.matches(values->text(i, 0, scratch)) ? 1 : 0;
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
