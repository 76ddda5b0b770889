// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/window.h"

#include <algorithm>
#include <limits>

namespace tocayo::agent {
namespace {

// How many samples at the front are older than `oldest`. Rows of one series come in order of time; a stray late one
// behind them stays, which costs nothing.
std::size_t expired(const Item& item, TimestampMs oldest) {
  std::uint32_t floats = 0, histograms = 0;
  while (floats < item.float_count && item.rows->floats[item.float_begin + floats].time < oldest) ++floats;
  if (floats < item.float_count) return floats;
  while (histograms < item.histogram_count && item.rows->histograms[item.histogram_begin + histograms].time < oldest)
    ++histograms;
  return std::size_t{floats} + histograms;
}

}  // namespace

bool Window::done() const {
  return std::all_of(lanes.begin(), lanes.end(),
                     [](const Lane& lane) { return lane.batches.empty() && !lane.in_flight; });
}

Drop Window::deal(std::size_t lane_count, std::size_t rows_per_batch, TimestampMs oldest) {
  Drop left{0, std::numeric_limits<TimestampMs>::max(), std::numeric_limits<TimestampMs>::min()};
  lanes.clear();
  lanes.resize(lane_count);
  std::vector<std::size_t> room(lane_count, 0);  // in the last batch
  for (const auto& record : records) {
    for (std::uint32_t i = 0; i < record->series.size(); ++i) {
      const RecordRows::Series& series = record->series[i];
      Item item{record.get(),           i,
                series.float_begin,     series.float_count,
                series.histogram_begin, series.histogram_count,
                series.exemplar_begin,  series.exemplar_count};
      if (oldest != 0) {
        if (std::size_t count = expired(item, oldest); count > 0) {
          Item old = item.take_front(count);
          old.extend(left.min_time, left.max_time);
          left.rows += old.size();
        }
      }
      std::size_t lane = lane_count == 1 ? 0 : record->series_hash(series) % lane_count;
      while (item.size() > 0) {
        if (room[lane] == 0) {
          lanes[lane].batches.emplace_back();
          room[lane] = rows_per_batch;
        }
        // 2.0 wants floats and histograms apart.
        bool both = item.float_count > 0 && item.histogram_count > 0;
        Item part = item.take_front(both ? std::min<std::size_t>(room[lane], item.float_count) : room[lane]);
        room[lane] -= part.weight();
        lanes[lane].batches.back().items.push_back(part);
      }
    }
  }
  return left;
}

}  // namespace tocayo::agent
