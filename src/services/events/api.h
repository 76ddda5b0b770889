// SPDX-License-Identifier: Apache-2.0
// GET and POST /events/api/v1/events.
//   GET  ?kind=deploy&kind=incident.*&source=&label=service=web&q=&from=&to=&limit=100&cursor=   ->
//   {"events":[…],"next":"…"|null}
//        from and to: RFC 3339, Unix seconds; newest first.
//   POST {"title", "kind"="deploy", "timeMs"=now, "detail", "url", "source"="api", "labels":{}, "key"}; "service",
//   "version" and
//        "environment" are short for labels of that name. 201 with the event; 200 when the key was reported before.
#pragma once

#include <vector>

#include "events/service.h"
#include "http/router.h"
#include "tenancy/api.h"

namespace tocayo::events {

std::vector<tenancy::Route> routes(Service& service);
void add_routes(http::Router& router, Service& service);

}  // namespace tocayo::events
