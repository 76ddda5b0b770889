// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <zstd.h>

#include <optional>

#include "core/hash.h"
#include "logs/segment.h"
#include "logs/segment/bytes.h"
#include "logs/segment/format.h"
#include "logs/segment/group_writer.h"
#include "logs/segment/int_page.h"
#include "logs/segment/mapped_file.h"
#include "logs/segment/parts.h"
#include "logs/segment/stream_order.h"

namespace tocayo::logs {

namespace {
int zstd_level(std::uint32_t level) { return level == 0 ? 3 : level == 1 ? 6 : 12; }
}  // namespace

std::string compress_part(std::string_view raw, int level) {
  std::string out;
  ByteWriter writer(out);
  writer.varint(raw.size());
  std::string packed(ZSTD_compressBound(raw.size()), '\0');
  const auto size = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), level);
  packed.resize(ZSTD_isError(size) != 0 ? 0 : size);
  out += packed;
  return out;
}

struct SegmentWriter::Impl {
  std::filesystem::path path;
  std::filesystem::path temporary;
  SegmentOptions options;
  std::unique_ptr<FileWriter> file;
  SegmentTables tables;
  std::optional<GroupWriter> group;
  std::string index;  // parts of all groups
  std::vector<format::GroupPlace> places;
  std::vector<SegmentStream> streams;
  std::uint64_t place = 0;  // stream_place() of the last one; 0 when the order is by labels alone
  SegmentInfo info;

  ~Impl() {
    if (file) {
      file.reset();
      std::error_code ignored;
      std::filesystem::remove(temporary, ignored);
    }
  }

  Result<> end_group() {
    if (group->empty()) return {};
    const auto at = index.size();
    TRY(group->finish(index));
    const auto part = std::string_view(index).substr(at);
    places.push_back({.offset = at, .size = part.size(), .hash = hash64(part)});
    return {};
  }

  void write_dictionary(std::string& table, std::string& pages) const {
    constexpr std::size_t kPage = 64U << 10;
    ByteWriter entries(table);
    const auto& dictionary = tables.dictionary;
    std::vector<std::int64_t> lengths;
    std::string bytes;
    auto close = [&] {
      if (lengths.empty()) return;
      std::string raw;
      std::string packed_lengths;
      encode_ints(lengths, packed_lengths);
      ByteWriter writer(raw);
      writer.bytes(packed_lengths);
      raw += bytes;
      const auto part = compress_part(raw, zstd_level(options.level));
      entries.varint(lengths.size());
      entries.varint(part.size());
      entries.plain(hash64(part));
      pages += part;
      lengths.clear();
      bytes.clear();
    };
    for (std::uint32_t id = 0; id < dictionary.size(); ++id) {
      const auto text = dictionary.at(id);
      lengths.push_back(static_cast<std::int64_t>(text.size()));
      bytes.append(text);
      bytes.push_back('\0');
      if (bytes.size() >= kPage) close();
    }
    close();
  }

  std::string stream_table() const {
    std::string raw;
    ByteWriter writer(raw);
    writer.varint(streams.size());
    for (const auto& stream : streams) {
      writer.varint(stream.labels.size());
      for (const auto& label : stream.labels) {
        writer.bytes(label.name);
        writer.bytes(label.value);
      }
      writer.varint(stream.rows);
      writer.varint(stream.bytes);
      writer.varint(zigzag(stream.min_time));
      writer.varint(static_cast<std::uint64_t>(stream.max_time) - static_cast<std::uint64_t>(stream.min_time));
    }
    return compress_part(raw, 9);
  }

  std::string facts() const {
    std::string out;
    ByteWriter writer(out);
    writer.bytes(options.tenant);
    writer.varint(options.level);
    writer.plain(options.group_hash);
    writer.varint(options.journal_from);
    writer.varint(options.journal_to);
    writer.varint(zigzag(info.min_time));
    writer.varint(zigzag(info.max_time));
    writer.varint(info.rows);
    writer.varint(info.raw_bytes);
    writer.varint(options.by_group ? 1 : 0);
    return out;
  }
};

SegmentWriter::SegmentWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentWriter::SegmentWriter(SegmentWriter&&) noexcept = default;
SegmentWriter& SegmentWriter::operator=(SegmentWriter&&) noexcept = default;
SegmentWriter::~SegmentWriter() = default;

Result<SegmentWriter> SegmentWriter::create(std::filesystem::path path, SegmentOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->path = std::move(path);
  impl->temporary = impl->path;
  impl->temporary += ".tmp";
  impl->options = std::move(options);
  impl->file = TRY(FileWriter::create(impl->temporary));
  auto* self = impl.get();
  impl->group.emplace(impl->tables, zstd_level(impl->options.level),
                      [self](std::string_view bytes) { return self->file->write(bytes); });
  TRY(impl->file->write(format::kMagic));
  return SegmentWriter(std::move(impl));
}

Result<> SegmentWriter::start_stream(const Labels& labels) {
  const std::uint64_t place = impl_->options.by_group ? stream_place(labels) : 0;
  if (!impl_->streams.empty() &&
      (place < impl_->place || (place == impl_->place && !(impl_->streams.back().labels < labels)))) {
    return fail(ErrorKind::internal,
                fmt::format("streams of a segment must ascend: {} after {}", labels.to_string(false),
                            impl_->streams.back().labels.to_string(false)));
  }
  if (!impl_->streams.empty() && impl_->streams.back().rows == 0) {
    return fail(ErrorKind::internal, "a stream of a segment has no rows");
  }
  // A row group that is large enough ends with its stream group.
  if (place != impl_->place && impl_->group->half_full()) TRY(impl_->end_group());
  impl_->place = place;
  impl_->streams.push_back({.labels = labels});
  return {};
}

Result<> SegmentWriter::add(const EntryRow& row) {
  auto& stream = impl_->streams.back();
  auto& info = impl_->info;
  if (stream.rows != 0 && row.time < stream.max_time) {
    return fail(ErrorKind::internal, "rows of a stream of a segment must ascend in time");
  }
  if (stream.rows == 0) stream.min_time = row.time;
  stream.max_time = row.time;
  ++stream.rows;
  stream.bytes += row.line.size();
  info.min_time = info.rows == 0 ? row.time : std::min(info.min_time, row.time);
  info.max_time = info.rows == 0 ? row.time : std::max(info.max_time, row.time);
  ++info.rows;
  info.raw_bytes += row.line.size();
  impl_->group->add(static_cast<std::uint32_t>(impl_->streams.size() - 1), row);
  if (impl_->group->full()) return impl_->end_group();
  return {};
}

Result<SegmentInfo> SegmentWriter::finish() {
  auto& impl = *impl_;
  auto& file = *impl.file;
  TRY(impl.end_group());
  if (impl.streams.empty() || impl.streams.back().rows == 0) {
    return fail(ErrorKind::internal, "a segment must not be empty");
  }
  std::string padding((8 - file.size() % 8) % 8, '\0');
  TRY(file.write(padding));
  format::Footer footer{};
  footer.index_offset = TRY(file.write(impl.index));
  std::string tail;
  ByteWriter writer(tail);
  const std::uint64_t base = file.size();
  auto part = [&](std::string_view bytes, std::uint64_t& offset, std::uint64_t& size) {
    writer.align(8);
    offset = base + tail.size();
    size = bytes.size();
    tail += bytes;
  };
  std::uint64_t table_size = 0;
  part({reinterpret_cast<const char*>(impl.places.data()), impl.places.size() * sizeof(format::GroupPlace)},
       footer.group_table, table_size);
  footer.groups = impl.places.size();
  std::string templates;
  ByteWriter template_writer(templates);
  template_writer.varint(impl.tables.templates.size());
  for (std::uint32_t id = 0; id < impl.tables.templates.size(); ++id)
    template_writer.bytes(impl.tables.templates.at(id));
  part(compress_part(templates, 9), footer.templates, footer.templates_size);
  std::string pages;
  std::string dictionary;
  impl.write_dictionary(dictionary, pages);
  std::string dictionary_part;
  ByteWriter dictionary_writer(dictionary_part);
  dictionary_writer.bytes(dictionary);
  dictionary_part += pages;
  part(dictionary_part, footer.dictionary, footer.dictionary_size);
  part(impl.tables.trained, footer.trained, footer.trained_size);
  part(impl.stream_table(), footer.streams, footer.streams_size);
  part(impl.facts(), footer.meta, footer.meta_size);
  writer.align(8);
  footer.hash = hash64(tail);
  writer.plain(footer);
  writer.plain(static_cast<std::uint32_t>(sizeof footer));
  writer.plain(format::kVersion);
  tail += format::kMagic;
  TRY(file.write(tail));
  TRY(file.sync());
  auto info = impl.info;
  info.options = impl.options;
  info.file_bytes = file.size();
  info.streams = static_cast<std::uint32_t>(impl.streams.size());
  info.groups = static_cast<std::uint32_t>(impl.places.size());
  std::error_code error;
  std::filesystem::rename(impl.temporary, impl.path, error);
  if (error)
    return fail(ErrorKind::unavailable, fmt::format("cannot rename {}: {}", impl.temporary.string(), error.message()));
  impl.file.reset();
  TRY(sync_directory(impl.path.parent_path()));
  return info;
}

}  // namespace tocayo::logs
