// SPDX-License-Identifier: Apache-2.0
// The fixed-size records of a segment file, read in place. docs/formats/segment-logs.md describes the whole.
#pragma once

#include <cstdint>
#include <string_view>

namespace tocayo::logs::format {

inline constexpr std::string_view kMagic = "TSEGLOG1";
inline constexpr std::uint32_t kVersion = 4;        // that is written
inline constexpr std::uint32_t kOldestVersion = 2;  // that is read: without epoch_decimal and the layouts of 3
inline constexpr std::uint32_t kOrderVersion = 4;   // from here on the facts say how streams are ordered
inline constexpr std::uint32_t kNoBlock = 0xFFFFFFFF;

enum class ColumnType : std::uint8_t {
  constant = 1,   // every value the same bytes
  integer = 2,    // canonical decimal; `aux` zeros that all numbers end with are left out
  fixed = 3,      // digits of one width (`aux`), leading zeros
  decimal = 4,    // digits.digits with `aux` digits behind the point
  hex_lower = 5,  // `aux` digits
  hex_upper = 6,
  uuid = 7,  // 8-4-4-4-12, lower case
  ipv4 = 8,
  time = 9,            // offset to the row's time, layout in the template
  dictionary = 10,     // the ids of the segment's dictionary in use, and for each row the number of one
  raw = 11,            // bytes, each value ended by 0
  counted = 12,        // lengths, then bytes: for values that hold 0
  wide = 13,           // canonical decimal of up to 64 bits beside its sign
  epoch = 14,          // canonical decimal near the row's time in units of 10^`aux` ns: offset to it
  epoch_decimal = 15,  // seconds with `aux` digits behind the point near the row's time: offset to it in the last digit
};

// What stands in front of a column's bytes.
enum ColumnFlag : std::uint8_t {
  kExceptions = 1,  // a few values that do not fit the type: their places and bytes
  kAffixed = 2,     // a prefix and a suffix that all values share; the type is that of what is between
};

// Which kinds of bytes occur in the values of a column.
enum Mask : std::uint8_t {
  kMaskDigit = 1,
  kMaskLowerHex = 2,
  kMaskLower = 4,
  kMaskUpperHex = 8,
  kMaskUpper = 16,
  kMaskPoint = 32,
  kMaskSign = 64,  // + - _
  kMaskOther = 128,
};

struct Column {
  ColumnType type;
  std::uint8_t mask;
  std::uint8_t aux;
  std::uint8_t flags;    // ColumnFlag
  std::uint32_t block;   // of the group, or kNoBlock when there are no bytes
  std::uint32_t offset;  // in the block's raw bytes
  std::uint32_t size;
  std::uint32_t min_length;
  std::uint32_t max_length;
  std::int64_t min;  // numbers: smallest and largest; dictionary: of the ids
  std::int64_t max;
};
static_assert(sizeof(Column) == 40);

struct Block {
  std::uint64_t offset;  // in the file
  std::uint32_t stored;  // bytes in the file
  std::uint32_t raw;     // bytes after decompression; equal to `stored` = not compressed
  std::uint64_t hash;    // xxh3-64 of the stored bytes
};
static_assert(sizeof(Block) == 24);

struct Template {
  std::uint32_t id;      // in the segment's templates
  std::uint32_t rows;    // of the group
  std::uint32_t column;  // the first of its slots' columns; the column of the lengths follows them
  std::uint32_t reserved;
};
static_assert(sizeof(Template) == 16);

// A key of structured metadata.
struct Key {
  std::uint32_t name;      // id in the dictionary
  std::uint32_t rows;      // that have it
  std::uint32_t column;    // of its values
  std::uint32_t presence;  // column of a bit per row of the group (raw bytes); kNoBlock: every row has it
};
static_assert(sizeof(Key) == 16);

// Start of a group's part in the index; the arrays follow in the order of the counts, then the streams' row counts
// (u32 each) and the filters.
struct Group {
  std::int64_t min_time;
  std::int64_t max_time;
  std::uint64_t raw_bytes;
  std::uint64_t metadata_bytes;
  std::uint32_t rows;
  std::uint32_t first_stream;
  std::uint32_t stream_count;
  std::uint32_t templates;
  std::uint32_t columns;
  std::uint32_t blocks;
  std::uint32_t keys;
  std::uint32_t text_rows;     // rows kept as whole lines
  std::uint32_t times;         // column numbers
  std::uint32_t template_ids;  // column of numbers into the group's templates; `templates` = a text row
  std::uint32_t text_lengths;  // kNoBlock without text rows
  std::uint32_t text_pages;    // first column of the pages, each `kTextPageRows` rows
  std::uint32_t token_filter;  // bytes
  std::uint32_t gram_filter;
};
static_assert(sizeof(Group) == 88);

inline constexpr std::uint32_t kTextPageRows = 1024;
inline constexpr std::uint32_t kMaxGroupRows = 65536;
inline constexpr std::uint64_t kMaxGroupBytes = 8U << 20;

struct GroupPlace {
  std::uint64_t offset;  // of the group's part, from the start of the index
  std::uint64_t size;
  std::uint64_t hash;  // xxh3-64 of the part
};

struct Footer {
  std::uint64_t index_offset;  // of the first group's part; parts are 8-aligned
  std::uint64_t groups;        // count
  std::uint64_t group_table;   // offset of a GroupPlace per group
  std::uint64_t templates;     // offset of the templates' part
  std::uint64_t templates_size;
  std::uint64_t dictionary;  // offset of the dictionary's page table
  std::uint64_t dictionary_size;
  std::uint64_t streams;  // offset of the stream table
  std::uint64_t streams_size;
  std::uint64_t trained;       // offset of the dictionary that zstd was trained to for blocks of text
  std::uint64_t trained_size;  // 0: none
  std::uint64_t meta;          // offset of the segment's own facts (SegmentInfo)
  std::uint64_t meta_size;
  std::uint64_t hash;  // xxh3-64 of everything from group_table on up to the footer
};

// Seeds that keep the kinds of filter entries apart.
inline constexpr std::uint64_t kSeedSlot = 1;
inline constexpr std::uint64_t kSeedText = 2;
inline constexpr std::uint64_t kSeedMetadata = 3;

}  // namespace tocayo::logs::format
