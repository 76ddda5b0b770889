// SPDX-License-Identifier: Apache-2.0
// All LogQL tables: our own in tests/conformance/logql and the shared ones in ../shared/conformance/logql (or
// TOCAYO_CONFORMANCE_DIR), over the plain store, with small and large morsels, on one thread and on several.
#include "logql/engine/testfile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "core/pool.h"
#include "core/text.h"
#include "logql/engine/plain_store.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"

namespace tocayo::logql::table {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files() {
  fs::path shared = fs::path(TOCAYO_SOURCE_DIR) / "../shared/conformance/logql";
  if (const char* set = std::getenv("TOCAYO_CONFORMANCE_DIR")) shared = fs::path(set) / "logql";
  std::vector<std::string> found;
  for (const fs::path& directory : {shared, fs::path(TOCAYO_SOURCE_DIR) / "tests/conformance/logql"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      if (entry.path().extension() == ".yaml") found.push_back(entry.path().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

// Their absence is an error in CI and a visible skip elsewhere.
#define FILES_OR_SKIP(name)                                          \
  const std::vector<std::string> name = files();                     \
  if (name.empty()) {                                                \
    ASSERT_EQ(std::getenv("CI"), nullptr) << "no conformance files"; \
    GTEST_SKIP() << "no conformance files";                          \
  }

Suite load(const std::string& file) {
  auto text = read_file(file);
  EXPECT_TRUE(text) << file;
  auto suite = parse_suite(text.value_or(""), file);
  EXPECT_TRUE(suite) << suite.error().message;
  return suite ? std::move(*suite) : Suite{};
}

void run_all(const std::vector<std::string>& paths, std::size_t morsel_rows, Pool* pool) {
  std::size_t cases = 0;
  for (const std::string& path : paths) {
    std::map<std::string, std::shared_ptr<PlainStore>> stores;
    const auto store = [&](const std::string& tenant) {
      auto& one = stores[tenant];
      if (one == nullptr) one = std::make_shared<PlainStore>(morsel_rows);
      return one;
    };
    EngineTarget target(
        [&](const std::string& tenant, std::span<logs::StreamRows> streams) -> Result<> {
          store(tenant)->add(streams);
          return {};
        },
        [&](const std::string& tenant) -> Result<std::shared_ptr<const logs::Querier>> { return store(tenant); }, pool);
    const Suite suite = load(path);
    auto report = run(suite, target);
    ASSERT_TRUE(report) << report.error().message;
    for (const Mismatch& mismatch : report->mismatches) ADD_FAILURE() << mismatch.where << "\n" << mismatch.what;
    cases += report->cases;
  }
  std::cout << cases << " cases of " << paths.size() << " files\n";
}

TEST(LogqlTables, PlainStore) {
  FILES_OR_SKIP(paths);
  run_all(paths, 1'000, nullptr);
}

TEST(LogqlTables, PlainStoreInSmallMorselsOnThreads) {
  FILES_OR_SKIP(paths);
  Pool pool("tables", 3);
  run_all(paths, 2, &pool);
}

TEST(LogqlTables, QueriesReadBackFromPrint) {
  FILES_OR_SKIP(paths);
  for (const std::string& path : paths) {
    for (const Case& one : load(path).cases) {
      auto expr = parse(one.request.query);
      if (!expr) continue;
      for (const std::string& text : {to_string(*expr), format(*expr)}) {
        auto again = parse(text);
        ASSERT_TRUE(again) << one.id << ": " << text << ": " << again.error().message;
        EXPECT_EQ(to_string(*again), to_string(*expr)) << one.id;
      }
    }
  }
}

constexpr std::string_view kHead =
    "format: 1\nsuite: s\nbase: 100\ndata:\n  d:\n    - labels: {a: 'b'}\n      entries:\n"
    "        - [1.5, 'x']\n        - {t: 2, every: 1, count: 2, line: 'y{i}'}\ncases:\n";

// A runner that accepts everything would pass every table.
TEST(LogqlTables, RunnerSeesDifferences) {
  for (std::string_view wrong :
       {"streams: [{labels: {a: 'b'}, lines: [[1.5, 'x'], [2, 'y0']]}]",
        "streams: [{labels: {a: 'c'}, lines: [[1.5, 'x'], [2, 'y0'], [3, 'y1']]}]",
        "streams: [{labels: {a: 'b'}, lines: [[1.500000001, 'x'], [2, 'y0'], [3, 'y1']]}]", "empty: true",
        "vector: [[{a: 'b'}, 3]]", "error: {status: 400, contains: ''}", "text: '{a=\"b\"}'", "scalar: 1",
        "streams: [{labels: {a: 'b'}, lines: [[1.5, 'x'], [2, 'y0'], [3, 'y1']]}]"}) {
    const std::string text = std::string(kHead) +
                             "  - id: one\n    data: d\n    query: '{a=\"b\"}'\n    logs: {from: 0, to: 10, direction: "
                             "forward, limit: 10}\n    " +
                             std::string(wrong) + "\n";
    auto suite = parse_suite(text, "inline");
    ASSERT_TRUE(suite) << suite.error().message;
    PlainStore store;
    EngineTarget target(
        [&](const std::string&, std::span<logs::StreamRows> streams) -> Result<> {
          store.add(streams);
          return {};
        },
        [&](const std::string&) -> Result<std::shared_ptr<const logs::Querier>> {
          return std::shared_ptr<const logs::Querier>(&store, [](const logs::Querier*) {});
        });
    auto report = run(*suite, target);
    ASSERT_TRUE(report);
    const bool right = wrong.contains("[1.5, 'x'], [2, 'y0'], [3, 'y1']") && wrong.contains("'b'");
    EXPECT_EQ(report->mismatches.size(), right ? 0U : 1U) << wrong;
  }
}

TEST(LogqlTables, BadFilesAreLocated) {
  auto suite = parse_suite(std::string(kHead) + "  - id: one\n    data: e\n    query: 'x'\n    instant: 1\n", "f.yaml");
  ASSERT_FALSE(suite);
  EXPECT_TRUE(suite.error().message.starts_with("f.yaml:12:")) << suite.error().message;
  suite = parse_suite("format: [", "f.yaml");
  ASSERT_FALSE(suite);
  EXPECT_TRUE(suite.error().message.starts_with("f.yaml:")) << suite.error().message;
}

}  // namespace
}  // namespace tocayo::logql::table
