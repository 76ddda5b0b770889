// SPDX-License-Identifier: Apache-2.0
// The way out of a connection: encoding, header, whole and streamed bodies, the end of an exchange.
#include <algorithm>
#include <charconv>

#include "core/log.h"
#include "http/detail/connection.h"
#include "http/detail/text.h"

namespace tocayo::http::detail {
namespace {

constexpr std::size_t kWorthEncoding = 1024;
constexpr std::size_t kInlineEncode = 8 << 10;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::chrono::seconds kCloseTime{1};

std::string_view body_of(const Response& response) {
  return response.static_body.data() != nullptr ? response.static_body : std::string_view(response.body);
}

bool may_have_body(int status) { return status >= 200 && status != 204 && status != 304; }

void append_number(std::string& out, std::size_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

// Would another Accept-Encoding give another body? Then caches must know.
bool encodable(const Response& response) {
  return response.compress && may_have_body(response.status) && response.status != 206 &&
         !response.headers.has("Content-Encoding") && compressible(response.headers.get("Content-Type")) &&
         (response.stream || body_of(response).size() > kWorthEncoding);
}

// A connection may be kept only if its end can be told by length.
bool framing_field(std::string_view name) {
  return iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding") || iequals(name, "Connection") ||
         iequals(name, "Keep-Alive");
}

}  // namespace

void Connection::refuse(int status, std::string_view code, std::string_view message, Headers extra) {
  if (!exchange_) {
    exchange_ = std::make_shared<Exchange>(state_);
    state_->inflight_gauge.add(1);
    exchange_->started = Steady::now();
    exchange_->label = state_->label_invalid();
    exchange_->request.method = parser_->head().method;
    exchange_->request.remote_address = transport_->remote_address();
    exchange_->request.request_id = state_->new_request_id();
  }
  const auto* shape = state_->router.impl().refusal_of(exchange_->request.path);
  auto response = shape != nullptr ? (*shape)(exchange_->request, {.status = status, .code = code, .message = message})
                                   : Response::json(status, error_body(code, message));
  for (const auto& [name, value] : extra) response.headers.set(name, value);
  respond_now(exchange_, std::move(response));
}

void Connection::refuse(const Error& error) {
  Headers extra;
  if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::limit) extra.add("Retry-After", "5");
  refuse(status_of(error.kind), to_string(error.kind), error.message, std::move(extra));
}

void Connection::respond_now(const ExchangePtr& x, Response response) {
  x->response = std::move(response);
  on_response(x);
}

void Connection::on_response(const ExchangePtr& x) {
  if (phase_ == State::closed) {
    record(*x, 499);
    exchange_.reset();
    return;
  }
  auto& response = x->response;
  if (response.status < 200 || response.status > 599) {
    log::error("http", "a handler answered with an impossible status",
               {{"route", state_->route_labels[x->label]}, {"status", response.status}});
    response = error_response({ErrorKind::internal, "the handler answered with an impossible status"});
  }
  if (!body_ended_) x->keep_alive = false;
  add_cors(x->request, response.headers);
  if (encodable(response)) {
    x->encoded = negotiate(x->request.headers.get("Accept-Encoding"));
    response.headers.add("Vary", "Accept-Encoding");
  }
  if (x->encoded != Coding::identity) {
    response.headers.add("Content-Encoding", std::string(to_string(x->encoded)));
    // RFC 9110 §8.8.1: the encoded form is other bytes than the plain one.
    auto etag = response.headers.get("ETag");
    if (etag.starts_with('"')) response.headers.set("ETag", "W/" + std::string(etag));
  }
  if (response.stream) return start_stream(x);
  if (x->encoded == Coding::identity) return send_response(x);
  auto encode = [x] { x->encoded_body = Encoder::create(x->encoded)->finish(body_of(x->response)); };
  if (body_of(response).size() <= kInlineEncode) {
    encode();
    return send_response(x);
  }
  phase_ = State::encoding;
  state_->handler_started();
  state_->post_work([self = shared_from_this(), x, encode] {
    encode();
    auto state = self->state_;
    auto loop = self->loop_;
    loop->post([self, x] { self->send_response(x); });
    state->handler_ended();
  });
}

void Connection::add_cors(const Request& request, Headers& headers) const {
  if (state_->options.cors_origins.empty()) return;
  headers.add("Vary", "Origin");
  auto origin = request.headers.get("Origin");
  if (std::ranges::find(state_->options.cors_origins, origin) == state_->options.cors_origins.end()) return;
  headers.add("Access-Control-Allow-Origin", std::string(origin));
  headers.add("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
}

std::string Connection::build_header(Exchange& x, bool stream, std::size_t length) {
  auto& response = x.response;
  bool last = worker_.draining || (end_of_input_ && input_.empty() && !consuming_);
  if (last || has_token(response.headers.get("Connection"), "close")) x.keep_alive = false;
  std::string out;
  out.reserve(512);
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::size_t>(response.status));
  out += ' ';
  out += reason_phrase(response.status);
  out += "\r\n";
  append_field(out, "Date", worker_.date());
  for (const auto& [name, value] : response.headers) {
    if (framing_field(name)) continue;
    if (valid_field(name, value)) {
      append_field(out, name, value);
    } else {
      log::error("http", "a handler set an invalid response field",
                 {{"route", state_->route_labels[x.label]}, {"field", name}});
    }
  }
  for (const auto& [name, value] : state_->options.default_headers) {
    if (!response.headers.has(name)) append_field(out, name, value);
  }
  append_field(out, "X-Request-Id", x.request.request_id);
  if (may_have_body(response.status)) {
    if (!stream) {
      out += "Content-Length: ";
      append_number(out, length);
      out += "\r\n";
    } else if (x.minor_version > 0) {
      out += "Transfer-Encoding: chunked\r\n";
    } else {
      x.keep_alive = false;  // HTTP/1.0: the end of the connection ends the body
    }
  }
  if (!x.keep_alive) {
    out += "Connection: close\r\n";
  } else if (x.minor_version == 0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  return out;
}

void Connection::send_response(const ExchangePtr& x) {
  if (phase_ == State::closed) {
    record(*x, 499);
    exchange_.reset();
    return;
  }
  phase_ = State::responding;
  auto body = x->encoded == Coding::identity ? body_of(x->response) : std::string_view(x->encoded_body);
  push(build_header(*x, false, body.size()), false);
  if (!x->head && may_have_body(x->response.status)) {
    push_view(body);
    x->sent = body.size();
  }
  write_out();
}

void Connection::start_stream(const ExchangePtr& x) {
  header_sent_ = false;
  stream_ended_ = false;
  if (x->head || !may_have_body(x->response.status)) {
    phase_ = State::responding;
    push(build_header(*x, true, 0), false);
    return write_out();
  }
  phase_ = State::streaming;
  auto self = shared_from_this();
  x->sink = std::make_shared<StreamSink>(x->minor_version > 0, x->encoded, [self] {
    self->loop_->post([self] {
      if (self->exchange_) self->pump_stream(self->exchange_);
    });
  });
  state_->handler_started();
  spawn<Result<>>(x->response.stream(*x->sink), [self, x](Result<> result) {
    if (result) x->sink->finish();
    auto state = self->state_;
    auto loop = self->loop_;
    loop->post([self, x, result = std::move(result)]() mutable { self->on_stream_end(x, std::move(result)); });
    state->handler_ended();
  });
  if (!consuming_) start_read();
}

void Connection::pump_stream(const ExchangePtr& x) {
  if (phase_ != State::streaming) return;
  auto pieces = x->sink->take();
  if (pieces.empty() && !stream_ended_) return;
  if (!header_sent_) {
    header_sent_ = true;
    push(build_header(*x, true, 0), false);
  }
  for (auto& piece : pieces) push(std::move(piece), true);
  write_out();
}

void Connection::on_stream_end(const ExchangePtr& x, Result<> result) {
  if (phase_ == State::closed) {
    record(*x, 499);
    exchange_.reset();
    return;
  }
  if (!result && !header_sent_) {
    // Nothing is out yet: the client can still get a proper answer.
    if (auto writer = x->sink->close()) state_->post_work([writer] { writer.resume(); });
    x->encoded = Coding::identity;
    return refuse(result.error());
  }
  stream_ended_ = true;
  if (!result) {
    log::warn(
        "http", "a streamed response ended early",
        {{"route", state_->route_labels[x->label]}, {"request_id", x->request.request_id}, {"error", result.error()}});
    return die(true);
  }
  pump_stream(x);
  if (phase_ == State::streaming && !write_pending_ && output_.empty()) on_drained();
}

void Connection::push(std::string owned, bool from_sink) {
  if (owned.empty()) return;
  auto& piece = output_.emplace_back(Piece{.owned = std::move(owned), .view = {}, .from_sink = from_sink});
  piece.view = piece.owned;
}

void Connection::push_view(std::string_view view) {
  if (!view.empty()) output_.push_back(Piece{.owned = {}, .view = view, .from_sink = false});
}

void Connection::write_out() {
  if (write_pending_ || output_.empty()) return;
  std::array<std::string_view, 16> parts;
  std::size_t count = 0;
  for (const auto& piece : output_) {
    if (count == parts.size()) break;
    parts[count++] = piece.view;
  }
  if (write_bytes_ == 0) write_start_ = write_progress_ = Steady::now();
  write_pending_ = true;
  transport_->write(std::span(parts).first(count),
                    [self = shared_from_this()](Io status, std::size_t bytes) { self->on_written(status, bytes); });
}

void Connection::on_written(Io status, std::size_t bytes) {
  write_pending_ = false;
  if (phase_ == State::closed) return;
  if (status != Io::ok) return die(false);
  write_bytes_ += bytes;
  write_progress_ = Steady::now();
  std::size_t from_sink = 0;
  while (bytes > 0) {
    auto& piece = output_.front();
    auto take = std::min(bytes, piece.view.size());
    bytes -= take;
    if (piece.from_sink) from_sink += take;
    piece.view.remove_prefix(take);
    if (piece.view.empty()) output_.pop_front();
  }
  if (from_sink > 0) {
    exchange_->sent += from_sink;
    if (auto writer = exchange_->sink->written(from_sink)) state_->post_work([writer] { writer.resume(); });
  }
  if (!output_.empty()) return write_out();
  write_bytes_ = 0;
  on_drained();
}

void Connection::on_drained() {
  if (phase_ == State::responding) return finish_exchange();
  if (phase_ == State::streaming) {
    if (stream_ended_) return finish_exchange();
    pump_stream(exchange_);
  }
}

void Connection::finish_exchange() {
  auto x = std::exchange(exchange_, nullptr);
  record(*x, x->response.status);
  if (x->keep_alive) return begin_request();
  if (!body_ended_ && !end_of_input_) return linger();
  close_orderly();
}

void Connection::record(Exchange& x, int status) {
  state_->inflight_gauge.add(-1);
  double seconds = std::chrono::duration<double>(Steady::now() - x.started).count();
  const auto& request = x.request;
  state_->count_request(worker_, x.label, request.method, status, seconds);
  auto level = log::Level::debug;
  if (status >= 400 || seconds > 1) level = log::Level::info;
  if (status >= 500) level = log::Level::warn;
  // The path without its query, which may carry tokens; a path parameter named like a secret hides the path too.
  bool secret = std::ranges::any_of(
      request.path_params, [](const auto& p) { return p.first.contains("token") || p.first.contains("secret"); });
  log::write(level, "http", "request",
             {{"method", request.method},
              {"route", state_->route_labels[x.label]},
              {"path", secret ? std::string_view("-") : std::string_view(request.path)},
              {"status", status},
              {"bytes", x.sent},
              {"seconds", seconds},
              {"remote", request.remote_address},
              {"login", request.identity.login},
              {"tenant", request.identity.tenant},
              {"request_id", request.request_id}});
}

void Connection::close_orderly() {
  if (phase_ == State::closed || phase_ == State::closing) return;
  phase_ = State::closing;
  deadline_ = Steady::now() + kCloseTime;
  transport_->shutdown([self = shared_from_this()](Io) { self->die(false); });
}

// Closing with unread input would reset the connection and might take the answer with it (RFC 9112 §9.6).
void Connection::linger() {
  phase_ = State::lingering;
  deadline_ = Steady::now() + kLingerTime;
  input_.clear();
  if (!transport_->tls()) transport_->shutdown([self = shared_from_this()](Io) {});
  start_read();
}

}  // namespace tocayo::http::detail
