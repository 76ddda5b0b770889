// SPDX-License-Identifier: Apache-2.0
// ColumnGroup over the rows of a segment's row group.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "logs/columns.h"
#include "logs/segment/dictionary.h"
#include "logs/segment/group_view.h"
#include "logs/segment/row_set.h"

namespace tocayo::logs {

class GroupColumns final : public ColumnGroup {
 public:
  // `stream_map` as of SegmentReader::scan(). Borrows all of it; `selection` says what fetched rows must have.
  GroupColumns(GroupRows& rows, const RowSet& chosen, const Selection& selection,
               std::span<const std::uint32_t> stream_map, const DictionaryView& dictionary, std::uint64_t first_order);
  ~GroupColumns() override;

  std::span<const std::uint32_t> rows() const override { return chosen_; }
  Result<std::span<const TimestampNs>> times() override { return rows_.times(); }
  std::span<const Run> runs() const override { return runs_; }
  std::uint64_t first_order() const override { return first_order_; }
  Result<std::span<const std::uint32_t>> lengths() override;
  std::size_t template_count() const override { return rows_.view().templates.size(); }
  Result<std::span<const std::int64_t>> template_ids() override { return rows_.template_ids(); }
  Result<std::span<const std::uint32_t>> places() override { return rows_.places(); }
  const TemplateFacts& facts(std::size_t number) override;
  Result<const ColumnValues*> slot(std::size_t number, std::size_t slot) override;
  std::size_t key_count() const override { return rows_.view().keys.size(); }
  std::string_view key(std::size_t number) const override { return dictionary_.at(rows_.view().keys[number].name); }
  Result<std::span<const std::int32_t>> key_places(std::size_t number) override { return rows_.key_places(number); }
  Result<const ColumnValues*> key_values(std::size_t number) override;
  Result<std::span<const Row>> fetch(std::span<const std::uint32_t> numbers) override;

 private:
  class Values;
  const ColumnValues* values(std::uint32_t column, const DecodedColumn& decoded);

  GroupRows& rows_;
  const Selection& selection_;
  const DictionaryView& dictionary_;
  std::uint64_t first_order_;
  std::vector<std::uint32_t> chosen_;
  std::vector<Run> runs_;
  std::vector<std::vector<SlotFacts>> slots_;
  std::vector<TemplateFacts> facts_;
  std::vector<std::unique_ptr<Values>> values_;  // by column of the group
  std::vector<std::uint32_t> lengths_;
  std::vector<std::uint32_t> fetched_lengths_;
  LineBatch lines_;
  MetadataBatch metadata_;
  std::vector<Row> fetched_;
};

}  // namespace tocayo::logs
