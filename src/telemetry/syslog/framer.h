// SPDX-License-Identifier: Apache-2.0
// Messages out of the bytes of a TCP connection (RFC 6587): `LENGTH SPACE MESSAGE` or messages that end with a line
// feed, told apart for each message by its first byte. Not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace tocayo::syslog {

class Framer {
 public:
  using Visit = std::function<void(std::string_view message)>;
  // A longer message is cut: its first `max_message` bytes are the message.
  explicit Framer(std::size_t max_message) : max_(max_message) {}

  // Takes the next bytes and visits each message that ends in them.
  void put(std::string_view bytes, const Visit& visit);
  // At the end of the connection: what has come of the last message.
  void finish(const Visit& visit);
  std::size_t buffered() const { return held_.size(); }

 private:
  enum class State : unsigned char { start, length, counted, line };
  void end(const Visit& visit);

  std::size_t max_;
  State state_ = State::start;
  std::size_t left_ = 0;  // of a counted message
  std::string held_;
};

}  // namespace tocayo::syslog
