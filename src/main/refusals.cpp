// SPDX-License-Identifier: Apache-2.0
#include "main/refusals.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "core/text.h"

namespace tocayo {
namespace {

// google.rpc.Code of an HTTP status.
int code_of(int status) {
  switch (status) {
    case 400:
    case 413:
    case 415: return 3;  // INVALID_ARGUMENT
    case 401: return 16;
    case 403: return 7;
    case 404: return 5;
    case 405:
    case 501: return 12;  // UNIMPLEMENTED
    case 429: return 8;
    default: return 14;  // UNAVAILABLE
  }
}

}  // namespace

http::Response loki_refusal(const http::Request& request, const http::Refusal& refusal) {
  std::string text(refusal.message);
  if (refusal.status == 401 && request.headers.get("X-Scope-OrgID").empty()) {
    text = fmt::format("no org id ({})", refusal.message);
  } else if (refusal.status == 404) {
    text = "404 page not found";
  } else if (refusal.status == 413) {
    text = fmt::format("request body too large: {}", refusal.message);
  }
  return http::Response::text(refusal.status, text + "\n");
}

http::Response otlp_refusal(const http::Request& request, const http::Refusal& refusal) {
  const bool json = to_lower(request.headers.get("Content-Type")).find("json") != std::string::npos;
  return otlp_status(refusal.status, refusal.message, json);
}

http::Response otlp_status(int status, std::string_view message, bool json) {
  if (status == 500) status = 503;
  http::Response response;
  if (json) {
    response = http::Response::json(
        status, boost::json::serialize(boost::json::object{{"code", code_of(status)}, {"message", message}}));
  } else {
    std::string body("\x12", 1);  // message
    for (auto size = message.size();; size >>= 7) {
      body.push_back(static_cast<char>(size < 0x80 ? size : (size | 0x80)));
      if (size < 0x80) break;
    }
    body += message;
    response = http::Response::text(status, std::move(body), "application/x-protobuf");
  }
  if (status == 429 || status == 503) response.headers.set("Retry-After", "5");
  return response;
}

void set_native_refusals(http::Router& router) {
  for (const char* prefix : {"/loki/api/v1", "/as/loki", "/api/prom"}) router.set_refusals(prefix, loki_refusal);
  for (const char* prefix : {"/otlp/v1/logs", "/v1/logs"}) router.set_refusals(prefix, otlp_refusal);
}

}  // namespace tocayo
