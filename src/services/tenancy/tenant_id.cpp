// SPDX-License-Identifier: Apache-2.0
#include "tenancy/tenant_id.h"

#include <algorithm>

#include "core/text.h"

namespace tocayo::tenancy {

Result<> check_tenant_id(std::string_view id) {
  if (id.empty()) return fail(ErrorKind::bad_input, "the tenant id is empty");
  if (id.size() > 150) {
    return fail(ErrorKind::bad_input,
                "the tenant id is too long: " + std::to_string(id.size()) + " bytes, at most 150 are allowed");
  }
  if (id == "." || id == "..") return fail(ErrorKind::bad_input, "the tenant id is '.' or '..'");
  for (char c : id) {
    bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              std::string_view("!-_.*'()").find(c) != std::string_view::npos;
    if (!ok) {
      return fail(ErrorKind::bad_input,
                  "the tenant id has a byte that is not allowed; allowed are A-Z a-z 0-9 and ! - _ . * ' ( )");
    }
  }
  return {};
}

Result<std::vector<std::string>> parse_tenant_ids(std::string_view text) {
  std::vector<std::string> ids;
  for (const auto id : split(text, '|')) {
    TRY(check_tenant_id(id));
    ids.emplace_back(id);
  }
  std::ranges::sort(ids);
  const auto repeated = std::ranges::unique(ids);
  ids.erase(repeated.begin(), repeated.end());
  return ids;
}

}  // namespace tocayo::tenancy
