// SPDX-License-Identifier: Apache-2.0
// Request targets (RFC 9112 §3.2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::http::detail {

struct Target {
  std::string path;                   // decoded, starts with '/', base path removed, no doubled slashes
  std::vector<std::string> segments;  // decoded one by one, so that an encoded '/' stays inside its segment; "/" has
                                      // none, a trailing slash gives a last empty one
  std::string_view query;             // still encoded; points into the given target
  bool outside = false;               // not below the base path
  bool at_base = false;               // exactly the base path without its slash
};

// Origin-form and absolute-form. bad_input: broken escapes, dot segments (plain or encoded), control characters, a
// fragment.
Result<Target> parse_target(std::string_view target, std::string_view base_path);

// Splits a path that is decoded already (route patterns).
std::vector<std::string> split_segments(std::string_view path);

}  // namespace tocayo::http::detail
