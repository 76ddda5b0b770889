// SPDX-License-Identifier: Apache-2.0
// A log store in a directory that disappears with it, for tests and benchmarks.
#pragma once

#include <memory>
#include <utility>

#include "db/testing.h"
#include "logs/store/store.h"

namespace tocayo::logs::testing {

class TemporaryStore {
 public:
  // `dir` and `database` of the options are filled in.
  static Result<std::unique_ptr<TemporaryStore>> open(StoreOptions options) {
    auto made = std::make_unique<TemporaryStore>();
    made->database_ = db::testing::open_database(made->directory_.path() / "catalogue.db");
    options.dir = (made->directory_.path() / "logs").string();
    options.database = made->database_.get();
    options.disk_reserve = 1;  // not about how full the machine is
    made->store_ = TRY(Store::open(std::move(options)));
    return made;
  }
  Store& operator*() { return *store_; }
  Store* operator->() { return store_.get(); }

 private:
  db::testing::TemporaryDirectory directory_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<Store> store_;
};

}  // namespace tocayo::logs::testing
