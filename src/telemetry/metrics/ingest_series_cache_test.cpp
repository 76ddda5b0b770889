// SPDX-License-Identifier: Apache-2.0
// The cache of what senders repeat: by itself, and against a door without it.
#include "metrics/ingest_series_cache.h"
#include "core/testing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "metrics/remote_write.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;
using test::Pairs;
using test::RequestV1;
using test::RequestV2;
using test::Writer;
using Fate = SeriesCache::Fate;

constexpr TimestampMs kT = 1'700'000'000'000;

std::string encoded(int i) { return "labels of series number " + std::to_string(i); }

std::vector<SeriesCache::Seen> range(int first, int last) {
  std::vector<SeriesCache::Seen> seen;
  for (int i = first; i < last; ++i)
    seen.push_back({.key = SeriesCache::Key::of_v1(encoded(i)), .ref = static_cast<SeriesRef>(i + 1)});
  return seen;
}

TEST(SeriesCache, FindsWhatItLearntAndFollowsTheOrder) {
  SeriesCache cache;
  const IngestLimits limits;
  auto lookup = cache.begin(limits);
  SeriesCache::Known known;
  EXPECT_FALSE(lookup.find(SeriesCache::Key::of_v1(encoded(0)), known));
  const auto generation = lookup.generation();
  lookup = {};
  cache.learn(generation, range(0, 5000));
  EXPECT_EQ(cache.size(), 5000U);

  lookup = cache.begin(limits);
  std::size_t length = 0;
  EXPECT_FALSE(lookup.expected(encoded(0), known, length)) << "nothing came before";
  ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(0)), known));
  EXPECT_EQ(known.ref, 1U);
  for (int i = 1; i < 5000; ++i) {
    const std::string bytes = encoded(i) + "\x12samples";
    ASSERT_TRUE(lookup.expected(bytes, known, length)) << i;
    ASSERT_EQ(known.ref, static_cast<SeriesRef>(i + 1));
    ASSERT_EQ(length, encoded(i).size());
  }
  EXPECT_FALSE(lookup.expected(encoded(0), known, length)) << "nothing came after";
  EXPECT_FALSE(lookup.find(SeriesCache::Key::of_v1(encoded(5000)), known));
  // Another order is learnt by meeting it once.
  ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(7)), known));
  ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(3)), known));
  ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(7)), known));
  ASSERT_TRUE(lookup.expected(encoded(3), known, length));
  EXPECT_EQ(known.ref, 4U);
  EXPECT_LT(cache.memory_bytes(), 5000U * 40);
}

TEST(SeriesCache, OtherLimitsForgetEverything) {
  SeriesCache cache;
  IngestLimits limits;
  auto lookup = cache.begin(limits);
  const auto old = lookup.generation();
  lookup = {};
  cache.learn(old, range(0, 10));
  limits.creation_grace_period_ms = 5;  // not about labels
  EXPECT_EQ(cache.begin(limits).generation(), old);
  EXPECT_EQ(cache.size(), 10U);
  limits.max_label_value_length = 5;
  EXPECT_NE(cache.begin(limits).generation(), old);
  EXPECT_EQ(cache.size(), 0U);
  cache.learn(old, range(0, 10));
  EXPECT_EQ(cache.size(), 0U) << "what was judged by the old limits comes too late";
}

TEST(SeriesCache, SweepsDropWhatIsNotMet) {
  SeriesCache cache;
  const IngestLimits limits;
  const auto start = SeriesCache::Steady::now();
  auto lookup = cache.begin(limits, start);
  const auto generation = lookup.generation();
  lookup = {};
  cache.learn(generation, range(0, 10'000));
  const std::size_t before = cache.memory_bytes();
  cache.sweep();
  EXPECT_EQ(cache.size(), 10'000U) << "all are new";
  SeriesCache::Known known;
  lookup = cache.begin(limits, start);
  for (int i = 2; i < 10'000; i += 4) ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(i)), known));
  lookup = {};
  lookup = cache.begin(limits, start + SeriesCache::kSweepInterval);
  EXPECT_NE(lookup.generation(), generation);
  for (int i = 0; i < 10'000; ++i) {
    const bool found = lookup.find(SeriesCache::Key::of_v1(encoded(i)), known);
    ASSERT_EQ(found, i % 4 == 2) << i;
    if (found) {
      ASSERT_EQ(known.ref, static_cast<SeriesRef>(i + 1));
    }
  }
  lookup = {};
  EXPECT_LT(cache.memory_bytes(), before / 2);
}

TEST(SeriesCache, DroppedSeriesAreBoundedAndLongOnesNotKept) {
  SeriesCache cache;
  const auto generation = cache.begin({}).generation();
  std::vector<SeriesCache::Seen> seen;
  for (std::size_t i = 0; i < SeriesCache::kMaxDropped + 100; ++i) {
    seen.push_back({.key = SeriesCache::Key::of_v1(encoded(static_cast<int>(i))), .fate = Fate::relabelled_away});
  }
  cache.learn(generation, seen);
  EXPECT_EQ(cache.size(), SeriesCache::kMaxDropped);
  EXPECT_FALSE(SeriesCache::Key::of_v1(std::string(SeriesCache::kMaxLength + 1, 'x')));
  EXPECT_FALSE(SeriesCache::Key::of_v1(""));
  SeriesCache::Known known;
  auto lookup = cache.begin({});
  ASSERT_TRUE(lookup.find(SeriesCache::Key::of_v1(encoded(1)), known));
  EXPECT_EQ(known.fate, Fate::relabelled_away);
  EXPECT_EQ(known.ref, 0U);
}

TEST(SeriesCache, SpellingsOfTheTwoProtocolsAreApart) {
  const std::vector<std::uint64_t> symbols = {1, 2};
  const std::string_view bytes(reinterpret_cast<const char*>(symbols.data()), 16);
  EXPECT_NE(SeriesCache::Key::of_v1(bytes).hash, SeriesCache::Key::of_v2(symbols).hash);
  EXPECT_NE(SeriesCache::symbol_hash("a"), SeriesCache::symbol_hash("b"));
}

// One way in: decoder, cache or none, store.
struct Door {
  explicit Door(bool caches) : with_cache(caches), clock(kT) {
    auto options = options_for(dir.path, clock);
    StoreLimits limits;
    limits.max_global_series_per_metric = 40;
    options.limits = std::make_shared<FixedLimits>(limits);
    store = must_open(options);
  }

  // Everything that the sender and the operator can see of one request.
  std::string push(RemoteWriteVersion version, const std::string& body, const IngestLimits& limits) {
    RemoteWriteDecoder decoder;
    IngestRows rows;
    rows.reset(limits, clock.now_ms(), "t");
    std::uint64_t generation = 0;
    Result<> decoded;
    if (with_cache) {
      auto known = cache.begin(limits);
      generation = known.generation();
      decoded = decoder.decode(version, body, rows, &known);
    } else {
      decoded = decoder.decode(version, body, rows);
    }
    if (!decoded) return "refused: " + decoded.error().message;
    auto result = sync_wait(store->append("t", rows.batch()));
    if (!result) return "failed: " + result.error().message;
    if (with_cache) cache.learn(generation, rows.seen());
    std::string text =
        std::to_string(result->floats_written) + "f " + std::to_string(result->histograms_written) + "h " +
        std::to_string(result->exemplars_written) + "e, unsorted " + std::to_string(rows.unsorted_series()) +
        ", relabelled " + std::to_string(rows.relabelled_away()) + ", received " +
        std::to_string(rows.samples_received()) + "/" + std::to_string(rows.histograms_received()) + "/" +
        std::to_string(rows.exemplars_received()) + "/" + std::to_string(rows.metadata_received()) + ", unresolved " +
        std::to_string(result->unresolved.size());
    for (const auto& reason : rows.rejections().reasons())
      text += "\n  " + std::string(reason.name) + "=" + std::to_string(reason.count);
    for (const auto& reason : result->rejected)
      text += "\n  store " + std::string(reason.reason) + "=" + std::to_string(reason.count);
    if (rows.rejections().failed()) text += "\n  " + rows.rejections().first_error()->message;
    if (result->first_error) text += "\n  " + result->first_error->message;
    return text;
  }

  bool with_cache;
  TemporaryDir dir;
  ManualClock clock;
  std::unique_ptr<Store> store;
  SeriesCache cache;
};

// A population of label rows, good and bad.
std::vector<Pairs> population(std::mt19937& random) {
  std::vector<Pairs> rows;
  for (int i = 0; i < 60; ++i) {
    Pairs labels = {{"__name__", "m" + std::to_string(i % 3)}, {"host", "h" + std::to_string(i)}, {"zone", "a"}};
    switch (i % 12) {
      case 3: std::swap(labels[0], labels[2]); break;                            // unsorted
      case 5: labels.push_back({"zone", "b"}); break;                            // duplicate name
      case 6: labels.erase(labels.begin()); break;                               // no metric name
      case 7: labels.push_back({"zz", std::string("\xff\xfe")}); break;          // not UTF-8
      case 8: labels.insert(labels.begin() + 1, {"empty", ""}); break;           // an empty value
      case 9: labels.push_back({"zz", std::string(random() % 40, 'v')}); break;  // perhaps too long
      case 10: labels.push_back({"only", "x"}), labels[0].second = "dropme"; break;
      default: break;
    }
    rows.push_back(std::move(labels));
  }
  rows.push_back({});
  rows.push_back({{"host", "h"}});
  return rows;
}

std::shared_ptr<const IngestRules> rules(const char* yaml, std::vector<std::string> drop = {}) {
  auto result = ingest_rules(drop, yaml);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : nullptr;
}

void fill(Writer& series, std::mt19937& random, int round, int protocol, std::size_t& rows) {
  const auto tag = static_cast<protozero::pbf_tag_type>(protocol == 1 ? 4 : 3);
  if (random() % 40 == 0) {
    auto parts = test::integer_histogram();
    if (random() % 2 == 0) parts.count_int = 1;  // too small
    test::add_histogram(series, tag, parts, kT + round * 1000);
    return;
  }
  const int count = random() % 30 == 0 ? 3 : random() % 50 == 0 ? 0 : 1;
  for (int k = 0; k < count; ++k) {
    const std::int64_t jump = random() % 60 == 0 ? 10'000'000 : 0;
    test::add_sample(series, static_cast<double>(random() % 5), kT + round * 1000 + k + jump);
    ++rows;
  }
}

std::string request(std::mt19937& random, const std::vector<Pairs>& all, int round, int protocol) {
  std::size_t rows = 0;
  std::vector<const Pairs*> order;
  for (const Pairs& labels : all) {
    if (random() % 10 != 0) order.push_back(&labels);
  }
  if (random() % 4 == 0) std::shuffle(order.begin(), order.end(), random);
  if (random() % 5 == 0) order.push_back(order[order.size() / 2]);  // the same series twice
  if (protocol == 1) {
    RequestV1 body;
    for (const Pairs* labels : order) {
      body.series(*labels, [&](Writer& series) {
        fill(series, random, round, 1, rows);
        // Labels after the rows, as protobuf allows.
        if (random() % 50 == 0) {
          Writer label(series, 1);
          label.add_string(1, "zzz");
          label.add_string(2, "after");
        }
        if (random() % 20 == 0) RequestV1::exemplar(series, {{"trace_id", "x"}}, 1, kT + round * 1000);
      });
    }
    return body.body();
  }
  RequestV2 body;
  for (std::uint32_t i = 0; i < random() % 5; ++i) body.symbol("other" + std::to_string(random() % 100));
  for (const Pairs* labels : order) {
    const auto rest = [&](Writer& series) {
      fill(series, random, round, 2, rows);
      if (random() % 3 == 0) body.metadata(series, 1 + static_cast<std::int32_t>(random() % 2), "help", "");
      if (random() % 20 == 0) body.exemplar(series, {{"trace_id", "x"}}, 1, kT + round * 1000);
    };
    if (random() % 40 == 0) {
      body.raw_series({1, 4'000'000}, rest);
    } else {
      body.series(*labels, rest);
    }
  }
  return body.body();
}

void expect_same_rows(Door& a, Door& b) {
  const ReadAll left = read_all(*a.store);
  const ReadAll right = read_all(*b.store);
  ASSERT_EQ(left.size(), right.size());
  for (auto l = left.begin(), r = right.begin(); l != left.end(); ++l, ++r) {
    ASSERT_EQ(l->first, r->first);
    ASSERT_EQ(l->second.floats, r->second.floats) << l->first.to_string();
    ASSERT_EQ(l->second.histograms.size(), r->second.histograms.size()) << l->first.to_string();
  }
  const auto metadata = [](Door& door) {
    std::string text;
    for (const MetadataRow& row : door.store->metadata("t", "", 0, 0)) text += row.metric + row.type + row.help + "\n";
    return text;
  };
  ASSERT_EQ(metadata(a), metadata(b));
}

TEST(SeriesCacheEquivalence, RandomRequestsFareTheSame) {
  std::size_t known_series = 0;
  const unsigned seeds = test_rounds(4U, 60U, 2U);
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    std::mt19937 random(seed);
    Door with(true);
    Door without(false);
    std::vector<IngestLimits> choices(5);
    choices[1].max_label_value_length = 20;
    choices[2].max_label_names_per_series = 3;
    choices[3].rules = rules(
        "[{source_labels: [__name__], regex: dropme, action: drop}, {source_labels: [host], regex: "
        "'h1(.)', target_label: host, replacement: 'H$1'}]",
        {"zone", "only"});
    choices[4].rules = rules("[{source_labels: [__meta_tenant_id], target_label: tenant}]", {"host", "__name__"});
    IngestLimits limits;
    const std::vector<Pairs> all = population(random);
    for (int round = 0; round < 60; ++round) {
      if (random() % 8 == 0) limits = choices[random() % choices.size()];
      const int protocol = random() % 2 == 0 ? 1 : 2;
      std::string body = request(random, all, round, protocol);
      if (random() % 30 == 0) body.resize(random() % body.size());
      const auto version = protocol == 1 ? RemoteWriteVersion::v1 : RemoteWriteVersion::v2;
      const std::string expected = without.push(version, body, limits);
      ASSERT_EQ(with.push(version, body, limits), expected) << "seed " << seed << " round " << round;
      if (random() % 12 == 0) {
        // Everything leaves memory: every reference goes stale.
        for (Door* door : {&with, &without}) {
          ASSERT_TRUE(door->store->seal());
          door->clock.now += 3'600'000;
          door->store->maintain();
          door->clock.now -= 3'600'000;
        }
      }
      if (random() % 15 == 0) with.cache.sweep();
      known_series = std::max(known_series, with.cache.size());
    }
    expect_same_rows(with, without);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(known_series, 30U) << "the cache was at work";
}

TEST(SeriesCacheEquivalence, StaleReferencesAreMadeAgain) {
  Door door(true);
  const auto body = [](TimestampMs time) {
    RequestV1 request;
    for (int i = 0; i < 20; ++i) request.sample({{"__name__", "m"}, {"i", std::to_string(i)}}, i, time);
    return request.body();
  };
  EXPECT_EQ(door.push(RemoteWriteVersion::v1, body(kT), {}).substr(0, 4), "20f ");
  ASSERT_TRUE(door.store->seal());
  door.clock.now += 3'600'000;
  door.store->maintain();
  ASSERT_EQ(door.store->head_stats("t", 1).series, 0U);
  for (int round = 1; round < 3; ++round) {
    EXPECT_EQ(door.push(RemoteWriteVersion::v1, body(kT + round), {}).substr(0, 4), "20f ");
    EXPECT_EQ(door.store->head_stats("t", 1).series, 20U);
    EXPECT_EQ(door.cache.size(), 20U);
  }
  for (const auto& [labels, series] : read_all(*door.store)) EXPECT_EQ(series.floats.size(), 3U) << labels.to_string();
  // Without anybody who knows the labels the rows are given back.
  std::vector<FloatRow> rows{{kT + 10, 1}};
  SeriesRows orphan{.ref = 12345, .floats = rows};
  auto result = sync_wait(door.store->append("t", {.series = {&orphan, 1}, .metadata = {}}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->unresolved.size(), 1U);
  EXPECT_EQ(result->floats_written, 0U);
}

TEST(SeriesCacheEquivalence, ManySendersAtOnce) {
  Door door(true);
  constexpr int kSenders = 4, kRounds = 40, kSeries = 50;
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> senders;
    for (int s = 0; s < kSenders; ++s) {
      senders.emplace_back([&, s] {
        // All send the same series, each with times of its own; senders 2 and 3 also change limits now and then.
        for (int round = 0; round < kRounds; ++round) {
          IngestLimits limits;
          if (s >= 2 && round % 10 == 9) limits.max_label_value_length = 100;
          const TimestampMs time = kT - 1'000'000 + round * 1000 + s;
          std::string reply;
          if (s % 2 == 0) {
            RequestV1 body;
            for (int i = 0; i < kSeries; ++i)
              body.sample({{"__name__", "m" + std::to_string(i % 5)}, {"i", std::to_string(i)}}, s, time);
            reply = door.push(RemoteWriteVersion::v1, body.body(), limits);
          } else {
            RequestV2 body;
            for (int i = kSeries; i-- > 0;)
              body.sample({{"__name__", "m" + std::to_string(i % 5)}, {"i", std::to_string(i)}}, s, time);
            reply = door.push(RemoteWriteVersion::v2, body.body(), limits);
          }
          if (!reply.starts_with(std::to_string(kSeries) + "f ")) ++failures;
          if (round % 8 == 0) door.cache.sweep();
        }
      });
    }
  }
  EXPECT_EQ(failures, 0);
  const ReadAll all = read_all(*door.store);
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kSeries));
  for (const auto& [labels, series] : all) {
    ASSERT_EQ(series.floats.size(), static_cast<std::size_t>(kSenders * kRounds)) << labels.to_string();
    for (const auto& [time, bits] : series.floats)
      ASSERT_EQ(std::bit_cast<double>(bits), static_cast<double>((time - kT + 1'000'000) % 1000));
  }
}

}  // namespace
}  // namespace tocayo::metrics
