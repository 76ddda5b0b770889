// SPDX-License-Identifier: Apache-2.0
// JSON as Go's encoding/json reads and writes it.
#pragma once

#include <simdjson.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tocayo::agent {

// Any JSON value; of equal keys the last counts, bytes that are no UTF-8 become U+FFFD, numbers of any size are
// floating. nullopt for anything else.
std::optional<boost::json::value> parse_json(std::string_view text);
// Compact, keys sorted, `<`, `>` and `&` escaped.
std::string json_text(const boost::json::value& value);
std::string json_text(const simdjson::dom::element& value);
// A quoted text.
void append_json_string(std::string& out, std::string_view text);
// Bytes that are no UTF-8 become U+FFFD.
std::string valid_text(std::string_view text);

}  // namespace tocayo::agent
