// SPDX-License-Identifier: Apache-2.0
// All promqltest files: our own in tests/conformance/promql and Prometheus' in ../shared/conformance/promql (or
// TOCAYO_CONFORMANCE_DIR), every one whole through the engine with every re-run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "promql/parser.h"
#include "promql/printer.h"
#include "promql/testfile_engine.h"

namespace tocayo::promql::testing {
namespace {

namespace fs = std::filesystem;

fs::path own_directory() { return fs::path(TOCAYO_SOURCE_DIR) / "tests/conformance/promql"; }
fs::path shared_directory() {
  if (const char* set = std::getenv("TOCAYO_CONFORMANCE_DIR")) return fs::path(set) / "promql";
  return fs::path(TOCAYO_SOURCE_DIR) / "../shared/conformance/promql";
}

std::vector<std::string> files_in(const fs::path& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".test") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void run_through_engine(const fs::path& directory) {
  for (const std::string& file : files_in(directory)) {
    EngineTarget target;
    Report report = run_file(file, target);
    for (const Failure& failure : report.failures) ADD_FAILURE() << failure.to_string();
    EXPECT_GT(report.evals, 0) << file;
    EXPECT_GT(report.queries, report.evals) << file << ": no query was run again";
    std::cout << fs::path(file).filename().string() << ": " << report.summary() << "\n";
  }
}

// Every query parses (unless a failure is expected), prints, and parses again to the same text.
void round_trip(const fs::path& directory) {
  for (const std::string& file : files_in(directory)) {
    auto commands = parse_test_file(read(file));
    ASSERT_TRUE(commands) << file << ": " << commands.error().message;
    for (const TestCommand& command : *commands) {
      const auto* eval = std::get_if<EvalCommand>(&command.what);
      if (!eval) continue;
      auto expr = parse_expr(eval->expr, ParserOptions::all());
      if (!expr && eval->fail) continue;
      ASSERT_TRUE(expr) << file << ":" << command.line << ": " << expr.error().message;
      for (const std::string& printed : {print(**expr), pretty(**expr)}) {
        auto again = parse_expr(printed, ParserOptions::all());
        ASSERT_TRUE(again) << file << ":" << command.line << ": " << printed << ": " << again.error().message;
        EXPECT_EQ(print(**again), print(**expr)) << file << ":" << command.line;
      }
    }
  }
}

// Their absence is an error in CI and a visible skip elsewhere.
bool shared_files_missing() {
  if (!files_in(shared_directory()).empty()) return false;
  EXPECT_EQ(std::getenv("CI"), nullptr) << "no conformance files in " << shared_directory();
  return true;
}

TEST(PromqlConformance, OwnFiles) {
  ASSERT_FALSE(files_in(own_directory()).empty());
  run_through_engine(own_directory());
}

TEST(PromqlConformance, OwnFilesRoundTrip) { round_trip(own_directory()); }

TEST(PromqlConformance, SharedFiles) {
  if (shared_files_missing()) GTEST_SKIP() << "no conformance files in " << shared_directory();
  run_through_engine(shared_directory());
}

TEST(PromqlConformance, SharedFilesRoundTrip) {
  if (shared_files_missing()) GTEST_SKIP() << "no conformance files in " << shared_directory();
  round_trip(shared_directory());
}

}  // namespace
}  // namespace tocayo::promql::testing
