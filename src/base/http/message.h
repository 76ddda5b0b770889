// SPDX-License-Identifier: Apache-2.0
// Requests and responses as handlers see them. No Boost here: Beast stops at this room's door.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/task.h"

namespace tocayo::http {

// Header fields in order; names compare case-insensitively.
class Headers {
 public:
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);
  // First value, or "" when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  void remove(std::string_view name);
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Decoded `a=1&b=2&a=3`, in order.
class Params {
 public:
  static Params parse(std::string_view encoded);
  void add(std::string name, std::string value) { values_.emplace_back(std::move(name), std::move(value)); }
  void append(const Params& other) { values_.insert(values_.end(), other.values_.begin(), other.values_.end()); }
  // First value, or nullopt when absent.
  std::optional<std::string_view> get(std::string_view name) const;
  std::string_view get_or(std::string_view name, std::string_view otherwise) const {
    return get(name).value_or(otherwise);
  }
  std::vector<std::string_view> all(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

enum class Role : unsigned char { none, viewer, editor, admin };

// Who sends a request and for which tenant. Filled by the authenticator (services/tenancy); http only carries it.
struct Identity {
  std::string tenant = "anonymous";
  std::int64_t user_id = 0;  // 0: no user (login off, or a token)
  std::string login;         // for logs and the audit trail; "anonymous" with login off, "token:<name>" for tokens
  Role role = Role::none;    // in `tenant`; of several the least
  bool instance_admin = false;
  std::vector<std::string> scopes;  // of a token; empty for users, whose role decides
};

// What a route asks of the identity.
enum class Access : unsigned char { open, read, write, admin, instance_admin };

struct Request {
  std::string method;  // upper case
  std::string target;  // as sent
  std::string path;    // percent-decoded, without query, base path removed
  Params query;        // of the URL
  Headers headers;
  std::string
      body;  // whole; gzip/zstd/deflate already undone (within the route's limit) unless the route wants raw bodies
  std::string remote_address;  // "127.0.0.1:53000"
  bool tls = false;
  std::string request_id;  // also in the access log and in X-Request-Id
  Context context;         // canceled when the client disconnects; deadline from the route
  Identity identity;
  std::vector<std::pair<std::string, std::string>> path_params;  // {name} parts of the route, decoded

  std::string_view param(std::string_view name) const;  // of the path; "" when absent
  // Parameters of an application/x-www-form-urlencoded body, followed by those of the URL (get() prefers the body, as
  // Go's FormValue and so Prometheus does).
  Params form() const;
};

// Where a streaming body goes. write() suspends while the client is slow (bounded buffer): back-pressure reaches the
// producer.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // canceled when the client is gone. When it had to wait it resumes on a pool thread of this room: hop back before
  // long computing. The response's header leaves with the first bytes; a stream that fails before any becomes an
  // ordinary error response.
  virtual Task<Result<>> write(std::string chunk) = 0;
};
// An error after the first byte ends the chunked body abruptly, so that clients see a transport error, never a short
// success.
using StreamBody = std::move_only_function<Task<Result<>>(BodySink&)>;

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  StreamBody stream;             // when set, sent chunked instead of `body`
  std::string_view static_body;  // when set, bytes that outlive the server (embedded assets); sent without a copy
  bool compress = true;          // may be gzip/zstd-encoded when the client accepts it and it is worth it

  static Response text(int status, std::string body, std::string_view content_type = "text/plain; charset=utf-8");
  static Response json(int status, std::string body);
  static Response empty(int status);
  static Response redirect(int status, std::string location);
};

// Default mapping of Error.kind to a status, for our own APIs: 400 404 409 401 403 429 413 504 499 503 500.
int status_of(ErrorKind kind);
// {"code":"bad_input","message":"…"}: the error shape of our own APIs.
Response error_response(const Error& error);

}  // namespace tocayo::http
