// SPDX-License-Identifier: Apache-2.0
// The one unit that instantiates Asio, Beast and the TLS stream. It costs close to a minute to compile: keep logic out
// of it.
#include "http/detail/net.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "core/log.h"

namespace tocayo::http::detail {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ssl = asio::ssl;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

constexpr std::size_t kScratchBytes = 64 << 10;
constexpr std::size_t kTlsRecordBytes = 16 << 10;
constexpr std::size_t kMaxParts = 16;

Io status_from(const error_code& error) {
  if (!error) return Io::ok;
  return error == asio::error::eof || error == ssl::error::stream_truncated ? Io::eof : Io::failed;
}

class AsioLoop final : public Loop {
 public:
  explicit AsioLoop(const std::string& name) : work_(context_.get_executor()) {
    thread_ = std::thread([this, name = name.substr(0, 15)] {
      pthread_setname_np(pthread_self(), name.c_str());
      context_.run();
      std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    });
  }
  ~AsioLoop() override { stop(); }

  void post(std::move_only_function<void()> work) override {
    std::unique_lock lock(mutex_);
    if (!stopping_) return asio::post(context_, std::move(work));
    lock.unlock();  // `work` dies on this thread, after the lock
  }
  bool on_this_thread() const override { return std::this_thread::get_id() == thread_.get_id(); }
  void every(std::chrono::milliseconds interval, std::function<void()> tick) override {
    post([this, interval, tick = std::move(tick)]() mutable {
      auto& ticker = tickers_.emplace_back(Timer(context_.get_executor()), interval, std::move(tick));
      arm(ticker);
    });
  }
  void stop() override {
    if (!thread_.joinable()) return;
    asio::post(context_, [this] {
      ending_ = true;
      for (auto& ticker : tickers_) ticker.timer.cancel();
      work_.reset();
    });
    {
      std::unique_lock lock(mutex_);
      stopping_ = true;
      // Everything is closed, so run() returns by itself; should an operation hang, do not hang with it.
      if (!changed_.wait_for(lock, std::chrono::seconds(5), [this] { return ended_; })) context_.stop();
    }
    thread_.join();
  }
  asio::io_context& context() { return context_; }

 private:
  struct Ticker {
    Timer timer;
    std::chrono::milliseconds interval;
    std::function<void()> tick;
  };
  void arm(Ticker& ticker) {
    ticker.timer.expires_after(ticker.interval);
    ticker.timer.async_wait([this, &ticker](error_code error) {
      if (error || ending_) return;  // an expiry already queued is not undone by cancel()
      ticker.tick();
      arm(ticker);
    });
  }

  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  std::list<Ticker> tickers_;
  bool ending_ = false;  // loop thread only
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // under mutex_
  bool ended_ = false;     // under mutex_
  std::thread thread_;
};

// What the WebSocket stream needs besides Transport.
class AsioTransport : public Transport {
 public:
  using SomeDone = std::move_only_function<void(error_code, std::size_t)>;
  explicit AsioTransport(std::string remote) : remote_(std::move(remote)) {}
  const std::string& remote_address() const final { return remote_; }
  virtual Executor executor() = 0;
  virtual void read_some(asio::mutable_buffer into, SomeDone done) = 0;
  virtual void write_some(std::span<const asio::const_buffer> parts, SomeDone done) = 0;

  void write(std::span<const std::string_view> parts, WriteDone done) final {
    std::size_t count = 0;
    for (auto part : parts.first(std::min(parts.size(), kMaxParts)))
      gathered_[count++] = asio::const_buffer(part.data(), part.size());
    write_some(
        std::span(gathered_).first(count),
        [done = std::move(done)](error_code error, std::size_t bytes) mutable { done(status_from(error), bytes); });
  }

 protected:
  std::array<asio::const_buffer, kMaxParts> gathered_;

 private:
  std::string remote_;
};

void close_socket(Socket& socket, bool reset) {
  if (!socket.is_open()) return;
  error_code ignored;
  if (reset) socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

class PlainTransport final : public AsioTransport {
 public:
  PlainTransport(Socket socket, std::string remote) : AsioTransport(std::move(remote)), socket_(std::move(socket)) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
  }
  bool tls() const override { return false; }
  Executor executor() override { return socket_.get_executor(); }
  void handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)]() mutable { done(Io::ok); });
  }
  // Waits without a buffer and reads into one of the thread's: an idle connection costs no buffer.
  void read(ReadDone done) override {
    socket_.async_wait(Socket::wait_read, [this, done = std::move(done)](error_code error) mutable {
      static thread_local std::unique_ptr<char[]> scratch(new char[kScratchBytes]);
      std::size_t bytes = 0;
      if (!error) bytes = socket_.read_some(asio::buffer(scratch.get(), kScratchBytes), error);
      if (error == asio::error::would_block || error == asio::error::interrupted) return read(std::move(done));
      done(status_from(error), std::string_view(scratch.get(), bytes));
    });
  }
  void read_some(asio::mutable_buffer into, SomeDone done) override { socket_.async_read_some(into, std::move(done)); }
  void write_some(std::span<const asio::const_buffer> parts, SomeDone done) override {
    socket_.async_write_some(parts, std::move(done));
  }
  void shutdown(Done done) override {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    asio::post(socket_.get_executor(), [done = std::move(done), error]() mutable { done(status_from(error)); });
  }
  void close(bool reset) override { close_socket(socket_, reset); }

 private:
  Socket socket_;
};

}  // namespace

class TlsContext {
 public:
  TlsContext() : context(ssl::context::tls_server) {}
  ssl::context context;
};

namespace {

class TlsTransport final : public AsioTransport {
 public:
  TlsTransport(Socket socket, std::string remote, std::shared_ptr<TlsContext> context)
      : AsioTransport(std::move(remote)), context_(std::move(context)), stream_(std::move(socket), context_->context) {}
  bool tls() const override { return true; }
  Executor executor() override { return stream_.get_executor(); }
  void handshake(Done done) override {
    stream_.async_handshake(ssl::stream_base::server,
                            [done = std::move(done)](error_code error) mutable { done(status_from(error)); });
  }
  void read(ReadDone done) override {
    if (!input_) input_.reset(new char[kTlsRecordBytes]);
    read_some(asio::buffer(input_.get(), kTlsRecordBytes),
              [this, done = std::move(done)](error_code error, std::size_t bytes) mutable {
                done(status_from(error), std::string_view(input_.get(), bytes));
              });
  }
  void read_some(asio::mutable_buffer into, SomeDone done) override { stream_.async_read_some(into, std::move(done)); }
  // One record per call: small parts travel together.
  void write_some(std::span<const asio::const_buffer> parts, SomeDone done) override {
    asio::const_buffer record = parts.empty() ? asio::const_buffer() : parts[0];
    if (parts.size() > 1 && record.size() < kTlsRecordBytes) {
      output_.clear();
      for (const auto& part : parts) {
        auto take = std::min(part.size(), kTlsRecordBytes - output_.size());
        output_.append(static_cast<const char*>(part.data()), take);
        if (output_.size() == kTlsRecordBytes) break;
      }
      record = asio::buffer(output_);
    }
    stream_.async_write_some(record, std::move(done));
  }
  void shutdown(Done done) override {
    // Send our close_notify without waiting for theirs: HTTP's own framing has told the peer already that all is there.
    SSL_set_shutdown(stream_.native_handle(), SSL_get_shutdown(stream_.native_handle()) | SSL_RECEIVED_SHUTDOWN);
    stream_.async_shutdown([done = std::move(done)](error_code error) mutable { done(status_from(error)); });
  }
  void close(bool reset) override { close_socket(stream_.next_layer(), reset); }

 private:
  std::shared_ptr<TlsContext> context_;  // shared: a reload replaces the server's while old connections live
  ssl::stream<Socket> stream_;
  std::unique_ptr<char[]> input_;
  std::string output_;
};

// Beast's idea of a stream over any AsioTransport: the WebSocket templates are instantiated once for plain and TLS.
class ErasedStream {
 public:
  using executor_type = Executor;
  ErasedStream(std::unique_ptr<AsioTransport> transport, std::string leftover)
      : transport_(std::move(transport)), leftover_(std::move(leftover)) {}
  executor_type get_executor() { return transport_->executor(); }
  AsioTransport& transport() { return *transport_; }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, asio::mutable_buffer into) { start_read(into, std::move(handler)); }, token,
        first(buffers));
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& parts) {
          std::size_t count = 0;
          for (auto i = asio::buffer_sequence_begin(parts); i != asio::buffer_sequence_end(parts) && count < kMaxParts;
               ++i) {
            asio::const_buffer part = *i;
            if (part.size() > 0) parts_[count++] = part;
          }
          transport_->write_some(std::span(parts_).first(count), std::move(handler));
        },
        token, buffers);
  }

  friend void beast_close_socket(ErasedStream& stream) { stream.transport_->close(false); }
  template <typename Handler>
  friend void async_teardown(beast::role_type, ErasedStream& stream, Handler&& handler) {
    stream.transport_->shutdown([&stream, handler = std::forward<Handler>(handler)](Io) mutable {
      stream.transport_->close(false);
      handler(error_code());
    });
  }

 private:
  template <typename Buffers>
  static asio::mutable_buffer first(const Buffers& buffers) {
    for (auto i = asio::buffer_sequence_begin(buffers); i != asio::buffer_sequence_end(buffers); ++i) {
      asio::mutable_buffer part = *i;
      if (part.size() > 0) return part;
    }
    return {};
  }
  void start_read(asio::mutable_buffer into, AsioTransport::SomeDone done) {
    if (leftover_.empty()) return transport_->read_some(into, std::move(done));
    std::size_t bytes = asio::buffer_copy(into, asio::buffer(leftover_));
    leftover_.erase(0, bytes);
    asio::post(get_executor(), [done = std::move(done), bytes]() mutable { done(error_code(), bytes); });
  }

  std::unique_ptr<AsioTransport> transport_;
  std::string leftover_;
  std::array<asio::const_buffer, kMaxParts> parts_;
};

namespace ws = beast::websocket;

class BeastChannel final : public WebSocketChannel {
 public:
  BeastChannel(std::unique_ptr<AsioTransport> transport, std::string leftover, std::size_t max_message,
               std::chrono::milliseconds idle_timeout)
      : stream_(std::move(transport), std::move(leftover)) {
    ws::stream_base::timeout timeout{};
    timeout.handshake_timeout = std::chrono::seconds(5);  // of the closing one too
    timeout.idle_timeout = idle_timeout;
    timeout.keep_alive_pings = true;
    stream_.set_option(timeout);
    stream_.read_message_max(max_message);
    stream_.auto_fragment(false);
  }

  void accept(const Request& request, const Headers& response_fields, Transport::Done done) override {
    upgrade_.method(beast::http::verb::get);
    upgrade_.target(request.target);
    upgrade_.version(11);
    for (const auto& [name, value] : request.headers) upgrade_.insert(name, value);
    stream_.set_option(ws::stream_base::decorator([response_fields](ws::response_type& response) {
      for (const auto& [name, value] : response_fields) response.set(name, value);
    }));
    stream_.async_accept(upgrade_, [done = std::move(done)](error_code error) mutable { done(status_from(error)); });
  }
  void read(std::move_only_function<void(Event)> done) override {
    stream_.async_read(input_, [this, done = std::move(done)](error_code error, std::size_t) mutable {
      Event event;
      event.status = error ? (error == ws::error::closed ? Io::eof : status_from(error)) : Io::ok;
      if (!error) {
        event.data.assign(static_cast<const char*>(input_.data().data()), input_.size());
        event.binary = stream_.got_binary();
      }
      input_.consume(input_.size());
      if (input_.capacity() > kScratchBytes) input_.shrink_to_fit();
      done(std::move(event));
    });
  }
  void write(std::string_view data, bool binary, Transport::Done done) override {
    stream_.binary(binary);
    stream_.async_write(asio::buffer(data),
                        [done = std::move(done)](error_code error, std::size_t) mutable { done(status_from(error)); });
  }
  void close(unsigned short code, std::string_view reason, Transport::Done done) override {
    // RFC 6455 §5.5: a control frame has at most 125 bytes, two of them are the code.
    ws::close_reason close_reason(static_cast<ws::close_code>(code),
                                  beast::string_view(reason.data(), std::min<std::size_t>(reason.size(), 123)));
    stream_.async_close(close_reason, [done = std::move(done)](error_code error) mutable { done(status_from(error)); });
  }
  void abort() override { stream_.next_layer().transport().close(true); }

 private:
  ws::stream<ErasedStream, false> stream_;
  ws::request_type upgrade_;
  beast::flat_buffer input_;
};

std::string format_endpoint(const tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  auto text = address.to_string();
  if (address.is_v6()) text = "[" + text + "]";
  return text + ":" + std::to_string(endpoint.port());
}

class AsioListener final : public Listener {
 public:
  AsioListener(std::shared_ptr<AsioLoop> loop) : loop_(std::move(loop)), pause_(loop_->context().get_executor()) {}

  Result<> bind(const std::string& listen) {
    auto colon = listen.rfind(':');
    if (colon == std::string::npos)
      return fail(ErrorKind::bad_input, "listen address '" + listen + "' has no port; write host:port");
    auto host = listen.substr(0, colon);
    auto service = listen.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (service.empty() || service.size() > 5 || service.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(service) > 65535) {
      return fail(ErrorKind::bad_input, "listen address '" + listen + "' has a bad port");
    }
    auto port = static_cast<unsigned short>(std::stoi(service));
    std::vector<tcp::endpoint> endpoints;
    if (host.empty() || host == "*") {
      endpoints = {tcp::endpoint(asio::ip::address_v6::any(), port)};
      if (auto bound = open_one(endpoints[0], true); bound) return {};
      return open_one(tcp::endpoint(asio::ip::address_v4::any(), port), false);
    }
    error_code error;
    tcp::resolver resolver(loop_->context());
    auto resolved = resolver.resolve(host, service, tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error) return fail(ErrorKind::bad_input, "cannot resolve listen address '" + listen + "': " + error.message());
    for (const auto& entry : resolved) endpoints.push_back(entry.endpoint());
    std::sort(endpoints.begin(), endpoints.end());
    endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
    Result<> last = fail(ErrorKind::unavailable, "listen address '" + listen + "' has no addresses");
    for (auto& endpoint : endpoints) {
      if (!acceptors_.empty()) endpoint.port(this->port());
      auto bound = open_one(endpoint, endpoint.address().is_v6() && endpoint.address().is_unspecified());
      // A name such as localhost may also have an address of a family this machine lacks: one that works is enough.
      if (!bound && acceptors_.empty()) last = std::move(bound);
    }
    return acceptors_.empty() ? last : Result<>{};
  }

  std::string address() const override { return format_endpoint(local_); }
  std::uint16_t port() const override { return local_.port(); }
  void start(Hooks hooks) override {
    hooks_ = std::move(hooks);
    loop_->post([this] {
      for (auto& acceptor : acceptors_) accept(acceptor);
    });
  }
  void close() override {
    closed_ = true;
    pause_.cancel();
    error_code ignored;
    for (auto& acceptor : acceptors_) acceptor.close(ignored);
  }

 private:
  Result<> open_one(const tcp::endpoint& endpoint, bool dual_stack) {
    Acceptor acceptor(loop_->context().get_executor());
    error_code error;
    auto check = [&](std::string_view doing) -> Result<> {
      if (!error) return {};
      return fail(ErrorKind::unavailable,
                  "cannot listen on " + format_endpoint(endpoint) + ": " + std::string(doing) + error.message());
    };
    acceptor.open(endpoint.protocol(), error);
    if (auto r = check("open: "); !r) return r;
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(!dual_stack), error);
    acceptor.bind(endpoint, error);
    if (auto r = check(""); !r) return r;
    acceptor.listen(4096, error);
    if (auto r = check(""); !r) return r;
    acceptor.non_blocking(true, error);
    if (acceptors_.empty()) local_ = acceptor.local_endpoint(error);
    acceptors_.push_back(std::move(acceptor));
    return {};
  }

  void accept(Acceptor& acceptor) {
    Loop& target = hooks_.choose();
    auto& context = static_cast<AsioLoop&>(target).context();
    acceptor.async_accept(context.get_executor(), [this, &acceptor, &target](error_code error, Socket socket) {
      if (closed_) return;
      if (error) return retry(acceptor, error);
      admit(target, std::move(socket));
      accept(acceptor);
    });
  }
  // Out of file descriptors, or the peer was gone before we looked.
  void retry(Acceptor& acceptor, const error_code& error) {
    if (error == asio::error::connection_aborted) return accept(acceptor);
    log::warn("http", "cannot accept connections for now", {{"error", error.message()}});
    pause_.expires_after(std::chrono::milliseconds(200));
    pause_.async_wait([this, &acceptor](error_code) {
      if (!closed_) accept(acceptor);
    });
  }
  void admit(Loop& target, Socket socket) {
    error_code error;
    auto remote = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(tcp::no_delay(true), error);
    std::unique_ptr<Transport> transport;
    if (auto tls = hooks_.tls()) {
      transport = std::make_unique<TlsTransport>(std::move(socket), format_endpoint(remote), std::move(tls));
    } else {
      transport = std::make_unique<PlainTransport>(std::move(socket), format_endpoint(remote));
    }
    if (target.on_this_thread()) return hooks_.accepted(target, std::move(transport));
    target.post(
        [this, &target, transport = std::move(transport)]() mutable { hooks_.accepted(target, std::move(transport)); });
  }

  std::shared_ptr<AsioLoop> loop_;
  Timer pause_;
  std::vector<Acceptor> acceptors_;
  tcp::endpoint local_;
  Hooks hooks_;
  bool closed_ = false;
};

// Maps Beast's parser callbacks to RequestParser.
class BeastParser final : public RequestParser {
 public:
  explicit BeastParser(std::size_t max_header_bytes) : max_header_bytes_(max_header_bytes) { reset(); }

  void reset() override {
    head_ = Head{};
    parser_.emplace(*this);
    parser_->header_limit(static_cast<std::uint32_t>(max_header_bytes_));
    parser_->body_limit(boost::none);
  }
  Progress put(std::string_view bytes) override {
    Progress progress;
    error_code error;
    bool header_was_done = parser_->is_header_done();
    progress.consumed = parser_->put(asio::const_buffer(bytes.data(), bytes.size()), error);
    if (!header_was_done && parser_->is_header_done()) {
      if (auto length = parser_->content_length()) head_.content_length = *length;
      head_.chunked = parser_->chunked();
      head_.keep_alive = parser_->keep_alive();
      head_.upgrade = parser_->upgrade();
    }
    if (!error) return progress;
    if (error == beast::http::error::need_more) {
      progress.status = Status::need_more;
    } else if (error == beast::http::error::header_limit) {
      progress.status = Status::header_too_large;
    } else if (error == beast::http::error::end_of_stream) {
      progress.status = Status::refused;
    } else {
      progress.status = Status::bad;
      progress.message = error.message();
    }
    return progress;
  }
  bool header_done() const override { return parser_->is_header_done(); }
  bool done() const override { return parser_->is_done(); }
  bool saw_request_line() const override { return !head_.method.empty(); }
  Head& head() override { return head_; }

 private:
  struct Callbacks final : beast::http::basic_parser<true> {
    explicit Callbacks(BeastParser& owner) : owner_(owner) {}
    void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                         error_code&) override {
      owner_.head_.method = std::string_view(method);
      owner_.head_.target = std::string_view(target);
      owner_.head_.minor_version = version % 10;
    }
    void on_response_impl(int, beast::string_view, int, error_code&) override {}
    void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, error_code&) override {
      // Trailers come through here too; they must not change what the header said.
      if (!in_body_) owner_.head_.headers.add(std::string(name), std::string(value));
    }
    void on_header_impl(error_code&) override { in_body_ = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(beast::string_view body, error_code& error) override {
      if (!owner_.on_body(std::string_view(body))) error = beast::http::error::end_of_stream;
      return body.size();
    }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code& error) override {
      return on_body_impl(body, error);
    }
    void on_finish_impl(error_code&) override {}
    BeastParser& owner_;
    bool in_body_ = false;
  };

  std::size_t max_header_bytes_;
  Head head_;
  std::optional<Callbacks> parser_;
};

std::string openssl_reason(const error_code& error) {
  const char* reason = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
  return reason != nullptr ? std::string(reason) : error.message();
}

// http/1.1 is all we speak (RFC 7301).
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered, unsigned size,
                void*) {
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  auto* selected = const_cast<unsigned char**>(out);
  return SSL_select_next_proto(selected, out_size, kOurs, sizeof kOurs, offered, size) == OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

std::shared_ptr<Loop> Loop::create(std::string thread_name) { return std::make_shared<AsioLoop>(thread_name); }

Result<std::unique_ptr<Listener>> Listener::open(const std::string& listen, std::shared_ptr<Loop> loop) {
  auto listener = std::make_unique<AsioListener>(std::static_pointer_cast<AsioLoop>(std::move(loop)));
  if (auto bound = listener->bind(listen); !bound) return std::unexpected(std::move(bound.error()));
  return listener;
}

std::unique_ptr<WebSocketChannel> make_websocket(std::unique_ptr<Transport> transport, std::string leftover,
                                                 std::size_t max_message, std::chrono::milliseconds idle_timeout) {
  std::unique_ptr<AsioTransport> ours(static_cast<AsioTransport*>(transport.release()));
  return std::make_unique<BeastChannel>(std::move(ours), std::move(leftover), max_message, idle_timeout);
}

Result<std::shared_ptr<TlsContext>> load_tls(const std::string& certificate_file, const std::string& key_file) {
  auto tls = std::make_shared<TlsContext>();
  auto& context = tls->context;
  error_code error;
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                          ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 | ssl::context::no_compression,
                      error);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context.native_handle(), select_alpn, nullptr);
  // An encrypted key must fail here instead of asking on the terminal.
  context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context.use_certificate_chain_file(certificate_file, error);
  if (error)
    return fail(ErrorKind::bad_input, "TLS certificate file '" + certificate_file + "': " + openssl_reason(error));
  context.use_private_key_file(key_file, ssl::context::pem, error);
  if (error) return fail(ErrorKind::bad_input, "TLS key file '" + key_file + "': " + openssl_reason(error));
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    return fail(ErrorKind::bad_input,
                "TLS key file '" + key_file + "' does not belong to certificate '" + certificate_file + "'");
  }
  return tls;
}

std::unique_ptr<RequestParser> RequestParser::create(std::size_t max_header_bytes) {
  return std::make_unique<BeastParser>(max_header_bytes);
}

}  // namespace tocayo::http::detail
