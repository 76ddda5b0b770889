// SPDX-License-Identifier: Apache-2.0
// POST /upload: what systemd-journal-upload sends to systemd-journal-remote.
#pragma once

#include "http/router.h"
#include "logs/api/push.h"

namespace tocayo::logs::api {

// `push` outlives the router.
void mount_journal_upload(http::Router& router, PushHandler& push, std::size_t max_body);

}  // namespace tocayo::logs::api
