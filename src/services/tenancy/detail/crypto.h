// SPDX-License-Identifier: Apache-2.0
// Digests, encodings and sealed boxes. OpenSSL stops at this file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::tenancy {

// 32 raw bytes.
std::string sha256(std::string_view bytes);
// HMAC-SHA-256, 32 raw bytes.
std::string hmac_sha256(std::string_view key, std::string_view bytes);
// Without padding.
std::string base64url(std::string_view bytes);
// Standard alphabet, padding required; nullopt when malformed.
std::optional<std::string> decode_base64(std::string_view text);
// Takes the same time for any two texts of equal length.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// AES-256-GCM: nonce (12) | ciphertext | tag (16). `key` has 32 bytes; `context` is bound to the box and must be given
// again to open.
std::string seal(std::string_view key, std::string_view plain, std::string_view context);
// forbidden when the key, the context or the box is not the one it was made with.
Result<std::string> unseal(std::string_view key, std::string_view box, std::string_view context);

}  // namespace tocayo::tenancy
