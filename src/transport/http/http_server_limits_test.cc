// What the server refuses, how slow a client may be, and what happens when descriptors or connections run out.
#include <fcntl.h>
#include <sys/resource.h>

#include <optional>
#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/log.h"
#include "transport/acceptor.h"
#include "transport/byte_stream.h"
#include "transport/http/http_server.h"
#include "transport/http/http_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::MatchesRegex;

struct Refused {
  const char* name;
  std::string bytes;
  int status;
};
void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

class HttpRefusalTest : public testing::TestWithParam<Refused> {};

// Each is answered once, with the reason as JSON, then closed in order; what follows it on the connection is not taken for a request.
TEST_P(HttpRefusalTest, IsAnsweredAndClosed) {
  HeldCalls nobody;
  const auto server = StartServer(nobody);
  TestClient client = ConnectTo(*server);
  ASSERT_TRUE(client.Send(GetParam().bytes + Get("/smuggled")));
  const Reply reply = client.Read();
  EXPECT_EQ(reply.status, GetParam().status) << reply.head;
  EXPECT_THAT(reply.body, MatchesRegex("\\{\n    \"error\": \"[^\"\\\\\n]+\"\n\\}"));
  EXPECT_TRUE(reply.Has("\r\nConnection: close\r\n"));
  EXPECT_TRUE(reply.Has("\r\nContent-Type: application/json\r\n"));
  EXPECT_EQ(client.ReadToEnd(), "");
  EXPECT_FALSE(client.was_reset());
  EXPECT_EQ(nobody.num_waiting(), 0U);
}

std::string WithHeaders(std::string_view headers) { return std::string("POST / HTTP/1.1\r\nHost: h\r\n").append(headers).append("\r\n"); }
const std::string kChunked = "Transfer-Encoding: chunked\r\n";

INSTANTIATE_TEST_SUITE_P(
    Requests, HttpRefusalTest,
    testing::Values(
        Refused{"NotHttp", "hello world\r\n\r\n", 400}, Refused{"NoTarget", "GET HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Refused{"EmptyMethod", " / HTTP/1.1\r\nHost: h\r\n\r\n", 400}, Refused{"ControlInTarget", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Refused{"EndlessMethod", std::string(100, 'A'), 400}, Refused{"TlsHello", std::string("\x16\x03\x01\x02\x00\x01\x00", 7), 400},
        Refused{"NotAVersion", "GET / HTPP/1.1\r\nHost: h\r\n\r\n", 400}, Refused{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Refused{"BareLineFeed", "GET / HTTP/1.1\nHost: h\n\n", 400}, Refused{"BareCarriageReturn", WithHeaders("A: b\rc: d\r\n"), 400},
        Refused{"SpaceBeforeColon", WithHeaders("A : b\r\n"), 400}, Refused{"NoColon", WithHeaders("nonsense\r\n"), 400},
        Refused{"NulInHeader", WithHeaders(std::string("A: b\0c\r\n", 8)), 400}, Refused{"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
        Refused{"TwoHosts", WithHeaders("Host: h\r\n"), 400}, Refused{"NegativeLength", WithHeaders("Content-Length: -1\r\n"), 400},
        Refused{"SignedLength", WithHeaders("Content-Length: +1\r\n"), 400},
        Refused{"OverflowingLength", WithHeaders("Content-Length: 18446744073709551616\r\n"), 400},
        Refused{"DifferentLengths", WithHeaders("Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
        Refused{"DifferentLengthsInAList", WithHeaders("Content-Length: 1, 2\r\n"), 400},
        Refused{"LengthAndChunked", WithHeaders("Content-Length: 1\r\n" + kChunked), 400},
        Refused{"ChunkedAndLength", WithHeaders(kChunked + "Content-Length: 1\r\n"), 400},
        Refused{"GzipAndLength", WithHeaders("Transfer-Encoding: gzip\r\nContent-Length: 1\r\n"), 400},
        Refused{"ChunkedTwice", WithHeaders(kChunked + kChunked), 400}, Refused{"ChunkedInHttp10", "POST / HTTP/1.0\r\n" + kChunked + "\r\n", 400},
        Refused{"GzipChunked", WithHeaders("Transfer-Encoding: gzip, chunked\r\n"), 501},
        Refused{"Xchunked", WithHeaders("Transfer-Encoding: xchunked\r\n"), 501},
        Refused{"Identity", WithHeaders("Transfer-Encoding: identity\r\n"), 501}, Refused{"OtherExpectation", WithHeaders("Expect: 200-ok\r\n"), 417},
        Refused{"ChunkSizeNotHex", WithHeaders(kChunked) + "xyz\r\n\r\n", 400},
        Refused{"ChunkSizeOverflows", WithHeaders(kChunked) + "10000000000000000\r\n", 400},
        Refused{"ChunkWithoutItsLineEnd", WithHeaders(kChunked) + "1\r\nabc\r\n", 400},
        Refused{"ChunkExtensionWithLineFeed", WithHeaders(kChunked) + "1;a=\"\n\"\r\nx\r\n0\r\n\r\n", 400},
        Refused{"LengthInTrailer", WithHeaders(kChunked) + "0\r\nContent-Length: 5\r\n\r\n", 400}),
    [](const auto& refused) { return std::string(refused.param.name); });

class HttpLimitsTest : public testing::Test {
 protected:
  // The status of the answer to `request` under `limits`.
  int StatusOf(const std::string& request, const HttpLimits& limits) {
    const auto server = StartServer(echo_, {.limits = limits});
    return ConnectTo(*server).Ask(request).status;
  }

  EchoHandler echo_;
};

TEST_F(HttpLimitsTest, TargetBytes) {
  const HttpLimits limits{.max_target_bytes = 100};
  EXPECT_EQ(StatusOf(Get("/" + std::string(99, 't')), limits), 200);
  EXPECT_EQ(StatusOf(Get("/" + std::string(100, 't')), limits), 414);
  EXPECT_EQ(StatusOf("GET /" + std::string(1000, 't'), limits), 414) << "without waiting for the end of the line";
}

TEST_F(HttpLimitsTest, HeaderBytes) {
  const size_t without = Get("/", "A: \r\n").size();
  const HttpLimits limits{.max_header_bytes = 10'000};
  EXPECT_EQ(StatusOf(Get("/", "A: " + std::string(10'000 - without, 'a') + "\r\n"), limits), 200);
  EXPECT_EQ(StatusOf(Get("/", "A: " + std::string(10'001 - without, 'a') + "\r\n"), limits), 431);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nA: " + std::string(20'000, 'a'), limits), 431) << "without waiting for the end of the head";
}

TEST_F(HttpLimitsTest, NumberOfHeaders) {
  const HttpLimits limits{.max_headers = 3};
  EXPECT_EQ(StatusOf(Get("/", "A: 1\r\nB: 2\r\n"), limits), 200);
  EXPECT_EQ(StatusOf(Get("/", "A: 1\r\nB: 2\r\nC: 3\r\n"), limits), 431);
}

TEST_F(HttpLimitsTest, BodyBytes) {
  const HttpLimits limits{.max_body_bytes = 1000};
  EXPECT_EQ(StatusOf(Post("/", std::string(1000, 'b')), limits), 200);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", limits), 413) << "without waiting for the body";
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n", limits), 413)
      << "without asking for the body";

  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + std::string(500, 'c') + "\r\n";
  EXPECT_EQ(StatusOf(chunked + "1f4\r\n" + std::string(500, 'c') + "\r\n0\r\n\r\n", limits), 200);
  EXPECT_EQ(StatusOf(chunked + "1f5\r\n", limits), 413) << "without waiting for the chunk";
  EXPECT_EQ(StatusOf(chunked + "ffffffffffffffff\r\n", limits), 413);
}

TEST_F(HttpLimitsTest, ChunkFraming) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string half(kMaxChunkOverheadBytes / 2, 'f');
  EXPECT_EQ(StatusOf(head + "1;" + half + "\r\nx\r\n0\r\nT: " + half.substr(100) + "\r\n\r\n", {}), 200);
  EXPECT_EQ(StatusOf(head + "1;" + half + half, {}), 400) << "without waiting for the end of the line";
  EXPECT_EQ(StatusOf(head + "1\r\nx\r\n0\r\nT: " + half + half + "further", {}), 400) << "without waiting for the end of the trailers";
  std::string extensions;
  for (int i = 0; i < 20; ++i) extensions += "1;" + half.substr(0, 1000) + "\r\nx\r\n";
  EXPECT_EQ(StatusOf(head + extensions, {}), 400) << "in all";
}

TEST_F(HttpLimitsTest, TinyChunksAreNotOverhead) {
  std::string request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20'000; ++i) request += "1\r\nx\r\n";
  EXPECT_EQ(StatusOf(request + "0\r\n\r\n", {}), 200);
}

TEST_F(HttpLimitsTest, AClientSendingARefusedBodySeesTheAnswerNotAReset) {
  const auto server = StartServer(echo_, {.limits = {.max_body_bytes = 1000}});
  TestClient client = ConnectTo(*server);
  EXPECT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16777216\r\n\r\n" + std::string(size_t{16} << 20, 'b')));
  EXPECT_EQ(client.Read().status, 413);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpLimitsTest, ARefusedBodyWithoutEndIsCutOff) {
  const auto server = StartServer(echo_, {.limits = {.max_body_bytes = 1000}});
  TestClient client = ConnectTo(*server);
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1099511627776\r\n\r\n");
  const std::string megabyte(size_t{1} << 20, 'b');
  size_t sent = 0;
  while (sent < 10 * kLingerBytes && client.Send(megabyte)) sent += megabyte.size();
  EXPECT_GE(sent, kLingerBytes / 2);
  EXPECT_LT(sent, 10 * kLingerBytes);
}

// Refuses to "/no" for its head.
class ChoosyHandler : public EchoHandler {
 public:
  bool RefusesUnread(HttpCall& call) override {
    if (call.request().target != "/no") return false;
    call.response().status = 503;
    call.response().body = "no time";
    return true;
  }
};

TEST_F(HttpLimitsTest, ALargeBodyMayBeRefusedForItsHead) {
  ChoosyHandler handler;
  const auto server = StartServer(handler);
  TestClient client = ConnectTo(*server);
  for (const size_t size : {kMinRefusedUnreadBytes, size_t{16} << 20}) {
    const std::string body(size, 'b');
    ASSERT_TRUE(client.Send(Post("/no", body) + Post("/yes", "next")));
    const Reply refusal = client.Read();
    EXPECT_EQ(refusal.status, 503);
    EXPECT_EQ(refusal.body, "no time");
    EXPECT_EQ(client.Read().body, "POST /yes next") << "on the same connection";
  }
  EXPECT_EQ(client.Ask(Post("/no", std::string(kMinRefusedUnreadBytes - 1, 'b'))).status, 200) << "a small one is read at once";
  client.Send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nbegun");
  client.Close();
  EXPECT_EQ(ConnectTo(*server).Ask(Post("/", "b")).status, 200);
}

TEST_F(HttpLimitsTest, ARefusedHeadRequestGetsNoBody) {
  const auto server = StartServer(echo_, {.limits = {.max_body_bytes = 10}});
  TestClient client = ConnectTo(*server);
  client.Send("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(client.Read(/*head_only=*/true).status, 413);
  EXPECT_EQ(client.ReadToEnd(), "");
}

TEST_F(HttpLimitsTest, AnIncompleteRequestAtTheEndIsAnswered) {
  const auto server = StartServer(echo_);
  for (const std::string& part :
       {std::string("GET / HTTP/1.1\r\nHo"), Post("/", "body").substr(0, 50), "POST / HTTP/1.1\r\nHost: h\r\n" + kChunked + "\r\n5\r\nbo"}) {
    TestClient client = ConnectTo(*server);
    client.Send(part);
    client.CloseWrite();
    const Reply reply = client.Read();
    EXPECT_EQ(reply.status, 400) << part;
    EXPECT_THAT(reply.body, HasSubstr("in the middle of a request"));
  }
}

TEST_F(HttpLimitsTest, ASlowRequestIsTimedOut) {
  const auto server = StartServer(echo_, {.limits = {.header_timeout = milliseconds(40), .progress_timeout = milliseconds(40)}});
  for (const std::string& part : {std::string("GET / HTTP/1.1\r\nHo"), std::string("\r\n"), Post("/", "body").substr(0, 50),
                                  "POST / HTTP/1.1\r\nHost: h\r\n" + kChunked + "\r\n5\r\nbo"}) {
    TestClient client = ConnectTo(*server);
    client.Send(part);
    EXPECT_EQ(client.Read().status, 408) << part;
  }
}

// Each byte comes in time, but the body as a whole is too slow: the head takes a timeout in all, and the body must keep its rate.
TEST_F(HttpLimitsTest, AByteNowAndThenIsTooSlow) {
  const auto server = StartServer(
      echo_, {.limits = {.header_timeout = milliseconds(100), .progress_timeout = milliseconds(100), .min_bytes_per_second = 1'000'000'000}});
  for (const std::string& start : {std::string("GET /"), std::string("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")}) {
    TestClient client = ConnectTo(*server);
    client.Send(start);
    const TimePoint give_up = Clock::Steady().Now() + kTestPatience;
    while (!client.Readable(milliseconds(5)) && Clock::Steady().Now() < give_up) client.Send("x");
    EXPECT_LT(Clock::Steady().Now(), give_up) << start;
    EXPECT_EQ(client.Read().status, 408) << start;
  }
}

// Of a large body the server waits for more at once than comes here in all that time.
TEST_F(HttpLimitsTest, AClientMaySendALargeBodySlowly) {
  constexpr milliseconds kTimeout(1'000);
  const auto server = StartServer(echo_, {.limits = {.progress_timeout = kTimeout}});
  TestClient client = ConnectTo(*server);
  const std::string body(2 * kMaxLowWaterBytes, 'x');
  const std::string request = Post("/", body);
  size_t sent = 0;
  for (const TimePoint end = Clock::Steady().Now() + 3 * kTimeout / 2; Clock::Steady().Now() < end; sent += 100) {
    client.Send(std::string_view(request).substr(sent, 100));
    ASSERT_FALSE(client.Readable(milliseconds(10))) << client.Read().body;
  }
  ASSERT_LT(sent, kMaxLowWaterBytes);
  client.Send(std::string_view(request).substr(sent));
  EXPECT_TRUE(client.Read().body == "POST / " + body);
  EXPECT_EQ(client.Ask(Post("/", "small")).body, "POST / small");
}

TEST_F(HttpLimitsTest, AnIdleConnectionIsClosedSilently) {
  const auto server = StartServer(echo_, {.limits = {.idle_timeout = milliseconds(40)}});
  EXPECT_TRUE(ConnectTo(*server).AtEnd());
  TestClient used = ConnectTo(*server);
  EXPECT_EQ(used.Ask(Get("/")).status, 200);
  EXPECT_TRUE(used.AtEnd());
}

TEST_F(HttpLimitsTest, AHandlerMayTakeItsTime) {
  HeldCalls held;
  const auto server =
      StartServer(held, {.limits = {.idle_timeout = milliseconds(20), .header_timeout = milliseconds(20), .progress_timeout = milliseconds(20)}});
  TestClient client = ConnectTo(*server);
  client.Send(Get("/"));
  HttpCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  // Another connection's timeouts show that the clock has moved on by more than all limits.
  EXPECT_TRUE(ConnectTo(*server).AtEnd());
  EXPECT_TRUE(ConnectTo(*server).AtEnd());
  call->Finish();
  EXPECT_EQ(client.Read().status, 200);
}

constexpr size_t kLargeReply = size_t{64} << 20;

// A client that has been sent a reply of so many bytes, and has read none of it.
TestClient AskForALargeReply(const HttpServer& server, HeldCalls& held) {
  TestClient client(/*receive_buffer_bytes=*/4096);
  EXPECT_TRUE(client.Connect(server.port()));
  client.Send(Get("/"));
  HttpCall* const call = held.Take();
  EXPECT_NE(call, nullptr);
  if (call == nullptr) return client;
  call->response().body.assign(kLargeReply, 'r');
  call->Finish();
  return client;
}

TEST_F(HttpLimitsTest, AClientThatDoesNotReadItsResponseIsCutOff) {
  HeldCalls held;
  const auto server = StartServer(held, {.limits = {.progress_timeout = milliseconds(40)}});
  TestClient client = AskForALargeReply(*server, held);
  EXPECT_TRUE(Eventually([&] { return server->num_connections() == 0; }));
  EXPECT_LT(client.ReadToEnd().size(), kLargeReply);
}

TEST_F(HttpLimitsTest, ConnectionsBeyondTheLimitWait) {
  const auto server = StartServer(echo_, {.max_connections = 1});
  TestClient first = ConnectTo(*server);
  EXPECT_EQ(first.Ask(Get("/")).status, 200);
  TestClient second = ConnectTo(*server);
  second.Send(Get("/second"));
  first.Close();
  EXPECT_EQ(second.Read().body, "GET /second ");
}

TEST_F(HttpLimitsTest, AnIdleConnectionMakesRoomForANewOne) {
  const auto server = StartServer(echo_, {.max_connections = 1});
  TestClient idle = ConnectTo(*server);
  EXPECT_EQ(idle.Ask(Get("/")).status, 200);
  EXPECT_EQ(ConnectTo(*server).Ask(Get("/new")).body, "GET /new ");
  EXPECT_TRUE(idle.AtEnd());
}

TEST_F(HttpLimitsTest, AnAddressMayHaveSoManyConnections) {
  const auto server = StartServer(echo_, {.max_connections_per_address = 2});
  TestClient first = ConnectTo(*server);
  TestClient second = ConnectTo(*server);
  EXPECT_EQ(first.Ask(Get("/1")).status, 200);
  EXPECT_EQ(second.Ask(Get("/2")).status, 200);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(ConnectTo(*server).AtEnd());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("is refused: its address has 2 open (--max_connections_per_address)"));
  EXPECT_EQ(server->num_refused_connections(), 1U);
  first.Close();
  EXPECT_TRUE(Eventually([&] { return server->num_connections() == 1; }));
  EXPECT_TRUE(Eventually([&] { return ConnectTo(*server).Ask(Get("/3")).status == 200; }));
}

constexpr size_t kLargeBody = size_t{256} << 10;

std::string Post(size_t size) {
  return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + std::string(size, 'b');
}

TEST_F(HttpLimitsTest, WhatACallHoldsBesidesIsCounted) {
  HeldCalls held;
  const auto in_flight = std::make_shared<InFlightBytes>(kLargeBody);
  const auto server = StartServer(held, {.in_flight = in_flight});
  TestClient client = ConnectTo(*server);
  client.Send(Post(1000));
  HttpCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  EXPECT_TRUE(call->Hold(kLargeBody).ok());
  EXPECT_EQ(in_flight->used(), kLargeBody);
  EXPECT_EQ(call->Hold(kLargeBody + 1).code(), StatusCode::kUnavailable);
  call->Finish();
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(in_flight->used(), 0u);
}

// Declared, chunked and compressed bodies alike.
TEST_F(HttpLimitsTest, RequestsMayTakeSoMuchMemoryTogether) {
  HeldCalls held;
  const auto in_flight = std::make_shared<InFlightBytes>(5 * kLargeBody / 2);
  const auto server = StartServer(held, {.in_flight = in_flight});
  TestClient first = ConnectTo(*server);
  TestClient second = ConnectTo(*server);
  first.Send(Post(kLargeBody));
  HttpCall* const one = held.Take();
  second.Send(Post(kLargeBody));
  HttpCall* const other = held.Take();
  ASSERT_TRUE(one != nullptr && other != nullptr);
  EXPECT_GE(in_flight->used(), 2 * kLargeBody);

  const std::string chunk =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n40000\r\n" + std::string(kLargeBody, 'b') + "\r\n0\r\n\r\n";
  for (const std::string& request : {Post(kLargeBody), chunk}) {
    TestClient client = ConnectTo(*server);
    client.Send(request);
    const Reply reply = client.Read();
    EXPECT_EQ(reply.status, 503);
    EXPECT_THAT(reply.body, HasSubstr("leave no memory for another of this size, try again later"));
  }
  TestClient small = ConnectTo(*server);
  small.Send(Post(1000));
  HttpCall* const unaffected = held.Take();
  ASSERT_NE(unaffected, nullptr);
  unaffected->Finish();
  EXPECT_EQ(small.Read().status, 200);

  one->Finish();
  EXPECT_EQ(first.Read().status, 200);
  EXPECT_TRUE(Eventually([&] { return in_flight->used() < 2 * kLargeBody; })) << "memory is not kept for later requests while it is scarce";
  TestClient third = ConnectTo(*server);
  third.Send(Post(kLargeBody));
  HttpCall* const next = held.Take();
  ASSERT_NE(next, nullptr);
  next->Finish();
  other->Finish();
  EXPECT_EQ(third.Read().status, 200);
  EXPECT_EQ(second.Read().status, 200);
}

TEST_F(HttpLimitsTest, AReplyThatIsNotReadTakesOfThatMemory) {
  HeldCalls held;
  const auto in_flight = std::make_shared<InFlightBytes>(kLargeReply);
  const auto server = StartServer(held, {.in_flight = in_flight});
  TestClient client = AskForALargeReply(*server, held);
  EXPECT_TRUE(Eventually([&] { return in_flight->used() == kLargeReply; }));
  EXPECT_EQ(ConnectTo(*server).Ask(Post(kLargeBody)).status, 503);
  client.Close();
  EXPECT_TRUE(Eventually([&] { return in_flight->used() == 0; }));
}

// Fills every free descriptor number below a lowered limit, as long as it lives.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit low{.rlim_cur = 200, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0; fd = ::dup(fd)) fillers_.emplace_back(fd);
    EXPECT_EQ(errno, EMFILE);
  }
  ~NoDescriptorsLeft() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  void LeaveOne() { fillers_.pop_back(); }

 private:
  rlimit before_{};
  std::vector<UniqueFd> fillers_;
};

TEST_F(HttpLimitsTest, AcceptsAgainAfterDescriptorsRanOut) {
  const auto server = StartServer(echo_, {.max_connections = 1000});
  // Serves and logs first: UndefinedBehaviorSanitizer takes two descriptors to check a class that it has not seen before.
  TestClient served = ConnectTo(*server);
  EXPECT_EQ(served.Ask(Get("/")).status, 200);
  TFLS_INFO("descriptors run out");
  TestClient client;
  testing::internal::CaptureStderr();
  std::optional<NoDescriptorsLeft> no_descriptors_left(std::in_place);
  EXPECT_TRUE(client.Connect(server->port()));
  client.Send(Get("/patient"));
  EXPECT_FALSE(client.Readable(2 * kAcceptPause));
  no_descriptors_left.reset();
  EXPECT_EQ(client.Read().body, "GET /patient ");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("new HTTP connections have to wait: Too many open files"));
  EXPECT_EQ(log.find("have to wait"), log.rfind("have to wait")) << "once";
}

#if !defined(TFLS_ADDRESS_SANITIZER)  // which need descriptors to check the classes of the errors
TEST_F(HttpLimitsTest, NoDescriptorsForTheServerIsAnError) {
  NoDescriptorsLeft no_descriptors_left;
  EXPECT_EQ(HttpServer::Create({}, echo_).status(), Status(StatusCode::kResourceExhausted, "cannot listen on port 0: Too many open files"));
  no_descriptors_left.LeaveOne();
  EXPECT_EQ(HttpServer::Create({}, echo_).status(), Status(StatusCode::kResourceExhausted, "cannot start the HTTP event loops: Too many open files"));
}
#endif

}  // namespace
}  // namespace tflite_serving
