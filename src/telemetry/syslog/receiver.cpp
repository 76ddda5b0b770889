// SPDX-License-Identifier: Apache-2.0
#include "syslog/receiver.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "core/fd.h"
#include "core/log.h"
#include "core/task.h"
#include "syslog/framer.h"
#include "syslog/rows.h"
#include "syslog/tls.h"

namespace tocayo::syslog {

namespace {

constexpr std::string_view kRoom = "syslog";
constexpr std::size_t kBatchBytes = 1 << 20;
constexpr std::size_t kBatchMessages = 10'000;
constexpr std::chrono::milliseconds kBatchDelay{100};
constexpr std::chrono::milliseconds kRetry{500};
constexpr int kSocketBuffer = 8 << 20;  // asked for; the system may give less
constexpr std::size_t kLongestDatagram = 65'536;
constexpr std::chrono::seconds kHandshake{10};
constexpr std::chrono::seconds kRefresh{10};  // looks at the certificate's files
using Steady = std::chrono::steady_clock;

std::string address_text(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(), nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return {};
  const std::string_view text(host.data());
  return std::string(text.starts_with("::ffff:") ? text.substr(7) : text);
}

std::string name_of(const ListenerConfig& config) {
  const bool tls = !config.tls.cert_file.empty();
  return fmt::format("{}://{}:{}", tls ? "tls" : config.tcp ? "tcp" : "udp", config.host, config.port);
}

Result<Fd> bind_to(const ListenerConfig& config) {
  addrinfo hints{};
  hints.ai_family = config.host.empty() ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = config.tcp ? SOCK_STREAM : SOCK_DGRAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* raw = nullptr;
  const auto port = std::to_string(config.port);
  const auto failed = [&](std::string_view why) {
    return fail(ErrorKind::unavailable, fmt::format("cannot listen for syslog on {}: {}", name_of(config), why));
  };
  int code = ::getaddrinfo(config.host.empty() ? nullptr : config.host.c_str(), port.c_str(), &hints, &raw);
  if (code != 0) return failed(::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(raw, &::freeaddrinfo);
  int last = 0;
  // Without IPv6 a socket for all addresses is one of IPv4.
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(config.port);
  addrinfo plain = *raw;
  plain.ai_family = AF_INET;
  plain.ai_addr = reinterpret_cast<sockaddr*>(&any);
  plain.ai_addrlen = sizeof(any);
  plain.ai_next = nullptr;
  std::vector<const addrinfo*> tries;
  for (const addrinfo* at = raw; at != nullptr; at = at->ai_next) tries.push_back(at);
  if (config.host.empty()) tries.push_back(&plain);
  for (const addrinfo* at : tries) {
    Fd fd(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    const int off = 0;
    if (fd.get() >= 0) {
      if (config.tcp) (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      if (at->ai_family == AF_INET6 && config.host.empty())
        (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
      if (!config.tcp) {
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kSocketBuffer, sizeof(kSocketBuffer));
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
      }
      if (::bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && (!config.tcp || ::listen(fd.get(), 128) == 0))
        return fd;
    }
    last = errno;
  }
  return failed(std::generic_category().message(last));
}

std::uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

class Receiver::Listener {
 public:
  Listener(ListenerConfig config, std::unique_ptr<TlsContext> tls, Fd socket, logs::api::PushHandler& push,
           Registry& registry, const Clock& clock)
      : config_(std::move(config)),
        tls_(std::move(tls)),
        socket_(std::move(socket)),
        port_(port_of(socket_.get())),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        push_(push),
        clock_(clock),
        messages_(registry.counter("tocayo_syslog_messages_total", "Messages received.", labels())),
        bytes_(registry.counter("tocayo_syslog_bytes_total", "Bytes of messages received.", labels())),
        dropped_(registry.counter("tocayo_syslog_dropped_total",
                                  "Messages that were lost: datagrams that came faster than they were read, and what "
                                  "the store did not take.",
                                  labels())),
        refused_(registry.counter("tocayo_syslog_refused_connections_total",
                                  "Connections that were turned away: too many, or no handshake of TLS.", labels())),
        connections_(registry.gauge("tocayo_syslog_connections", "Open connections of senders.", labels())) {
    watch(socket_.get());
    watch(wake_.get());
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  ~Listener() {
    thread_.request_stop();
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
    thread_.join();
    connections_.add(-static_cast<double>(open_.size()));
  }
  std::uint16_t port() const { return port_; }

 private:
  struct Connection {
    Connection(Fd socket, std::string from, std::size_t max_message)
        : fd(std::move(socket)), peer(std::move(from)), framer(max_message) {}
    bool established() const { return tls == nullptr || tls->established(); }
    Fd fd;
    std::string peer;
    Framer framer;
    std::unique_ptr<TlsStream> tls;  // nullptr: plain
    bool waits_to_write = false;
    Steady::time_point began = Steady::now(), last = began;
  };

  Labels labels() const { return Labels{{"listener", name_of(config_)}}; }

  void watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void run(const std::stop_token& stop) {
    std::array<epoll_event, 64> events{};
    auto swept = Steady::now();
    while (!stop.stop_requested()) {
      const int wait = batch_.empty() ? 1000 : 20;
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), wait);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == wake_.get()) continue;
        if (fd != socket_.get()) {
          read_connection(fd, stop);
        } else if (config_.tcp) {
          accept_all();
        } else {
          read_datagrams(stop);
        }
      }
      if (!batch_.empty() && Steady::now() - began_ >= kBatchDelay) flush(stop);
      if (Steady::now() - swept > std::chrono::seconds(1)) {
        swept = Steady::now();
        close_idle(swept, stop);
        refresh_tls(swept);
      }
    }
    for (auto& [fd, connection] : open_) take_rest(*connection, stop);
    flush(stop);
  }

  void take(std::string_view message, std::string_view peer, const std::stop_token& stop) {
    if (message.empty()) return;
    if (batch_.empty()) began_ = Steady::now();
    batch_.add(message, peer, clock_.now_ms() * 1'000'000, number_++);
    messages_.add();
    bytes_.add(static_cast<double>(message.size()));
    if (batch_.bytes.size() >= kBatchBytes || batch_.items.size() >= kBatchMessages) flush(stop);
  }

  void take_rest(Connection& connection, const std::stop_token& stop) {
    connection.framer.finish([&](std::string_view message) { take(message, connection.peer, stop); });
  }

  void accept_all() {
    while (true) {
      sockaddr_storage address{};
      socklen_t size = sizeof(address);
      Fd fd(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() < 0) return;
      if (open_.size() >= config_.max_connections) {
        refused_.add();
        complain("a sender was turned away", address_text(address, size), "max_connections are open");
        continue;
      }
      const int key = fd.get();
      auto made = std::make_unique<Connection>(std::move(fd), address_text(address, size), config_.max_message);
      if (tls_ && !(made->tls = tls_->accept(key))) continue;
      open_.emplace(key, std::move(made));
      connections_.add(1);
      watch(key);
    }
  }

  using Open = std::unordered_map<int, std::unique_ptr<Connection>>;

  void read_tls(Open::iterator at, const std::stop_token& stop) {
    auto& connection = *at->second;
    // What OpenSSL has taken from the socket the system does not tell of again.
    do {
      std::size_t got = 0;
      const auto status = connection.tls->read(buffer_, got);
      if (status == TlsStream::Status::failed) {
        refused_.add();
        complain("a connection failed", connection.peer, connection.tls->error());
      }
      if (status == TlsStream::Status::failed || status == TlsStream::Status::ended) {
        close(at, stop);
        return;
      }
      const bool write = status == TlsStream::Status::wait_writable;
      if (write != connection.waits_to_write) {
        connection.waits_to_write = write;
        epoll_event event{};
        event.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN;
        event.data.fd = at->first;
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, at->first, &event);
      }
      if (status != TlsStream::Status::ok) return;
      connection.last = Steady::now();
      connection.framer.put({buffer_.data(), got},
                            [&](std::string_view message) { take(message, connection.peer, stop); });
    } while (connection.tls->pending());
  }

  // At most once a minute: who knocks often must not fill the log.
  void complain(std::string_view what, const std::string& peer, std::string_view why) {
    if (complained_ != Steady::time_point{} && Steady::now() - complained_ < std::chrono::minutes(1)) return;
    complained_ = Steady::now();
    log::warn(kRoom, what, {{"listener", name_of(config_)}, {"sender", peer}, {"error", why}});
  }

  void refresh_tls(Steady::time_point now) {
    if (!tls_ || now - refreshed_ < kRefresh) return;
    refreshed_ = now;
    auto read = tls_->refresh();
    if (!read) {
      log::error(kRoom, "the new certificate is not used", {{"listener", name_of(config_)}, {"error", read.error()}});
    } else if (*read) {
      log::info(kRoom, "the certificate was read again", {{"listener", name_of(config_)}});
    }
  }

  void read_connection(int fd, const std::stop_token& stop) {
    const auto found = open_.find(fd);
    if (found == open_.end()) return;
    auto& connection = *found->second;
    if (connection.tls) return read_tls(found, stop);
    const auto got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      close(found, stop);
      return;
    }
    connection.last = Steady::now();
    connection.framer.put({buffer_.data(), static_cast<std::size_t>(got)},
                          [&](std::string_view message) { take(message, connection.peer, stop); });
  }

  Open::iterator close(Open::iterator at, const std::stop_token& stop) {
    take_rest(*at->second, stop);
    connections_.add(-1);
    return open_.erase(at);
  }

  void close_idle(Steady::time_point now, const std::stop_token& stop) {
    for (auto at = open_.begin(); at != open_.end();) {
      const auto& connection = *at->second;
      const bool idle = config_.idle_timeout.count() > 0 && now - connection.last > config_.idle_timeout;
      const bool late = !connection.established() && now - connection.began > kHandshake;
      if (late) refused_.add();
      at = idle || late ? close(at, stop) : std::next(at);
    }
  }

  void read_datagrams(const std::stop_token& stop) {
    for (int i = 0; i < 1024; ++i) {
      sockaddr_storage address{};
      iovec part{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
      std::array<char, 64> control{};
      msghdr header{};
      header.msg_name = &address;
      header.msg_namelen = sizeof(address);
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      const auto got = ::recvmsg(socket_.get(), &header, 0);
      if (got < 0) return;
      for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SO_RXQ_OVFL) continue;
        std::uint32_t total = 0;  // since the socket was made
        std::memcpy(&total, CMSG_DATA(at), sizeof(total));
        if (total != lost_) dropped_.add(static_cast<double>(total - lost_));
        lost_ = total;
      }
      take(std::string_view(buffer_.data(), static_cast<std::size_t>(got)).substr(0, config_.max_message),
           address_text(address, header.msg_namelen), stop);
    }
  }

  // Until the store has taken the batch. What it refuses for good is counted there.
  void flush(const std::stop_token& stop) {
    const auto give_up = Steady::now() + std::chrono::seconds(1);
    std::string told;
    while (!batch_.empty()) {
      auto stored = sync_wait(push_.store(config_.tenant, batch_.bytes.size(),
                                          [&](logs::api::PushRows& rows, const logs::api::LogLimits&) -> Result<> {
                                            make_rows(batch_, config_, rows);
                                            return {};
                                          }));
      const auto again = later(stored);
      if (!again) {
        note_rejected(stored);
        break;
      }
      if (told.empty())
        log::warn(kRoom, "lines wait for the store", {{"listener", name_of(config_)}, {"error", *again}});
      told = *again;
      if (stop.stop_requested() && Steady::now() > give_up) {
        dropped_.add(static_cast<double>(batch_.items.size()));
        break;
      }
      std::this_thread::sleep_for(stop.stop_requested() ? std::chrono::milliseconds(50) : kRetry);
    }
    batch_.clear();
  }

  void note_rejected(const Result<logs::api::PushHandler::Stored>& stored) {
    std::size_t lines = stored ? 0 : batch_.items.size();
    std::string why = stored ? "" : stored.error().message;
    if (stored) {
      for (const auto& reason : stored->result.rejected) lines += reason.lines;
      if (!stored->result.messages.empty()) why = stored->result.messages.front();
    }
    if (lines == 0) return;
    dropped_.add(static_cast<double>(lines));
    complain("messages were refused", batch_.peers.front(), why);
  }

  // Why the same may be taken later; nullopt: it is done with.
  static std::optional<std::string> later(const Result<logs::api::PushHandler::Stored>& stored) {
    if (!stored) {
      const auto kind = stored.error().kind;
      if (kind == ErrorKind::bad_input || kind == ErrorKind::too_large) return std::nullopt;
      return stored.error().message;
    }
    for (const auto& reason : stored->result.rejected) {
      if (reason.reason == "rate_limited" || reason.reason == "per_stream_rate_limit")
        return stored->result.messages.empty() ? std::string(reason.reason) : stored->result.messages.front();
    }
    return std::nullopt;
  }

  ListenerConfig config_;
  std::unique_ptr<TlsContext> tls_;  // nullptr: plain
  Fd socket_;
  std::uint16_t port_;
  Fd epoll_;
  Fd wake_;
  logs::api::PushHandler& push_;
  const Clock& clock_;
  Counter& messages_;
  Counter& bytes_;
  Counter& dropped_;
  Counter& refused_;
  Gauge& connections_;
  Open open_;
  Batch batch_;
  Steady::time_point began_, complained_, refreshed_ = Steady::now();
  std::uint64_t number_ = 0;
  std::uint32_t lost_ = 0;
  std::vector<char> buffer_ = std::vector<char>(kLongestDatagram);
  std::jthread thread_;  // last: ends first
};

Receiver::Receiver() = default;
Receiver::~Receiver() = default;

Result<std::unique_ptr<Receiver>> Receiver::start(std::vector<ListenerConfig> configs, logs::api::PushHandler& push,
                                                  Registry& registry, const Clock& clock) {
  std::unique_ptr<Receiver> receiver(new Receiver());
  for (auto& config : configs) {
    std::unique_ptr<TlsContext> tls;
    if (!config.tls.cert_file.empty()) {
      auto opened = TlsContext::open(config.tls);
      if (!opened) return std::unexpected(std::move(opened.error()).with_context("logs.syslog: " + name_of(config)));
      tls = std::move(*opened);
    }
    Fd socket = TRY(bind_to(config));
    receiver->listeners_.push_back(
        std::make_unique<Listener>(std::move(config), std::move(tls), std::move(socket), push, registry, clock));
  }
  return receiver;
}

std::vector<std::uint16_t> Receiver::ports() const {
  std::vector<std::uint16_t> out;
  for (const auto& listener : listeners_) out.push_back(listener->port());
  return out;
}

}  // namespace tocayo::syslog
