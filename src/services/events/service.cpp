// SPDX-License-Identifier: Apache-2.0
#include "events/service.h"

#include <algorithm>
#include <charconv>
#include <mutex>
#include <optional>
#include <span>

#include "core/labels.h"
#include "core/pool.h"
#include "core/registry.h"
#include "db/migrations.h"
#include "events/store.h"
#include "tenancy/tenant_id.h"

namespace tocayo::events {

std::span<const db::Migration> migrations();

namespace {

constexpr std::int64_t kTrimEvery = 64;  // recorded events between looks at the cap of a tenant
constexpr std::int64_t kTrimBatch = 2'000;
constexpr std::int64_t kMaxAheadMs = 24LL * 3'600'000;
constexpr std::size_t kMaxLabels = 32;

Result<> check_text(std::string_view what, std::string_view text, std::size_t max_bytes, bool one_line) {
  auto wrong = [&](std::string why) { return fail(ErrorKind::bad_input, std::string(what) + " " + why); };
  if (text.size() > max_bytes) return wrong("is longer than " + std::to_string(max_bytes) + " bytes");
  if (!is_valid_utf8(text)) return wrong("is not UTF-8");
  for (char c : text) {
    bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (control && (one_line || (c != '\n' && c != '\t' && c != '\r'))) return wrong("has a control character");
  }
  return {};
}

Result<> check(const Event& event, TimestampMs now) {
  TRY(tenancy::check_tenant_id(event.tenant));
  bool plain =
      !event.kind.empty() && event.kind.size() <= 64 && std::all_of(event.kind.begin(), event.kind.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
      });
  if (!plain) return fail(ErrorKind::bad_input, "kind has 1 to 64 of a-z 0-9 _ . -");
  if (event.title.empty()) return fail(ErrorKind::bad_input, "title is missing");
  TRY(check_text("title", event.title, 300, true));
  TRY(check_text("detail", event.detail, 16 << 10, false));
  TRY(check_text("source", event.source, 100, true));
  TRY(check_text("actor", event.actor, 200, true));
  TRY(check_text("url", event.url, 2'000, true));
  TRY(check_text("key", event.dedup_key, 200, true));
  if (!event.url.empty() && !event.url.starts_with("https://") && !event.url.starts_with("http://")) {
    return fail(ErrorKind::bad_input, "url must begin with https:// or http://");
  }
  if (event.labels.size() > kMaxLabels) return fail(ErrorKind::bad_input, "an event has at most 32 labels");
  for (auto& [name, value] : event.labels) {
    if (!is_classic_label_name(name) || name.size() > 100)
      return fail(ErrorKind::bad_input, "'" + name.substr(0, 100) + "' is not a label name");
    TRY(check_text("label " + name, value, 500, true));
  }
  if (event.time_ms < 0 || event.time_ms > now + kMaxAheadMs)
    return fail(ErrorKind::bad_input, "timeMs is not within a day of now or before");
  return {};
}

// "time:id" in decimal.
Result<std::optional<std::pair<TimestampMs, std::int64_t>>> parse_cursor(const std::string& text) {
  std::optional<std::pair<TimestampMs, std::int64_t>> out;
  if (text.empty()) return out;
  std::pair<TimestampMs, std::int64_t> at;
  const char* end = text.data() + text.size();
  auto time = std::from_chars(text.data(), end, at.first);
  if (time.ec != std::errc() || time.ptr == end || *time.ptr != ':')
    return fail(ErrorKind::bad_input, "the cursor is not one of ours");
  auto id = std::from_chars(time.ptr + 1, end, at.second);
  if (id.ec != std::errc() || id.ptr != end) return fail(ErrorKind::bad_input, "the cursor is not one of ours");
  out = at;
  return out;
}

// Hands committed events to subscribers on its own thread.
class Hub {
 public:
  struct Entry {
    std::mutex running;  // held while the subscriber is called; taken by the end of the subscription
    std::function<void(const Event&)> subscriber;
  };

  std::shared_ptr<Entry> add(std::function<void(const Event&)> subscriber) {
    auto entry = std::make_shared<Entry>();
    entry->subscriber = std::move(subscriber);
    std::lock_guard lock(mutex_);
    entries_.push_back(entry);
    return entry;
  }
  void remove(const std::shared_ptr<Entry>& entry) {
    {
      std::lock_guard lock(mutex_);
      std::erase(entries_, entry);
    }
    std::lock_guard lock(entry->running);
    entry->subscriber = nullptr;
  }
  void publish(Event event) {
    pool_.post([this, event = std::move(event)] {
      std::vector<std::shared_ptr<Entry>> entries;
      {
        std::lock_guard lock(mutex_);
        entries = entries_;
      }
      for (auto& entry : entries) {
        std::lock_guard lock(entry->running);
        if (entry->subscriber) entry->subscriber(event);
      }
    });
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;  // shared with a publish in flight
  Pool pool_{"events", 1};
};

class HubSubscription final : public Subscription {
 public:
  HubSubscription(std::shared_ptr<Hub> hub, std::shared_ptr<Hub::Entry> entry)
      : hub_(std::move(hub)), entry_(std::move(entry)) {}
  ~HubSubscription() override { hub_->remove(entry_); }

 private:
  std::shared_ptr<Hub> hub_;  // a subscription may outlive the service
  std::shared_ptr<Hub::Entry> entry_;
};

}  // namespace

struct Service::Impl {
  db::Database& database;
  ServiceOptions options;
  std::shared_ptr<Hub> hub = std::make_shared<Hub>();  // weakly held by commit hooks

  Result<Event> record(db::Transaction& transaction, Event event, bool& existed) {
    TimestampMs now = options.clock->now_ms();
    event.recorded_ms = now;
    if (event.time_ms == 0) event.time_ms = now;
    TRY(check(event, now));
    auto id = TRY(store::add(transaction, event));
    existed = !id.has_value();
    if (existed) {
      auto former = TRY(store::by_dedup_key(transaction, event.tenant, event.dedup_key));
      if (!former) return fail(ErrorKind::conflict, "an event with this key is being removed");
      return std::move(*former);
    }
    event.id = *id;
    if (event.id % kTrimEvery == 0) {
      TRY(store::trim(transaction, event.tenant, options.max_events_per_tenant, now - options.max_age.count(),
                      kTrimBatch));
    }
    transaction.on_commit([weak = std::weak_ptr<Hub>(hub), event] {
      Registry::global().counter("tocayo_events_recorded_total", "Events recorded.", {{"kind", event.kind}}).add();
      if (auto alive = weak.lock()) alive->publish(event);
    });
    return event;
  }
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() = default;

Result<std::unique_ptr<Service>> Service::open(db::Database& database, ServiceOptions options) {
  TRY(db::migrate(database, "events", migrations()));
  return std::unique_ptr<Service>(new Service(std::unique_ptr<Impl>(new Impl{database, std::move(options)})));
}

Result<std::int64_t> Service::record(db::Transaction& transaction, Event event) {
  bool existed = false;
  return TRY(impl_->record(transaction, std::move(event), existed)).id;
}

Task<Result<Event>> Service::record_now(Event event, bool* existed) {
  bool before = false;
  auto recorded = co_await impl_->database.write([&](db::Transaction& tx) { return impl_->record(tx, event, before); });
  if (existed) *existed = before;
  co_return recorded;
}

Task<Result<EventPage>> Service::list(std::string tenant, EventFilter filter, std::string cursor, std::int64_t limit) {
  if (limit < 1 || limit > 1'000) co_return fail(ErrorKind::bad_input, "limit is 1 to 1000");
  CO_TRY(auto before, parse_cursor(cursor));
  CO_TRY(auto events, co_await impl_->database.read(
                          [&](db::Session& s) { return store::list(s, tenant, filter, before, limit + 1); }));
  EventPage page{std::move(events), ""};
  if (page.events.size() > static_cast<std::size_t>(limit)) {
    page.events.pop_back();
    page.next = std::to_string(page.events.back().time_ms) + ":" + std::to_string(page.events.back().id);
  }
  co_return page;
}

std::unique_ptr<Subscription> Service::subscribe(std::function<void(const Event&)> subscriber) {
  return std::make_unique<HubSubscription>(impl_->hub, impl_->hub->add(std::move(subscriber)));
}

}  // namespace tocayo::events
