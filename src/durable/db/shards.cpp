// SPDX-License-Identifier: Apache-2.0
#include "db/shards.h"

#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"

namespace tocayo::db {

namespace {
constexpr std::int64_t kLiveMs = 5'000;
constexpr std::int64_t kForgetMs = 86'400'000;
}  // namespace

ShardSet::ShardSet(Database& database, std::string kind, std::int64_t shard_count, std::string instance, Clock& clock)
    : database_(database),
      kind_(std::move(kind)),
      shard_count_(shard_count),
      instance_(std::move(instance)),
      clock_(clock) {}

ShardSet::~ShardSet() { release_all(); }

Result<bool> ShardSet::take(std::int64_t shard) {
  auto lock = TRY(database_.try_lock(kind_ + "." + std::to_string(shard)));
  if (!lock) return false;
  auto epoch = TRY(database_.write_sync([&](Transaction& transaction) {
    return transaction.query_value<std::int64_t>(
        "INSERT INTO shard_epoch (kind, shard, epoch, owner, taken_ms) VALUES ($1, $2, 1, $3, $4)"
        " ON CONFLICT (kind, shard) DO UPDATE SET epoch = shard_epoch.epoch + 1, owner = excluded.owner, taken_ms = "
        "excluded.taken_ms"
        " RETURNING epoch",
        {kind_, shard, instance_, clock_.now_ms()});
  }));
  if (!epoch) return fail(ErrorKind::internal, "the epoch of shard " + std::to_string(shard) + " did not come back");
  std::lock_guard guard(mutex_);
  held_.insert_or_assign(shard, Held{std::move(lock), *epoch});
  return true;
}

Result<> ShardSet::balance() {
  TimestampMs now = clock_.now_ms();
  auto live = TRY(database_.write_sync([&](Transaction& transaction) -> Result<std::int64_t> {
    TRY(
        transaction.execute("INSERT INTO shard_member (kind, instance, seen_ms) VALUES ($1, $2, $3)"
                            " ON CONFLICT (kind, instance) DO UPDATE SET seen_ms = excluded.seen_ms",
                            {kind_, instance_, now}));
    TRY(transaction.execute("DELETE FROM shard_member WHERE kind = $1 AND seen_ms < $2", {kind_, now - kForgetMs}));
    auto count = TRY(transaction.query_value<std::int64_t>(
        "SELECT count(*) FROM shard_member WHERE kind = $1 AND seen_ms > $2", {kind_, now - kLiveMs}));
    return count.value_or(1);
  }));
  std::int64_t share = (shard_count_ + live - 1) / std::max<std::int64_t>(live, 1);
  std::size_t have = 0;
  {
    std::lock_guard guard(mutex_);
    std::erase_if(held_, [](auto& entry) { return !entry.second.lock->held(); });
    while (static_cast<std::int64_t>(held_.size()) > share) held_.erase(std::prev(held_.end()));
    have = held_.size();
  }
  // Starts at a place of its own, so that instances that start together do not race for the same shards in the same
  // order.
  auto first = static_cast<std::int64_t>(hash64(instance_) % static_cast<std::uint64_t>(shard_count_));
  for (std::int64_t i = 0; i < shard_count_ && static_cast<std::int64_t>(have) < share; ++i) {
    std::int64_t shard = (first + i) % shard_count_;
    if (owns(shard)) continue;
    if (TRY(take(shard))) ++have;
  }
  Registry::global()
      .gauge("tocayo_db_shards_owned", "Shards whose work this process does.", {{"kind", kind_}})
      .set(static_cast<double>(have));
  return {};
}

void ShardSet::release_all() {
  std::lock_guard guard(mutex_);
  held_.clear();
}

std::vector<std::int64_t> ShardSet::owned() const {
  std::lock_guard guard(mutex_);
  std::vector<std::int64_t> out;
  for (auto& [shard, held] : held_) {
    if (held.lock->held()) out.push_back(shard);
  }
  return out;
}

bool ShardSet::owns(std::int64_t shard) const {
  std::lock_guard guard(mutex_);
  auto found = held_.find(shard);
  return found != held_.end() && found->second.lock->held();
}

Result<> ShardSet::fence(Transaction& transaction, std::int64_t shard) const {
  std::int64_t mine = 0;
  {
    std::lock_guard guard(mutex_);
    if (auto found = held_.find(shard); found != held_.end()) mine = found->second.epoch;
  }
  auto epoch = TRY(transaction.query_value<std::int64_t>("SELECT epoch FROM shard_epoch WHERE kind = $1 AND shard = $2",
                                                         {kind_, shard}));
  if (mine == 0 || !epoch || *epoch != mine) {
    return fail(ErrorKind::conflict,
                "shard " + std::to_string(shard) + " of " + kind_ + " belongs to another process now");
  }
  return {};
}

std::int64_t ShardSet::shard_of(std::string_view aggregate) const {
  return static_cast<std::int64_t>(hash64(aggregate) % static_cast<std::uint64_t>(shard_count_));
}

}  // namespace tocayo::db
