// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/sequence.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "core/text.h"
#include "metrics/api/test_support.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {
namespace {

using Verdict = SequenceLog::Verdict;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tocayo-sequence-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

const std::string kQueue(32, 'a');

BatchSequence batch(std::uint64_t window, std::uint64_t begin, std::uint64_t end, std::uint32_t lane = 0) {
  return {kQueue, window, 1000 + window, lane, begin, end};
}

std::unique_ptr<SequenceLog> open(const TempDir& dir, Registry& registry, const Clock& clock = Clock::system()) {
  auto log = SequenceLog::open(dir.path + "/sequences", clock, registry);
  EXPECT_TRUE(log) << log.error().message;
  return std::move(*log);
}

Verdict take(SequenceLog& log, const BatchSequence& what, std::string_view tenant = "t") {
  auto verdict = log.begin(tenant, what);
  if (verdict == Verdict::fresh) log.end(tenant, what, true);
  return verdict;
}

TEST(Sequence, HeaderIsReadWholeOrNotAtAll) {
  auto good = parse_sequence("queue=" + kQueue + "; window=7; nonce=00000000000000ff; lane=3; begin=10; end=20");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->window, 7U);
  EXPECT_EQ(good->nonce, 255U);
  EXPECT_EQ(good->lane, 3U);
  EXPECT_EQ(good->begin, 10U);
  EXPECT_EQ(good->end, 20U);
  for (const std::string& bad :
       {std::string("x"), "queue=" + kQueue,
        "queue=" + std::string(31, 'a') + "; window=7; nonce=00000000000000ff; lane=3; begin=1; end=2",
        "queue=" + kQueue + "; window=-7; nonce=00000000000000ff; lane=3; begin=1; end=2",
        "queue=" + kQueue + "; window=7; nonce=00000000000000ff; lane=3; begin=2; end=2",
        "queue=" + kQueue + "; window=7; nonce=00000000000000ff; lane=99999; begin=1; end=2",
        "queue=" + kQueue + "; window=7; nonce=ff; lane=3; begin=1; end=2",
        "queue=" + kQueue + "; window=7; nonce=00000000000000ff; lane=3; begin=1; end=2; other=1"}) {
    EXPECT_FALSE(parse_sequence(bad)) << bad;
  }
  auto gap = parse_gap("id=ab; signal=metrics; reason=queue_full; rows=5; from=1000; to=2000; host=web-1");
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->rows, 5U);
  EXPECT_EQ(gap->to, 2000);
  EXPECT_FALSE(parse_gap("id=ab; signal=metrics; reason=queue_full; rows=0; from=1000; to=2000"));
  EXPECT_FALSE(parse_gap("id=ab; signal=metrics; reason=queue full; rows=1; from=1000; to=2000"));
  EXPECT_FALSE(parse_gap("id=ab; signal=metrics; reason=x; rows=1; from=1000; to=10"));
}

TEST(Sequence, ARepeatIsKnownAlsoAfterARestart) {
  TempDir dir;
  Registry registry;
  {
    auto log = open(dir, registry);
    EXPECT_EQ(take(*log, batch(1, 0, 100)), Verdict::fresh);
    EXPECT_EQ(take(*log, batch(1, 0, 100)), Verdict::repeated);
    EXPECT_EQ(take(*log, batch(1, 0, 50, 1)), Verdict::fresh) << "another lane";
    EXPECT_EQ(take(*log, batch(1, 0, 100), "other"), Verdict::fresh) << "another tenant";
    EXPECT_EQ(take(*log, batch(1, 100, 150)), Verdict::fresh);
    EXPECT_EQ(take(*log, batch(1, 0, 200)), Verdict::partly) << "more than was acknowledged";
    EXPECT_EQ(take(*log, batch(2, 0, 10)), Verdict::fresh) << "the next window begins anew";
    EXPECT_EQ(take(*log, batch(2, 0, 10, 1)), Verdict::fresh);
  }
  auto log = open(dir, registry);
  EXPECT_EQ(log->queue_count(), 2U);
  EXPECT_EQ(take(*log, batch(2, 0, 10)), Verdict::repeated);
  EXPECT_EQ(take(*log, batch(2, 0, 10, 1)), Verdict::repeated);
  EXPECT_EQ(take(*log, batch(2, 0, 10, 2)), Verdict::fresh);
  EXPECT_EQ(take(*log, batch(1, 0, 100)), Verdict::behind);
  BatchSequence other_nonce = batch(2, 0, 10);
  ++other_nonce.nonce;
  EXPECT_EQ(take(*log, other_nonce), Verdict::behind) << "the collector was put back and goes another way";
}

TEST(Sequence, OnlyOneRequestOfALaneIsUnderWay) {
  TempDir dir;
  Registry registry;
  auto log = open(dir, registry);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10)), Verdict::fresh);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10)), Verdict::busy);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10, 1)), Verdict::fresh);
  log->end("t", batch(1, 0, 10), false);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10)), Verdict::fresh) << "it was refused, so it may come again";
  // The collector has gone on; the end of what it gave up says nothing about the new window.
  EXPECT_EQ(log->begin("t", batch(2, 0, 5)), Verdict::fresh);
  log->end("t", batch(1, 0, 10), true);
  EXPECT_EQ(log->begin("t", batch(2, 0, 5)), Verdict::busy);
  log->end("t", batch(2, 0, 5), true);
  EXPECT_EQ(log->begin("t", batch(2, 0, 5)), Verdict::repeated);
}

TEST(Sequence, DamagedAndTornLinesHarmOnlyThemselves) {
  TempDir dir;
  Registry registry;
  const std::string path = dir.path + "/sequences";
  {
    auto log = open(dir, registry);
    for (std::uint32_t lane = 0; lane < 4; ++lane) take(*log, batch(1, 0, 10, lane));
  }
  std::string text = *read_file(path);
  // Every truncation opens, and forgets at most the line that it cuts.
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::ofstream(path, std::ios::trunc) << text.substr(0, cut);
    auto log = open(dir, registry);
    std::size_t whole = static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<long>(cut), '\n'));
    for (std::uint32_t lane = 0; lane < whole; ++lane)
      ASSERT_EQ(log->begin("t", batch(1, 0, 10, lane)), Verdict::repeated) << "cut at " << cut;
    ASSERT_EQ(take(*log, batch(1, 0, 10, 9)), Verdict::fresh);
    log = open(dir, registry);
    ASSERT_EQ(log->begin("t", batch(1, 0, 10, 9)), Verdict::repeated) << "written behind a torn line, cut at " << cut;
  }
  text[text.find('\n') + 10] ^= 1;
  std::ofstream(path, std::ios::trunc) << text;
  auto log = open(dir, registry);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10, 0)), Verdict::repeated);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10, 1)), Verdict::fresh);
  EXPECT_EQ(log->begin("t", batch(1, 0, 10, 2)), Verdict::repeated);
}

TEST(Sequence, TheFileStaysSmallAndOldQueuesAreForgotten) {
  TempDir dir;
  Registry registry;
  test::FakeClock clock;
  clock.now = 1'700'000'000'000;
  {
    auto log = open(dir, registry, clock);
    for (std::uint64_t window = 1; window <= 30'000; ++window)
      ASSERT_EQ(take(*log, batch(window, 0, 1)), Verdict::fresh);
  }
  auto log = open(dir, registry, clock);
  EXPECT_LT(std::filesystem::file_size(dir.path + "/sequences"), 1'000'000U);
  EXPECT_EQ(log->begin("t", batch(30'000, 0, 1)), Verdict::repeated);
  log.reset();
  clock.now += 31LL * 24 * 3'600'000;
  EXPECT_EQ(open(dir, registry, clock)->queue_count(), 0U);
}

// The door before the write route of the whole API.
struct Door {
  Door()
      : log(open(dir, registry)), fixture([this](ApiDependencies& deps) {
          deps.sequences = log.get();
          deps.record_gap = [this](std::string tenant, CollectorGap gap) -> Task<Result<>> {
            if (gap_failure) co_return fail(ErrorKind::unavailable, "no");
            gaps.push_back(
                fmt::format("{} {} {} {} {}-{} {}", tenant, gap.id, gap.reason, gap.rows, gap.from, gap.to, gap.host));
            co_return Result<>();
          };
        }) {}
  http::Response push(std::uint64_t window, std::uint64_t begin, std::uint64_t end,
                      std::vector<std::string> gap_headers = {}) {
    auto body = metrics::test::RequestV1().sample({{"__name__", "a"}}, 1, 1'700'000'000'000).body();
    http::Request request = test::Fixture::get("");
    request.method = "POST";
    request.headers.set("Content-Type", "application/x-protobuf");
    request.headers.set("Content-Encoding", "snappy");
    request.headers.set("X-Tocayo-Sequence", fmt::format("queue={}; window={}; nonce={:016x}; lane=0; begin={}; end={}",
                                                         kQueue, window, window + 1000, begin, end));
    for (auto& gap : gap_headers) request.headers.add("X-Tocayo-Gap", gap);
    request.body = snappy_block_encode(body);
    return fixture.call(handle_remote_write, std::move(request));
  }
  TempDir dir;
  Registry registry;
  std::unique_ptr<SequenceLog> log;
  std::vector<std::string> gaps;
  bool gap_failure = false;
  test::Fixture fixture;
};

TEST(SequenceDoor, ARepeatIsAcknowledgedWithoutAnAppend) {
  Door door;
  auto first = door.push(1, 0, 1);
  EXPECT_EQ(first.status, 204) << first.body;
  EXPECT_EQ(first.headers.get("X-Tocayo-Sequence"), "ok");
  EXPECT_EQ(door.fixture.appender.calls, 1);
  auto again = door.push(1, 0, 1);
  EXPECT_EQ(again.status, 204);
  EXPECT_EQ(again.headers.get("X-Tocayo-Sequence"), "repeated");
  EXPECT_EQ(door.fixture.appender.calls, 1);
  door.fixture.appender.failure = Error{ErrorKind::unavailable, "full"};
  auto failed = door.push(2, 0, 1);
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(failed.headers.get("X-Tocayo-Sequence"), "refused");
  door.fixture.appender.failure.reset();
  EXPECT_EQ(door.push(2, 0, 1).headers.get("X-Tocayo-Sequence"), "ok") << "what failed was not acknowledged";
  EXPECT_EQ(door.push(1, 0, 1).status, 409);
}

TEST(SequenceDoor, GapsAreRecordedOnceWithTheRequestThatCarriesThem) {
  Door door;
  const std::string gap = "id=g1; signal=metrics; reason=queue_full; rows=5; from=1000; to=2000; host=web-1";
  auto reply = door.push(1, 0, 1, {gap, "id=g2; signal=metrics; reason=disk; rows=1; from=3000; to=3000; host=web-1"});
  EXPECT_EQ(reply.headers.get("X-Tocayo-Gaps-Recorded"), "2");
  EXPECT_EQ(door.gaps,
            (std::vector<std::string>{"t1 g1 queue_full 5 1000-2000 web-1", "t1 g2 disk 1 3000-3000 web-1"}));
  door.gap_failure = true;
  EXPECT_EQ(door.push(2, 0, 1, {gap}).headers.get("X-Tocayo-Gaps-Recorded"), "0");
  door.gap_failure = false;
  // With a request that was acknowledged before: the rows are not taken again, the report is.
  EXPECT_EQ(door.push(2, 0, 1, {gap}).headers.get("X-Tocayo-Gaps-Recorded"), "1");
  EXPECT_EQ(door.push(3, 0, 1, {"nonsense"}).headers.get("X-Tocayo-Gaps-Recorded"), "1") << "never asked for again";
  EXPECT_EQ(door.gaps.size(), 3U);
}

}  // namespace
}  // namespace tocayo::metrics::api
