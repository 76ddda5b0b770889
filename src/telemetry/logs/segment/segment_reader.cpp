// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/hash.h"
#include "logs/segment.h"
#include "logs/segment/bytes.h"
#include "logs/segment/dictionary.h"
#include "logs/segment/format.h"
#include "logs/segment/group_search.h"
#include "logs/segment/group_view.h"
#include "logs/segment/mapped_file.h"
#include "logs/segment/parts.h"
#include "logs/segment/selection.h"

namespace tocayo::logs {

Result<std::string> decompress_part(std::string_view part, std::size_t limit) {
  ByteReader reader(part);
  const auto size = reader.varint();
  if (!reader.ok() || size > limit) return fail(ErrorKind::bad_input, "a compressed part is damaged");
  std::string out(size, '\0');
  const auto got = ZSTD_decompress(out.data(), out.size(), reader.rest().data(), reader.rest().size());
  if (ZSTD_isError(got) != 0 || got != size) return fail(ErrorKind::bad_input, "a compressed part is damaged");
  return out;
}

namespace {
constexpr std::size_t kBatch = 2048;
constexpr std::size_t kPartLimit = 512U << 20;
constexpr std::size_t kTrailer = sizeof(format::Footer) + 16;
}  // namespace

struct SegmentReader::Impl {
  std::filesystem::path path;
  std::unique_ptr<MappedFile> file;
  format::Footer footer{};
  SegmentInfo info;
  std::vector<SegmentStream> streams;
  std::vector<SegmentGroup> groups;
  std::string templates;
  std::vector<TemplateShape> shapes;
  std::unique_ptr<Dictionary> dictionary;

  struct Place {
    std::string_view part;
    std::uint64_t hash = 0;
    std::once_flag once;
    Result<GroupView> view = fail(ErrorKind::internal, "not read");
  };
  std::vector<std::unique_ptr<Place>> places;

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
    if (bytes.size() < kTrailer + format::kMagic.size() || !bytes.starts_with(format::kMagic) ||
        !bytes.ends_with(format::kMagic)) {
      return bad("not a log segment, or cut short");
    }
    ByteReader reader(bytes.substr(bytes.size() - kTrailer));
    footer = reader.plain<format::Footer>();
    const auto size = reader.plain<std::uint32_t>();
    const auto version = reader.plain<std::uint32_t>();
    if (version > format::kVersion)
      return bad(fmt::format("version {} is newer than this program knows ({})", version, format::kVersion));
    if (size != sizeof footer) return bad("footer damaged");
    const auto end = bytes.size() - kTrailer;
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
    info.file_bytes = file->bytes().size();
    return reader.ok() ? Result<>{} : bad("facts damaged");
  }

  Result<> read_streams() {
    const auto raw = TRY(decompress_part(TRY(section(footer.streams, footer.streams_size)), kPartLimit));
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
    templates = TRY(decompress_part(TRY(section(footer.templates, footer.templates_size)), kPartLimit));
    ByteReader reader(templates);
    const auto count = reader.varint();
    if (count > templates.size()) return bad("templates damaged");
    shapes.resize(count);
    for (auto& shape : shapes) {
      if (!TemplateShape::read(reader.bytes(), shape)) return bad("templates damaged");
    }
    return reader.ok() ? Result<>{} : bad("templates damaged");
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

  GroupRows rows(const GroupView& group) const { return GroupRows(group, file->bytes(), shapes, *dictionary); }

  // Adds where it happened to an error of decoding.
  template <class T>
  Result<T> located(std::uint32_t group, Result<T> result) const {
    if (result || result.error().kind != ErrorKind::internal) return result;
    return fail(ErrorKind::internal, fmt::format("{}, row group {}: {}", path.string(), group, result.error().message));
  }
};

namespace {

// The rows of a group that streams, times and label filters leave; nullopt: none can be left.
struct Candidates {
  RowSet set;
  std::uint64_t covered = 0;
};

Result<Candidates> candidates(GroupRows& rows, std::span<const std::uint32_t> stream_map, TimestampNs start,
                              TimestampNs end) {
  const auto& head = *rows.view().head;
  const bool whole_time = head.min_time >= start && head.max_time < end;
  std::span<const std::int64_t> times;
  if (!whole_time) times = TRY(rows.times());
  Candidates out{.set = RowSet(rows.size())};
  std::size_t row = 0;
  for (std::uint32_t s = 0; s < head.stream_count; ++s) {
    const std::size_t next = row + rows.view().stream_rows[s];
    if (stream_map[head.first_stream + s] != SegmentReader::kSkipStream) {
      if (whole_time) {
        out.set.add_range(row, next);
        out.covered += next - row;
      }
      for (std::size_t i = row; !whole_time && i < next; ++i) {
        if (times[i] >= start && times[i] < end) {
          out.set.add(i);
          ++out.covered;
        }
      }
    }
    row = next;
  }
  return out;
}

// Hands the rows of a set over in batches.
class Emitter {
 public:
  Emitter(GroupRows& rows, const Selection& selection, std::span<const SegmentStream> streams,
          std::span<const std::uint32_t> stream_map, const DictionaryView& dictionary, std::uint64_t order)
      : rows_(rows), selection_(selection), stream_map_(stream_map), dictionary_(dictionary), order_(order) {
    (void)streams;
  }

  Result<bool> run(const RowSet& set, const Context& context, const Scan::Visitor& visit) {
    times_ = TRY(rows_.times());
    const auto& head = *rows_.view().head;
    std::uint32_t stream = 0;
    std::size_t stream_end = rows_.view().stream_rows[0];
    std::vector<std::size_t> wanted;
    wanted.reserve(set.count());
    set.each([&](std::size_t row) { wanted.push_back(row); });
    for (std::size_t i = 0; i < wanted.size(); i += kBatch) {
      TRY(context.check());
      batch_.clear();
      lines_.clear();
      metadata_.clear();
      texts_.clear();
      const auto stop = std::min(i + kBatch, wanted.size());
      for (std::size_t k = i; k < stop; ++k) {
        const auto row = wanted[k];
        while (row >= stream_end) stream_end += rows_.view().stream_rows[++stream];
        TRY(add(row, stream_map_[head.first_stream + stream]));
      }
      finish();
      if (!TRY(visit(batch_))) return false;
    }
    return true;
  }

 private:
  struct Part {
    std::size_t line;
    std::size_t metadata;
  };
  Result<> add(std::size_t row, std::uint32_t stream) {
    Row out{.time = times_[row], .order = order_ + row, .stream = stream};
    places_.push_back({.line = lines_.size(), .metadata = texts_.size()});
    if (selection_.want_line) {
      const auto before = lines_.size();
      TRY(rows_.append_line(static_cast<std::uint32_t>(row), lines_));
      out.length = static_cast<std::uint32_t>(lines_.size() - before);
    } else {
      out.length = TRY(rows_.length(static_cast<std::uint32_t>(row)));
    }
    if (selection_.want_metadata) TRY(add_metadata(row));
    batch_.push_back(out);
    return {};
  }
  Result<> add_metadata(std::size_t row) {
    for (std::size_t key = 0; key < rows_.view().keys.size(); ++key) {
      const auto places = TRY(rows_.key_places(key));
      const auto place = places.empty() ? static_cast<std::int32_t>(row) : places[row];
      if (place < 0) continue;
      const auto before = texts_.size();
      TRY(rows_.key_values(key))->append(static_cast<std::size_t>(place), 0, texts_);
      metadata_.push_back(
          {dictionary_.at(rows_.view().keys[key].name), std::string_view(nullptr, texts_.size() - before)});
      counts_.resize(batch_.size() + 1);
      ++counts_[batch_.size()];
    }
    return {};
  }
  // The buffers have stopped growing: set the views.
  void finish() {
    counts_.resize(batch_.size());
    std::size_t text = 0;
    std::size_t pair = 0;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      if (selection_.want_line) batch_[i].line = std::string_view(lines_).substr(places_[i].line, batch_[i].length);
      const auto first = pair;
      for (std::size_t k = 0; k < counts_[i]; ++k, ++pair) {
        const auto size = metadata_[pair].value.size();
        metadata_[pair].value = std::string_view(texts_).substr(text, size);
        text += size;
      }
      batch_[i].metadata = std::span<const LabelView>(metadata_).subspan(first, counts_[i]);
    }
    counts_.clear();
    places_.clear();
  }

  GroupRows& rows_;
  const Selection& selection_;
  std::span<const std::uint32_t> stream_map_;
  const DictionaryView& dictionary_;
  std::uint64_t order_;
  std::span<const std::int64_t> times_;
  std::vector<Row> batch_;
  std::vector<Part> places_;
  std::vector<std::size_t> counts_;
  std::string lines_;
  std::string texts_;
  std::vector<LabelView> metadata_;
};

}  // namespace

SegmentReader::SegmentReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentReader::~SegmentReader() = default;

Result<std::shared_ptr<SegmentReader>> SegmentReader::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->file = TRY(MappedFile::open(path));
  TRY(impl->read_footer());
  TRY(impl->read_facts());
  TRY(impl->read_streams());
  TRY(impl->read_templates());
  impl->dictionary = TRY(Dictionary::open(TRY(impl->section(impl->footer.dictionary, impl->footer.dictionary_size))));
  TRY(impl->read_groups());
  return std::shared_ptr<SegmentReader>(new SegmentReader(std::move(impl)));
}

const SegmentInfo& SegmentReader::info() const { return impl_->info; }
std::span<const SegmentStream> SegmentReader::streams() const { return impl_->streams; }
std::span<const SegmentGroup> SegmentReader::groups() const { return impl_->groups; }

Result<> SegmentReader::scan(std::uint32_t group, const CompiledSelection& selection,
                             std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                             const Context& context, const Scan::Visitor& visit, ScanStats& stats) const {
  auto work = [&]() -> Result<> {
    const auto& summary = impl_->groups[group];
    if (summary.max_time < start || summary.min_time >= end) return {};
    const auto& view = *TRY(impl_->view(group));
    const auto first = stream_map.begin() + view.head->first_stream;
    if (std::all_of(first, first + view.head->stream_count, [](auto number) { return number == kSkipStream; }))
      return {};
    auto rows = impl_->rows(view);
    auto [set, covered] = TRY(candidates(rows, stream_map, start, end));
    if (covered == 0) return {};
    ++stats.groups;
    stats.rows += covered;
    stats.bytes += view.head->raw_bytes * covered / view.head->rows;
    stats.metadata_bytes += view.head->metadata_bytes * covered / view.head->rows;
    const auto plan = selection.plan_for(impl_.get(), impl_->shapes, *impl_->dictionary);
    GroupSearch search(rows, selection, *plan);
    auto skip = [&] {
      ++stats.groups_skipped;
      stats.bytes_read += rows.bytes_read();
    };
    if (!search.may_match()) {
      skip();
      return {};
    }
    const auto& filters = selection.selection().label_filters;
    for (std::size_t f = 0; f < filters.size(); ++f) {
      // Streams that have the label are decided by it.
      RowSet by_label(rows.size());
      bool any_metadata = false;
      std::size_t row = 0;
      for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
        const auto value = impl_->streams[view.head->first_stream + s].labels.get(filters[f].name());
        const auto next = row + view.stream_rows[s];
        if (value.empty()) {
          any_metadata = true;
        } else if (filters[f].matches(value)) {
          for (; row < next; ++row) by_label.add(row);
        }
        row = next;
      }
      if (any_metadata && search.metadata_may_match(f)) {
        auto matches = TRY(search.metadata_matches(f));
        row = 0;
        for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
          const bool own = !impl_->streams[view.head->first_stream + s].labels.get(filters[f].name()).empty();
          const auto next = row + view.stream_rows[s];
          for (; row < next; ++row) {
            if (!own && matches.has(row)) by_label.add(row);
          }
        }
      }
      set &= by_label;
      if (set.empty()) {
        skip();
        return {};
      }
    }
    TRY(search.apply_line_filters(set, context));
    const auto selected = set.count();
    stats.rows_selected += selected;
    if (selected != 0) {
      std::uint64_t order = 0;
      for (std::uint32_t g = 0; g < group; ++g) order += impl_->groups[g].rows;
      TRY(Emitter(rows, selection.selection(), impl_->streams, stream_map, *impl_->dictionary, order)
              .run(set, context, visit));
    }
    stats.bytes_read += rows.bytes_read();
    return {};
  };
  return impl_->located(group, work());
}

Result<> SegmentReader::volume(
    std::span<const std::uint32_t> wanted, TimestampNs start, TimestampNs end,
    const std::function<void(std::uint32_t stream, std::uint64_t rows, std::uint64_t bytes)>& visit) const {
  std::vector<std::uint32_t> partly;
  for (auto stream : wanted) {
    const auto& facts = impl_->streams[stream];
    if (facts.max_time < start || facts.min_time >= end) continue;
    if (facts.min_time >= start && facts.max_time < end) {
      visit(stream, facts.rows, facts.bytes);
    } else {
      partly.push_back(stream);
    }
  }
  if (partly.empty()) return {};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sums(impl_->streams.size());
  std::vector<bool> ask(impl_->streams.size());
  for (auto stream : partly) ask[stream] = true;
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    const auto& summary = impl_->groups[group];
    if (summary.max_time < start || summary.min_time >= end) continue;
    const auto& view = *TRY(impl_->view(group));
    auto rows = impl_->rows(view);
    auto work = [&]() -> Result<> {
      const auto times = TRY(rows.times());
      std::uint32_t row = 0;
      for (std::uint32_t s = 0; s < view.head->stream_count; ++s) {
        const auto stream = view.head->first_stream + s;
        const auto next = row + view.stream_rows[s];
        for (; ask[stream] && row < next; ++row) {
          if (times[row] < start || times[row] >= end) continue;
          ++sums[stream].first;
          sums[stream].second += TRY(rows.length(row));
        }
        row = next;
      }
      return {};
    };
    TRY(impl_->located(group, work()));
  }
  for (auto stream : partly) {
    if (sums[stream].first != 0) visit(stream, sums[stream].first, sums[stream].second);
  }
  return {};
}

Result<> SegmentReader::verify() const {
  TRY(impl_->dictionary->verify());
  std::vector<std::uint32_t> all(impl_->streams.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const auto selection = TRY(compile(Selection{.start = INT64_MIN, .end = INT64_MAX}));
  std::vector<std::uint64_t> rows(all.size());
  std::vector<std::uint64_t> bytes(all.size());
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    ScanStats stats;
    TRY(scan(
        group, *selection, all, INT64_MIN, INT64_MAX, Context{},
        [&](std::span<const Row> batch) -> Result<bool> {
          for (const auto& row : batch) {
            ++rows[row.stream];
            bytes[row.stream] += row.line.size();
          }
          return true;
        },
        stats));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (rows[i] != impl_->streams[i].rows || bytes[i] != impl_->streams[i].bytes) {
      return fail(ErrorKind::internal, fmt::format("{}: rows or bytes of {} do not add up", impl_->path.string(),
                                                   impl_->streams[i].labels.to_string(false)));
    }
  }
  return {};
}

Result<> SegmentReader::patterns(std::uint32_t group, const CompiledSelection& selection,
                                 std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                                 const Context& context, const PatternVisitor& visit) const {
  const auto& view = *TRY(impl_->view(group));
  auto rows = impl_->rows(view);
  std::vector<std::string> texts;
  for (const auto& entry : view.templates) texts.push_back(impl_->shapes[entry.id].pattern());
  std::uint64_t order = 0;
  for (std::uint32_t g = 0; g < group; ++g) order += impl_->groups[g].rows;
  ScanStats stats;
  auto each = [&](std::span<const Row> batch) -> Result<bool> {
    const auto ids = TRY(rows.template_ids());
    for (const auto& row : batch) {
      const auto local = static_cast<std::size_t>(ids[row.order - order]);
      if (local >= texts.size()) continue;  // a whole line has no template
      std::string_view level;
      for (const auto& pair : row.metadata) {
        if (pair.name == "detected_level") level = pair.value;
      }
      visit(texts[local], level, row.time);
    }
    return true;
  };
  return scan(group, selection, stream_map, start, end, context, each, stats);
}

}  // namespace tocayo::logs
