// SPDX-License-Identifier: Apache-2.0
// What a regular expression cannot match without: read from its text, so that an index may be asked first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "logs/line_filter.h"

namespace tocayo::logs {

// Literals of which at least one occurs in each text that the (valid RE2) expression matches; empty = none is known.
// With `fold` they are ASCII lower case and occur without regard to ASCII case. Only literals of three bytes or more
// are given. Never wrong, may know less than there is.
LineMatcher::Required required_literals(std::string_view regex);

// find_bytes without regard to ASCII case; `needle` is ASCII lower case.
std::size_t find_folded(std::string_view hay, std::string_view needle);

}  // namespace tocayo::logs
