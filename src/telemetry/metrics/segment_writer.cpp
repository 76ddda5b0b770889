// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <numeric>

#include "core/hash.h"
#include "metrics/files.h"
#include "metrics/segment.h"
#include "metrics/segment_format.h"
#include "metrics/wal_record.h"

namespace tocayo::metrics {
using namespace segment_format;

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(std::string path, std::string tenant) {
  const std::string temporary = path + ".tmp";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("create " + temporary, errno));
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(path), std::move(tenant), fd));
  writer->buffer_ += kMagic;
  put(writer->buffer_, kVersion);
  put(writer->buffer_, std::uint64_t{0});
  return writer;
}

SegmentWriter::~SegmentWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink((path_ + ".tmp").c_str());
}

Result<> SegmentWriter::flush() {
  if (auto done = write_all(fd_, buffer_, path_); !done) return done;
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

// A chunk: varint size of the float part, mini-blocks of up to 32 rows, then encoded histograms to its end.
Result<> SegmentWriter::add(const Labels& labels, std::uint64_t hash, const RowBuffer& rows) {
  if (rows.floats.empty() && rows.histograms.empty()) return {};
  chunk_.clear();
  std::string blocks;
  BlockState state;
  for (std::size_t i = 0; i < rows.floats.size(); i += kMaxBlockRows) {
    std::uint8_t block[kMaxBlockBytes];
    auto part = std::span(rows.floats).subspan(i, std::min(kMaxBlockRows, rows.floats.size() - i));
    blocks.append(reinterpret_cast<const char*>(block), encode_block(part, state, block));
  }
  put_varint(chunk_, blocks.size());
  chunk_ += blocks;
  HistState histograms;
  for (const HistRow& row : rows.histograms) encode_histogram(row, histograms, chunk_);

  Entry entry{};
  entry.hash = hash;
  entry.chunk_offset = written_ + buffer_.size();
  entry.chunk_size = static_cast<std::uint32_t>(chunk_.size());
  entry.checksum = static_cast<std::uint32_t>(hash64(chunk_));
  entry.min_time = kMaxTime;
  entry.max_time = kMinTime;
  if (!rows.floats.empty()) {
    entry.min_time = rows.floats.front().time;
    entry.max_time = rows.floats.back().time;
  }
  if (!rows.histograms.empty()) {
    entry.min_time = std::min(entry.min_time, rows.histograms.front().time);
    entry.max_time = std::max(entry.max_time, rows.histograms.back().time);
  }
  entry.float_rows = static_cast<std::uint32_t>(rows.floats.size());
  entry.histogram_rows = static_cast<std::uint32_t>(rows.histograms.size());
  entry.first_pair = static_cast<std::uint32_t>(pairs_.size());
  entry.label_count = static_cast<std::uint16_t>(labels.size());
  for (const Label& label : labels) {
    pairs_.push_back(symbols_.intern(label.name));
    pairs_.push_back(symbols_.intern(label.value));
  }
  series_.push_back(entry);
  samples_ += rows.floats.size() + rows.histograms.size();
  min_time_ = std::min(min_time_, entry.min_time);
  max_time_ = std::max(max_time_, entry.max_time);
  buffer_ += chunk_;
  if (buffer_.size() > (1U << 20)) return flush();
  return {};
}

// count u32, count + 1 offsets u32, texts. `rank` maps the writer's ids to sorted ones.
std::string SegmentWriter::symbols_section(std::vector<Symbol>& rank) const {
  std::vector<Symbol> order(symbols_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [this](Symbol a, Symbol b) { return symbols_.text(a) < symbols_.text(b); });
  rank.resize(order.size());
  std::string section;
  put(section, static_cast<std::uint32_t>(order.size()));
  std::uint32_t offset = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    rank[order[i]] = static_cast<Symbol>(i);
    put(section, offset);
    offset += static_cast<std::uint32_t>(symbols_.text(order[i]).size());
  }
  put(section, offset);
  for (Symbol symbol : order) section += symbols_.text(symbol);
  return section;
}

// count u32, the directory sorted by (name, value), bodies: series indices as varint differences.
std::string SegmentWriter::postings_section(const std::vector<Symbol>& rank) const {
  struct Occurrence {
    std::uint64_t pair;
    std::uint32_t series;
    auto operator<=>(const Occurrence&) const = default;
  };
  std::vector<Occurrence> all;
  all.reserve(pairs_.size() / 2);
  for (std::uint32_t s = 0; s < series_.size(); ++s) {
    for (std::size_t i = 0; i < series_[s].label_count; ++i) {
      const std::size_t at = series_[s].first_pair + 2 * i;
      all.push_back({(std::uint64_t{rank[pairs_[at]]} << 32) | rank[pairs_[at + 1]], s});
    }
  }
  std::sort(all.begin(), all.end());
  std::string directory, bodies;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < all.size();) {
    const std::size_t begin = i;
    const auto offset = static_cast<std::uint32_t>(bodies.size());
    std::uint32_t previous = 0;
    for (; i < all.size() && all[i].pair == all[begin].pair; ++i) {
      put_varint(bodies, all[i].series - previous);
      previous = all[i].series;
    }
    put(directory, static_cast<std::uint32_t>(all[begin].pair >> 32));
    put(directory, static_cast<std::uint32_t>(all[begin].pair));
    put(directory, offset);
    put(directory, static_cast<std::uint32_t>(i - begin));
    ++count;
  }
  std::string section;
  put(section, count);
  return section + directory + bodies;
}

Result<bool> SegmentWriter::finish() {
  if (series_.empty()) return false;
  std::vector<Symbol> rank;
  std::string sections[kSectionCount];
  sections[0] = symbols_section(rank);
  std::string& labels = sections[2];
  for (const Entry& entry : series_) {
    std::string& row = sections[1];
    put(row, entry.hash);
    put(row, entry.chunk_offset);
    put(row, entry.chunk_size);
    put(row, entry.checksum);
    put(row, entry.min_time);
    put(row, entry.max_time);
    put(row, static_cast<std::uint32_t>(labels.size()));
    put(row, entry.label_count);
    put(row, std::uint16_t{0});
    put(row, entry.float_rows);
    put(row, entry.histogram_rows);
    for (std::size_t i = 0; i < entry.label_count * 2U; ++i) put_varint(labels, rank[pairs_[entry.first_pair + i]]);
  }
  sections[3] = postings_section(rank);

  std::string footer;
  for (const std::string& section : sections) {
    put(footer, written_ + buffer_.size());
    put(footer, std::uint64_t{section.size()});
    put(footer, hash64(section));
    buffer_ += section;
    if (auto flushed = flush(); !flushed) return std::unexpected(std::move(flushed.error()));
  }
  put(footer, min_time_);
  put(footer, max_time_);
  put(footer, samples_);
  put(footer, static_cast<std::uint32_t>(series_.size()));
  put(footer, static_cast<std::uint32_t>(tenant_.size()));
  footer += tenant_;
  buffer_ += footer;
  put(buffer_, hash64(footer));
  put(buffer_, static_cast<std::uint32_t>(footer.size()));
  buffer_ += kEndMagic;
  if (auto flushed = flush(); !flushed) return std::unexpected(std::move(flushed.error()));
  if (::fsync(fd_) != 0) return std::unexpected(error_from_errno("fsync " + path_, errno));
  ::close(fd_);
  fd_ = -1;
  if (::rename((path_ + ".tmp").c_str(), path_.c_str()) != 0) {
    int failed = errno;
    ::unlink((path_ + ".tmp").c_str());
    return std::unexpected(error_from_errno("rename " + path_, failed));
  }
  if (auto synced = sync_directory(std::filesystem::path(path_).parent_path().string()); !synced) {
    return std::unexpected(std::move(synced.error()));
  }
  return true;
}

}  // namespace tocayo::metrics
