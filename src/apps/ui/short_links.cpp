// SPDX-License-Identifier: Apache-2.0
#include "ui/short_links.h"

#include "core/hash.h"
#include "core/text.h"

namespace tocayo::ui {

bool is_page_path(std::string_view path) {
  if (path.size() > (64 << 10) || path.starts_with('/') || path.starts_with('\\')) return false;
  for (unsigned char c : path) {
    if (c < 0x20 || c == '\\' || c == 0x7f) return false;
  }
  auto end = path.find_first_of("/?#");
  return path.substr(0, end).find(':') == std::string_view::npos;  // "https:…", "javascript:…"
}

Task<Result<std::string>> ShortLinks::create(std::string tenant, std::string path, TimestampMs now) {
  if (path.starts_with('/')) path.erase(0, 1);
  if (!is_page_path(path))
    co_return fail(ErrorKind::bad_input, "path: an address on this page is expected, like explore?panes=…");
  std::string uid = to_hex(random_bytes(6));
  co_return co_await database_.write([&](db::Transaction& transaction) -> Result<std::string> {
    TRY(
        transaction.execute("INSERT INTO ui_short_link (uid, tenant, path, created_ms) VALUES ($1, $2, $3, $4) ON "
                            "CONFLICT (tenant, path) DO NOTHING",
                            {uid, tenant, path, now}));
    auto found = TRY(transaction.query_value<std::string>(
        "SELECT uid FROM ui_short_link WHERE tenant = $1 AND path = $2", {tenant, path}));
    return found.value_or(uid);
  });
}

Task<Result<std::string>> ShortLinks::resolve(std::string tenant, std::string uid) {
  co_return co_await database_.read([&](db::Session& session) -> Result<std::string> {
    auto path = TRY(session.query_value<std::string>("SELECT path FROM ui_short_link WHERE tenant = $1 AND uid = $2",
                                                     {tenant, uid}));
    if (!path) return fail(ErrorKind::not_found, "there is no short link of this name");
    return *path;
  });
}

}  // namespace tocayo::ui
