// SPDX-License-Identifier: Apache-2.0
// The few file operations the store's durable files need. Errors carry the path.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::metrics {

Result<> write_all(int fd, std::string_view bytes, const std::string& path);
Result<> sync_directory(const std::string& dir);
Result<std::string> read_file(const std::string& path);
// Durable replacement: temporary file, fsync, rename, fsync of the directory.
Result<> replace_file(const std::string& path, std::string_view content);

}  // namespace tocayo::metrics
