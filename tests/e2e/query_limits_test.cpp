// SPDX-License-Identifier: Apache-2.0
// Limits of reads through the real binary: overrides reloaded without a restart, and the memory guard under a query for
// everything.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "tests/support/remote_write_body.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

using namespace std::chrono_literals;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

HttpHeaders as_tenant(HttpHeaders headers, const std::string& tenant) {
  headers.emplace_back("X-Scope-OrgID", tenant);
  return headers;
}

TEST(QueryLimits, OverridesOfATenantAreReloaded) {
  TempDir work;
  const auto file = work.path() / "overrides.yaml";
  const auto write = [&](const std::string& text) {
    std::ofstream(file.string() + ".new") << text;
    std::filesystem::rename(file.string() + ".new", file);
  };
  write("overrides: {}\n");
  Server::Options options;
  options.sets = {"overrides_file=" + file.string()};
  Server server(options);
  ASSERT_TRUE(server.start());
  std::vector<PushSeries> series;
  for (int i = 0; i < 20; ++i)
    series.push_back({{{"__name__", "m"}, {"i", std::to_string(i)}}, {{now_ms() - 1000, 1}, {now_ms(), 2}}});
  for (const char* tenant : {"a", "b"}) {
    ASSERT_EQ(http_request("POST", server.url("/api/v1/push"), remote_write_1(series),
                           as_tenant(remote_write_headers(1), tenant))
                  .status,
              204);
  }
  const auto ask = [&](const std::string& tenant, const std::string& path) {
    return http_get(server.url(path), as_tenant({}, tenant));
  };
  EXPECT_EQ(ask("a", "/api/v1/query?query=m").status, 200);
  write(
      "overrides:\n"
      "  a:\n"
      "    max_fetched_series_per_query: 19\n"
      "    blocked_queries: [{pattern: 'count.*', regex: true, reason: too dear}]\n"
      "    blocked_requests: [{path: /prometheus/api/v1/labels, method: GET}]\n"
      "    enabled_promql_experimental_functions: [limitk]\n");
  const auto reload = http_request("POST", server.url("/-/reload"), "", {{"X-Tocayo-Csrf", "1"}});
  EXPECT_EQ(reload.status, 200) << reload.body;
  ASSERT_TRUE(eventually([&] { return ask("a", "/api/v1/query?query=m").status == 422; }));
  auto refused = ask("a", "/api/v1/query?query=m");
  EXPECT_NE(refused.body.find("the query exceeded the maximum number of series (limit: 19 series) "
                              "(err-mimir-max-series-per-query)"),
            std::string::npos)
      << refused.body;
  EXPECT_EQ(ask("a", "/api/v1/query?query=m%7Bi%3D%221%22%7D").status, 200);
  auto blocked = ask("a", "/prometheus/api/v1/query?query=count(n)");
  EXPECT_EQ(blocked.status, 400);
  EXPECT_NE(blocked.body.find("err-mimir-query-blocked"), std::string::npos) << blocked.body;
  EXPECT_NE(ask("a", "/api/v1/labels").body.find("err-mimir-request-blocked"), std::string::npos);
  EXPECT_EQ(ask("a", "/api/v1/query?query=limitk(1,m%7Bi%3D%221%22%7D)").status, 200);
  for (const char* path : {"/api/v1/query?query=m", "/api/v1/query?query=count(m)", "/api/v1/labels"})
    EXPECT_EQ(ask("b", path).status, 200) << path;
  EXPECT_EQ(ask("b", "/api/v1/query?query=limitk(1,m)").status, 400);
  // A broken file keeps what holds.
  write("overrides: {a: {blocked_queries: [{pattern: '(', regex: true}]}}\n");
  ASSERT_TRUE(eventually([&] {
    return http_get(server.url("/metrics")).body.find("cortex_runtime_config_last_reload_successful 0") !=
           std::string::npos;
  }));
  EXPECT_EQ(ask("a", "/api/v1/query?query=m").status, 422);
}

std::uint64_t resident(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t total = 0, resident = 0, shared = 0;
  file >> total >> resident >> shared;
  return (resident - shared) * 4096;
}

// Seconds of processor time that a process has had.
double processor_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));  // the name may hold spaces
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Pushes 60,000 series with a sample a minute ago and one at `now`.
void fill(const Server& server, const std::string& tenant, std::int64_t now) {
  std::vector<PushSeries> series;
  for (int i = 0; i < 60'000; ++i) {
    series.push_back({{{"__name__", "metric_" + std::to_string(i % 100)},
                       {"instance", "a-rather-long-name-of-an-instance-" + std::to_string(i)},
                       {"path", "/a/path/that/does/not/fit/a/short/string/" + std::to_string(i % 7)}},
                      {{now - 60'000, 1}, {now, 2}}});
    if (series.size() < 5000) continue;
    ASSERT_EQ(http_request("POST", server.url("/api/v1/push"), remote_write_1(series),
                           as_tenant(remote_write_headers(1), tenant))
                  .status,
              204);
    series.clear();
  }
}

std::string everything(std::int64_t now) {
  return "query=" + url_encode("{__name__=~\".+\"}") + "&start=" + std::to_string(now / 1000 - 3600) +
         "&end=" + std::to_string(now / 1000) + "&step=1";
}

const HttpHeaders kForm = {{"Content-Type", "application/x-www-form-urlencoded"}};

// A query for everything meets the limit of series long before it has them: within a second, and nothing stays behind.
TEST(QueryLimits, ALimitStopsAQueryForEverythingAtOnce) {
  TempDir work;
  std::ofstream(work.path() / "overrides.yaml") << "overrides: {a: {max_fetched_series_per_query: 1000}}\n";
  Server::Options options;
  options.sets = {"overrides_file=" + (work.path() / "overrides.yaml").string()};
  Server server(options);
  ASSERT_TRUE(server.start());
  const std::int64_t now = now_ms();
  ASSERT_NO_FATAL_FAILURE(fill(server, "a", now));
  const pid_t pid = server.process().pid();
  const std::uint64_t memory = resident(pid);
  const double before = processor_seconds(pid);
  for (int i = 0; i < 5; ++i) {
    auto reply = http_request("POST", server.url("/api/v1/query_range"), everything(now), as_tenant(kForm, "a"));
    EXPECT_EQ(reply.status, 422) << reply.body.substr(0, 300);
    EXPECT_NE(reply.body.find("err-mimir-max-series-per-query"), std::string::npos) << reply.body.substr(0, 300);
  }
  EXPECT_LT(processor_seconds(pid) - before, 1.0) << "five times, with whatever else the program did meanwhile";
  EXPECT_TRUE(eventually([&] { return resident(pid) < memory + (16 << 20); })) << resident(pid) << " was " << memory;
}

TEST(QueryLimits, TheMemoryGuardStopsAQueryForEverything) {
  Server server;
  ASSERT_TRUE(server.start());
  const std::int64_t now = now_ms();
  ASSERT_NO_FATAL_FAILURE(fill(server, "a", now));
  ASSERT_EQ(server.stop(), 0);
  // What it has without a query, and room for a part of what the query wants.
  Server::Options tight;
  tight.data_dir = server.data_dir();
  Server probe(tight);
  ASSERT_TRUE(probe.start());
  const std::uint64_t idle = resident(probe.process().pid());
  ASSERT_EQ(probe.stop(), 0);
  tight.sets = {"memory.limit=" + std::to_string(idle + idle / 10 + (60 << 20)),
                "metrics.query.max_samples=1000000000"};
  Server small(tight);
  ASSERT_TRUE(small.start());
  const auto began = std::chrono::steady_clock::now();
  auto reply = http_request("POST", small.url("/api/v1/query_range"), everything(now), as_tenant(kForm, "a"));
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(reply.status, 503) << reply.body.substr(0, 300);
  EXPECT_NE(reply.body.find("memory.limit"), std::string::npos) << reply.body.substr(0, 300);
  EXPECT_LT(took, 20s);  // generous: the figure is measured by hand, a loaded machine is slow
  const std::uint64_t limit = idle + idle / 10 + (60 << 20);
  EXPECT_TRUE(eventually([&] { return resident(small.process().pid()) < limit * 9 / 10; }))
      << resident(small.process().pid()) << " of " << limit;
  // It lives, and small questions are answered.
  EXPECT_EQ(http_get(small.url("/api/v1/query?query=count(metric_1)"), as_tenant({}, "a")).status, 200);
  EXPECT_NE(http_get(small.url("/metrics")).body.find("tocayo_metrics_api_queries_stopped_total 1"), std::string::npos);
}

}  // namespace
}  // namespace tocayo::testing
