// SPDX-License-Identifier: Apache-2.0
// Private to ship: what a server's answer says.
#pragma once

#include <string>

#include "http/client.h"

namespace tocayo::agent {

// What a status says about: what was sent (then the bad part of it is isolated), or the way to the server and its
// state (then we try again).
bool is_about_the_content(int status);
// What the server said, for messages, with the first line of the body.
std::string problem_of(const http::ClientResponse& response);

}  // namespace tocayo::agent
