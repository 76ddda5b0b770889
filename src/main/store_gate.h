// SPDX-License-Identifier: Apache-2.0
// The server answers from its first second, the store opens (replays) behind it: until then writes are refused with 503
// and reads say that the store is starting. Everything that needs the store goes through here.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "metrics/appender.h"
#include "metrics/querier.h"
#include "metrics/store.h"

namespace tocayo {

// Thread-safe. open() is called once; close() after the server has stopped.
class StoreGate final : public metrics::Appender {
 public:
  void open(std::unique_ptr<metrics::Store> store) {
    owned_ = std::move(store);
    store_.store(owned_.get(), std::memory_order_release);
  }
  Result<> close() {
    store_.store(nullptr, std::memory_order_release);
    if (!owned_) return {};
    auto closed = owned_->close();
    owned_.reset();
    return closed;
  }
  // Null while it is starting.
  metrics::Store* get() const { return store_.load(std::memory_order_acquire); }
  Result<metrics::Store*> ready() const {
    if (auto* store = get()) return store;
    return fail(ErrorKind::unavailable, "the store is starting (replaying its log); try again in a moment");
  }

  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override {
    CO_TRY(auto* store, ready());
    co_return co_await store->append(tenant, batch);
  }

 private:
  std::unique_ptr<metrics::Store> owned_;
  std::atomic<metrics::Store*> store_{nullptr};
};

}  // namespace tocayo
