// SPDX-License-Identifier: Apache-2.0
// The states of all series of a range aggregation, as one thread gathers them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "logql/engine/column.h"
#include "logql/engine/grid.h"
#include "logql/engine/states.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

// Series are numbered densely from 0 by the caller. Not thread-safe.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  virtual void add(std::size_t series, std::uint32_t interval, const RangeSample& sample) = 0;
  // Moves the states of one series of another accumulator of the same kind into one of this.
  virtual void absorb(std::size_t series, Accumulator& other, std::size_t other_series) = 0;
  // The values of a series; releases its states.
  virtual Column finish(std::size_t series) = 0;
  virtual std::size_t memory_bytes() const = 0;  // about
};

// For absent_over_time it counts.
std::unique_ptr<Accumulator> make_accumulator(const RangeAggregation& aggregation, const Windows& windows);

}  // namespace tocayo::logql::detail
