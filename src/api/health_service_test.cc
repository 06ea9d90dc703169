#include "api/health_service.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/grpc_message.h"

namespace tflite_serving {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::health::v1::HealthListResponse;

class HealthServiceTest : public testing::Test {
 protected:
  static std::string Request(const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    return request.SerializeAsString();
  }
  static int Status(const std::string& message) {
    HealthCheckResponse response;
    return response.ParseFromString(message) ? static_cast<int>(response.status()) : -1;
  }
  // -1: NOT_FOUND.
  int Check(const std::string& service) {
    FakeGrpcCall call(Request(service));
    health_.methods()[0].handler(call);
    const tflite_serving::Status status = call.Wait();
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kNotFound) << status.ToString();
    return status.ok() ? Status(call.reply()) : -1;
  }

  HealthService health_;
};

TEST_F(HealthServiceTest, ChecksWhatWasSet) {
  EXPECT_EQ(Check(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("digits"), -1);
  health_.SetServing("digits", true);
  EXPECT_EQ(Check("digits"), HealthCheckResponse::SERVING);
  health_.SetServing("digits", false);
  EXPECT_EQ(Check("digits"), HealthCheckResponse::NOT_SERVING);
  health_.SetServing("digits", true);
  health_.Shutdown();
  health_.SetServing("", true);
  EXPECT_EQ(Check("digits"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Check(""), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, ListsAll) {
  health_.SetServing("digits", false);
  FakeGrpcCall call("");
  health_.methods()[1].handler(call);
  ASSERT_TRUE(call.Wait().ok());
  HealthListResponse response;
  ASSERT_TRUE(response.ParseFromString(call.reply()));
  ASSERT_EQ(response.statuses().size(), 2U);
  EXPECT_EQ(response.statuses().at("").status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(response.statuses().at("digits").status(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, RefusesWhatIsNoRequest) {
  FakeGrpcCall call("\xFF");
  health_.methods()[0].handler(call);
  EXPECT_EQ(call.Wait().code(), StatusCode::kInvalidArgument);
  FakeStreamCall watch;
  health_.stream_methods()[0].open(watch)->OnMessage("\xFF");
  EXPECT_EQ(watch.finished->code(), StatusCode::kInvalidArgument);
}

TEST_F(HealthServiceTest, RefusesWhatIsTooLongForARequest) {
  std::string unknown_fields;
  while (unknown_fields.size() <= kMaxParsedMessageBytes) unknown_fields += std::string("\x12\0", 2);
  FakeGrpcCall call(unknown_fields);
  health_.methods()[0].handler(call);
  EXPECT_EQ(call.Wait(), ResourceExhaustedError("a grpc.health.v1.HealthCheckRequest of 65538 bytes, and the limit is 65536"));
}

TEST_F(HealthServiceTest, WatchersHearOfEachChangeOnce) {
  FakeStreamCall call;
  auto watch = health_.stream_methods()[0].open(call);
  watch->OnMessage(Request("digits"));
  watch->OnEnd();
  ASSERT_EQ(call.sent.size(), 1U);
  EXPECT_EQ(Status(call.sent[0]), HealthCheckResponse::SERVICE_UNKNOWN);
  health_.SetServing("digits", true);
  EXPECT_TRUE(call.TakeWake());
  watch->OnWake();
  watch->OnWake();
  ASSERT_EQ(call.sent.size(), 2U);
  EXPECT_EQ(Status(call.sent[1]), HealthCheckResponse::SERVING);
  health_.SetServing("digits", false);
  health_.SetServing("digits", true);
  watch->OnWake();
  EXPECT_EQ(call.sent.size(), 2U) << "a change that is over before it is told is none";
  health_.Shutdown();
  EXPECT_TRUE(call.TakeWake());
  watch->OnWake();
  EXPECT_EQ(Status(call.sent.at(2)), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(call.finished.has_value());
  watch.reset();
  health_.SetServing("digits", true);
  EXPECT_FALSE(call.TakeWake()) << "nobody watches any more";
}

TEST_F(HealthServiceTest, AWatchTakesOneRequest) {
  FakeStreamCall none;
  health_.stream_methods()[0].open(none)->OnEnd();
  EXPECT_EQ(none.finished->code(), StatusCode::kUnimplemented);
  FakeStreamCall two;
  const auto watch = health_.stream_methods()[0].open(two);
  watch->OnMessage(Request(""));
  watch->OnMessage(Request(""));
  EXPECT_EQ(two.finished->code(), StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace tflite_serving
