// The gRPC server over TLS: who gets in, and that messages come through whole.
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"
#include "transport/tls_test_client.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

const std::string kH2 = "\x02h2";

class GrpcServerTlsTest : public testing::Test {
 protected:
  void Start(GrpcHandler handler = Echo, GrpcServerOptions options = {}) {
    if (options.tls == nullptr) options.tls = MakeTlsContext(authority_.Issue("server"));
    server_ = StartServer(std::move(handler), std::move(options));
  }
  std::unique_ptr<GrpcTestClient> Connect(const TestTlsOptions& options = {.alpn = kH2}, int receive_buffer_bytes = 0) const {
    return std::make_unique<GrpcTestClient>(server_->port(), receive_buffer_bytes, 1 << 20, std::make_unique<TestTls>(options));
  }
  // What came back, or what the server had against the client.
  std::string Greet(const TestTlsOptions& options) const {
    const auto client = Connect(options);
    if (client->connected()) {
      const std::string reply = client->Call(kEchoPath, "hello").reply();
      if (reply == "hello") return reply;
    }
    return client->tls().failure();
  }
  uint64_t failures(TlsFailure failure) const { return server_->num_tls_failures(failure); }

  const TestAuthority authority_;
  std::unique_ptr<GrpcServer> server_;
};

TEST_F(GrpcServerTlsTest, AnswersClientsThatTrustIt) {
  Start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_EQ(Greet({.ca = authority_.pem(), .alpn = kH2, .max_version = version}), "hello");
    EXPECT_EQ(Greet({.ca = authority_.pem(), .alpn = "\x08http/1.1\x02h2", .max_version = version}), "hello");
  }
}

TEST_F(GrpcServerTlsTest, ClientsHaveToNameHttp2) {
  Start();
  EXPECT_EQ(Greet(TestTlsOptions{}), "tlsv1 alert no application protocol");
  EXPECT_EQ(Greet({.alpn = "\x08http/1.1"}), "tlsv1 alert no application protocol");
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNoAlpn) == 2; }));
}

TEST_F(GrpcServerTlsTest, ClientCertificates) {
  const TestAuthority clients("clients' CA");
  Start(Echo, {.tls = MakeTlsContext(authority_.Issue("server"), clients.pem())});
  const auto greet = [&](const TestIdentity& identity) { return Greet({.identity = identity, .alpn = kH2}); };
  EXPECT_EQ(greet(clients.Issue("good")), "hello");
  EXPECT_THAT(greet({}), HasSubstr("certificate required"));
  EXPECT_THAT(greet(authority_.Issue("of another CA")), HasSubstr("unknown ca"));
  EXPECT_THAT(greet(clients.Issue("expired", -3, -1)), HasSubstr("certificate expired"));
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNoClientCertificate) == 1; }));
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kBadCertificate) == 1; }));
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kExpired) == 1; }));
}

TEST_F(GrpcServerTlsTest, MessagesOfAllSizes) {
  Start();
  const auto client = Connect();
  for (const size_t size : {0, 1, 1000, 4087, 16'384, 70'000, 300'000, 5'000'000, 3}) {
    std::string message(size, '\0');
    for (size_t i = 0; i < size; ++i) message[i] = static_cast<char>(i * 7 / 5);
    EXPECT_TRUE(client->Call(kEchoPath, message).reply() == message) << size;
  }
}

TEST_F(GrpcServerTlsTest, ManyCallsAtOnce) {
  Start();
  const auto client = Connect();
  std::vector<int32_t> calls;
  for (int i = 0; i < 500; ++i) calls.push_back(client->Begin(kEchoPath, Framed(std::string(10 * i, 'x'))));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(client->Await(calls[i]).reply(), std::string(10 * i, 'x'));
}

TEST_F(GrpcServerTlsTest, ASlowReaderGetsAll) {
  Start();
  const auto client = Connect({.alpn = kH2}, 4096);
  const std::string message(500'000, 'm');
  std::vector<int32_t> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(client->Begin(kEchoPath, Framed(message)));
  for (const int32_t call : calls) EXPECT_TRUE(client->Await(call).reply() == message);
}

TEST_F(GrpcServerTlsTest, RecordsMayComeByteByByte) {
  Start();
  TlsTestClient client({.alpn = kH2});
  ASSERT_TRUE(client.Connect(static_cast<uint16_t>(server_->port())));
  client.SendInPieces(1);
  ASSERT_TRUE(client.Handshake());
  constexpr std::string_view kPing("\0\0\x08\x06\0\0\0\0\0abcdefgh", 17);
  client.Send(std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\x04\0\0\0\0\0", 9));
  client.Send(kPing);
  client.CloseWriteTls();
  EXPECT_THAT(client.ReadToEnd(), HasSubstr(std::string("\0\0\x08\x06\x01\0\0\0\0abcdefgh", 17)));
}

// What the client sends together with its farewell is served, and then the end is seen, though nothing else comes from the socket.
TEST_F(GrpcServerTlsTest, TheEndIsSeenBehindTheLastBytes) {
  Start();
  TlsTestClient client({.alpn = kH2});
  ASSERT_TRUE(client.Connect(static_cast<uint16_t>(server_->port())));
  ASSERT_TRUE(client.Handshake());
  std::string bytes = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\x04\0\0\0\0\0", 9);
  while (bytes.size() < 5000) bytes += std::string("\0\0\x08\x06\x01\0\0\0\0abcdefgh", 17);
  client.Send(bytes);
  SSL_shutdown(client.ssl());
  client.Send({});
  EXPECT_TRUE(client.ClosedByTls());
}

TEST_F(GrpcServerTlsTest, APlainClientIsClosedAndATlsClientOfAPlainPort) {
  Start();
  GrpcTestClient plain(server_->port());
  EXPECT_EQ(plain.Call(kEchoPath, "hello").status(), -1);
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNotTls) == 1; }));
  EXPECT_EQ(Greet({.alpn = kH2}), "hello");

  server_ = StartServer(Echo);
  EXPECT_FALSE(Connect()->connected());
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kPlainPort) == 1; }));
}

TEST_F(GrpcServerTlsTest, ASlowHandshakeTimesOut) {
  Start(Echo, {.limits = {.preface_timeout = milliseconds(50)}});
  TestClient silent;
  ASSERT_TRUE(silent.Connect(static_cast<uint16_t>(server_->port())));
  EXPECT_TRUE(silent.AtEnd());
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kTimeout) == 1; }));
  // Whoever has shaken hands has to greet too.
  TlsTestClient quiet({.alpn = kH2});
  ASSERT_TRUE(quiet.Connect(static_cast<uint16_t>(server_->port())));
  ASSERT_TRUE(quiet.Handshake());
  EXPECT_TRUE(quiet.ClosedByTls());
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kTimeout) == 1; }));
}

TEST_F(GrpcServerTlsTest, GarbageEndsTheConnection) {
  Start();
  for (const char* const start : {"\x16\x03\x01\x02\x40", "\x80\x2e\x01", "\xff\xff\xff\xff"}) {
    TestClient client;
    ASSERT_TRUE(client.Connect(static_cast<uint16_t>(server_->port())));
    client.Send(start + std::string(3000, '\x55'));
    client.ReadToEnd();
  }
  EXPECT_EQ(Greet({.alpn = kH2}), "hello");
}

TEST_F(GrpcServerTlsTest, ACallIsCancelledWhenTheClientGoes) {
  HeldGrpcCalls calls;
  Start(calls.Handler());
  auto client = Connect();
  client->Begin(kEchoPath, Framed("hello"));
  GrpcCall* const call = calls.Take();
  ASSERT_NE(call, nullptr);
  client.reset();
  EXPECT_TRUE(Eventually([&] { return call->cancellation().cancelled(); }));
  call->Finish(OkStatus());
}

TEST_F(GrpcServerTlsTest, ShutdownFinishesCallsAndWaitsForNoHandshake) {
  HeldGrpcCalls calls;
  Start(calls.Handler(), {.limits = {.preface_timeout = std::chrono::hours(1)}});
  TestClient silent;
  ASSERT_TRUE(silent.Connect(static_cast<uint16_t>(server_->port())));
  const auto client = Connect();
  const int32_t id = client->Begin(kEchoPath, Framed("hello"));
  GrpcCall* const call = calls.Take();
  ASSERT_NE(call, nullptr);
  std::thread shutdown([&] { server_->Shutdown(Clock::Steady().Now() + kTestPatience); });
  EXPECT_TRUE(silent.AtEnd());
  ReplyWith(*call, "goodbye");
  EXPECT_EQ(client->Await(id).reply(), "goodbye");
  client->ReadToEnd();
  EXPECT_TRUE(client->tls().closed());
  shutdown.join();
}

TEST_F(GrpcServerTlsTest, CertificatesAreRenewedUnderOpenConnections) {
  const TemporaryDirectory directory;
  const auto write = [&](const TestIdentity& identity) {
    return TlsSettings{.certificate_chain = directory.Write("tls.crt", identity.certificate),
                       .private_key = directory.Write("tls.key", identity.key)};
  };
  const std::shared_ptr<TlsContext> context = *TlsContext::FromFiles(write(authority_.Issue("old")));
  Start(Echo, {.tls = context});
  const auto before = Connect({.ca = authority_.pem(), .alpn = kH2});
  EXPECT_EQ(before->Call(kEchoPath, "hello").reply(), "hello");
  const TestAuthority successor("another CA");
  write(successor.Issue("new"));
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
  EXPECT_EQ(before->Call(kEchoPath, "still").reply(), "still");
  EXPECT_EQ(Greet({.ca = successor.pem(), .alpn = kH2}), "hello");
  EXPECT_NE(Greet({.ca = authority_.pem(), .alpn = kH2}), "hello");
}

}  // namespace
}  // namespace tflite_serving
