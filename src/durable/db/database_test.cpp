// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <thread>

#include "db/migrations.h"
#include "db/testing.h"

namespace tocayo::db {
namespace {

namespace fs = std::filesystem;

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    reopen();
    ASSERT_TRUE(
        script("CREATE TABLE t (id {identity}, name TEXT NOT NULL UNIQUE, n BIGINT, CHECK (n IS NULL OR n >= 0))"));
  }
  fs::path file() const { return directory_.path() / "state/tocayo.db"; }
  void reopen() {
    database_.reset();
    database_ = testing::open_database(file());
  }
  Result<> script(std::string sql) {
    if (auto at = sql.find("{identity}"); at != std::string::npos)
      sql.replace(at, 10, "INTEGER PRIMARY KEY AUTOINCREMENT");
    return database_->write_sync([&](Transaction& tx) { return tx.run_script(sql); });
  }
  Result<std::int64_t> write(std::string_view sql, const Args& args = {}) {
    return database_->write_sync([&](Transaction& tx) { return tx.execute(sql, args); });
  }
  std::int64_t count() {
    return **database_->read_sync([](Session& s) { return s.query_value<std::int64_t>("SELECT count(*) FROM t"); });
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, KeepsCommittedRowsOverAReopen) {
  ASSERT_TRUE(write("INSERT INTO t (name, n) VALUES ($1, $2)", {"a", 7}));
  reopen();
  EXPECT_EQ(count(), 1);
  struct stat info;
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(DatabaseTest, TypedRowsRoundTripEveryKind) {
  ASSERT_TRUE(script("CREATE TABLE k (i BIGINT, r DOUBLE PRECISION, s TEXT, b BYTEA, e BIGINT)"));
  std::string bytes("\0\xff'\"", 4);
  ASSERT_TRUE(write("INSERT INTO k VALUES ($1, $2, $3, $4, $5)",
                    {INT64_MIN, 0.1, "naïve ' \" ; -- ☃", Bytes{bytes}, std::optional<std::int64_t>()}));
  auto rows = database_->read_sync([](Session& s) {
    return s.query<std::int64_t, double, std::string, Bytes, std::optional<std::int64_t>>(
        "SELECT i, r, s, b, e FROM k");
  });
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->at(0), (std::tuple<std::int64_t, double, std::string, Bytes, std::optional<std::int64_t>>(
                             INT64_MIN, 0.1, "naïve ' \" ; -- ☃", Bytes{bytes}, std::nullopt)));
  auto wrong = database_->read_sync([](Session& s) { return s.query_one<std::string>("SELECT i FROM k"); });
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("column 1 (i)"), std::string::npos) << wrong.error().message;
  auto null = database_->read_sync([](Session& s) { return s.query_one<std::int64_t>("SELECT e FROM k"); });
  EXPECT_FALSE(null);
  auto width = database_->read_sync([](Session& s) { return s.query_one<std::int64_t>("SELECT i, e FROM k"); });
  EXPECT_FALSE(width);
}

TEST_F(DatabaseTest, ParametersGoByNumberNotByAppearance) {
  auto row = database_->read_sync([](Session& s) {
    return s.query_one<std::string, std::string, std::string>("SELECT $2, $1, $2", {"one", "two"});
  });
  ASSERT_TRUE(row && *row) << row.error().message;
  EXPECT_EQ(**row, (std::tuple<std::string, std::string, std::string>("two", "one", "two")));
  for (auto [sql, args] : std::vector<std::pair<std::string, Args>>{{"SELECT $1, $3", {1, 2}},
                                                                    {"SELECT $1", {1, 2}},
                                                                    {"SELECT ?", {1}},
                                                                    {"SELECT $1", {}},
                                                                    {"SELECT $x", {1}}}) {
    auto got = database_->read_sync([&](Session& s) { return s.run(sql, args); });
    ASSERT_FALSE(got) << sql;
    EXPECT_EQ(got.error().kind, ErrorKind::internal) << sql;
  }
}

TEST_F(DatabaseTest, TextIsDataNeverSql) {
  std::string nasty = "x'); DROP TABLE t; --";
  ASSERT_TRUE(write("INSERT INTO t (name) VALUES ($1)", {nasty}));
  auto back = database_->read_sync(
      [&](Session& s) { return s.query_value<std::string>("SELECT name FROM t WHERE name = $1", {nasty}); });
  EXPECT_EQ(**back, nasty);
  EXPECT_EQ(write("INSERT INTO t (name) VALUES ($1)", {std::string("a\0b", 3)}).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(write("INSERT INTO t (name) VALUES ($1)", {"\xff\xfe"}).error().kind, ErrorKind::bad_input);
  // One statement per call: a second one cannot be smuggled in.
  EXPECT_FALSE(write("DELETE FROM t; DROP TABLE t"));
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, ErrorsHaveKinds) {
  ASSERT_TRUE(write("INSERT INTO t (name, n) VALUES ($1, $2)", {"a", 1}));
  EXPECT_EQ(write("INSERT INTO t (name, n) VALUES ($1, $2)", {"a", 1}).error().kind, ErrorKind::conflict);
  EXPECT_EQ(write("INSERT INTO t (name, n) VALUES ($1, $2)", {nullptr, 1}).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(write("INSERT INTO t (name, n) VALUES ($1, $2)", {"b", -1}).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(write("SELEKT").error().kind, ErrorKind::internal);
  auto read_only = database_->read_sync([](Session& s) { return s.execute("DELETE FROM t"); });
  EXPECT_FALSE(read_only);
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, FailedWorkLeavesNothingAndRunsNoHook) {
  bool ran = false;
  auto failed = database_->write_sync([&](Transaction& tx) -> Result<int> {
    TRY(tx.execute("INSERT INTO t (name) VALUES ('a')"));
    tx.on_commit([&] { ran = true; });
    return fail(ErrorKind::forbidden, "no");
  });
  EXPECT_EQ(failed.error().kind, ErrorKind::forbidden);
  EXPECT_FALSE(ran);
  EXPECT_EQ(count(), 0);
  ASSERT_TRUE(database_->write_sync([&](Transaction& tx) -> Result<int> {
    tx.on_commit([&] { ran = true; });
    return 1;
  }));
  EXPECT_TRUE(ran);
}

TEST_F(DatabaseTest, HooksSeeTheCommittedRow) {
  std::int64_t seen = -1;
  ASSERT_TRUE(database_->write_sync([&](Transaction& tx) -> Result<> {
    TRY(tx.execute("INSERT INTO t (name) VALUES ('a')"));
    tx.on_commit([&] { seen = count(); });
    return {};
  }));
  EXPECT_EQ(seen, 1);
}

// Writes that wait together share a commit: one that fails among them harms none of the others.
TEST_F(DatabaseTest, ConcurrentWritersEachGetTheirOwnAnswer) {
  constexpr int kThreads = 8, kEach = 60;
  std::atomic<int> failures{0};
  std::latch ready(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ready.arrive_and_wait();
      for (int i = 0; i < kEach; ++i) {
        // Every third is a duplicate of a name that some thread inserts, or breaks the check.
        if (i % 3 == 2) {
          auto done =
              write("INSERT INTO t (name, n) VALUES ($1, -1)", {"bad" + std::to_string(t) + "." + std::to_string(i)});
          EXPECT_EQ(done.error().kind, ErrorKind::bad_input);
          ++failures;
        } else {
          EXPECT_TRUE(write("INSERT INTO t (name) VALUES ($1)", {std::to_string(t) + "." + std::to_string(i)}));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, kThreads * kEach / 3);
  EXPECT_EQ(count(), kThreads * kEach - failures);
}

TEST_F(DatabaseTest, IncrementsAreNotLost) {
  ASSERT_TRUE(write("INSERT INTO t (name, n) VALUES ('counter', 0)"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto done = database_->write_sync([](Transaction& tx) -> Result<std::int64_t> {
          auto n = TRY(tx.query_value<std::int64_t>("SELECT n FROM t WHERE name = 'counter'"));
          return tx.execute("UPDATE t SET n = $1 WHERE name = 'counter'", {*n + 1});
        });
        EXPECT_TRUE(done);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  auto n = database_->read_sync([](Session& s) { return s.query_value<std::int64_t>("SELECT n FROM t"); });
  EXPECT_EQ(**n, 200);
}

TEST_F(DatabaseTest, ReadersKeepTheirSnapshotWhileWritersCommit) {
  ASSERT_TRUE(write("INSERT INTO t (name) VALUES ('a')"));
  auto counts = database_->read_sync([&](Session& s) -> Result<std::pair<std::int64_t, std::int64_t>> {
    auto before = TRY(s.query_value<std::int64_t>("SELECT count(*) FROM t"));
    TRY(write("INSERT INTO t (name) VALUES ('b')"));
    auto after = TRY(s.query_value<std::int64_t>("SELECT count(*) FROM t"));
    return std::pair(*before, *after);
  });
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->first, 1);
  EXPECT_EQ(counts->second, 1);
  EXPECT_EQ(count(), 2);
}

Task<Result<std::int64_t>> add_and_count(Database& database, std::string name) {
  CO_TRY_VOID(
      co_await database.write([&](Transaction& tx) { return tx.execute("INSERT INTO t (name) VALUES ($1)", {name}); }));
  CO_TRY(auto count,
         co_await database.read([](Session& s) { return s.query_value<std::int64_t>("SELECT count(*) FROM t"); }));
  co_return *count;
}

TEST_F(DatabaseTest, TasksDoTheSame) {
  EXPECT_EQ(*sync_wait(add_and_count(*database_, "a")), 1);
  EXPECT_EQ(*sync_wait(add_and_count(*database_, "b")), 2);
  EXPECT_EQ(sync_wait(add_and_count(*database_, "b")).error().kind, ErrorKind::conflict);
}

TEST_F(DatabaseTest, BlockingWriteInsideAWriteIsAnErrorNotADeadlock) {
  auto done = database_->write_sync([&](Transaction&) { return write("INSERT INTO t (name) VALUES ('x')"); });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::internal);
}

TEST_F(DatabaseTest, ContextStopsALongRead) {
  std::stop_source stop;
  constexpr std::string_view kForever =
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
  auto late = database_->read_sync([&](Session& s) { return s.run(kForever); },
                                   Context().with_timeout(std::chrono::milliseconds(30)));
  EXPECT_EQ(late.error().kind, ErrorKind::timeout);
  std::latch started(1);
  std::thread canceler([&] {
    started.wait();
    stop.request_stop();
  });
  auto canceled = database_->read_sync(
      [&](Session& s) {
        started.count_down();
        return s.run(kForever);
      },
      Context(stop.get_token(), Context::Steady::time_point::max()));
  canceler.join();
  EXPECT_EQ(canceled.error().kind, ErrorKind::canceled);
  EXPECT_EQ(count(), 0);  // the connection is fit for use again
}

TEST_F(DatabaseTest, ForeignAndDamagedFilesAreRefusedUntouched) {
  fs::path garbage = directory_.path() / "garbage.db";
  std::ofstream(garbage) << std::string(8'192, 'x');
  auto opened = SqliteDatabase::open({.file = garbage});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("not a database"), std::string::npos) << opened.error().message;
  EXPECT_EQ(fs::file_size(garbage), 8'192u);

  for (int i = 0; i < 400; ++i)
    ASSERT_TRUE(write("INSERT INTO t (name) VALUES ($1)", {std::string(200, 'a') + std::to_string(i)}));
  database_.reset();
  auto size = fs::file_size(file());
  ASSERT_GT(size, 60'000u);
  {
    std::fstream damage(file(), std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(static_cast<std::streamoff>(size / 2 / 4096 * 4096));
    damage << std::string(4'096, '\x5a');
  }
  opened = SqliteDatabase::open({.file = file()});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::internal);
  EXPECT_NE(opened.error().message.find("damaged"), std::string::npos) << opened.error().message;
  EXPECT_NE(opened.error().message.find("backup"), std::string::npos);
}

TEST_F(DatabaseTest, FullDiskIsUnavailableAndRecovers) {
  database_.reset();
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    auto opened = SqliteDatabase::open({.file = file()});
    if (!opened) ::_exit(10);
    rlimit limit{400'000, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto insert = [&](std::string name) {
      return (*opened)->write_sync(
          [&](Transaction& tx) { return tx.execute("INSERT INTO t (name) VALUES ($1)", {name}); });
    };
    if (!insert("small")) ::_exit(11);
    auto big = insert(std::string(1'000'000, 'x'));
    if (big || big.error().kind != ErrorKind::unavailable) ::_exit(12);
    limit.rlim_cur = RLIM_INFINITY;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    if (!insert("after")) ::_exit(13);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  reopen();
  EXPECT_EQ(count(), 2);
}

// Acknowledged rows survive kill -9; what was not acknowledged is there as a whole or not at all.
TEST_F(DatabaseTest, KilledWriterLosesNothingAcknowledged) {
  for (int round = 0; round < 4; ++round) {
    database_.reset();
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto opened = SqliteDatabase::open({.file = file()});
      if (!opened) ::_exit(10);
      for (int i = 0;; ++i) {
        auto done = (*opened)->write_sync([&](Transaction& tx) -> Result<> {
          for (const char* half : {"a", "b"}) {
            TRY(tx.execute("INSERT INTO t (name, n) VALUES ($1, $2)",
                           {std::to_string(round) + half + std::to_string(i), i}));
          }
          return {};
        });
        if (!done || ::write(fds[1], &i, sizeof i) != sizeof i) ::_exit(11);
      }
    }
    ::close(fds[1]);
    int acknowledged = -1;
    for (int i = 0; i < 20 + round; ++i)
      ASSERT_EQ(::read(fds[0], &acknowledged, sizeof acknowledged), static_cast<ssize_t>(sizeof acknowledged));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(fds[0], &acknowledged, sizeof acknowledged) == static_cast<ssize_t>(sizeof acknowledged)) {
    }
    ::close(fds[0]);
    reopen();
    auto rows = database_->read_sync([&](Session& s) {
      return s.query_one<std::int64_t, std::int64_t>("SELECT count(*), max(n) FROM t WHERE name LIKE $1",
                                                     {std::to_string(round) + "%"});
    });
    auto [count, highest] = **rows;
    EXPECT_GE(highest, acknowledged);
    EXPECT_EQ(count, 2 * (highest + 1));
  }
}

TEST_F(DatabaseTest, AdvisoryLocksExcludeEachOther) {
  auto first = database_->try_lock("oncall.1");
  ASSERT_TRUE(first && *first);
  auto second = database_->try_lock("oncall.1");
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, nullptr);
  EXPECT_NE(*database_->try_lock("oncall.2"), nullptr);
  first->reset();
  EXPECT_NE(*database_->try_lock("oncall.1"), nullptr);
  for (const char* name : {"", "../x", "a/b", ".", "a b"})
    EXPECT_EQ(database_->try_lock(name).error().kind, ErrorKind::bad_input) << name;
}

TEST_F(DatabaseTest, LockedByAnotherProcessIsUnavailable) {
  database_.reset();
  auto impatient = SqliteDatabase::open({.file = file(), .busy_timeout = std::chrono::milliseconds(50)});
  ASSERT_TRUE(impatient);
  auto other = testing::open_database(file());
  auto outcome = other->write_sync([&](Transaction& tx) -> Result<Result<std::int64_t>> {
    TRY(tx.execute("INSERT INTO t (name) VALUES ('held')"));
    return (*impatient)->write_sync([](Transaction& inner) {
      return inner.execute("INSERT INTO t (name) VALUES ('x')");
    });
  });
  ASSERT_TRUE(outcome);
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().kind, ErrorKind::unavailable);
}

// ---- migrations ----

constexpr Migration kFirst[] = {
    {1, "one", "CREATE TABLE m (id {identity}, x TEXT); INSERT INTO m (x) VALUES ('from one');"}};
constexpr Migration kBoth[] = {kFirst[0], {2, "two", "ALTER TABLE m ADD COLUMN y BIGINT;\nUPDATE m SET y = 5;"}};

TEST_F(DatabaseTest, MigrationsRunOnceAndInOrder) {
  ASSERT_TRUE(migrate(*database_, "room", kFirst));
  ASSERT_TRUE(migrate(*database_, "room", kFirst));
  ASSERT_TRUE(migrate(*database_, "room", kBoth));
  reopen();
  ASSERT_TRUE(migrate(*database_, "room", kBoth));
  auto rows = database_->read_sync([](Session& s) { return s.query<std::string, std::int64_t>("SELECT x, y FROM m"); });
  ASSERT_TRUE(rows);
  EXPECT_EQ(*rows, (std::vector<std::tuple<std::string, std::int64_t>>{{"from one", 5}}));
}

TEST_F(DatabaseTest, MigrationsRefuseWhatTheyCannotTrust) {
  ASSERT_TRUE(migrate(*database_, "room", kBoth));
  auto older = migrate(*database_, "room", kFirst);
  EXPECT_EQ(older.error().kind, ErrorKind::conflict);
  EXPECT_NE(older.error().message.find("newer version"), std::string::npos);
  constexpr Migration changed[] = {{1, "one", "CREATE TABLE m (id {identity});"}, kBoth[1]};
  auto edited = migrate(*database_, "room", changed);
  EXPECT_EQ(edited.error().kind, ErrorKind::conflict);
  EXPECT_NE(edited.error().message.find("changed after"), std::string::npos);
  constexpr Migration gap[] = {kFirst[0], {3, "three", "SELECT 1"}};
  EXPECT_EQ(migrate(*database_, "other", gap).error().kind, ErrorKind::internal);
}

TEST_F(DatabaseTest, FailingMigrationLeavesNothing) {
  constexpr Migration broken[] = {{1, "broken", "CREATE TABLE half (x BIGINT);\n\nINSERT INTO nowhere VALUES (1);"}};
  auto failed = migrate(*database_, "room", broken);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("migration 1 (broken) of room room"), std::string::npos)
      << failed.error().message;
  EXPECT_NE(failed.error().message.find("line 1"), std::string::npos) << failed.error().message;
  auto tables = database_->read_sync(
      [](Session& s) { return s.query_value<std::int64_t>("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"); });
  EXPECT_EQ(**tables, 0);
}

constexpr Migration kLong[] = {{1, "long",
                                "CREATE TABLE big (x BIGINT, y TEXT);"
                                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 150000)"
                                " INSERT INTO big SELECT x, 'some text to fill the pages with' FROM c;"
                                "CREATE INDEX big_x ON big (x);"}};

TEST_F(DatabaseTest, KillDuringAMigrationIsAsIfItHadNotBegun) {
  database_.reset();
  fs::path wal = file().string() + "-wal";
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto opened = SqliteDatabase::open({.file = file()});
    if (!opened) ::_exit(10);
    (void)migrate(**opened, "room", kLong);
    ::pause();
  }
  std::error_code ignored;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (;;) {
    auto size = fs::file_size(wal, ignored);
    if (!ignored && size > 1'000'000) break;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  reopen();
  ASSERT_TRUE(migrate(*database_, "room", kLong));
  auto rows = database_->read_sync([](Session& s) { return s.query_value<std::int64_t>("SELECT count(*) FROM big"); });
  EXPECT_EQ(**rows, 150'000);
}

}  // namespace
}  // namespace tocayo::db
