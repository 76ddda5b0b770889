// SPDX-License-Identifier: Apache-2.0
// docs/api/openapi.yaml, part of the program: /api/openapi.json, /api/openapi.yaml; and /api/routes, the routes that
// are really there.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "http/router.h"

namespace tocayo {

// The text of docs/api/openapi.yaml as it was at build time.
std::string_view openapi_yaml();
// The same as JSON. Made at the first call, kept for good. Thread-safe.
const std::string& openapi_json();

// The router must outlive its own routes' use (it does: the program owns it).
void add_description_routes(http::Router& router);

}  // namespace tocayo
