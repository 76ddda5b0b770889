// SPDX-License-Identifier: Apache-2.0
#include "main/logs_gate.h"

namespace tocayo {

namespace {

std::unexpected<Error> starting() {
  return fail(ErrorKind::unavailable, "the log store is starting (replaying its journal); try again in a moment");
}

// Says so to every question: an empty answer would look like lost lines.
class Starting final : public logs::Querier {
  Result<std::unique_ptr<logs::Scan>> select(const logs::Selection&, const Context&) const override {
    return starting();
  }
  Result<std::vector<Labels>> series(std::span<const std::vector<Matcher>>, TimestampNs, TimestampNs,
                                     const Context&) const override {
    return starting();
  }
  Result<logs::NameList> label_names(std::span<const std::vector<Matcher>>, TimestampNs, TimestampNs,
                                     const Context&) const override {
    return starting();
  }
  Result<logs::NameList> label_values(const std::string&, std::span<const std::vector<Matcher>>, TimestampNs,
                                      TimestampNs, const Context&) const override {
    return starting();
  }
  Result<std::vector<logs::StreamVolume>> volume(std::span<const Matcher>, TimestampNs, TimestampNs,
                                                 const Context&) const override {
    return starting();
  }
};

}  // namespace

// A subscription from before the store was open.
class LogsGate::Early {
 public:
  Early(std::string tenant, std::function<void(const logs::TailBatch&)> callback)
      : tenant_(std::move(tenant)), callback_(std::move(callback)) {}
  void begin(logs::Store& store) {
    std::scoped_lock lock(mutex_);
    real_ = store.subscribe(tenant_, std::move(callback_));
  }
  std::uint64_t dropped() const {
    std::scoped_lock lock(mutex_);
    return real_ ? real_->dropped() : 0;
  }

 private:
  std::string tenant_;
  std::function<void(const logs::TailBatch&)> callback_;
  mutable std::mutex mutex_;
  std::unique_ptr<logs::Subscription> real_;
};

void LogsGate::open(std::unique_ptr<logs::Store> store) {
  std::scoped_lock lock(mutex_);
  owned_ = std::move(store);
  for (const auto& waiting : std::exchange(early_, {})) {
    if (auto early = waiting.lock()) early->begin(*owned_);
  }
  store_.store(owned_.get(), std::memory_order_release);
}

Result<logs::Store*> LogsGate::ready() const {
  if (auto* store = get()) return store;
  return starting();
}

Task<Result<logs::AppendResult>> LogsGate::append(std::string_view tenant, std::span<logs::StreamRows> streams) {
  CO_TRY(auto* store, ready());
  co_return co_await store->append(tenant, streams);
}

bool LogsGate::valid(std::string_view tenant, logs::StreamRef ref) const {
  auto* store = get();
  return store != nullptr && store->valid(tenant, ref);
}

std::shared_ptr<const logs::Querier> LogsGate::querier(std::string_view tenant) {
  if (auto* store = get()) return store->querier(tenant);
  return std::make_shared<Starting>();
}

Result<std::vector<logs::Pattern>> LogsGate::patterns(std::string_view tenant, const logs::Selection& selection,
                                                      TimestampNs step, std::size_t limit, const Context& context) {
  auto* store = TRY(ready());
  return store->patterns(tenant, selection, step, limit, context);
}

std::unique_ptr<logs::Subscription> LogsGate::subscribe(std::string_view tenant,
                                                        std::function<void(const logs::TailBatch&)> callback) {
  if (auto* store = get()) return store->subscribe(tenant, std::move(callback));
  std::scoped_lock lock(mutex_);
  if (auto* store = get()) return store->subscribe(tenant, std::move(callback));
  // Shared: opening may be about to begin it.
  class Handle final : public logs::Subscription {
   public:
    explicit Handle(std::shared_ptr<Early> early) : early_(std::move(early)) {}
    std::uint64_t dropped() const override { return early_->dropped(); }

   private:
    std::shared_ptr<Early> early_;
  };
  auto early = std::make_shared<Early>(std::string(tenant), std::move(callback));
  early_.push_back(early);
  return std::make_unique<Handle>(std::move(early));
}

Result<std::string> LogsGate::add_delete(std::string_view tenant, std::string_view query, TimestampNs start,
                                         TimestampNs end) {
  auto* store = TRY(ready());
  return store->add_delete(tenant, query, start, end);
}

Result<std::vector<logs::DeleteRequest>> LogsGate::deletes(std::string_view tenant) const {
  const auto* store = TRY(ready());
  return store->deletes(tenant);
}

Result<> LogsGate::cancel_delete(std::string_view tenant, std::string_view id, bool force) {
  auto* store = TRY(ready());
  return store->cancel_delete(tenant, id, force);
}

Result<std::vector<logs::RetentionPreview>> LogsGate::preview_retention(std::string_view tenant,
                                                                        const logs::TenantLimits& limits,
                                                                        const Context& context) {
  auto* store = TRY(ready());
  return store->preview_retention(tenant, limits, context);
}

std::vector<std::string> LogsGate::tenants() const {
  const auto* store = get();
  return store != nullptr ? store->tenants() : std::vector<std::string>();
}

logs::TenantStats LogsGate::stats(std::string_view tenant) const {
  const auto* store = get();
  return store != nullptr ? store->stats(tenant) : logs::TenantStats();
}

std::vector<logs::LabelGrowth> LogsGate::label_growth(std::string_view tenant, std::uint64_t least) const {
  const auto* store = get();
  return store != nullptr ? store->label_growth(tenant, least) : std::vector<logs::LabelGrowth>();
}

void LogsGate::note_sender(std::string_view tenant, const Labels& labels, std::string_view address) {
  if (auto* store = get()) store->note_sender(tenant, labels, address);
}

Result<> LogsGate::health() const {
  const auto* store = TRY(ready());
  return store->health();
}

Result<> LogsGate::flush(std::string_view tenant) {
  auto* store = TRY(ready());
  return store->flush(tenant);
}

void LogsGate::maintain() {
  if (auto* store = get()) store->maintain();
}

Result<> LogsGate::close() {
  auto* store = get();
  return store != nullptr ? store->close() : Result<>();
}

}  // namespace tocayo
