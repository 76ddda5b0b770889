// SPDX-License-Identifier: Apache-2.0
// The states of all series of a range aggregation, as one thread gathers them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "logql/engine/column.h"
#include "logql/engine/grid.h"
#include "logql/engine/states.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

// The states of one series, taken out of an accumulator. Immutable.
class SeriesStates {
 public:
  virtual ~SeriesStates() = default;
  virtual std::size_t memory_bytes() const = 0;
};

// Series are numbered densely from 0 by the caller. Not thread-safe.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  virtual void add(std::size_t series, std::uint32_t interval, const RangeSample& sample) = 0;
  // The same `count` times, for functions to which a sample is only its value (`sample` has any time and order).
  virtual void add_equal(std::size_t series, std::uint32_t interval, const RangeSample& sample, std::uint64_t count) {
    for (; count > 0; --count) add(series, interval, sample);
  }
  // Moves the states of one series of another accumulator of the same kind into one of this.
  virtual void absorb(std::size_t series, Accumulator& other, std::size_t other_series) = 0;
  // Takes the states of a series out, to be kept; null when this kind keeps samples, not states.
  virtual std::unique_ptr<const SeriesStates> keep(std::size_t series) {
    (void)series;
    return nullptr;
  }
  // Merges what an accumulator of the same kind kept; `place` gives for each of its intervals the one here, if any.
  virtual void merge(std::size_t series, const SeriesStates& states,
                     const std::function<std::optional<std::uint32_t>(std::uint32_t)>& place) {
    (void)series, (void)states, (void)place;
  }
  // Appends the states of a series as bytes for load(), in this process or none; releases them.
  virtual void save(std::size_t series, std::string& out) = 0;
  // Merges what an accumulator of the same kind and windows saved. false: it saved something else.
  virtual bool load(std::size_t series, std::string_view states) = 0;
  // The values of a series; releases its states.
  virtual Column finish(std::size_t series) = 0;
  virtual std::size_t memory_bytes() const = 0;  // about
};

// For save() and load(): plain values one after the other.
template <typename T>
  requires std::is_trivially_copyable_v<T>
void put_plain(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
  requires std::is_trivially_copyable_v<T>
bool take_plain(std::string_view& from, T& value) {
  if (from.size() < sizeof value) return false;
  std::memcpy(&value, from.data(), sizeof value);
  from.remove_prefix(sizeof value);
  return true;
}

// For absent_over_time it counts.
std::unique_ptr<Accumulator> make_accumulator(const RangeAggregation& aggregation, const Windows& windows);

}  // namespace tocayo::logql::detail
