// SPDX-License-Identifier: Apache-2.0
#include "db/timers.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <tuple>

#include "core/log.h"
#include "core/registry.h"

namespace tocayo::db {

namespace {

constexpr std::size_t kRound = 200;  // timers looked at per query
constexpr std::int64_t kLongestRetryMs = 60'000;

std::int64_t retry_delay_ms(std::int64_t attempts) {
  return std::min<std::int64_t>(std::int64_t{1'000} << std::min<std::int64_t>(attempts, 10), kLongestRetryMs);
}

}  // namespace

struct Timers::Impl {
  Database& database;
  Clock& clock;
  std::map<std::string, Handler, std::less<>> handlers;
  Ownership ownership;
  std::mutex mutex;
  std::condition_variable_any changed;
  bool dirty = false;
  std::mutex firing;  // one round at a time: due order
  Counter& fired = Registry::global().counter("tocayo_db_timers_fired_total", "Durable timers that fired.");
  Counter& failed =
      Registry::global().counter("tocayo_db_timer_failures_total", "Firings that failed and will be tried again.");
  Histogram& lag =
      Registry::global().histogram("tocayo_db_timer_lag_seconds", "Time from a timer's due moment to its firing.");
  std::jthread thread;

  void wake() {
    {
      std::lock_guard lock(mutex);
      dirty = true;
    }
    changed.notify_all();
  }

  std::string where() const {
    std::string sql = " WHERE kind IN (";
    for (std::size_t n = 1; n <= handlers.size(); ++n) sql += (n > 1 ? ", $" : "$") + std::to_string(n);
    return sql + ")";
  }
  Args kinds() const {
    Args args;
    for (auto& [kind, handler] : handlers) args.emplace_back(kind);
    return args;
  }
  std::string shard_filter(const std::optional<std::vector<std::int64_t>>& shards) const {
    if (!shards) return "";
    if (shards->empty()) return " AND 1 = 0";
    std::string sql = " AND shard IN (";
    for (std::size_t i = 0; i < shards->size(); ++i) sql += (i ? ", " : "") + std::to_string((*shards)[i]);
    return sql + ")";
  }
  std::optional<std::vector<std::int64_t>> shards() const {
    return ownership.shards ? ownership.shards() : std::nullopt;
  }

  Result<std::vector<Timer>> due(TimestampMs now) {
    Args args = kinds();
    args.emplace_back(now);
    args.emplace_back(kRound);
    std::string sql = "SELECT id, kind, aggregate, dedup, shard, epoch, due_ms, payload, attempts FROM timer" +
                      where() + shard_filter(shards()) + " AND next_try_ms <= $" + std::to_string(handlers.size() + 1) +
                      " ORDER BY next_try_ms, id LIMIT $" + std::to_string(handlers.size() + 2);
    auto rows = TRY(database.read_sync([&](Session& session) {
      return session.query<std::int64_t, std::string, std::string, std::string, std::int64_t, std::int64_t,
                           std::int64_t, std::string, std::int64_t>(sql, args);
    }));
    std::vector<Timer> out;
    for (auto& [id, kind, aggregate, dedup, shard, epoch, due_ms, payload, attempts] : rows) {
      out.push_back({id, std::move(kind), std::move(aggregate), std::move(dedup), shard, epoch, due_ms,
                     std::move(payload), attempts});
    }
    return out;
  }

  // Whether it fired; false when it was moved, cancelled or fired elsewhere meanwhile.
  Result<bool> fire(const Timer& timer) {
    return database.write_sync([&](Transaction& transaction) -> Result<bool> {
      if (ownership.fence && !ownership.fence(transaction, timer.shard)) return false;  // the new owner fires it
      // What it carries is read again here: it may have been scheduled anew since the list was read.
      auto taken = TRY((transaction.query_one<std::int64_t, std::string>(
          "DELETE FROM timer WHERE id = $1 AND due_ms = $2 RETURNING epoch, payload", {timer.id, timer.due_ms})));
      if (!taken) return false;
      Timer current = timer;
      std::tie(current.epoch, current.payload) = std::move(*taken);
      TRY(handlers.find(timer.kind)->second(transaction, current));
      return true;
    });
  }

  Result<> postpone(const Timer& timer, TimestampMs now) {
    TRY(database.write_sync([&](Transaction& transaction) {
      return transaction.execute(
          "UPDATE timer SET attempts = attempts + 1, next_try_ms = $1 WHERE id = $2 AND due_ms = $3",
          {now + retry_delay_ms(timer.attempts), timer.id, timer.due_ms});
    }));
    return {};
  }

  Result<std::size_t> fire_due() {
    std::lock_guard one_round(firing);
    if (handlers.empty()) return std::size_t{0};
    std::size_t count = 0;
    for (;;) {
      TimestampMs now = clock.now_ms();
      std::vector<Timer> timers = TRY(due(now));
      bool progress = false;
      for (const Timer& timer : timers) {
        auto done = fire(timer);
        if (!done) {
          failed.add();
          log::warn("db", "timer failed",
                    {{"kind", timer.kind}, {"aggregate", timer.aggregate}, {"error", done.error()}});
          TRY(postpone(timer, now));
          progress = true;
          continue;
        }
        if (!*done) continue;
        progress = true;
        ++count;
        fired.add();
        lag.observe(static_cast<double>(std::max<std::int64_t>(now - timer.due_ms, 0)) / 1000);
      }
      if (timers.size() < kRound || !progress) return count;
    }
  }

  // Until the next timer is due, at most a second (the wall clock may step).
  std::chrono::milliseconds until_next() {
    auto next = database.read_sync([&](Session& session) {
      return session.query_value<std::optional<std::int64_t>>(
          "SELECT min(next_try_ms) FROM timer" + where() + shard_filter(shards()), kinds());
    });
    std::int64_t wait = 1'000;
    if (next && *next && **next) wait = std::clamp<std::int64_t>(***next - clock.now_ms(), 0, 1'000);
    return std::chrono::milliseconds(wait);
  }

  void run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      if (auto fired_now = fire_due(); !fired_now)
        log::warn("db", "timers cannot fire", {{"error", fired_now.error()}});
      auto wait = handlers.empty() ? std::chrono::milliseconds(1'000) : until_next();
      std::unique_lock lock(mutex);
      changed.wait_for(lock, stop, std::max(wait, std::chrono::milliseconds(1)), [&] { return dirty; });
      dirty = false;
    }
  }
};

Timers::Timers(Database& database, Clock& clock) : impl_(new Impl{.database = database, .clock = clock}) {}
Timers::~Timers() { stop(); }

Result<> Timers::schedule(Transaction& transaction, const Timer& timer) {
  TRY(transaction.execute(
      "INSERT INTO timer (kind, aggregate, dedup, shard, epoch, due_ms, next_try_ms, payload) VALUES ($1, $2, $3, $4, "
      "$5, $6, $6, $7)"
      " ON CONFLICT (kind, aggregate, dedup) DO UPDATE SET shard = excluded.shard, epoch = excluded.epoch, due_ms = "
      "excluded.due_ms,"
      " next_try_ms = excluded.next_try_ms, payload = excluded.payload, attempts = 0",
      {timer.kind, timer.aggregate, timer.dedup, timer.shard, timer.epoch, timer.due_ms, timer.payload}));
  transaction.on_commit([impl = impl_] { impl->wake(); });
  return {};
}

Result<std::int64_t> Timers::cancel(Transaction& transaction, std::string_view kind, std::string_view aggregate,
                                    std::optional<std::string_view> dedup) {
  if (dedup) {
    return transaction.execute("DELETE FROM timer WHERE kind = $1 AND aggregate = $2 AND dedup = $3",
                               {kind, aggregate, *dedup});
  }
  return transaction.execute("DELETE FROM timer WHERE kind = $1 AND aggregate = $2", {kind, aggregate});
}

void Timers::handle(std::string kind, Handler handler) {
  impl_->handlers.insert_or_assign(std::move(kind), std::move(handler));
}
void Timers::own(Ownership ownership) { impl_->ownership = std::move(ownership); }
Result<std::size_t> Timers::fire_due() { return impl_->fire_due(); }

void Timers::start() {
  impl_->thread = std::jthread([impl = impl_.get()](std::stop_token stop) { impl->run(stop); });
}

void Timers::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->thread.request_stop();
  impl_->thread.join();
}

}  // namespace tocayo::db
