// SPDX-License-Identifier: Apache-2.0
// What a request says about who sends it: parsing of Authorization and Cookie headers (outside bytes; fuzzed).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::tenancy {

inline constexpr std::string_view kSessionCookie = "tocayo_session";
inline constexpr std::string_view kTokenPrefix = "tcy_";

struct Credentials {
  enum class Kind : unsigned char { none, session, token, password } kind = Kind::none;
  std::string secret;  // session id, token or password
  std::string name;    // password: the login; token sent by Basic: the user part (a tenant, may be empty)
  bool named = false;  // `name` was sent with a token (Basic)
};

// `Bearer tcy_…` (or a bare `tcy_…`), `Basic login:password`, `Basic tenant:tcy_…`. unauthorized when the scheme is
// another one or the text is malformed; Kind::none for an empty header.
Result<Credentials> parse_authorization(std::string_view header);
// The value of one cookie (RFC 6265 §4.2); nullopt when absent. Of several with the name the first counts.
std::optional<std::string> find_cookie(std::string_view header, std::string_view name);

struct CookieOptions {
  std::string path = "/";
  bool secure = false;
  std::int64_t max_age_seconds = 0;  // 0 deletes the cookie
};
// `tocayo_session=…; Path=…; Max-Age=…; HttpOnly; SameSite=Lax[; Secure]`.
std::string session_cookie(std::string_view value, const CookieOptions& options);

}  // namespace tocayo::tenancy
