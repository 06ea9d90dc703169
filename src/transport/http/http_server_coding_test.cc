// Compressed bodies, in and out, by way of the server.
#include <future>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transport/http/http_server.h"
#include "transport/http/http_test_server.h"
#include "transport/inflate.h"
#include "transport/test_client.h"
#include "transport/zlib_test_data.h"

namespace tflite_serving {
namespace {

std::string PostEncoded(std::string_view coding, std::string_view body) {
  return fmt::format("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n{}", coding, body.size(), body);
}

// Answers with as many bytes as the target says: "/9999".
class SizedHandler : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    call.response().content_type = content_type;
    call.response().body = Body(std::stoul(std::string(call.request().target.substr(1))));
    call.Finish();
  }
  static std::string Body(size_t size) {
    std::string body(size, '0');
    for (size_t i = 0; i < size; i += 7) body[i] = static_cast<char>('1' + i % 9);
    return body;
  }

  std::string_view content_type = "application/json";
};

// Holds up its thread at "/gate"; of all else it keeps the order.
class GatedHandler : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    if (call.request().target == "/gate") {
      held.set_value();
      gate.get_future().wait();
    } else {
      order.push_back(fmt::format("{} {}", call.request().method, call.request().target));
    }
    call.Finish();
  }

  std::promise<void> held;
  std::promise<void> gate;
  std::vector<std::string> order;
};

class HttpServerCodingTest : public testing::Test {
 protected:
  EchoHandler echo_;
  SizedHandler sized_;
};

TEST_F(HttpServerCodingTest, InflatesRequestBodies) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  EXPECT_EQ(client.Ask(PostEncoded("gzip", Deflated("a body"))).body, "POST / a body");
  EXPECT_EQ(client.Ask(PostEncoded("x-gzip", Deflated(""))).body, "POST / ");
  EXPECT_EQ(client.Ask(PostEncoded("deflate", Deflated("zlib", kZlibWindow))).body, "POST / zlib");
  EXPECT_EQ(client.Ask(PostEncoded("deflate", Deflated("bare", kBareWindow))).body, "POST / bare");
  EXPECT_EQ(client.Ask(PostEncoded("identity", "as it is")).body, "POST / as it is");
  EXPECT_EQ(client.Ask(PostEncoded("gzip", "")).body, "POST / ") << "no body at all";
  EXPECT_EQ(client.Ask(Get("/", "Content-Encoding: gzip\r\n")).body, "GET / ");
  const std::string large = SizedHandler::Body(10 * kInflateSliceBytes);
  EXPECT_TRUE(client.Ask(PostEncoded("gzip", Deflated(large))).body == "POST / " + large);
}

TEST_F(HttpServerCodingTest, InflatesPipelinedChunkedAndAnnouncedBodies) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  client.Send(PostEncoded("gzip", Deflated("first")) + Post("/", "second") + PostEncoded("deflate", Deflated("third", kZlibWindow)));
  for (const char* const body : {"first", "second", "third"}) EXPECT_EQ(client.Read().body, fmt::format("POST / {}", body));

  const std::string gzip = Deflated("in two chunks");
  EXPECT_EQ(client
                .Ask(fmt::format(
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                    gzip.substr(0, 5), gzip.size() - 5, gzip.substr(5)))
                .body,
            "POST / in two chunks");

  client.Send(fmt::format("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", gzip.size()));
  EXPECT_EQ(client.Read().status, 100);
  EXPECT_EQ(client.Ask(gzip).body, "POST / in two chunks");
}

TEST_F(HttpServerCodingTest, RefusesBodiesThatItCannotInflate) {
  const auto server = StartServer(echo_, {.limits = {.max_body_bytes = 1000}});
  const Reply corrupt = ConnectTo(*server).Ask(PostEncoded("gzip", "{\"instances\": [1]}"));
  EXPECT_EQ(corrupt.status, 400);
  EXPECT_EQ(corrupt.body, "{\n    \"error\": \"the request body is not valid gzip or deflate data\"\n}");
  EXPECT_EQ(ConnectTo(*server).Ask(PostEncoded("gzip", Deflated(std::string(1000, 'x')))).status, 200);
  const Reply large = ConnectTo(*server).Ask(PostEncoded("gzip", Deflated(std::string(1001, 'x'))));
  EXPECT_EQ(large.status, 413);
  EXPECT_TRUE(large.Has("\r\nConnection: close\r\n"));
  for (const char* const coding : {"br", "gzip, deflate"}) {
    const Reply unsupported = ConnectTo(*server).Ask(PostEncoded(coding, "?"));
    EXPECT_EQ(unsupported.status, 415) << coding;
    EXPECT_TRUE(unsupported.Has("\r\nAccept-Encoding: gzip, deflate\r\n"));
  }
}

TEST_F(HttpServerCodingTest, ItsOwnErrorsHaveTheHeadersOfTheOptions) {
  const auto server = StartServer(echo_, {.error_headers = {{"X-Ours", "yes"}}});
  EXPECT_TRUE(ConnectTo(*server).Ask(PostEncoded("gzip", "?")).Has("\r\nX-Ours: yes\r\n"));
  EXPECT_FALSE(ConnectTo(*server).Ask(Get("/")).Has("X-Ours"));
}

TEST_F(HttpServerCodingTest, ServesOthersWhileItInflates) {
  GatedHandler gated;
  const auto server = StartServer(gated);
  TestClient holding = ConnectTo(*server);
  TestClient bomber = ConnectTo(*server);
  TestClient other = ConnectTo(*server);
  holding.Send(Get("/gate"));
  gated.held.get_future().wait();
  bomber.Send(PostEncoded("gzip", Deflated(std::string(64 * kInflateSliceBytes, '0'))));
  other.Send(Get("/other"));
  gated.gate.set_value();  // the only loop finds both waiting
  EXPECT_EQ(bomber.Read().status, 200);
  EXPECT_EQ(other.Read().status, 200);
  EXPECT_EQ(gated.order, (std::vector<std::string>{"GET /other", "POST /"}));
}

TEST_F(HttpServerCodingTest, CompressesLargeResponsesForClientsThatAcceptIt) {
  const auto server = StartServer(sized_, {.limits = {.min_gzip_bytes = 1000}});
  TestClient client = ConnectTo(*server);
  const auto ask = [&](size_t size, std::string_view accept) {
    return client.Ask(Get(fmt::format("/{}", size), fmt::format("Accept-Encoding: {}\r\n", accept)));
  };
  const Reply compressed = ask(1000, "deflate, gzip;q=0.5");
  EXPECT_TRUE(compressed.Has("\r\nContent-Encoding: gzip\r\n"));
  EXPECT_TRUE(compressed.Has("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_LT(compressed.body.size(), 1000U);
  EXPECT_EQ(Gunzipped(compressed.body, 1000), SizedHandler::Body(1000));

  const Reply refused = ask(1000, "gzip;q=0");
  EXPECT_FALSE(refused.Has("Content-Encoding"));
  EXPECT_TRUE(refused.Has("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_EQ(refused.body, SizedHandler::Body(1000));

  const Reply small = ask(999, "gzip");
  EXPECT_FALSE(small.Has("Content-Encoding"));
  EXPECT_EQ(small.body, SizedHandler::Body(999));
}

TEST_F(HttpServerCodingTest, AHeadRequestIsToldWhatGetWouldGet) {
  const auto server = StartServer(sized_);
  TestClient client = ConnectTo(*server);
  const std::string accept = "Accept-Encoding: gzip\r\n";
  const Reply get = client.Ask(Get("/20000", accept));
  client.Send(fmt::format("HEAD /20000 HTTP/1.1\r\nHost: h\r\n{}\r\n", accept) + Get("/3"));
  const Reply head = client.Read(true);
  EXPECT_TRUE(head.Has(fmt::format("\r\nContent-Length: {}\r\n", get.body.size())));
  EXPECT_TRUE(head.Has("\r\nContent-Encoding: gzip\r\n"));
  EXPECT_EQ(client.Read().body.size(), 3U) << "no body was sent before it";
}

TEST_F(HttpServerCodingTest, LeavesAsTheyAreBinaryResponsesAndLargeOnesOfItsOwnThread) {
  const auto server = StartServer(sized_);
  TestClient client = ConnectTo(*server);
  const auto is_compressed = [&](size_t size) {
    return client.Ask(Get(fmt::format("/{}", size), "Accept-Encoding: gzip\r\n")).Has("Content-Encoding: gzip");
  };
  EXPECT_TRUE(is_compressed(kMaxInlineGzipBytes));
  EXPECT_FALSE(is_compressed(kMaxInlineGzipBytes + 1));
  sized_.content_type = "application/octet-stream";
  EXPECT_FALSE(is_compressed(kMaxInlineGzipBytes));

  HeldCalls held;
  const auto other = StartServer(held);
  TestClient waiting = ConnectTo(*other);
  waiting.Send(Get("/", "Accept-Encoding: gzip\r\n"));
  HttpCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  call->response().body = SizedHandler::Body(kMaxInlineGzipBytes + 1);
  call->Finish();
  EXPECT_EQ(Gunzipped(waiting.Read().body, kMaxInlineGzipBytes + 1), SizedHandler::Body(kMaxInlineGzipBytes + 1));
}

TEST_F(HttpServerCodingTest, CompressionCanBeTurnedOff) {
  const auto server = StartServer(sized_, {.limits = {.min_gzip_bytes = 0}});
  const Reply reply = ConnectTo(*server).Ask(Get("/100000", "Accept-Encoding: gzip\r\n"));
  EXPECT_EQ(reply.body, SizedHandler::Body(100'000));
  EXPECT_FALSE(reply.Has("Vary"));
}

}  // namespace
}  // namespace tflite_serving
