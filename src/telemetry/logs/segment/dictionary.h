// SPDX-License-Identifier: Apache-2.0
// The dictionary of a segment: pages of texts, decoded when first asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/segment/column.h"
#include "logs/segment/literal_plan.h"

namespace tocayo::logs {

// Thread-safe.
class Dictionary final : public DictionaryView {
 public:
  // `part` is the dictionary's part of the file, which must outlive this.
  static Result<std::unique_ptr<Dictionary>> open(std::string_view part);
  std::size_t size() const { return size_; }
  // A damaged page reads as empty texts; verify() tells.
  std::string_view at(std::uint32_t id) const override;
  // The ids whose text passes the test, ascending.
  std::vector<std::uint32_t> search(const SlotTest& test, bool fold) const;
  Result<> verify() const;

 private:
  struct Page {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::string_view stored;
    std::uint64_t hash = 0;
    mutable std::once_flag once;
    mutable std::string raw;
    mutable std::string_view text;
    mutable std::vector<std::uint32_t> starts;
    mutable bool good = false;
    void load() const;
  };
  std::vector<std::unique_ptr<Page>> pages_;
  std::size_t size_ = 0;
};

}  // namespace tocayo::logs
