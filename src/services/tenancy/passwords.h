// SPDX-License-Identifier: Apache-2.0
// Passwords at rest: argon2id in its own text form ("$argon2id$v=19$m=…"), so that the cost can be raised later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::tenancy {

// About 60 ms and 32 MiB per hash on one core of 2020: above OWASP's minimum (19 MiB, 2 passes).
struct PasswordCost {
  std::uint32_t memory_kib = 32 * 1024;
  std::uint32_t passes = 3;
};

inline constexpr std::size_t kMinPasswordBytes = 10;
inline constexpr std::size_t kMaxPasswordBytes = 1024;

// bad_input: shorter than 10 or longer than 1024 bytes, or the login itself.
Result<> check_password_rules(std::string_view login, std::string_view password);

// Blocking and dear (see PasswordCost): only on a pool made for it.
std::string hash_password(std::string_view password, PasswordCost cost = {});
// False for a wrong password and for a text that is no hash. Compares in constant time.
bool verify_password(std::string_view password, const std::string& hash);

}  // namespace tocayo::tenancy
