// SPDX-License-Identifier: Apache-2.0
#include "tenancy/passwords.h"

#include <argon2.h>

#include <cstdlib>

#include "core/text.h"

namespace tocayo::tenancy {

namespace {
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kHashBytes = 32;
constexpr std::uint32_t kLanes = 1;
}  // namespace

Result<> check_password_rules(std::string_view login, std::string_view password) {
  if (password.size() < kMinPasswordBytes) return fail(ErrorKind::bad_input, "a password has at least 10 characters");
  if (password.size() > kMaxPasswordBytes) return fail(ErrorKind::bad_input, "a password has at most 1024 bytes");
  if (to_lower(password) == to_lower(login)) return fail(ErrorKind::bad_input, "the password must not be the login");
  return {};
}

std::string hash_password(std::string_view password, PasswordCost cost) {
  std::string salt = random_bytes(kSaltBytes);
  std::string encoded(argon2_encodedlen(cost.passes, cost.memory_kib, kLanes, kSaltBytes, kHashBytes, Argon2_id), '\0');
  int rc = argon2id_hash_encoded(cost.passes, cost.memory_kib, kLanes, password.data(), password.size(), salt.data(),
                                 salt.size(), kHashBytes, encoded.data(), encoded.size());
  if (rc != ARGON2_OK) std::abort();  // only out of memory is left: nothing sensible can be stored
  encoded.resize(encoded.find('\0'));
  return encoded;
}

bool verify_password(std::string_view password, const std::string& hash) {
  return argon2id_verify(hash.c_str(), password.data(), password.size()) == ARGON2_OK;
}

}  // namespace tocayo::tenancy
