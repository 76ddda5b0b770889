// SPDX-License-Identifier: Apache-2.0
#include "logs/api/journal_upload.h"

#include <fmt/format.h>

#include "core/log.h"
#include "core/text.h"
#include "logs/api/handlers.h"
#include "logs/api/journal_export.h"

namespace tocayo::logs::api {

namespace {

Task<http::Response> handle_upload(PushHandler& push, http::Request& request) {
  const auto type = to_lower(request.headers.get("Content-Type"));
  if (type.find("application/vnd.fdo.journal") == std::string::npos) {
    co_return http::Response::text(
        415, fmt::format("Content-Type {} is not supported; application/vnd.fdo.journal is\n", type));
  }
  auto stored =
      co_await push.store(request.identity.tenant, request.body.size(),
                          [&](PushRows& rows, const LogLimits&) { return decode_journal_export(request.body, rows); });
  if (!stored) {
    auto response = error_text(stored.error());
    if (stored.error().kind == ErrorKind::limit) response.status = 429;
    co_return response;
  }
  // The sender stops at any error and begins again with the same entries: only what another time may let in is one.
  std::size_t refused = 0;
  for (const auto& reason : stored->result.rejected) {
    refused += reason.lines;
    if (reason.reason != "rate_limited" && reason.reason != "per_stream_rate_limit" &&
        reason.reason != "stream_limit" && reason.reason != "blocked_ingestion")
      continue;
    auto response = http::Response::text(429, stored->result.messages.front() + "\n");
    response.headers.set("Retry-After", "5");
    co_return response;
  }
  if (refused > 0) {
    log::warn("logs_api", "entries of an uploaded journal were refused",
              {{"tenant", request.identity.tenant}, {"entries", refused}, {"first", stored->result.messages.front()}});
  }
  co_return http::Response::text(202, "OK.\n");
}

}  // namespace

void mount_journal_upload(http::Router& router, PushHandler& push, std::size_t max_body) {
  http::RouteOptions write;
  write.access = http::Access::write;
  write.csrf_exempt = true;
  write.max_body = max_body;
  router.add("POST", "/upload", [&push](http::Request& request) { return handle_upload(push, request); }, write);
}

}  // namespace tocayo::logs::api
