// SPDX-License-Identifier: Apache-2.0
#include "db/detail/sqlite_connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/labels.h"

namespace tocayo::db::detail {

namespace {

constexpr std::size_t kMaxCachedStatements = 256;
constexpr int kProgressInstructions = 2'000;  // virtual machine steps between looks at the context
constexpr int kApplicationId = 0x54435931;    // "TCY1" in the file's header: made by this program

ErrorKind kind_of_code(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
    case SQLITE_CONSTRAINT_FOREIGNKEY: return ErrorKind::conflict;
    default: break;
  }
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT: return ErrorKind::bad_input;
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL: return ErrorKind::unavailable;
    case SQLITE_PERM:
    case SQLITE_AUTH: return ErrorKind::forbidden;
    case SQLITE_TOOBIG: return ErrorKind::too_large;
    case SQLITE_INTERRUPT: return ErrorKind::canceled;
    default: return ErrorKind::internal;
  }
}

std::string damaged(const std::string& file, std::string_view what) {
  return "the database " + file + " is damaged (" + std::string(what) +
         "): stop the program, keep the file aside and restore a backup, or recover it with `sqlite3 FILE .recover`";
}

std::string message_of_code(int extended, const std::string& file, const char* text) {
  switch (extended & 0xff) {
    case SQLITE_FULL: return "the disk of the database " + file + " is full";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "the database " + file + " is locked by another process";
    case SQLITE_NOTADB: return file + " is not a database of this program (or it is encrypted or overwritten)";
    case SQLITE_CORRUPT: return damaged(file, text);
    case SQLITE_READONLY: return "the database " + file + " is read-only";
    case SQLITE_CANTOPEN: return "the database " + file + " cannot be opened: " + text;
    case SQLITE_IOERR: return "input/output error on the database " + file + ": " + text;
    default: return std::string("database: ") + text;
  }
}

int on_progress(void* watched) { return static_cast<const Context*>(watched)->check() ? 0 : 1; }

}  // namespace

Error SqliteConnection::error(std::string_view sql) const {
  int extended = sqlite3_extended_errcode(handle_);
  if ((extended & 0xff) == SQLITE_INTERRUPT && context_) {
    if (auto ended = context_->check(); !ended) return ended.error();
  }
  Error out{kind_of_code(extended), message_of_code(extended, file_, sqlite3_errmsg(handle_))};
  // A mistake in a statement is ours: name it. Other errors speak for themselves.
  if (out.kind == ErrorKind::internal && !sql.empty()) out.message += " in: " + std::string(sql.substr(0, 200));
  return out;
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const SqliteOptions& options, bool read_only) {
  std::unique_ptr<SqliteConnection> self(new SqliteConnection);
  self->file_ = options.file.string();
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  if (sqlite3_open_v2(self->file_.c_str(), &self->handle_, flags, nullptr) != SQLITE_OK) {
    return std::unexpected(self->error(""));
  }
  sqlite3_busy_timeout(self->handle_, static_cast<int>(options.busy_timeout.count()));
  sqlite3_db_config(self->handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(self->handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // Looks at the header first, so that a foreign file is refused before anything is written to it.
  Rows id = TRY(self->run("PRAGMA application_id", {}));
  Rows tables = TRY(self->run("SELECT count(*) FROM sqlite_schema", {}));
  std::int64_t application = std::get<std::int64_t>(id.rows.at(0).at(0));
  bool empty = std::get<std::int64_t>(tables.rows.at(0).at(0)) == 0;
  if (application != kApplicationId && !(application == 0 && empty)) {
    return fail(ErrorKind::internal, self->file_ + " is a database of another program");
  }
  if (!read_only) {
    Rows mode = TRY(self->run("PRAGMA journal_mode = WAL", {}));
    if (std::get<std::string>(mode.rows.at(0).at(0)) != "wal") {
      return fail(ErrorKind::unavailable, "the file system of " + self->file_ + " cannot do SQLite's write-ahead log");
    }
    TRY(self->run_script("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864"));
    if (application == 0) TRY(self->run_script("PRAGMA application_id = " + std::to_string(kApplicationId)));
  }
  TRY(self->run_script(
      "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048; PRAGMA cell_size_check = ON"));
  if (!read_only && options.check_integrity && !empty) {
    Rows check = TRY(self->run("PRAGMA quick_check(1)", {}));
    const auto* text = std::get_if<std::string>(&check.rows.at(0).at(0));
    if (!text || *text != "ok") return fail(ErrorKind::internal, damaged(self->file_, text ? *text : "unreadable"));
  }
  return self;
}

SqliteConnection::~SqliteConnection() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

void SqliteConnection::watch(const Context* context) {
  context_ = context;
  sqlite3_progress_handler(handle_, context ? kProgressInstructions : 0, context ? on_progress : nullptr,
                           const_cast<Context*>(context));
}

bool SqliteConnection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Result<sqlite3_stmt*> SqliteConnection::prepare(std::string_view sql) {
  if (auto found = statements_.find(sql); found != statements_.end()) return found->second;
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                         &tail) != SQLITE_OK) {
    return std::unexpected(error(sql));
  }
  std::string_view rest(tail, static_cast<std::size_t>(sql.data() + sql.size() - tail));
  if (!statement || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    sqlite3_finalize(statement);
    return fail(ErrorKind::internal, "database: expected exactly one statement in: " + std::string(sql.substr(0, 200)));
  }
  if (statements_.size() >= kMaxCachedStatements) {
    for (auto& [text, old] : statements_) sqlite3_finalize(old);
    statements_.clear();
  }
  statements_.emplace(std::string(sql), statement);
  return statement;
}

Result<> SqliteConnection::bind(sqlite3_stmt* statement, const Args& args) {
  int count = sqlite3_bind_parameter_count(statement);
  std::size_t highest = 0;
  for (int i = 1; i <= count; ++i) {
    // SQLite takes "$2" as a name and numbers parameters by appearance; PostgreSQL takes it as the number, and so do
    // we.
    const char* name = sqlite3_bind_parameter_name(statement, i);
    std::size_t number = 0;
    std::string_view digits = name ? std::string_view(name).substr(1) : std::string_view();
    auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (!name || name[0] != '$' || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
        number == 0) {
      return fail(ErrorKind::internal,
                  std::string("database: parameters are written $1, $2 …: ") + sqlite3_sql(statement));
    }
    highest = std::max(highest, number);
    if (number > args.size()) break;
    const Value& value = args[number - 1].value();
    int rc = SQLITE_OK;
    if (auto* integer = std::get_if<std::int64_t>(&value)) {
      rc = sqlite3_bind_int64(statement, i, *integer);
    } else if (auto* real = std::get_if<double>(&value)) {
      rc = sqlite3_bind_double(statement, i, *real);
    } else if (auto* text = std::get_if<std::string>(&value)) {
      if (text->find('\0') != std::string::npos || !is_valid_utf8(*text)) {
        return fail(ErrorKind::bad_input, "text must be UTF-8 without NUL bytes");
      }
      rc = sqlite3_bind_text64(statement, i, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    } else if (auto* bytes = std::get_if<Bytes>(&value)) {
      rc = sqlite3_bind_blob64(statement, i, bytes->data.data() ? bytes->data.data() : "", bytes->data.size(),
                               SQLITE_STATIC);
    } else {
      rc = sqlite3_bind_null(statement, i);
    }
    if (rc != SQLITE_OK) return std::unexpected(error(sqlite3_sql(statement)));
  }
  if (highest != args.size()) {
    return fail(ErrorKind::internal, "database: the statement uses $" + std::to_string(highest) + " but was given " +
                                         std::to_string(args.size()) + " values: " + sqlite3_sql(statement));
  }
  return {};
}

Result<Rows> SqliteConnection::step_all(sqlite3_stmt* statement) {
  Rows out;
  int width = sqlite3_column_count(statement);
  for (int c = 0; c < width; ++c) out.columns.emplace_back(sqlite3_column_name(statement, c));
  int before = sqlite3_total_changes(handle_);
  for (;;) {
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE) break;
    if (rc != SQLITE_ROW) return std::unexpected(error(sqlite3_sql(statement)));
    std::vector<Value>& row = out.rows.emplace_back();
    row.reserve(static_cast<std::size_t>(width));
    for (int c = 0; c < width; ++c) {
      switch (sqlite3_column_type(statement, c)) {
        case SQLITE_INTEGER: row.emplace_back(std::int64_t{sqlite3_column_int64(statement, c)}); break;
        case SQLITE_FLOAT: row.emplace_back(sqlite3_column_double(statement, c)); break;
        case SQLITE_TEXT: {
          auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, c));
          row.emplace_back(std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, c))));
          break;
        }
        case SQLITE_BLOB: {
          auto* data = static_cast<const char*>(sqlite3_column_blob(statement, c));
          auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, c));
          row.emplace_back(Bytes{data ? std::string(data, size) : std::string()});
          break;
        }
        default: row.emplace_back(); break;
      }
    }
  }
  if (sqlite3_total_changes(handle_) != before) out.changes = sqlite3_changes64(handle_);
  return out;
}

Result<Rows> SqliteConnection::run(std::string_view sql, const Args& args) {
  sqlite3_stmt* statement = TRY(prepare(sql));
  Result<Rows> rows = [&]() -> Result<Rows> {
    TRY(bind(statement, args));
    return step_all(statement);
  }();
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);  // the bound texts are the caller's
  return rows;
}

Result<> SqliteConnection::run_script(std::string_view sql) {
  const char* at = sql.data();
  const char* end = sql.data() + sql.size();
  while (at < end) {
    sqlite3_stmt* statement = nullptr;
    const char* tail = nullptr;
    if (sqlite3_prepare_v3(handle_, at, static_cast<int>(end - at), 0, &statement, &tail) != SQLITE_OK) {
      auto line = 1 + std::count(sql.data(), at, '\n');
      return std::unexpected(error(std::string_view(at, static_cast<std::size_t>(end - at)))
                                 .with_context("statement that starts on line " + std::to_string(line)));
    }
    if (statement) {
      int rc = SQLITE_ROW;
      while (rc == SQLITE_ROW) rc = sqlite3_step(statement);
      if (rc != SQLITE_DONE) {
        Error failed = error(sqlite3_sql(statement));
        sqlite3_finalize(statement);
        return std::unexpected(std::move(failed));
      }
      sqlite3_finalize(statement);
    }
    at = tail;
  }
  return {};
}

}  // namespace tocayo::db::detail
