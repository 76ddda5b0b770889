// SPDX-License-Identifier: Apache-2.0
#include "metrics/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/hash.h"
#include "metrics/segment_format.h"
#include "metrics/wal_record.h"

namespace tocayo::metrics {
using namespace segment_format;

struct Segment::Row64 {
  std::uint64_t hash, chunk_offset;
  std::uint32_t chunk_size, checksum;
  TimestampMs min_time, max_time;
  std::uint32_t labels_offset;
  std::uint16_t label_count;
};
struct Segment::Pair {
  std::uint32_t name, value, offset, count;
};

Error Segment::damaged(std::string_view part) const {
  return Error{ErrorKind::internal, fmt::format("segment {}: {} is damaged", path_, part)};
}

Result<std::shared_ptr<const Segment>> Segment::open(const std::string& path) {
  std::shared_ptr<Segment> segment(new Segment);
  segment->path_ = path;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + path, errno));
  struct stat info{};
  if (::fstat(fd, &info) != 0 || info.st_size < static_cast<off_t>(kHeaderSize + kTrailerSize)) {
    ::close(fd);
    return std::unexpected(segment->damaged("size"));
  }
  void* mapped = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
  const int failed = errno;
  ::close(fd);
  if (mapped == MAP_FAILED) return std::unexpected(error_from_errno("mmap " + path, failed));
  segment->data_ = static_cast<const std::uint8_t*>(mapped);
  segment->size_ = static_cast<std::uint64_t>(info.st_size);
  if (auto read = segment->read_footer(); !read) return std::unexpected(std::move(read.error()));
  return segment;
}

Segment::~Segment() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

Result<> Segment::read_footer() {
  if (std::memcmp(data_, kMagic.data(), kMagic.size()) != 0) return std::unexpected(damaged("header"));
  const auto version = get<std::uint32_t>(data_ + 4);
  if (version > kVersion || version == 0) {
    return fail(ErrorKind::internal,
                fmt::format("segment {}: version {} is newer than this program knows", path_, version));
  }
  const std::uint8_t* end = data_ + size_;
  if (std::memcmp(end - 8, kEndMagic.data(), 8) != 0) return std::unexpected(damaged("end mark"));
  const std::uint64_t length = get<std::uint32_t>(end - 12);
  constexpr std::size_t kFixed = kSectionCount * 24 + 32;
  if (length < kFixed || length > size_ - kHeaderSize - kTrailerSize) return std::unexpected(damaged("footer length"));
  const std::uint8_t* p = end - kTrailerSize - length;
  if (hash64({reinterpret_cast<const char*>(p), length}) != get<std::uint64_t>(end - kTrailerSize)) {
    return std::unexpected(damaged("footer"));
  }
  const std::uint64_t limit = static_cast<std::uint64_t>(p - data_);
  Section* sections[kSectionCount] = {&symbols_, &series_, &labels_, &postings_};
  const std::string_view names[kSectionCount] = {"section symbols", "section series", "section labels",
                                                 "section postings"};
  for (std::size_t i = 0; i < kSectionCount; ++i, p += 24) {
    *sections[i] = {names[i], get<std::uint64_t>(p), get<std::uint64_t>(p + 8), get<std::uint64_t>(p + 16)};
    if (sections[i]->offset > limit || sections[i]->size > limit - sections[i]->offset)
      return std::unexpected(damaged(names[i]));
  }
  data_end_ = symbols_.offset;
  min_time_ = get<std::int64_t>(p);
  max_time_ = get<std::int64_t>(p + 8);
  samples_ = get<std::uint64_t>(p + 16);
  series_count_ = get<std::uint32_t>(p + 24);
  if (kFixed + get<std::uint32_t>(p + 28) != length) return std::unexpected(damaged("footer"));
  tenant_.assign(reinterpret_cast<const char*>(p + 32), length - kFixed);
  if (series_.size != series_count_ * kSeriesRowSize) return std::unexpected(damaged("section series"));
  return {};
}

Result<> Segment::check_index() const {
  std::call_once(checked_, [this] { index_state_ = validate_index(); });
  return index_state_;
}

// After this every offset in the index is known to stay inside its section, so readers need no checks of their own.
Result<> Segment::validate_index() const {
  for (const Section* section : {&symbols_, &series_, &labels_, &postings_}) {
    auto content = bytes(*section);
    if (hash64({reinterpret_cast<const char*>(content.data()), content.size()}) != section->checksum) {
      return std::unexpected(damaged(section->name));
    }
  }
  auto symbols = bytes(symbols_);
  if (symbols.size() < 8) return std::unexpected(damaged(symbols_.name));
  const std::uint64_t count = get<std::uint32_t>(symbols.data());
  if (count > symbols.size() / 4 || 8 + count * 4 > symbols.size()) return std::unexpected(damaged(symbols_.name));
  std::uint32_t before = 0;
  for (std::uint64_t i = 0; i <= count; ++i) {
    const auto offset = get<std::uint32_t>(symbols.data() + 4 + 4 * i);
    if (offset < before || offset > symbols.size() - 8 - count * 4) return std::unexpected(damaged(symbols_.name));
    before = offset;
  }
  if (auto ok = validate_series(); !ok) return ok;
  return validate_postings();
}

Result<> Segment::validate_series() const {
  const std::uint64_t symbol_count = get<std::uint32_t>(bytes(symbols_).data());
  for (std::uint32_t s = 0; s < series_count_; ++s) {
    const Row64 r = row(s);
    if (r.chunk_offset > data_end_ || r.chunk_size > data_end_ - r.chunk_offset || r.labels_offset > labels_.size) {
      return std::unexpected(damaged(series_.name));
    }
    auto in = bytes(labels_).subspan(r.labels_offset);
    for (std::size_t i = 0; i < r.label_count * 2U; ++i) {
      std::uint64_t id = 0;
      if (!get_varint(in, id) || id >= symbol_count) return std::unexpected(damaged(labels_.name));
    }
  }
  return {};
}

Result<> Segment::validate_postings() const {
  const std::uint64_t symbol_count = get<std::uint32_t>(bytes(symbols_).data());
  auto content = bytes(postings_);
  if (content.size() < 4) return std::unexpected(damaged(postings_.name));
  const std::uint64_t count = get<std::uint32_t>(content.data());
  if (count > (content.size() - 4) / kPairSize) return std::unexpected(damaged(postings_.name));
  auto bodies = content.subspan(4 + count * kPairSize);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Pair p = pair(i);
    const std::uint64_t key = (std::uint64_t{p.name} << 32) | p.value;
    if (p.name >= symbol_count || p.value >= symbol_count || p.offset > bodies.size() || (i > 0 && key <= before)) {
      return std::unexpected(damaged(postings_.name));
    }
    before = key;
    auto in = bodies.subspan(p.offset);
    std::uint64_t series = 0;
    for (std::uint32_t k = 0; k < p.count; ++k) {
      std::uint64_t step = 0;
      if (!get_varint(in, step) || step >= series_count_ || (k > 0 && step == 0))
        return std::unexpected(damaged(postings_.name));
      series += step;
      if (series >= series_count_) return std::unexpected(damaged(postings_.name));
    }
  }
  return {};
}

std::string_view Segment::symbol(std::uint64_t id) const {
  auto content = bytes(symbols_);
  const std::uint64_t count = get<std::uint32_t>(content.data());
  const std::uint8_t* offset = content.data() + 4 + 4 * id;
  const auto begin = get<std::uint32_t>(offset);
  const auto end = get<std::uint32_t>(offset + 4);
  return {reinterpret_cast<const char*>(content.data() + 8 + count * 4 + begin), end - begin};
}

Segment::Row64 Segment::row(std::uint32_t series) const {
  const std::uint8_t* p = data_ + series_.offset + series * kSeriesRowSize;
  return {get<std::uint64_t>(p),     get<std::uint64_t>(p + 8), get<std::uint32_t>(p + 16), get<std::uint32_t>(p + 20),
          get<std::int64_t>(p + 24), get<std::int64_t>(p + 32), get<std::uint32_t>(p + 40), get<std::uint16_t>(p + 44)};
}

std::size_t Segment::pair_count() const { return get<std::uint32_t>(bytes(postings_).data()); }

Segment::Pair Segment::pair(std::size_t index) const {
  const std::uint8_t* p = bytes(postings_).data() + 4 + index * kPairSize;
  return {get<std::uint32_t>(p), get<std::uint32_t>(p + 4), get<std::uint32_t>(p + 8), get<std::uint32_t>(p + 12)};
}

// First and one past the last directory entry of a name.
std::pair<std::size_t, std::size_t> Segment::pairs_of(std::string_view name) const {
  auto bound = [&](bool upper) {
    std::size_t low = 0;
    std::size_t high = pair_count();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      const std::string_view text = symbol(pair(middle).name);
      (upper ? text <= name : text < name) ? low = middle + 1 : high = middle;
    }
    return low;
  };
  return {bound(false), bound(true)};
}

std::vector<std::uint32_t> Segment::postings(const Pair& p) const {
  auto in = bytes(postings_).subspan(4 + pair_count() * kPairSize + p.offset);
  std::vector<std::uint32_t> ids;
  ids.reserve(p.count);
  std::uint32_t series = 0;
  for (std::uint32_t k = 0; k < p.count; ++k) {
    std::uint64_t step = 0;
    get_varint(in, step);
    series += static_cast<std::uint32_t>(step);
    ids.push_back(series);
  }
  return ids;
}

std::vector<std::uint32_t> Segment::collect(const Matcher& matcher, bool negate) const {
  std::vector<std::uint32_t> ids;
  auto [first, last] = pairs_of(matcher.name());
  bool several = false;
  auto take = [&](std::size_t index) {
    auto list = postings(pair(index));
    several = several || !ids.empty();
    ids.insert(ids.end(), list.begin(), list.end());
  };
  const bool named = matcher.type() == Matcher::Type::equal || matcher.type() == Matcher::Type::not_equal;
  if (named && matcher.negative() == negate) {
    std::size_t low = first;
    std::size_t high = last;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      symbol(pair(middle).value) < matcher.value() ? low = middle + 1 : high = middle;
    }
    if (low < last && symbol(pair(low).value) == matcher.value()) take(low);
    return ids;
  }
  for (std::size_t i = first; i < last; ++i) {
    if (matcher.matches(symbol(pair(i).value)) != negate) take(i);
  }
  if (several) std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::uint32_t> Segment::select(std::span<const Matcher> matchers) const {
  std::vector<std::uint32_t> ids;
  bool limited = false;
  std::vector<std::vector<std::uint32_t>> excluded;
  for (const Matcher& matcher : matchers) {
    if (matcher.matches_empty()) {
      excluded.push_back(collect(matcher, true));
      continue;
    }
    auto list = collect(matcher, false);
    if (!limited) {
      ids = std::move(list);
      limited = true;
    } else {
      intersect_with(ids, list);
    }
    if (ids.empty()) return ids;
  }
  if (!limited) {
    ids.resize(series_count_);
    for (std::uint32_t s = 0; s < series_count_; ++s) ids[s] = s;
  }
  for (const auto& list : excluded) subtract_from(ids, list);
  return ids;
}

template <typename F>
void Segment::each_label(std::uint32_t series, F&& f) const {
  const Row64 r = row(series);
  auto in = bytes(labels_).subspan(r.labels_offset);
  for (std::size_t i = 0; i < r.label_count; ++i) {
    std::uint64_t name = 0;
    std::uint64_t value = 0;
    get_varint(in, name);
    get_varint(in, value);
    if (!f(symbol(name), symbol(value))) return;
  }
}

Labels Segment::labels(std::uint32_t series) const {
  std::vector<Label> list;
  each_label(series, [&](std::string_view name, std::string_view value) {
    list.push_back({std::string(name), std::string(value)});
    return true;
  });
  return Labels(std::move(list));
}

std::uint64_t Segment::hash(std::uint32_t series) const { return row(series).hash; }

std::strong_ordering Segment::compare(std::uint32_t series, const Labels& labels) const {
  auto order = std::strong_ordering::equal;
  std::size_t i = 0;
  each_label(series, [&](std::string_view name, std::string_view value) {
    if (i == labels.size()) {
      order = std::strong_ordering::greater;
      return false;
    }
    const Label& label = labels[i++];
    order = name <=> std::string_view(label.name);
    if (order == 0) order = value <=> std::string_view(label.value);
    return order == 0;
  });
  if (order == 0 && i < labels.size()) order = std::strong_ordering::less;
  return order;
}

bool Segment::labels_equal(std::uint32_t series, const Labels& labels) const { return compare(series, labels) == 0; }

std::optional<std::uint32_t> Segment::find(const Labels& labels) const {
  std::uint32_t low = 0;
  auto high = static_cast<std::uint32_t>(series_count_);
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    compare(middle, labels) < 0 ? low = middle + 1 : high = middle;
  }
  if (low < series_count_ && labels_equal(low, labels)) return low;
  return std::nullopt;
}

std::pair<TimestampMs, TimestampMs> Segment::time_range(std::uint32_t series) const {
  const Row64 r = row(series);
  return {r.min_time, r.max_time};
}

Segment::Extent Segment::extent(std::uint32_t series) const {
  const std::uint8_t* p = data_ + series_.offset + series * kSeriesRowSize;
  return {std::uint64_t{get<std::uint32_t>(p + 48)} + get<std::uint32_t>(p + 52), get<std::uint32_t>(p + 16)};
}

Result<> Segment::read(std::uint32_t series, TimestampMs start, TimestampMs end, RowBuffer& out) const {
  const Row64 r = row(series);
  if (r.min_time > end || r.max_time < start) return {};
  std::span<const std::uint8_t> in(data_ + r.chunk_offset, r.chunk_size);
  auto bad = [&] {
    return std::unexpected(damaged(fmt::format("the chunk of series {} at {}", series, r.chunk_offset)));
  };
  if (static_cast<std::uint32_t>(hash64({reinterpret_cast<const char*>(in.data()), in.size()})) != r.checksum)
    return bad();
  std::uint64_t float_bytes = 0;
  if (!get_varint(in, float_bytes) || float_bytes > in.size()) return bad();
  auto blocks = in.first(float_bytes);
  BlockState state;
  Row rows[kMaxBlockRows];
  while (!blocks.empty()) {
    std::size_t count = 0;
    const std::size_t size = decode_block(blocks, state, rows, count);
    if (size == 0) return bad();
    blocks = blocks.subspan(size);
    if (rows[count - 1].time < start) continue;
    if (rows[0].time > end) break;
    for (std::size_t i = 0; i < count; ++i) {
      if (rows[i].time >= start && rows[i].time <= end) out.floats.push_back(rows[i]);
    }
  }
  auto histograms = in.subspan(float_bytes);
  HistState hist_state;
  HistRow hist;
  while (!histograms.empty()) {
    if (!decode_histogram(histograms, hist_state, hist)) return bad();
    if (hist.time > end) break;
    if (hist.time >= start) out.histograms.push_back(hist);
  }
  return {};
}

void Segment::for_each_pair(
    std::string_view name,
    const std::function<bool(std::string_view, std::string_view, std::span<const std::uint32_t>)>& f) const {
  auto [first, last] = name.empty() ? std::pair<std::size_t, std::size_t>{0, pair_count()} : pairs_of(name);
  for (std::size_t i = first; i < last; ++i) {
    const Pair p = pair(i);
    if (!f(symbol(p.name), symbol(p.value), postings(p))) return;
  }
}

void Segment::for_each_name(const std::function<void(std::string_view)>& f) const {
  for (std::size_t i = 0; i < pair_count();) {
    const std::string_view name = symbol(pair(i).name);
    f(name);
    i = pairs_of(name).second;
  }
}

}  // namespace tocayo::metrics
