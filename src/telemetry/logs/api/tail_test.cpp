// SPDX-License-Identifier: Apache-2.0
#include "logs/api/tail.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "logql/syntax/parser.h"
#include "logs/api/tail_match.h"
#include "logs/api/tail_test_support.h"
#include "logs/store/temporary_store.h"

namespace tocayo::logs::api {
namespace {

namespace json = boost::json;
using testing::FakeSocket;
using testing::FakeWatcher;
using namespace std::chrono_literals;

LiteralSet::Needs add(LiteralSet& set, const std::string& query) {
  auto log = logql::parse_log(query);
  EXPECT_TRUE(log) << log.error().message;
  return log ? set.add(*log) : LiteralSet::Needs{};
}

TEST(LiteralSet, FindsTheRowsThatAQueryMayMatch) {
  const std::vector<std::string> lines = {"error in the pump", "all is well", "", "Error: no fuel, err", "or", "r"};
  std::vector<Row> rows;
  for (const auto& line : lines) {
    Row row;
    row.line = line;
    rows.push_back(row);
  }
  LiteralSet set;
  auto numbers = [&](const std::string& query) {
    const auto needs = add(set, query);
    set.begin(rows);
    const auto found = set.candidates(needs);
    std::vector<std::uint32_t> out(found.begin(), found.end());
    set.remove(needs);
    return out;
  };
  using Numbers = std::vector<std::uint32_t>;
  EXPECT_EQ(numbers(R"({a="b"} |= "error")"), (Numbers{0})) << "not the one that spans two lines";
  EXPECT_EQ(numbers(R"({a="b"} |= "err")"), (Numbers{0, 3}));
  EXPECT_EQ(numbers(R"({a="b"} |= "err" |= "fuel")"), (Numbers{3}));
  EXPECT_EQ(numbers(R"({a="b"} |= "pump" or "well")"), (Numbers{0, 1}));
  EXPECT_EQ(numbers(R"({a="b"} |~ "(?i)ERROR")"), (Numbers{0, 3}));
  EXPECT_EQ(numbers(R"({a="b"} |= "absent")"), Numbers{});
  EXPECT_EQ(numbers(R"({a="b"})"), (Numbers{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers(R"({a="b"} != "err")"), (Numbers{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers(R"({a="b"} | line_format "x" |= "absent")"), (Numbers{0, 1, 2, 3, 4, 5}))
      << "the line is not the stored one any more";
  EXPECT_EQ(set.size(), 0U) << "nobody asks any more";
}

TEST(LiteralSet, SharesLiteralsAndForgetsThem) {
  LiteralSet set;
  const auto a = add(set, R"({a="b"} |= "one" |= "two")");
  const auto b = add(set, R"({c="d"} |= "two")");
  EXPECT_EQ(set.size(), 2U);
  set.remove(a);
  EXPECT_EQ(set.size(), 1U);
  const auto c = add(set, R"({a="b"} |= "three")");
  Row row;
  row.line = "two";
  const Row rows[] = {row};
  set.begin(rows);
  EXPECT_EQ(set.candidates(b).size(), 1U);
  EXPECT_EQ(set.candidates(c).size(), 0U);
}

TEST(LiteralSet, NeverHidesALineThatMatches) {
  std::mt19937 random(3);
  auto word = [&](std::size_t most) {
    std::string text;
    for (std::size_t i = 0, n = 1 + random() % most; i < n; ++i) text += static_cast<char>('a' + random() % 3);
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> lines;
    for (std::size_t i = 0, n = random() % 140; i < n; ++i) lines.push_back(random() % 5 == 0 ? "" : word(12));
    std::vector<Row> rows(lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) rows[i].line = lines[i];
    const std::string literal = word(4);
    LiteralSet set;
    const auto needs = add(set, "{a=\"b\"} |= \"" + literal + "\"");
    set.begin(rows);
    const auto found = set.candidates(needs);
    std::vector<std::uint32_t> expected;
    for (std::uint32_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find(literal) != std::string::npos) expected.push_back(i);
    }
    ASSERT_EQ(std::vector<std::uint32_t>(found.begin(), found.end()), expected) << literal;
  }
}

class TailTest : public ::testing::Test {
 protected:
  void SetUp() override {
    StoreOptions options;
    options.background = false;
    options.pool = &pool_;
    auto store = logs::testing::TemporaryStore::open(std::move(options));
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    hub_ = std::make_unique<TailHub>(
        **store_, engine_, pool_, [limits = std::make_shared<const LogLimits>()](std::string_view) { return limits; },
        registry_, Clock::system(),
        TailHub::Options{.flush_every = 1ms,
                         .still_allowed = [this](const http::Request& opener) -> Task<bool> {
                           co_return opener.identity.tenant != revoked_.load();
                         },
                         .ask_every = 5ms});
  }
  void append(const Labels& labels, const std::vector<std::string>& lines, std::string_view tenant = "a") {
    std::vector<EntryRow> rows;
    for (const auto& line : lines) rows.push_back({Clock::system().now_ms() * 1'000'000 + ++number_, line, {}});
    StreamRows streams[] = {{0, &labels, rows}};
    auto result = sync_wait((*store_)->append(tenant, streams));
    ASSERT_TRUE(result) << result.error().message;
  }
  // The lines that a watcher got, when so many are there.
  static std::vector<std::string> lines_of(FakeWatcher& watcher, std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    std::vector<std::string> lines;
    do {
      lines.clear();
      for (const auto& message : watcher.socket.messages()) {
        const auto parsed = json::parse(message);
        for (const auto& stream : parsed.at("streams").as_array()) {
          for (const auto& value : stream.at("values").as_array()) lines.emplace_back(value.as_array()[1].as_string());
        }
      }
      if (lines.size() >= count) break;
      std::this_thread::sleep_for(1ms);
    } while (std::chrono::steady_clock::now() < deadline);
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  void wait_watchers(double count) {
    auto& gauge = registry_.gauge("tocayo_logs_api_tail_watchers", "Sockets that tail logs.");
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (gauge.value() != count && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
    ASSERT_EQ(gauge.value(), count);
  }

  using Lines = std::vector<std::string>;
  Pool pool_{"test", 2};
  Registry registry_;
  logql::Engine engine_{logql::EngineOptions{}};
  std::unique_ptr<logs::testing::TemporaryStore> store_;
  std::unique_ptr<TailHub> hub_;
  std::atomic<const char*> revoked_{""};  // tenant whose readers may not read any more
  int number_ = 0;
};

TEST_F(TailTest, EverybodyGetsWhatTheirQuerySelects) {
  FakeWatcher all(*hub_, "a", R"({app=~".+"})");
  FakeWatcher errors(*hub_, "a", R"({app="web"} |= "error")");
  FakeWatcher same(*hub_, "a", R"({app="web"} |= "error")");
  FakeWatcher folded(*hub_, "a", R"({app="web"} |~ "(?i)ERROR")");
  FakeWatcher formatted(*hub_, "a", R"({app="web"} | line_format "<{{__line__}}>" |= "<error")");
  FakeWatcher other(*hub_, "b", R"({app=~".+"})");
  wait_watchers(6);
  EXPECT_EQ(hub_->tenants(), 2U);
  append({{"app", "web"}}, {"error one", "fine", "Error two"});
  append({{"app", "db"}}, {"error three"});
  append({{"app", "web"}}, {"of the other tenant"}, "b");
  EXPECT_EQ(lines_of(all, 4), (Lines{"Error two", "error one", "error three", "fine"}));
  EXPECT_EQ(lines_of(errors, 1), (Lines{"error one"}));
  EXPECT_EQ(lines_of(same, 1), (Lines{"error one"}));
  EXPECT_EQ(lines_of(folded, 2), (Lines{"Error two", "error one"}));
  EXPECT_EQ(lines_of(formatted, 1), (Lines{"<error one>"}));
  EXPECT_EQ(lines_of(other, 1), (Lines{"of the other tenant"}));
}

TEST_F(TailTest, WatchersComeAndGo) {
  EXPECT_EQ(hub_->tenants(), 0U);
  for (int round = 0; round < 3; ++round) {
    FakeWatcher first(*hub_, "a", R"({app="web"} |= "x")");
    wait_watchers(1);
    {
      FakeWatcher second(*hub_, "a", R"({app="web"} |= "y")");
      wait_watchers(2);
    }
    wait_watchers(1);
    append({{"app", "web"}}, {"x " + std::to_string(round), "y"});
    // Those of the rounds before are the backlog.
    const auto lines = lines_of(first, static_cast<std::size_t>(round) + 1);
    EXPECT_NE(std::ranges::find(lines, "x " + std::to_string(round)), lines.end());
    EXPECT_EQ(hub_->tenants(), 1U);
    first.socket.close(1000, "");
    first.wait_end();
    EXPECT_EQ(hub_->tenants(), 0U) << "nothing is kept of a tenant that nobody watches";
  }
}

TEST_F(TailTest, ASlowWatcherIsToldWhatItMissed) {
  FakeWatcher slow(*hub_, "a", R"({app="web"})");
  FakeWatcher quick(*hub_, "a", R"({app="web"})");
  wait_watchers(2);
  slow.socket.queued = 1 << 20;
  append({{"app", "web"}}, {"missed"});
  EXPECT_EQ(lines_of(quick, 1), Lines{"missed"});
  slow.socket.queued = 0;
  append({{"app", "web"}}, {"seen"});
  EXPECT_EQ(lines_of(slow, 1), Lines{"seen"});
  const auto last = json::parse(slow.socket.messages().back());
  ASSERT_EQ(last.at("dropped_entries").as_array().size(), 1U);
  EXPECT_EQ(last.at("dropped_entries").at(0).at("labels").at("app").as_string(), "web");
}

TEST_F(TailTest, SeveralTenantsAreWatchedTogether) {
  append({{"app", "web"}}, {"before"}, "b");
  FakeWatcher both(*hub_, "a|b", R"({app="web"} |= "o")");
  FakeWatcher narrowed(*hub_, "a|b", R"({app="web", __tenant_id__="b"})");
  FakeWatcher nobody(*hub_, "a|b", R"({app="web", __tenant_id__="c"})");
  wait_watchers(3);
  append({{"app", "web"}}, {"one"});
  append({{"app", "web"}, {"__tenant_id__", "own"}}, {"two"}, "b");
  EXPECT_EQ(lines_of(both, 3), (Lines{"before", "one", "two"}));
  EXPECT_EQ(lines_of(narrowed, 2), (Lines{"before", "two"}));
  EXPECT_TRUE(nobody.socket.messages().empty());
  std::set<std::string> seen;
  for (const auto& message : both.socket.messages()) {
    const auto parsed = json::parse(message);
    for (const auto& stream : parsed.at("streams").as_array()) {
      const auto& labels = stream.at("stream").as_object();
      std::string text(labels.at("__tenant_id__").as_string());
      if (labels.contains("original___tenant_id__"))
        text += std::string(labels.at("original___tenant_id__").as_string());
      seen.insert(text);
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"a", "b", "bown"}));
}

TEST_F(TailTest, ARevokedTokenEndsItsTails) {
  FakeWatcher gone(*hub_, "a", R"({app="web"})");
  FakeWatcher stays(*hub_, "b", R"({app="web"})");
  wait_watchers(2);
  revoked_ = "a";
  gone.wait_end();
  EXPECT_EQ(gone.socket.code(), 1008);
  append({{"app", "web"}}, {"still"}, "b");
  EXPECT_EQ(lines_of(stays, 1), Lines{"still"});
}

TEST_F(TailTest, AMistakeClosesWithItsReason) {
  FakeWatcher broken(*hub_, "a", R"({app="web")");
  broken.wait_end();
  EXPECT_EQ(broken.socket.code(), 1011);
  EXPECT_NE(broken.socket.reason().find("parse error"), std::string::npos) << broken.socket.reason();
}

}  // namespace
}  // namespace tocayo::logs::api
