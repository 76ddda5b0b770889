// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>

#include "http/detail/address.h"
#include "http/detail/text.h"

namespace tocayo::http {
namespace {

constexpr long kPooledConnections = 512;
constexpr long kMaxRedirects = 10;

struct CurlFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, CurlFree>;
using List = std::unique_ptr<curl_slist, CurlFree>;
using Url = std::unique_ptr<CURLU, CurlFree>;

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string result(text);
  curl_free(text);
  return result;
}

void append(List& list, const std::string& line) { list.reset(curl_slist_append(list.release(), line.c_str())); }

// One exchange. Owned by the client from send() to the end; everything but `canceled` is the event thread's.
struct Transfer {
  ClientRequest request;
  Context context;
  Reach reach = Reach::anywhere;
  std::move_only_function<void(Result<ClientResponse>)> done;
  Easy easy;
  List header_list;
  List connect_to;
  std::string url;             // as given to libcurl
  std::string real_authority;  // with server_name: what stood in the URL
  ClientResponse response;
  bool too_large = false;
  bool refused_address = false;
  char error[CURL_ERROR_SIZE] = {};
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  auto& body = transfer.response.body;
  if (size * count > transfer.request.max_response_bytes - body.size()) {
    transfer.too_large = true;
    return 0;
  }
  body.append(data, size * count);
  return size * count;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, size * count);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // a new header: after 100 Continue, a redirect or a proxy's answer
    transfer.response.headers = {};
    transfer.response.body.clear();
  } else if (auto colon = line.find(':'); colon != std::string_view::npos) {
    transfer.response.headers.add(std::string(line.substr(0, colon)),
                                  std::string(detail::trim(line.substr(colon + 1))));
  }
  return size * count;
}

// Sees the resolved address of every connection, those of redirects too: the one place where a name cannot lie.
curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.reach == Reach::public_only && !detail::is_public_address(address->addr)) {
    transfer.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

Result<long> tls_version(const std::string& name) {
  if (name.empty() || name == "TLS12") return CURL_SSLVERSION_TLSv1_2;
  if (name == "TLS10") return CURL_SSLVERSION_TLSv1_0;
  if (name == "TLS11") return CURL_SSLVERSION_TLSv1_1;
  if (name == "TLS13") return CURL_SSLVERSION_TLSv1_3;
  return fail(ErrorKind::bad_input, "unknown TLS version '" + name + "'; known: TLS10, TLS11, TLS12, TLS13");
}

void set_blob(CURL* easy, CURLoption option, const std::string& text) {
  if (text.empty()) return;
  curl_blob blob{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
  curl_easy_setopt(easy, option, &blob);
}

void set_text(CURL* easy, CURLoption option, const std::string& text) {
  if (!text.empty()) curl_easy_setopt(easy, option, text.c_str());
}

Result<> set_url(Transfer& t) {
  auto& request = t.request;
  Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, request.url.c_str(), 0) != CURLUE_OK) {
    return fail(ErrorKind::bad_input, "'" + request.url + "' is not a URL");
  }
  auto scheme = url_part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https")
    return fail(ErrorKind::bad_input, "the URL must start with http:// or https://");
  t.url = request.url;
  if (!request.server_name.empty() && scheme == "https") {
    // libcurl verifies the name of the URL: put the wanted name there, and connect to the real host.
    auto host = url_part(url.get(), CURLUPART_HOST);
    auto port = url_part(url.get(), CURLUPART_PORT);
    t.real_authority = port.empty() ? host : host + ":" + port;
    curl_url_set(url.get(), CURLUPART_HOST, request.server_name.c_str(), 0);
    t.url = url_part(url.get(), CURLUPART_URL);
    append(t.connect_to, request.server_name + "::" + host + ":");
    if (!request.headers.has("Host")) append(t.header_list, "Host: " + t.real_authority);
    curl_easy_setopt(t.easy.get(), CURLOPT_CONNECT_TO, t.connect_to.get());
  }
  curl_easy_setopt(t.easy.get(), CURLOPT_URL, t.url.c_str());
  return {};
}

Result<> set_method_and_fields(Transfer& t) {
  auto* easy = t.easy.get();
  auto& request = t.request;
  if (!detail::valid_field(request.method, ""))
    return fail(ErrorKind::bad_input, "'" + request.method + "' is not an HTTP method");
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST" || !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    if (request.method != "POST") curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  for (const auto& [name, value] : request.headers) {
    if (!detail::valid_field(name, value)) return fail(ErrorKind::bad_input, "invalid request field '" + name + "'");
    append(t.header_list, value.empty() ? name + ";" : name + ": " + value);
  }
  if (!request.headers.has("Expect")) append(t.header_list, "Expect:");  // a round trip for nothing
  if (!request.headers.has("Content-Type")) append(t.header_list, "Content-Type:");
  if (!request.headers.has("User-Agent")) append(t.header_list, "User-Agent: Tocayo");
  if (!request.headers.has("Accept")) append(t.header_list, "Accept: */*");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t.header_list.get());
  if (request.accept_compressed && !request.headers.has("Accept-Encoding")) {
    bool zstd = (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ZSTD) != 0;
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, zstd ? "gzip, zstd" : "gzip");
  }
  if (!request.basic_user.empty() || !request.basic_password.empty()) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, request.basic_user.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, request.basic_password.c_str());
  }
  return {};
}

Result<> set_tls_and_proxy(Transfer& t) {
  auto* easy = t.easy.get();
  auto& request = t.request;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, TRY(tls_version(request.min_tls_version)));
  set_text(easy, CURLOPT_CAINFO, request.ca_file);
  set_text(easy, CURLOPT_SSLCERT, request.cert_file);
  set_text(easy, CURLOPT_SSLKEY, request.key_file);
  set_blob(easy, CURLOPT_CAINFO_BLOB, request.ca_pem);
  set_blob(easy, CURLOPT_SSLCERT_BLOB, request.cert_pem);
  set_blob(easy, CURLOPT_SSLKEY_BLOB, request.key_pem);
  // Only the given authorities count, not the machine's store as well.
  if (!request.ca_file.empty() || !request.ca_pem.empty()) curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  if (request.insecure_skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  bool detour = !request.proxy_url.empty() || !request.unix_socket.empty();
  if (t.reach == Reach::public_only && detour) {
    return fail(ErrorKind::forbidden, "a proxy or unix socket would bypass the check of the target's address");
  }
  if (!request.proxy_from_environment || t.reach == Reach::public_only) {
    curl_easy_setopt(easy, CURLOPT_PROXY, request.proxy_url.c_str());  // "" also silences the environment
    curl_easy_setopt(easy, CURLOPT_NOPROXY, request.no_proxy.c_str());
  }
  set_text(easy, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket);
  return {};
}

Result<> prepare(Transfer& t) {
  t.easy.reset(curl_easy_init());
  auto* easy = t.easy.get();
  if (easy == nullptr) return fail(ErrorKind::unavailable, "out of memory for an HTTP request");
  auto& request = t.request;
  if (auto r = set_url(t); !r) return r;
  if (auto r = set_method_and_fields(t); !r) return r;
  if (auto r = set_tls_and_proxy(t); !r) return r;
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.error);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &t);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &t);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, request.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
  if (request.follow_redirects) {
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kMaxRedirects);
  }
  auto left = std::chrono::milliseconds(request.timeout);
  if (t.context.deadline() != Context::Steady::time_point::max()) {
    left = std::min(
        left, std::chrono::duration_cast<std::chrono::milliseconds>(t.context.deadline() - Context::Steady::now()));
  }
  // 0 would mean "no limit" to libcurl.
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, std::max<long>(1, left.count()));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, std::max<long>(1, request.connect_timeout.count()));
  return {};
}

Error error_of(CURLcode code, const Transfer& t) {
  std::string detail = t.error[0] != '\0' ? t.error : curl_easy_strerror(code);
  if (t.too_large) {
    return {ErrorKind::too_large,
            "the response is over the limit of " + std::to_string(t.request.max_response_bytes) + " bytes"};
  }
  if (t.refused_address) return {ErrorKind::forbidden, "the target's address is not a public one"};
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return {ErrorKind::timeout, "no answer in time: " + detail};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return {ErrorKind::bad_input, detail};
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE: return {ErrorKind::bad_input, "TLS: " + detail};
    default: return {ErrorKind::unavailable, detail};
  }
}

class CurlClient final : public Client {
 public:
  explicit CurlClient(Reach reach) : reach_(reach), multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kPooledConnections);
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "http-client");
      run();
    });
  }
  ~CurlClient() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
    curl_multi_cleanup(multi_);
  }

  Task<Result<ClientResponse>> send(ClientRequest request, Context context) override {
    CO_TRY_VOID(context.check());
    auto transfer = std::make_unique<Transfer>();
    transfer->request = std::move(request);
    transfer->context = context;
    transfer->reach = reach_;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;
    auto response = co_await completion<Result<ClientResponse>>([&](auto complete) {
      // The callback may fire at once or any time later; an id that is gone by then is ignored. It is set up before the
      // transfer can finish, because afterwards this frame may be gone.
      transfer->done = complete;
      auto id = reserve_id();
      on_stop.emplace(context.stop_token(), [this, id] { cancel(id); });
      enqueue(id, std::move(transfer));
    });
    co_return response;
  }

 private:
  std::uint64_t reserve_id() {
    std::lock_guard lock(mutex_);
    return ++last_id_;
  }
  void enqueue(std::uint64_t id, std::unique_ptr<Transfer> transfer) {
    {
      std::lock_guard lock(mutex_);
      // A stop before this moment was told to nobody: cancel() ignores ids it does not know.
      if (transfer->context.stop_token().stop_requested()) canceled_.push_back(id);
      incoming_.emplace_back(id, std::move(transfer));
    }
    curl_multi_wakeup(multi_);
  }
  void cancel(std::uint64_t id) {
    {
      std::lock_guard lock(mutex_);
      canceled_.push_back(id);
    }
    curl_multi_wakeup(multi_);
  }

  void run() {
    while (take_orders()) {
      int running = 0;
      curl_multi_perform(multi_, &running);
      reap();
      curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
    for (auto& [id, transfer] : std::exchange(active_, {})) {
      curl_multi_remove_handle(multi_, transfer->easy.get());
      finish(std::move(transfer), fail(ErrorKind::canceled, "the HTTP client is shutting down"));
    }
  }

  // New and canceled transfers; false when the client ends.
  bool take_orders() {
    std::deque<std::pair<std::uint64_t, std::unique_ptr<Transfer>>> incoming;
    std::vector<std::uint64_t> canceled;
    bool stopping = false;
    {
      std::lock_guard lock(mutex_);
      incoming.swap(incoming_);
      canceled.swap(canceled_);
      stopping = stopping_;
    }
    for (auto& [id, transfer] : incoming) {
      if (auto ready = prepare(*transfer); !ready) {
        finish(std::move(transfer), std::unexpected(std::move(ready.error())));
        continue;
      }
      by_easy_[transfer->easy.get()] = id;
      curl_multi_add_handle(multi_, transfer->easy.get());
      active_.emplace(id, std::move(transfer));
    }
    for (auto id : canceled) {
      if (auto transfer = release(id))
        finish(std::move(transfer), fail(ErrorKind::canceled, "the request was canceled"));
    }
    return !stopping;
  }

  std::unique_ptr<Transfer> release(std::uint64_t id) {
    auto found = active_.find(id);
    if (found == active_.end()) return nullptr;
    auto transfer = std::move(found->second);
    active_.erase(found);
    by_easy_.erase(transfer->easy.get());
    curl_multi_remove_handle(multi_, transfer->easy.get());
    return transfer;
  }

  void reap() {
    int left = 0;
    while (auto* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      auto code = message->data.result;
      auto transfer = release(by_easy_.at(message->easy_handle));
      if (code != CURLE_OK) {
        auto error = error_of(code, *transfer);
        finish(std::move(transfer), std::unexpected(std::move(error)));
        continue;
      }
      complete(*transfer);
      auto response = std::move(transfer->response);
      finish(std::move(transfer), std::move(response));
    }
  }

  static void complete(Transfer& t) {
    auto* easy = t.easy.get();
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    t.response.status = static_cast<int>(status);
    char* url = nullptr;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    t.response.final_url = url != nullptr && t.url != url ? url : t.request.url;
    curl_off_t bytes = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
    t.response.wire_bytes = static_cast<std::size_t>(bytes);
  }

  static void finish(std::unique_ptr<Transfer> transfer, Result<ClientResponse> result) {
    auto done = std::move(transfer->done);
    transfer.reset();
    done(std::move(result));
  }

  const Reach reach_;
  CURLM* const multi_;
  std::mutex mutex_;
  std::deque<std::pair<std::uint64_t, std::unique_ptr<Transfer>>> incoming_;
  std::vector<std::uint64_t> canceled_;
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
  // Event thread only.
  std::unordered_map<std::uint64_t, std::unique_ptr<Transfer>> active_;
  std::unordered_map<CURL*, std::uint64_t> by_easy_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Client> Client::create(Reach reach) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  (void)ready;
  return std::make_unique<CurlClient>(reach);
}

}  // namespace tocayo::http
