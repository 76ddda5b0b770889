// SPDX-License-Identifier: Apache-2.0
// Q15: eight users ask Q1 to Q9 without a pause, each from another one on, while lines come in at 20 MB/s.
#include <fmt/format.h>
#include <snappy.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "bench/logs/corpus.h"
#include "bench/logs/system.h"

namespace tocayo::bench {

namespace {

constexpr int kUsers = 8;
constexpr double kRate = 20e6;  // bytes of lines a second
constexpr std::int64_t kHour = 3'600'000'000'000;

struct Bodies {
  std::vector<std::string> packed;
  double bytes_each = 0;  // of lines, about
};

Bodies make_bodies(double bytes) {
  Bodies bodies;
  const auto made = generate_tail(static_cast<std::uint64_t>(bytes), kHour, [&](std::string body) {
    snappy::Compress(body.data(), body.size(), &bodies.packed.emplace_back());
  });
  bodies.bytes_each = static_cast<double>(made) / static_cast<double>(bodies.packed.size());
  return bodies;
}

// Sends the bodies from `first` on at the rate for so long; returns how far it came, and the bytes a second.
struct Pushed {
  std::size_t next = 0;
  double rate = 0;
  int refused = 0;
};
Pushed push(const System& system, const Bodies& bodies, std::size_t first, std::chrono::seconds duration) {
  std::atomic<std::size_t> next{first};
  std::atomic<int> refused{0};
  const auto began = Steady::now();
  const auto until = began + duration;
  {
    std::vector<std::jthread> senders;
    for (int i = 0; i < 2; ++i) {
      senders.emplace_back([&] {
        while (true) {
          const auto mine = next.fetch_add(1);
          const auto due = began + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(
                                       static_cast<double>(mine - first) * bodies.bytes_each / kRate));
          if (mine >= bodies.packed.size() || due >= until || Steady::now() >= until) {
            --next;
            return;
          }
          std::this_thread::sleep_until(due);
          const auto reply = testing::http_request("POST", system.base + system.push, bodies.packed[mine],
                                                   {{"Content-Type", "application/x-protobuf"}});
          if (reply.status / 100 != 2) ++refused;
        }
      });
    }
  }
  const double seconds = milliseconds(began) / 1e3;
  return {.next = next, .rate = static_cast<double>(next - first) * bodies.bytes_each / seconds, .refused = refused};
}

}  // namespace

bool measure_users(const System& system, std::chrono::seconds duration) {
  const auto bodies = make_bodies(kRate * static_cast<double>(duration.count() + 25) * 1.05);
  const auto alone = push(system, bodies, 0, std::chrono::seconds(20));
  tell("ingest without users", system.name, alone.rate / 1e6, "MB/s");
  std::vector<Query> asked;
  for (auto& query : queries()) {
    if (query.name[2] == ' ') asked.push_back(std::move(query));  // Q1 to Q9
  }
  std::mutex mutex;
  std::map<std::string, std::vector<double>> times;
  std::map<int, int> statuses;
  std::atomic<bool> done{false};
  PeakMemory peak(system.pid);
  const auto before = usage_of(system.pid);
  std::vector<std::jthread> users;
  for (int user = 0; user < kUsers; ++user) {
    users.emplace_back([&, user] {
      for (auto i = static_cast<std::size_t>(user); !done; ++i) {
        const Query& query = asked[i % asked.size()];
        const auto form = logql_form(query, kStart + kHour, kStart + kDay + kHour);
        const auto at = Steady::now();
        const auto reply = post_form(system.base + "/loki/api/v1/query_range", form);
        const double took = milliseconds(at);
        std::scoped_lock lock(mutex);
        times[query.name].push_back(took);
        ++statuses[reply.status];
      }
    });
  }
  const auto beside = push(system, bodies, alone.next, duration);
  done = true;
  users.clear();
  const auto after = usage_of(system.pid);
  tell("ingest beside 8 users", system.name, beside.rate / 1e6, "MB/s");
  tell("refused pushes", system.name, alone.refused + beside.refused, "");
  tell("CPU of the server", system.name, (after.cpu - before.cpu) / static_cast<double>(duration.count()), "cores");
  if (system.pid != 0) tell("peak memory", system.name, peak.rss() / 1e6, "MB");
  for (const auto& [status, count] : statuses) tell(fmt::format("answers {}", status), system.name, count, "");
  fmt::print("{:<34} {:>8} {:>10} {:>10}\n", "8 users at once (ms)", "asked", "median", "p99");
  for (const auto& [name, list] : times)
    fmt::print("{:<34} {:>8} {:>10.1f} {:>10.1f}\n", name, list.size(), median(list), percentile(list, 0.99));
  return alone.refused + beside.refused == 0 && statuses.size() == 1 && statuses.contains(200);
}

}  // namespace tocayo::bench
