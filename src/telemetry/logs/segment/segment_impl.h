// SPDX-License-Identifier: Apache-2.0
// An open segment: its tail read, its row groups looked at on demand.
#pragma once

#include <fmt/format.h>
#include <zstd.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/hash.h"
#include "logs/segment.h"
#include "logs/segment/bytes.h"
#include "logs/segment/dictionary.h"
#include "logs/segment/format.h"
#include "logs/segment/group_view.h"
#include "logs/segment/mapped_file.h"
#include "logs/segment/parts.h"

namespace tocayo::logs {

struct SegmentReader::Impl {
  static constexpr std::size_t kMostPartBytes = 512U << 20;
  static constexpr std::size_t kTrailerBytes = sizeof(format::Footer) + 16;

  std::filesystem::path path;
  std::unique_ptr<MappedFile> file;
  format::Footer footer{};
  std::uint32_t version = 0;
  SegmentInfo info;
  std::vector<SegmentStream> streams;
  std::vector<SegmentGroup> groups;
  std::string templates;
  std::vector<TemplateShape> shapes;
  std::unique_ptr<Dictionary> dictionary;
  std::unique_ptr<ZSTD_DDict, decltype(&ZSTD_freeDDict)> trained{nullptr, &ZSTD_freeDDict};

  struct Place {
    std::string_view part;
    std::uint64_t hash = 0;
    std::once_flag once;
    Result<GroupView> view = fail(ErrorKind::internal, "not read");
  };
  std::vector<std::unique_ptr<Place>> places;
  mutable std::mutex labels_mutex;
  mutable std::map<std::string, std::unique_ptr<const LabelFacts>, std::less<>> labels;  // gathered so far

  std::unexpected<Error> bad(std::string_view what) const {
    return fail(ErrorKind::bad_input, fmt::format("{}: {}", path.string(), what));
  }

  Result<std::string_view> section(std::uint64_t offset, std::uint64_t size) const {
    const auto bytes = file->bytes();
    if (offset > bytes.size() || size > bytes.size() - offset) return bad("a part lies outside the file");
    return bytes.substr(offset, size);
  }

  Result<> read_footer() {
    const auto bytes = file->bytes();
    if (bytes.size() < kTrailerBytes + format::kMagic.size() || !bytes.starts_with(format::kMagic) ||
        !bytes.ends_with(format::kMagic)) {
      return bad("not a log segment, or cut short");
    }
    ByteReader reader(bytes.substr(bytes.size() - kTrailerBytes));
    footer = reader.plain<format::Footer>();
    const auto size = reader.plain<std::uint32_t>();
    version = reader.plain<std::uint32_t>();
    if (version < format::kOldestVersion || version > format::kVersion)
      return bad(fmt::format("version {} is not known to this program ({} to {} are)", version, format::kOldestVersion,
                             format::kVersion));
    if (size != sizeof footer) return bad("footer damaged");
    const auto end = bytes.size() - kTrailerBytes;
    if (footer.group_table > end || footer.index_offset > footer.group_table || footer.group_table % 8 != 0)
      return bad("footer damaged");
    if (hash64(bytes.substr(footer.group_table, end - footer.group_table)) != footer.hash)
      return bad("checksum of the index");
    return {};
  }

  Result<> read_facts() {
    ByteReader reader(TRY(section(footer.meta, footer.meta_size)));
    auto& options = info.options;
    options.tenant = std::string(reader.bytes());
    options.level = static_cast<std::uint32_t>(reader.varint());
    options.group_hash = reader.plain<std::uint64_t>();
    options.journal_from = reader.varint();
    options.journal_to = reader.varint();
    info.min_time = unzigzag(reader.varint());
    info.max_time = unzigzag(reader.varint());
    info.rows = reader.varint();
    info.raw_bytes = reader.varint();
    options.by_group = version >= format::kOrderVersion && reader.varint() != 0;
    info.file_bytes = file->bytes().size();
    return reader.ok() ? Result<>{} : bad("facts damaged");
  }

  Result<> read_streams() {
    const auto raw = TRY(decompress_part(TRY(section(footer.streams, footer.streams_size)), kMostPartBytes));
    ByteReader reader(raw);
    const auto count = reader.varint();
    if (count > raw.size()) return bad("stream table damaged");
    streams.reserve(count);
    for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
      std::vector<Label> labels;
      for (auto n = reader.varint(); n > 0 && reader.ok(); --n) {
        auto name = reader.bytes();
        auto value = reader.bytes();
        labels.push_back({.name = std::string(name), .value = std::string(value)});
      }
      SegmentStream stream{.labels = Labels(std::move(labels))};
      stream.rows = reader.varint();
      stream.bytes = reader.varint();
      stream.min_time = unzigzag(reader.varint());
      stream.max_time = static_cast<std::int64_t>(static_cast<std::uint64_t>(stream.min_time) + reader.varint());
      streams.push_back(std::move(stream));
    }
    info.streams = static_cast<std::uint32_t>(streams.size());
    return reader.ok() ? Result<>{} : bad("stream table damaged");
  }

  Result<> read_templates() {
    templates = TRY(decompress_part(TRY(section(footer.templates, footer.templates_size)), kMostPartBytes));
    ByteReader reader(templates);
    const auto count = reader.varint();
    if (count > templates.size()) return bad("templates damaged");
    shapes.resize(count);
    for (auto& shape : shapes) {
      if (!TemplateShape::read(reader.bytes(), shape)) return bad("templates damaged");
    }
    return reader.ok() ? Result<>{} : bad("templates damaged");
  }

  Result<> read_trained() {
    if (footer.trained_size == 0) return {};
    const auto bytes = TRY(section(footer.trained, footer.trained_size));
    trained.reset(ZSTD_createDDict(bytes.data(), bytes.size()));
    return trained ? Result<>{} : bad("trained dictionary damaged");
  }

  Result<> read_groups() {
    if (footer.groups > file->bytes().size() / sizeof(format::GroupPlace)) return bad("group table damaged");
    const auto table = TRY(section(footer.group_table, footer.groups * sizeof(format::GroupPlace)));
    ByteReader reader(table);
    for (std::uint64_t i = 0; i < footer.groups; ++i) {
      const auto entry = reader.plain<format::GroupPlace>();
      const auto length = footer.group_table - footer.index_offset;
      if (entry.offset % 8 != 0 || entry.offset > length || entry.size > length - entry.offset ||
          entry.size < sizeof(format::Group)) {
        return bad("group table damaged");
      }
      auto place = std::make_unique<Place>();
      place->part = file->bytes().substr(footer.index_offset + entry.offset, entry.size);
      place->hash = entry.hash;
      ByteReader head_reader(place->part);
      const auto head = head_reader.plain<format::Group>();
      groups.push_back({.first_stream = head.first_stream,
                        .stream_count = head.stream_count,
                        .min_time = head.min_time,
                        .max_time = head.max_time,
                        .rows = head.rows});
      places.push_back(std::move(place));
    }
    info.groups = static_cast<std::uint32_t>(groups.size());
    return {};
  }

  Result<const GroupView*> view(std::uint32_t group) const {
    auto& place = *places[group];
    std::call_once(place.once, [&] {
      if (hash64(place.part) != place.hash) {
        place.view = fail(ErrorKind::internal, "checksum of a row group's index");
        return;
      }
      place.view = GroupView::read(place.part, file->bytes().size(), shapes, streams.size(), dictionary->size());
    });
    if (!place.view) {
      return fail(ErrorKind::internal,
                  fmt::format("{}, row group {}: {}", path.string(), group, place.view.error().message));
    }
    return &*place.view;
  }

  GroupRows rows(const GroupView& group) const {
    return GroupRows(group, file->bytes(), shapes, *dictionary, trained.get());
  }

  // Adds where it happened to an error of decoding.
  template <class T>
  Result<T> located(std::uint32_t group, Result<T> result) const {
    if (result || result.error().kind != ErrorKind::internal) return result;
    return fail(ErrorKind::internal, fmt::format("{}, row group {}: {}", path.string(), group, result.error().message));
  }
};

}  // namespace tocayo::logs
