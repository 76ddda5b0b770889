// SPDX-License-Identifier: Apache-2.0
// Routes: what path is answered by which handler, with which limits. Built before the server starts, immutable
// afterwards.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/websocket.h"

namespace tocayo::http {

// Starts on an io thread: hop to a pool (`co_await pool.schedule()`) before anything that takes over 100 µs.
// The request outlives the task (for a streamed body: until the stream ends).
using Handler = std::function<Task<Response>(Request&)>;
using WebSocketHandler = std::function<Task<void>(Request&, WebSocket&)>;

struct RouteOptions {
  Access access = Access::read;                // checked by the authenticator before the handler runs
  std::size_t max_body = 1 << 20;              // bytes, on the wire and after decompression; over it 413
  std::chrono::milliseconds timeout{120'000};  // becomes the request's deadline
  bool raw_body = false;                       // leave Content-Encoding alone (remote write's snappy)
  bool csrf_exempt = false;      // machine endpoints (push); browsers' writes need Origin and X-Tocayo-Csrf
  bool several_tenants = false;  // reads of a union: Identity::tenant may be "a|b" (sorted, each once); else refused
  std::string metric_name;       // route label of request metrics; default: the pattern
};

// What the server says by itself, before a handler runs or instead of one: no such path, who are you, a body over the
// limit …
struct Refusal {
  int status = 500;
  std::string_view code;  // of our own APIs' errors: "bad_input"
  std::string_view message;
};
// How that is put. Headers such as Allow and Retry-After are added to what it returns.
using RefusalShape = std::function<Response(const Request&, const Refusal&)>;

class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // Pattern segments: literal, `{name}` (one segment) or a last `{name...}` (the rest, may be empty). Literals win over
  // names. Adding the same method and pattern twice terminates the program (a wiring mistake).
  void add(std::string_view method, std::string_view pattern, Handler handler, RouteOptions options = {});
  void add_websocket(std::string_view pattern, std::vector<std::string> subprotocols, WebSocketHandler handler,
                     RouteOptions options = {});
  // Answers what no route matched (the single-page app's fallback, JSON 404 for APIs).
  void set_fallback(Handler handler, RouteOptions options = {});
  // Makes every route below `from` also answer below `to`: alias("/api/v1", "/prometheus/api/v1"). Call after adding
  // the routes.
  void alias(std::string_view from, std::string_view to);

  // The shape of refusals of `prefix` and all paths below it, whether they have routes or not; of several prefixes the
  // longest decides. A path without a route is refused there, too, instead of given to the fallback. Elsewhere a
  // refusal is a JSON object of our own APIs. Before the server starts.
  void set_refusals(std::string prefix, RefusalShape shape);

  struct Match;  // private to this room
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::http
