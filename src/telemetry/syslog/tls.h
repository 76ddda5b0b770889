// SPDX-License-Identifier: Apache-2.0
// TLS of a listener (RFC 5425), over sockets that do not block. OpenSSL stops here. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "core/fd.h"

namespace tocayo::syslog {

// Files in PEM.
struct TlsSettings {
  std::string cert_file;       // the chain; "": no TLS
  std::string key_file;        // may be that of the certificate
  std::string client_ca_file;  // senders must have a certificate of one of these; "": none is asked for
};

// One connection, from its handshake on.
class TlsStream {
 public:
  enum class Status : unsigned char { ok, wait_readable, wait_writable, ended, failed };
  virtual ~TlsStream() = default;
  // Goes on with the handshake, then reads. `got` are the bytes read, with `ok` at least one. After `ended` and
  // `failed` nothing may be called any more; error() says why it failed.
  virtual Status read(std::span<char> buffer, std::size_t& got) = 0;
  virtual bool established() const = 0;
  // Whether a read gives bytes that the socket does not show any more.
  virtual bool pending() const = 0;
  virtual const std::string& error() const = 0;
};

// What a listener's connections begin with.
class TlsContext {
 public:
  // bad_input: a file that cannot be read, is no certificate, or does not fit the key.
  static Result<std::unique_ptr<TlsContext>> open(const TlsSettings& settings);
  virtual ~TlsContext() = default;
  // Reads the files again when one was changed; on an error what was read before goes on. True when they were read.
  virtual Result<bool> refresh() = 0;
  // `socket` must outlive the stream; connections keep what they began with. nullptr: out of memory.
  virtual std::unique_ptr<TlsStream> accept(int socket) = 0;
};

}  // namespace tocayo::syslog
