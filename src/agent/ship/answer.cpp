// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/answer.h"

#include <algorithm>

namespace tocayo::agent {

namespace {
constexpr std::size_t kMaxErrorText = 300;
}

bool is_about_the_content(int status) {
  if (status < 400 || status >= 500) return false;
  switch (status) {
    case 401:
    case 403:
    case 404:
    case 405:
    case 406:
    case 407:
    case 408:
    case 411:
    case 415:
    case 421:
    case 425:
    case 426:
    case 429: return false;
    default: return true;
  }
}

std::string problem_of(const http::ClientResponse& response) {
  std::string problem = "the server answered " + std::to_string(response.status);
  const std::string text = response.body.substr(0, std::min(kMaxErrorText, response.body.find('\n')));
  return text.empty() ? problem : problem + ": " + text;
}

}  // namespace tocayo::agent
