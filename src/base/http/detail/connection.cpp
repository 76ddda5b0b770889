// SPDX-License-Identifier: Apache-2.0
#include "http/detail/connection.h"

#include <algorithm>

#include "core/log.h"
#include "http/detail/text.h"
#include "http/detail/uri.h"
#include "http/detail/websocket_session.h"

namespace tocayo::http::detail {
namespace {

// Kept unparsed while a handler runs; beyond it the socket is not read (and a disconnect is seen only later).
constexpr std::size_t kMaxReadAhead = 64 << 10;
// Bodies up to this size are (de)compressed on the io thread: some 20 µs.
constexpr std::size_t kInlineDecode = 4 << 10;
constexpr std::size_t kFirstReserve = 256 << 10;

// Runs a task; `then` on the loop, at once when the task did not suspend.
template <typename T>
void run_task(const std::shared_ptr<ServerState>& state, const std::shared_ptr<Loop>& loop, Task<T> task,
              std::move_only_function<void(T)> then) {
  struct Slot {
    std::optional<T> value;
    std::move_only_function<void(T)> then;
    bool starting = true;  // loop thread only
  };
  auto slot = std::make_shared<Slot>();
  slot->then = std::move(then);
  state->handler_started();
  spawn<T>(std::move(task), [slot, state, loop](T value) {
    if (loop->on_this_thread() && slot->starting) {
      slot->value.emplace(std::move(value));
    } else {
      loop->post([slot, value = std::move(value)]() mutable { slot->then(std::move(value)); });
    }
    state->handler_ended();
  });
  slot->starting = false;
  if (slot->value) slot->then(std::move(*slot->value));
}

bool is_websocket_upgrade(const Request& request) {
  return request.method == "GET" && has_token(request.headers.get("Upgrade"), "websocket") &&
         has_token(request.headers.get("Connection"), "upgrade");
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerState> state, Worker& worker, std::unique_ptr<Transport> transport)
    : state_(std::move(state)),
      worker_(worker),
      loop_(worker.loop),
      transport_(std::move(transport)),
      parser_(RequestParser::create(state_->options.max_header_bytes)) {
  parser_->on_body = [this](std::string_view bytes) { return take_body(bytes); };
}

Connection::~Connection() = default;

void Connection::start() {
  auto self = shared_from_this();
  place_ = worker_.connections.insert(worker_.connections.end(), self);
  listed_ = true;
  deadline_ = Steady::now() + state_->options.header_timeout;
  if (!transport_->tls()) return begin_request();
  transport_->handshake([self](Io status) {
    if (self->phase_ != State::handshake) return;
    if (status != Io::ok) return self->die(false);
    self->begin_request();
  });
}

bool Connection::handler_runs() const {
  return phase_ == State::authenticating || phase_ == State::decoding || phase_ == State::running ||
         phase_ == State::encoding || (phase_ == State::streaming && !stream_ended_);
}

// No progress for `timeout`, or less than 1 KiB/s on average beyond it.
Steady::time_point Connection::slow_limit(Steady::time_point start, Steady::time_point progress,
                                          std::chrono::milliseconds timeout, std::uint64_t bytes) const {
  return std::min(progress + timeout, start + timeout + std::chrono::milliseconds(bytes));
}

void Connection::sweep(Steady::time_point now) {
  auto self = shared_from_this();
  const auto& options = state_->options;
  if (phase_ == State::upgraded) return websocket_->sweep(now);
  if (write_pending_ && now > slow_limit(write_start_, write_progress_, options.write_timeout, write_bytes_)) {
    state_->timeouts_write.add();
    return die(true);
  }
  switch (phase_) {
    case State::handshake:
    case State::lingering:
    case State::closing:
      if (now > deadline_) die(false);
      return;
    case State::header:
      if (now <= deadline_) return;
      if (input_.empty()) return die(false);
      state_->timeouts_header.add();
      body_ended_ = false;
      return refuse(408, "timeout", "the request header did not arrive in time");
    case State::body:
      if (now <= slow_limit(body_start_, body_progress_, options.body_timeout, exchange_->request.body.size())) return;
      state_->timeouts_body.add();
      return refuse(408, "timeout", "the request body did not arrive in time");
    default: break;
  }
  if (!handler_runs() || exchange_->deadline == Steady::time_point::max()) return;
  // Context::check() tells the handler `timeout` by itself. One that only watches the stop token is told a little
  // later, and one that ignores both does not keep its client.
  if (now > exchange_->deadline + std::chrono::seconds(1)) exchange_->stop.request_stop();
  if (now > exchange_->deadline + std::chrono::seconds(10)) {
    log::error("http", "a handler ignores its deadline", {{"route", state_->route_labels[exchange_->label]}});
    die(true);
  }
}

void Connection::drain() {
  if (phase_ == State::handshake) return die(false);
  if (phase_ == State::header && input_.empty()) return close_orderly();
  if (phase_ == State::upgraded) return websocket_->close(1001, "the server is shutting down");
  if (exchange_) exchange_->keep_alive = false;
}

void Connection::die(bool reset) {
  if (phase_ == State::closed) return;
  auto self = shared_from_this();
  bool busy = handler_runs();
  if (phase_ == State::upgraded) {
    websocket_->abort();  // ends the session, which ends us
    return;
  }
  phase_ = State::closed;
  transport_->close(reset);
  forget();
  if (!exchange_) return;
  if (busy) state_->canceled.add();
  exchange_->stop.request_stop();
  if (exchange_->sink) {
    if (auto writer = exchange_->sink->close()) state_->post_work([writer] { writer.resume(); });
  }
  if (!busy) {
    record(*exchange_, 499);
    exchange_.reset();
  }
}

void Connection::forget() {
  if (!listed_) return;
  listed_ = false;
  worker_.connections.erase(place_);
  state_->connections_gauge.add(-1);
  std::lock_guard lock(state_->mutex);
  --state_->connections;
  state_->changed.notify_all();
}

void Connection::begin_request() {
  if (worker_.draining || (end_of_input_ && input_.empty())) return close_orderly();
  phase_ = State::header;
  body_ended_ = true;
  parser_->reset();
  auto now = Steady::now();
  // A connection that never said anything gets the short time; a request already waiting in the buffer too.
  bool hurry = first_request_ || !input_.empty();
  deadline_ = now + (hurry ? state_->options.header_timeout : state_->options.idle_timeout);
  first_request_ = false;
  if (!input_.empty()) return consume({});
  start_read();
}

void Connection::start_read() {
  if (read_pending_ || end_of_input_ || phase_ == State::closed) return;
  read_pending_ = true;
  transport_->read([self = shared_from_this()](Io status, std::string_view data) { self->on_read(status, data); });
}

void Connection::on_read(Io status, std::string_view data) {
  read_pending_ = false;
  if (phase_ == State::closed) return;
  if (status != Io::ok) return on_end_of_input(status);
  switch (phase_) {
    case State::header:
      if (input_.empty()) deadline_ = std::min(deadline_, Steady::now() + state_->options.header_timeout);
      return consume(data);
    case State::body: return consume(data);
    case State::lingering: return start_read();
    case State::closing: return;
    default:
      input_.append(data);
      if (input_.size() < kMaxReadAhead) start_read();
  }
}

void Connection::on_end_of_input(Io status) {
  end_of_input_ = true;
  if (status == Io::failed) return die(false);
  switch (phase_) {
    case State::header: return close_orderly();
    case State::body:
    case State::lingering: return die(false);
    case State::closing: return;
    default: break;
  }
  // Half a close usually is a whole one (a closed tab, a killed client): stop the work. A peer that only shut its
  // sending side still gets whatever the handlers of the requests it had sent answer.
  if (exchange_ && handler_runs()) {
    state_->canceled.add();
    exchange_->stop.request_stop();
  }
}

void Connection::consume(std::string_view data) {
  bool buffered = !input_.empty();
  if (buffered) input_.append(data);
  std::string_view rest = buffered ? std::string_view(input_) : data;
  consuming_ = true;
  while (phase_ == State::header || phase_ == State::body) {
    if (phase_ == State::body && parser_->done()) {
      body_ended_ = true;
      on_body_complete();
      continue;
    }
    if (rest.empty()) break;
    auto progress = parser_->put(rest);
    rest.remove_prefix(progress.consumed);
    if (progress.status == RequestParser::Status::need_more) break;
    if (progress.status != RequestParser::Status::ok) {
      on_parse_error(progress);
      break;
    }
    if (phase_ == State::header && parser_->header_done()) {
      body_ended_ = parser_->done();
      on_header();
    }
  }
  consuming_ = false;
  if (buffered) {
    input_.erase(0, input_.size() - rest.size());
  } else {
    input_.assign(rest);
  }
  if (phase_ == State::header || phase_ == State::body) {
    if (end_of_input_) return phase_ == State::header ? close_orderly() : die(false);  // the rest will never come
    start_read();
  } else if (handler_runs() && phase_ != State::authenticating && input_.size() < kMaxReadAhead) {
    start_read();  // to see the client leave
  }
}

bool Connection::take_body(std::string_view bytes) {
  auto& x = *exchange_;
  auto& body = x.request.body;
  if (bytes.size() > x.route->options.max_body - body.size()) {
    x.over_limit = true;
    return false;
  }
  if (body.size() + bytes.size() > x.budget.held() && !x.budget.grow(bytes.size())) {
    x.over_budget = true;
    return false;
  }
  body.append(bytes);
  body_progress_ = Steady::now();
  return true;
}

void Connection::on_parse_error(const RequestParser::Progress& progress) {
  using Status = RequestParser::Status;
  body_ended_ = false;  // whatever follows cannot be told apart any more
  if (progress.status == Status::header_too_large) {
    auto limit = std::to_string(state_->options.max_header_bytes);
    if (!parser_->saw_request_line())
      return refuse(414, "too_large", "the request target is over the limit of " + limit + " bytes");
    return refuse(431, "too_large", "the request header is over the limit of " + limit + " bytes");
  }
  if (progress.status == Status::refused && exchange_ && exchange_->over_limit) {
    return refuse(
        413, "too_large",
        "the request body is over the limit of " + std::to_string(exchange_->route->options.max_body) + " bytes");
  }
  if (progress.status == Status::refused && exchange_ && exchange_->over_budget) {
    Headers extra;
    extra.add("Retry-After", "5");
    return refuse(503, "unavailable", "too many request bodies are in memory; try again later", std::move(extra));
  }
  refuse(400, "bad_input", "not a valid HTTP request: " + progress.message);
}

void Connection::on_header() {
  auto x = std::make_shared<Exchange>(state_);
  exchange_ = x;
  state_->inflight_gauge.add(1);
  auto& head = parser_->head();
  auto& request = x->request;
  x->started = Steady::now();
  x->label = state_->label_invalid();
  x->minor_version = head.minor_version;
  x->keep_alive = head.keep_alive && !worker_.draining;
  request.method = std::move(head.method);
  request.target = std::move(head.target);
  request.headers = std::move(head.headers);
  request.remote_address = transport_->remote_address();
  request.tls = transport_->tls();
  x->head = request.method == "HEAD";
  auto sent_id = request.headers.get("X-Request-Id");
  request.request_id = valid_request_id(sent_id) ? std::string(sent_id) : state_->new_request_id();

  // RFC 9112 §3.2: exactly one Host in HTTP/1.1; §6.1: a coding we do not know cannot be framed.
  auto hosts = std::ranges::count_if(request.headers, [](const auto& field) { return iequals(field.first, "Host"); });
  if (hosts > 1 || (hosts == 0 && head.minor_version > 0))
    return refuse(400, "bad_input", "the request needs exactly one Host field");
  auto transfer = request.headers.get("Transfer-Encoding");
  if (!transfer.empty() && !iequals(trim(transfer), "chunked"))
    return refuse(501, "bad_input", "unknown Transfer-Encoding");
  if (!transfer.empty() && request.headers.has("Content-Length"))
    return refuse(400, "bad_input", "both Content-Length and Transfer-Encoding");
  if (!find_route(x, request.target)) return;
  x->deadline = x->route->websocket ? Steady::time_point::max() : x->started + x->route->options.timeout;
  request.context = Context(x->stop.get_token(), x->deadline);
  authenticate(x);
}

// Answers by itself (and returns false) when there is nothing to run.
bool Connection::find_route(const ExchangePtr& x, std::string_view target_text) {
  auto& request = x->request;
  if (target_text == "*" && request.method == "OPTIONS") {
    respond_now(x, Response::empty(204));
    return false;
  }
  auto target = parse_target(target_text, state_->options.base_path);
  if (!target) return refuse(400, "bad_input", target.error().message), false;
  request.path = std::move(target->path);
  request.query = Params::parse(target->query);
  x->label = state_->label_not_found();
  if (target->at_base && (request.method == "GET" || request.method == "HEAD")) {
    respond_now(x, Response::redirect(308, state_->options.base_path + "/"));
    return false;
  }
  if (target->outside) return refuse(404, "not_found", "nothing is served at " + request.path), false;

  const auto& table = state_->router.impl();
  bool websocket = is_websocket_upgrade(request);
  auto match = table.match(websocket ? kWebSocketMethod : std::string_view(request.method), target->segments);
  if (websocket && match.route == nullptr) match = table.match(request.method, target->segments);
  if (match.route == nullptr && !match.allowed.empty()) {
    if (request.method == "OPTIONS") return respond_now(x, preflight(request, match)), false;
    std::erase(match.allowed, kWebSocketMethod);
    if (match.allowed.empty()) {
      Headers upgrade;
      upgrade.add("Upgrade", "websocket");
      return refuse(426, "bad_input", "this is a WebSocket endpoint", std::move(upgrade)), false;
    }
    Headers allow;
    std::string methods;
    for (auto method : match.allowed)
      methods += (methods.empty() ? "" : ", ") + std::string(method) + (method == "GET" ? ", HEAD" : "");
    allow.add("Allow", methods);
    return refuse(405, "method_not_allowed", request.method + " is not allowed here; allowed: " + methods,
                  std::move(allow)),
           false;
  }
  // What is not there below another system's path is not the page either.
  const bool page = table.refusal_of(request.path) == nullptr;
  x->route = match.route != nullptr ? match.route : page ? table.fallback.get() : nullptr;
  if (x->route == nullptr) return refuse(404, "not_found", "nothing is served at " + request.path), false;
  request.path_params = std::move(match.params);
  x->label = state_->label_of(x->route);
  return true;
}

Response Connection::preflight(const Request& request, const Router::Match& match) const {
  auto response = Response::empty(204);
  std::string methods;
  for (auto method : match.allowed) {
    if (method != kWebSocketMethod) methods += (methods.empty() ? "" : ", ") + std::string(method);
  }
  response.headers.add("Allow", methods);
  if (request.headers.has("Access-Control-Request-Method") &&
      std::ranges::find(state_->options.cors_origins, request.headers.get("Origin")) !=
          state_->options.cors_origins.end()) {
    response.headers.add("Access-Control-Allow-Methods", methods);
    if (auto wanted = request.headers.get("Access-Control-Request-Headers"); !wanted.empty()) {
      response.headers.add("Access-Control-Allow-Headers", std::string(wanted));
    }
    response.headers.add("Access-Control-Max-Age", "600");
  }
  return response;
}

void Connection::authenticate(const ExchangePtr& x) {
  phase_ = State::authenticating;
  run_task<Result<>>(state_, loop_, state_->authenticator.authenticate(x->request, x->route->options),
                     [self = shared_from_this(), x](Result<> result) { self->on_authenticated(x, std::move(result)); });
}

void Connection::on_authenticated(const ExchangePtr& x, Result<> result) {
  if (phase_ == State::closed) {
    record(*x, 499);
    exchange_.reset();
    return;
  }
  if (!result) return refuse(result.error());
  if (x->route->websocket) return upgrade(x);
  if (!admit_body(x)) return;
  phase_ = State::body;
  body_start_ = body_progress_ = Steady::now();
  if (!consuming_) consume({});
}

// The checks that come before the first byte of the body is kept.
bool Connection::admit_body(const ExchangePtr& x) {
  const auto& headers = x->request.headers;
  const auto& options = x->route->options;
  auto length = parser_->head().content_length;
  if (length && *length > options.max_body) {
    return refuse(413, "too_large",
                  "the request body of " + std::to_string(*length) + " bytes is over the limit of " +
                      std::to_string(options.max_body) + " bytes"),
           false;
  }
  if (!options.raw_body && parse_coding(headers.get("Content-Encoding")) == Coding::unknown) {
    Headers extra;
    extra.add("Accept-Encoding", "gzip, deflate, zstd");
    return refuse(415, "bad_input", "unsupported Content-Encoding; gzip, deflate and zstd are understood",
                  std::move(extra)),
           false;
  }
  if (length && !x->budget.grow(*length)) {
    Headers extra;
    extra.add("Retry-After", "5");
    return refuse(503, "unavailable", "too many request bodies are in memory; try again later", std::move(extra)),
           false;
  }
  if (auto expect = headers.get("Expect"); !expect.empty()) {
    if (!iequals(expect, "100-continue")) return refuse(417, "bad_input", "unknown expectation"), false;
    if (!body_ended_ && x->minor_version > 0) {
      push("HTTP/1.1 100 Continue\r\n\r\n", false);
      write_out();
    }
  }
  // A length is a promise only: memory follows the bytes.
  if (length) x->request.body.reserve(std::min<std::size_t>(*length, kFirstReserve));
  return true;
}

void Connection::on_body_complete() {
  auto x = exchange_;
  auto coding = parse_coding(x->request.headers.get("Content-Encoding"));
  auto& body = x->request.body;
  if (coding == Coding::identity || x->route->options.raw_body || body.empty()) return run_handler(x);
  auto undo = [x, coding] {
    return decompress(coding, x->request.body, x->route->options.max_body,
                      [x](std::size_t bytes) { return x->budget.grow(bytes); });
  };
  phase_ = State::decoding;
  if (body.size() <= kInlineDecode) return on_decoded(x, undo());
  state_->handler_started();
  state_->post_work([self = shared_from_this(), x, undo] {
    auto decoded = undo();
    auto state = self->state_;
    auto loop = self->loop_;
    loop->post([self, x, decoded = std::move(decoded)]() mutable { self->on_decoded(x, std::move(decoded)); });
    state->handler_ended();
  });
}

void Connection::on_decoded(const ExchangePtr& x, Result<std::string> body) {
  if (phase_ == State::closed) {
    record(*x, 499);
    exchange_.reset();
    return;
  }
  if (!body) return refuse(body.error());
  x->request.body = std::move(*body);
  run_handler(x);
}

void Connection::run_handler(const ExchangePtr& x) {
  phase_ = State::running;
  run_task<Response>(state_, loop_, x->route->handler(x->request), [self = shared_from_this(), x](Response response) {
    x->response = std::move(response);
    self->on_response(x);
  });
  if (phase_ == State::running && !consuming_ && input_.size() < kMaxReadAhead) start_read();
}

void Connection::upgrade(const ExchangePtr& x) {
  std::string chosen;
  for (auto offered : split_list(x->request.headers.get("Sec-WebSocket-Protocol"))) {
    if (chosen.empty() && std::ranges::find(x->route->subprotocols, offered) != x->route->subprotocols.end())
      chosen = offered;
  }
  Headers fields;
  fields.add("X-Request-Id", x->request.request_id);
  if (!chosen.empty()) fields.add("Sec-WebSocket-Protocol", chosen);
  phase_ = State::upgraded;
  // Inside consume() the bytes behind the header are not in input_ yet: open the channel after it returned.
  loop_->post([self = shared_from_this(), x, fields, chosen] {
    auto channel = make_websocket(std::move(self->transport_), std::exchange(self->input_, {}), kMaxWebSocketMessage,
                                  self->state_->options.websocket_idle_timeout);
    self->websocket_->start(std::move(channel), fields);
  });
  websocket_ = std::make_shared<WebSocketSession>(
      state_, loop_, x, chosen, [self = shared_from_this(), x](int status) { self->record(*x, status); },
      [self = shared_from_this()] {
        self->phase_ = State::closed;
        self->forget();
        self->exchange_.reset();
        self->websocket_.reset();
      });
}

}  // namespace tocayo::http::detail
