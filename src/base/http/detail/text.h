// SPDX-License-Identifier: Apache-2.0
// Small text helpers of HTTP: case-insensitive names, media types, lists with q-values, reason phrases, the JSON error
// body.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tocayo::http::detail {

// ASCII case-insensitive equality (RFC 9110 field names, tokens).
bool iequals(std::string_view a, std::string_view b);
std::string lower(std::string_view text);
std::string_view trim(std::string_view text);  // spaces and tabs
// "Text/HTML; charset=x" -> "text/html".
std::string media_type(std::string_view content_type);
// Does a comma-separated list (Connection, Upgrade) contain the token?
bool has_token(std::string_view list, std::string_view token);
// The items of a comma-separated list, trimmed, without empty ones.
std::vector<std::string_view> split_list(std::string_view list);
// Standard phrase of a status, "" when unknown.
std::string_view reason_phrase(int status);
// {"code":"…","message":"…"}; invalid UTF-8 in the message becomes U+FFFD, so that the body is always valid JSON.
std::string error_body(std::string_view code, std::string_view message);
// Is this a sane value of X-Request-Id that may be echoed and logged?
bool valid_request_id(std::string_view id);
// Field names are tokens, values have no control characters: keeps handlers from splitting a response.
bool valid_field(std::string_view name, std::string_view value);

}  // namespace tocayo::http::detail
