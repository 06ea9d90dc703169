// Unary calls: what arrives, what is answered, and how calls end.
#include "transport/grpc/grpc_server.h"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/grpc/grpc_protocol.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"

namespace tflite_serving {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int Code(StatusCode code) { return static_cast<int>(code); }

TEST(GrpcServerTest, CarriesBytesBothWays) {
  const auto server = StartServer(Echo);
  GrpcTestClient client(server->port());
  for (const size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{1018}, size_t{1019}, size_t{1020}, size_t{70'000}, size_t{5'000'000}}) {
    std::string request(size, '\0');
    for (size_t i = 0; i < size; ++i) request[i] = static_cast<char>(i * 7);
    const GrpcAnswer answer = client.Call(kEchoPath, request);
    EXPECT_EQ(answer.http_status(), 200);
    EXPECT_EQ(answer.fields.at("content-type"), "application/grpc");
    EXPECT_EQ(answer.status(), 0) << answer.message();
    EXPECT_TRUE(answer.reply() == request) << size;
  }
}

TEST(GrpcServerTest, ARequestMayComeByteByByte) {
  const auto server = StartServer(Echo);
  GrpcTestClient client(server->port());
  const int32_t id = client.Begin(kEchoPath, "", {}, false);
  const std::string framed = Framed("slowly");
  for (const char byte : framed) client.Send(id, {&byte, 1}, false);
  client.Send(id, "", true);
  EXPECT_EQ(client.Await(id).reply(), "slowly");
}

TEST(GrpcServerTest, AReplyThatWasNotAllocatedIsEmpty) {
  const auto server = StartServer([](GrpcCall& call) { call.Finish(OkStatus()); });
  const GrpcAnswer answer = GrpcTestClient(server->port()).Call(kEchoPath, "x");
  EXPECT_EQ(answer.status(), 0);
  EXPECT_EQ(answer.reply(), "");
}

TEST(GrpcServerTest, HandlersSeeMetadata) {
  const auto server = StartServer([](GrpcCall& call) {
    std::string text;
    for (const char* key : {"x-dequantize", "x-twice", "absent", "grpc-timeout", "te", ":path"}) text.append(call.metadata(key)).append("|");
    ReplyWith(call, text);
  });
  const GrpcTestClient::Fields fields = {{"x-dequantize", "1"}, {"x-twice", "first"}, {"x-other", "y"}, {"grpc-timeout", "10S"}};
  EXPECT_EQ(GrpcTestClient(server->port()).Call(kEchoPath, "", fields).reply(), "1|first|||||");
}

TEST(GrpcServerTest, StatusesTravel) {
  const auto server = StartServer([](GrpcCall& call) { call.Finish(NotFoundError(RequestText(call))); });
  GrpcTestClient client(server->port());
  const GrpcAnswer answer = client.Call(kEchoPath, "not found: 100% \xC3\xA4\n");
  EXPECT_EQ(answer.status(), Code(StatusCode::kNotFound));
  EXPECT_EQ(answer.message(), "not found: 100%25 %C3%A4%0A");
  EXPECT_EQ(answer.data, "");
  EXPECT_EQ(client.Call(kEchoPath, std::string(2000, 'm')).message(), std::string(kMaxStatusMessageBytes, 'm') + "...TRUNCATED");
}

TEST(GrpcServerTest, AReplyIsDroppedWhenTheStatusIsAnError) {
  const auto server = StartServer([](GrpcCall& call) {
    EXPECT_EQ(call.AllocateReply(100).size(), 100U);
    call.Finish(InternalError("no"));
  });
  const GrpcAnswer answer = GrpcTestClient(server->port()).Call(kEchoPath, "x");
  EXPECT_EQ(answer.status(), Code(StatusCode::kInternal));
  EXPECT_EQ(answer.data, "");
}

TEST(GrpcServerTest, UnknownMethodsAreUnimplemented) {
  const auto server = StartServer(Echo);
  GrpcTestClient client(server->port());
  for (const auto& [path, message] :
       std::vector<std::pair<std::string, std::string>>{{"/test.Echo/Other", "unknown method Other for service test.Echo"},
                                                        {"/no.Such/Call", "unknown service no.Such"},
                                                        {"/", "malformed method name \"/\""}}) {
    const GrpcAnswer answer = client.Call(path, "x");
    EXPECT_EQ(answer.status(), Code(StatusCode::kUnimplemented));
    EXPECT_EQ(answer.message(), message);
  }
}

TEST(GrpcServerTest, AnswersWhatIsNoGrpcWithAnHttpStatus) {
  const auto server = StartServer(Echo);
  GrpcTestClient client(server->port());
  const GrpcAnswer get = client.Call(kEchoPath, "", {{":method", "GET"}});
  EXPECT_EQ(get.http_status(), 405);
  EXPECT_EQ(get.fields.at("allow"), "POST");
  EXPECT_EQ(client.Call(kEchoPath, "", {{"content-type", "application/json"}}).http_status(), 415);
  EXPECT_EQ(client.Call(kEchoPath, "", {{"content-type", "application/grpc-web"}}).http_status(), 415);
  EXPECT_EQ(client.Call(kEchoPath, "x", {{"content-type", "application/grpc+proto"}}).reply(), "x");
  EXPECT_EQ(client.Call(kEchoPath, "x", {{"content-type", "application/grpc; charset=utf-8"}}).reply(), "x");
}

TEST(GrpcServerTest, RefusesBodiesThatAreNotOneMessage) {
  const auto server = StartServer(Echo);
  GrpcTestClient client(server->port());
  const std::vector<std::tuple<std::string, StatusCode, std::string>> cases = {
      {"", StatusCode::kUnimplemented, "takes one request message, and none came"},
      {std::string(3, '\0'), StatusCode::kInternal, "ended in the middle of a message"},
      {Framed("whole").substr(0, 8), StatusCode::kInternal, "ended in the middle of a message"},
      {Framed("one") + Framed("two"), StatusCode::kUnimplemented, "takes one request message, and more came"},
      {Framed("x", 2), StatusCode::kInternal, "begins with the byte 2"},
      {Framed("x", 1), StatusCode::kInternal, "grpc-encoding names no way"},
  };
  for (const auto& [body, code, message] : cases) {
    const GrpcAnswer& answer = client.Await(client.Begin(kEchoPath, body));
    EXPECT_EQ(answer.status(), Code(code)) << message;
    EXPECT_THAT(answer.message(), HasSubstr(message));
  }
}

TEST(GrpcServerTest, NamesTheEncodingsItKnows) {
  const auto server = StartServer(Echo);
  const GrpcAnswer answer = GrpcTestClient(server->port()).Call(kEchoPath, "x", {{"grpc-encoding", "zstd"}});
  EXPECT_EQ(answer.status(), Code(StatusCode::kUnimplemented));
  EXPECT_EQ(answer.fields.at("grpc-accept-encoding"), "identity,deflate,gzip");
  EXPECT_THAT(answer.message(), HasSubstr("zstd"));
}

TEST(GrpcServerTest, RefusesMessagesOverTheLimit) {
  const auto server = StartServer(Echo, {.limits = {.max_receive_message_bytes = 1000}});
  GrpcTestClient client(server->port());
  EXPECT_EQ(client.Call(kEchoPath, std::string(1000, 'x')).status(), 0);
  const GrpcAnswer& answer = client.Await(client.Begin(kEchoPath, Framed(std::string(1001, 'x')).substr(0, 5), {}, false));
  EXPECT_EQ(answer.status(), Code(StatusCode::kResourceExhausted)) << "before the message has come";
  EXPECT_EQ(answer.message(), "Received message larger than max (1001 vs. 1000)");
  EXPECT_EQ(answer.reset, static_cast<uint32_t>(NGHTTP2_NO_ERROR)) << "the rest need not be sent";
}

TEST(GrpcServerTest, HandlersSeeTheDeadline) {
  std::atomic<TimePoint> seen{};
  const auto server = StartServer([&seen](GrpcCall& call) {
    seen = call.deadline();
    Echo(call);
  });
  GrpcTestClient client(server->port());
  for (const char* endless : {"", "99999999H"}) {
    EXPECT_EQ(client.Call(kEchoPath, "x", *endless == 0 ? GrpcTestClient::Fields() : GrpcTestClient::Fields{{"grpc-timeout", endless}}).status(), 0);
    EXPECT_EQ(seen.load(), kNoDeadline);
  }
  EXPECT_EQ(client.Call(kEchoPath, "x", {{"grpc-timeout", "60M"}}).status(), 0);
  const auto left = seen.load() - std::chrono::steady_clock::now();
  EXPECT_GT(left, std::chrono::minutes(50));
  EXPECT_LE(left, std::chrono::minutes(60));
  const GrpcAnswer bad = client.Call(kEchoPath, "x", {{"grpc-timeout", "60"}});
  EXPECT_EQ(bad.status(), Code(StatusCode::kInternal));
  EXPECT_THAT(bad.message(), StartsWith("malformed grpc-timeout \"60\""));
}

TEST(GrpcServerTest, ACallPastItsDeadlineIsAnsweredAndCancelled) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler());
  GrpcTestClient client(server->port());
  const GrpcAnswer answer = client.Call(kEchoPath, "x", {{"grpc-timeout", "20m"}});
  EXPECT_EQ(answer.status(), Code(StatusCode::kDeadlineExceeded));
  EXPECT_EQ(answer.message(), "Deadline Exceeded");
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  EXPECT_TRUE(call->cancellation().cancelled());
  EXPECT_EQ(RequestText(*call), "x") << "the request is the handler's until it finishes";
  Echo(*call);
  // A request that never becomes whole has a deadline too.
  EXPECT_EQ(client.Await(client.Begin(kEchoPath, "", {{"grpc-timeout", "1m"}}, false)).status(), Code(StatusCode::kDeadlineExceeded));
}

TEST(GrpcServerTest, FinishesFromAnotherThread) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler());
  GrpcTestClient client(server->port());
  const int32_t id = client.Begin(kEchoPath, Framed("later"));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  EXPECT_FALSE(call->cancellation().cancelled());
  Echo(*call);
  EXPECT_EQ(client.Await(id).reply(), "later");
}

TEST(GrpcServerTest, FinishesWhileTheHandlerStillRuns) {
  const auto server = StartServer([](GrpcCall& call) { std::thread([&call] { Echo(call); }).join(); });
  EXPECT_EQ(GrpcTestClient(server->port()).Call(kEchoPath, "raced").reply(), "raced");
}

TEST(GrpcServerTest, HandlersSeeThatTheClientGaveUp) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler());
  GrpcTestClient client(server->port());
  const int32_t reset = client.Begin(kEchoPath, Framed("reset"));
  GrpcCall* call = held.Take();
  ASSERT_NE(call, nullptr);
  client.Reset(reset);
  EXPECT_TRUE(Eventually([call] { return call->cancellation().cancelled(); }));
  Echo(*call);

  client.Begin(kEchoPath, Framed("hung up"));
  call = held.Take();
  ASSERT_NE(call, nullptr);
  client.Close();
  EXPECT_TRUE(Eventually([call] { return call->cancellation().cancelled(); }));
  EXPECT_EQ(RequestText(*call), "hung up");
  Echo(*call);

  GrpcTestClient failing(server->port());
  failing.Begin(kEchoPath, Framed("failing"));
  call = held.Take();
  ASSERT_NE(call, nullptr);
  nghttp2_submit_goaway(failing.http2(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_INTERNAL_ERROR, nullptr, 0);
  failing.Flush();
  EXPECT_TRUE(Eventually([call] { return call->cancellation().cancelled(); }));
  Echo(*call);
}

TEST(GrpcServerTest, ServesManyCallsAtOnce) {
  const auto server = StartServer(Echo, {.num_threads = 2});
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&server, &good, t] {
      GrpcTestClient client(server->port());
      std::vector<int32_t> ids;
      // Some replies are copied beside their frames, some are sent from where they are.
      const auto text = [t](int i) { return std::to_string(t) + ":" + std::to_string(i) + std::string(static_cast<size_t>(i) * 100, 'r'); };
      for (int i = 0; i < 50; ++i) ids.push_back(client.Begin(kEchoPath, Framed(text(i))));
      for (int i = 0; i < 50; ++i) good += client.Await(ids[static_cast<size_t>(i)]).reply() == text(i) ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good.load(), 200);
}

TEST(GrpcServerTest, ASmallReplyNeedNotWaitForALargeOne) {
  constexpr size_t kLarge = size_t{32} << 20;
  const auto server = StartServer([](GrpcCall& call) {
    const std::string request = RequestText(call);
    ReplyWith(call, request == "large" ? std::string(kLarge, 'l') : request);
  });
  GrpcTestClient client(server->port(), /*receive_buffer_bytes=*/64 << 10, /*window=*/64 << 20);
  const int32_t large = client.Begin(kEchoPath, Framed("large"));
  client.AwaitData(large, 1);
  EXPECT_EQ(client.Await(client.Begin(kEchoPath, Framed("small"))).reply(), "small");
  EXPECT_LT(client.AwaitData(large, 1).data.size(), kLarge);
  EXPECT_EQ(client.Await(large).data.size(), kLarge + 5);
}

// Time is checked whenever a deadline comes: also between two pieces of another connection's message, which must stay in their order.
TEST(GrpcServerTest, DeadlinesOfOthersDoNotDisturbAMessage) {
  GrpcServerOptions options;
  options.num_threads = 1;
  const auto server = StartServer(Echo, options);
  std::atomic<bool> over = false;
  std::jthread deadlines([&] {
    GrpcTestClient client(server->port());
    while (!over) client.Await(client.Begin(kEchoPath, "", {{"grpc-timeout", "1m"}}, false));
  });
  GrpcTestClient client(server->port());
  std::string request(3'000'000, '\0');
  for (size_t i = 0; i < request.size(); ++i) request[i] = static_cast<char>(i * 7);
  for (int i = 0; i < 30 && !testing::Test::HasFailure(); ++i) {
    const GrpcAnswer answer = client.Call(kEchoPath, request);
    EXPECT_EQ(answer.status(), 0) << i << ": " << answer.message();
    EXPECT_TRUE(answer.reply() == request) << i;
  }
  over = true;
}

TEST(GrpcServerTest, ClientsMayLeaveInTheMiddleOfAReply) {
  const auto server = StartServer([](GrpcCall& call) { ReplyWith(call, std::string(4 << 20, 'r')); });
  for (int i = 0; i < 50; ++i) {
    GrpcTestClient client(server->port());
    const int32_t id = client.Begin(kEchoPath, Framed("x"));
    client.AwaitData(id, 1);
    if (i % 2 == 0) client.Reset(id);
  }
  EXPECT_EQ(GrpcTestClient(server->port()).Call(kEchoPath, "x").reply().size(), size_t{4} << 20);
  EXPECT_TRUE(Eventually([&server] { return server->num_connections() == 0; }));
}

TEST(GrpcServerTest, RefusesBadMethodTablesAndPlaces) {
  const GrpcServerOptions options{.port = kAnyFreePort};
  for (const char* path : {"", "/", "Call", "/test.Echo", "/test.Echo/", "//Call"}) {
    EXPECT_THAT(GrpcServer::Create(options, {{path, Echo}}, {}).status().message(),
                StartsWith("gRPC method \"" + std::string(path) + "\" is not of the form"));
  }
  EXPECT_THAT(GrpcServer::Create(options, {{kEchoPath, Echo}, {kEchoPath, Echo}}, {}).status().message(), EndsWith("is there twice"));
  EXPECT_EQ(GrpcServer::Create({}, {}, {}).status(), InvalidArgumentError("the gRPC server needs a port or a Unix socket path"));
  EXPECT_EQ(GrpcServer::Create({.port = 65536}, {}, {}).status(), InvalidArgumentError("port 65536 is not within 0..65535"));
  const auto server = StartServer(Echo);
  EXPECT_THAT(GrpcServer::Create({.bind_address = "127.0.0.1", .port = server->port()}, {}, {}).status().message(),
              HasSubstr("port " + std::to_string(server->port()) + ": Address already in use"));
}

TEST(GrpcChannelArgumentsTest, SetTheLimitsTheyName) {
  GrpcLimits limits;
  SetChannelArguments({{"grpc.max_concurrent_streams", 7},
                       {"grpc.max_metadata_size", 100},
                       {"grpc.max_receive_message_length", -1},
                       {"grpc.keepalive_time_ms", 1},
                       {"grpc.keepalive_timeout_ms", 2},
                       {"grpc.max_connection_idle_ms", 3},
                       {"grpc.max_connection_age_ms", 4},
                       {"grpc.max_connection_age_grace_ms", 2147483647},
                       {"grpc.so_reuseport", 1}},
                      limits);
  EXPECT_EQ(limits.max_concurrent_streams, 7U);
  EXPECT_EQ(limits.max_metadata_bytes, 100U);
  EXPECT_EQ(limits.max_receive_message_bytes, size_t{2147483647});
  EXPECT_EQ(limits.keepalive_time.count(), 1);
  EXPECT_EQ(limits.keepalive_timeout.count(), 2);
  EXPECT_EQ(limits.max_connection_idle.count(), 3);
  EXPECT_EQ(limits.max_connection_age.count(), 4);
  EXPECT_EQ(limits.max_connection_age_grace, std::chrono::milliseconds::max());
  SetChannelArguments({{"grpc.max_concurrent_streams", 0}, {"grpc.max_metadata_size", "many"}}, limits);
  EXPECT_EQ(limits.max_concurrent_streams, 7U);
  EXPECT_EQ(limits.max_metadata_bytes, 100U);
}

}  // namespace
}  // namespace tflite_serving
