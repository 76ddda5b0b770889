// SPDX-License-Identifier: Apache-2.0
// A row group as it lies in the file: its part of the index, checked once, and its blocks, decoded on demand.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/entry.h"
#include "logs/line_filter.h"
#include "logs/segment/column.h"
#include "logs/segment/format.h"
#include "logs/segment/template_shape.h"

struct ZSTD_DDict_s;  // zstd.h

namespace tocayo::logs {

struct GroupView {
  const format::Group* head = nullptr;
  std::span<const format::Template> templates;
  std::span<const format::Column> columns;
  std::span<const format::Block> blocks;
  std::span<const format::Key> keys;
  std::span<const std::uint32_t> stream_rows;
  std::string_view token_filter;
  std::string_view gram_filter;

  // Every count, offset and reference is inside its bounds afterwards. `shapes` are the segment's templates.
  static Result<GroupView> read(std::string_view part, std::size_t file_size, std::span<const TemplateShape> shapes,
                                std::size_t streams, std::size_t dictionary_size);
};

// Lines put together for many rows. In memory they lie template by template, each followed by a newline.
struct LineBatch {
  std::string bytes;
  std::vector<LineMatcher::Place> places;  // of each row asked for
  std::string_view line(std::size_t k) const { return std::string_view(bytes).substr(places[k].at, places[k].length); }
};

// Structured metadata of many rows.
struct MetadataBatch {
  std::vector<LabelView> pairs;
  std::vector<std::uint32_t> ends;  // of each row asked for, in pairs
  std::span<const LabelView> of(std::size_t k) const {
    const std::size_t begin = k == 0 ? 0 : ends[k - 1];
    return std::span(pairs).subspan(begin, ends[k] - begin);
  }
  std::vector<std::string> arenas;  // of each key
};

// Rows of one group for one thread. Everything is decoded at most once.
class GroupRows {
 public:
  GroupRows(const GroupView& view, std::string_view file, std::span<const TemplateShape> shapes,
            const DictionaryView& dictionary, const ZSTD_DDict_s* trained)
      : view_(view), file_(file), shapes_(shapes), dictionary_(dictionary), trained_(trained) {}

  const GroupView& view() const { return view_; }
  std::size_t size() const { return view_.head->rows; }
  const TemplateShape& shape(std::uint32_t local) const { return shapes_[view_.templates[local].id]; }

  Result<std::span<const std::int64_t>> times();
  // Number of the row's template in the group; templates.size() for a text row.
  Result<std::span<const std::int64_t>> template_ids();
  // The rows of a template (or of text, local = templates.size()), ascending.
  Result<std::span<const std::uint32_t>> rows_of(std::uint32_t local);
  // For each row its place among the rows of its template.
  Result<std::span<const std::uint32_t>> places() {
    TRY(rank());
    return std::span<const std::uint32_t>(rank_);
  }
  // A slot's column (slot < slots) or, with slot == slots, the lengths of the slots' texts.
  Result<const DecodedColumn*> slot(std::uint32_t local, std::uint32_t slot);
  Result<const DecodedColumn*> key_values(std::size_t key);
  // For each row its place among the values of the key, -1 when it has none. Empty: place = row.
  Result<std::span<const std::int32_t>> key_places(std::size_t key);

  // Rows ascend. What they are put together from is decoded once.
  Result<> lines(std::span<const std::uint32_t> rows, LineBatch& out);
  Result<> lengths(std::span<const std::uint32_t> rows, std::vector<std::uint32_t>& out);
  Result<> metadata(std::span<const std::uint32_t> rows, MetadataBatch& out);
  // The line of the text row of that rank; says nothing of where the row is, and so needs no templates of rows.
  Result<std::string_view> text_line(std::uint32_t rank);
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  Result<std::string_view> bytes(const format::Column& column);
  Result<const DecodedColumn*> column(std::uint32_t index, std::size_t count, const SlotKind& kind);
  Result<> rank();
  Result<std::span<const std::uint64_t>> text_starts();
  std::unexpected<Error> damaged(const char* what) const;

  const GroupView& view_;
  std::string_view file_;
  std::span<const TemplateShape> shapes_;
  const DictionaryView& dictionary_;
  const ZSTD_DDict_s* trained_;                        // null: none
  std::vector<std::optional<std::string>> blocks_;     // empty until one is asked for: mostly none is
  std::vector<std::optional<DecodedColumn>> columns_;  // the same
  std::vector<std::uint32_t> first_;                   // of each template in ordered_
  Indices ordered_;
  Indices rank_;
  std::vector<std::uint64_t> text_starts_;
  std::vector<std::vector<std::int32_t>> places_;
  Result<> template_lines(std::uint32_t local, std::span<const std::uint32_t> rows,
                          std::span<const std::uint32_t> which, LineBatch& out);
  Result<> text_lines(std::span<const std::uint32_t> rows, std::span<const std::uint32_t> which, LineBatch& out);
  struct Lengths {
    std::span<const std::int64_t> numbers;
    std::int64_t constant = 0;
  };
  std::vector<Lengths> lengths_;  // by template
  // Kept for their memory.
  std::vector<std::uint32_t> by_template_;
  std::vector<std::uint32_t> members_;
  std::vector<std::uint32_t> ranks_;
  std::vector<TimestampNs> member_times_;
  std::vector<std::string> arenas_;
  std::vector<std::vector<std::string_view>> views_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace tocayo::logs
