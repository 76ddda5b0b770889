// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/result.h"

#include <algorithm>
#include <map>

namespace tocayo::logql {

std::vector<ResultStream> group_streams(const LogValue& value, bool categorize) {
  // Lines share their label sets, so most are found by address without comparing labels.
  std::map<const LabelResult*, std::size_t> by_set;
  std::map<std::vector<Label>, std::size_t> by_labels;
  std::vector<ResultStream> streams;
  for (const LogLine& line : value.lines) {
    const auto [known, is_new] = by_set.try_emplace(line.labels.get(), 0U);
    if (is_new) {
      const auto& labels = categorize ? line.labels->stream : line.labels->all;
      const auto [stream, added] = by_labels.try_emplace(labels, streams.size());
      if (added) streams.push_back({labels, {}});
      known->second = stream->second;
    }
    streams[known->second].lines.push_back(&line);
  }
  std::ranges::sort(streams, {}, &ResultStream::labels);
  return streams;
}

}  // namespace tocayo::logql
