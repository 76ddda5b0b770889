// SPDX-License-Identifier: Apache-2.0
// Bytes of a TCP connection and of a datagram to rows.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "syslog/framer.h"
#include "syslog/rows.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::syslog;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  ListenerConfig config;
  config.labels = tocayo::Labels{{"job", "syslog"}};
  config.format = static_cast<Format>(data[0] % 3);
  config.max_message = 480;
  constexpr tocayo::TimestampNs kNow = 1'796'000'000'000'000'000;
  Batch batch;
  const auto add = [&](std::string_view message) {
    if (message.size() > config.max_message) __builtin_trap();
    batch.add(message, "192.0.2.1", kNow, batch.items.size());
  };
  if (data[0] & 0x80) {
    add(bytes.substr(0, config.max_message));
  } else {
    // In pieces: what comes out must not depend on where a read ends.
    Framer framer(config.max_message);
    const std::size_t piece = data[1] % 32 + 1;
    for (std::size_t at = 0; at < bytes.size(); at += piece) framer.put(bytes.substr(at, piece), add);
    framer.finish(add);
    Framer whole(config.max_message);
    std::size_t count = 0;
    const auto check = [&](std::string_view message) {
      const auto& item = batch.items.at(count++);
      if (std::string_view(batch.bytes).substr(item.first, item.size) != message) __builtin_trap();
    };
    whole.put(bytes, check);
    whole.finish(check);
    if (count != batch.items.size()) __builtin_trap();
  }
  tocayo::logs::api::PushRows rows;
  make_rows(batch, config, rows);
  rows.finish(true, {});
  if (rows.lines() != batch.items.size()) __builtin_trap();
  return 0;
}
