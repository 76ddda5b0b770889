// SPDX-License-Identifier: Apache-2.0
// Private to ship: what a server's answer says.
#pragma once

#include <string>
#include <string_view>

namespace tocayo::agent {

// What a status says about: what was sent (then the bad part of it is isolated), or the way to the server and its
// state (then we try again).
bool is_about_the_content(int status);
// Of the body, for messages.
std::string first_line(std::string_view text);

}  // namespace tocayo::agent
