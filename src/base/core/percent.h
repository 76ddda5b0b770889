// SPDX-License-Identifier: Apache-2.0
// Percent-encoding (RFC 3986 §2.1), of URLs and of forms. Pure functions; any bytes are welcome.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tocayo {

// Unreserved characters (letters, digits, `-_.~`) and those of `plain` stay; all other bytes become %XX.
std::string percent_encode(std::string_view text, std::string_view plain = {});
// nullopt for a broken escape or an encoded NUL.
std::optional<std::string> percent_decode(std::string_view text);

// application/x-www-form-urlencoded, as Go's url.QueryEscape: a space becomes '+'.
std::string form_encode(std::string_view text);
// '+' is a space; a broken escape stays as it is written.
std::string form_decode(std::string_view text);

}  // namespace tocayo
