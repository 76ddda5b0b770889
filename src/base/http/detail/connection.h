// SPDX-License-Identifier: Apache-2.0
// One client connection: reads requests, runs their handlers one after another, writes the answers. A state machine on
// its worker's io thread; handlers run wherever they like and come back by Loop::post. connection.cpp holds the way in
// (reading, checks, handler), connection_response.cpp the way out.
//
// Life: Worker::connections owns it while it is open; pending transport calls and a running handler own it too, so that
// the request lives until its handler ended even when the client is long gone.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "http/detail/exchange.h"
#include "http/detail/net.h"
#include "http/detail/server_state.h"

namespace tocayo::http::detail {

class WebSocketSession;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerState> state, Worker& worker, std::unique_ptr<Transport> transport);
  ~Connection();

  void start();
  // Enforces time limits.
  void sweep(Steady::time_point now);
  // Graceful stop: closes when idle, else after the running request.
  void drain();
  // Cancels the request and closes at once.
  void die(bool reset);

 private:
  enum class State : unsigned char {
    handshake,  // TLS
    header,     // idle, or inside a request's header
    authenticating,
    body,
    decoding,    // Content-Encoding being undone on the pool
    running,     // handler
    encoding,    // response being compressed on the pool
    responding,  // whole response being written
    streaming,   // handler writes to the sink
    lingering,   // answered early: swallow what the client still sends, so that it can read the answer
    closing,     // orderly end under way
    upgraded,    // WebSocket
    closed,
  };
  struct Piece {
    std::string owned;
    std::string_view view;  // of `owned`, or of bytes the exchange (or the program) owns
    bool from_sink = false;
  };
  using ExchangePtr = std::shared_ptr<Exchange>;

  // Way in.
  void begin_request();
  void start_read();
  void on_read(Io status, std::string_view data);
  void on_end_of_input(Io status);
  void consume(std::string_view data);
  bool take_body(std::string_view bytes);
  void on_header();
  bool find_route(const ExchangePtr& x, std::string_view target_text);
  void on_parse_error(const RequestParser::Progress& progress);
  void authenticate(const ExchangePtr& x);
  void on_authenticated(const ExchangePtr& x, Result<> result);
  bool admit_body(const ExchangePtr& x);
  void on_body_complete();
  void on_decoded(const ExchangePtr& x, Result<std::string> body);
  void run_handler(const ExchangePtr& x);
  void upgrade(const ExchangePtr& x);
  Response preflight(const Request& request, const Router::Match& match) const;

  // Way out.
  void on_response(const ExchangePtr& x);
  void respond_now(const ExchangePtr& x, Response response);  // not from a handler
  void refuse(int status, std::string_view code, std::string_view message, Headers extra = {});
  void refuse(const Error& error);
  void send_response(const ExchangePtr& x);
  std::string build_header(Exchange& x, bool stream, std::size_t length);
  void add_cors(const Request& request, Headers& headers) const;
  void start_stream(const ExchangePtr& x);
  void pump_stream(const ExchangePtr& x);
  void on_stream_end(const ExchangePtr& x, Result<> result);
  void push(std::string owned, bool from_sink);
  void push_view(std::string_view view);
  void write_out();
  void on_written(Io status, std::size_t bytes);
  void on_drained();
  void finish_exchange();
  void record(Exchange& x, int status);
  void close_orderly();
  void linger();
  void forget();  // leaves the worker's list

  bool handler_runs() const;
  Steady::time_point slow_limit(Steady::time_point start, Steady::time_point progress,
                                std::chrono::milliseconds timeout, std::uint64_t bytes) const;

  const std::shared_ptr<ServerState> state_;
  Worker& worker_;
  const std::shared_ptr<Loop> loop_;  // before transport_: sockets need their loop
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<RequestParser> parser_;
  std::list<std::shared_ptr<Connection>>::iterator place_;
  State phase_ = State::handshake;
  bool listed_ = false;
  bool read_pending_ = false;
  bool write_pending_ = false;
  bool end_of_input_ = false;
  bool consuming_ = false;
  bool first_request_ = true;
  bool header_sent_ = false;  // of a stream
  bool stream_ended_ = false;
  bool body_ended_ = true;  // the request's body was read to its end

  std::string input_;  // read, not yet parsed
  std::deque<Piece> output_;
  ExchangePtr exchange_;
  std::shared_ptr<WebSocketSession> websocket_;

  Steady::time_point deadline_;  // of handshake, header, lingering, closing
  Steady::time_point body_start_, body_progress_;
  Steady::time_point write_start_, write_progress_;
  std::uint64_t write_bytes_ = 0;  // since write_start_
};

}  // namespace tocayo::http::detail
