// How the gRPC server ends: politely until a deadline, then at once, and never under the feet of a handler.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

TimePoint Now() { return Clock::Steady().Now(); }

TEST(GrpcServerShutdownTest, WaitsForCallsInFlight) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler(), {.num_threads = 2});
  GrpcTestClient client(server->port());
  const int32_t id = client.Begin(kEchoPath, Framed("in time"));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  std::jthread stopping([&server] { server->Shutdown(kNoDeadline); });
  while (!client.goaway() && client.ReadSome()) {
  }
  EXPECT_FALSE(call->cancellation().cancelled());
  EXPECT_FALSE(GrpcTestClient(server->port()).connected());
  Echo(*call);
  EXPECT_EQ(client.Await(id).reply(), "in time");
  client.ReadToEnd();
  stopping.join();
}

TEST(GrpcServerShutdownTest, CancelsCallsAtTheDeadline) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler(), {.num_threads = 2});
  GrpcTestClient client(server->port());
  client.Begin(kEchoPath, Framed("x"));
  GrpcCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  std::jthread stopping([&server] { server->Shutdown(Now()); });
  EXPECT_TRUE(Eventually([call] { return call->cancellation().cancelled(); }));
  client.ReadToEnd();
  call->Finish(CancelledError("shutting down"));
  stopping.join();
  server->Shutdown(kNoDeadline);
}

TEST(GrpcServerShutdownTest, IdleAndSilentConnectionsDoNotDelayIt) {
  const auto server = StartServer(Echo, {.num_threads = 2});
  TestClient silent;
  ASSERT_TRUE(silent.Connect(static_cast<uint16_t>(server->port())));
  GrpcTestClient idle(server->port());
  EXPECT_EQ(idle.Call(kEchoPath, "x").reply(), "x");
  std::jthread stopping([&server] { server->Shutdown(kNoDeadline); });
  idle.ReadToEnd();
  silent.ReadToEnd();
  stopping.join();
  EXPECT_EQ(server->num_connections(), 0U);
}

TEST(GrpcServerShutdownTest, ARequestThatDoesNotGoOnDoesNotDelayIt) {
  const auto server =
      StartServer(Echo, {.limits = {.drain_patience = std::chrono::milliseconds(10), .drain_round_trip = std::chrono::milliseconds(20)}});
  GrpcTestClient client(server->port());
  client.Begin(kEchoPath, Framed("a message").substr(0, 3), {}, false);
  ASSERT_TRUE(client.Flush());
  EXPECT_EQ(client.Call(kEchoPath, "x").reply(), "x");  // so the server has the other
  server->Shutdown(kNoDeadline);
  EXPECT_EQ(server->num_connections(), 0U);
}

TEST(GrpcServerShutdownTest, AClientThatIgnoresItDelaysItLittle) {
  const auto server = StartServer(Echo, {.limits = {.drain_round_trip = std::chrono::milliseconds(20)}});
  GrpcTestClient idle(server->port());
  EXPECT_EQ(idle.Call(kEchoPath, "x").reply(), "x");
  const TimePoint deadline = Now() + kTestPatience;
  server->Shutdown(deadline);  // nobody reads the GOAWAY
  EXPECT_LT(Now(), deadline);
}

TEST(GrpcServerShutdownTest, RemovesItsUnixSocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  const auto server = StartServer(Echo, {.unix_socket_path = path});
  EXPECT_EQ(server->port(), 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  server->Shutdown(Now());
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Finish and the end of the server meet at any moment; the sanitizers judge.
TEST(GrpcServerShutdownTest, MayMeetFinishAtAnyMoment) {
  HeldGrpcCalls held;
  for (int round = 0; round < 200; ++round) {
    auto server = StartServer(held.Handler(), {.num_threads = 2});
    std::vector<std::unique_ptr<GrpcTestClient>> clients;
    std::vector<GrpcCall*> calls;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<GrpcTestClient>(server->port()));
      clients.back()->Begin(kEchoPath, Framed("x"));
    }
    for (size_t i = 0; i < clients.size(); ++i) calls.push_back(held.Take());
    {
      const std::jthread finishing([&] {
        for (GrpcCall* const call : calls) Echo(*call);
      });
      server->Shutdown(Now());
      server.reset();
    }
  }
}

}  // namespace
}  // namespace tflite_serving
