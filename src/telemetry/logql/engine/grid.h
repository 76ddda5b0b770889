// SPDX-License-Identifier: Apache-2.0
// The steps of a metric query and the windows that end at them. Window i is (time(i) - range, time(i)], moved back by
// the offset. Time is cut into elementary intervals, in each of which the set of windows that hold it is constant;
// every window is a run of neighbouring intervals. There are at most 2 * steps of them, whatever range and step are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/time.h"

namespace tocayo::logql::detail {

// Saturating, so that ranges of centuries at the ends of time do not wrap.
inline std::int64_t add_saturated(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}
inline std::int64_t subtract_saturated(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

struct Steps {
  TimestampNs start = 0;
  std::int64_t step = 1;  // > 0
  std::uint32_t count = 1;
  TimestampNs time(std::size_t i) const { return start + static_cast<std::int64_t>(i) * step; }
};

class Windows {
 public:
  Windows(Steps steps, std::int64_t range, std::int64_t offset) : steps_(steps), range_(range), offset_(offset) {}

  const Steps& steps() const { return steps_; }
  std::int64_t range() const { return range_; }
  std::int64_t offset() const { return offset_; }
  // End of window i in the time of the samples.
  TimestampNs end(std::size_t i) const { return subtract_saturated(steps_.time(i), offset_); }
  // First and last + 1 nanosecond that any window holds.
  TimestampNs first() const { return add_saturated(subtract_saturated(end(0), range_), 1); }
  TimestampNs last() const { return add_saturated(end(steps_.count - 1), 1); }

  // The interval of a sample; nullopt when no window holds it.
  std::optional<std::uint32_t> interval(TimestampNs time) const {
    const auto [low, high] = holders(add_saturated(time, offset_));
    if (low > high) return std::nullopt;
    return static_cast<std::uint32_t>(low + high + 1);
  }
  // interval() for many samples: remembers how far the last answer holds, for times mostly ascend. One a thread.
  class Cursor {
   public:
    explicit Cursor(const Windows& windows) : windows_(windows) {}
    std::optional<std::uint32_t> interval(TimestampNs time) {
      if (time < from_ || time > to_) {
        from_ = time;
        to_ = windows_.end_of_interval(time);
        interval_ = windows_.interval(time);
      }
      return interval_;
    }

   private:
    const Windows& windows_;
    TimestampNs from_ = 1;
    TimestampNs to_ = 0;
    std::optional<std::uint32_t> interval_;
  };

  // Last time that is held by the same windows as `time`.
  TimestampNs end_of_interval(TimestampNs time) const {
    const auto [low, high] = holders(add_saturated(time, offset_));
    TimestampNs last = std::numeric_limits<TimestampNs>::max();
    if (low < steps_.count) last = steps_.time(static_cast<std::size_t>(low));
    if (high + 1 < steps_.count) {
      last = std::min(last, subtract_saturated(steps_.time(static_cast<std::size_t>(high + 1)), range_));
    }
    return subtract_saturated(last, offset_);
  }
  // Intervals of window i: [first_interval(i), last_interval(i)]. Empty (first > last) only for a range of zero.
  std::uint32_t first_interval(std::size_t i) const {
    const auto [low, high] = holders(add_saturated(subtract_saturated(steps_.time(i), range_), 1));
    return static_cast<std::uint32_t>(low + high + 1);
  }
  std::uint32_t last_interval(std::size_t i) const {
    if (range_ <= 0) return 0;
    const auto [low, high] = holders(steps_.time(i));
    return static_cast<std::uint32_t>(low + high + 1);
  }

 private:
  struct Holders {
    std::int64_t low;   // first window that holds the time
    std::int64_t high;  // last one
  };
  std::int64_t steps_up_to(std::int64_t distance) const {  // ceil(distance / step), kept within [0, count]
    if (distance <= 0) return 0;
    return std::min<std::int64_t>((distance - 1) / steps_.step + 1, steps_.count);
  }
  Holders holders(std::int64_t time) const {
    const std::int64_t distance = subtract_saturated(time, steps_.start);
    return {steps_up_to(distance), steps_up_to(add_saturated(distance, range_)) - 1};
  }

  Steps steps_;
  std::int64_t range_;
  std::int64_t offset_;
};

// A grid without ends: the steps of a query's windows, as many before and behind as hold a stretch of time. What was
// put into its intervals can be placed into those of any windows of the same step, range, offset and phase.
class OpenGrid {
 public:
  // nullopt: there would be too many steps. Times are those of samples, both inclusive.
  static std::optional<OpenGrid> of(const Windows& windows, TimestampNs min_time, TimestampNs max_time) {
    constexpr std::int64_t kMostSteps = 1 << 20;
    const Steps& steps = windows.steps();
    const std::int64_t from = add_saturated(min_time, windows.offset());
    const std::int64_t to = add_saturated(add_saturated(max_time, windows.offset()), windows.range());
    const std::int64_t length = subtract_saturated(to, from);
    if (length / steps.step >= kMostSteps - 4 || windows.range() <= 0) return std::nullopt;
    const std::int64_t start = from - steps.step - phase(from, steps.step) + phase(steps.start, steps.step);
    const Steps open{start, steps.step, static_cast<std::uint32_t>(length / steps.step + 4)};
    return OpenGrid(Windows(open, windows.range(), windows.offset()));
  }
  static std::int64_t phase(std::int64_t time, std::int64_t step) { return (time % step + step) % step; }

  const Windows& windows() const { return windows_; }

  // Where an interval of an open grid that begins at `start` lies among `windows`; nullopt when none of them holds it.
  static std::optional<std::uint32_t> place(std::uint32_t interval, TimestampNs start, const Windows& windows) {
    // An interval is numbered by the first and the last window that hold it, of which there are range / step, or one
    // more: low + high + 1.
    const Steps& steps = windows.steps();
    const std::int64_t fewest = windows.range() / steps.step;
    const std::int64_t holders = fewest + ((static_cast<std::int64_t>(interval) - fewest) & 1);
    if (holders == 0) return std::nullopt;
    const std::int64_t shift = (steps.start - start) / steps.step;
    const std::int64_t low = (static_cast<std::int64_t>(interval) - holders) / 2 - shift;
    const std::int64_t high = low + holders - 1;
    const std::int64_t first = std::max<std::int64_t>(low, 0);
    const std::int64_t last = std::min<std::int64_t>(high, static_cast<std::int64_t>(steps.count) - 1);
    if (first > last) return std::nullopt;
    return static_cast<std::uint32_t>(first + last + 1);
  }

 private:
  explicit OpenGrid(Windows windows) : windows_(windows) {}
  Windows windows_;
};

}  // namespace tocayo::logql::detail
