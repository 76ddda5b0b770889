// SPDX-License-Identifier: Apache-2.0
#include "syslog/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>

namespace tocayo::syslog {

namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

// The oldest reason that OpenSSL has noted; forgets all.
std::string reason() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "the connection broke";
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? text : fmt::format("error {:x}", code);
}

Result<ContextPtr> make_context(const TlsSettings& settings) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (!context) return fail(ErrorKind::internal, "TLS does not start: " + reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  // Senders only send: what a session ticket saves is not worth what it keeps.
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(context.get(), settings.cert_file.c_str()) != 1)
    return fail(ErrorKind::bad_input, fmt::format("tls.cert_file {}: {}", settings.cert_file, reason()));
  if (SSL_CTX_use_PrivateKey_file(context.get(), settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(ErrorKind::bad_input, fmt::format("tls.key_file {}: {}", settings.key_file, reason()));
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return fail(ErrorKind::bad_input,
                fmt::format("tls.key_file {} is not the key of {}", settings.key_file, settings.cert_file));
  if (!settings.client_ca_file.empty()) {
    const char* file = settings.client_ca_file.c_str();
    if (SSL_CTX_load_verify_locations(context.get(), file, nullptr) != 1)
      return fail(ErrorKind::bad_input, fmt::format("tls.client_ca_file {}: {}", settings.client_ca_file, reason()));
    SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(file));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

class Stream final : public TlsStream {
 public:
  Stream(SSL* ssl, int socket) : ssl_(ssl, &SSL_free) {
    SSL_set_fd(ssl, socket);
    SSL_set_accept_state(ssl);
  }

  Status read(std::span<char> buffer, std::size_t& got) override {
    ERR_clear_error();
    got = 0;
    const int done = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &got);
    if (done == 1) return Status::ok;
    switch (SSL_get_error(ssl_.get(), done)) {
      case SSL_ERROR_WANT_READ: return Status::wait_readable;
      case SSL_ERROR_WANT_WRITE: return Status::wait_writable;
      case SSL_ERROR_ZERO_RETURN: return Status::ended;
      default: break;
    }
    // Many senders close the connection without TLS's goodbye; a message is complete or not by itself.
    const bool cut = ERR_peek_error() == 0 || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (established() && cut) {
      ERR_clear_error();
      return Status::ended;
    }
    error_ = reason();
    return Status::failed;
  }

  bool established() const override { return SSL_is_init_finished(ssl_.get()) == 1; }
  bool pending() const override { return SSL_pending(ssl_.get()) > 0; }
  const std::string& error() const override { return error_; }

 private:
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::string error_;
};

class Context final : public TlsContext {
 public:
  Context(TlsSettings settings, ContextPtr context)
      : settings_(std::move(settings)), context_(std::move(context)), stamp_(stamp()) {}

  Result<bool> refresh() override {
    auto now = stamp();
    if (now == stamp_) return false;
    stamp_ = std::move(now);
    context_ = TRY(make_context(settings_));
    return true;
  }

  std::unique_ptr<TlsStream> accept(int socket) override {
    SSL* ssl = SSL_new(context_.get());
    return ssl == nullptr ? nullptr : std::make_unique<Stream>(ssl, socket);
  }

 private:
  // Tells one state of the files from another.
  std::string stamp() const {
    std::string out;
    for (const auto* file : {&settings_.cert_file, &settings_.key_file, &settings_.client_ca_file}) {
      struct stat status{};
      if (file->empty() || ::stat(file->c_str(), &status) != 0) continue;
      out += fmt::format("{}:{}:{}.{};", status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    }
    return out;
  }

  TlsSettings settings_;
  ContextPtr context_;
  std::string stamp_;
};

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::open(const TlsSettings& settings) {
  auto context = TRY(make_context(settings));
  return std::make_unique<Context>(settings, std::move(context));
}

}  // namespace tocayo::syslog
