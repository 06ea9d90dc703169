#include "transport/http/http_server.h"

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/http/http_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;

class HttpServerTest : public testing::Test {
 protected:
  EchoHandler echo_;
};

TEST_F(HttpServerTest, AnswersWithTheUsualHeaders) {
  const auto server = StartServer(echo_);
  const Reply reply = ConnectTo(*server).Ask(Get("/v1/models/m?x=%20"));
  EXPECT_EQ(reply.body, "GET /v1/models/m?x=%20 ");
  EXPECT_THAT(reply.head, MatchesRegex("HTTP/1.1 200 OK\r\nDate: [A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z][a-z] 2[0-9]+ [0-9:]+ GMT\r\n"
                                       "Content-Type: application/json\r\nContent-Length: 23\r\n\r\n"));
}

TEST_F(HttpServerTest, KeepsConnectionsOpenAndRequestsApart) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  EXPECT_EQ(client.Ask(Post("/a", "a longer body")).body, "POST /a a longer body");
  EXPECT_EQ(client.Ask(Post("/b", "short")).body, "POST /b short");
  EXPECT_EQ(client.Ask(Get("/c")).body, "GET /c ");
  EXPECT_EQ(client.Ask(Post("/d", "")).body, "POST /d ");
}

TEST_F(HttpServerTest, AnswersTenThousandPipelinedRequestsInOrder) {
  constexpr int kRequests = 10'000;
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  std::jthread sender([&client] {
    std::string requests;
    for (int i = 0; i < kRequests; ++i) requests += Post(fmt::format("/{}", i), "b");
    EXPECT_TRUE(client.Send(requests));
  });
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(client.Read().body, fmt::format("POST /{} b", i));
}

TEST_F(HttpServerTest, HandlesOneRequestOfAConnectionAtATime) {
  HeldCalls held;
  const auto server = StartServer(held);
  TestClient client = ConnectTo(*server);
  client.Send(Get("/first") + Get("/second"));
  for (const char* const target : {"/first", "/second"}) {
    HttpCall* const call = held.Take();
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->request().target, target);
    EXPECT_EQ(held.num_waiting(), 0U);
    call->response().body = target;
    call->Finish();
    EXPECT_EQ(client.Read().body, target);
  }
}

TEST_F(HttpServerTest, RepliesToRequestsThatCameTogetherLeaveTogether) {
  // Answers at once; "GET /hold" only when `go` is set. Notes how many of the clients had a reply when the last of their requests was handled.
  class Watch : public HttpHandler {
   public:
    void Handle(HttpCall& call) override {
      if (call.request().target == "/hold") {
        held.count_down();
        go.wait();
      } else {
        num_with_reply = std::ranges::count_if(clients, [](TestClient& client) { return client.Readable(milliseconds(0)); });
      }
      call.Finish();
    }
    std::latch held{1};
    std::latch go{1};
    std::vector<TestClient> clients;
    std::atomic<ptrdiff_t> num_with_reply = -1;
  };
  Watch watch;
  const auto server = StartServer(watch, {.num_threads = 1});
  TestClient holder = ConnectTo(*server);
  for (int i = 0; i < 4; ++i) watch.clients.push_back(ConnectTo(*server));
  ASSERT_TRUE(holder.Send(Get("/hold")));
  watch.held.wait();
  for (TestClient& client : watch.clients) {
    ASSERT_TRUE(client.Send(Get("/")));
    client.WaitUntilDelivered();
  }
  watch.go.count_down();
  for (TestClient& client : watch.clients) EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(holder.Read().status, 200);
  EXPECT_LE(watch.num_with_reply, 1) << "that of the first, since the request before was alone";
}

TEST_F(HttpServerTest, CallsMayBeFinishedOnAnyThreadInAnyOrder) {
  constexpr size_t kClients = 8;
  HeldCalls held;
  const auto server = StartServer(held, {.num_threads = 2});
  std::vector<TestClient> clients;
  clients.reserve(kClients);
  for (size_t i = 0; i < kClients; ++i) clients.push_back(ConnectTo(*server));
  for (int round = 0; round < 50; ++round) {
    for (size_t i = 0; i < kClients; ++i) clients[i].Send(Post("/", std::to_string(i)));
    std::vector<HttpCall*> calls;
    calls.reserve(kClients);
    for (size_t i = 0; i < kClients; ++i) calls.push_back(held.Take());
    {
      std::vector<std::jthread> workers;
      for (size_t i = 0; i < kClients; i += 2) {
        workers.emplace_back([&calls, i] {
          for (HttpCall* const call : {calls[i + 1], calls[i]}) {
            call->response().body.assign(call->request().body.data(), call->request().body.size());
            call->Finish();
          }
        });
      }
    }
    for (size_t i = 0; i < kClients; ++i) ASSERT_EQ(clients[i].Read().body, std::to_string(i));
  }
}

TEST_F(HttpServerTest, ReadsDeclaredBodiesOfEverySize) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  for (const size_t size :
       {size_t{1}, kInputBytes - 1, kInputBytes, kFirstBodyBytes - 1, kFirstBodyBytes, kFirstBodyBytes + 1, 9 * kFirstBodyBytes}) {
    std::string body(size, 'x');
    for (size_t i = 0; i < size; i += 1000) body[i] = static_cast<char>('a' + i % 26);
    const std::string request = Post("/", body);
    std::jthread sender([&] { client.Send(request); });
    const Reply reply = client.Read();
    ASSERT_EQ(reply.status, 200) << size;
    ASSERT_TRUE(reply.body == "POST / " + body) << size;
  }
}

TEST_F(HttpServerTest, DecodesChunkedBodies) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n";
  EXPECT_EQ(client.Ask(head + "3\r\nabc\r\nA;name=\"v\"\r\n0123456789\r\n0\r\n\r\n").body, "POST / abc0123456789");
  EXPECT_EQ(client.Ask(head + "0\r\n\r\n").body, "POST / ");
  EXPECT_EQ(client.Ask(head + "1\r\nx\r\n0\r\nTrailer: dropped\r\n\r\n").body, "POST / x");

  const std::string large(3 * kFirstBodyBytes, 'y');
  const std::string size = "300000\r\n";
  std::jthread sender([&] { client.Send(head + size + large + "\r\n" + size + large + "\r\n0\r\n\r\n"); });
  EXPECT_TRUE(client.Read().body == "POST / " + large + large);
}

TEST_F(HttpServerTest, AsksForABodyThatTheClientHoldsBack) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  EXPECT_EQ(client.Ask(head).head, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(client.Ask("body").body, "POST / body");
  EXPECT_EQ(client.Ask(head + "body").body, "POST / body") << "no 100 when the body is there already";

  client.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  EXPECT_EQ(client.Ask("1\r\nc\r\n0\r\n\r\n").body, "POST / c");
}

TEST_F(HttpServerTest, AnswersHeadWithTheLengthAlone) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  client.Send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/next"));
  EXPECT_THAT(client.Read(/*head_only=*/true).head, HasSubstr("\r\nContent-Length: 8\r\n"));
  EXPECT_EQ(client.Read().body, "GET /next ");
}

TEST_F(HttpServerTest, StatusesWithoutBodyHaveNone) {
  HeldCalls held;
  const auto server = StartServer(held);
  TestClient client = ConnectTo(*server);
  client.Send(Get("/"));
  HttpCall* const call = held.Take();
  ASSERT_NE(call, nullptr);
  call->response().status = 204;
  call->response().body = "dropped";
  call->response().headers.emplace_back("X-Value", "a\r\nInjected: b");
  call->Finish();
  const Reply reply = client.Read();
  EXPECT_THAT(reply.head, EndsWith(" GMT\r\nX-Value: a  Injected: b\r\n\r\n"));
  client.Send(Get("/again"));
  HttpCall* const next = held.Take();
  ASSERT_NE(next, nullptr);
  EXPECT_TRUE(next->response().headers.empty() && next->response().body.empty() && next->response().status == 200);
  next->Finish();
  EXPECT_THAT(client.Read().head, HasSubstr("Content-Length: 0\r\n"));
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsksForIt) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  const Reply reply = client.Ask(Get("/", "Connection: close\r\n"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.Has("\r\nConnection: close\r\n"));
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpServerTest, SpeaksHttp10) {
  const auto server = StartServer(echo_);
  TestClient once = ConnectTo(*server);
  const Reply reply = once.Ask("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_EQ(reply.body, "GET /old ");
  EXPECT_TRUE(reply.Has("\r\nConnection: close\r\n"));
  EXPECT_TRUE(once.AtEnd());

  TestClient again = ConnectTo(*server);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(again.Ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").Has("\r\nConnection: keep-alive\r\n"));
}

TEST_F(HttpServerTest, AcceptsBlankLinesBeforeARequestAndAbsoluteTargets) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  EXPECT_EQ(client.Ask("\r\n\r\n" + Get("http://host:8501/v1/models/m?q")).body, "GET /v1/models/m?q ");
  EXPECT_EQ(client.Ask(Get("http://host")).body, "GET / ");
  EXPECT_EQ(client.Ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").body, "OPTIONS * ");
}

TEST_F(HttpServerTest, AnswersAClientThatHasClosedItsSide) {
  const auto server = StartServer(echo_);
  TestClient client = ConnectTo(*server);
  client.Send(Get("/half"));
  client.CloseWrite();
  EXPECT_EQ(client.Read().body, "GET /half ");
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpServerTest, WritesResponsesLargerThanTheSocketTakes) {
  HeldCalls held;
  const auto server = StartServer(held);
  TestClient client = ConnectTo(*server);
  std::string large(size_t{24} << 20, 'r');
  for (size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>('a' + (i / 4096) % 26);
  for (int i = 0; i < 2; ++i) {
    client.Send(Get("/"));
    HttpCall* const call = held.Take();
    ASSERT_NE(call, nullptr);
    call->response().body = large;
    call->Finish();
    ASSERT_TRUE(client.Read().body == large);
  }
}

TEST_F(HttpServerTest, DealsConnectionsToAllThreads) {
  class ThreadIds : public HttpHandler {
   public:
    void Handle(HttpCall& call) override {
      {
        const MutexLock lock(mutex_);
        ids_.insert(std::this_thread::get_id());
      }
      call.Finish();
    }
    size_t count() {
      const MutexLock lock(mutex_);
      return ids_.size();
    }

   private:
    Mutex mutex_;
    std::set<std::thread::id> ids_ TFLS_GUARDED_BY(mutex_);
  } thread_ids;
  const auto server = StartServer(thread_ids, {.num_threads = 4});
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(ConnectTo(*server));
    EXPECT_EQ(clients.back().Ask(Get("/")).status, 200);
  }
  EXPECT_EQ(thread_ids.count(), 4U);
}

// However a stream of requests is cut into packets, the answers are the same.
TEST_F(HttpServerTest, AnswersDoNotDependOnHowTheBytesArrive) {
  const auto server = StartServer(echo_);
  std::string requests;
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    const std::string target = fmt::format("/{}{}", std::string(static_cast<size_t>(i), 'p'), i);
    requests += Get(target) + "\r\n" + Post(target, "body of " + target);
    requests += fmt::format("POST {} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n", target);
    requests += "5\r\nchunk\r\n1;e=f\r\ns\r\n0\r\nT: t\r\n\r\n";
    expected.push_back(fmt::format("GET {} ", target));
    expected.push_back(fmt::format("POST {} body of {}", target, target));
    expected.push_back(fmt::format("POST {} chunks", target));
  }
  std::mt19937 random(20261122);  // NOLINT(cert-msc51-cpp): the same splits in each run
  for (const size_t longest : {size_t{1}, size_t{2}, size_t{7}, size_t{40}, size_t{1000}, requests.size()}) {
    TestClient client = ConnectTo(*server);
    std::jthread sender([&] {
      for (size_t at = 0; at < requests.size();) {
        const size_t size = std::min(requests.size() - at, 1 + random() % longest);
        if (!client.Send(std::string_view(requests).substr(at, size))) return;
        at += size;
      }
    });
    for (const std::string& body : expected) ASSERT_EQ(client.Read().body, body) << "at most " << longest << " bytes at a time";
  }
}

TEST_F(HttpServerTest, GarbageIsRefusedOrCutOffAndHarmsNobody) {
  const auto server = StartServer(echo_);
  TestClient bystander = ConnectTo(*server);
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same garbage in each run
  const std::string valid = Post("/", "body") + "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" + Get("/");
  for (int i = 0; i < 300; ++i) {
    std::string bytes = valid;
    if (i % 3 == 0) {
      bytes.resize(random() % 2000);
      for (char& c : bytes) c = static_cast<char>(random());
    } else {
      for (size_t flips = 1 + random() % 4; flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    TestClient client = ConnectTo(*server);
    client.Send(bytes);
    client.CloseWrite();
    const std::string answers = client.ReadToEnd();
    ASSERT_TRUE(answers.empty() || answers.starts_with("HTTP/1.1 ")) << answers;
    ASSERT_FALSE(client.was_reset()) << "garbage " << i;
  }
  EXPECT_EQ(bystander.Ask(Get("/alive")).body, "GET /alive ");
}

TEST_F(HttpServerTest, ClientsThatGoAwayLeaveNothingBehind) {
  HeldCalls held;
  const auto server = StartServer(held, {.num_threads = 2});
  for (int i = 0; i < 20; ++i) {
    ConnectTo(*server).Send("GET / HT");
    ConnectTo(*server).Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegun");
    ConnectTo(*server).Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nbegun");
    ConnectTo(*server).Send(Get("/"));
    HttpCall* const call = held.Take();
    ASSERT_NE(call, nullptr);
    call->response().body.assign(1000, 'x');
    call->Finish();
  }
  EXPECT_TRUE(Eventually([&] { return server->num_connections() == 0; }));
}

TEST_F(HttpServerTest, ServesWhatConnectedBeforeItStarted) {
  StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create({.addresses = {"127.0.0.1"}}, echo_);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  TestClient client = ConnectTo(**server);
  client.Send(Get("/early"));
  (*server)->Start();
  EXPECT_EQ(client.Read().body, "GET /early ");
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  StatusOr<std::unique_ptr<HttpServer>> first = HttpServer::Create({}, echo_);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const uint16_t port = (*first)->port();
  StatusOr<std::unique_ptr<HttpServer>> second = HttpServer::Create({.port = port}, echo_);
  EXPECT_EQ(second.status(), Status(StatusCode::kAlreadyExists, "cannot listen on port " + std::to_string(port) + ": Address already in use"));
  second = HttpServer::Create({.addresses = {"127.0.0.1"}, .port = port}, echo_);
  EXPECT_EQ(second.status().message(), "cannot listen on 127.0.0.1 port " + std::to_string(port) + ": Address already in use");
}

TEST_F(HttpServerTest, ListensOnEveryAddressUnlessTold) {
  StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create({}, echo_);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  (*server)->Start();
  EXPECT_EQ(ConnectTo(**server).Ask(Get("/v4")).body, "GET /v4 ");

  server = HttpServer::Create({.addresses = {"127.0.0.2", "127.0.0.1"}}, echo_);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  (*server)->Start();
  EXPECT_EQ(ConnectTo(**server).Ask(Get("/second")).body, "GET /second ") << "one port for all addresses";
}

TEST_F(HttpServerTest, BadOptionsAreErrors) {
  EXPECT_EQ(HttpServer::Create({.num_threads = 0}, echo_).status().message(), "the HTTP server needs at least 1 thread, got 0");
  EXPECT_THAT(HttpServer::Create({.addresses = {"no such host"}}, echo_).status().message(),
              HasSubstr("cannot listen on address \"no such host\": "));
}

}  // namespace
}  // namespace tflite_serving
