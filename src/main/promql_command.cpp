// SPDX-License-Identifier: Apache-2.0
#include "main/promql_command.h"

#include <cstdio>
#include <filesystem>

#include "promql/parser.h"
#include "promql/printer.h"
#include "promql/testfile.h"
#include "promql/testfile_engine.h"

namespace tocayo {

int promql_test(const std::vector<std::string>& paths) {
  promql::testing::EngineTarget target;
  promql::testing::Report all;
  for (const std::string& path : paths) {
    auto progress = [](const std::string& file, const promql::testing::Report& report) {
      std::printf("%-4s %s: %s\n", report.passed() ? "ok" : "FAIL", file.c_str(), report.summary().c_str());
    };
    if (std::filesystem::is_directory(path)) {
      all.add(promql::testing::run_directory(path, target, {}, progress));
    } else {
      (void)target.clear();
      auto report = promql::testing::run_file(path, target);
      progress(path, report);
      all.add(report);
    }
  }
  for (const auto& failure : all.failures) std::printf("%s\n", failure.to_string().c_str());
  std::printf("%s\n", all.summary().c_str());
  return all.passed() ? 0 : 1;
}

int promql_format(const std::string& text) {
  auto expr = promql::parse_expr(text, promql::ParserOptions::all());
  if (!expr) {
    std::fprintf(stderr, "%s\n", expr.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", promql::pretty(**expr).c_str());
  return 0;
}

}  // namespace tocayo
