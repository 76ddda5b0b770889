// SPDX-License-Identifier: Apache-2.0
// What shippers for Elasticsearch need: _bulk, and fixed answers to the questions they ask before (version, licence,
// templates). At the root and below /as/elasticsearch.
#pragma once

#include <optional>

#include "http/message.h"
#include "http/router.h"
#include "logs/api/push.h"

namespace tocayo::logs::api {

// `push` and `clock` outlive the router.
void mount_elastic(http::Router& router, PushHandler& push, const Clock& clock, std::size_t max_body);

// The answer to a client of Elasticsearch that asks at a path of the page: GET / and HEAD /{index}. nullopt when the
// request is none of these. No browser asks so: it accepts text/html.
std::optional<http::Response> elastic_at_page(const http::Request& request);

}  // namespace tocayo::logs::api
