// The gRPC server with gRPC's own C++ library as its client.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/grpc/grpc_protocol.h"
#include "transport/grpc/grpc_server.h"
#include "transport/grpc/grpc_test_server.h"
#include "transport/tls_test_authority.h"

namespace tflite_serving {
namespace {

// A client with a connection of its own.
class Client {
 public:
  explicit Client(const GrpcServer& server) : Client("127.0.0.1:" + std::to_string(server.port())) {}
  explicit Client(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials()) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(target, credentials, arguments));
  }

  struct Answer {
    grpc::Status status;
    std::string reply;
  };

  // Starts a call; `context` must live until the answer is there.
  std::future<Answer> Start(grpc::ClientContext& context, const std::string& path, const std::string& request) {
    struct State {
      grpc::ByteBuffer request;
      grpc::ByteBuffer reply;
      std::promise<Answer> answer;
    };
    auto state = std::make_shared<State>();
    const grpc::Slice slice(request);
    state->request = grpc::ByteBuffer(&slice, 1);
    std::future<Answer> answer = state->answer.get_future();
    stub_->UnaryCall(&context, path, grpc::StubOptions(), &state->request, &state->reply, [state](grpc::Status status) {
      Answer got{std::move(status), ""};
      std::vector<grpc::Slice> slices;
      if (got.status.ok() && state->reply.Dump(&slices).ok()) {
        for (const grpc::Slice& part : slices) got.reply.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
      state->answer.set_value(std::move(got));
    });
    return answer;
  }
  Answer Call(const std::string& request, const std::string& path = kEchoPath) {
    grpc::ClientContext context;
    return Start(context, path, request).get();
  }

 private:
  std::unique_ptr<grpc::GenericStub> stub_;
};

TEST(GrpcInteropTest, Tls) {
  const TestAuthority servers("servers' CA");
  const TestAuthority clients("clients' CA");
  const TestIdentity identity = servers.Issue("server");
  const StatusOr<std::shared_ptr<TlsContext>> context =
      TlsContext::FromPem({.certificate_chain = identity.certificate, .private_key = identity.key, .client_ca = clients.pem()}, "the test");
  ASSERT_TRUE(context.ok());
  const auto server = StartServer(Echo, {.tls = *context});
  const std::string target = "127.0.0.1:" + std::to_string(server->port());
  const TestIdentity known = clients.Issue("client");
  Client client(target, grpc::SslCredentials({servers.pem(), known.key, known.certificate}));
  for (const size_t size : {size_t{1}, size_t{70'000}, size_t{5'000'000}}) {
    const std::string request(size, 'r');
    const Client::Answer answer = client.Call(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_TRUE(answer.reply == request);
  }
  EXPECT_EQ(Client(target, grpc::SslCredentials({servers.pem(), "", ""})).Call("hello").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Client(target, grpc::SslCredentials({clients.pem(), known.key, known.certificate})).Call("hello").status.error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Client(target).Call("hello").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_GE(server->num_tls_failures(TlsFailure::kNoClientCertificate), 1U);
  EXPECT_GE(server->num_tls_failures(TlsFailure::kNotTls), 1U);
}

TEST(GrpcInteropTest, CarriesBytesBothWays) {
  const auto server = StartServer(Echo);
  Client client(*server);
  for (const size_t size : {size_t{1}, size_t{20}, size_t{64}, size_t{70'000}, size_t{5'000'000}}) {
    std::string request(size, '\0');
    for (size_t i = 0; i < size; ++i) request[i] = static_cast<char>(i * 7);
    const Client::Answer answer = client.Call(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.reply, request);
  }
}

TEST(GrpcInteropTest, RequestsAndRepliesMayBeEmpty) {
  const auto server = StartServer([](GrpcCall& call) {
    EXPECT_EQ(call.request_size_bytes(), 0U);
    call.Finish(OkStatus());
  });
  const Client::Answer answer = Client(*server).Call("");
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.reply, "");
}

TEST(GrpcInteropTest, DecompressesRequests) {
  const auto server = StartServer(Echo);
  Client client(*server);
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  const std::string request(100'000, 'z');
  EXPECT_EQ(client.Start(context, kEchoPath, request).get().reply, request);
  grpc::ClientContext deflating;
  deflating.set_compression_algorithm(GRPC_COMPRESS_DEFLATE);
  EXPECT_EQ(client.Start(deflating, kEchoPath, request).get().reply, request);
}

TEST(GrpcInteropTest, StatusesTravel) {
  const auto server =
      StartServer([](GrpcCall& call) { call.Finish(NotFoundError("Servable not found for request: Latest(" + RequestText(call) + ")")); });
  const Client::Answer answer = Client(*server).Call("digits");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answer.status.error_message(), "Servable not found for request: Latest(digits)");
}

TEST(GrpcInteropTest, LongMessagesAreCut) {
  const auto server = StartServer([](GrpcCall& call) { call.Finish(InternalError(RequestText(call))); });
  Client client(*server);
  const std::string longest(kMaxStatusMessageBytes, 'm');
  EXPECT_EQ(client.Call(longest).status.error_message(), longest);
  EXPECT_EQ(client.Call(longest + "m").status.error_message(), longest + "...TRUNCATED");
  // Not inside of a character.
  std::string accents;
  for (int i = 0; i < 1000; ++i) accents += "\xE2\x82\xAC";
  EXPECT_EQ(client.Call(accents).status.error_message(), accents.substr(0, 1023) + "...TRUNCATED");
}

TEST(GrpcInteropTest, AnUnknownMethodIsUnimplemented) {
  const auto server = StartServer(Echo);
  Client client(*server);
  EXPECT_EQ(client.Call("x", "/test.Echo/Other").status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(client.Call("x", "/test.Other/Call").status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(GrpcInteropTest, RefusesMessagesOverTheLimit) {
  const auto server = StartServer(Echo, {.limits = {.max_receive_message_bytes = 1000}});
  Client client(*server);
  EXPECT_TRUE(client.Call(std::string(1000, 'x')).status.ok());
  EXPECT_EQ(client.Call(std::string(1001, 'x')).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  EXPECT_EQ(client.Start(context, kEchoPath, std::string(100'000, 'x')).get().status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
      << "a small message that decompresses to a large one";
}

TEST(GrpcInteropTest, HandlersSeeTheDeadline) {
  std::atomic<TimePoint> seen{};
  const auto server = StartServer([&seen](GrpcCall& call) {
    seen = call.deadline();
    Echo(call);
  });
  Client client(*server);
  EXPECT_TRUE(client.Call("x").status.ok());
  EXPECT_EQ(seen.load(), kNoDeadline);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(client.Start(context, kEchoPath, "x").get().status.ok());
  const auto left = seen.load() - std::chrono::steady_clock::now();
  EXPECT_GT(left, std::chrono::minutes(50));
  EXPECT_LT(left, std::chrono::minutes(70));
}

TEST(GrpcInteropTest, HandlersSeeThatTheClientGaveUp) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler());
  Client client(*server);
  grpc::ClientContext context;
  std::future<Client::Answer> answer = client.Start(context, kEchoPath, "x");
  GrpcCall& call = *held.Take();
  context.TryCancel();
  EXPECT_EQ(answer.get().status.error_code(), grpc::StatusCode::CANCELLED);
  while (!call.cancellation().cancelled()) std::this_thread::yield();
  call.Finish(CancelledError("the client gave up"));
}

TEST(GrpcInteropTest, ServesManyCallsAtOnce) {
  const auto server = StartServer(Echo);
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&server, &good, t] {
      Client client(*server);
      std::vector<grpc::ClientContext> contexts(50);
      std::vector<std::future<Client::Answer>> answers;
      for (size_t i = 0; i < contexts.size(); ++i)
        answers.push_back(client.Start(contexts[i], kEchoPath, std::to_string(t) + ":" + std::to_string(i)));
      for (size_t i = 0; i < answers.size(); ++i) good += answers[i].get().reply == std::to_string(t) + ":" + std::to_string(i) ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good.load(), 200);
}

TEST(GrpcInteropTest, ServesAUnixSocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  const auto server = StartServer(Echo, {.unix_socket_path = path});
  EXPECT_EQ(server->port(), 0);
  EXPECT_EQ(Client("unix:" + path).Call("hello").reply, "hello");
}

TEST(GrpcInteropTest, ShutdownWaitsForCallsInFlight) {
  HeldGrpcCalls held;
  const auto server = StartServer(held.Handler());
  Client client(*server);
  grpc::ClientContext context;
  std::future<Client::Answer> answer = client.Start(context, kEchoPath, "finished in time");
  GrpcCall& call = *held.Take();
  std::thread shutdown([&server] { server->Shutdown(kNoDeadline); });
  // New calls are refused from some moment on; the old one is still there.
  while (Client(*server).Call("x", "/test.Echo/Unknown").status.error_code() != grpc::StatusCode::UNAVAILABLE) std::this_thread::yield();
  EXPECT_FALSE(call.cancellation().cancelled());
  Echo(call);
  EXPECT_EQ(answer.get().reply, "finished in time");
  shutdown.join();
}

}  // namespace
}  // namespace tflite_serving
