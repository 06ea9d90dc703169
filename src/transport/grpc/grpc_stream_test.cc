// Streaming calls: messages both ways, and their end from either side.
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"

namespace tflite_serving {
namespace {

// What the handlers of a test share with it.
struct Shared {
  std::atomic<int> alive = 0;
  Mutex mutex;
  std::shared_ptr<GrpcWaker> waker TFLS_GUARDED_BY(mutex);

  std::shared_ptr<GrpcWaker> Waker() {
    const MutexLock lock(mutex);
    return waker;
  }
};

// Sends each message back; "finish" and "flood" do as they say; says "woken" when it is.
class EchoStream final : public GrpcStreamHandler {
 public:
  EchoStream(GrpcStreamCall& call, Shared& shared) : call_(call), shared_(shared) {
    ++shared_.alive;
    const MutexLock lock(shared_.mutex);
    shared_.waker = call.waker();
  }
  ~EchoStream() override { --shared_.alive; }

  void OnMessage(std::string_view message) override {
    call_.Send(std::string(message));
    if (message == "finish") call_.Finish(NotFoundError("as asked"));
    for (int i = 0; message == "flood" && i < 64; ++i) call_.Send(std::string(1 << 20, 'f'));
  }
  void OnEnd() override { call_.Finish(OkStatus()); }
  void OnWake() override { call_.Send("woken"); }

 private:
  GrpcStreamCall& call_;
  Shared& shared_;
};

class GrpcStreamTest : public testing::Test {
 protected:
  std::unique_ptr<GrpcServer> Start(GrpcLimits limits = {}) {
    return StartServer(Echo, {.limits = limits}, [this](GrpcStreamCall& call) { return std::make_unique<EchoStream>(call, shared_); });
  }
  bool NoneAlive() {
    return Eventually([this] { return shared_.alive == 0; });
  }

  Shared shared_;  // outlives the server
  std::unique_ptr<GrpcServer> server_ = Start();
  GrpcTestClient client_{server_->port()};
};

TEST_F(GrpcStreamTest, MessagesGoBothWaysUntilTheClientEnds) {
  const int32_t id = client_.Begin(kStreamPath, "", {}, false);
  std::string expected;
  for (const std::string& message : {std::string("one"), std::string(), std::string(100'000, 'l')}) {
    expected += Framed(message);
    client_.Send(id, Framed(message), false);
    EXPECT_TRUE(client_.AwaitData(id, expected.size()).data == expected) << message.size();
  }
  client_.Send(id, Framed("two") + Framed("in one"), true);
  const GrpcAnswer& answer = client_.Await(id);
  EXPECT_TRUE(answer.data == expected + Framed("two") + Framed("in one"));
  EXPECT_EQ(answer.status(), 0);
  EXPECT_TRUE(NoneAlive());
}

TEST_F(GrpcStreamTest, TheHandlerMayEndIt) {
  const int32_t id = client_.Begin(kStreamPath, Framed("finish") + Framed("not seen any more"), {}, false);
  const GrpcAnswer& answer = client_.Await(id);
  EXPECT_EQ(answer.data, Framed("finish"));
  EXPECT_EQ(answer.status(), static_cast<int>(StatusCode::kNotFound));
  EXPECT_EQ(answer.message(), "as asked");
  EXPECT_TRUE(NoneAlive());
}

TEST_F(GrpcStreamTest, AnyThreadMayWakeIt) {
  const int32_t id = client_.Begin(kStreamPath, Framed("x"), {}, false);
  client_.AwaitData(id, Framed("x").size());
  shared_.Waker()->Wake();
  EXPECT_EQ(client_.AwaitData(id, Framed("x").size() + 1).data, Framed("x") + Framed("woken"));
  client_.Reset(id);
  EXPECT_TRUE(NoneAlive());
  shared_.Waker()->Wake();
}

TEST_F(GrpcStreamTest, ItEndsWithTheConnectionAndTheServer) {
  client_.AwaitData(client_.Begin(kStreamPath, Framed("x"), {}, false), 1);
  client_.Close();
  EXPECT_TRUE(NoneAlive());
  GrpcTestClient other(server_->port());
  const int32_t id = other.Begin(kStreamPath, Framed("x"), {}, false);
  other.AwaitData(id, 1);
  std::jthread stopping([this] { server_->Shutdown(kNoDeadline); });
  EXPECT_EQ(other.Await(id).status(), static_cast<int>(StatusCode::kUnavailable));
  other.ReadToEnd();
  stopping.join();
  EXPECT_EQ(shared_.alive, 0);
}

TEST_F(GrpcStreamTest, ItsDeadlineAndItsLimitsHold) {
  EXPECT_EQ(client_.Await(client_.Begin(kStreamPath, "", {{"grpc-timeout", "10m"}}, false)).status(),
            static_cast<int>(StatusCode::kDeadlineExceeded));
  EXPECT_EQ(client_.Await(client_.Begin(kStreamPath, Framed("cut").substr(0, 7))).status(), static_cast<int>(StatusCode::kInternal));
  EXPECT_EQ(client_.Await(client_.Begin(kStreamPath, Framed("flood"), {}, false)).status(), static_cast<int>(StatusCode::kResourceExhausted));
  const auto small = Start({.max_receive_message_bytes = 10});
  GrpcTestClient client(small->port());
  EXPECT_EQ(client.Await(client.Begin(kStreamPath, Framed("eleven bytes"), {}, false)).status(), static_cast<int>(StatusCode::kResourceExhausted));
  EXPECT_TRUE(NoneAlive());
}

TEST_F(GrpcStreamTest, AClientThatDoesNotReadIsReset) {
  const auto impatient = Start({.stall_timeout = std::chrono::milliseconds(30)});
  GrpcTestClient client(impatient->port(), 0, /*window=*/0);
  const int32_t id = client.Begin(kStreamPath, Framed("x"), {}, false);
  EXPECT_EQ(client.Await(id).reset, static_cast<uint32_t>(NGHTTP2_CANCEL));
}

TEST_F(GrpcStreamTest, AnEndThatTheClientDoesNotTakeIsReset) {
  const auto impatient = Start({.stall_timeout = std::chrono::milliseconds(30)});
  GrpcTestClient client(impatient->port(), 0, /*window=*/0);
  const int32_t id = client.Begin(kStreamPath, Framed("cut").substr(0, 7));
  EXPECT_EQ(client.Await(id).reset, static_cast<uint32_t>(NGHTTP2_CANCEL));
}

}  // namespace
}  // namespace tflite_serving
