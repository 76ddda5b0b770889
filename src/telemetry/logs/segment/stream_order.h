// SPDX-License-Identifier: Apache-2.0
// The order of the streams in a segment: those of a stream group lie together, since they are asked for together and
// their lines are alike; spilled ones come before all. Within a group by labels.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/labels.h"

namespace tocayo::logs {

// The first part of a stream's place, its labels are the second. 0: spilled.
std::uint64_t stream_place(std::string_view label_bytes);
std::uint64_t stream_place(const Labels& labels);

}  // namespace tocayo::logs
