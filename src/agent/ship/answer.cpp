// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/answer.h"

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

std::string first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  return std::string(text.substr(0, kMaxErrorText));
}

}  // namespace tocayo::agent
