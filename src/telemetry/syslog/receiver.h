// SPDX-License-Identifier: Apache-2.0
// Listens for syslog over UDP, TCP and TLS and stores what comes.
//
//   auto receiver = TRY(Receiver::start(configs, api.push()));
//
// One thread per listener. A listener waits while its lines are being stored: senders over TCP are slowed down by that,
// datagrams wait in the socket and are counted when the kernel drops them. Syslog has no acknowledgement: what was
// received and not stored when the program is killed is lost.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"
#include "logs/api/push.h"
#include "syslog/syslog_config.h"

namespace tocayo::syslog {

class Receiver {
 public:
  // Binds all addresses. Everything borrowed outlives the receiver. Errors: the address that cannot be bound, and why.
  static Result<std::unique_ptr<Receiver>> start(std::vector<ListenerConfig> configs, logs::api::PushHandler& push,
                                                 Registry& registry = Registry::global(),
                                                 const Clock& clock = Clock::system());
  // Stores what was received, if the store takes it within a second, and ends.
  ~Receiver();
  // By the order of the configuration; what the system chose for port 0.
  std::vector<std::uint16_t> ports() const;

 private:
  class Listener;
  Receiver();
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace tocayo::syslog
