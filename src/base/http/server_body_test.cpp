// SPDX-License-Identifier: Apache-2.0
// Compression, streaming, cancellation and deadlines.
#include <fstream>

#include "core/testing.h"
#include "http/detail/compress.h"
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

using detail::Coding;

std::string compress(Coding coding, std::string_view text) { return detail::Encoder::create(coding)->finish(text); }
std::string expand(std::string_view coding, std::string_view bytes) {
  auto plain = detail::decompress(detail::parse_coding(coding), bytes, 1 << 30);
  EXPECT_TRUE(plain) << plain.error().message;
  return plain ? *plain : std::string();
}

Task<Response> echo(Request& request) { co_return Response::text(200, request.body); }

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      std::size_t kib = 0;
      status >> kib;
      return kib;
    }
  }
  return 0;
}

TEST(Compress, RoundTripsAndRejects) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 7919);
  for (auto coding : {Coding::gzip, Coding::zstd}) {
    auto encoder = detail::Encoder::create(coding);
    std::string packed = encoder->write(std::string_view(text).substr(0, 100'000));
    packed += encoder->write({});
    packed += encoder->finish(std::string_view(text).substr(100'000));
    EXPECT_EQ(*detail::decompress(coding, packed, text.size()), text);
    EXPECT_EQ(*detail::decompress(coding, packed + packed, 2 * text.size()), text + text);  // members, frames
    EXPECT_EQ(detail::decompress(coding, packed, text.size() - 1).error().kind, ErrorKind::too_large);
    EXPECT_EQ(detail::decompress(coding, packed.substr(0, packed.size() - 1), 1 << 30).error().kind,
              ErrorKind::bad_input);
    EXPECT_EQ(detail::decompress(coding, packed + "xyz", 1 << 30).error().kind, ErrorKind::bad_input);
    EXPECT_EQ(detail::decompress(coding, "garbage", 1 << 30).error().kind, ErrorKind::bad_input);
    EXPECT_EQ(detail::decompress(coding, "", 1 << 30).error().kind, ErrorKind::bad_input);
    EXPECT_EQ(detail::decompress(coding, packed, 1 << 30, [](std::size_t) { return false; }).error().kind,
              ErrorKind::unavailable);
    for (std::size_t size : {0U, 1U, 65'535U, 65'536U, 65'537U, 131'072U}) {
      auto part = text.substr(0, size);
      EXPECT_EQ(*detail::decompress(coding, compress(coding, part), size), part) << size;
    }
  }
}

TEST(Compress, Negotiation) {
  EXPECT_EQ(detail::negotiate(""), Coding::identity);
  EXPECT_EQ(detail::negotiate("gzip"), Coding::gzip);
  EXPECT_EQ(detail::negotiate("gzip, deflate, br, zstd"), Coding::zstd);
  EXPECT_EQ(detail::negotiate("zstd;q=0.5, gzip"), Coding::gzip);
  EXPECT_EQ(detail::negotiate("gzip;q=0"), Coding::identity);
  EXPECT_EQ(detail::negotiate("gzip;q=0, *"), Coding::zstd);
  EXPECT_EQ(detail::negotiate("br"), Coding::identity);
  EXPECT_EQ(detail::negotiate("gzip;q=nonsense"), Coding::identity);
  EXPECT_TRUE(detail::compressible("application/json; charset=utf-8"));
  EXPECT_TRUE(detail::compressible("image/svg+xml"));
  EXPECT_FALSE(detail::compressible("image/png"));
  EXPECT_FALSE(detail::compressible(""));
}

TEST_F(ServerTest, UndoesContentEncoding) {
  router.add("POST", "/echo", echo);
  RouteOptions raw;
  raw.raw_body = true;
  router.add("POST", "/raw", echo, raw);
  start();
  RawClient client(port());
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += std::to_string(i);
  for (auto coding : {Coding::gzip, Coding::zstd}) {
    auto field = "Content-Encoding: " + std::string(to_string(coding)) + "\r\n";
    EXPECT_EQ(client.post("/echo", compress(coding, text), field).body, text);
    EXPECT_EQ(client.post("/echo", compress(coding, "small"), field).body, "small");
    EXPECT_EQ(client.post("/raw", compress(coding, text), field).body, compress(coding, text));
    auto broken = client.post("/echo", "not compressed", field);
    EXPECT_EQ(broken.status, 400);
    EXPECT_EQ(client.post("/echo", compress(coding, text).substr(0, 5000), field).status, 400);
  }
  // zlib's and raw deflate: "hello" by zlib.compress(b"hello") and its inner stream.
  std::string zlib("\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15", 13);
  EXPECT_EQ(client.post("/echo", zlib, "Content-Encoding: deflate\r\n").body, "hello");
  EXPECT_EQ(client.post("/echo", zlib.substr(2, 7), "Content-Encoding: deflate\r\n").body, "hello");
  EXPECT_EQ(client.post("/raw", "x", "Content-Encoding: snappy\r\n").body, "x");
  RawClient unknown(port());
  EXPECT_EQ(unknown.post("/echo", "x", "Content-Encoding: snappy\r\n").status, 415);
}

TEST_F(ServerTest, BombsAreRefusedWithoutTheMemory) {
  RouteOptions limited;
  limited.max_body = 1 << 20;
  router.add("POST", "/echo", echo, limited);
  start();
  for (auto coding : {Coding::gzip, Coding::zstd}) {
    std::string bomb;
    {
      auto encoder = detail::Encoder::create(coding);
      std::string zeros(4 << 20, '\0');
      for (int i = 0; i < 40; ++i) bomb += encoder->write(zeros);  // 160 MiB
      bomb += encoder->finish({});
    }
    ASSERT_LT(bomb.size(), 1U << 20);
    auto before = resident_kib();
    RawClient client(port());
    auto response = client.post("/echo", bomb, "Content-Encoding: " + std::string(to_string(coding)) + "\r\n");
    EXPECT_EQ(response.status, 413);
    EXPECT_LT(resident_kib(), before + 40'000);
    EXPECT_EQ(client.post("/echo", "fine").body, "fine");
  }
}

TEST_F(ServerTest, CompressesWhatIsWorthIt) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "sample " + std::to_string(i % 100);
  router.add("GET", "/text", [&text](Request&) -> Task<Response> {
    auto response = Response::json(200, text);
    response.headers.add("ETag", "\"v1\"");
    co_return response;
  });
  router.add("GET", "/medium",
             [&text](Request&) -> Task<Response> { co_return Response::json(200, text.substr(0, 4000)); });
  router.add("GET", "/small", [](Request&) -> Task<Response> { co_return Response::json(200, "{}"); });
  router.add("GET", "/png", [&text](Request&) -> Task<Response> { co_return Response::text(200, text, "image/png"); });
  router.add("GET", "/never", [&text](Request&) -> Task<Response> {
    auto response = Response::json(200, text);
    response.compress = false;
    co_return response;
  });
  router.add("GET", "/ready", [](Request&) -> Task<Response> {
    static const std::string kPacked = compress(Coding::gzip, "packed at build time");
    Response response;
    response.headers.add("Content-Type", "text/css");
    response.headers.add("Content-Encoding", "gzip");
    response.static_body = kPacked;
    co_return response;
  });
  start();
  RawClient client(port());
  for (std::string_view coding : {"gzip", "zstd"}) {
    auto accept = "Accept-Encoding: " + std::string(coding) + "\r\n";
    for (std::string_view path : {"/text", "/medium"}) {
      auto response = client.get(path, accept);
      EXPECT_EQ(response.headers.get("Content-Encoding"), coding);
      EXPECT_EQ(response.headers.get("Vary"), "Accept-Encoding");
      EXPECT_EQ(expand(coding, response.body), path == "/text" ? text : text.substr(0, 4000));
      EXPECT_LT(response.body.size(), 4000U);
    }
    EXPECT_EQ(client.get("/text", accept).headers.get("ETag"), "W/\"v1\"");
    EXPECT_FALSE(client.get("/small", accept).headers.has("Content-Encoding"));
    EXPECT_FALSE(client.get("/png", accept).headers.has("Content-Encoding"));
    EXPECT_FALSE(client.get("/never", accept).headers.has("Content-Encoding"));
    EXPECT_EQ(expand("gzip", client.get("/ready", accept).body), "packed at build time");
  }
  auto plain = client.get("/text");
  EXPECT_EQ(plain.body, text);
  EXPECT_EQ(plain.headers.get("Vary"), "Accept-Encoding");
  EXPECT_EQ(plain.headers.get("ETag"), "\"v1\"");
}

// Handlers of the streaming tests.
StreamBody count_to(Pool& pool, int lines, ErrorKind fail_kind = ErrorKind::internal, int fail_at = -1) {
  return [&pool, lines, fail_kind, fail_at](BodySink& sink) -> Task<Result<>> {
    co_await pool.schedule();
    for (int i = 0; i < lines; ++i) {
      if (i == fail_at) co_return fail(fail_kind, "the disk is gone");
      CO_TRY_VOID(co_await sink.write("line " + std::to_string(i) + "\n"));
    }
    co_return Result<>{};
  };
}

std::string lines_to(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST_F(ServerTest, StreamsChunkedCompressedAndToHttp10) {
  router.add("GET", "/stream", [this](Request&) -> Task<Response> {
    auto response = Response::text(200, "");
    response.stream = count_to(pool, 20'000);
    co_return response;
  });
  router.add("GET", "/empty", [this](Request&) -> Task<Response> {
    auto response = Response::text(200, "");
    response.stream = count_to(pool, 0);
    co_return response;
  });
  start();
  RawClient client(port());
  auto expected = lines_to(20'000);
  auto plain = client.get("/stream");
  EXPECT_TRUE(plain.complete);
  EXPECT_GT(plain.chunks, 1U);
  EXPECT_EQ(plain.body, expected);
  for (std::string_view coding : {"gzip", "zstd"}) {
    auto packed = client.get("/stream", "Accept-Encoding: " + std::string(coding) + "\r\n");
    EXPECT_EQ(packed.headers.get("Content-Encoding"), coding);
    EXPECT_EQ(expand(coding, packed.body), expected);
  }
  EXPECT_EQ(client.get("/empty").body, "");
  EXPECT_EQ(client.request("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n").headers.get("Transfer-Encoding"), "chunked");
  EXPECT_EQ(client.get("/stream").body, expected);
  RawClient old(port());
  auto close_delimited = old.request("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(close_delimited.headers.has("Transfer-Encoding"));
  EXPECT_EQ(close_delimited.body, expected);
  EXPECT_TRUE(close_delimited.complete);
}

TEST_F(ServerTest, AFailingStreamNeverLooksWhole) {
  router.add("GET", "/late", [this](Request&) -> Task<Response> {
    auto response = Response::text(200, "");
    response.stream = count_to(pool, 20'000, ErrorKind::internal, 10'000);
    co_return response;
  });
  router.add("GET", "/early", [this](Request&) -> Task<Response> {
    auto response = Response::text(200, "");
    response.stream = count_to(pool, 10, ErrorKind::limit, 0);
    co_return response;
  });
  start();
  RawClient late(port());
  auto response = late.get("/late");
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.complete);
  EXPECT_TRUE(late.was_reset || !late.timed_out);
  RawClient old(port());
  EXPECT_FALSE(old.request("GET /late HTTP/1.0\r\n\r\n").complete);  // only a reset can say so
  EXPECT_TRUE(old.was_reset);
  RawClient early(port());
  auto refused = early.get("/early", "Accept-Encoding: gzip\r\n");  // nothing was sent: a proper error
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.complete);
  EXPECT_NE(refused.body.find("the disk is gone"), std::string::npos);
}

TEST_F(ServerTest, ASlowReaderHoldsTheProducerBack) {
  std::atomic<std::size_t> produced = 0;
  std::atomic<bool> ended = false;
  std::atomic<bool> whole = false;
  constexpr std::size_t kChunk = 64 << 10;
  constexpr std::size_t kTotal = std::size_t{1} << 30;
  router.add("GET", "/huge", [&](Request&) -> Task<Response> {
    Response response;
    response.stream = [&](BodySink& sink) -> Task<Result<>> {
      co_await pool.schedule();
      while (produced < kTotal) {
        auto written = co_await sink.write(std::string(kChunk, 'x'));
        if (!written) {
          ended = true;
          co_return written;
        }
        produced += kChunk;
      }
      whole = true;
      co_return Result<>{};
    };
    co_return response;
  });
  options.write_timeout = 400ms;
  start();
  auto before = resident_kib();
  {
    RawClient client(port(), 16 << 10);
    client.send("GET /huge HTTP/1.1\r\nHost: t\r\n\r\n");
    ASSERT_TRUE(client.receive_some());
    // The reader stops: the producer must come to rest far below 1 GB, and the write time limit must end it.
    EXPECT_TRUE(eventually([&] { return ended.load(); }));
    EXPECT_LT(produced, std::size_t{32} << 20);
    EXPECT_LT(resident_kib(), before + 60'000);
    EXPECT_TRUE(client.closed_by_peer());
  }
  produced = 0;
  RawClient client(port());
  client.send("GET /huge HTTP/1.1\r\nHost: t\r\n\r\n");
  std::size_t received = 0;
  std::string last;
  while (!last.ends_with("\r\n0\r\n\r\n")) {
    auto bytes = client.receive_some(10s, 1 << 20);
    if (!bytes) break;
    received += bytes->size();
    last = (last + *bytes).substr(std::max<std::size_t>(last.size() + bytes->size(), 16) - 16);
  }
  EXPECT_GE(received, kTotal);
  EXPECT_TRUE(whole);
  if (!kSanitized) EXPECT_LT(resident_kib(), before + 80'000);  // AddressSanitizer keeps what is freed for a while
}

TEST_F(ServerTest, ADisconnectCancelsTheHandler) {
  std::atomic<int> canceled = 0;
  router.add("POST", "/query", [&](Request& request) -> Task<Response> {
    co_await pool.schedule();
    while (request.context.check()) std::this_thread::yield();
    if (request.context.check().error().kind == ErrorKind::canceled) ++canceled;
    co_return error_response(request.context.check().error());
  });
  start();
  auto canceled_before = metric("tocayo_http_canceled_total");
  {
    RawClient client(port());
    client.send("POST /query HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_TRUE(eventually([&] { return metric("tocayo_http_requests_in_flight") > 0; }));
  }
  EXPECT_TRUE(eventually([&] { return canceled == 1; }));
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_requests_in_flight") == 0; }));
  RawClient reset(port());
  reset.send("POST /query HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_requests_in_flight") > 0; }));
  reset.reset();
  EXPECT_TRUE(eventually([&] { return canceled == 2; }));
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_requests_in_flight") == 0; }));
  EXPECT_EQ(metric("tocayo_http_canceled_total") - canceled_before, 2);
}

TEST_F(ServerTest, ADisconnectEndsAStream) {
  std::atomic<bool> ended = false;
  router.add("GET", "/forever", [&](Request& request) -> Task<Response> {
    Response response;
    response.stream = [&](BodySink& sink) -> Task<Result<>> {
      while (true) {
        co_await pool.schedule();
        auto written = co_await sink.write("tick\n");
        if (!written || !request.context.check()) {
          ended = true;
          co_return fail(ErrorKind::canceled, "gone");
        }
      }
    };
    co_return response;
  });
  start();
  {
    RawClient client(port());
    client.send("GET /forever HTTP/1.1\r\nHost: t\r\n\r\n");
    EXPECT_TRUE(client.receive_some());
  }
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

TEST_F(ServerTest, TheRoutesDeadlineReachesTheHandler) {
  RouteOptions brief;
  brief.timeout = 60ms;
  router.add(
      "GET", "/slow",
      [&](Request& request) -> Task<Response> {
        co_await pool.schedule();
        while (request.context.check()) std::this_thread::yield();
        co_return error_response(request.context.check().error());
      },
      brief);
  router.add(
      "GET", "/waits",
      [&](Request& request) -> Task<Response> {
        // Watches the token only, as code that waits for an event would.
        co_await pool.schedule();
        std::stop_callback ignored(request.context.stop_token(), [] {});
        while (!request.context.stop_token().stop_requested()) std::this_thread::yield();
        co_return Response::text(200, "stopped");
      },
      brief);
  start();
  RawClient client(port());
  auto response = client.get("/slow");
  EXPECT_EQ(response.status, 504);
  EXPECT_NE(response.body.find("\"timeout\""), std::string::npos);
  EXPECT_EQ(client.get("/waits").body, "stopped");
}

}  // namespace
}  // namespace tocayo::http::test
