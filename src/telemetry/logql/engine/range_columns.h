// SPDX-License-Identifier: Apache-2.0
// Reads row groups by column for a range aggregation: the pipeline runs once for rows that are equal in all that
// counts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "logql/engine/column_plan.h"
#include "logs/columns.h"

namespace tocayo::logql::detail {

// What the pipeline makes of a row.
struct RowOutcome {
  enum class Kind : unsigned char { unknown, dropped, kept, by_row };
  Kind kind = Kind::unknown;
  std::uint32_t series = 0;
  double value = 0;
};

class ColumnReader {
 public:
  // What is to be done with rows.
  class Handler {
   public:
    virtual ~Handler() = default;
    // Runs the pipeline on a row without counting it. by_row: the row has to be handled by itself (an error).
    virtual RowOutcome decide(const logs::Row& row) = 0;
    virtual Result<> by_row(std::span<const logs::Row> rows) = 0;
    // A kept row, the `nth` of the chosen ones.
    virtual Result<> take(logs::ColumnGroup& group, std::size_t nth, std::uint32_t stream, TimestampNs time,
                          std::uint32_t series, double value) = 0;
  };

  // `plan` and `streams` (of the scan) must outlive this.
  ColumnReader(const ColumnPlan& plan, std::span<const Labels> streams);
  // Every chosen row of the group once.
  Result<> read(logs::ColumnGroup& group, Handler& handler);

 private:
  // A column that tells rows apart.
  struct Source {
    std::span<const std::int64_t> codes;       // empty: all equal (then only presence counts)
    std::span<const std::int32_t> key_places;  // of a metadata key; empty: every row has a value
    bool by_place = false;                     // indexed by the row's place in its template
  };
  // What a code of the unwrapped label's column reads as.
  struct Known {
    std::int64_t code = 0;
    double value = 0;
    bool set = false;
  };
  struct Template {
    bool ready = false;
    bool by_row = false;
    std::vector<Source> sources;
    const logs::ColumnValues* value = nullptr;  // of the unwrapped label
    std::string prefix;
    std::string suffix;
    std::vector<Known> known;  // by hash of the code, the latest; empty: not worth it
    std::uint64_t rows = 0;
    std::uint64_t runs = 0;                 // of the pipeline
    std::uint32_t root_class = 0xFFFFFFFF;  // of root
    std::uint32_t root = 0;
  };
  // Numbers pairs densely from 0: a row's node is found by one step from its template's root for each source.
  class Steps {
   public:
    std::uint32_t find_or_add(std::uint64_t from, std::int64_t code) {
      if ((count_ + 1) * 2 > slots_.size()) grow();
      Slot& slot = slots_[place(from, code)];
      if (slot.node == kFree) slot = {from, code, count_++};
      return slot.node;
    }
    std::uint32_t size() const { return count_; }
    void clear() {
      std::fill(slots_.begin(), slots_.end(), Slot{});
      count_ = 0;
    }

   private:
    static constexpr std::uint32_t kFree = 0xFFFFFFFF;
    struct Slot {
      std::uint64_t from = 0;
      std::int64_t code = 0;
      std::uint32_t node = kFree;
    };
    std::size_t place(std::uint64_t from, std::int64_t code) const {
      std::uint64_t mixed = (from + 0x9E3779B97F4A7C15ULL) * 0xBF58476D1CE4E5B9ULL;
      mixed = (mixed ^ (mixed >> 29) ^ static_cast<std::uint64_t>(code)) * 0x94D049BB133111EBULL;
      std::size_t at = (mixed >> 32) & (slots_.size() - 1);
      while (slots_[at].node != kFree && (slots_[at].from != from || slots_[at].code != code))
        at = (at + 1) & (slots_.size() - 1);
      return at;
    }
    void grow() {
      std::vector<Slot> old(slots_.empty() ? 256 : slots_.size() * 2);
      old.swap(slots_);
      for (const Slot& slot : old) {
        if (slot.node != kFree) slots_[place(slot.from, slot.code)] = slot;
      }
    }
    std::vector<Slot> slots_;
    std::uint32_t count_ = 0;
  };

  Result<> begin(logs::ColumnGroup& group);
  Result<> prepare(logs::ColumnGroup& group, std::size_t number, Template& out);
  std::uint32_t class_of(std::uint32_t stream);
  std::uint32_t node(std::uint64_t from, std::int64_t code) {
    const std::uint32_t node = steps_.find_or_add(from, code);
    if (node >= outcomes_.size()) outcomes_.resize(node + 1);
    return node;
  }
  Result<> hand_over(logs::ColumnGroup& group, Handler& handler);
  Result<double> value_of(Template& from, std::uint32_t place, TimestampNs time);
  Result<double> read_value(const Template& from, std::uint32_t place, TimestampNs time);

  const ColumnPlan& plan_;
  std::span<const Labels> streams_;
  std::optional<TemplateReader> reader_;
  std::vector<std::uint32_t> classes_;  // by stream: equal in all labels that count; kNone when not known yet
  std::unordered_map<Labels, std::uint32_t, LabelsHash> class_numbers_;
  std::vector<bool> class_has_value_;  // by class: the stream has the unwrapped label itself

  // of the group
  std::vector<Template> templates_;
  std::vector<Source> keys_;
  bool keys_by_row_ = false;    // a key that counts has too many values
  bool value_in_keys_ = false;  // metadata may have the unwrapped label
  const logs::ColumnValues* key_value_ = nullptr;
  std::span<const std::int32_t> key_value_places_;
  Steps steps_;
  std::vector<RowOutcome> outcomes_;  // by node
  std::vector<std::uint32_t> by_row_;
  std::string scratch_;
  std::string text_;
};

}  // namespace tocayo::logql::detail
