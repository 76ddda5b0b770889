// SPDX-License-Identifier: Apache-2.0
// A server with trivial handlers for a load generator: `http_bench [io threads]` prints its address and runs until its
// standard input ends. `wrk -t1 -c64 -d5 http://ADDRESS/hello`.
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "core/pool.h"
#include "http/server.h"

namespace {

using namespace tocayo;
using namespace tocayo::http;

class LetThrough final : public Authenticator {
 public:
  Task<Result<>> authenticate(Request&, const RouteOptions&) override { co_return Result<>{}; }
};

}  // namespace

int main(int argc, char** argv) {
  Pool pool("compute", 2);
  Router router;
  router.add("GET", "/hello", [](Request&) -> Task<Response> { co_return Response::text(200, "hello, world\n"); });
  router.add("GET", "/pool", [&pool](Request&) -> Task<Response> {
    co_await pool.schedule();
    co_return Response::text(200, "hello, world\n");
  });
  router.add("GET", "/stream", [](Request&) -> Task<Response> {
    Response response;
    response.stream = [](BodySink& sink) -> Task<Result<>> {
      for (int i = 0; i < 1024; ++i) CO_TRY_VOID(co_await sink.write(std::string(64 << 10, 'x')));
      co_return Result<>{};
    };
    co_return response;
  });
  LetThrough authenticator;
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.io_threads = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  options.default_headers = {{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "same-origin"}};
  auto server = Server::start(options, router, authenticator);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->address().c_str());
  std::fflush(stdout);
  while (std::cin.get() != EOF) {
  }
  (*server)->stop(std::chrono::seconds(1));
  return 0;
}
