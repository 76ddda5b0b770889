// SPDX-License-Identifier: Apache-2.0
// Patterns of paths as promtail takes them: *, ?, [ ], {a,b} within a part, ** for any number of parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tocayo::agent {

// Existing paths, at most `most`. Directories reached through symbolic links are not searched by **.
std::vector<std::string> expand_path(const std::string& pattern, std::size_t most = 200'000);
bool path_matches(std::string_view pattern, std::string_view path);
// {a,b}{c,d} → ac, ad, bc, bd; at most 1000.
std::vector<std::string> expand_braces(std::string_view pattern);

}  // namespace tocayo::agent
