// SPDX-License-Identifier: Apache-2.0
// The one HTML document: rendered per request with a CSP nonce and the boot data, so that the first paint needs no API
// call.
#pragma once

#include <string>
#include <vector>

#include "http/message.h"
#include "tenancy/model.h"

namespace tocayo::ui {

// What does not change between requests.
struct PageOptions {
  std::string web_dir;    // development: serve from this directory
  std::string base_path;  // "" or "/x"
  std::string version;
  std::string revision;
  std::string prometheus_version;
  std::string hostname;
  std::int64_t start_time_ms = 0;
  bool login_required = false;
  bool tls = false;
};

// What boot data says about who asks; the names are those of web/API.md.
struct Viewer {
  std::int64_t id = 0;  // 0 = nobody is signed in
  std::string login, name, role;
  bool instance_admin = false;
  tenancy::UserSettings prefs;  // so that theme and language are right at the first paint
  std::vector<std::string> tenants;
};

// index.html for this viewer. 503 with a plain sentence when the binary was built without the page.
http::Response render_page(const PageOptions& options, const http::Request& request, const Viewer& viewer);

// The policy of web.md §13 for one nonce.
std::string content_security_policy(std::string_view nonce);
// Headers of every response: nosniff, referrer, COOP, HSTS with TLS.
std::vector<std::pair<std::string, std::string>> security_headers(bool tls);

}  // namespace tocayo::ui
