// SPDX-License-Identifier: Apache-2.0
// The log store as everybody holds it from the first second: while the real one opens (replays its journal) behind it,
// writes and reads are refused as `unavailable`, which the API answers with 503 and Retry-After; afterwards every call
// goes through.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "logs/store/store.h"

namespace tocayo {

// Thread-safe. open() is called once; close() after the server has stopped.
class LogsGate final : public logs::Store {
 public:
  void open(std::unique_ptr<logs::Store> store);
  // Null while it is starting.
  logs::Store* get() const { return store_.load(std::memory_order_acquire); }
  Result<logs::Store*> ready() const;

  Task<Result<logs::AppendResult>> append(std::string_view tenant, std::span<logs::StreamRows> streams) override;
  bool valid(std::string_view tenant, logs::StreamRef ref) const override;
  std::shared_ptr<const logs::Querier> querier(std::string_view tenant) override;
  Result<std::vector<logs::Pattern>> patterns(std::string_view tenant, const logs::Selection& selection,
                                              TimestampNs step, std::size_t limit, const Context& context) override;
  // Before the store is open it is kept and begins with the store.
  std::unique_ptr<logs::Subscription> subscribe(std::string_view tenant,
                                                std::function<void(const logs::TailBatch&)> callback) override;
  Result<std::string> add_delete(std::string_view tenant, std::string_view query, TimestampNs start,
                                 TimestampNs end) override;
  Result<std::vector<logs::DeleteRequest>> deletes(std::string_view tenant) const override;
  Result<> cancel_delete(std::string_view tenant, std::string_view id, bool force) override;
  Result<std::vector<logs::RetentionPreview>> preview_retention(std::string_view tenant,
                                                                const logs::TenantLimits& limits,
                                                                const Context& context) override;
  std::vector<std::string> tenants() const override;
  logs::TenantStats stats(std::string_view tenant) const override;
  std::vector<logs::LabelGrowth> label_growth(std::string_view tenant, std::uint64_t least) const override;
  void note_sender(std::string_view tenant, const Labels& labels, std::string_view address) override;
  Result<> health() const override;
  Result<> flush(std::string_view tenant) override;
  void maintain() override;
  // Nothing to do when the store never opened.
  Result<> close() override;

 private:
  class Early;
  std::unique_ptr<logs::Store> owned_;
  std::atomic<logs::Store*> store_{nullptr};
  std::mutex mutex_;  // of early_, and of the moment of opening
  std::vector<std::weak_ptr<Early>> early_;
};

}  // namespace tocayo
