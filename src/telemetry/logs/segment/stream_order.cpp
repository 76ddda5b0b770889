// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/stream_order.h"

#include <algorithm>
#include <string>

#include "logs/head/label_bytes.h"

namespace tocayo::logs {

std::uint64_t stream_place(std::string_view label_bytes) {
  return is_spilled(label_bytes) ? 0 : std::max<std::uint64_t>(1, group_hash(label_bytes));
}

std::uint64_t stream_place(const Labels& labels) {
  std::string bytes;
  encode_labels(labels, bytes);
  return stream_place(bytes);
}

}  // namespace tocayo::logs
