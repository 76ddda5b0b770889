// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/group_writer.h"

#include <zdict.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "core/hash.h"
#include "logs/segment/bloom.h"
#include "logs/segment/bytes.h"
#include "logs/segment/grams.h"
#include "logs/segment/int_page.h"
#include "logs/segment/template_shape.h"

namespace tocayo::logs {

namespace {
constexpr std::uint32_t kFewRows = 8;          // fewer rows of a template are not worth columns
constexpr std::size_t kMostTemplates = 32768;  // of a segment
constexpr std::size_t kCrowd = 64;             // so many templates of one shape differ in a word that is a variable
constexpr std::size_t kLongLine = 64U << 10;
constexpr std::size_t kBlockBytes = 64U << 10;
constexpr int kTrainLevel = 6;        // zstd level from which training is worth its time
constexpr int kLongWindowLevel = 12;  // … and from which matches far back are looked for
constexpr std::size_t kTrainBytes = 256U << 10;
constexpr std::size_t kSampleBytes = 2048;
}  // namespace

// Blocks of a group: bytes are collected up to 64 KiB, compressed when that saves a tenth, and written.
class GroupWriter::Blocks final : public BlockSink {
 public:
  Blocks(int level, SegmentTables& tables, Write& write) : level_(level), tables_(tables), write_(write) {
    for (auto& open : open_) {
      ZSTD_CCtx_setParameter(open.context.get(), ZSTD_c_compressionLevel, level);
      if (level >= kLongWindowLevel) ZSTD_CCtx_setParameter(open.context.get(), ZSTD_c_windowLog, 24);
    }
  }

  void put(format::Column& column, std::string_view bytes, bool text) override {
    auto& open = open_[text ? 1 : 0];
    if (!open.bytes.empty() && open.bytes.size() + bytes.size() > kBlockBytes) close(open);
    if (open.bytes.empty()) {
      open.number = static_cast<std::uint32_t>(table.size());
      table.emplace_back();
    }
    column.block = open.number;
    column.offset = static_cast<std::uint32_t>(open.bytes.size());
    column.size = static_cast<std::uint32_t>(bytes.size());
    open.bytes.append(bytes);
    // An empty column still has its block.
    if (open.bytes.empty()) open.bytes.push_back('\0');
  }
  Result<> finish() {
    for (auto& open : open_) {
      if (!open.bytes.empty()) close(open);
    }
    if (!waiting_.empty()) {
      train();
      for (const auto& [number, bytes] : waiting_) store(open_[1].context.get(), number, bytes);
      waiting_.clear();
    }
    return std::exchange(error_, {});
  }

  std::vector<format::Block> table;

 private:
  struct Open {
    std::string bytes;
    std::uint32_t number = 0;
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), &ZSTD_freeCCtx};
  };
  void close(Open& open) {
    // Until it is known whether training pays, blocks of text wait for the end of the group.
    if (&open == &open_[1] && level_ >= kTrainLevel && !tables_.trained_decided) {
      waiting_.emplace_back(open.number, std::exchange(open.bytes, {}));
    } else {
      store(open.context.get(), open.number, open.bytes);
    }
    open.bytes.clear();
  }
  std::string_view packed(ZSTD_CCtx* context, std::string_view bytes) {
    packed_.resize(ZSTD_compressBound(bytes.size()));
    const auto size = ZSTD_compress2(context, packed_.data(), packed_.size(), bytes.data(), bytes.size());
    return ZSTD_isError(size) == 0 ? std::string_view(packed_).substr(0, size) : bytes;
  }
  void store(ZSTD_CCtx* context, std::uint32_t number, std::string_view bytes) {
    auto& block = table[number];
    block.raw = static_cast<std::uint32_t>(bytes.size());
    auto stored = packed(context, bytes);
    if (stored.size() + stored.size() / 9 >= bytes.size()) stored = bytes;
    block.stored = static_cast<std::uint32_t>(stored.size());
    block.hash = hash64(stored);
    auto at = write_(stored);
    if (at) {
      block.offset = *at;
    } else if (error_) {
      error_ = std::unexpected(std::move(at.error()));
    }
  }
  // Trains on the waiting blocks, and keeps it when it saves a thirtieth.
  void train() {
    std::string samples;
    for (const auto& waiting : waiting_) samples += waiting.second;
    if (samples.size() < kTrainBytes) return;
    tables_.trained_decided = true;
    samples.resize(std::min<std::size_t>(samples.size(), 4U << 20));
    const std::vector<std::size_t> sizes(samples.size() / kSampleBytes, kSampleBytes);
    std::string trained(std::min<std::size_t>(110U << 10, samples.size() / 8), '\0');
    const auto size = ZDICT_trainFromBuffer(trained.data(), trained.size(), samples.data(), sizes.data(),
                                            static_cast<unsigned>(sizes.size()));
    if (ZDICT_isError(size) != 0) return;
    trained.resize(size);
    auto* const context = open_[1].context.get();
    std::size_t plain = 0;
    for (const auto& waiting : waiting_) plain += packed(context, waiting.second).size();
    ZSTD_CCtx_loadDictionary(context, trained.data(), trained.size());
    std::size_t with = trained.size() / 4;  // further groups use it as well
    for (const auto& waiting : waiting_) with += packed(context, waiting.second).size();
    if (with > plain - plain / 33) {
      ZSTD_CCtx_loadDictionary(context, nullptr, 0);
      return;
    }
    tables_.trained = std::move(trained);
  }

  int level_;
  SegmentTables& tables_;
  Write& write_;
  Open open_[2];  // numbers, text
  std::vector<std::pair<std::uint32_t, std::string>> waiting_;
  std::string packed_;
  Result<> error_;
};

GroupWriter::GroupWriter(SegmentTables& tables, int zstd_level, Write write)
    : tables_(tables), write_(std::move(write)), blocks_(std::make_unique<Blocks>(zstd_level, tables, write_)) {
  context_.sink = blocks_.get();
  context_.dictionary = &tables_.dictionary;
}
GroupWriter::~GroupWriter() = default;

void GroupWriter::add(std::uint32_t stream, const EntryRow& row) {
  Row added{};
  added.time = row.time;
  added.line = static_cast<std::uint32_t>(bytes_.size());
  added.length = static_cast<std::uint32_t>(row.line.size());
  added.stream = stream;
  added.metadata = static_cast<std::uint32_t>(metadata_.size());
  added.metadata_count = static_cast<std::uint32_t>(row.metadata.size());
  bytes_.append(row.line);
  line_bytes_ += row.line.size();
  for (const auto& pair : row.metadata) {
    metadata_.push_back({.key = keys_.add(pair.name),
                         .value = {.offset = static_cast<std::uint32_t>(bytes_.size()),
                                   .length = static_cast<std::uint32_t>(pair.value.size())}});
    bytes_.append(pair.value);
    metadata_bytes_ += pair.name.size() + pair.value.size();
  }
  rows_.push_back(added);
}

bool GroupWriter::full() const {
  return rows_.size() >= format::kMaxGroupRows || bytes_.size() >= format::kMaxGroupBytes;
}
bool GroupWriter::half_full() const {
  return rows_.size() * 2 >= format::kMaxGroupRows || bytes_.size() * 2 >= format::kMaxGroupBytes;
}

// Gives the row a template: `widen[i]` makes token i a slot, `whole` leaves nothing of a variable token constant.
void GroupWriter::assign(Row& row, std::span<const Token> tokens, const std::vector<bool>* widen, bool whole) {
  const auto text = line(row);
  key_.clear();
  row.slots = static_cast<std::uint32_t>(slots_.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto& token = tokens[i];
    const bool wide = widen != nullptr && (*widen)[i] && (!token.variable || whole);
    if (!token.variable && !wide) continue;
    const bool all = (wide || whole) && token.kind.family == SlotKind::Family::token;
    const std::uint32_t begin = all ? token.begin : token.slot_begin;
    const std::uint32_t end = all ? token.end : token.slot_end;
    key_.append(text, at, begin - at);
    append_slot_mark(token.kind, key_);
    slots_.push_back({.offset = row.line + begin, .length = end - begin});
    at = end;
  }
  key_.append(text, at, std::string_view::npos);
  row.kind = kinds_.add(key_);
  if (row.kind == kind_rows_.size()) kind_rows_.push_back(0);
  ++kind_rows_[row.kind];
}

namespace {

bool binary(std::string_view text) {
  std::size_t control = 0;
  for (char c : text) {
    if (c == kSlotMark) return true;
    control += static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\x1b' ? 1 : 0;
  }
  return control * 20 > text.size();
}

// The template's text with each word (and each slot with what touches it) as one mark: equal for lines that differ in
// words only.
void shape_of(std::string_view kind, std::string& out) {
  out.clear();
  bool word = false;
  for (std::size_t i = 0; i < kind.size(); ++i) {
    if (kind[i] == kSlotMark) {
      if (kind[i + 1] != static_cast<char>(SlotKind::Family::token)) {
        out.append(kind.substr(i, kSlotMarkSize));
        word = false;
      } else if (!word) {
        out.push_back('\1');
        word = true;
      }
      i += kSlotMarkSize - 1;
    } else if (is_token_byte(static_cast<unsigned char>(kind[i]))) {
      if (!word) out.push_back('\1');
      word = true;
    } else {
      out.push_back(kind[i]);
      word = false;
    }
  }
}

}  // namespace

// Rows whose template is too rare, or (crowded_shapes) one of too many that differ in words only.
std::vector<std::uint32_t> GroupWriter::loose_rows(bool crowded_shapes) const {
  std::vector<bool> loose(kinds_.size());
  std::vector<std::uint32_t> shape_of_kind(kinds_.size());
  std::vector<std::uint32_t> crowd;
  StringTable shapes;
  std::string shape;
  for (std::uint32_t kind = 0; kind < kinds_.size(); ++kind) {
    loose[kind] = kind_rows_[kind] < kFewRows;
    if (!crowded_shapes || kind_rows_[kind] == 0) continue;
    shape_of(kinds_.at(kind), shape);
    shape_of_kind[kind] = shapes.add(shape);
    if (shape_of_kind[kind] == crowd.size()) crowd.push_back(0);
    ++crowd[shape_of_kind[kind]];
  }
  std::vector<std::uint32_t> rows;
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    const auto kind = rows_[i].kind;
    if (kind == kText) continue;
    if (loose[kind] || (crowded_shapes && crowd[shape_of_kind[kind]] > kCrowd)) rows.push_back(i);
  }
  return rows;
}

// Brings loose rows of one shape together: a word with more than `most_constants` different texts becomes a slot.
void GroupWriter::regroup(std::vector<std::uint32_t>& loose, std::size_t most_constants) {
  StringTable shapes;
  std::vector<std::vector<std::uint32_t>> members;
  std::string shape;
  for (auto index : loose) {
    shape_of(kinds_.at(rows_[index].kind), shape);
    const auto number = shapes.add(shape);
    if (number == members.size()) members.emplace_back();
    members[number].push_back(index);
  }
  for (const auto& rows : members) {
    if (rows.size() < kFewRows) continue;
    std::vector<StringTable> distinct;
    bool even = true;
    for (auto index : rows) {
      tokenize(line(rows_[index]), true, tokens_);
      if (distinct.empty()) distinct.resize(tokens_.size());
      if (distinct.size() != tokens_.size()) {
        even = false;
        break;
      }
      for (std::size_t i = 0; i < tokens_.size(); ++i) {
        if (distinct[i].size() <= most_constants) {
          distinct[i].add(line(rows_[index]).substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin));
        }
      }
    }
    if (!even) continue;
    std::vector<bool> widen(distinct.size());
    for (std::size_t i = 0; i < distinct.size(); ++i) widen[i] = distinct[i].size() > most_constants;
    for (auto index : rows) {
      --kind_rows_[rows_[index].kind];
      tokenize(line(rows_[index]), true, tokens_);
      assign(rows_[index], tokens_, &widen, most_constants == 1);
    }
  }
}

void GroupWriter::mine() {
  kinds_.clear();
  kind_rows_.clear();
  slots_.clear();
  for (auto& row : rows_) {
    row.kind = kText;
    if (row.length > kLongLine || binary(line(row))) continue;
    tokenize(line(row), false, tokens_);
    assign(row, tokens_, nullptr, false);
  }
  if (auto loose = loose_rows(true); !loose.empty()) regroup(loose, kCrowd);
  if (auto loose = loose_rows(false); !loose.empty()) regroup(loose, 1);
  for (auto& row : rows_) {
    if (row.kind != kText && kind_rows_[row.kind] < kFewRows) row.kind = kText;
  }
}

void GroupWriter::note_gram(std::string_view value) {
  if (value.size() > kGramToken) add_grams(value, grams_);
}

void GroupWriter::note_filter(const format::Column& column, std::span<const std::string_view> values,
                              std::uint64_t seed) {
  if (!has_token_filter(column.type)) return;
  for (auto value : values) {
    token_hashes_.push_back(hash64(value, seed));
    if (seed == format::kSeedSlot && column.type == format::ColumnType::raw) note_gram(value);
  }
}

void GroupWriter::encode_templates() {
  // Number the templates in use and put the rows in order.
  std::vector<std::uint32_t> number(kinds_.size(), kText);
  std::vector<std::vector<std::uint32_t>> members;
  std::vector<std::uint32_t> kinds;
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    auto& row = rows_[i];
    if (row.kind == kText) continue;
    if (number[row.kind] == kText) {
      if (tables_.templates.size() >= kMostTemplates &&
          tables_.templates.find(kinds_.at(row.kind)) == StringTable::kNone) {
        row.kind = kText;
        continue;
      }
      number[row.kind] = static_cast<std::uint32_t>(members.size());
      members.emplace_back();
      kinds.push_back(row.kind);
      tables_.templates.add(kinds_.at(row.kind));
    }
    members[number[row.kind]].push_back(i);
  }
  std::vector<std::string_view> values;
  std::vector<TimestampNs> times;
  std::vector<std::int64_t> lengths;
  TemplateShape shape;
  for (std::size_t t = 0; t < members.size(); ++t) {
    const auto text = kinds_.at(kinds[t]);
    (void)TemplateShape::read(text, shape);
    format::Template entry{};
    entry.id = tables_.templates.find(text);
    entry.rows = static_cast<std::uint32_t>(members[t].size());
    entry.column = static_cast<std::uint32_t>(columns_.size());
    templates_.push_back(entry);
    times.clear();
    lengths.clear();
    for (auto i : members[t]) {
      times.push_back(rows_[i].time);
      lengths.push_back(static_cast<std::int64_t>(rows_[i].length) - static_cast<std::int64_t>(shape.constant_bytes));
    }
    for (std::size_t slot = 0; slot < shape.slots.size(); ++slot) {
      values.clear();
      for (auto i : members[t]) values.push_back(this->text(slots_[rows_[i].slots + slot]));
      columns_.push_back(encode_column(values, shape.slots[slot], times, context_));
      note_filter(columns_.back(), values, format::kSeedSlot);
    }
    columns_.push_back(encode_numbers(lengths, context_));
  }
  // Which template each row has.
  group_.templates = static_cast<std::uint32_t>(templates_.size());
  std::vector<std::int64_t> ids;
  ids.reserve(rows_.size());
  for (const auto& row : rows_) ids.push_back(row.kind == kText ? group_.templates : number[row.kind]);
  group_.template_ids = static_cast<std::uint32_t>(columns_.size());
  columns_.push_back(encode_numbers(ids, context_));
}

void GroupWriter::encode_text() {
  std::vector<std::string_view> lines;
  std::vector<std::int64_t> lengths;
  for (const auto& row : rows_) {
    if (row.kind != kText) continue;
    lines.push_back(line(row));
    lengths.push_back(row.length);
  }
  group_.text_rows = static_cast<std::uint32_t>(lines.size());
  group_.text_lengths = format::kNoBlock;
  if (lines.empty()) return;
  group_.text_lengths = static_cast<std::uint32_t>(columns_.size());
  columns_.push_back(encode_numbers(lengths, context_));
  group_.text_pages = static_cast<std::uint32_t>(columns_.size());
  std::string page;
  for (std::size_t i = 0; i < lines.size(); i += format::kTextPageRows) {
    page.clear();
    for (std::size_t k = i; k < std::min<std::size_t>(i + format::kTextPageRows, lines.size()); ++k)
      page.append(lines[k]);
    format::Column column{};
    column.type = format::ColumnType::raw;
    blocks_->put(column, page, true);
    columns_.push_back(column);
  }
  for (auto text : lines) {
    for (std::size_t i = 0; i < text.size();) {
      if (!is_token_byte(static_cast<unsigned char>(text[i]))) {
        ++i;
        continue;
      }
      const std::size_t begin = i;
      while (i < text.size() && is_token_byte(static_cast<unsigned char>(text[i]))) ++i;
      token_hashes_.push_back(hash64(text.substr(begin, i - begin), format::kSeedText));
      note_gram(text.substr(begin, i - begin));
    }
  }
}

void GroupWriter::encode_metadata() {
  std::vector<std::vector<std::uint32_t>> holders(keys_.size());
  std::vector<std::vector<std::string_view>> values(keys_.size());
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    for (std::uint32_t k = 0; k < rows_[i].metadata_count; ++k) {
      const auto& piece = metadata_[rows_[i].metadata + k];
      holders[piece.key].push_back(i);
      values[piece.key].push_back(text(piece.value));
    }
  }
  // Keys in the order of their names, as rows list them.
  std::vector<std::uint32_t> order(keys_.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::uint32_t key) { return keys_.at(key); });
  std::vector<TimestampNs> no_times;
  for (auto key : order) {
    format::Key entry{};
    entry.name = tables_.dictionary.add(keys_.at(key));
    entry.rows = static_cast<std::uint32_t>(holders[key].size());
    entry.column = static_cast<std::uint32_t>(columns_.size());
    columns_.push_back(encode_column(values[key], SlotKind{}, no_times, context_));
    note_filter(columns_.back(), values[key], hash64(keys_.at(key), format::kSeedMetadata));
    entry.presence = format::kNoBlock;
    if (holders[key].size() != rows_.size()) {
      std::string bits((rows_.size() + 7) / 8, '\0');
      for (auto i : holders[key]) bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
      format::Column column{};
      column.type = format::ColumnType::raw;
      blocks_->put(column, bits, false);
      entry.presence = static_cast<std::uint32_t>(columns_.size());
      columns_.push_back(column);
    }
    metadata_keys_.push_back(entry);
  }
}

Result<> GroupWriter::finish(std::string& index) {
  group_ = {};
  group_.rows = static_cast<std::uint32_t>(rows_.size());
  group_.raw_bytes = line_bytes_;
  group_.metadata_bytes = metadata_bytes_;
  group_.first_stream = rows_.front().stream;
  group_.stream_count = rows_.back().stream - rows_.front().stream + 1;
  mine();
  std::vector<std::int64_t> times;
  times.reserve(rows_.size());
  for (const auto& row : rows_) times.push_back(row.time);
  const auto [first, last] = std::ranges::minmax(times);
  group_.min_time = first;
  group_.max_time = last;
  encode_templates();
  group_.times = static_cast<std::uint32_t>(columns_.size());
  columns_.push_back(encode_numbers(times, context_));
  encode_text();
  encode_metadata();
  TRY(blocks_->finish());

  std::vector<std::uint32_t> stream_rows(group_.stream_count);
  for (const auto& row : rows_) ++stream_rows[row.stream - group_.first_stream];
  std::ranges::sort(token_hashes_);
  const auto again = std::ranges::unique(token_hashes_);
  token_hashes_.erase(again.begin(), again.end());
  std::string tokens;
  if (!token_hashes_.empty()) build_bloom(token_hashes_, tokens);
  std::string grams;
  write_grams(grams_, grams);

  group_.columns = static_cast<std::uint32_t>(columns_.size());
  group_.blocks = static_cast<std::uint32_t>(blocks_->table.size());
  group_.keys = static_cast<std::uint32_t>(metadata_keys_.size());
  group_.token_filter = static_cast<std::uint32_t>(tokens.size());
  group_.gram_filter = static_cast<std::uint32_t>(grams.size());
  ByteWriter writer(index);
  auto array = [&](const auto& items) {
    index.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(items[0]));
  };
  writer.plain(group_);
  array(templates_);
  array(columns_);
  array(blocks_->table);
  array(metadata_keys_);
  array(stream_rows);
  index += tokens;
  index += grams;
  writer.align(8);

  bytes_.clear();
  rows_.clear();
  metadata_.clear();
  keys_.clear();
  metadata_bytes_ = line_bytes_ = 0;
  templates_.clear();
  columns_.clear();
  metadata_keys_.clear();
  token_hashes_.clear();
  grams_.clear();
  blocks_->table.clear();
  return {};
}

}  // namespace tocayo::logs
