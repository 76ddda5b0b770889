// SPDX-License-Identifier: Apache-2.0
// A reader of Prometheus' chunk formats, written from their description, must find what was put in.
#include "metrics/api/prometheus_chunk.h"

#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>

#include <bit>
#include <cmath>
#include <random>

#include "core/hash.h"
#include "metrics/api/test_support.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {
namespace {

class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t bits(int count) {
    std::uint64_t value = 0;
    for (; count > 0; --count, ++at_) {
      EXPECT_LT(at_ / 8, bytes_.size());
      if (at_ / 8 >= bytes_.size()) return 0;
      value = value << 1 | ((static_cast<std::uint8_t>(bytes_[at_ / 8]) >> (7 - at_ % 8)) & 1);
    }
    return value;
  }
  double real() { return std::bit_cast<double>(bits(64)); }
  // Two's complement in Prometheus' shifted range: 2^(n-1) is positive.
  std::int64_t number(int count) {
    const std::uint64_t value = bits(count);
    if (count == 64 || value <= std::uint64_t{1} << (count - 1)) return static_cast<std::int64_t>(value);
    return static_cast<std::int64_t>(value - (std::uint64_t{1} << count));
  }
  std::uint64_t uvarint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint64_t byte = bits(8);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::int64_t varint() {
    const std::uint64_t value = uvarint();
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
  }
  int ones(int most) {
    int count = 0;
    while (count < most && bits(1) == 1) ++count;
    return count;
  }
  std::int64_t varbit() {
    static constexpr int kSizes[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    const int k = ones(8);
    return k == 0 ? 0 : number(kSizes[k]);
  }
  std::uint64_t uvarbit() {
    static constexpr int kSizes[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    const int k = ones(8);
    return k == 0 ? 0 : bits(kSizes[k]);
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

struct XorReader {
  std::uint64_t last = 0;
  int leading = 0, trailing = 0;
  double read(BitReader& in) {
    if (in.bits(1) == 1) {
      if (in.bits(1) == 1) {
        leading = static_cast<int>(in.bits(5));
        int significant = static_cast<int>(in.bits(6));
        if (significant == 0) significant = 64;
        trailing = 64 - leading - significant;
      }
      last ^= in.bits(64 - leading - trailing) << trailing;
    }
    return std::bit_cast<double>(last);
  }
};

void decode_xor(const std::string& bytes, SampleColumns& out) {
  const std::size_t count = static_cast<std::uint8_t>(bytes[0]) * 256u + static_cast<std::uint8_t>(bytes[1]);
  BitReader in(std::string_view(bytes).substr(2));
  std::int64_t time = 0, delta = 0;
  XorReader value;
  for (std::size_t i = 0; i < count; ++i) {
    if (i == 0) {
      time = in.varint();
      value.last = in.bits(64);
    } else {
      if (i == 1) {
        delta = static_cast<std::int64_t>(in.uvarint());
      } else {
        static constexpr int kSizes[] = {0, 14, 17, 20, 64};
        const int k = in.ones(4);
        if (k > 0) delta += in.number(kSizes[k]);
      }
      time += delta;
      value.read(in);
    }
    out.times.push_back(time);
    out.values.push_back(std::bit_cast<double>(value.last));
  }
}

void decode_histograms(const std::string& bytes, SampleColumns& out) {
  const std::size_t count = static_cast<std::uint8_t>(bytes[0]) * 256u + static_cast<std::uint8_t>(bytes[1]);
  BitReader in(std::string_view(bytes).substr(2));
  const auto header = in.bits(8);
  FloatHistogram layout;
  const auto zero = in.bits(8);
  layout.zero_threshold = zero == 0 ? 0 : zero == 255 ? in.real() : std::ldexp(0.5, static_cast<int>(zero) - 243);
  layout.schema = static_cast<std::int32_t>(in.varbit());
  std::size_t buckets[2] = {0, 0};
  for (int side : {0, 1}) {
    auto& spans = side == 0 ? layout.positive_spans : layout.negative_spans;
    for (auto n = in.uvarbit(); n > 0; --n) {
      const auto length = static_cast<std::uint32_t>(in.uvarbit());
      spans.push_back({static_cast<std::int32_t>(in.varbit()), length});
      buckets[side] += length;
    }
  }
  if (layout.uses_custom_buckets()) {
    for (auto n = in.uvarbit(); n > 0; --n) {
      const auto scaled = in.uvarbit();
      layout.custom_values.push_back(scaled == 0 ? in.real() : static_cast<double>(scaled - 1) / 1000);
    }
  }
  std::vector<XorReader> values(3 + buckets[0] + buckets[1]);
  std::int64_t time = 0, delta = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i == 0) {
      time = in.varbit();
      for (auto& value : values) value.last = in.bits(64);
    } else {
      delta += in.varbit();
      time += delta;
      for (auto& value : values) value.read(in);
    }
    auto histogram = std::make_shared<FloatHistogram>(layout);
    const auto at = [&](std::size_t k) { return std::bit_cast<double>(values[k].last); };
    histogram->count = at(0), histogram->zero_count = at(1), histogram->sum = at(2);
    for (std::size_t k = 0; k < buckets[0]; ++k) histogram->positive_buckets.push_back(at(3 + k));
    for (std::size_t k = 0; k < buckets[1]; ++k) histogram->negative_buckets.push_back(at(3 + buckets[0] + k));
    if (header == 0b1100'0000) {
      histogram->hint = ResetHint::gauge;
    } else if (i > 0) {
      histogram->hint = ResetHint::not_reset;
    } else {
      histogram->hint = header == 0x80 ? ResetHint::reset : header == 0x40 ? ResetHint::not_reset : ResetHint::unknown;
    }
    out.histogram_times.push_back(time);
    out.histograms.push_back(std::move(histogram));
  }
}

SampleColumns decode(const PrometheusChunk& chunk) {
  SampleColumns out;
  (chunk.encoding == PrometheusChunk::Encoding::xor_floats ? decode_xor : decode_histograms)(chunk.bytes, out);
  const auto& times = out.times.empty() ? out.histogram_times : out.times;
  EXPECT_EQ(chunk.min_time, times.front());
  EXPECT_EQ(chunk.max_time, times.back());
  return out;
}

std::vector<PrometheusChunk> cut(const SampleColumns& samples) {
  std::vector<PrometheusChunk> chunks;
  EXPECT_TRUE(each_chunk(samples, [&](PrometheusChunk&& chunk) -> Result<> {
    chunks.push_back(std::move(chunk));
    return {};
  }));
  return chunks;
}

// The example of a chunk that Prometheus writes: two samples, byte by byte.
TEST(PrometheusChunk, BytesOfASmallChunk) {
  SampleColumns samples;
  samples.times = {1000, 1015};
  samples.values = {1, 1};
  const auto chunks = cut(samples);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].bytes, std::string("\x00\x02\xd0\x0f\x3f\xf0\x00\x00\x00\x00\x00\x00\x0f\x00", 14));
}

TEST(PrometheusChunk, FloatsRoundTrip) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    SampleColumns samples;
    TimestampMs time = static_cast<TimestampMs>(random() >> 20) - (1LL << 43);
    double value = 0;
    const std::size_t count = 1 + random() % 400;
    for (std::size_t i = 0; i < count; ++i) {
      const auto kind = random() % 8;
      time += kind < 5 ? 15'000 : 1 + static_cast<TimestampMs>(random() >> (20 + random() % 44));
      if (kind == 1) value = std::bit_cast<double>(random());
      if (kind == 2) value = kStaleNaN;
      if (kind > 4) value = static_cast<double>(random() % 1000);
      samples.times.push_back(time);
      samples.values.push_back(value);
    }
    SampleColumns back;
    for (const auto& chunk : cut(samples)) {
      const SampleColumns part = decode(chunk);
      EXPECT_LE(part.times.size(), kChunkSamples);
      back.times.insert(back.times.end(), part.times.begin(), part.times.end());
      back.values.insert(back.values.end(), part.values.begin(), part.values.end());
    }
    ASSERT_EQ(back.times, samples.times);
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_EQ(std::bit_cast<std::uint64_t>(back.values[i]), std::bit_cast<std::uint64_t>(samples.values[i]));
  }
}

std::shared_ptr<const FloatHistogram> histogram(double scale, ResetHint hint = ResetHint::unknown) {
  auto out = std::make_shared<FloatHistogram>();
  out->schema = 3;
  out->zero_threshold = 0.001;
  out->zero_count = 2 * scale;
  out->count = 12 * scale;
  out->sum = 18.4 * scale;
  out->positive_spans = {{-300, 2}, {1, 2}};
  out->positive_buckets = {scale, scale, 2 * scale, scale};
  out->negative_spans = {{5, 1}};
  out->negative_buckets = {5 * scale};
  out->hint = hint;
  return out;
}

TEST(PrometheusChunk, HistogramsRoundTripAndCutWhereTheyMust) {
  SampleColumns samples;
  const auto add = [&](std::shared_ptr<const FloatHistogram> one) {
    samples.histogram_times.push_back(static_cast<TimestampMs>(samples.histogram_times.size()) * 15'000 +
                                      1'700'000'000'000);
    samples.histograms.push_back(std::move(one));
  };
  for (int i = 1; i <= 130; ++i) add(histogram(i));  // 120 and 10
  add(histogram(2));                                 // a reset nobody marked
  add(histogram(3, ResetHint::not_reset));
  add(histogram(4, ResetHint::reset));  // one that is marked
  auto wide = *histogram(5);
  wide.zero_threshold = 0.25;                   // one byte
  add(std::make_shared<FloatHistogram>(wide));  // another layout
  add(histogram(6, ResetHint::gauge));
  add(histogram(1, ResetHint::gauge));
  auto stale = std::make_shared<FloatHistogram>();
  stale->sum = kStaleNaN;
  add(stale);
  auto custom = std::make_shared<FloatHistogram>();
  custom->schema = kCustomBucketsSchema;
  custom->custom_values = {-1, 0, 0.005, 0.1, 33'554.43, 33'554.431, 1e9};
  custom->positive_spans = {{0, 8}};
  custom->positive_buckets = {1, 2, 3, 4, 5, 6, 7, 8};
  custom->count = 36;
  custom->sum = 1e6;
  add(custom);
  const auto chunks = cut(samples);
  std::vector<std::size_t> sizes;
  SampleColumns back;
  for (const auto& chunk : chunks) {
    EXPECT_EQ(chunk.encoding, PrometheusChunk::Encoding::float_histogram);
    const SampleColumns part = decode(chunk);
    sizes.push_back(part.histograms.size());
    back.histogram_times.insert(back.histogram_times.end(), part.histogram_times.begin(), part.histogram_times.end());
    back.histograms.insert(back.histograms.end(), part.histograms.begin(), part.histograms.end());
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{120, 10, 2, 1, 1, 2, 1, 1}));
  ASSERT_EQ(back.histogram_times, samples.histogram_times);
  for (std::size_t i = 0; i < back.histograms.size(); ++i) {
    FloatHistogram got = *back.histograms[i], want = *samples.histograms[i];
    if (is_stale(want.sum)) {
      EXPECT_TRUE(is_stale(got.sum));
      continue;
    }
    if (want.hint != ResetHint::unknown) EXPECT_EQ(got.hint, want.hint) << i;
    if (i == 130) EXPECT_EQ(got.hint, ResetHint::unknown) << "a first one says nothing it does not know";
    EXPECT_EQ(got.schema, want.schema);
    EXPECT_EQ(got.zero_threshold, want.zero_threshold);
    EXPECT_EQ(got.zero_count, want.zero_count);
    EXPECT_EQ(got.count, want.count);
    EXPECT_EQ(got.sum, want.sum);
    EXPECT_EQ(got.positive_spans, want.positive_spans);
    EXPECT_EQ(got.positive_buckets, want.positive_buckets);
    EXPECT_EQ(got.negative_spans, want.negative_spans);
    EXPECT_EQ(got.negative_buckets, want.negative_buckets);
    EXPECT_EQ(got.custom_values, want.custom_values);
  }
}

TEST(PrometheusChunk, FloatsAndHistogramsDoNotOverlap) {
  SampleColumns samples;
  samples.times = {10, 20, 50};
  samples.values = {1, 2, 3};
  samples.histogram_times = {30, 40, 60};
  samples.histograms = {histogram(1), histogram(2), histogram(3)};
  std::vector<std::pair<TimestampMs, TimestampMs>> ranges;
  for (const auto& chunk : cut(samples)) ranges.emplace_back(chunk.min_time, chunk.max_time);
  EXPECT_EQ(ranges, (std::vector<std::pair<TimestampMs, TimestampMs>>{{10, 20}, {30, 40}, {50, 50}, {60, 60}}));
  EXPECT_TRUE(cut({}).empty());
}

TEST(RemoteRead, StreamsChunks) {
  test::Fixture fixture;
  for (int i = 0; i < 300; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 0+1x500");
  fixture.load("h {{schema:0 sum:5 count:3 buckets:[1 2]}}x2");
  using metrics::test::Writer;
  std::string body;
  {
    Writer out(body);
    for (const char* name : {"m", "h"}) {
      Writer query(out, 1);
      query.add_int64(1, 0);
      query.add_int64(2, 5'000'000);
      Writer matcher(query, 3);
      matcher.add_enum(1, 0);
      matcher.add_string(2, "__name__");
      matcher.add_string(3, name);
    }
  }
  Writer(body).add_enum(2, 1);
  http::Request request = test::Fixture::get("");
  request.method = "POST";
  request.body = snappy_block_encode(body);
  auto response = fixture.call(handle_remote_read, request);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.get("Content-Type"),
            "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
  ASSERT_TRUE(response.stream);
  EXPECT_EQ(fixture.core->gate.running(), 0u) << "sending holds no slot";
  test::StringSink sink;
  ASSERT_TRUE(sync_wait(response.stream(sink)));
  EXPECT_GT(sink.chunks, 2u);
  EXPECT_LT(sink.biggest, 200u << 10);

  std::size_t series = 0, floats = 0, histograms = 0;
  std::string last;
  std::string_view rest = sink.text;
  while (!rest.empty()) {
    BitReader prefix(rest);
    const std::size_t size = prefix.uvarint();
    const auto checksum = static_cast<std::uint32_t>(prefix.bits(32));
    const std::size_t header = (size < 128 ? 1u : size < 16'384 ? 2u : 3u) + 4;
    const std::string_view message = rest.substr(header, size);
    ASSERT_EQ(crc32c(message), checksum);
    rest.remove_prefix(header + size);
    protozero::pbf_reader frame(message.data(), message.size());
    std::int64_t query = 0;
    std::string labels;
    while (frame.next()) {
      if (frame.tag() == 2) {
        query = frame.get_int64();
        continue;
      }
      ASSERT_EQ(frame.tag(), 1u);
      auto chunked = frame.get_message();
      while (chunked.next()) {
        if (chunked.tag() == 1) {
          labels += chunked.get_string();
          continue;
        }
        ASSERT_EQ(chunked.tag(), 2u);
        auto fields = chunked.get_message();
        PrometheusChunk chunk{};
        while (fields.next()) {
          switch (fields.tag()) {
            case 1: chunk.min_time = fields.get_int64(); break;
            case 2: chunk.max_time = fields.get_int64(); break;
            case 3: chunk.encoding = static_cast<PrometheusChunk::Encoding>(fields.get_enum()); break;
            case 4: chunk.bytes = fields.get_string(); break;
            default: FAIL();
          }
        }
        const SampleColumns part = decode(chunk);
        floats += part.times.size();
        histograms += part.histograms.size();
      }
    }
    EXPECT_EQ(query, labels.find("__name__") != std::string::npos && labels.ends_with("h") ? 1 : 0);
    if (labels != last) ++series;
    last = labels;
  }
  EXPECT_EQ(series, 301u);
  EXPECT_EQ(floats, 300u * 501);
  EXPECT_EQ(histograms, 3u);
}

}  // namespace
}  // namespace tocayo::metrics::api
