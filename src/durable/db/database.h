// SPDX-License-Identifier: Apache-2.0
// The small mutable state: users, tokens, rules, incidents. One interface over SQLite (one machine) and PostgreSQL
// (many); see docs/decisions/0001-three-durable-interfaces.md for how each call maps.
//
// SQL is the common subset of both: parameters $1, $2 …, `ON CONFLICT (…) DO UPDATE SET x = excluded.x`, `RETURNING`,
// BIGINT, TEXT, DOUBLE PRECISION, BYTEA; times are passed in, never taken from the database. What differs is in
// Dialect.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/task.h"
#include "db/value.h"

namespace tocayo::db {

enum class Dialect : unsigned char { sqlite, postgres };

// Appended to a SELECT inside a claiming UPDATE: rows that another claimer holds are passed over.
inline std::string_view skip_locked(Dialect dialect) {
  return dialect == Dialect::postgres ? " FOR UPDATE SKIP LOCKED" : "";
}

// Statements on one consistent snapshot. Valid only inside the work it was handed to, on that thread.
class Session {
 public:
  virtual ~Session() = default;
  virtual Dialect dialect() const = 0;

  // Runs one statement and reads all its rows. Prepared once per connection and text: do not build texts from data.
  // Errors: conflict (unique or foreign key), bad_input (NOT NULL, CHECK, text that is not UTF-8 or has NUL),
  // unavailable (disk full, busy, read-only, I/O), timeout/canceled (the context), internal (SQL, damaged file).
  virtual Result<Rows> run(std::string_view sql, const Args& args = {}) = 0;
  // Several statements without parameters, separated by ';' (migrations).
  virtual Result<> run_script(std::string_view sql) = 0;

  // Rows changed.
  Result<std::int64_t> execute(std::string_view sql, const Args& args = {}) { return TRY(run(sql, args)).changes; }
  template <typename... Ts>
  Result<std::vector<std::tuple<Ts...>>> query(std::string_view sql, const Args& args = {}) {
    return typed<Ts...>(TRY(run(sql, args)));
  }
  // The first row, or nullopt.
  template <typename... Ts>
  Result<std::optional<std::tuple<Ts...>>> query_one(std::string_view sql, const Args& args = {}) {
    auto rows = TRY(typed<Ts...>(TRY(run(sql, args))));
    if (rows.empty()) return std::optional<std::tuple<Ts...>>();
    return std::optional<std::tuple<Ts...>>(std::move(rows.front()));
  }
  // The first column of the first row, or nullopt without a row.
  template <typename T>
  Result<std::optional<T>> query_value(std::string_view sql, const Args& args = {}) {
    auto row = TRY((query_one<T>(sql, args)));
    if (!row) return std::optional<T>();
    return std::optional<T>(std::move(std::get<0>(*row)));
  }
};

class Transaction : public Session {
 public:
  // Runs after the commit is durable, in the order of commits and of registration, on the writing thread: hand over, do
  // not work. Never runs when the transaction did not commit.
  void on_commit(std::move_only_function<void()> hook) { hooks_.push_back(std::move(hook)); }

 protected:
  std::vector<std::move_only_function<void()>> hooks_;
};

// Held from try_lock until destroyed (or, with PostgreSQL, until its connection breaks).
class AdvisoryLock {
 public:
  virtual ~AdvisoryLock() = default;
  virtual bool held() const = 0;
};

// Thread-safe. Writes are serialised; an error from the work rolls it back and is the result. Success means: on stable
// storage. The work may run again from the start (a serialisation failure, a batch that had to be split): it touches
// nothing but the transaction and its own result; effects go into Transaction::on_commit.
class Database {
 public:
  virtual ~Database() = default;
  virtual Dialect dialect() const = 0;

  // `work` is Result<T>(Session&) / Result<T>(Transaction&).
  // Tasks resume on a thread of the database: hop to a pool before computing. The sync forms block the calling thread
  // (a blocking pool's) and must not be called from inside a write's work or hook (internal error instead of a
  // deadlock).
  template <typename Work>
  auto read(Work work, Context context = {}) -> Task<std::invoke_result_t<Work&, Session&>> {
    return run_task<Session>(&Database::start_read, std::move(work), std::move(context));
  }
  template <typename Work>
  auto write(Work work, Context context = {}) -> Task<std::invoke_result_t<Work&, Transaction&>> {
    return run_task<Transaction>(&Database::start_write, std::move(work), std::move(context));
  }
  template <typename Work>
  auto read_sync(Work work, const Context& context = {}) -> std::invoke_result_t<Work&, Session&> {
    return run_sync<Session>(&Database::block_read, work, context);
  }
  template <typename Work>
  auto write_sync(Work work, const Context& context = {}) -> std::invoke_result_t<Work&, Transaction&> {
    return run_sync<Transaction>(&Database::block_write, work, context);
  }

  // A lock of this name over all processes that share the database; nullptr when somebody else has it. Blocking call.
  virtual Result<std::unique_ptr<AdvisoryLock>> try_lock(std::string_view name) = 0;

 protected:
  template <typename S>
  using Work = std::move_only_function<Result<>(S&)>;
  using Done = std::move_only_function<void(Result<>)>;
  virtual void start_read(Work<Session> work, Context context, Done done) = 0;
  virtual void start_write(Work<Transaction> work, Context context, Done done) = 0;
  virtual Result<> block_read(Work<Session> work, const Context& context) = 0;
  virtual Result<> block_write(Work<Transaction> work, const Context& context) = 0;

 private:
  template <typename S, typename F, typename R>
  static Work<S> erase(F& work, std::optional<R>& result) {
    return [&work, &result](S& session) -> Result<> {
      result.emplace(work(session));
      if (!*result) return std::unexpected(result->error());
      return {};
    };
  }
  template <typename S, typename F, typename R = std::invoke_result_t<F&, S&>>
  Task<R> run_task(void (Database::*start)(Work<S>, Context, Done), F work, Context context) {
    std::optional<R> result;
    Result<> outcome = co_await completion<Result<>>([&](auto complete) {
      (this->*start)(erase<S>(work, result), std::move(context),
                     [complete](Result<> r) mutable { complete(std::move(r)); });
    });
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
    co_return std::move(*result);
  }
  template <typename S, typename F, typename R = std::invoke_result_t<F&, S&>>
  R run_sync(Result<> (Database::*block)(Work<S>, const Context&), F& work, const Context& context) {
    std::optional<R> result;
    Result<> outcome = (this->*block)(erase<S>(work, result), context);
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    return std::move(*result);
  }
};

}  // namespace tocayo::db
