// SPDX-License-Identifier: Apache-2.0
// Addresses over 8 kB get a short name: POST /api/short-urls, GET /goto/{uid}.
#pragma once

#include <string>

#include "core/error.h"
#include "core/task.h"
#include "core/time.h"
#include "db/database.h"

namespace tocayo::ui {

// Thread-safe.
class ShortLinks {
 public:
  explicit ShortLinks(db::Database& database) : database_(database) {}

  // The same path of the same tenant gets the same name. bad_input unless it is a path of this page (no scheme, no
  // host, ≤ 64 KiB).
  Task<Result<std::string>> create(std::string tenant, std::string path, TimestampMs now);
  // not_found for a name that this tenant does not have.
  Task<Result<std::string>> resolve(std::string tenant, std::string uid);

 private:
  db::Database& database_;
};

// Relative to the base path, without leading slash, staying on this origin.
bool is_page_path(std::string_view path);

}  // namespace tocayo::ui
