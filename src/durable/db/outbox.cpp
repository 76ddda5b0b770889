// SPDX-License-Identifier: Apache-2.0
#include "db/outbox.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "core/log.h"
#include "core/registry.h"
#include "core/text.h"

namespace tocayo::db {

using std::chrono::milliseconds;

struct Outbox::Wake {
  std::mutex mutex;
  std::condition_variable_any ready;
  std::uint64_t enqueued = 0;  // commits that brought a message, over all channels
};

namespace {

template <typename T>
Result<T> number_of(std::string_view text) {
  T value{};
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return fail(ErrorKind::internal, "outbox: retry policy has '" + std::string(text) + "' for a number");
  }
  return value;
}

milliseconds delay_after(const RetryPolicy& policy, std::int64_t attempt) {
  if (policy.delays.empty()) return milliseconds(1'000);
  auto index =
      std::min<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(attempt - 1, 0)), policy.delays.size() - 1);
  thread_local std::mt19937_64 random{std::random_device{}()};
  double stretch = std::uniform_real_distribution<double>(0, std::max(policy.jitter, 0.0))(random);
  return policy.delays[index] +
         milliseconds(static_cast<std::int64_t>(static_cast<double>(policy.delays[index].count()) * stretch));
}

using DeliveryColumns =
    std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string, std::string,
                           std::string, std::string, std::string, std::string, std::string>>;
constexpr std::string_view kClaim =
    "UPDATE outbox SET lease_until_ms = $1, lease_token = lease_token + 1, attempts = attempts + 1 WHERE id IN ("
    "SELECT o.id FROM outbox o WHERE o.channel = $2 AND o.dead = 0 AND o.next_try_ms <= $3 AND o.lease_until_ms <= $3"
    " AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.channel = o.channel AND e.destination = o.destination AND e.dead "
    "= 0"
    " AND e.id < o.id) ORDER BY o.next_try_ms, o.id LIMIT $4";
constexpr std::string_view kReturning =
    ") RETURNING id, lease_token, attempts, created_ms, room, channel, destination, ref, dedup_key, payload, policy";

void count_delivery(std::string_view channel, std::string_view result) {
  Registry::global()
      .counter("tocayo_db_outbox_deliveries_total", "Attempts to deliver outbox messages.",
               {{"channel", std::string(channel)}, {"result", std::string(result)}})
      .add();
}

}  // namespace

std::string RetryPolicy::to_text() const {
  std::string out;
  for (auto delay : delays) out += (out.empty() ? "" : ",") + std::to_string(delay.count());
  char jitter_text[32];
  auto end = std::to_chars(jitter_text, jitter_text + sizeof jitter_text, jitter);
  return out + ";" + std::to_string(give_up_after.count()) + ";" + std::string(jitter_text, end.ptr);
}

Result<RetryPolicy> RetryPolicy::parse(std::string_view text) {
  auto parts = split(text, ';');
  if (parts.size() != 3)
    return fail(ErrorKind::internal, "outbox: retry policy '" + std::string(text) + "' has not three parts");
  RetryPolicy policy;
  policy.delays.clear();
  if (!parts[0].empty()) {
    for (auto delay : split(parts[0], ',')) policy.delays.emplace_back(TRY(number_of<std::int64_t>(delay)));
  }
  policy.give_up_after = milliseconds(TRY(number_of<std::int64_t>(parts[1])));
  policy.jitter = TRY(number_of<double>(parts[2]));
  return policy;
}

RetryPolicy RetryPolicy::exponential(milliseconds first, milliseconds longest, milliseconds give_up_after) {
  RetryPolicy policy;
  policy.delays.clear();
  for (auto delay = first; delay < longest; delay *= 2) policy.delays.push_back(delay);
  policy.delays.push_back(longest);
  policy.give_up_after = give_up_after;
  return policy;
}

Outbox::Outbox(Database& database, Clock& clock)
    : database_(database), clock_(clock), wake_(std::make_shared<Wake>()) {}
Outbox::~Outbox() = default;

Result<bool> Outbox::enqueue(Transaction& transaction, const OutboxMessage& m) {
  TimestampMs now = clock_.now_ms();
  auto added = TRY(transaction.execute(
      "INSERT INTO outbox (room, channel, destination, ref, dedup_key, payload, policy, created_ms, next_try_ms)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (channel, dedup_key) WHERE dedup_key <> '' DO NOTHING",
      {m.room, m.channel, m.destination, m.ref, m.dedup_key, m.payload, m.policy.to_text(), now}));
  if (added == 0) return false;
  transaction.on_commit([wake = wake_] {
    std::lock_guard lock(wake->mutex);
    ++wake->enqueued;
    wake->ready.notify_all();
  });
  return true;
}

Result<std::vector<OutboxDelivery>> Outbox::claim(std::string_view channel, std::size_t limit, milliseconds lease) {
  TimestampMs now = clock_.now_ms();
  std::string sql = std::string(kClaim) + std::string(skip_locked(database_.dialect())) + std::string(kReturning);
  DeliveryColumns rows = TRY(database_.write_sync([&](Transaction& transaction) {
    return transaction.query<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string, std::string,
                             std::string, std::string, std::string, std::string, std::string>(
        sql, {now + lease.count(), channel, now, limit});
  }));
  std::vector<OutboxDelivery> out;
  for (auto& [id, token, attempt, created, room, on_channel, destination, ref, dedup, payload, policy] : rows) {
    out.push_back({id,
                   token,
                   attempt,
                   created,
                   {std::move(room), std::move(on_channel), std::move(destination), std::move(ref), std::move(dedup),
                    std::move(payload), TRY(RetryPolicy::parse(policy))}});
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.id < b.id; });
  return out;
}

Result<> Outbox::finish(const OutboxDelivery& delivery, const DeliveryResult& result) {
  TimestampMs now = clock_.now_ms();
  bool delivered = result.kind == DeliveryResult::Kind::delivered;
  milliseconds delay =
      std::max(delay_after(delivery.message.policy, delivery.attempt), result.retry_after.value_or(milliseconds(0)));
  bool dead = !delivered && (result.kind == DeliveryResult::Kind::permanent ||
                             now + delay.count() - delivery.created_ms > delivery.message.policy.give_up_after.count());
  auto changed = TRY(database_.write_sync([&](Transaction& transaction) -> Result<std::int64_t> {
    if (delivered) {
      return transaction.execute("DELETE FROM outbox WHERE id = $1 AND lease_token = $2 AND dead = 0",
                                 {delivery.id, delivery.lease_token});
    }
    return transaction.execute(
        "UPDATE outbox SET dead = $1, next_try_ms = $2, lease_until_ms = 0, last_error = $3"
        " WHERE id = $4 AND lease_token = $5 AND dead = 0",
        {dead, now + delay.count(), result.error, delivery.id, delivery.lease_token});
  }));
  if (changed == 0)
    return fail(ErrorKind::conflict, "the lease of outbox message " + std::to_string(delivery.id) + " was lost");
  count_delivery(delivery.message.channel, delivered ? "delivered" : dead ? "dead" : "retry");
  if (dead) {
    log::warn("db", "outbox message given up",
              {{"id", delivery.id},
               {"channel", delivery.message.channel},
               {"attempts", delivery.attempt},
               {"error", result.error}});
  }
  {
    // The next message to the same destination may be due now.
    std::lock_guard lock(wake_->mutex);
    ++wake_->enqueued;
  }
  wake_->ready.notify_all();
  return {};
}

Result<> Outbox::extend(const OutboxDelivery& delivery, milliseconds lease) {
  auto changed = TRY(database_.write_sync([&](Transaction& transaction) {
    return transaction.execute("UPDATE outbox SET lease_until_ms = $1 WHERE id = $2 AND lease_token = $3 AND dead = 0",
                               {clock_.now_ms() + lease.count(), delivery.id, delivery.lease_token});
  }));
  if (changed == 0)
    return fail(ErrorKind::conflict, "the lease of outbox message " + std::to_string(delivery.id) + " was lost");
  return {};
}

Result<std::vector<DeadLetter>> Outbox::dead_letters(std::string_view channel, std::size_t limit) {
  auto rows = TRY(database_.read_sync([&](Session& session) {
    return session.query<std::int64_t, std::int64_t, std::int64_t, std::string, std::string, std::string, std::string,
                         std::string, std::string, std::string, std::string>(
        "SELECT id, attempts, created_ms, last_error, room, channel, destination, ref, dedup_key, payload, policy FROM "
        "outbox"
        " WHERE dead = 1 AND ($1 = '' OR channel = $1) ORDER BY id DESC LIMIT $2",
        {channel, limit});
  }));
  std::vector<DeadLetter> out;
  for (auto& [id, attempts, created, error, room, on_channel, destination, ref, dedup, payload, policy] : rows) {
    out.push_back({id,
                   attempts,
                   created,
                   std::move(error),
                   {std::move(room), std::move(on_channel), std::move(destination), std::move(ref), std::move(dedup),
                    std::move(payload), TRY(RetryPolicy::parse(policy))}});
  }
  return out;
}

Result<> Outbox::retry_dead(std::int64_t id) {
  TimestampMs now = clock_.now_ms();
  auto changed = TRY(database_.write_sync([&](Transaction& transaction) {
    return transaction.execute(
        "UPDATE outbox SET dead = 0, attempts = 0, created_ms = $1, next_try_ms = $1, lease_until_ms = 0 WHERE id = $2 "
        "AND dead = 1",
        {now, id});
  }));
  if (changed == 0) return fail(ErrorKind::not_found, "no dead letter " + std::to_string(id));
  {
    std::lock_guard lock(wake_->mutex);
    ++wake_->enqueued;
  }
  wake_->ready.notify_all();
  return {};
}

Result<> Outbox::discard_dead(std::int64_t id) {
  auto changed = TRY(database_.write_sync([&](Transaction& transaction) {
    return transaction.execute("DELETE FROM outbox WHERE id = $1 AND dead = 1", {id});
  }));
  if (changed == 0) return fail(ErrorKind::not_found, "no dead letter " + std::to_string(id));
  return {};
}

Result<std::vector<Outbox::Depth>> Outbox::depths() {
  auto rows = TRY(database_.read_sync([&](Session& session) {
    return session.query<std::string, std::int64_t, std::int64_t, std::int64_t>(
        "SELECT channel, sum(1 - dead), sum(dead), coalesce(min(CASE WHEN dead = 0 THEN created_ms END), 0) FROM outbox"
        " GROUP BY channel ORDER BY channel");
  }));
  std::vector<Depth> out;
  for (auto& [channel, waiting, dead, oldest] : rows) out.push_back({std::move(channel), waiting, dead, oldest});
  return out;
}

namespace {

class Worker final : public Outbox::Deliverer {
 public:
  using Deliver = std::function<DeliveryResult(const OutboxDelivery&)>;
  using Wait = std::function<std::uint64_t(std::stop_token, std::uint64_t seen, milliseconds)>;

  Worker(Outbox& outbox, Outbox::DelivererOptions options, Deliver deliver, Wait wait)
      : outbox_(outbox), options_(std::move(options)), deliver_(std::move(deliver)), wait_(std::move(wait)) {
    for (std::size_t i = 0; i < std::max<std::size_t>(options_.concurrency, 1); ++i) {
      threads_.emplace_back([this](std::stop_token stop) { run(stop); });
    }
  }

 private:
  void run(std::stop_token stop) {
    std::uint64_t seen = 0;
    while (!stop.stop_requested()) {
      auto claimed = outbox_.claim(options_.channel, 1, options_.lease);
      if (!claimed) log::warn("db", "outbox claim failed", {{"channel", options_.channel}, {"error", claimed.error()}});
      if (!claimed || claimed->empty()) {
        seen = wait_(stop, seen, options_.poll);
        continue;
      }
      for (const OutboxDelivery& delivery : *claimed) {
        if (auto done = outbox_.finish(delivery, deliver_(delivery)); !done) {
          log::warn("db", "outbox message may be delivered twice", {{"id", delivery.id}, {"error", done.error()}});
        }
      }
    }
  }

  Outbox& outbox_;
  Outbox::DelivererOptions options_;
  Deliver deliver_;
  Wait wait_;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::unique_ptr<Outbox::Deliverer> Outbox::start(DelivererOptions options,
                                                 std::function<DeliveryResult(const OutboxDelivery&)> deliver) {
  auto wait = [wake = wake_](std::stop_token stop, std::uint64_t seen, milliseconds poll) {
    std::unique_lock lock(wake->mutex);
    wake->ready.wait_for(lock, stop, poll, [&] { return wake->enqueued != seen; });
    return wake->enqueued;
  };
  return std::make_unique<Worker>(*this, std::move(options), std::move(deliver), std::move(wait));
}

}  // namespace tocayo::db
