// SPDX-License-Identifier: Apache-2.0
#include "ui/live.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cmath>
#include <deque>
#include <limits>
#include <unordered_map>

#include "core/log.h"
#include "core/text.h"
#include "ui/live_state.h"

namespace tocayo::ui {
namespace json = boost::json;
namespace {

constexpr std::size_t kRingBytes = 4 << 20;  // of one evaluator, for resuming clients
constexpr std::int64_t kRingMs = 60'000;
constexpr std::int64_t kMinStep = 250;
constexpr std::int64_t kMaxSteps = 11'000;    // of one backlog
constexpr std::size_t kSchemaLimit = 20'000;  // series ever seen before the evaluator starts a new epoch
constexpr std::size_t kMaxExpression = 16 << 10;
constexpr std::chrono::seconds kMostTime{30};      // of one evaluation, and of its wait
constexpr std::chrono::milliseconds kPause{1000};  // after a full queue, if the step is not longer

// Whether the same question may be answered later. A limit or a mistake stays.
bool is_passing(const promql::QueryError& error) {
  return error.error.kind != ErrorKind::limit && error.error.kind != ErrorKind::bad_input;
}

std::string_view code_of(const promql::QueryError& error) {
  return error.error.kind == ErrorKind::limit ? "limit" : to_string(error.type);
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value),
             sizeof value);  // little-endian hosts only, as everything on disk here
}

json::array schema_json(std::span<const Labels> series) {
  json::array list;
  for (const Labels& labels : series) {
    json::object object;
    for (const Label& label : labels) object[label.name] = label.value;
    list.push_back(json::object{{"labels", std::move(object)}});
  }
  return list;
}

std::int64_t floor_to(std::int64_t value, std::int64_t step) {
  std::int64_t rest = value % step;
  return value - (rest < 0 ? rest + step : rest);
}

}  // namespace

std::string encode_series_frame(std::uint32_t sub, std::uint64_t seq, TimestampMs t0, std::int64_t step,
                                std::uint32_t steps, std::span<const std::uint32_t> indices,
                                std::span<const double> values) {
  std::string out;
  out.reserve(40 + indices.size() * 4 + values.size() * 8);
  put<std::uint8_t>(out, 1);  // version
  put<std::uint8_t>(out, 1);  // series
  put<std::uint16_t>(out, 0);
  put<std::uint32_t>(out, sub);
  put<std::uint64_t>(out, seq);
  put<std::int64_t>(out, t0);
  put<std::int64_t>(out, step);
  put<std::uint32_t>(out, steps);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(indices.size()));
  for (std::uint32_t index : indices) put(out, index);
  for (double value : values) put(out, value);
  return out;
}

LiveHub::LiveHub(LiveDependencies dependencies)
    : dependencies_(std::move(dependencies)),
      sockets_(std::make_shared<Sockets>(this)),
      skipped_(Registry::global().counter("tocayo_live_evaluations_skipped_total",
                                          "Evaluations of live panels that found no room among their tenant's queries "
                                          "and were put off.")) {
  Registry::global().add_collector(this, [this](std::vector<Registry::Family>& families) {
    std::lock_guard lock(mutex_);
    families.push_back({"tocayo_live_connections",
                        "Open live sockets.",
                        MetricType::gauge,
                        {{"", {}, static_cast<double>(sockets_->count())}}});
    families.push_back({"tocayo_live_expressions",
                        "Distinct expressions that are kept current for live panels.",
                        MetricType::gauge,
                        {{"", {}, static_cast<double>(evaluators_.size())}}});
  });
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

LiveHub::~LiveHub() {
  Registry::global().remove_collectors(this);
  thread_.request_stop();
  wake_.notify_all();
  thread_.join();
  stop_.request_stop();
  {
    std::unique_lock lock(sockets_->mutex);
    sockets_->hub = nullptr;
    sockets_->handled.wait(lock, [this] { return sockets_->handling == 0; });
  }
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0; });
  }
  for (const auto& connection : sockets_->all()) {
    connection->send({{"op", "bye"}, {"reason", "the server is stopping"}});
    std::lock_guard guard(connection->mutex);
    if (connection->socket) connection->socket->close(1001, "going away");
  }
}

Task<void> LiveHub::serve(http::Request& request, http::WebSocket& socket) {
  auto connection = std::make_shared<Connection>();
  connection->tenant = request.identity.tenant;
  connection->opener = request;
  connection->opener.context = {};
  connection->socket = &socket;
  const std::shared_ptr<Sockets> sockets = sockets_;  // from here on the hub may go
  {
    std::lock_guard lock(sockets->mutex);
    if (sockets->hub == nullptr) co_return;
    sockets->open[connection.get()] = connection;
  }
  for (;;) {
    auto message = co_await socket.receive();
    if (!message) break;
    if (message->binary) {
      connection->error(0, "bad_data", "text frames are expected", false);
      continue;
    }
    if (!sockets->handle(connection, message->data)) break;
  }
  {
    std::lock_guard lock(connection->mutex);
    connection->socket = nullptr;
    for (auto& [id, subscription] : connection->subscriptions) subscription->ended = true;
    connection->subscriptions.clear();
  }
  std::lock_guard lock(sockets->mutex);
  sockets->open.erase(connection.get());
}

void LiveHub::handle(const std::shared_ptr<Connection>& connection, std::string_view text) {
  boost::system::error_code code;
  json::value value = json::parse(text, code);
  const json::object* message = code ? nullptr : value.if_object();
  const json::value* op = message ? message->if_contains("op") : nullptr;
  if (!op || !op->is_string()) return connection->error(0, "bad_data", "a JSON object with \"op\" is expected", false);
  auto number = [&](const json::object& from, std::string_view name) -> std::optional<std::int64_t> {
    const json::value* found = from.if_contains(name);
    if (!found || !found->is_number()) return std::nullopt;
    double wide = found->to_number<double>();
    if (!(std::abs(wide) < 9e15)) return std::nullopt;
    return static_cast<std::int64_t>(wide);
  };
  std::string_view name = op->as_string();
  std::int64_t id = number(*message, "id").value_or(-1);
  if (name == "ping") return connection->send({{"op", "pong"}});
  if (id < 0 || id > std::numeric_limits<std::uint32_t>::max()) {
    return connection->error(0, "bad_data", "\"id\" must be a number from 0 to 4294967295", false);
  }
  auto sub = static_cast<std::uint32_t>(id);
  if (name == "unsub" || name == "credit") {
    std::lock_guard lock(connection->mutex);
    auto it = connection->subscriptions.find(sub);
    if (it == connection->subscriptions.end()) return;
    if (name == "unsub") {
      it->second->ended = true;
      connection->subscriptions.erase(it);
    } else {
      // The first credit message switches flow control on.
      std::int64_t given = std::clamp<std::int64_t>(number(*message, "n").value_or(0), 0, 1 << 20);
      auto& credit = it->second->credit;
      if (credit.load() == std::numeric_limits<std::int64_t>::max())
        credit = given;
      else
        credit += given;
    }
    return;
  }
  if (name != "sub") return connection->error(sub, "bad_data", "unknown op \"" + std::string(name) + "\"", false);
  const json::value* kind = message->if_contains("kind");
  const json::value* args = message->if_contains("args");
  if (!kind || !kind->is_string() || kind->as_string() != "series" || !args || !args->is_object()) {
    return connection->error(sub, "bad_data", "kind \"series\" with args {expr, step, from} is expected", false);
  }
  const json::value* expr = args->as_object().if_contains("expr");
  if (!expr || !expr->is_string() || expr->as_string().size() > kMaxExpression) {
    return connection->error(sub, "bad_data", "args.expr must be a PromQL expression of at most 16 KiB", false);
  }
  std::int64_t step = number(args->as_object(), "step").value_or(1000);
  if (step < kMinStep || step > 86'400'000) {
    return connection->error(sub, "bad_data", "args.step must be between 250 and 86400000 milliseconds", false);
  }
  std::string epoch;
  std::uint64_t seq = 0;
  if (const json::value* resume = message->if_contains("resume"); resume && resume->is_object()) {
    if (const json::value* e = resume->as_object().if_contains("epoch"); e && e->is_string()) epoch = e->as_string();
    seq = static_cast<std::uint64_t>(number(resume->as_object(), "seq").value_or(0));
  }
  subscribe(connection, sub, std::string(expr->as_string()), step, number(args->as_object(), "from").value_or(0),
            std::move(epoch), seq);
}

void LiveHub::subscribe(const std::shared_ptr<Connection>& connection, std::uint32_t id, std::string expr,
                        std::int64_t step, TimestampMs from, std::string epoch, std::uint64_t seq) {
  if (auto allowed = dependencies_.reads.check(connection->tenant, expr, std::chrono::milliseconds(step)); !allowed) {
    const Error& error = allowed.error();
    return connection->error(id, error.kind == ErrorKind::limit ? "limit" : "bad_data", error.message, false);
  }
  auto subscription = std::make_shared<Subscription>();
  subscription->id = id;
  subscription->connection = connection;
  subscription->from = from;
  subscription->resume_epoch = std::move(epoch);
  subscription->resume_seq = seq;
  {
    std::unique_lock lock(connection->mutex);
    if (connection->subscriptions.size() >= dependencies_.max_subscriptions) {
      lock.unlock();
      return connection->error(id, "limit", "too many subscriptions on this connection", false);
    }
    auto& slot = connection->subscriptions[id];
    if (slot) slot->ended = true;
    slot = subscription;
  }
  std::string key = connection->tenant + '\0' + std::to_string(step) + '\0' + expr;
  std::shared_ptr<Evaluator> evaluator;
  {
    std::unique_lock lock(mutex_);
    auto& slot = evaluators_[key];
    if (!slot) {
      const auto own = std::ranges::count_if(
          evaluators_, [&](const auto& entry) { return entry.second && entry.second->tenant == connection->tenant; });
      if (static_cast<std::size_t>(own) >= dependencies_.max_expressions) {
        evaluators_.erase(key);
        lock.unlock();
        subscription->ended = true;
        return connection->error(id, "limit",
                                 "tenant '" + connection->tenant + "' keeps " + std::to_string(own) +
                                     " expressions live, which is the most: close panels that nobody watches",
                                 false);
      }
      slot = std::make_shared<Evaluator>();
      slot->key = key;
      slot->tenant = connection->tenant;
      slot->expr = std::move(expr);
      slot->step = step;
      slot->next = floor_to(dependencies_.clock.now_ms() - dependencies_.lateness.count(), step) + step;
    }
    evaluator = slot;
    ++changes_;
    std::lock_guard guard(evaluator->mutex);
    evaluator->pending.push_back(std::move(subscription));
  }
  wake_.notify_all();
}

void LiveHub::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "tocayo-live");
  auto last_beat = Context::Steady::now();
  std::vector<std::pair<TimestampMs, std::shared_ptr<Evaluator>>> due;
  std::vector<std::shared_ptr<Evaluator>> starting;
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    const std::uint64_t seen = changes_;
    TimestampMs now = dependencies_.clock.now_ms();
    TimestampMs wait = 250;
    for (auto& [key, evaluator] : evaluators_) {
      TimestampMs at = evaluator->next.load() + dependencies_.lateness.count();
      if (evaluator->is_awaited()) at = std::min(at, now);
      // Not when the clock was set back since.
      if (const TimestampMs free = evaluator->not_before.load(); free - now <= kPause.count()) at = std::max(at, free);
      if (at > now) {
        wait = std::min(wait, at - now);
      } else if (!evaluator->busy) {
        due.emplace_back(at, evaluator);
      }
    }
    // Those that have waited longest first; who is busy, or has no room, is looked at when a turn is over.
    std::ranges::stable_sort(due, {}, [](const auto& entry) { return entry.first; });
    for (auto& [at, evaluator] : due) {
      std::size_t& standing = standing_[evaluator->tenant];
      if (standing >= dependencies_.max_standing) continue;
      ++standing;
      ++running_;
      evaluator->busy = true;
      starting.push_back(std::move(evaluator));
    }
    due.clear();
    if (!starting.empty()) {
      lock.unlock();  // a turn may come, or be refused, at once, and its end wants the mutex
      for (auto& evaluator : starting) {
        std::string tenant = evaluator->tenant;
        spawn(take_turn(std::move(evaluator)), [this, tenant = std::move(tenant)] {
          std::lock_guard guard(mutex_);
          if (auto standing = standing_.find(tenant); --standing->second == 0) standing_.erase(standing);
          --running_;
          idle_.notify_all();
          ++changes_;
          wake_.notify_all();
        });
      }
      starting.clear();
      lock.lock();
    }
    if (Context::Steady::now() - last_beat >= std::chrono::seconds(2)) {
      last_beat = Context::Steady::now();
      for (auto& connection : sockets_->all()) {
        connection->send({{"op", "hb"}, {"t", now}});
        check_access(std::move(connection));
      }
    }
    wake_.wait_for(lock, stop, std::chrono::milliseconds(std::max<TimestampMs>(wait, 1)),
                   [&] { return seen != changes_; });
  }
}

// Asks whether who opened the socket may still read, and closes it if not. Called under the mutex.
void LiveHub::check_access(std::shared_ptr<Connection> connection) {
  if (!dependencies_.still_allowed || connection->checking.exchange(true)) return;
  ++running_;
  Task<bool> question = dependencies_.still_allowed(connection->opener);
  // On the pool: the answer may come at once, and wants the mutex.
  dependencies_.compute.post([this, connection = std::move(connection), question = std::move(question)]() mutable {
    spawn<bool>(std::move(question), [this, connection = std::move(connection)](bool allowed) {
      if (!allowed) {
        std::lock_guard lock(connection->mutex);
        if (connection->socket) connection->socket->close(1008, "signed out");
      }
      connection->checking = false;
      std::lock_guard lock(mutex_);
      --running_;
      idle_.notify_all();
    });
  });
}

Context LiveHub::context() const {
  return Context(stop_.get_token(), Context::Steady::time_point::max()).with_timeout(kMostTime);
}

Task<void> LiveHub::take_turn(std::shared_ptr<Evaluator> evaluator) {
  auto permit = co_await dependencies_.enter(evaluator->tenant, context());
  if (permit) {
    advance(evaluator);
    co_return;
  }
  if (permit.error().kind != ErrorKind::canceled) skipped_.add();
  evaluator->not_before = dependencies_.clock.now_ms() + std::min<TimestampMs>(evaluator->step, kPause.count());
  evaluator->busy = false;
}

void LiveHub::advance(const std::shared_ptr<Evaluator>& evaluator) {
  std::vector<std::shared_ptr<Subscription>> joining;
  {
    std::lock_guard lock(evaluator->mutex);
    joining.swap(evaluator->pending);
  }
  for (const auto& subscription : joining) {
    if (!subscription->ended) admit(*evaluator, subscription);
  }
  std::erase_if(evaluator->subscriptions, [](const auto& s) { return s->ended.load() || s->connection.expired(); });
  TimestampMs end = floor_to(dependencies_.clock.now_ms() - dependencies_.lateness.count(), evaluator->step);
  // After a jump of the clock or a long pause only the last minutes are caught up; clients fetch the rest by HTTP.
  if (end < evaluator->next.load() - 10 * evaluator->step) evaluator->next = end;
  if (end >= evaluator->next.load()) evaluate_new_steps(*evaluator, end);
  std::lock_guard lock(mutex_);
  std::lock_guard guard(evaluator->mutex);
  if (evaluator->subscriptions.empty() && evaluator->pending.empty()) evaluators_.erase(evaluator->key);
  evaluator->busy = false;
}

void LiveHub::admit(Evaluator& evaluator, const std::shared_ptr<Subscription>& subscription) {
  auto connection = subscription->connection.lock();
  if (!connection) return;
  TimestampMs last = evaluator.next.load() - evaluator.step;
  auto say_ok = [&] {
    connection->send({{"op", "ok"},
                      {"id", subscription->id},
                      {"epoch", evaluator.epoch},
                      {"seq", evaluator.seq},
                      {"schema", json::object{{"series", schema_json(evaluator.schema)}}}});
  };
  bool resumable = !subscription->resume_epoch.empty() && subscription->resume_epoch == evaluator.epoch &&
                   !evaluator.ring.empty() && subscription->resume_seq + 1 >= evaluator.ring.front().seq;
  if (resumable) {
    say_ok();
    for (const LiveFrame& frame : evaluator.ring) {
      if (frame.seq > subscription->resume_seq) subscription->deliver(frame.bytes, frame.end, frame.end);
    }
    evaluator.subscriptions.push_back(subscription);
    return;
  }
  promql::MatrixValue backlog;
  TimestampMs start = std::max(floor_to(subscription->from, evaluator.step), last - kMaxSteps * evaluator.step);
  if (subscription->from > 0 && start <= last) {
    auto outcome = evaluate(evaluator, start, last);
    if (!outcome) {
      const bool retryable = is_passing(outcome.error());
      if (!retryable) subscription->ended = true;
      return connection->error(subscription->id, code_of(outcome.error()), outcome.error().message(), retryable);
    }
    backlog = std::move(std::get<promql::MatrixValue>(outcome->value));
    if (backlog.series.size() > dependencies_.max_series) {
      return connection->error(subscription->id, "limit",
                               "the expression has " + std::to_string(backlog.series.size()) + " series; at most " +
                                   std::to_string(dependencies_.max_series) + " can be live: aggregate it",
                               false);
    }
  }
  std::size_t known = evaluator.schema.size();
  std::vector<std::uint32_t> indices = evaluator.positions(backlog);
  if (evaluator.schema.size() > known) {  // the others learn of series that only the past has
    auto added = schema_json(std::span(evaluator.schema).subspan(known));
    for (const auto& other : evaluator.subscriptions) {
      if (auto owner = other->connection.lock()) owner->send({{"op", "schema"}, {"id", other->id}, {"series", added}});
    }
  }
  say_ok();
  if (!backlog.series.empty()) {
    auto steps = static_cast<std::uint32_t>((last - start) / evaluator.step + 1);
    subscription->deliver(encode_series_frame(0, evaluator.seq, start, evaluator.step, steps, indices,
                                              Evaluator::columns(backlog, start, evaluator.step, steps)),
                          start, last);
  }
  evaluator.subscriptions.push_back(subscription);
}

promql::QueryOutcome LiveHub::evaluate(const Evaluator& evaluator, TimestampMs start, TimestampMs end) {
  return dependencies_.reads.range(evaluator.tenant, evaluator.expr, start, end,
                                   std::chrono::milliseconds(evaluator.step), context());
}

void LiveHub::evaluate_new_steps(Evaluator& evaluator, TimestampMs end) {
  TimestampMs start = std::max(evaluator.next.load(), end - 600 * evaluator.step);
  evaluator.next = end + evaluator.step;
  if (evaluator.subscriptions.empty()) return;
  auto outcome = evaluate(evaluator, start, end);
  if (!outcome) {
    const bool retryable = is_passing(outcome.error());
    for (const auto& subscription : evaluator.subscriptions) {
      if (!retryable) subscription->ended = true;  // asking the same again and again would only cost
      if (auto owner = subscription->connection.lock()) {
        owner->error(subscription->id, code_of(outcome.error()), outcome.error().message(), retryable);
      }
    }
    return;
  }
  const auto& matrix = std::get<promql::MatrixValue>(outcome->value);
  if (matrix.series.size() > dependencies_.max_series) {
    for (const auto& subscription : evaluator.subscriptions) {
      if (auto owner = subscription->connection.lock())
        owner->error(subscription->id, "limit", "too many series: aggregate the expression", false);
    }
    return;
  }
  if (evaluator.schema.size() > kSchemaLimit) {  // churned past use: a new epoch with only what is there now
    evaluator.schema.clear();
    evaluator.index_of.clear();
    evaluator.ring.clear();
    evaluator.ring_bytes = 0;
    evaluator.epoch = to_hex(random_bytes(6));
    for (const auto& subscription : evaluator.subscriptions) {
      if (auto owner = subscription->connection.lock()) {
        owner->send({{"op", "ok"},
                     {"id", subscription->id},
                     {"epoch", evaluator.epoch},
                     {"seq", evaluator.seq},
                     {"schema", json::object{{"series", json::array()}}}});
      }
    }
  }
  std::size_t known = evaluator.schema.size();
  std::vector<std::uint32_t> indices = evaluator.positions(matrix);
  if (evaluator.schema.size() > known) {
    auto added = schema_json(std::span(evaluator.schema).subspan(known));
    for (const auto& subscription : evaluator.subscriptions) {
      if (auto owner = subscription->connection.lock())
        owner->send({{"op", "schema"}, {"id", subscription->id}, {"series", added}});
    }
  }
  auto steps = static_cast<std::uint32_t>((end - start) / evaluator.step + 1);
  LiveFrame frame{++evaluator.seq, end,
                  encode_series_frame(0, evaluator.seq, start, evaluator.step, steps, indices,
                                      Evaluator::columns(matrix, start, evaluator.step, steps))};
  for (const auto& subscription : evaluator.subscriptions) subscription->deliver(frame.bytes, start, end);
  evaluator.ring_bytes += frame.bytes.size();
  evaluator.ring.push_back(std::move(frame));
  while (evaluator.ring.size() > 1 &&
         (evaluator.ring_bytes > kRingBytes || evaluator.ring.front().end < end - kRingMs)) {
    evaluator.ring_bytes -= evaluator.ring.front().bytes.size();
    evaluator.ring.pop_front();
  }
}

}  // namespace tocayo::ui
