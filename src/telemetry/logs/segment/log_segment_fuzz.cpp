// SPDX-License-Identifier: Apache-2.0
// Log segments, both ways. Lines of any bytes come back as they went in, and the filters find on the encodings what
// they find on the lines; files with damage whose checksums are right again end in an error or in rows, never outside
// their bytes. The first byte of the input says which.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/hash.h"
#include "logs/segment.h"
#include "logs/segment/format.h"
#include "logs/segment/sample_lines.h"

using namespace tocayo;
using namespace tocayo::logs;

namespace {

void expect(bool good) {
  if (!good) std::abort();
}

std::filesystem::path file() {
  static const auto path =
      std::filesystem::temp_directory_path() / fmt::format("tocayo-segment-fuzz-{}.tseg", ::getpid());
  return path;
}

struct Line {
  TimestampNs time;
  std::string_view text;
};

void write(const std::vector<Line>& lines, std::uint32_t level) {
  auto writer = SegmentWriter::create(file(), {.tenant = "t", .level = level});
  expect(writer && writer->start_stream(Labels{{"a", "b"}}));
  const LabelView pair{"k", lines.front().text.substr(0, 8)};
  for (const auto& line : lines) {
    const std::size_t pairs = line.text.size() % 2 != 0 && !pair.value.empty() ? 1 : 0;
    expect(writer->add({.time = line.time, .line = line.text, .metadata = {&pair, pairs}}).has_value());
  }
  expect(writer->finish().has_value());
}

Selection everything() { return {.matchers = {}, .start = INT64_MIN, .end = INT64_MAX}; }

template <class Visit>
Result<> scan(const SegmentReader& reader, const Selection& selection, Visit visit) {
  const auto compiled = compile(selection);
  if (!compiled) return {};
  std::vector<std::uint32_t> map(reader.streams().size());
  for (std::uint32_t i = 0; i < map.size(); ++i) map[i] = i;
  ScanStats stats;
  for (std::uint32_t group = 0; group < reader.groups().size(); ++group) {
    auto done = reader.scan(
        group, **compiled, map, selection.start, selection.end, Context{},
        [&](std::span<const Row> rows) -> Result<bool> {
          for (const auto& row : rows) visit(row);
          return true;
        },
        stats);
    if (!done) return done;
  }
  return {};
}

void round_trip(std::string_view input) {
  if (input.size() < 4) return;
  const auto how = static_cast<unsigned char>(input[0]);
  std::string_view needle = input.substr(1, how % 8);
  const std::string_view text = input.substr(std::min<std::size_t>(input.size(), 1 + how % 8));
  std::vector<Line> lines;
  TimestampNs time = 1'764'000'000'000'000'000;
  // Lines often repeat with small changes: rounds over the same text, one byte shorter each time.
  for (std::size_t round = 0; round < 12; ++round) {
    for (std::size_t at = 0; at < text.size() && lines.size() < 4000;) {
      auto end = text.find('\n', at);
      if (end == std::string_view::npos) end = text.size();
      lines.push_back({time, text.substr(at, end - at - std::min(end - at, round % 3))});
      time += static_cast<TimestampNs>(how) * static_cast<TimestampNs>(round) * 1'000;
      at = end + 1;
    }
  }
  if (lines.empty()) return;
  write(lines, how % 3);
  const auto reader = SegmentReader::open(file());
  expect(reader.has_value());
  std::size_t next = 0;
  expect(scan(**reader, everything(), [&](const Row& row) {
           expect(next < lines.size() && row.line == lines[next].text && row.time == lines[next].time);
           ++next;
         }).has_value());
  expect(next == lines.size() && (*reader)->verify());
  for (auto kind : {LineFilter::Kind::contains, LineFilter::Kind::regex, LineFilter::Kind::pattern}) {
    auto selection = everything();
    selection.line_filters.push_back({.kind = kind, .negated = how % 2 != 0, .operands = {std::string(needle)}});
    const auto matcher = LineMatcher::create(selection.line_filters[0]);
    if (!matcher) continue;
    std::vector<std::uint64_t> found;
    expect(scan(**reader, selection, [&](const Row& row) { found.push_back(row.order); }).has_value());
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < lines.size(); ++i) {
      const bool in = at < found.size() && found[at] == i;
      expect(in == matcher->matches(lines[i].text));
      at += in ? 1 : 0;
    }
  }
}

const std::string& good_file() {
  static const std::string bytes = [] {
    std::mt19937_64 random(1);
    std::vector<std::string> texts;
    for (unsigned i = 0; i < 900; ++i)
      texts.push_back(sample::line(i % sample::kKinds, random, static_cast<TimestampNs>(i) * 1'000'000'000));
    std::vector<Line> lines;
    for (std::size_t i = 0; i < texts.size(); ++i)
      lines.push_back({static_cast<TimestampNs>(i) * 1'000'000'000, texts[i]});
    write(lines, 1);
    std::ifstream in(file(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  return bytes;
}

template <class T>
T get(const std::string& bytes, std::uint64_t at) {
  T value{};
  if (at <= bytes.size() && sizeof value <= bytes.size() - at) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <class T>
void set(std::string& bytes, std::uint64_t at, const T& value) {
  if (at <= bytes.size() && sizeof value <= bytes.size() - at) std::memcpy(bytes.data() + at, &value, sizeof value);
}
std::uint64_t hash_of(const std::string& bytes, std::uint64_t at, std::uint64_t size) {
  if (at > bytes.size() || size > bytes.size() - at) return 0;
  return hash64(std::string_view(bytes).substr(at, size));
}

// Makes all checksums right again.
void seal(std::string& bytes) {
  const std::uint64_t footer_at = bytes.size() - 16 - sizeof(format::Footer);
  auto footer = get<format::Footer>(bytes, footer_at);
  for (std::uint64_t g = 0; g < std::min<std::uint64_t>(footer.groups, 8); ++g) {
    const auto place_at = footer.group_table + g * sizeof(format::GroupPlace);
    auto place = get<format::GroupPlace>(bytes, place_at);
    const auto part = footer.index_offset + place.offset;
    const auto group = get<format::Group>(bytes, part);
    const auto blocks = part + sizeof group + group.templates * sizeof(format::Template) +
                        static_cast<std::uint64_t>(group.columns) * sizeof(format::Column);
    for (std::uint32_t b = 0; b < std::min(group.blocks, 64U); ++b) {
      auto block = get<format::Block>(bytes, blocks + b * sizeof(format::Block));
      block.hash = hash_of(bytes, block.offset, block.stored);
      set(bytes, blocks + b * sizeof block, block);
    }
    place.hash = hash_of(bytes, part, place.size);
    set(bytes, place_at, place);
  }
  footer.hash = hash_of(bytes, footer.group_table, footer_at - footer.group_table);
  set(bytes, footer_at, footer);
}

void damaged(std::string_view input) {
  std::string bytes = good_file();
  // Three bytes of the input each: where, counted from the end (most of what is read closely is there), and what.
  for (; input.size() >= 3; input.remove_prefix(3)) {
    const auto at =
        static_cast<std::size_t>(static_cast<unsigned char>(input[0]) * 256 + static_cast<unsigned char>(input[1]));
    bytes[bytes.size() - 1 - at % bytes.size()] = input[2];
  }
  seal(bytes);
  std::ofstream(file(), std::ios::binary | std::ios::trunc) << bytes;
  const auto reader = SegmentReader::open(file());
  if (!reader) return;
  (void)(*reader)->verify();
  (void)(*reader)->report();
  for (const char* text : {"error", "10\\.1\\d", "(?i)DONE|x", "[0-9]{4}[a-f]"}) {
    auto selection = everything();
    selection.line_filters.push_back({.kind = LineFilter::Kind::regex, .negated = false, .operands = {text}});
    (void)scan(**reader, selection, [](const Row&) {});
  }
  auto selection = everything();
  selection.line_filters.push_back(
      {.kind = LineFilter::Kind::contains, .negated = false, .operands = {"host-1 sshd["}});
  (void)scan(**reader, selection, [](const Row&) {});
  std::vector<std::uint32_t> streams((*reader)->streams().size());
  for (std::uint32_t i = 0; i < streams.size(); ++i) streams[i] = i;
  (void)(*reader)->volume(streams, 10'000'000'000, 500'000'000'000, [](auto, auto, auto) {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (data[0] % 2 == 0) {
    round_trip(input.substr(1));
  } else {
    damaged(input.substr(1));
  }
  return 0;
}
