// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/group_columns.h"

#include <algorithm>

#include "logs/segment/time_layout.h"

namespace tocayo::logs {

using format::ColumnType;

class GroupColumns::Values final : public ColumnValues {
 public:
  Values(const format::Column& column, const DecodedColumn& decoded)
      : decoded_(decoded), integers_(column.type == ColumnType::integer && column.flags == 0) {
    // Exceptions stand beside the numbers.
    if ((column.flags & format::kExceptions) != 0) {
      coded_ = false;
      return;
    }
    switch (column.type) {
      case ColumnType::constant: return;
      case ColumnType::integer:
      case ColumnType::fixed:
      case ColumnType::decimal:
      case ColumnType::ipv4:
      case ColumnType::dictionary: codes_ = decoded.numbers(); return;
      case ColumnType::time:
      case ColumnType::hex_lower:
      case ColumnType::hex_upper:
      case ColumnType::uuid:
      case ColumnType::raw:
      case ColumnType::counted:
      case ColumnType::epoch:
      case ColumnType::epoch_decimal:
      case ColumnType::wide: break;
    }
    coded_ = false;
  }

  bool coded() const override { return coded_; }

  std::span<const std::int64_t> codes() const override { return codes_; }
  bool integers() const override { return integers_; }
  std::string_view text(std::size_t i, TimestampNs time, std::string& scratch) const override {
    return decoded_.text(i, time, scratch);
  }

 private:
  const DecodedColumn& decoded_;
  bool integers_;
  bool coded_ = true;
  std::span<const std::int64_t> codes_;
};

GroupColumns::GroupColumns(GroupRows& rows, const RowSet& chosen, const Selection& selection,
                           std::span<const std::uint32_t> stream_map, const DictionaryView& dictionary,
                           std::uint64_t first_order)
    : rows_(rows), selection_(selection), dictionary_(dictionary), first_order_(first_order) {
  chosen_.reserve(chosen.count());
  chosen.each([&](std::size_t row) { chosen_.push_back(static_cast<std::uint32_t>(row)); });
  const auto& view = rows.view();
  std::uint32_t end = 0;
  for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
    end += view.stream_rows[s];
    runs_.push_back({.end = end, .stream = stream_map[view.head->first_stream + s]});
  }
  slots_.resize(view.templates.size());
  facts_.resize(view.templates.size());
  values_.resize(view.columns.size());
}

GroupColumns::~GroupColumns() = default;

const TemplateFacts& GroupColumns::facts(std::size_t number) {
  auto& facts = facts_[number];
  if (facts.constants.empty()) {
    const auto& view = rows_.view();
    const auto& shape = rows_.shape(static_cast<std::uint32_t>(number));
    for (std::size_t i = 0; i < shape.slots.size(); ++i) {
      const auto& column = view.columns[view.templates[number].column + i];
      const auto& kind = shape.slots[i];
      const bool token = kind.family == SlotKind::Family::token;
      const bool plain = token && column.min_length > 0 && (column.mask & format::kMaskOther) == 0;
      const bool time = !token && column.type == ColumnType::time;
      // What begins like a number and goes on without punctuation is read as one.
      const bool canonical =
          column.flags == 0 && (column.type == ColumnType::integer || column.type == ColumnType::decimal);
      const bool spaces = layout_of(kind).view().contains(' ');
      slots_[number].push_back({.word = plain || (time && !spaces),
                                .quoted = plain || time,
                                .number = plain && ((column.mask & ~format::kMaskDigit) == 0 || canonical)});
    }
    facts = {.constants = shape.constants, .slots = slots_[number]};
  }
  return facts;
}

const ColumnValues* GroupColumns::values(std::uint32_t column, const DecodedColumn& decoded) {
  auto& made = values_[column];
  if (!made) made = std::make_unique<Values>(rows_.view().columns[column], decoded);
  return made.get();
}

Result<const ColumnValues*> GroupColumns::slot(std::size_t number, std::size_t slot) {
  const auto local = static_cast<std::uint32_t>(number);
  const auto at = static_cast<std::uint32_t>(slot);
  const auto* decoded = TRY(rows_.slot(local, at));
  return values(rows_.view().templates[local].column + at, *decoded);
}

Result<const ColumnValues*> GroupColumns::key_values(std::size_t number) {
  const auto* decoded = TRY(rows_.key_values(number));
  return values(rows_.view().keys[number].column, *decoded);
}

Result<std::span<const std::uint32_t>> GroupColumns::lengths() {
  if (lengths_.empty()) TRY(rows_.lengths(chosen_, lengths_));
  return std::span<const std::uint32_t>(lengths_);
}

Result<std::span<const Row>> GroupColumns::fetch(std::span<const std::uint32_t> numbers) {
  const auto times = TRY(rows_.times());
  if (selection_.want_line) {
    TRY(rows_.lines(numbers, lines_));
  } else if (selection_.want_length) {
    TRY(rows_.lengths(numbers, fetched_lengths_));
  }
  if (selection_.want_metadata) TRY(rows_.metadata(numbers, metadata_));
  fetched_.clear();
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    const auto number = numbers[k];
    const auto line = selection_.want_line ? lines_.line(k) : std::string_view();
    const std::uint32_t length = selection_.want_line     ? static_cast<std::uint32_t>(line.size())
                                 : selection_.want_length ? fetched_lengths_[k]
                                                          : 0;
    const auto run = std::ranges::upper_bound(runs_, number, {}, &Run::end);
    fetched_.push_back({.time = times[number],
                        .order = first_order_ + number,
                        .stream = run->stream,
                        .length = length,
                        .line = line,
                        .metadata = selection_.want_metadata ? metadata_.of(k) : std::span<const LabelView>()});
  }
  return std::span<const Row>(fetched_);
}

}  // namespace tocayo::logs
