// A client that goes away while its request is being handled.
#include <sys/socket.h>

#include <string>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transport/http/http_server.h"
#include "transport/http/http_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

class HttpServerDisconnectTest : public testing::Test {
 protected:
  HttpCall* TakeCall() {
    HttpCall* const call = held_.Take();
    EXPECT_NE(call, nullptr);
    return call;
  }
  static bool IsCancelled(const HttpCall& call) {
    return Eventually([&] { return call.cancellation().cancelled(); });
  }

  HeldCalls held_;
  std::unique_ptr<HttpServer> server_ = StartServer(held_);
};

TEST_F(HttpServerDisconnectTest, AClientThatClosesCancelsItsCall) {
  TestClient leaving = ConnectTo(*server_);
  TestClient staying = ConnectTo(*server_);
  leaving.Send(Post("/", "body"));
  HttpCall* const left = TakeCall();
  staying.Send(Get("/"));
  HttpCall* const stayed = TakeCall();
  leaving.Close();
  EXPECT_TRUE(IsCancelled(*left));
  EXPECT_FALSE(stayed->cancellation().cancelled());
  left->Finish();
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 1; }));
  stayed->Finish();
  EXPECT_EQ(staying.Read().status, 200);
}

TEST_F(HttpServerDisconnectTest, SoDoesAResetAndAClosedSendingHalf) {
  TestClient resetting = ConnectTo(*server_);
  resetting.Send(Get("/"));
  HttpCall* const reset = TakeCall();
  resetting.Reset();
  EXPECT_TRUE(IsCancelled(*reset));
  reset->Finish();

  TestClient half = ConnectTo(*server_);
  half.Send(Get("/"));
  HttpCall* const call = TakeCall();
  half.CloseWrite();
  EXPECT_TRUE(IsCancelled(*call));
  call->response().status = 499;
  call->Finish();
  EXPECT_EQ(half.Read().status, 499) << "one that still reads is answered";
  EXPECT_TRUE(half.AtEnd());
}

TEST_F(HttpServerDisconnectTest, PipelinedRequestsAreNoGoodbye) {
  TestClient client = ConnectTo(*server_);
  client.Send(Get("/first"));
  HttpCall* const first = TakeCall();
  client.Send(Get("/second") + Post("/third", "body"));
  TestClient probe = ConnectTo(*server_);  // once this one is being handled, the loop has seen what came before
  probe.Send(Get("/probe"));
  HttpCall* const probed = TakeCall();
  EXPECT_FALSE(first->cancellation().cancelled());
  client.CloseWrite();
  EXPECT_TRUE(IsCancelled(*first)) << "the end is noticed behind what was pipelined";
  first->Finish();
  probed->Finish();
  EXPECT_EQ(client.Read().status, 200);
  for (const char* const target : {"/second", "/third"}) {
    HttpCall* const call = TakeCall();
    EXPECT_EQ(call->request().target, target);
    call->Finish();
    EXPECT_EQ(client.Read().status, 200);
  }
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(probe.Read().status, 200);
}

TEST_F(HttpServerDisconnectTest, RequestsFarAheadAreKeptInOrder) {
  TestClient client = ConnectTo(*server_);
  client.Send(Get("/first"));
  HttpCall* const first = TakeCall();
  constexpr int kRequests = 20'000;
  std::jthread sender([&client] {
    std::string requests;
    for (int i = 0; i < kRequests; ++i) requests += Get(fmt::format("/{}", i));
    EXPECT_TRUE(client.Send(requests));
  });
  TestClient probe = ConnectTo(*server_);
  probe.Send(Get("/probe"));
  HttpCall* const probed = TakeCall();
  EXPECT_FALSE(first->cancellation().cancelled());
  first->Finish();
  probed->Finish();
  EXPECT_EQ(client.Read().status, 200);
  for (int i = 0; i < kRequests; ++i) {
    HttpCall* const call = TakeCall();
    ASSERT_EQ(call->request().target, fmt::format("/{}", i));
    call->Finish();
    ASSERT_EQ(client.Read().status, 200);
  }
}

TEST_F(HttpServerDisconnectTest, TheNextRequestOfAConnectionIsNotCancelled) {
  TestClient client = ConnectTo(*server_);
  for (int i = 0; i < 100; ++i) {
    client.Send(Get("/"));
    HttpCall* const call = TakeCall();
    EXPECT_FALSE(call->cancellation().cancelled());
    call->Finish();
    EXPECT_EQ(client.Read().status, 200);
  }
}

TEST_F(HttpServerDisconnectTest, AServerThatGivesUpWaitingCancels) {
  TestClient client = ConnectTo(*server_);
  client.Send(Get("/"));
  HttpCall* const call = TakeCall();
  server_->Shutdown(Clock::Steady().Now());
  EXPECT_TRUE(call->cancellation().cancelled());
  call->Finish();
}

}  // namespace
}  // namespace tflite_serving
