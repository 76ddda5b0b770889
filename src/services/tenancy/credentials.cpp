// SPDX-License-Identifier: Apache-2.0
#include "tenancy/credentials.h"

#include "core/text.h"
#include "tenancy/detail/crypto.h"

namespace tocayo::tenancy {

namespace {

constexpr std::size_t kMaxCredentialBytes = 4'096;

std::unexpected<Error> malformed() {
  return fail(ErrorKind::unauthorized, "the Authorization header is neither 'Bearer tcy_…' nor 'Basic …'");
}

}  // namespace

Result<Credentials> parse_authorization(std::string_view header) {
  std::string_view text = trim(header);
  if (text.empty()) return Credentials{};
  if (text.size() > kMaxCredentialBytes) return malformed();
  if (text.starts_with(kTokenPrefix)) return Credentials{Credentials::Kind::token, std::string(text), "", false};
  std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return malformed();
  std::string scheme = to_lower(text.substr(0, space));
  std::string_view rest = trim(text.substr(space + 1));
  if (scheme == "bearer") {
    if (!rest.starts_with(kTokenPrefix) || rest.find_first_of(" \t,") != std::string_view::npos) return malformed();
    return Credentials{Credentials::Kind::token, std::string(rest), "", false};
  }
  if (scheme != "basic") return malformed();
  auto decoded = decode_base64(rest);
  if (!decoded) return malformed();
  std::size_t colon = decoded->find(':');
  if (colon == std::string::npos || decoded->find('\0') != std::string::npos) return malformed();
  std::string name = decoded->substr(0, colon);
  std::string secret = decoded->substr(colon + 1);
  bool token = secret.starts_with(kTokenPrefix);
  return Credentials{token ? Credentials::Kind::token : Credentials::Kind::password, std::move(secret), std::move(name),
                     token};
}

std::optional<std::string> find_cookie(std::string_view header, std::string_view name) {
  for (std::string_view pair : split(header, ';')) {
    pair = trim(pair);
    std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name) continue;
    std::string_view value = trim(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return std::nullopt;
}

std::string session_cookie(std::string_view value, const CookieOptions& options) {
  std::string out = std::string(kSessionCookie) + "=" + std::string(value) + "; Path=" + options.path +
                    "; Max-Age=" + std::to_string(options.max_age_seconds) + "; HttpOnly; SameSite=Lax";
  if (options.secure) out += "; Secure";
  return out;
}

}  // namespace tocayo::tenancy
