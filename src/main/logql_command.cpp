// SPDX-License-Identifier: Apache-2.0
#include "main/logql_command.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "core/log.h"
#include "core/pool.h"
#include "core/text.h"
#include "db/sqlite_database.h"
#include "logql/engine/testfile.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"
#include "logs/store/store.h"

namespace tocayo {

namespace {

namespace fs = std::filesystem;
namespace table = logql::table;

// A store of its own in a directory that disappears.
class Bench {
 public:
  Bench() {
    std::string name = (fs::temp_directory_path() / "tocayo-logql-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) directory_ = name;
  }
  ~Bench() {
    store_.reset();
    database_.reset();
    std::error_code ignored;
    if (!directory_.empty()) fs::remove_all(directory_, ignored);
  }
  Result<> open() {
    if (directory_.empty()) return fail(ErrorKind::unavailable, "no temporary directory");
    database_ = TRY(db::SqliteDatabase::open({.file = directory_ + "/state.db"}));
    logs::StoreOptions options;
    options.dir = directory_ + "/logs";
    options.database = database_.get();
    options.background = false;
    store_ = TRY(logs::Store::open(std::move(options)));
    return {};
  }
  Result<> open_again() {
    TRY(store_->close());
    store_.reset();
    return open();
  }
  logs::Store& store() { return *store_; }

 private:
  std::string directory_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<logs::Store> store_;
};

std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
    }
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

int logql_test(const std::vector<std::string>& paths) {
  log::set_level(log::Level::warn);
  Bench bench;
  Pool pool("logql", 2);
  auto ready = bench.open();
  if (!ready) {
    std::fprintf(stderr, "%s\n", ready.error().message.c_str());
    return 1;
  }
  table::EngineTarget target(
      [&](const std::string& tenant, std::span<logs::StreamRows> streams) -> Result<> {
        auto done = sync_wait(bench.store().append(tenant, streams));
        if (!done) return std::unexpected(std::move(done.error()));
        if (!done->messages.empty()) return fail(ErrorKind::bad_input, done->messages[0]);
        return {};
      },
      [&](const std::string& tenant) -> Result<std::shared_ptr<const logs::Querier>> {
        return bench.store().querier(tenant);
      },
      &pool);
  std::vector<table::Suite> suites;
  std::size_t cases = 0;
  std::size_t failures = 0;
  auto report = [&](const char* when, const table::Report& of) {
    cases += of.cases;
    failures += of.mismatches.size();
    for (const auto& mismatch : of.mismatches)
      std::printf("%s: %s: %s\n", when, mismatch.where.c_str(), mismatch.what.c_str());
  };
  const auto files = files_of(paths);
  for (const auto& file : files) {
    auto text = read_file(file);
    auto suite = text ? table::parse_suite(*text, file) : Result<table::Suite>(std::unexpected(text.error()));
    auto loaded = suite ? table::run(*suite, target) : Result<table::Report>(std::unexpected(suite.error()));
    if (!loaded) {
      std::printf("%s: %s\n", file.c_str(), loaded.error().message.c_str());
      ++failures;
      continue;
    }
    report("head", *loaded);
    suites.push_back(std::move(*suite));
  }
  auto flushed = bench.store().flush();
  if (flushed) {
    for (const auto& suite : suites) report("segments", table::ask(suite, target));
    flushed = bench.open_again();
  }
  if (flushed) {
    for (const auto& suite : suites) report("opened again", table::ask(suite, target));
  } else {
    std::printf("%s\n", flushed.error().message.c_str());
    ++failures;
  }
  std::printf("%zu files, %zu cases, %zu failed\n", files.size(), cases, failures);
  return failures == 0 && !files.empty() ? 0 : 1;
}

int logql_format(const std::string& text) {
  auto expr = logql::parse(text);
  if (!expr) {
    std::fprintf(stderr, "%s\n", expr.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", logql::format(*expr).c_str());
  return 0;
}

}  // namespace tocayo
