// SPDX-License-Identifier: Apache-2.0
// Delete requests that are not processed, a file each in `<dir>/deletes`: what they hide stays hidden when the
// catalogue is lost. `<sequence>.delete` is "TDEL", a version byte, the hash of the rest, and the request as label
// bytes.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "logs/store/catalogue.h"

namespace tocayo::logs {

// Durable when it returns. Replaces what is there.
Result<> write_delete_file(const std::filesystem::path& dir, const TombstoneRecord& record);
// It need not be there.
Result<> remove_delete_file(const std::filesystem::path& dir, std::int64_t sequence);
// In order of sequence. A file that cannot be read is an error naming it: what it hides must not come back.
Result<std::vector<TombstoneRecord>> read_delete_files(const std::filesystem::path& dir);

// bad_input says what is wrong. `processed` and `affected` are not kept.
Result<TombstoneRecord> decode_delete_file(std::string_view bytes);
std::string encode_delete_file(const TombstoneRecord& record);

}  // namespace tocayo::logs
