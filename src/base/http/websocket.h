// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "core/error.h"
#include "core/task.h"

namespace tocayo::http {

// One open WebSocket. receive() and send() may be awaited from different coroutines at the same time (one of each).
// Pings, pongs and the closing handshake are handled below this door; both calls end with `canceled` once it is closed
// (messages that came before are still received). They resume on a pool thread of this room. Lives until its handler
// returns: whoever calls post() or close() from elsewhere must be detached by then. When the handler returns, the
// socket is closed with 1000.
class WebSocket {
 public:
  struct Message {
    std::string data;
    bool binary = false;
  };

  virtual ~WebSocket() = default;
  // Next message of the client, at most 1 MiB (a longer one closes with 1009).
  virtual Task<Result<Message>> receive() = 0;
  // Resumes when the bytes are in the kernel's hands.
  virtual Task<Result<>> send(Message message) = 0;
  // Thread-safe, from anywhere: queues without waiting; returns the bytes queued and not yet written, so that callers
  // can shed. Over 16 MiB the queue is dropped and the peer closed with 1013.
  virtual std::size_t post(Message message) = 0;
  virtual std::size_t queued_bytes() const = 0;
  // Thread-safe. Closes with a status code (1000 normal, 1001 going away, 1008 policy, 1013 try again later).
  virtual void close(unsigned short code, std::string reason) = 0;
  virtual std::string_view subprotocol() const = 0;
};

}  // namespace tocayo::http
