// How the server ends: politely until a deadline, then at once, and never under the feet of a handler.
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "transport/http/http_server.h"
#include "transport/http/http_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

TimePoint Now() { return Clock::Steady().Now(); }

class HttpServerShutdownTest : public testing::Test {
 protected:
  // Whether the last connection was closed before the deadline.
  static bool ShutdownInTime(HttpServer& server) {
    const TimePoint deadline = Now() + kTestPatience;
    server.Shutdown(deadline);
    return Now() < deadline;
  }

  HeldCalls held_;
  EchoHandler echo_;
};

TEST_F(HttpServerShutdownTest, ClosesIdleConnectionsAtOnce) {
  const auto server = StartServer(echo_, {.num_threads = 2});
  TestClient fresh = ConnectTo(*server);
  TestClient used = ConnectTo(*server);
  EXPECT_EQ(used.Ask(Get("/")).status, 200);
  EXPECT_TRUE(ShutdownInTime(*server));
  EXPECT_TRUE(used.AtEnd());
  EXPECT_TRUE(fresh.AtEnd());
  EXPECT_EQ(server->num_connections(), 0U);
  TestClient late;
  EXPECT_FALSE(late.Connect(server->port()));
}

TEST_F(HttpServerShutdownTest, AnswersWhatHasBegun) {
  const auto server = StartServer(held_, {.num_threads = 2, .limits = {.drain_patience = kTestPatience}});
  TestClient handled = ConnectTo(*server);
  TestClient half_sent = ConnectTo(*server);
  handled.Send(Get("/handled") + Get("/pipelined behind it"));
  HttpCall* const first = held_.Take();
  ASSERT_NE(first, nullptr);
  half_sent.Send("GET /half");
  std::jthread stopping([&] { EXPECT_TRUE(ShutdownInTime(*server)); });
  TestClient probe;
  while (probe.Connect(server->port())) probe = TestClient();  // until nothing listens any more

  half_sent.Send(" HTTP/1.1\r\nHost: h\r\n\r\n");
  HttpCall* const second = held_.Take();
  ASSERT_NE(second, nullptr);
  for (HttpCall* const call : {first, second}) {
    call->response().body.assign(call->request().target);
    call->Finish();
  }
  for (TestClient* const client : {&handled, &half_sent}) {
    const Reply reply = client->Read();
    EXPECT_EQ(reply.body, client == &handled ? "/handled" : "/half");
    EXPECT_TRUE(reply.Has("\r\nConnection: close\r\n"));
    EXPECT_TRUE(client->AtEnd());
    client->Close();
  }
  stopping.join();
  EXPECT_EQ(held_.num_waiting(), 0U);
}

TEST_F(HttpServerShutdownTest, WhatHasBegunAndDoesNotGoOnDoesNotHoldIt) {
  const auto server = StartServer(held_, {.limits = {.drain_patience = std::chrono::milliseconds(10)}});
  TestClient in_head = ConnectTo(*server);
  in_head.Send("GET /half");
  TestClient in_body = ConnectTo(*server);
  in_body.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n");
  EXPECT_TRUE(in_body.Readable(kTestPatience));  // 100 Continue: the head has come
  server->Shutdown(kNoDeadline);
  EXPECT_EQ(server->num_connections(), 0U);
}

TEST_F(HttpServerShutdownTest, ServesWhatWaitedInTheBacklog) {
  StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create({.addresses = {"127.0.0.1"}, .num_threads = 2}, echo_);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  std::vector<TestClient> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(ConnectTo(**server));
    clients.back().Send(Get("/waited"));
  }
  (*server)->Start();
  EXPECT_TRUE(ShutdownInTime(**server));
  for (TestClient& client : clients) EXPECT_EQ(client.Read().body, "GET /waited ");
}

TEST_F(HttpServerShutdownTest, HeldCallsSurviveTheServer) {
  constexpr size_t kCalls = 4;
  auto server = StartServer(held_, {.num_threads = 2});
  std::vector<TestClient> clients;
  std::vector<HttpCall*> calls;
  for (size_t i = 0; i < kCalls; ++i) {
    clients.push_back(ConnectTo(*server));
    clients.back().Send(Post("/" + std::to_string(i), "body"));
    calls.push_back(held_.Take());
    ASSERT_NE(calls.back(), nullptr);
  }
  server->Shutdown(Now());
  for (size_t i = 0; i < kCalls; ++i) {
    EXPECT_EQ(clients[i].ReadToEnd(), "");
    if (i == kCalls / 2) server.reset();
    EXPECT_EQ(calls[i]->request().target, "/" + std::to_string(i));
    EXPECT_EQ(std::string(calls[i]->request().body.data(), calls[i]->request().body.size()), "body");
    calls[i]->response().body = "too late";
    calls[i]->Finish();
  }
}

TEST_F(HttpServerShutdownTest, TheDeadlineCutsOffSlowClients) {
  auto server = StartServer(held_, {.num_threads = 2});
  TestClient sending = ConnectTo(*server);
  sending.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nbegun");
  TestClient not_reading(/*receive_buffer_bytes=*/4096);
  ASSERT_TRUE(not_reading.Connect(server->port()));
  not_reading.Send(Get("/"));
  HttpCall* const call = held_.Take();
  ASSERT_NE(call, nullptr);
  call->response().body.assign(size_t{64} << 20, 'r');
  call->Finish();
  EXPECT_TRUE(not_reading.Readable(kTestPatience));
  server->Shutdown(Now() + std::chrono::milliseconds(10));
  EXPECT_EQ(server->num_connections(), 0U);
  EXPECT_LT(not_reading.ReadToEnd().size(), size_t{64} << 20);
}

TEST_F(HttpServerShutdownTest, TheDeadlineReachesEveryLoop) {
  const auto server = StartServer(held_, {.num_threads = 2});
  TestClient on_first_loop = ConnectTo(*server);
  TestClient on_second_loop = ConnectTo(*server);
  on_second_loop.Send(Get("/"));
  HttpCall* const call = held_.Take();
  ASSERT_NE(call, nullptr);
  // The first loop, which also accepts, has nothing to wait for and is gone by the deadline.
  on_first_loop.Close();
  EXPECT_TRUE(Eventually([&] { return server->num_connections() == 1; }));
  server->Shutdown(Now() + std::chrono::milliseconds(20));
  EXPECT_EQ(on_second_loop.ReadToEnd(), "");
  call->Finish();
}

// Finish and the end of the server meet at any moment; the sanitizers judge.
TEST_F(HttpServerShutdownTest, MayMeetFinishAtAnyMoment) {
  for (int round = 0; round < 200; ++round) {
    auto server = StartServer(held_, {.num_threads = 2});
    std::vector<TestClient> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(ConnectTo(*server));
      clients.back().Send(Get("/"));
    }
    std::vector<HttpCall*> calls;
    calls.reserve(clients.size());
    for (size_t i = 0; i < clients.size(); ++i) calls.push_back(held_.Take());
    {
      const std::jthread finishing([&] {
        for (HttpCall* const call : calls) call->Finish();
      });
      server->Shutdown(Now());
      server.reset();
    }
    for (TestClient& client : clients) {
      const std::string answer = client.ReadToEnd();
      ASSERT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    }
  }
}

TEST_F(HttpServerShutdownTest, TwiceOrNeverStartedIsHarmless) {
  auto server = StartServer(echo_);
  server->Shutdown(Now());
  server->Shutdown(Now());
  StatusOr<std::unique_ptr<HttpServer>> idle = HttpServer::Create({}, echo_);
  ASSERT_TRUE(idle.ok());
  (*idle)->Shutdown(Now());
}

}  // namespace
}  // namespace tflite_serving
