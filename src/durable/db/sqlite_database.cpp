// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_database.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "core/log.h"
#include "core/pool.h"
#include "core/registry.h"
#include "db/detail/sqlite_connection.h"
#include "db/migrations.h"

namespace tocayo::db {

namespace {

namespace fs = std::filesystem;
using detail::SqliteConnection;

class SqliteSession final : public Session {
 public:
  explicit SqliteSession(SqliteConnection& connection) : connection_(connection) {}
  Dialect dialect() const override { return Dialect::sqlite; }
  Result<Rows> run(std::string_view sql, const Args& args) override { return connection_.run(sql, args); }
  Result<> run_script(std::string_view sql) override { return connection_.run_script(sql); }

 private:
  SqliteConnection& connection_;
};

class SqliteTransaction final : public Transaction {
 public:
  explicit SqliteTransaction(SqliteConnection& connection) : connection_(connection) {}
  Dialect dialect() const override { return Dialect::sqlite; }
  Result<Rows> run(std::string_view sql, const Args& args) override { return connection_.run(sql, args); }
  Result<> run_script(std::string_view sql) override { return connection_.run_script(sql); }
  std::vector<std::move_only_function<void()>> take_hooks() { return std::move(hooks_); }

 private:
  SqliteConnection& connection_;
};

class FileLock final : public AdvisoryLock {
 public:
  explicit FileLock(int fd) : fd_(fd) {}
  ~FileLock() override {
    ::close(fd_);
  }  // the file stays: unlinking it would let two holders lock two files of one name
  bool held() const override { return true; }

 private:
  int fd_;
};

class Sqlite final : public Database {
 public:
  Sqlite(SqliteOptions options, std::unique_ptr<SqliteConnection> writer,
         std::vector<std::unique_ptr<SqliteConnection>> readers)
      : options_(std::move(options)),
        writer_(std::move(writer)),
        free_readers_(std::move(readers)),
        pool_("db-read", free_readers_.size()),
        writing_thread_([this](std::stop_token stop) { write_loop(stop); }) {}

  ~Sqlite() override {
    writing_thread_.request_stop();
    work_ready_.notify_all();
    writing_thread_.join();
  }

  Dialect dialect() const override { return Dialect::sqlite; }

  Result<std::unique_ptr<AdvisoryLock>> try_lock(std::string_view name) override {
    std::string file_name;
    for (char c : name) file_name += (std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-') ? c : '_';
    if (file_name.empty() || file_name.front() == '.' || file_name != name) {
      return fail(ErrorKind::bad_input, "a lock's name has letters, digits, '.' and '-' only");
    }
    fs::path directory = options_.file.string() + "-locks";
    std::error_code failed;
    fs::create_directories(directory, failed);
    if (failed) return std::unexpected(error_from_errno("create " + directory.string(), failed.value()));
    int fd = ::open((directory / file_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return std::unexpected(error_from_errno("open lock " + file_name, errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      int code = errno;
      ::close(fd);
      if (code == EWOULDBLOCK) return std::unique_ptr<AdvisoryLock>();
      return std::unexpected(error_from_errno("lock " + file_name, code));
    }
    return std::unique_ptr<AdvisoryLock>(std::make_unique<FileLock>(fd));
  }

 protected:
  void start_read(Work<Session> work, Context context, Done done) override {
    pool_.post([this, work = std::move(work), context = std::move(context), done = std::move(done)]() mutable {
      done(block_read(std::move(work), context));
    });
  }

  Result<> block_read(Work<Session> work, const Context& context) override {
    TRY(context.check());
    auto start = std::chrono::steady_clock::now();
    std::unique_ptr<SqliteConnection> connection;
    {
      std::unique_lock lock(readers_mutex_);
      reader_free_.wait(lock, [&] { return !free_readers_.empty(); });
      connection = std::move(free_readers_.back());
      free_readers_.pop_back();
    }
    Result<> result = read_on(*connection, work, context);
    {
      std::lock_guard lock(readers_mutex_);
      free_readers_.push_back(std::move(connection));
    }
    reader_free_.notify_one();
    read_seconds_.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return result;
  }

  void start_write(Work<Transaction> work, Context context, Done done) override {
    // The awaiter is resumed on a reading thread, so that what it does next does not hold up other writes.
    enqueue({std::move(work), std::move(context), [this, done = std::move(done)](Result<> result) mutable {
               pool_.post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
             }});
  }

  Result<> block_write(Work<Transaction> work, const Context& context) override {
    if (std::this_thread::get_id() == writing_thread_.get_id()) {
      return fail(ErrorKind::internal, "database: a blocking write was called from inside a write");
    }
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<Result<>> outcome;
    enqueue({std::move(work), context, [&](Result<> result) {
               std::lock_guard lock(mutex);
               outcome.emplace(std::move(result));
               ready.notify_one();
             }});
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return outcome.has_value(); });
    return std::move(*outcome);
  }

 private:
  struct Job {
    Work<Transaction> work;
    Context context;
    Done done;
    Result<> result;
    std::vector<std::move_only_function<void()>> hooks;
  };

  static Result<> read_on(SqliteConnection& connection, Work<Session>& work, const Context& context) {
    connection.watch(&context);
    SqliteSession session(connection);
    Result<> result = connection.run_script("BEGIN");
    if (result) result = work(session);
    connection.watch(nullptr);
    if (connection.in_transaction()) (void)connection.run_script("ROLLBACK");  // a read has nothing to commit
    return result;
  }

  void enqueue(Job job) {
    {
      std::lock_guard lock(jobs_mutex_);
      if (!closed_) {
        jobs_.push_back(std::move(job));
        work_ready_.notify_one();
        return;
      }
    }
    job.done(fail(ErrorKind::unavailable, "the database is being closed"));
  }

  // Transaction control through the statement cache.
  Result<> control(std::string_view sql) {
    TRY(writer_->run(sql, {}));
    return {};
  }

  void write_loop(std::stop_token stop) {
    for (;;) {
      std::vector<Job> batch;
      {
        std::unique_lock lock(jobs_mutex_);
        work_ready_.wait(lock, stop, [&] { return !jobs_.empty(); });
        if (jobs_.empty()) {
          closed_ = true;
          return;
        }
        while (!jobs_.empty() && batch.size() < options_.max_batch) {
          batch.push_back(std::move(jobs_.front()));
          jobs_.pop_front();
        }
      }
      auto start = std::chrono::steady_clock::now();
      if (!commit_together(batch)) {
        // Somebody's disk error or the commit itself: everybody alone, so that each gets the answer of its own work.
        for (std::size_t i = 0; i < batch.size(); ++i) (void)commit_together(std::span(batch).subspan(i, 1));
      }
      write_seconds_.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      for (Job& job : batch) {
        (job.result ? committed_ : failed_).add();
        if (job.result) {
          for (auto& hook : job.hooks) hook();
        }
        job.done(std::move(job.result));
      }
    }
  }

  // Fills in results. False when the whole transaction is gone (then every result is that failure).
  bool commit_together(std::span<Job> batch) {
    Result<> whole = control("BEGIN IMMEDIATE");
    for (std::size_t i = 0; whole && i < batch.size(); ++i) {
      batch[i].result = run_one(batch[i]);
      if (!writer_->in_transaction()) {
        whole = batch[i].result ? fail(ErrorKind::unavailable, "database: the transaction was rolled back")
                                : std::unexpected(batch[i].result.error());
      }
    }
    if (whole) whole = control("COMMIT");
    if (whole) return true;
    if (writer_->in_transaction()) (void)writer_->run_script("ROLLBACK");
    for (Job& job : batch) {
      job.result = std::unexpected(whole.error());
      job.hooks.clear();
    }
    return false;
  }

  Result<> run_one(Job& job) {
    TRY(job.context.check());
    TRY(control("SAVEPOINT job"));
    SqliteTransaction transaction(*writer_);
    Result<> result = job.work(transaction);
    if (result) result = control("RELEASE job");
    if (result) {
      job.hooks = transaction.take_hooks();
    } else if (writer_->in_transaction()) {
      auto undone = writer_->run_script("ROLLBACK TO job; RELEASE job");
      if (!undone) (void)writer_->run_script("ROLLBACK");
    }
    return result;
  }

  SqliteOptions options_;
  std::unique_ptr<SqliteConnection> writer_;
  std::mutex readers_mutex_;
  std::condition_variable reader_free_;
  std::vector<std::unique_ptr<SqliteConnection>> free_readers_;
  std::mutex jobs_mutex_;
  std::condition_variable_any work_ready_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  Counter& committed_ =
      Registry::global().counter("tocayo_db_writes_total", "Write transactions.", {{"result", "committed"}});
  Counter& failed_ =
      Registry::global().counter("tocayo_db_writes_total", "Write transactions.", {{"result", "failed"}});
  Histogram& write_seconds_ = Registry::global().histogram(
      "tocayo_db_commit_seconds", "Time from the start of a batch of writes to its durable commit.");
  Histogram& read_seconds_ =
      Registry::global().histogram("tocayo_db_read_seconds", "Time of read transactions, waiting included.");
  Pool pool_;                    // destroyed after the writer has stopped: it resumes the writer's callers
  std::jthread writing_thread_;  // last member: stops first
};

// The database holds password hashes and the like: nobody else may read it. SQLite gives its side files the same mode.
Result<> create_private_file(const fs::path& file) {
  std::error_code failed;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), failed);
  if (failed) return std::unexpected(error_from_errno("create " + file.parent_path().string(), failed.value()));
  int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(error_from_errno("open the database " + file.string(), errno));
  ::close(fd);
  return {};
}

}  // namespace

Result<std::unique_ptr<Database>> SqliteDatabase::open(SqliteOptions options) {
  TRY(create_private_file(options.file));
  auto writer = TRY(SqliteConnection::open(options, false));
  std::vector<std::unique_ptr<SqliteConnection>> readers;
  for (std::size_t i = 0; i < std::max<std::size_t>(options.readers, 1); ++i) {
    readers.push_back(TRY(SqliteConnection::open(options, true)));
  }
  std::unique_ptr<Database> database =
      std::make_unique<Sqlite>(std::move(options), std::move(writer), std::move(readers));
  TRY(migrate(*database, "db", migrations()));
  return database;
}

}  // namespace tocayo::db
