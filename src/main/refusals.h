// SPDX-License-Identifier: Apache-2.0
// What the server says by itself on the paths of other systems, in the shape that their clients read.
#pragma once

#include <string_view>

#include "http/router.h"

namespace tocayo {

// Plain text, with Loki's words where it has some.
http::Response loki_refusal(const http::Request& request, const http::Refusal& refusal);

// google.rpc.Status in the encoding of the request; 500 becomes 503, so that senders try again.
http::Response otlp_refusal(const http::Request& request, const http::Refusal& refusal);
http::Response otlp_status(int status, std::string_view message, bool json);

// On the paths of Loki and OpenTelemetry that the server has.
void set_native_refusals(http::Router& router);

}  // namespace tocayo
