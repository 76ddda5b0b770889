// SPDX-License-Identifier: Apache-2.0
#include "ui/routes.h"

#include <boost/json.hpp>
#include <charconv>

#include "core/text.h"
#include "logs/api/elastic.h"
#include "ui/assets.h"
#include "ui/search.h"

namespace tocayo::ui {
namespace json = boost::json;
namespace {

// The signed-in user, for the boot data. Empty with login off and for tokens.
Task<Viewer> viewer_of(UiDependencies& ui, const http::Request& request) {
  Viewer viewer;
  viewer.tenants = {request.identity.tenant};
  if (ui.page.login_required && request.identity.user_id == 0) co_return viewer;
  if (request.identity.user_id != 0) {
    auto user = co_await ui.tenancy.user(request.identity.user_id);
    if (user && *user) {
      viewer.id = (*user)->id;
      viewer.login = (*user)->login;
      viewer.name = (*user)->name;
      viewer.instance_admin = (*user)->instance_admin;
      viewer.role = tenancy::to_string(request.identity.role);
      auto settings = co_await ui.tenancy.settings(viewer.id);
      if (settings) viewer.prefs = std::move(*settings);
      if (!viewer.instance_admin) {
        viewer.tenants.clear();
        for (const auto& [tenant, role] : (*user)->roles) viewer.tenants.push_back(tenant);
        co_return viewer;
      }
    }
  }
  auto tenants = co_await ui.tenancy.tenants();
  if (tenants && !tenants->empty()) {
    viewer.tenants.clear();
    for (const auto& tenant : *tenants) viewer.tenants.push_back(tenant.name);
  }
  co_return viewer;
}

bool wants_page(const http::Request& request) {
  return (request.method == "GET" || request.method == "HEAD") &&
         request.headers.get("Accept").find("text/html") != std::string_view::npos;
}

bool is_api_path(std::string_view path) {
  for (std::string_view prefix :
       {"/api/", "/tenancy/", "/events/", "/prometheus/", "/as/", "/-/", "/assets/", "/federate", "/metrics"}) {
    if (path.starts_with(prefix)) return true;
  }
  return false;
}

Task<http::Response> fallback(UiDependencies& ui, http::Request& request) {
  if (request.path.size() > 1 && (request.method == "GET" || request.method == "HEAD")) {
    std::string_view file = std::string_view(request.path).substr(1);
    if (is_asset(file, ui.page.web_dir)) co_return serve_asset(request, file, ui.page.web_dir);
  }
  if (auto elastic = logs::api::elastic_at_page(request)) co_return std::move(*elastic);
  if (wants_page(request) && !is_api_path(request.path)) {
    Viewer viewer = co_await viewer_of(ui, request);
    co_return render_page(ui.page, request, viewer);
  }
  co_return http::error_response(Error{ErrorKind::not_found, "there is nothing at " + request.path});
}

Task<http::Response> create_short_link(UiDependencies& ui, http::Request& request) {
  boost::system::error_code code;
  json::value body = json::parse(request.body, code);
  const json::value* path = !code && body.is_object() ? body.as_object().if_contains("path") : nullptr;
  if (!path || !path->is_string()) {
    co_return http::error_response(Error{ErrorKind::bad_input, "a JSON object with \"path\" is expected"});
  }
  auto uid =
      co_await ui.short_links.create(request.identity.tenant, std::string(path->as_string()), ui.home.clock.now_ms());
  if (!uid) co_return http::error_response(uid.error());
  json::object answer{{"uid", *uid}, {"url", ui.page.base_path + "/goto/" + *uid}};
  co_return http::Response::json(200, json::serialize(answer));
}

Task<http::Response> follow_short_link(UiDependencies& ui, http::Request& request) {
  const std::string uid(request.param("uid"));
  auto path = co_await ui.short_links.resolve(request.identity.tenant, uid);
  if (!path && path.error().kind == ErrorKind::not_found) {
    // A browser that follows a link names no tenant: the link may be of any tenant that this person has.
    const Viewer viewer = co_await viewer_of(ui, request);
    for (const std::string& tenant : viewer.tenants) {
      if (path || tenant == request.identity.tenant) continue;
      path = co_await ui.short_links.resolve(tenant, uid);
    }
  }
  if (!path) co_return http::error_response(path.error());
  co_return http::Response::redirect(302, ui.page.base_path + "/" + *path);
}

Task<http::Response> take_vitals(UiDependencies& ui, http::Request& request) {
  auto report = parse_vitals(request.body);
  if (!report) co_return http::error_response(report.error());
  if (auto taken = ui.vitals.record(*report, std::chrono::steady_clock::now()); !taken)
    co_return http::error_response(taken.error());
  co_return http::Response::empty(204);
}

}  // namespace

void add_routes(http::Router& router, UiDependencies& ui) {
  router.add("GET", "/api/ui/home",
             [&ui](http::Request& request) -> Task<http::Response> {
               if (auto open = ui.reads.limits(request.identity.tenant)->check_request(request); !open)
                 co_return http::error_response(open.error());
               co_await ui.compute.schedule();
               co_return http::Response::json(200, home_json(ui.home, request.identity.tenant, request.context));
             },
             {.access = http::Access::read, .timeout = std::chrono::seconds(20)});
  router.add("GET", "/api/ui/search",
             [&ui](http::Request& request) -> Task<http::Response> {
               if (auto open = ui.reads.limits(request.identity.tenant)->check_request(request); !open)
                 co_return http::error_response(open.error());
               co_await ui.compute.schedule();
               std::string_view text = request.query.get_or("limit", "20");
               std::size_t limit = 20;
               std::from_chars(text.data(), text.data() + text.size(), limit);
               co_return http::Response::json(
                   200,
                   search_json(ui.reads, request.identity.tenant, ui.home.clock.now_ms(), request.query.get_or("q", ""),
                               request.query.get_or("kinds", ""), limit, request.context));
             },
             {.access = http::Access::read, .timeout = std::chrono::seconds(10)});
  router.add("POST", "/api/short-urls", [&ui](http::Request& request) { return create_short_link(ui, request); },
             {.access = http::Access::read, .max_body = 128 << 10});
  router.add("GET", "/goto/{uid}", [&ui](http::Request& request) { return follow_short_link(ui, request); },
             {.access = http::Access::read});
  router.add("POST", "/api/ui/vitals", [&ui](http::Request& request) { return take_vitals(ui, request); },
             // Sent while the page goes away, when no header of ours can be set; the Origin is checked all the same.
             {.access = http::Access::read, .max_body = 1 << 10, .csrf_exempt = true});
  router.add_websocket(
      "/api/live/v1/ws", {"tocayo.live.v1"},
      [&ui](http::Request& request, http::WebSocket& socket) { return ui.live.serve(request, socket); },
      {.access = http::Access::read});
  router.add("GET", "/assets/{path...}",
             [&ui](http::Request& request) -> Task<http::Response> {
               co_return serve_asset(request, "assets/" + std::string(request.param("path")), ui.page.web_dir);
             },
             {.access = http::Access::open, .metric_name = "/assets"});
  router.set_fallback([&ui](http::Request& request) { return fallback(ui, request); },
                      {.access = http::Access::open, .metric_name = "page"});
}

}  // namespace tocayo::ui
