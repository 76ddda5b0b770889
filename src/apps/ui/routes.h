// SPDX-License-Identifier: Apache-2.0
// Everything of the page that is not an API of another room: the document, its files, Home, search, short links, the
// live socket.
#pragma once

#include <functional>
#include <memory>

#include "core/pool.h"
#include "http/router.h"
#include "tenancy/service.h"
#include "ui/home.h"
#include "ui/live.h"
#include "ui/page.h"
#include "ui/short_links.h"
#include "ui/vitals.h"

namespace tocayo::ui {

struct UiDependencies {
  PageOptions page;
  HomeDependencies home;
  const Reads& reads;
  Vitals& vitals;
  tenancy::Service& tenancy;
  ShortLinks& short_links;
  LiveHub& live;
  Pool& compute;
};

// Also sets the router's fallback (the page for browsers, JSON 404 for everybody else). `dependencies` must outlive the
// router.
void add_routes(http::Router& router, UiDependencies& dependencies);

}  // namespace tocayo::ui
