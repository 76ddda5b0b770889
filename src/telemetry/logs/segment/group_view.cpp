// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/group_view.h"

#include <fmt/format.h>
#include <zstd.h>

#include <memory>
#include <numeric>

#include "core/hash.h"

namespace tocayo::logs {

namespace {

constexpr std::uint32_t kMostBlockBytes = 256U << 20;

template <class T>
bool take(std::string_view& rest, std::uint64_t count, std::span<const T>& out) {
  if (count > rest.size() / sizeof(T)) return false;
  out = {reinterpret_cast<const T*>(rest.data()), static_cast<std::size_t>(count)};
  rest.remove_prefix(count * sizeof(T));
  return true;
}
bool take(std::string_view& rest, std::uint64_t count, std::string_view& out) {
  if (count > rest.size()) return false;
  out = rest.substr(0, count);
  rest.remove_prefix(count);
  return true;
}

std::unexpected<Error> bad(const char* what) {
  return fail(ErrorKind::internal, fmt::format("row group index damaged: {}", what));
}

bool numbers(const format::Column& column) { return column.type == format::ColumnType::integer; }

Result<> check(const GroupView& view, std::size_t file_size, std::span<const TemplateShape> shapes, std::size_t streams,
               std::size_t dictionary_size) {
  const auto& head = *view.head;
  if (head.rows == 0 || head.rows > format::kMaxGroupRows) return bad("rows");
  if (head.stream_count == 0 || head.first_stream >= streams || head.stream_count > streams - head.first_stream) {
    return bad("streams");
  }
  std::uint64_t rows = 0;
  for (auto count : view.stream_rows) rows += count;
  if (rows != head.rows) return bad("rows of streams");
  for (const auto& block : view.blocks) {
    if (block.offset > file_size || block.stored > file_size - block.offset || block.raw > kMostBlockBytes)
      return bad("block");
  }
  for (const auto& column : view.columns) {
    if (column.block == format::kNoBlock) {
      if (!numbers(column)) return bad("column without block");
      continue;
    }
    if (column.block >= view.blocks.size()) return bad("block of column");
    if (column.type == format::ColumnType::dictionary &&
        (column.min < 0 || column.min > column.max || column.max >= static_cast<std::int64_t>(dictionary_size))) {
      return bad("ids of column");
    }
    const auto raw = view.blocks[column.block].raw;
    if (column.offset > raw || column.size > raw - column.offset) return bad("place of column");
  }
  rows = head.text_rows;
  for (const auto& entry : view.templates) {
    if (entry.id >= shapes.size()) return bad("template");
    const auto slots = shapes[entry.id].slots.size();
    if (entry.column >= view.columns.size() || slots >= view.columns.size() - entry.column)
      return bad("columns of template");
    if (!numbers(view.columns[entry.column + slots])) return bad("lengths of template");
    rows += entry.rows;
  }
  if (rows != head.rows) return bad("rows of templates");
  auto number_column = [&](std::uint32_t index) { return index < view.columns.size() && numbers(view.columns[index]); };
  if (!number_column(head.times) || !number_column(head.template_ids)) return bad("times or templates");
  if (head.text_rows != 0) {
    const auto pages = (head.text_rows + format::kTextPageRows - 1) / format::kTextPageRows;
    if (!number_column(head.text_lengths) || head.text_pages > view.columns.size() ||
        pages > view.columns.size() - head.text_pages) {
      return bad("text");
    }
    for (std::uint32_t i = 0; i < pages; ++i) {
      if (view.columns[head.text_pages + i].block == format::kNoBlock) return bad("text page");
    }
  }
  for (const auto& key : view.keys) {
    if (key.name >= dictionary_size || key.rows == 0 || key.rows > head.rows || key.column >= view.columns.size()) {
      return bad("metadata key");
    }
    if (key.presence == format::kNoBlock
            ? key.rows != head.rows
            : key.presence >= view.columns.size() || view.columns[key.presence].block == format::kNoBlock ||
                  view.columns[key.presence].size != (head.rows + 7) / 8) {
      return bad("presence of metadata");
    }
  }
  return {};
}

}  // namespace

Result<GroupView> GroupView::read(std::string_view part, std::size_t file_size, std::span<const TemplateShape> shapes,
                                  std::size_t streams, std::size_t dictionary_size) {
  GroupView view;
  std::span<const format::Group> head;
  if (reinterpret_cast<std::uintptr_t>(part.data()) % 8 != 0 || !take(part, 1, head)) return bad("head");
  view.head = head.data();
  if (!take(part, view.head->templates, view.templates) || !take(part, view.head->columns, view.columns) ||
      !take(part, view.head->blocks, view.blocks) || !take(part, view.head->keys, view.keys) ||
      !take(part, view.head->stream_count, view.stream_rows) ||
      !take(part, view.head->token_filter, view.token_filter) ||
      !take(part, view.head->gram_filter, view.gram_filter)) {
    return bad("size");
  }
  TRY(check(view, file_size, shapes, streams, dictionary_size));
  return view;
}

std::unexpected<Error> GroupRows::damaged(const char* what) const {
  return fail(ErrorKind::internal, fmt::format("row group damaged: {}", what));
}

Result<std::string_view> GroupRows::bytes(const format::Column& column) {
  if (column.block == format::kNoBlock) return std::string_view();
  const auto& block = view_.blocks[column.block];
  auto stored = file_.substr(block.offset, block.stored);
  if (blocks_.empty()) blocks_.resize(view_.blocks.size());
  auto& held = blocks_[column.block];
  if (!held) {
    if (hash64(stored) != block.hash) return damaged("checksum of a block");
    bytes_read_ += block.stored;
    if (block.stored == block.raw) {
      held.emplace();
    } else {
      std::string raw;
      raw.resize_and_overwrite(block.raw, [&](char*, std::size_t) { return std::size_t{block.raw}; });
      thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                                      &ZSTD_freeDCtx);
      const auto size = trained_ == nullptr
                            ? ZSTD_decompressDCtx(context.get(), raw.data(), raw.size(), stored.data(), stored.size())
                            : ZSTD_decompress_usingDDict(context.get(), raw.data(), raw.size(), stored.data(),
                                                         stored.size(), trained_);
      if (ZSTD_isError(size) != 0 || size != block.raw) return damaged("compression of a block");
      held = std::move(raw);
    }
  }
  const std::string_view raw = block.stored == block.raw ? stored : std::string_view(*held);
  return raw.substr(column.offset, column.size);
}

Result<const DecodedColumn*> GroupRows::column(std::uint32_t index, std::size_t count, const SlotKind& kind) {
  if (columns_.empty()) columns_.resize(view_.columns.size());
  auto& decoded = columns_[index];
  if (!decoded) {
    const auto content = TRY(bytes(view_.columns[index]));
    DecodedColumn column;
    if (!column.decode(view_.columns[index], content, count, kind, dictionary_)) return damaged("a column");
    decoded = std::move(column);
  } else if (decoded->count() != count) {  // two parts of the group name one column
    return damaged("rows of a column");
  }
  return &*decoded;
}

Result<std::span<const std::int64_t>> GroupRows::times() {
  return TRY(column(view_.head->times, size(), SlotKind{}))->numbers();
}

Result<std::span<const std::int64_t>> GroupRows::template_ids() {
  return TRY(column(view_.head->template_ids, size(), SlotKind{}))->numbers();
}

Result<> GroupRows::rank() {
  if (!first_.empty()) return {};
  const auto ids = TRY(template_ids());
  if (ids.size() != size()) return damaged("templates of rows");
  const auto kinds = view_.templates.size() + 1;
  std::vector<std::uint32_t> first(kinds + 1);
  for (std::size_t i = 0; i + 1 < kinds; ++i) first[i + 1] = first[i] + view_.templates[i].rows;
  first[kinds] = first[kinds - 1] + view_.head->text_rows;
  ordered_.resize(size());
  rank_.resize(size());
  if (view_.columns[view_.head->template_ids].block == format::kNoBlock) {  // all of one
    if (static_cast<std::uint64_t>(ids[0]) >= kinds || first[static_cast<std::size_t>(ids[0])] != 0 ||
        first[static_cast<std::size_t>(ids[0]) + 1] != size()) {
      return damaged("templates of rows");
    }
    std::iota(ordered_.begin(), ordered_.end(), 0);
    std::iota(rank_.begin(), rank_.end(), 0);
    first_ = std::move(first);
    return {};
  }
  std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
  for (std::uint32_t row = 0; row < ids.size(); ++row) {
    const auto id = static_cast<std::uint64_t>(ids[row]);
    if (id >= kinds || next[id] >= first[id + 1]) return damaged("templates of rows");
    rank_[row] = next[id] - first[id];
    ordered_[next[id]++] = row;
  }
  first_ = std::move(first);
  return {};
}

Result<std::span<const std::uint32_t>> GroupRows::rows_of(std::uint32_t local) {
  TRY(rank());
  return std::span<const std::uint32_t>(ordered_).subspan(first_[local], first_[local + 1] - first_[local]);
}

Result<const DecodedColumn*> GroupRows::slot(std::uint32_t local, std::uint32_t slot) {
  const auto& entry = view_.templates[local];
  const auto& kinds = shape(local).slots;
  return column(entry.column + slot, entry.rows, slot < kinds.size() ? kinds[slot] : SlotKind{});
}

Result<const DecodedColumn*> GroupRows::key_values(std::size_t key) {
  return column(view_.keys[key].column, view_.keys[key].rows, SlotKind{});
}

Result<std::span<const std::int32_t>> GroupRows::key_places(std::size_t key) {
  if (view_.keys[key].presence == format::kNoBlock) return std::span<const std::int32_t>();
  if (places_.empty()) places_.resize(view_.keys.size());
  auto& places = places_[key];
  if (places.empty()) {
    const auto bits = TRY(bytes(view_.columns[view_.keys[key].presence]));
    std::vector<std::int32_t> out(size(), -1);
    std::int32_t next = 0;
    for (std::size_t row = 0; row < out.size(); ++row) {
      if ((static_cast<unsigned char>(bits[row / 8]) & (1U << (row % 8))) != 0) out[row] = next++;
    }
    if (static_cast<std::uint32_t>(next) != view_.keys[key].rows) return damaged("presence of metadata");
    places = std::move(out);
  }
  return std::span<const std::int32_t>(places);
}

Result<std::span<const std::uint64_t>> GroupRows::text_starts() {
  if (text_starts_.empty()) {
    const auto lengths = TRY(column(view_.head->text_lengths, view_.head->text_rows, SlotKind{}))->numbers();
    std::vector<std::uint64_t> starts;
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      if (i % format::kTextPageRows == 0) at = 0;
      starts.push_back(at);
      const auto page = view_.columns[view_.head->text_pages + i / format::kTextPageRows].size;
      if (lengths[i] < 0 || static_cast<std::uint64_t>(lengths[i]) > page - at) return damaged("lengths of text");
      at += static_cast<std::uint64_t>(lengths[i]);
    }
    text_starts_ = std::move(starts);
  }
  return std::span<const std::uint64_t>(text_starts_);
}

}  // namespace tocayo::logs
