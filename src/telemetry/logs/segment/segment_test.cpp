// SPDX-License-Identifier: Apache-2.0
#include "logs/segment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "core/testing.h"
#include "logs/segment/format.h"
#include "logs/segment/sample_lines.h"

namespace tocayo::logs {
namespace {

struct Entry {
  std::uint32_t stream;
  TimestampNs time;
  std::string line;
  std::vector<Label> metadata;
};

class SegmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / fmt::format("tocayo-segment-{}", ::getpid());
    std::filesystem::create_directories(directory_);
    path_ = directory_ / "a.tseg";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // Streams {n="0"} … with rows of the given kinds.
  void make(std::size_t rows, std::uint32_t streams, unsigned kinds, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    TimestampNs time = 1'764'000'000'000'000'000;
    for (std::uint32_t stream = 0; stream < streams; ++stream) {
      time -= 1'000'000'000;
      for (std::size_t i = 0; i < rows / streams; ++i) {
        if (random() % 5 != 0) time += static_cast<TimestampNs>(random() % 2'000'000'000);
        Entry entry{.stream = stream,
                    .time = time,
                    .line = sample::line(static_cast<unsigned>(random() % kinds), random, time)};
        if (random() % 3 == 0) entry.metadata.push_back({"detected_level", random() % 2 == 0 ? "info" : "error"});
        if (random() % 4 == 0) entry.metadata.push_back({"trace_id", sample::hex(random, 16)});
        if (random() % 97 == 0) entry.metadata.push_back({"zone", std::string("a\0b", 3)});
        entries_.push_back(std::move(entry));
      }
    }
  }
  void write(std::uint32_t level = 0) {
    auto writer = SegmentWriter::create(path_, {.tenant = "t", .level = level, .journal_from = 3, .journal_to = 9});
    ASSERT_TRUE(writer) << writer.error().message;
    std::uint32_t last = 0xFFFFFFFF;
    for (const auto& entry : entries_) {
      if (entry.stream != last) {
        auto started = writer->start_stream(labels(entry.stream));
        ASSERT_TRUE(started) << started.error().message;
      }
      last = entry.stream;
      std::vector<LabelView> metadata;
      for (const auto& pair : entry.metadata) metadata.push_back({pair.name, pair.value});
      auto added = writer->add({.time = entry.time, .line = entry.line, .metadata = metadata});
      ASSERT_TRUE(added) << added.error().message;
    }
    auto info = writer->finish();
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->rows, entries_.size());
    file_bytes_ = info->file_bytes;
    auto reader = SegmentReader::open(path_);
    ASSERT_TRUE(reader) << reader.error().message;
    reader_ = *reader;
  }
  static Labels labels(std::uint32_t stream) { return Labels{{"app", "x"}, {"n", fmt::format("{:04}", stream)}}; }

  struct Got {
    std::vector<std::uint64_t> orders;
    ScanStats stats;
  };
  // Orders of the rows found; each row is compared with what went in.
  Got find(const Selection& selection, const std::vector<std::uint32_t>& map) {
    Got got;
    auto compiled = compile(selection);
    EXPECT_TRUE(compiled) << compiled.error().message;
    if (!compiled) return got;
    for (std::uint32_t group = 0; group < reader_->groups().size(); ++group) {
      auto done = reader_->scan(
          group, **compiled, map, selection.start, selection.end, Context{},
          [&](std::span<const Row> rows) -> Result<bool> {
            for (const auto& row : rows) {
              EXPECT_LT(row.order, entries_.size());
              const auto& entry = entries_[row.order];
              EXPECT_EQ(row.time, entry.time);
              EXPECT_EQ(row.stream, map[entry.stream]);
              EXPECT_EQ(row.length, entry.line.size());
              if (selection.want_line) EXPECT_EQ(row.line, entry.line);
              if (selection.want_metadata) {
                EXPECT_EQ(row.metadata.size(), entry.metadata.size());
                for (std::size_t i = 0; i < std::min(row.metadata.size(), entry.metadata.size()); ++i) {
                  EXPECT_EQ(row.metadata[i].name, entry.metadata[i].name);
                  EXPECT_EQ(row.metadata[i].value, entry.metadata[i].value);
                }
              }
              got.orders.push_back(row.order);
            }
            return true;
          },
          got.stats);
      EXPECT_TRUE(done) << done.error().message;
    }
    return got;
  }
  std::vector<std::uint64_t> expect(const Selection& selection, const std::vector<std::uint32_t>& map) const {
    std::vector<LineMatcher> matchers;
    for (const auto& filter : selection.line_filters) matchers.push_back(*LineMatcher::create(filter));
    std::vector<std::uint64_t> orders;
    for (std::uint64_t i = 0; i < entries_.size(); ++i) {
      const auto& entry = entries_[i];
      bool passes = map[entry.stream] != SegmentReader::kSkipStream && entry.time >= selection.start &&
                    entry.time < selection.end;
      for (const auto& matcher : matchers) passes = passes && matcher.matches(entry.line);
      for (const auto& filter : selection.label_filters) {
        std::string value(labels(entry.stream).get(filter.name()));
        if (value.empty()) {
          for (const auto& pair : entry.metadata) {
            if (pair.name == filter.name()) value = pair.value;
          }
        }
        passes = passes && filter.matches(value);
      }
      if (passes) orders.push_back(i);
    }
    return orders;
  }
  std::vector<std::uint32_t> everyone() const {
    std::vector<std::uint32_t> map(reader_->streams().size());
    for (std::uint32_t i = 0; i < map.size(); ++i) map[i] = i;
    return map;
  }

  std::filesystem::path directory_;
  std::filesystem::path path_;
  std::vector<Entry> entries_;
  std::shared_ptr<SegmentReader> reader_;
  std::uint64_t file_bytes_ = 0;
};

constexpr TimestampNs kAlways = std::numeric_limits<TimestampNs>::max();
Selection all() { return Selection{.start = std::numeric_limits<TimestampNs>::min(), .end = kAlways}; }
Selection containing(std::string text, bool negated = false) {
  auto selection = all();
  selection.line_filters.push_back(
      {.kind = LineFilter::Kind::contains, .negated = negated, .operands = {std::move(text)}});
  return selection;
}

TEST_F(SegmentTest, GivesEveryByteBack) {
  make(30000, 7, sample::kKinds, 1);
  write();
  const auto map = everyone();
  EXPECT_EQ(find(all(), map).orders.size(), entries_.size());
  auto bare = all();
  bare.want_line = bare.want_metadata = false;
  EXPECT_EQ(find(bare, map).orders.size(), entries_.size());
  EXPECT_EQ(reader_->info().options.journal_to, 9U);
  EXPECT_EQ(reader_->info().options.tenant, "t");
  auto verified = reader_->verify();
  EXPECT_TRUE(verified) << verified.error().message;
}

TEST_F(SegmentTest, OddLines) {
  const std::vector<std::string> lines = {"",
                                          std::string(200000, 'x'),
                                          std::string("a\0b", 3),
                                          "\x11t00"
                                          "0",
                                          "2026-02-31T10:00:00Z",
                                          "2026-02-28T24:00:00.000Z x",
                                          "Feb 29 23:59:60 y",
                                          "id=-0 id=00 id=007 id=9223372036854775808",
                                          "v=1.0 v=01.0 v=-0.0 v=.5 v=5. v=1e5 v=1.2.3",
                                          "1.2.3.4 01.2.3.4 256.1.1.1",
                                          "\xff\xfe=1",
                                          "\n\n\r"};
  TimestampNs time = -5;
  for (int round = 0; round < 40; ++round) {
    for (const auto& line : lines) entries_.push_back({.stream = 0, .time = time++, .line = line, .metadata = {}});
  }
  write();
  EXPECT_EQ(find(all(), everyone()).orders.size(), entries_.size());
}

// Needles cut out of the lines and changed a little, against the plain meaning of the filters.
TEST_F(SegmentTest, FiltersAgreeWithThePlainMeaning) {
  make(12000, 5, sample::kKinds, 2);
  write();
  const auto map = everyone();
  std::mt19937_64 random(3);
  std::size_t found = 0;
  const int rounds = test_rounds(1500, 15000, 150);
  for (int round = 0; round < rounds; ++round) {
    auto selection = all();
    for (std::uint64_t n = 0, filters = 1 + random() % 2; n < filters; ++n) {
      LineFilter filter{.kind = LineFilter::Kind::contains, .negated = random() % 4 == 0, .operands = {}};
      for (std::uint64_t k = 0, operands = 1 + (random() % 5 == 0 ? 1 : 0); k < operands; ++k) {
        const auto& line = entries_[random() % entries_.size()].line;
        std::string text;
        if (!line.empty()) {
          const auto at = random() % line.size();
          text = line.substr(at, 1 + random() % 24);
        }
        if (random() % 6 == 0 && !text.empty()) text[random() % text.size()] = static_cast<char>('0' + random() % 10);
        filter.operands.push_back(text);
      }
      const auto how = random() % 8;
      if (how <= 1) {
        filter.kind = LineFilter::Kind::regex;
        for (auto& operand : filter.operands) {
          std::string quoted;
          for (char c : operand) {
            if (std::string_view(R"(\.+*?()|[]{}^$)").find(c) != std::string_view::npos) quoted += '\\';
            quoted += c;
          }
          operand = how == 0 ? "(?i)" + quoted : quoted + ".";
          if (!LineMatcher::create({.kind = filter.kind, .negated = false, .operands = {operand}})) operand = "x+y";
        }
      } else if (how == 2) {
        filter.kind = LineFilter::Kind::pattern;
        for (auto& operand : filter.operands) {
          operand = "<_>" + operand + "<_>";
          if (!LineMatcher::create({.kind = filter.kind, .negated = false, .operands = {operand}})) operand = "<_>";
        }
      }
      selection.line_filters.push_back(std::move(filter));
    }
    const auto expected = expect(selection, map);
    found += expected.size();
    const auto got = find(selection, map).orders;
    if (got != expected) {
      std::string text;
      for (const auto& filter : selection.line_filters) {
        text += fmt::format("kind {} negated {}:", static_cast<int>(filter.kind), filter.negated);
        for (const auto& operand : filter.operands) text += " «" + operand + "»";
      }
      std::vector<std::uint64_t> wrong;
      std::ranges::set_symmetric_difference(got, expected, std::back_inserter(wrong));
      FAIL() << text << "\nwrong row: " << entries_[wrong[0]].line;
    }
  }
  EXPECT_GT(found, static_cast<std::size_t>(rounds) * 6);
}

TEST_F(SegmentTest, MetadataStreamsAndTimes) {
  make(9000, 9, 5, 4);
  write();
  std::mt19937_64 random(5);
  auto with_metadata = std::ranges::find_if(entries_, [](const Entry& entry) {
    return std::ranges::any_of(entry.metadata, [](const Label& pair) { return pair.name == "trace_id"; });
  });
  std::string trace;
  for (const auto& pair : with_metadata->metadata) {
    if (pair.name == "trace_id") trace = pair.value;
  }
  const std::vector<Matcher> filters = {Matcher::equal("trace_id", trace),
                                        Matcher::equal("trace_id", "0000000000000000"),
                                        Matcher::equal("trace_id", ""),
                                        *Matcher::create(Matcher::Type::regex, "detected_level", "err.*"),
                                        *Matcher::create(Matcher::Type::not_equal, "detected_level", "info"),
                                        *Matcher::create(Matcher::Type::equal, "n", "0003"),
                                        *Matcher::create(Matcher::Type::not_regex, "nowhere", ".+"),
                                        Matcher::equal("nowhere", "x")};
  for (int round = 0; round < test_rounds(300, 3000, 60); ++round) {
    auto map = everyone();
    for (auto& number : map) {
      if (random() % 3 == 0) number = SegmentReader::kSkipStream;
    }
    auto selection = all();
    if (round % 2 == 0) {
      selection.start = entries_[random() % entries_.size()].time;
      selection.end = selection.start + static_cast<TimestampNs>(random() % 2'000'000'000'000);
    }
    selection.label_filters.push_back(filters[random() % filters.size()]);
    if (round % 3 == 0) selection.label_filters.push_back(filters[random() % filters.size()]);
    ASSERT_EQ(find(selection, map).orders, expect(selection, map)) << round;
    std::vector<std::uint32_t> streams;
    for (std::uint32_t i = 0; i < map.size(); ++i) streams.push_back(i);
    std::vector<std::uint64_t> rows(map.size());
    std::vector<std::uint64_t> bytes(map.size());
    auto done = reader_->volume(streams, selection.start, selection.end, [&](auto stream, auto count, auto size) {
      rows[stream] += count;
      bytes[stream] += size;
    });
    ASSERT_TRUE(done);
    for (const auto& entry : entries_) {
      if (entry.time < selection.start || entry.time >= selection.end) continue;
      --rows[entry.stream];
      bytes[entry.stream] -= entry.line.size();
    }
    EXPECT_TRUE(std::ranges::all_of(rows, [](auto n) { return n == 0; }));
    EXPECT_TRUE(std::ranges::all_of(bytes, [](auto n) { return n == 0; }));
  }
}

TEST_F(SegmentTest, NeedlesSkipTheirGroups) {
  make(200000, 3, 5, 6);
  write();
  ASSERT_GT(reader_->groups().size(), 2U);
  const auto map = everyone();
  const auto absent = find(containing("no such words anywhere"), map);
  EXPECT_TRUE(absent.orders.empty());
  EXPECT_EQ(absent.stats.groups_skipped, absent.stats.groups);
  EXPECT_EQ(absent.stats.bytes_read, 0U);
  const auto trace = find(containing("0123456789abcdef"), map);
  EXPECT_TRUE(trace.orders.empty());
  EXPECT_EQ(trace.stats.bytes_read, 0U);
}

TEST_F(SegmentTest, PatternsMatchTheLinesTheyCount) {
  make(8000, 2, 7, 8);
  write();
  auto selection = compile(all());
  ASSERT_TRUE(selection);
  std::map<std::string, std::size_t> counts;
  std::set<std::string, std::less<>> lines;
  for (const Entry& entry : entries_) lines.emplace(entry.line);
  std::size_t loose = 0;
  for (std::uint32_t group = 0; group < reader_->groups().size(); ++group) {
    auto done = reader_->patterns(
        group, **selection, everyone(), all().start, all().end, Context{},
        [&](std::string_view pattern, std::string_view, TimestampNs) { ++counts[std::string(pattern)]; },
        [&](std::string_view line, std::string_view, TimestampNs) { loose += lines.contains(line) ? 1 : 0; });
    ASSERT_TRUE(done) << done.error().message;
  }
  std::size_t listed = 0;
  for (const auto& [pattern, count] : counts) {
    listed += count;
    auto matcher = LineMatcher::create({.kind = LineFilter::Kind::pattern, .negated = false, .operands = {pattern}});
    ASSERT_TRUE(matcher) << pattern << ": " << matcher.error().message;
    const auto matching =
        std::ranges::count_if(entries_, [&](const Entry& entry) { return matcher->matches(entry.line); });
    EXPECT_GE(static_cast<std::size_t>(matching), count) << pattern;
  }
  EXPECT_GT(listed, entries_.size() / 2);
  EXPECT_GT(loose, 0U);
  EXPECT_EQ(listed + loose, entries_.size());
}

// Text that repeats from block to block, as free text does: merged segments train zstd on it.
TEST_F(SegmentTest, MergedLevelsAreSmallerAndGiveEveryByteBack) {
  std::mt19937_64 random(11);
  std::vector<std::string> words;
  for (int i = 0; i < 3000; ++i) words.push_back(sample::hex(random, 3 + random() % 8) + "zq");
  TimestampNs time = 1'764'000'000'000'000'000;
  for (int i = 0; i < 30000; ++i) {
    std::string line;
    for (std::size_t n = 3 + random() % 12; n > 0; --n)
      line += words[std::min(random() % 3000, random() % 3000)] + ",/ "[random() % 3];
    entries_.push_back({.stream = 0, .time = time += 1'000'000, .line = line, .metadata = {}});
  }
  std::vector<std::uint64_t> sizes;
  for (const std::uint32_t level : {0U, 1U, 2U}) {
    write(level);
    sizes.push_back(file_bytes_);
    EXPECT_EQ(find(all(), everyone()).orders.size(), entries_.size());
    auto verified = reader_->verify();
    EXPECT_TRUE(verified) << verified.error().message;
  }
  EXPECT_LT(sizes[1] * 100, sizes[0] * 97);
  EXPECT_LE(sizes[2], sizes[1]);
}

TEST_F(SegmentTest, ReportAddsUpToTheFile) {
  make(20000, 3, sample::kKinds, 12);
  write();
  const auto report = reader_->report(5);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->info.rows, entries_.size());
  EXPECT_EQ(report->worst_templates.size(), 5U);
  EXPECT_GE(report->worst_templates[0].file_bytes, report->worst_templates[4].file_bytes);
  EXPECT_GT(report->text_rows, 0U);
  std::uint64_t sum = 0;
  for (const auto& part : report->parts) sum += part.file_bytes;
  EXPECT_LE(sum, file_bytes_);
  EXPECT_GT(sum, file_bytes_ * 95 / 100);
  EXPECT_NE(to_text(*report).find("slots: wide integer"), std::string::npos);
}

TEST_F(SegmentTest, OtherVersionsAreRefused) {
  make(100, 1, 3, 13);
  write();
  std::string bytes;
  {
    std::ifstream in(path_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (const std::uint32_t version : {format::kOldestVersion - 1, format::kVersion + 1}) {
    bytes[bytes.size() - 12] = static_cast<char>(version);
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    const auto opened = SegmentReader::open(path_);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::bad_input);
    EXPECT_NE(opened.error().message.find("version"), std::string::npos) << opened.error().message;
  }
}

// Expressions that no literal narrows down, and such that the automaton or RE2 alone can answer.
TEST_F(SegmentTest, RegularExpressionsAgreeWithThePlainMeaning) {
  make(20000, 3, sample::kKinds, 14);
  entries_.push_back(
      {.stream = 2, .time = entries_.back().time, .line = "caf\xC3\xA9=na\xC3\xAFve-7 caf\xE9", .metadata = {}});
  write();
  const auto map = everyone();
  std::size_t found = 0;
  for (const char* text : {"[0-9]{4}[x-z][0-9]",
                           "[0-9]{4}[a-f][0-9]",
                           "^Nov",
                           "ssh2$",
                           "\\b10\\.",
                           "port 1[0-9]{3} ",
                           "s.*[45]04",
                           "Failed password for (root|admin) from 10\\.1\\d\\.",
                           "(?i)RESPONDER.*-9",
                           "[13579]$",
                           "^$",
                           "a|b|c",
                           "[^ -~]",
                           "\\pL{3}",
                           "é",
                           "ï.e",
                           "caf.$",
                           "duration=[12]\\.0",
                           "25/Nov.*(200|304)",
                           "[0-9]:[0-9]{2}:5",
                           "(info|warn).*\"ms\":[0-9]+\\.[05]",
                           "user\":\"[^ab]",
                           "x{2}|y{2}",
                           "\\s-\\s-\\s"}) {
    for (const bool negated : {false, true}) {
      auto selection = all();
      selection.line_filters.push_back({.kind = LineFilter::Kind::regex, .negated = negated, .operands = {text}});
      const auto expected = expect(selection, map);
      found += negated ? 0 : expected.size();
      ASSERT_EQ(find(selection, map).orders, expected) << text;
    }
  }
  EXPECT_GT(found, 20000U);
  auto selection = all();
  selection.line_filters.push_back(
      {.kind = LineFilter::Kind::contains, .negated = false, .operands = {"no such text"}});
  EXPECT_FALSE(reader_->may_match(**compile(selection)));
  EXPECT_TRUE(reader_->may_match(**compile(containing("ssh2"))));
}

// What is said of a group without its rows agrees with what its rows say.
TEST_F(SegmentTest, GroupsAreLeftOutOnlyWhenTheyHaveNothing) {
  make(150'000, 7, 5, 12);
  write();
  const auto groups = reader_->groups();
  ASSERT_GT(groups.size(), 2U);
  const auto map = everyone();
  std::size_t left_out = 0;
  for (std::size_t row : {40, 70'000, 149'000}) {
    while (entries_[row].line.find("trace_id=") == std::string::npos) --row;
    const auto& line = entries_[row].line;
    const auto selection = *compile(containing(line.substr(line.find("trace_id=") + 9, 16)));
    for (std::uint32_t g = 0; g < groups.size(); ++g) {
      ScanStats stats;
      std::uint64_t found = 0;
      ASSERT_TRUE(reader_->scan(
          g, *selection, map, INT64_MIN, INT64_MAX, {},
          [&](std::span<const Row> rows) -> Result<bool> {
            found += rows.size();
            return true;
          },
          stats));
      reader_->release(g);
      if (reader_->may_match(g, *selection)) continue;
      ++left_out;
      EXPECT_EQ(found, 0U);
      EXPECT_EQ(stats.groups_skipped, 1U);
      ScanStats counted;
      reader_->count_skipped(g, std::vector<char>(map.size(), 1), counted);
      EXPECT_EQ(counted.rows, stats.rows);
      EXPECT_EQ(counted.bytes, stats.bytes);
      EXPECT_EQ(counted.groups_skipped, 1U);
      ScanStats none;
      reader_->count_skipped(g, std::vector<char>(map.size(), 0), none);
      EXPECT_EQ(none.groups, 0U);
    }
  }
  EXPECT_GT(left_out, 0U);
  std::set<std::string> values;
  bool everywhere = true;
  const auto name = reader_->streams()[0].labels.begin()->name;
  for (const auto& stream : reader_->streams()) {
    const std::string value(stream.labels.get(name));
    everywhere = everywhere && !value.empty();
    if (!value.empty()) values.insert(value);
  }
  EXPECT_TRUE(std::ranges::equal(reader_->label(name).values, values));
  EXPECT_EQ(reader_->label(name).everywhere, everywhere);
  EXPECT_TRUE(reader_->label("no such label").values.empty());
  EXPECT_FALSE(reader_->label("no such label").everywhere);
}

TEST_F(SegmentTest, DamageIsFoundAndHarmsNothingElse) {
  make(4000, 3, sample::kKinds, 9);
  write();
  std::ifstream in(path_, std::ios::binary);
  std::stringstream all_bytes;
  all_bytes << in.rdbuf();
  const std::string whole = all_bytes.str();
  std::mt19937_64 random(10);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    if (round % 4 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      bytes[random() % bytes.size()] ^= static_cast<char>(1U << (random() % 8));
    }
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    auto opened = SegmentReader::open(path_);
    auto good = opened ? (*opened)->verify() : Result<>(std::unexpected(opened.error()));
    if (!good) {
      ++refused;
      EXPECT_NE(good.error().message.find("a.tseg"), std::string::npos) << good.error().message;
    }
  }
  EXPECT_GT(refused, 390);  // a few bits are padding
}

}  // namespace
}  // namespace tocayo::logs
