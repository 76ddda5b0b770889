// SPDX-License-Identifier: Apache-2.0
// Targets that misbehave, over real sockets: they fail alone.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "agent/raw_server.h"
#include "agent/scrape/scraper.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

// Keeps the last value of each series.
class Store final : public metrics::Appender {
 public:
  Task<Result<metrics::AppendResult>> append(std::string_view, metrics::AppendBatch batch) override {
    std::lock_guard lock(mutex_);
    for (auto& row : batch.series) {
      for (const auto& value : row.floats) {
        values_[row.labels->to_string()] = value.value;
        ++counts_[row.labels->to_string()];
      }
    }
    changed_.notify_all();
    co_return metrics::AppendResult{};
  }
  // Until the series has been written `times` times; its last value.
  double wait(const std::string& series, int times) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return counts_[series] >= times; })) << series;
    return values_[series];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, double> values_;
  std::map<std::string, int> counts_;
};

std::size_t resident_bytes() {
  auto text = read_file("/proc/self/statm");
  return text ? std::strtoul(text->c_str() + text->find(' '), nullptr, 10) * 4096 : 0;
}

void good(int socket, const std::atomic<bool>&) {
  while (RawServer::read_request(socket)) {
    if (!RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n"))
      return;
  }
}

struct Scene {
  Scene(RawServer::Handler bad_handler, std::string_view fields) : bad(std::move(bad_handler)), fine(good) {
    auto file = parse_scrape_file(
        fmt::format("global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\nscrape_configs:\n"
                    "- job_name: bad\n  static_configs: [{{targets: ['{}'], labels: {{instance: bad}}}}]\n{}"
                    "- job_name: fine\n  static_configs: [{{targets: ['{}'], labels: {{instance: fine}}}}]\n",
                    bad.address(), fields, fine.address()),
        "p.yml", "");
    EXPECT_TRUE(file) << file.error().message;
    scraper = Scraper::create({}, *client, store, compute);
    scraper->apply(std::move(*file));
  }
  ~Scene() { scraper->stop(); }
  std::string error() {
    for (const auto& target : scraper->active()) {
      if (target.pool == "bad") return target.last_error;
    }
    return {};
  }
  RawServer bad, fine;
  Store store;
  Pool compute{"compute", 2};
  std::unique_ptr<http::Client> client = http::Client::create();
  std::unique_ptr<Scraper> scraper;
};

TEST(ScrapeFault, ATargetThatSendsAGigabyteIsCutOffAtTheLimit) {
  const std::string chunk(1 << 20, '#');
  std::atomic<std::size_t> sent = 0;
  Scene scene(
      [&](int socket, const std::atomic<bool>& stopping) {
        while (RawServer::read_request(socket)) {
          if (!RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")) return;
          for (int i = 0; i < 1024 && !stopping; ++i) {
            if (!RawServer::write(socket, chunk)) return;
            sent += chunk.size();
          }
          return;
        }
      },
      "  body_size_limit: 4MB\n");
  const std::size_t before = resident_bytes();
  EXPECT_EQ(scene.store.wait("up{instance=\"bad\", job=\"bad\"}", 3), 0);
  EXPECT_EQ(scene.error(), "body size limit exceeded");
  EXPECT_EQ(scene.store.wait("up{instance=\"fine\", job=\"fine\"}", 3), 1);
  EXPECT_LT(sent, std::size_t{512} << 20) << "not read to its end";
  EXPECT_LT(resident_bytes(), before + (std::size_t{200} << 20));
}

TEST(ScrapeFault, ATargetThatSendsAByteAtATimeRunsIntoItsTimeout) {
  Scene scene(
      [](int socket, const std::atomic<bool>& stopping) {
        if (!RawServer::read_request(socket)) return;
        if (!RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")) return;
        while (!stopping && RawServer::write(socket, "#"))
          std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the slow target itself
      },
      "");
  EXPECT_EQ(scene.store.wait("up{instance=\"bad\", job=\"bad\"}", 2), 0);
  EXPECT_FALSE(scene.error().empty());
  EXPECT_GE(scene.store.wait("scrape_duration_seconds{instance=\"bad\", job=\"bad\"}", 2), 0.3);
  EXPECT_EQ(scene.store.wait("up{instance=\"fine\", job=\"fine\"}", 3), 1);
}

}  // namespace
}  // namespace tocayo::agent
