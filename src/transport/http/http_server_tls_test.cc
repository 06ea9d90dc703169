// The HTTP server over TLS: who gets in, and that bytes come through whatever the pieces they come in.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/http/http_test_server.h"
#include "transport/tls_test_client.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class HttpServerTlsTest : public testing::Test {
 protected:
  void Start(HttpHandler& handler, HttpServerOptions options = {}) {
    if (options.tls == nullptr) options.tls = MakeTlsContext(authority_.Issue("server"));
    server_ = StartServer(handler, std::move(options));
  }
  void Start() { Start(echo_); }

  TlsTestClient Connect(const TestTlsOptions& options = {}, int receive_buffer_bytes = 0) const {
    TlsTestClient client(options, receive_buffer_bytes);
    EXPECT_TRUE(client.TestClient::Connect(server_->port()));
    return client;
  }
  // The first answer: with TLS 1.3 clients learn only then whether they got in.
  std::string Greet(TlsTestClient& client) const {
    if (!client.Handshake()) return client.Failure();
    const Reply reply = client.Ask(Get("/hello"));
    return reply.status == 200 ? reply.body : client.Failure();
  }
  std::string Greet(const TestTlsOptions& options) const {
    TlsTestClient client = Connect(options);
    return Greet(client);
  }
  uint64_t failures(TlsFailure failure) const { return server_->num_tls_failures(failure); }

  EchoHandler echo_;
  const TestAuthority authority_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTlsTest, AnswersClientsThatTrustIt) {
  Start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsTestClient client = Connect({.ca = authority_.pem(), .max_version = version});
    EXPECT_EQ(Greet(client), "GET /hello ");
    EXPECT_EQ(SSL_version(client.ssl()), version);
    EXPECT_EQ(client.PeerName(), "server");
    EXPECT_EQ(client.Ask(Post("/again", "body")).body, "POST /again body");
  }
}

TEST_F(HttpServerTlsTest, AClientThatDoesNotTrustItIsNoted) {
  Start();
  TlsTestClient client = Connect({.ca = TestAuthority("another CA").pem()});
  EXPECT_FALSE(client.Handshake());
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kRefusedByClient) == 1; }));
}

TEST_F(HttpServerTlsTest, OldVersionsAreRefused) {
  Start();
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) EXPECT_EQ(Greet({.max_version = version}), "tlsv1 alert protocol version");
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kProtocolVersion) == 2; }));
}

TEST_F(HttpServerTlsTest, Alpn) {
  Start();
  const std::string echoed = "GET /hello ";
  EXPECT_EQ(Greet({.alpn = "\x02h2\x08http/1.1"}), echoed);
  EXPECT_EQ(Greet({.alpn = "\x08http/1.0"}), echoed);
  EXPECT_EQ(Greet({.alpn = "\x02h2"}), "tlsv1 alert no application protocol");
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNoAlpn) == 1; }));
}

TEST_F(HttpServerTlsTest, ClientCertificates) {
  const TestAuthority clients("clients' CA");
  Start(echo_, {.tls = MakeTlsContext(authority_.Issue("server"), clients.pem())});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto greet = [&](const TestIdentity& identity) { return Greet({.identity = identity, .max_version = version}); };
    EXPECT_EQ(greet(clients.Issue("good")), "GET /hello ");
    EXPECT_THAT(greet({}), HasSubstr(version == TLS1_2_VERSION ? "handshake failure" : "certificate required"));
    EXPECT_THAT(greet(authority_.Issue("of another CA")), HasSubstr("unknown ca"));
    EXPECT_THAT(greet(clients.Issue("expired", -3, -1)), HasSubstr("certificate expired"));
    EXPECT_THAT(greet(clients.Issue("not yet", 1, 3)), HasSubstr("bad certificate"));
    EXPECT_THAT(greet(clients.Issue("a server", -1, 1, "serverAuth")), HasSubstr("unsupported certificate"));
  }
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNoClientCertificate) == 2; }));
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kBadCertificate) == 6; }));
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kExpired) == 2; }));
}

TEST_F(HttpServerTlsTest, OptionalClientCertificates) {
  const TestAuthority clients("clients' CA");
  Start(echo_, {.tls = MakeTlsContext(authority_.Issue("server"), clients.pem(), /*required=*/false)});
  EXPECT_EQ(Greet(TestTlsOptions{}), "GET /hello ");
  EXPECT_EQ(Greet({.identity = clients.Issue("good")}), "GET /hello ");
  EXPECT_THAT(Greet({.identity = authority_.Issue("of another CA")}), HasSubstr("unknown ca"));
}

TEST_F(HttpServerTlsTest, LargeBodiesBothWays) {
  Start();
  std::string body(5'000'000, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 / 5);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsTestClient client = Connect({.max_version = version});
    ASSERT_TRUE(client.Handshake());
    EXPECT_TRUE(client.Ask(Post("/", body)).body == "POST / " + body);
    EXPECT_EQ(client.Ask(Get("/after")).body, "GET /after ");
  }
}

TEST_F(HttpServerTlsTest, ASlowReaderGetsAll) {
  Start();
  TlsTestClient client = Connect({}, 4096);
  ASSERT_TRUE(client.Handshake());
  const std::string body(3'000'000, 'b');
  client.Send(Post("/", body));
  client.Send(Get("/after"));
  EXPECT_TRUE(client.Read().body == "POST / " + body);
  EXPECT_EQ(client.Read().body, "GET /after ");
}

TEST_F(HttpServerTlsTest, ManySmallRequests) {
  Start();
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_EQ(client.Ask(Post("/" + number, std::string(i, 'x'))).body, "POST /" + number + " " + std::string(i, 'x'));
  }
  std::string pipelined;
  for (int i = 0; i < 300; ++i) pipelined += Post("/" + std::to_string(i), std::string(10 * i, 'x'));
  client.Send(pipelined);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(client.Read().body.size(), std::string("POST / ").size() + std::to_string(i).size() + 10 * i);
}

TEST_F(HttpServerTlsTest, BytesMayComeOneByOne) {
  Start();
  for (const size_t piece : {1, 7, 100}) {
    TlsTestClient client = Connect();
    client.SendInPieces(piece);
    ASSERT_TRUE(client.Handshake());
    EXPECT_EQ(client.Ask(Post("/a", "body") + Get("/b")).body, "POST /a body");
    EXPECT_EQ(client.Read().body, "GET /b ");
    EXPECT_EQ(client.Ask("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").body, "POST /c abc");
  }
}

TEST_F(HttpServerTlsTest, KeysMayBeUpdatedAndNothingRenegotiated) {
  Start();
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    EXPECT_EQ(client.Ask(Get("/hello")).body, "GET /hello ");
  }
  TlsTestClient old = Connect({.max_version = TLS1_2_VERSION});
  ASSERT_TRUE(old.Handshake());
  EXPECT_EQ(old.Ask(Get("/hello")).body, "GET /hello ");
  SSL_renegotiate(old.ssl());
  EXPECT_FALSE(old.Handshake());
}

TEST_F(HttpServerTlsTest, AClientMayStopSendingBeforeItReads) {
  Start();
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  client.Send(Post("/", "body"));
  client.CloseWriteTls();
  EXPECT_EQ(client.Read().body, "POST / body");
  EXPECT_TRUE(client.ClosedByTls());

  TlsTestClient torn = Connect();
  ASSERT_TRUE(torn.Handshake());
  torn.Send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
  torn.CloseWriteTls();
  EXPECT_EQ(torn.Read().status, 400);
}

TEST_F(HttpServerTlsTest, TheEndIsAnnounced) {
  Start();
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  EXPECT_EQ(client.Ask(Get("/", "Connection: close\r\n")).status, 200);
  EXPECT_TRUE(client.ClosedByTls());
  TlsTestClient refused = Connect();
  ASSERT_TRUE(refused.Handshake());
  EXPECT_EQ(refused.Ask("nonsense\r\n\r\n").status, 400);
  EXPECT_TRUE(refused.ClosedByTls());
}

TEST_F(HttpServerTlsTest, AHandlerHearsWhenTheClientGoes) {
  HeldCalls calls;
  Start(calls);
  for (const bool says_so : {false, true}) {
    TlsTestClient client = Connect();
    ASSERT_TRUE(client.Handshake());
    client.Send(Get("/"));
    HttpCall* const call = calls.Take();
    ASSERT_NE(call, nullptr);
    if (says_so) client.CloseWriteTls();
    client.Close();
    EXPECT_TRUE(Eventually([&] { return call->cancellation().cancelled(); }));
    call->Finish();
  }
}

// Refuses large bodies for their head.
class Choosy : public EchoHandler {
 public:
  bool RefusesUnread(HttpCall& call) override {
    call.response().status = 503;
    return true;
  }
};

TEST_F(HttpServerTlsTest, ABodyMayBeDropped) {
  Choosy handler;
  Start(handler);
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.Ask(Post("/", std::string(2'000'000, 'x'))).status, 503);
    EXPECT_EQ(client.Ask(Get("/small")).body, "GET /small ");
  }
}

TEST_F(HttpServerTlsTest, APlainClientIsToldAndATlsClientOfAPlainPort) {
  Start();
  TestClient plain = ConnectTo(*server_);
  const Reply reply = plain.Ask(Get("/"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body, HasSubstr("this port speaks HTTPS, not plain HTTP"));
  EXPECT_TRUE(plain.AtEnd());
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNotTls) == 1; }));
  EXPECT_EQ(Greet(TestTlsOptions{}), "GET /hello ");

  server_ = StartServer(echo_);
  TlsTestClient tls = Connect();
  EXPECT_FALSE(tls.Handshake());
  EXPECT_EQ(tls.Failure(), "wrong version number");
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kPlainPort) == 1; }));
}

TEST_F(HttpServerTlsTest, GarbageEndsTheConnection) {
  Start();
  for (const char* const start : {"\x16\x03\x01\x02\x40", "\x16\x03\x01", "\x80\x2e\x01", "\xff\xff\xff\xff"}) {
    TestClient client = ConnectTo(*server_);
    std::string bytes = start;
    for (int i = 0; i < 2000; ++i) bytes.push_back(static_cast<char>(i * i + i / 7));
    client.Send(bytes);
    client.ReadToEnd();
  }
  // In the middle of a connection that was good.
  TlsTestClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  EXPECT_EQ(client.Ask(Get("/")).status, 200);
  client.SendPlain(std::string(100, '\x17'));
  EXPECT_NE(client.Failure(), "");
  EXPECT_EQ(Greet(TestTlsOptions{}), "GET /hello ");
}

TEST_F(HttpServerTlsTest, ASlowHandshakeTimesOut) {
  Start(echo_, {.limits = {.header_timeout = milliseconds(50)}});
  TestClient silent = ConnectTo(*server_);
  EXPECT_TRUE(silent.AtEnd());
  TestClient slow = ConnectTo(*server_);
  slow.Send(std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7));
  slow.ReadToEnd();
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kTimeout) == 2; }));
  TestClient gone = ConnectTo(*server_);
  gone.Close();
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kClosed) == 1; }));
}

TEST_F(HttpServerTlsTest, ShutdownDoesNotWaitForHandshakes) {
  Start(echo_, {.limits = {.header_timeout = std::chrono::hours(1)}});
  TestClient silent = ConnectTo(*server_);
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 1; }));
  server_->Shutdown(Clock::Steady().Now() + kTestPatience);
  EXPECT_TRUE(silent.AtEnd());
}

TEST_F(HttpServerTlsTest, ShutdownEndsIdleConnectionsInOrder) {
  Start();
  TlsTestClient client = Connect();
  EXPECT_EQ(Greet(client), "GET /hello ");
  server_->Shutdown(Clock::Steady().Now() + kTestPatience);
  EXPECT_TRUE(client.ClosedByTls());
}

TEST_F(HttpServerTlsTest, AnIdleConnectionIsClosed) {
  Start(echo_, {.limits = {.idle_timeout = milliseconds(50)}});
  TlsTestClient client = Connect();
  EXPECT_EQ(Greet(client), "GET /hello ");
  EXPECT_TRUE(client.ClosedByTls());
}

TEST_F(HttpServerTlsTest, CertificatesAreRenewedUnderOpenConnections) {
  const TemporaryDirectory directory;
  const auto write = [&](const TestIdentity& identity) {
    return TlsSettings{.certificate_chain = directory.Write("tls.crt", identity.certificate),
                       .private_key = directory.Write("tls.key", identity.key)};
  };
  const std::shared_ptr<TlsContext> context = *TlsContext::FromFiles(write(authority_.Issue("old")));
  Start(echo_, {.tls = context});
  TlsTestClient before = Connect({.ca = authority_.pem()});
  EXPECT_EQ(Greet(before), "GET /hello ");
  TlsTestClient halfway = Connect({.ca = authority_.pem()});
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 2; }));

  write(authority_.Issue("new"));
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
  TlsTestClient after = Connect({.ca = authority_.pem()});
  EXPECT_EQ(Greet(after), "GET /hello ");
  EXPECT_EQ(after.PeerName(), "new");
  EXPECT_EQ(before.Ask(Get("/still")).body, "GET /still ");
  EXPECT_EQ(Greet(halfway), "GET /hello ");

  directory.Write("tls.crt", "spoiled");
  EXPECT_FALSE(context->ReloadIfChanged().ok());
  TlsTestClient last = Connect({.ca = authority_.pem()});
  EXPECT_EQ(Greet(last), "GET /hello ");
  EXPECT_EQ(last.PeerName(), "new");
}

TEST_F(HttpServerTlsTest, FailuresFillNoLog) {
  Start();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 50; ++i) Greet({.alpn = "\x02h2"});
  EXPECT_TRUE(Eventually([&] { return failures(TlsFailure::kNoAlpn) == 50; }));
  server_->Shutdown(Clock::Steady().Now() + kTestPatience);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("HTTP: TLS with 127.0.0.1:"));
  EXPECT_THAT(log, HasSubstr(" failed: no_alpn: "));
  EXPECT_LT(std::ranges::count(log, '\n'), 50);
}

}  // namespace
}  // namespace tflite_serving
