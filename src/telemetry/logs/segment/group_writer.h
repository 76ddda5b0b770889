// SPDX-License-Identifier: Apache-2.0
// Encodes the rows of one row group: mines templates, types the slots, writes the blocks and gives the group's part of
// the index.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/entry.h"
#include "logs/segment/column.h"
#include "logs/segment/format.h"
#include "logs/segment/string_table.h"

namespace tocayo::logs {

// Tables that all groups of a segment share.
struct SegmentTables {
  StringTable templates;
  StringTable dictionary;
  // What zstd was trained to for blocks of text, from the first group with enough of it; empty: it did not pay.
  std::string trained;
  bool trained_decided = false;
};

// Collects rows, then encodes them. Not thread-safe; used again for the next group.
class GroupWriter {
 public:
  // Appends bytes to the file and returns where they begin.
  using Write = std::function<Result<std::uint64_t>(std::string_view)>;

  GroupWriter(SegmentTables& tables, int zstd_level, Write write);
  ~GroupWriter();

  bool empty() const { return rows_.empty(); }
  // Rows come in stream order; `stream` is a number of the segment.
  void add(std::uint32_t stream, const EntryRow& row);
  bool full() const;
  bool half_full() const;
  // Writes the blocks and appends the group's part to `index` (8-aligned). Empty afterwards.
  Result<> finish(std::string& index);

 private:
  struct Row {
    TimestampNs time;
    std::uint32_t line;  // offset in bytes_
    std::uint32_t length;
    std::uint32_t stream;
    std::uint32_t metadata;  // first in metadata_
    std::uint32_t metadata_count;
    std::uint32_t kind;   // number in kinds_, kText for a whole line
    std::uint32_t slots;  // first in slots_
  };
  struct Piece {  // of bytes_
    std::uint32_t offset;
    std::uint32_t length;
  };
  struct MetadataPiece {
    std::uint32_t key;
    Piece value;
  };
  static constexpr std::uint32_t kText = 0xFFFFFFFF;
  class Blocks;

  std::string_view line(const Row& row) const { return std::string_view(bytes_).substr(row.line, row.length); }
  std::string_view text(Piece piece) const { return std::string_view(bytes_).substr(piece.offset, piece.length); }
  void assign(Row& row, std::span<const Token> tokens, const std::vector<bool>* widen, bool whole);
  void mine();
  void regroup(std::vector<std::uint32_t>& loose, std::size_t most_constants);
  std::vector<std::uint32_t> loose_rows(bool crowded_shapes) const;
  void encode_templates();
  void encode_text();
  void encode_metadata();
  void note_filter(const format::Column& column, std::span<const std::string_view> values, std::uint64_t seed);
  void note_gram(std::string_view value);

  SegmentTables& tables_;
  Write write_;
  std::unique_ptr<Blocks> blocks_;

  std::string bytes_;
  std::vector<Row> rows_;
  std::vector<MetadataPiece> metadata_;
  StringTable keys_;  // names of metadata, per group
  std::uint64_t metadata_bytes_ = 0;
  std::uint64_t line_bytes_ = 0;

  StringTable kinds_;  // templates of this group
  std::vector<std::uint32_t> kind_rows_;
  std::vector<Piece> slots_;

  format::Group group_{};
  std::vector<format::Template> templates_;
  std::vector<format::Column> columns_;
  std::vector<format::Key> metadata_keys_;
  std::vector<std::uint64_t> token_hashes_;
  std::vector<std::uint64_t> grams_;  // bits
  EncodeContext context_;
  std::vector<Token> tokens_;
  std::string key_;
};

}  // namespace tocayo::logs
