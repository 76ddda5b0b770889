// SPDX-License-Identifier: Apache-2.0
#include "ui/page.h"

#include <boost/json.hpp>

#include "core/text.h"
#include "ui/assets.h"

namespace tocayo::ui {
namespace json = boost::json;
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// JSON inside <script type="application/json">: no character that could end the element or start a comment.
std::string html_safe(std::string text) {
  replace_all(text, "<", "\\u003c");
  replace_all(text, ">", "\\u003e");
  replace_all(text, "&", "\\u0026");
  return text;
}

// The chosen ones only: what is absent is the browser's to decide.
json::object prefs_json(const tenancy::UserSettings& settings) {
  json::object out;
  const std::pair<const char*, const std::string*> texts[] = {{"language", &settings.language},
                                                              {"theme", &settings.theme},
                                                              {"density", &settings.density},
                                                              {"timezone", &settings.timezone}};
  for (auto [name, value] : texts) {
    if (!value->empty()) out[name] = *value;
  }
  if (settings.hour12) out["hour12"] = *settings.hour12;
  if (settings.week_start) out["weekStart"] = *settings.week_start;
  return out;
}

}  // namespace

std::string content_security_policy(std::string_view nonce) {
  std::string policy = "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-";
  policy += nonce;
  policy +=
      "'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
      "frame-ancestors 'self'; base-uri 'none'; form-action 'self'";
  return policy;
}

std::vector<std::pair<std::string, std::string>> security_headers(bool tls) {
  std::vector<std::pair<std::string, std::string>> headers = {{"X-Content-Type-Options", "nosniff"},
                                                              {"Referrer-Policy", "same-origin"},
                                                              {"Cross-Origin-Opener-Policy", "same-origin"}};
  if (tls) headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
  return headers;
}

http::Response render_page(const PageOptions& options, const http::Request& request, const Viewer& viewer) {
  std::string html = index_template(options.web_dir);
  if (html.empty()) {
    return http::Response::text(
        503, "This Tocayo was built without its page. The APIs answer; ./dev build packs the page.\n");
  }
  json::value user;
  if (viewer.id != 0) {
    user = json::object{{"id", viewer.id},
                        {"login", viewer.login},
                        {"name", viewer.name},
                        {"role", viewer.role},
                        {"instanceAdmin", viewer.instance_admin},
                        {"prefs", prefs_json(viewer.prefs)}};
  }
  json::object boot{{"product", "Tocayo"},
                    {"version", options.version},
                    {"revision", options.revision},
                    {"promVersion", options.prometheus_version},
                    {"basePath", options.base_path},
                    {"authMode", options.login_required ? "required" : "off"},
                    {"user", std::move(user)},
                    {"tenant", request.identity.tenant},
                    {"tenants", json::array(viewer.tenants.begin(), viewer.tenants.end())},
                    {"csrfHeader", "X-Tocayo-Csrf"},
                    {"hostname", options.hostname},
                    {"startTimeMs", options.start_time_ms}};
  std::string nonce = to_hex(random_bytes(16));
  replace_all(html, "__CSP_NONCE__", nonce);
  replace_all(html, "__BASE_PATH__", options.base_path);
  replace_all(html, "__BOOT_JSON__", html_safe(json::serialize(boot)));
  http::Response response;
  response.body = std::move(html);
  response.headers.add("Content-Type", "text/html; charset=utf-8");
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("Content-Security-Policy", content_security_policy(nonce));
  return response;
}

}  // namespace tocayo::ui
