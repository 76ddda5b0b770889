// SPDX-License-Identifier: Apache-2.0
// Messages as they came, and as rows of streams.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "logs/api/push_rows.h"
#include "syslog/syslog_config.h"

namespace tocayo::syslog {

// What arrived and is not stored yet.
struct Batch {
  struct Item {
    std::size_t first;  // of bytes
    std::size_t size;
    TimestampNs arrived;
    std::uint32_t peer;  // of peers
    std::uint64_t number;
  };
  std::string bytes;
  std::vector<Item> items;
  std::vector<std::string> peers;  // addresses of senders

  bool empty() const { return items.empty(); }
  void add(std::string_view message, std::string_view peer, TimestampNs arrived, std::uint64_t number);
  void clear();
};

// Rows by stream. A message without host gets the sender's address. Times are made distinct below the precision of the
// sender by the number of the message: two equal messages within a second are two lines.
void make_rows(const Batch& batch, const ListenerConfig& config, logs::api::PushRows& rows);

}  // namespace tocayo::syslog
