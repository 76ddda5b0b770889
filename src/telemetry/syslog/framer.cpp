// SPDX-License-Identifier: Apache-2.0
#include "syslog/framer.h"

#include <algorithm>

namespace tocayo::syslog {

namespace {
constexpr std::size_t kLongestLength = 10;  // digits
}

void Framer::end(const Visit& visit) {
  if (!held_.empty()) visit(held_);
  held_.clear();
  state_ = State::start;
}

void Framer::put(std::string_view bytes, const Visit& visit) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::start: {
        const char c = bytes.front();
        if (c == '\n' || c == '\r' || c == '\0') {  // between messages
          bytes.remove_prefix(1);
          break;
        }
        state_ = c >= '1' && c <= '9' ? State::length : State::line;
        break;
      }
      case State::length: {
        const char c = bytes.front();
        if (c >= '0' && c <= '9' && held_.size() < kLongestLength) {
          held_.push_back(c);
          bytes.remove_prefix(1);
        } else if (c == ' ') {
          left_ = 0;
          for (const char digit : held_) left_ = left_ * 10 + static_cast<std::size_t>(digit - '0');
          held_.clear();
          bytes.remove_prefix(1);
          state_ = State::counted;
        } else {
          state_ = State::line;  // a line that begins with a digit
        }
        break;
      }
      case State::counted: {
        const auto part = bytes.substr(0, left_);
        held_ += part.substr(0, max_ - std::min(max_, held_.size()));
        left_ -= part.size();
        bytes.remove_prefix(part.size());
        if (left_ == 0) end(visit);
        break;
      }
      case State::line: {
        const auto at = std::min(bytes.find('\n'), bytes.size());
        held_ += bytes.substr(0, std::min(at, max_ - std::min(max_, held_.size())));
        const bool ended = at < bytes.size();
        bytes.remove_prefix(ended ? at + 1 : at);
        if (ended) end(visit);
        break;
      }
    }
  }
}

void Framer::finish(const Visit& visit) { end(visit); }

}  // namespace tocayo::syslog
