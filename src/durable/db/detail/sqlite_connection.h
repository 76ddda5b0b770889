// SPDX-License-Identifier: Apache-2.0
// One SQLite connection: options, statement cache, binding, errors. Used by one thread at a time. Private to this room.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/context.h"
#include "core/error.h"
#include "db/sqlite_database.h"
#include "db/value.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tocayo::db::detail {

class SqliteConnection {
 public:
  static Result<std::unique_ptr<SqliteConnection>> open(const SqliteOptions& options, bool read_only);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  Result<Rows> run(std::string_view sql, const Args& args);
  Result<> run_script(std::string_view sql);
  // Statements until the next call are interrupted when the context ends (nullptr: never).
  void watch(const Context* context);
  // False when SQLite itself rolled the transaction back (disk full, I/O error).
  bool in_transaction() const;

 private:
  SqliteConnection() = default;
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  Result<> bind(sqlite3_stmt* statement, const Args& args);
  Result<Rows> step_all(sqlite3_stmt* statement);
  Error error(std::string_view sql) const;

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::string file_;
  sqlite3* handle_ = nullptr;
  const Context* context_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*, TextHash, std::equal_to<>> statements_;
};

}  // namespace tocayo::db::detail
