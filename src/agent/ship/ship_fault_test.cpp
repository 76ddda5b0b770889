// SPDX-License-Identifier: Apache-2.0
// What goes wrong around a queue: its files, its disk, its server.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "agent/raw_server.h"
#include "agent/ship/ship_queue.h"
#include "agent/ship/testing.h"
#include "core/testing.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;

// How often the samples of each time were taken.
std::map<TimestampMs, int> times_of(const std::vector<SeenSample>& samples) {
  std::map<TimestampMs, int> times;
  for (const SeenSample& sample : samples) ++times[sample.time];
  return times;
}

Result<metrics::AppendResult> append(ShipQueue& queue, TimestampMs time) {
  Labels labels{{"__name__", "m"}, {"instance", "host-with-a-long-name.example.com"}};
  metrics::FloatRow row{time, static_cast<double>(time)};
  metrics::SeriesRows series;
  series.labels = &labels;
  series.floats = std::span(&row, 1);
  return sync_wait(queue.append("anonymous", {std::span(&series, 1), {}}));
}

std::unique_ptr<ShipQueue> open(const std::string& dir, http::Client& client, Registry& registry,
                                Destination to = near_destination(), journal::Faults* faults = nullptr) {
  ShipQueueOptions options;
  options.dir = dir;
  options.faults = faults;
  auto queue = ShipQueue::open(options, std::move(to), client, registry);
  EXPECT_TRUE(queue) << queue.error().message;
  return std::move(*queue);
}

// A crash leaves any beginning of the last segment: all whole records in it are delivered, nothing else, and the queue
// goes on.
TEST(ShipFault, KilledAtAnyPointOfAQueueWrite) {
  FixtureTree origin;
  FakeServer<SeenSample> sink(read_samples);
  Registry registry;
  sink.answer(503);
  {
    auto queue = open(origin.path("q"), sink, registry);
    for (TimestampMs time = 1; time <= 40; ++time) ASSERT_TRUE(append(*queue, time));
  }
  sink.answer(204);
  fs::path segment;
  for (const auto& entry : fs::recursive_directory_iterator(origin.path("q/journal"))) {
    if (entry.is_regular_file() && (segment.empty() || entry.path() > segment)) segment = entry.path();
  }
  const auto size = fs::file_size(segment);
  const fs::path inside = segment.lexically_relative(origin.path("q"));
  std::mt19937 random(3);
  std::size_t complete = 0;
  for (int round = 0; round < (full_run() ? 1000 : 120); ++round) {
    FixtureTree copy;
    fs::copy(origin.path("q"), copy.path("q"), fs::copy_options::recursive);
    const auto cut = random() % (size + 1);
    fs::resize_file(fs::path(copy.path("q")) / inside, cut);
    sink.take();
    auto queue = open(copy.path("q"), sink, registry);
    ASSERT_TRUE(append(*queue, 1000)) << "cut at " << cut;
    ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; })) << "cut at " << cut;
    const auto times = times_of(sink.taken());
    ASSERT_EQ(times.count(1000), 1U);
    // A beginning of what was written, without holes, each once.
    TimestampMs last = 0;
    for (const auto& [time, count] : times) {
      ASSERT_EQ(count, 1) << time;
      if (time == 1000) continue;
      ASSERT_EQ(time, last + 1) << "cut at " << cut;
      last = time;
    }
    complete = std::max(complete, times.size());
    ASSERT_EQ(queue->status().dropped, 0U);
  }
  EXPECT_GT(complete, 20U);
}

class FullDisk final : public journal::Faults {
 public:
  int on_write(std::uint64_t& size) override {
    if (full) size /= 2;  // torn: the rest does not fit
    return full ? ENOSPC : 0;
  }
  int on_sync() override { return 0; }
  std::atomic<bool> full{false};
};

TEST(ShipFault, AFullDiskIsCountedAndEndsWithTheFullness) {
  FixtureTree tree;
  FakeServer<SeenSample> sink(read_samples);
  Registry registry;
  FullDisk disk;
  auto queue = open(tree.path("q"), sink, registry, near_destination(), &disk);
  ASSERT_TRUE(append(*queue, 1));
  disk.full = true;
  for (TimestampMs time = 2; time <= 4; ++time) {
    auto refused = append(*queue, time);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  }
  disk.full = false;
  ASSERT_TRUE(append(*queue, 5));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  EXPECT_EQ(times_of(sink.taken()), (std::map<TimestampMs, int>{{1, 1}, {5, 1}}));
  auto status = queue->status();
  EXPECT_EQ(status.delivered, 2U);
  EXPECT_EQ(status.dropped, 3U);
  EXPECT_EQ(status.pending_rows, 0U);
  EXPECT_EQ(status.untold_gaps, 1U);
  EXPECT_NE(registry.to_text().find(
                "tocayo_agent_dropped_total{destination=\"test\",reason=\"disk\",signal=\"metrics\"} 3\n"),
            std::string::npos)
      << registry.to_text();
}

TEST(ShipFault, ADirectoryThatCannotBeWrittenIsSaidAtTheStart) {
  FixtureTree tree;
  FakeServer<SeenSample> sink(read_samples);
  Registry registry;
  // For root every mode is writable; /proc is for nobody.
  std::string dir = "/proc/tocayo-queue";
  if (::geteuid() != 0) {
    tree.write("d/x", "");
    ::chmod(tree.path("d").c_str(), 0555);
    dir = tree.path("d/q");
  }
  ShipQueueOptions options;
  options.dir = dir;
  auto queue = ShipQueue::open(options, near_destination(), sink, registry);
  ASSERT_FALSE(queue);
  EXPECT_NE(queue.error().message.find("open the queue of test: create " + dir), std::string::npos)
      << queue.error().message;
  tree.write("file", "not a directory");
  options.dir = tree.path("file/q");
  EXPECT_FALSE(ShipQueue::open(options, near_destination(), sink, registry));
}

// Real sockets and the real client: `bad` treats the first connections, then the server mends.
void expect_delivery_after(const std::function<void(int, const std::atomic<bool>&)>& bad) {
  std::atomic<int> requests = 0;
  RawServer server([&](int socket, const std::atomic<bool>& stopping) {
    while (RawServer::read_request(socket)) {
      if (++requests <= 3) return bad(socket, stopping);
      if (!RawServer::write(socket, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")) return;
    }
  });
  FixtureTree tree;
  Registry registry;
  auto client = http::Client::create();
  Destination to = near_destination("http://" + server.address() + "/api/v1/push");
  to.timeout = std::chrono::milliseconds(300);
  auto queue = open(tree.path("q"), *client, registry, to);
  ASSERT_TRUE(append(*queue, 1));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; })) << queue->status().last_error;
  EXPECT_EQ(queue->status().delivered, 1U);
  EXPECT_EQ(queue->status().dropped, 0U);
  EXPECT_GE(queue->status().retries, 3U);
}

TEST(ShipFault, AServerThatAnswersByteByByteIsGivenUpAndAskedAgain) {
  expect_delivery_after([](int socket, const std::atomic<bool>& stopping) {
    const std::string_view answer =
        "HTTP/1.1 204 No Content\r\nX-Padding: 0123456789012345678901234567890123456789\r\n\r\n";
    for (char c : answer) {
      if (stopping || !RawServer::write(socket, std::string_view(&c, 1))) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(30));  // the slow server itself
    }
  });
}

TEST(ShipFault, AServerThatClosesInTheMiddleOfItsAnswer) {
  expect_delivery_after([](int socket, const std::atomic<bool>&) {
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    ::shutdown(socket, SHUT_WR);
  });
}

TEST(ShipFault, AServerThatClosesWithoutAWord) {
  expect_delivery_after([](int, const std::atomic<bool>&) {});
}

TEST(ShipFault, AServerThatSaysNonsense) {
  expect_delivery_after([](int socket, const std::atomic<bool>&) {
    RawServer::write(socket, std::string("\0\xff\x01 not HTTP at all\r\n\r\n", 22));
  });
}

TEST(ShipFault, AServerThatNeverReads) {
  expect_delivery_after([](int, const std::atomic<bool>& stopping) {
    for (int i = 0; i < 100 && !stopping; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
}

}  // namespace
}  // namespace tocayo::agent
