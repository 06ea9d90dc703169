// What the gRPC server refuses, how slow a client may be, and what happens to one that only makes work.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/byte_stream.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream_id, std::string_view payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame{static_cast<char>(size >> 16),
                    static_cast<char>(size >> 8),
                    static_cast<char>(size),
                    static_cast<char>(type),
                    static_cast<char>(flags),
                    static_cast<char>(stream_id >> 24),
                    static_cast<char>(stream_id >> 16),
                    static_cast<char>(stream_id >> 8),
                    static_cast<char>(stream_id)};
  return frame.append(payload);
}

// Sends frames that bring nothing until the server ends the connection, and says with what.
template <typename SendOne>
uint32_t Flood(GrpcTestClient& client, SendOne send_one) {
  // Slow sanitizers earn new frames while they send: far more than kMaxIdleFrames may be needed.
  for (int i = 0; i < 100 * kMaxIdleFrames && !client.goaway(); ++i) {
    if (!send_one(i)) break;
    if (i % 1000 == 0 && !client.goaway()) client.Call(kEchoPath, "reads what the server says");
  }
  client.ReadToEnd();
  return client.goaway().value_or(NGHTTP2_NO_ERROR);
}

class GrpcServerLimitsTest : public testing::Test {
 protected:
  void TearDown() override {
    // Whatever was done to it, the server serves.
    EXPECT_EQ(GrpcTestClient(server_->port()).Call(kEchoPath, "still there").reply(), "still there");
  }
  int Start(GrpcHandler handler = Echo, GrpcLimits limits = {}) {
    server_ = StartServer(std::move(handler), {.limits = limits});
    return server_->port();
  }

  std::unique_ptr<GrpcServer> server_;
};

TEST_F(GrpcServerLimitsTest, ClosesWhatIsNoHttp2) {
  const int port = Start();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("\x16\x03\x01\0\xf4\x01", 6) + std::string(300, 'x')}) {
    TestClient client;
    ASSERT_TRUE(client.Connect(static_cast<uint16_t>(port)));
    client.Send(bytes);
    client.ReadToEnd();
  }
  TestClient client;
  ASSERT_TRUE(client.Connect(static_cast<uint16_t>(port)));
  client.Send(std::string(kPreface) + std::string(1000, '\xff'));
  client.ReadToEnd();
}

TEST_F(GrpcServerLimitsTest, AClientMustGreetInTime) {
  const int port = Start(Echo, {.preface_timeout = milliseconds(30)});
  TestClient silent;
  TestClient halting;
  ASSERT_TRUE(silent.Connect(static_cast<uint16_t>(port)) && halting.Connect(static_cast<uint16_t>(port)));
  halting.Send(kPreface);
  silent.ReadToEnd();
  halting.ReadToEnd();
}

TEST_F(GrpcServerLimitsTest, MetadataHasALimit) {
  const int port = Start(Echo, {.max_metadata_bytes = 1000});
  GrpcTestClient client(port);
  // The usual fields of the test's client come to a little less than 400 as HTTP/2 counts.
  EXPECT_EQ(client.Call(kEchoPath, "x", {{"big", std::string(500, 'b')}}).status(), 0);
  const GrpcAnswer answer = client.Call(kEchoPath, "x", {{"big", std::string(800, 'b')}});
  EXPECT_EQ(answer.status(), static_cast<int>(StatusCode::kResourceExhausted));
  EXPECT_THAT(answer.message(), StartsWith("received metadata size exceeds limit"));
  EXPECT_EQ(client.Call(kEchoPath, "x").status(), 0) << "the connection goes on";
  client.Begin(kEchoPath, Framed("x"), {{"far", std::string(kMetadataExcess * 1000, 'b')}});
  client.ReadToEnd();
  EXPECT_EQ(client.goaway(), static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST_F(GrpcServerLimitsTest, MetadataIsCountedToTheByte) {
  const auto most = [this](uint32_t limit) {
    GrpcTestClient client(Start(Echo, {.max_metadata_bytes = limit}));
    size_t fits = 0;
    for (size_t step = 512; step > 0; step /= 2) {
      if (client.Call(kEchoPath, "x", {{"big", std::string(fits + step, 'b')}}).status() == 0) fits += step;
    }
    return fits;
  };
  const size_t fits = most(1000);
  EXPECT_GT(fits, 500U);
  EXPECT_EQ(most(1001), fits + 1);
}

TEST_F(GrpcServerLimitsTest, CallsThatHandlersStillHoldCountAsStreams) {
  HeldGrpcCalls held;
  const int port = Start([&held](GrpcCall& call) { RequestText(call) == "held" ? held.Handler()(call) : Echo(call); }, {.max_concurrent_streams = 2});
  GrpcTestClient client(port);
  std::vector<GrpcCall*> calls;
  for (int i = 0; i < 2; ++i) {
    const int32_t id = client.Begin(kEchoPath, Framed("held"));
    calls.push_back(held.Take());
    ASSERT_NE(calls.back(), nullptr);
    client.Reset(id);
    ASSERT_TRUE(Eventually([&] { return calls.back()->cancellation().cancelled(); }));
  }
  EXPECT_EQ(client.Await(client.Begin(kEchoPath, Framed("one too many"))).reset, static_cast<uint32_t>(NGHTTP2_REFUSED_STREAM));
  for (GrpcCall* const call : calls) call->Finish(CancelledError("gone"));
  EXPECT_TRUE(Eventually([&] { return client.Call(kEchoPath, "room again").status() == 0; }));
}

TEST_F(GrpcServerLimitsTest, RapidResetsEndTheConnection) {
  GrpcTestClient client(Start());
  EXPECT_EQ(Flood(client,
                  [&](int) {
                    nghttp2_submit_rst_stream(client.http2(), NGHTTP2_FLAG_NONE, client.Begin(kEchoPath, "", {}, false), NGHTTP2_CANCEL);
                    return client.Flush();
                  }),
            static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST_F(GrpcServerLimitsTest, FloodsEndTheConnection) {
  const int port = Start();
  GrpcTestClient pings(port);
  EXPECT_EQ(Flood(pings, [&](int) { return pings.SendRaw(Frame(NGHTTP2_PING, 0, 0, "12345678")); }),
            static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  GrpcTestClient settings(port);
  EXPECT_EQ(Flood(settings,
                  [&](int) {
                    nghttp2_submit_settings(settings.http2(), NGHTTP2_FLAG_NONE, nullptr, 0);
                    return settings.Flush();
                  }),
            static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  GrpcTestClient empty(port);
  const auto id = static_cast<uint32_t>(empty.Begin(kEchoPath, "", {}, false));
  EXPECT_EQ(Flood(empty, [&](int) { return empty.SendRaw(Frame(NGHTTP2_DATA, 0, id, "")); }), static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST_F(GrpcServerLimitsTest, HeadersWithoutEndEndTheConnection) {
  TestClient client;
  ASSERT_TRUE(client.Connect(static_cast<uint16_t>(Start())));
  client.Send(std::string(kPreface) + Frame(NGHTTP2_SETTINGS, 0, 0, "") + Frame(NGHTTP2_HEADERS, 0, 1, "\x83"));
  // Each of no byte: no limit on the size of headers would notice.
  for (int i = 0; i < 100'000 && client.Send(Frame(NGHTTP2_CONTINUATION, 0, 1, "")); ++i) {
  }
  client.ReadToEnd();
}

TEST_F(GrpcServerLimitsTest, ARequestThatStallsIsReset) {
  GrpcTestClient client(Start(Echo, {.stall_timeout = milliseconds(30)}));
  EXPECT_EQ(client.Await(client.Begin(kEchoPath, Framed("never whole").substr(0, 8), {}, false)).reset, static_cast<uint32_t>(NGHTTP2_CANCEL));
}

TEST_F(GrpcServerLimitsTest, AClientMayPauseInTheMiddleOfALargeRequest) {
  GrpcTestClient client(Start());
  const std::string framed = Framed(std::string(kMaxLowWaterBytes, 'x'));
  const int32_t paused = client.Begin(kEchoPath, framed.substr(0, 1000), {}, /*end=*/false);
  // Fewer bytes than the server waits for.
  EXPECT_EQ(client.Call(kEchoPath, "meanwhile").reply(), "meanwhile");
  client.Send(paused, std::string_view(framed).substr(1000, 1000), /*end=*/false);
  client.Reset(client.Begin(kEchoPath, framed.substr(0, 1000), {}, /*end=*/false));
  EXPECT_EQ(client.Call(kEchoPath, "still").reply(), "still");
  client.Send(paused, std::string_view(framed).substr(2000), /*end=*/true);
  EXPECT_EQ(client.Await(paused).reply(), framed.substr(5));
}

TEST_F(GrpcServerLimitsTest, NothingIsAwaitedOfACallThatHasEnded) {
  constexpr int kCalls = 40;
  GrpcTestClient client(Start());
  const std::string framed = Framed(std::string(kMaxLowWaterBytes, 'x'));
  const int32_t late = client.Begin(kEchoPath, framed.substr(0, 1000), {{"grpc-timeout", "1m"}}, /*end=*/false);
  EXPECT_EQ(client.Await(late).status(), 4);
  const TimePoint start = Clock::Steady().Now();
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(client.Call(kEchoPath, "next").reply(), "next");
  // Otherwise each would be found by a sweep.
  EXPECT_LT(Clock::Steady().Now() - start, kCalls * kGrpcSweepInterval / 4);
}

TEST_F(GrpcServerLimitsTest, AReplyThatIsNotTakenIsReset) {
  const int port = Start([](GrpcCall& call) { ReplyWith(call, RequestText(call) == "large" ? std::string(1 << 20, 'r') : RequestText(call)); },
                         {.stall_timeout = milliseconds(30)});
  GrpcTestClient client(port, /*receive_buffer_bytes=*/0, /*window=*/0);
  EXPECT_EQ(client.Await(client.Begin(kEchoPath, Framed("large"))).reset, static_cast<uint32_t>(NGHTTP2_CANCEL));
}

TEST_F(GrpcServerLimitsTest, ASlowHandlerIsNotItsClientsStall) {
  constexpr size_t kBytes = size_t{64} << 20;
  const auto slow = [](GrpcCall& call) {
    if (RequestText(call) != "large") return Echo(call);
    for (const TimePoint end = Clock::Steady().Now() + 2 * kGrpcSweepInterval; Clock::Steady().Now() < end;) std::this_thread::yield();
    ReplyWith(call, std::string(kBytes, 'r'));
  };
  GrpcTestClient client(Start(slow, {.stall_timeout = milliseconds(200)}));
  EXPECT_EQ(client.Call(kEchoPath, "large").reply().size(), kBytes);
}

TEST_F(GrpcServerLimitsTest, AClientThatNeverReadsIsClosed) {
  const int port = Start([](GrpcCall& call) { ReplyWith(call, RequestText(call) == "large" ? std::string(64 << 20, 'r') : RequestText(call)); },
                         {.stall_timeout = milliseconds(30)});
  GrpcTestClient client(port, /*receive_buffer_bytes=*/4096, /*window=*/NGHTTP2_MAX_WINDOW_SIZE);
  nghttp2_session_set_local_window_size(client.http2(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_MAX_WINDOW_SIZE);
  client.Begin(kEchoPath, Framed("large"));
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 1; }));
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 0; }));
}

TEST_F(GrpcServerLimitsTest, ASilentClientIsAskedAndThenClosed) {
  const int port = Start(Echo, {.keepalive_time = milliseconds(20), .keepalive_timeout = milliseconds(20)});
  GrpcTestClient answering(port);
  while (answering.pings() < 3 && answering.ReadSome()) {
  }
  EXPECT_EQ(answering.pings(), 3);
  EXPECT_EQ(answering.Call(kEchoPath, "alive").reply(), "alive");
  TestClient dead;
  ASSERT_TRUE(dead.Connect(static_cast<uint16_t>(port)));
  dead.Send(std::string(kPreface) + Frame(NGHTTP2_SETTINGS, 0, 0, ""));
  dead.ReadToEnd();
}

TEST(GrpcLimitsTest, EndlessTimesNeverCome) {
  const TimePoint now = Clock::Steady().Now();
  EXPECT_EQ(After(now, milliseconds(5)), now + milliseconds(5));
  EXPECT_EQ(After(now, milliseconds::max()), kNoDeadline);
  EXPECT_EQ(After(kNoDeadline, milliseconds(5)), kNoDeadline);
}

TEST_F(GrpcServerLimitsTest, IdleAndOldConnectionsAreAskedToGo) {
  GrpcTestClient idle(Start(Echo, {.max_connection_idle = milliseconds(20)}));
  idle.ReadToEnd();
  EXPECT_EQ(idle.goaway(), static_cast<uint32_t>(NGHTTP2_NO_ERROR));

  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler(), {.limits = {.max_connection_age = milliseconds(20)}});
  GrpcTestClient old(server->port());
  const int32_t id = old.Begin(kEchoPath, Framed("begun"));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  while (!old.goaway() && old.ReadSome()) {
  }
  EXPECT_FALSE(call->cancellation().cancelled());
  Echo(*call);
  EXPECT_EQ(old.Await(id).reply(), "begun");
  old.ReadToEnd();

  const auto impatient =
      StartServer(held.Handler(), {.limits = {.max_connection_age = milliseconds(10), .max_connection_age_grace = milliseconds(10)}});
  GrpcTestClient cut(impatient->port());
  cut.Begin(kEchoPath, Framed("too long"));
  GrpcCall* const late = held.Take();
  ASSERT_NE(late, nullptr);
  cut.ReadToEnd();
  EXPECT_TRUE(late->cancellation().cancelled());
  Echo(*late);
}

TEST(GrpcServerConnectionsTest, HaveALimit) {
  const auto server = StartServer(Echo, {.max_connections = 1});
  auto first = std::make_unique<GrpcTestClient>(server->port());
  EXPECT_EQ(first->Call(kEchoPath, "x").reply(), "x");
  GrpcTestClient second(server->port());  // waits in the kernel's queue until the first is gone
  EXPECT_EQ(server->num_connections(), 1U);
  first.reset();
  EXPECT_EQ(second.Call(kEchoPath, "y").reply(), "y");
}

TEST(GrpcServerConnectionsTest, HaveALimitForEachAddress) {
  const auto server = StartServer(Echo, {.max_connections_per_address = 1});
  GrpcTestClient first(server->port());
  EXPECT_EQ(first.Call(kEchoPath, "x").reply(), "x");
  TestClient second;
  ASSERT_TRUE(second.Connect(static_cast<uint16_t>(server->port())));
  EXPECT_TRUE(second.AtEnd());
  EXPECT_EQ(server->num_refused_connections(), 1U);
  EXPECT_EQ(first.Call(kEchoPath, "y").reply(), "y");
}

TEST(GrpcServerMemoryTest, WhatACallHoldsBesidesIsCounted) {
  constexpr size_t kBytes = 256 << 10;
  HeldGrpcCalls held;
  const auto in_flight = std::make_shared<InFlightBytes>(2 * kBytes);
  const auto server = StartServer(held.Handler(), {.in_flight = in_flight});
  GrpcTestClient client(server->port());
  const int32_t first = client.Begin(kEchoPath, Framed("a"));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  EXPECT_TRUE(call->Hold(kBytes).ok());
  EXPECT_EQ(in_flight->used(), kBytes);
  EXPECT_EQ(call->Hold(2 * kBytes + 1).code(), StatusCode::kUnavailable);
  EXPECT_TRUE(call->Hold(2 * kBytes).ok()) << "in all";
  EXPECT_EQ(in_flight->used(), 2 * kBytes);
  Echo(*call);
  EXPECT_EQ(client.Await(first).reply(), "a");
  EXPECT_EQ(in_flight->used(), 0u);
}

TEST(GrpcServerMemoryTest, RequestsAndRepliesMayTakeSoMuchTogether) {
  const std::string large(256 << 10, 'm');
  HeldGrpcCalls held;
  const auto in_flight = std::make_shared<InFlightBytes>(3 * large.size() / 2);
  const auto server = StartServer(held.Handler(), {.in_flight = in_flight});
  GrpcTestClient client(server->port());
  const int32_t before = client.Begin(kEchoPath, Framed("makes the client read how much it may send"));
  GrpcCall* const small = held.Take();
  ASSERT_NE(small, nullptr);
  Echo(*small);
  client.Await(before);

  const int32_t first = client.Begin(kEchoPath, Framed(large));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  EXPECT_GE(in_flight->used(), large.size());
  const GrpcAnswer refused = client.Call(kEchoPath, large);
  EXPECT_EQ(refused.status(), static_cast<int>(StatusCode::kUnavailable));
  EXPECT_THAT(refused.message(), HasSubstr("leave no memory for another of this size, try again later"));
  Echo(*call);
  EXPECT_EQ(client.Await(first).reply(), large);
  EXPECT_TRUE(Eventually([&] { return in_flight->used() == 0; })) << "memory is not kept for later calls while it is scarce";
}

}  // namespace
}  // namespace tflite_serving
