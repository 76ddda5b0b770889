// SPDX-License-Identifier: Apache-2.0
#include "logs/store/record.h"

#include <zstd.h>

#include <memory>

#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr char kVersion = 1;
// Metadata column: 0 none, 1 as the row before, else size + 1 and the bytes.
constexpr std::uint64_t kSameMetadata = 1;

std::uint64_t fold_sign(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
std::int64_t unfold_sign(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Error damaged(std::string what) { return Error{ErrorKind::bad_input, "journal record of logs: " + std::move(what)}; }

void put_column(const std::string& column, std::string& out) {
  put_varint(out, column.size());
  out += column;
}

}  // namespace

void RecordWriter::begin(std::string_view tenant) {
  tenant_.assign(tenant);
  heads_.clear();
  times_.clear();
  lengths_.clear();
  metadata_.clear();
  lines_.clear();
  line_bytes_ = 0;
  streams_ = 0;
}

void RecordWriter::stream(std::string_view label_bytes, std::span<const RecordRow> rows) {
  if (rows.empty()) return;
  ++streams_;
  put_varint(heads_, label_bytes.size());
  heads_ += label_bytes;
  put_varint(heads_, rows.size());
  std::uint64_t last = 0;  // wraps: times may be anywhere in 64 bits
  std::string_view metadata;
  for (const RecordRow& row : rows) {
    put_varint(times_, fold_sign(static_cast<std::int64_t>(static_cast<std::uint64_t>(row.time) - last)));
    last = static_cast<std::uint64_t>(row.time);
    put_varint(lengths_, row.line.size());
    if (row.metadata.empty()) {
      put_varint(metadata_, 0);
    } else if (row.metadata == metadata) {
      put_varint(metadata_, kSameMetadata);
    } else {
      put_varint(metadata_, row.metadata.size() + 1);
      metadata_ += row.metadata;
    }
    metadata = row.metadata;
    lines_.push_back(row.line);
    line_bytes_ += row.line.size();
  }
}

Result<std::string_view> RecordWriter::finish(int level) {
  body_.clear();
  const std::size_t size = heads_.size() + times_.size() + lengths_.size() + metadata_.size() + line_bytes_;
  if (size > kMaxRecordBody) return fail(ErrorKind::too_large, "more than 256 MiB of log lines in one request");
  body_.reserve(size + tenant_.size() + 64);
  put_column(tenant_, body_);
  put_varint(body_, streams_);
  put_column(heads_, body_);
  put_column(times_, body_);
  put_column(lengths_, body_);
  put_column(metadata_, body_);
  for (std::string_view line : lines_) body_ += line;

  thread_local std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  payload_.clear();
  payload_ += kVersion;
  put_varint(payload_, body_.size());
  const std::size_t at = payload_.size();
  payload_.resize(at + ZSTD_compressBound(body_.size()));
  const std::size_t packed =
      ZSTD_compressCCtx(context.get(), payload_.data() + at, payload_.size() - at, body_.data(), body_.size(), level);
  if (ZSTD_isError(packed) != 0) {
    return fail(ErrorKind::internal, std::string("compress a journal record: ") + ZSTD_getErrorName(packed));
  }
  payload_.resize(at + packed);
  if (body_.capacity() > (32U << 20)) std::string().swap(body_);  // a huge request does not stay in memory
  return std::string_view(payload_);
}

namespace {
// The size behind the version; `at` is behind both then.
bool read_size(std::string_view payload, std::size_t& at, std::uint64_t& size) {
  at = 1;
  return get_varint(payload, at, size) && size <= kMaxRecordBody + (1 << 20);
}
}  // namespace

std::optional<std::uint64_t> record_body_size(std::string_view payload) {
  std::size_t at = 0;
  std::uint64_t size = 0;
  return !payload.empty() && read_size(payload, at, size) ? std::optional(size) : std::nullopt;
}

Result<> RecordReader::read(std::string_view payload) {
  streams_.clear();
  rows_.clear();
  tenant_ = {};
  if (payload.empty()) return std::unexpected(damaged("empty"));
  if (payload[0] != kVersion) {
    return std::unexpected(
        damaged("version " + std::to_string(static_cast<unsigned char>(payload[0])) + " is not known to this program"));
  }
  std::size_t at = 0;
  std::uint64_t size = 0;
  if (!read_size(payload, at, size)) return std::unexpected(damaged("impossible size"));
  const std::string_view packed = payload.substr(at);
  // The frame must promise the same size before that much memory is taken.
  if (ZSTD_getFrameContentSize(packed.data(), packed.size()) != size) {
    return std::unexpected(damaged("sizes do not agree"));
  }
  thread_local std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  body_.resize(size);
  const std::size_t got = ZSTD_decompressDCtx(context.get(), body_.data(), size, packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != size) return std::unexpected(damaged("does not decompress"));
  if (auto parsed = parse(); !parsed) {
    streams_.clear();
    return parsed;
  }
  return {};
}

Result<> RecordReader::parse() {
  const std::string_view body = body_;
  std::size_t at = 0;
  auto column = [&](std::string_view& out) {
    std::uint64_t size = 0;
    if (!get_varint(body, at, size) || size > body.size() - at) return false;
    out = body.substr(at, size);
    at += size;
    return true;
  };
  std::string_view heads;
  std::string_view times;
  std::string_view lengths;
  std::string_view metadata;
  std::uint64_t stream_count = 0;
  if (!column(tenant_) || !get_varint(body, at, stream_count) || !column(heads) || !column(times) || !column(lengths) ||
      !column(metadata)) {
    return std::unexpected(damaged("a column is cut off"));
  }
  std::string_view lines = body.substr(at);
  struct Range {
    std::size_t first, count;
  };
  std::vector<Range> ranges;
  std::size_t head_at = 0;
  std::size_t time_at = 0;
  std::size_t length_at = 0;
  std::size_t metadata_at = 0;
  for (std::uint64_t s = 0; s < stream_count; ++s) {
    std::uint64_t size = 0;
    std::uint64_t count = 0;
    if (!get_varint(heads, head_at, size) || size > heads.size() - head_at) {
      return std::unexpected(damaged("labels are cut off"));
    }
    const std::string_view labels = heads.substr(head_at, size);
    head_at += size;
    if (!valid_label_bytes(labels)) return std::unexpected(damaged("labels are damaged"));
    if (!get_varint(heads, head_at, count) || count > times.size() - time_at) {
      return std::unexpected(damaged("impossible number of rows"));
    }
    ranges.push_back({rows_.size(), count});
    streams_.push_back({labels, {}});
    std::uint64_t time = 0;
    std::string_view last;
    for (std::uint64_t i = 0; i < count; ++i) {
      RecordRow row;
      std::uint64_t delta = 0;
      std::uint64_t length = 0;
      std::uint64_t code = 0;
      if (!get_varint(times, time_at, delta) || !get_varint(lengths, length_at, length) || length > lines.size() ||
          !get_varint(metadata, metadata_at, code)) {
        return std::unexpected(damaged("a row is cut off"));
      }
      time += static_cast<std::uint64_t>(unfold_sign(delta));
      row.time = static_cast<TimestampNs>(time);
      row.line = lines.substr(0, length);
      lines.remove_prefix(length);
      if (code == kSameMetadata) {
        row.metadata = last;
      } else if (code > kSameMetadata) {
        if (code - 1 > metadata.size() - metadata_at) return std::unexpected(damaged("metadata is cut off"));
        row.metadata = metadata.substr(metadata_at, code - 1);
        metadata_at += code - 1;
        if (!valid_label_bytes(row.metadata)) return std::unexpected(damaged("metadata is damaged"));
      }
      last = row.metadata;
      rows_.push_back(row);
    }
  }
  if (!lines.empty() || head_at != heads.size()) return std::unexpected(damaged("bytes are left over"));
  for (std::size_t s = 0; s < ranges.size(); ++s) {
    streams_[s].rows = std::span<const RecordRow>(rows_.data() + ranges[s].first, ranges[s].count);
  }
  return {};
}

}  // namespace tocayo::logs
