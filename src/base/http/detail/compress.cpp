// SPDX-License-Identifier: Apache-2.0
#include "http/detail/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "http/detail/text.h"

namespace tocayo::http::detail {
namespace {

constexpr std::size_t kPiece = 64 << 10;
constexpr int kZstdWindowLogMax = 23;
constexpr int kGzipWindowBits = 15 + 16;

// Weight of one Accept-Encoding item ("gzip;q=0.5"), in thousandths.
int weight_of(std::string_view item) {
  auto semicolon = item.find(';');
  if (semicolon == std::string_view::npos) return 1000;
  auto parameter = trim(item.substr(semicolon + 1));
  if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) return 1000;
  parameter.remove_prefix(2);
  double weight = 0;
  auto [end, error] = std::from_chars(parameter.data(), parameter.data() + parameter.size(), weight);
  if (error != std::errc() || !(weight >= 0)) return 0;
  return static_cast<int>(std::min(weight, 1.0) * 1000);
}

struct Output {
  std::string bytes;
  std::size_t limit;
  const GrowCheck& grow;

  Result<> append(std::string_view piece) {
    if (piece.size() > limit - bytes.size())
      return fail(ErrorKind::too_large,
                  "the decompressed body is over the limit of " + std::to_string(limit) + " bytes");
    if (grow && !grow(piece.size()))
      return fail(ErrorKind::unavailable, "too many request bodies are in memory; try again later");
    bytes.append(piece);
    return {};
  }
};

Result<> inflate_all(int window_bits, std::string_view input, Output& output) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) return fail(ErrorKind::internal, "cannot set up zlib");
  std::unique_ptr<z_stream, void (*)(z_stream*)> guard(&stream, [](z_stream* s) { inflateEnd(s); });
  auto piece = std::make_unique<char[]>(kPiece);
  bool ended = false;
  while (true) {
    if (ended) {
      if (input.empty()) return {};
      // gzip may be several members in a row (RFC 1952 §2.2).
      if (window_bits != kGzipWindowBits || inflateReset(&stream) != Z_OK)
        return fail(ErrorKind::bad_input, "garbage after the compressed body");
      ended = false;
    }
    auto take = std::min<std::size_t>(input.size(), 1U << 30U);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream.avail_in = static_cast<uInt>(take);
    stream.next_out = reinterpret_cast<Bytef*>(piece.get());
    stream.avail_out = kPiece;
    int status = inflate(&stream, Z_NO_FLUSH);
    input.remove_prefix(take - stream.avail_in);
    std::size_t produced = kPiece - stream.avail_out;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      return fail(ErrorKind::bad_input,
                  std::string("the compressed body is broken: ") + (stream.msg != nullptr ? stream.msg : "zlib error"));
    }
    if (produced > 0) {
      if (auto appended = output.append({piece.get(), produced}); !appended) return appended;
    }
    ended = status == Z_STREAM_END;
    if (!ended && produced == 0 && input.empty()) return fail(ErrorKind::bad_input, "the compressed body is truncated");
  }
}

Result<> unzstd_all(std::string_view input, Output& output) {
  std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  auto piece = std::make_unique<char[]>(kPiece);
  ZSTD_inBuffer in{input.data(), input.size(), 0};
  while (true) {
    ZSTD_outBuffer out{piece.get(), kPiece, 0};
    std::size_t status = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(status) != 0U)
      return fail(ErrorKind::bad_input, std::string("the compressed body is broken: ") + ZSTD_getErrorName(status));
    if (out.pos > 0) {
      if (auto appended = output.append({piece.get(), out.pos}); !appended) return appended;
    }
    if (in.pos < in.size) continue;
    if (status == 0) return {};
    if (out.pos < kPiece) return fail(ErrorKind::bad_input, "the compressed body is truncated");
  }
}

class GzipEncoder final : public Encoder {
 public:
  GzipEncoder() { ready_ = deflateInit2(&stream_, 4, Z_DEFLATED, kGzipWindowBits, 8, Z_DEFAULT_STRATEGY) == Z_OK; }
  ~GzipEncoder() override {
    if (ready_) deflateEnd(&stream_);
  }
  std::string write(std::string_view bytes) override { return run(bytes, Z_SYNC_FLUSH); }
  std::string finish(std::string_view bytes) override { return run(bytes, Z_FINISH); }

 private:
  std::string run(std::string_view bytes, int flush) {
    std::string out;
    std::array<char, 16 << 10> piece;
    while (true) {
      auto take = std::min<std::size_t>(bytes.size(), 1U << 30U);
      bool last = take == bytes.size();
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(take);
      do {
        stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream_.avail_out = static_cast<uInt>(piece.size());
        deflate(&stream_, last ? flush : Z_NO_FLUSH);
        out.append(piece.data(), piece.size() - stream_.avail_out);
      } while (stream_.avail_out == 0);
      bytes.remove_prefix(take);
      if (last) return out;
    }
  }

  z_stream stream_{};
  bool ready_ = false;
};

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, 3);
    // Readers need not accept more than 8 MiB of window; level 3 stays far below, this keeps it so.
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, 20);
  }
  std::string write(std::string_view bytes) override { return run(bytes, ZSTD_e_flush); }
  std::string finish(std::string_view bytes) override { return run(bytes, ZSTD_e_end); }

 private:
  std::string run(std::string_view bytes, ZSTD_EndDirective directive) {
    std::string out;
    std::array<char, 16 << 10> piece;
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (true) {
      ZSTD_outBuffer buffer{piece.data(), piece.size(), 0};
      std::size_t remaining = ZSTD_compressStream2(context_.get(), &buffer, &in, directive);
      out.append(piece.data(), buffer.pos);
      if (ZSTD_isError(remaining) != 0U || (remaining == 0 && in.pos == in.size)) return out;
    }
  }

  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context_;
};

}  // namespace

Coding parse_coding(std::string_view content_encoding) {
  auto items = split_list(content_encoding);
  std::erase_if(items, [](std::string_view item) { return iequals(item, "identity"); });
  if (items.empty()) return Coding::identity;
  if (items.size() > 1) return Coding::unknown;
  if (iequals(items[0], "gzip") || iequals(items[0], "x-gzip")) return Coding::gzip;
  if (iequals(items[0], "deflate")) return Coding::deflate;
  if (iequals(items[0], "zstd")) return Coding::zstd;
  return Coding::unknown;
}

std::string_view to_string(Coding coding) {
  switch (coding) {
    case Coding::gzip: return "gzip";
    case Coding::deflate: return "deflate";
    case Coding::zstd: return "zstd";
    case Coding::identity: return "identity";
    case Coding::unknown: break;
  }
  return "unknown";
}

Coding negotiate(std::string_view accept_encoding) {
  int gzip = -1;
  int zstd = -1;
  int any = 0;
  for (auto item : split_list(accept_encoding)) {
    auto name = trim(item.substr(0, item.find(';')));
    if (iequals(name, "gzip") || iequals(name, "x-gzip")) gzip = weight_of(item);
    if (iequals(name, "zstd")) zstd = weight_of(item);
    if (name == "*") any = weight_of(item);
  }
  if (gzip < 0) gzip = any;
  if (zstd < 0) zstd = any;
  if (zstd > 0 && zstd >= gzip) return Coding::zstd;
  return gzip > 0 ? Coding::gzip : Coding::identity;
}

bool compressible(std::string_view content_type) {
  auto type = media_type(content_type);
  if (type.starts_with("text/") || type.ends_with("+json") || type.ends_with("+xml")) return true;
  static constexpr auto kTypes = std::to_array<std::string_view>(
      {"application/json", "application/javascript", "application/x-javascript", "application/xml", "application/yaml",
       "application/x-yaml", "application/x-ndjson", "application/openmetrics-text", "application/wasm",
       "application/toml"});
  return std::ranges::find(kTypes, type) != kTypes.end();
}

Result<std::string> decompress(Coding coding, std::string_view input, std::size_t limit, const GrowCheck& grow) {
  Output output{.bytes = {}, .limit = limit, .grow = grow};
  Result<> done;
  switch (coding) {
    case Coding::identity: done = output.append(input); break;
    case Coding::gzip: done = inflate_all(kGzipWindowBits, input, output); break;
    case Coding::zstd: done = unzstd_all(input, output); break;
    case Coding::deflate: {
      // RFC 9110 §8.4.1.2 means zlib's format; some clients send raw deflate. A zlib header is told by its checksum.
      bool zlib = input.size() >= 2 && (static_cast<unsigned char>(input[0]) & 15U) == 8 &&
                  (static_cast<unsigned char>(input[0]) * 256U + static_cast<unsigned char>(input[1])) % 31 == 0;
      done = inflate_all(zlib ? 15 : -15, input, output);
      break;
    }
    case Coding::unknown: done = fail(ErrorKind::bad_input, "unsupported Content-Encoding"); break;
  }
  if (!done) return std::unexpected(std::move(done.error()));
  return std::move(output.bytes);
}

std::unique_ptr<Encoder> Encoder::create(Coding coding) {
  if (coding == Coding::zstd) return std::make_unique<ZstdEncoder>();
  return std::make_unique<GzipEncoder>();
}

}  // namespace tocayo::http::detail
