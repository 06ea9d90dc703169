#include "api/access_control.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

class FakeClock : public Clock {
 public:
  TimePoint Now() const override { return now; }
  TimePoint now{std::chrono::hours(1)};
};

ApiKey Key(const std::string& key, Scope scope, double rate = 0, double burst = 0) {
  return {.name = "of_" + key, .scopes = static_cast<uint8_t>(scope), .digest = Sha256(key), .rate_per_second = rate, .burst = burst};
}

class AccessControlTest : public testing::Test {
 protected:
  Status Check(std::string_view authorization, std::string_view api_key = {}, Scope scope = Scope::kInference, bool take_token = true) {
    client_.clear();
    return access_.Check(authorization, api_key, scope, client_, take_token);
  }

  FakeClock clock_;
  AccessControl access_{{Key("one", Scope::kInference), Key("two", Scope::kAdmin), Key("slow", Scope::kInference, 2, 3)}, clock_};
  std::string client_;
};

TEST_F(AccessControlTest, AKeyComesInEitherHeader) {
  for (const char* const authorization : {"Bearer one", "bearer one", "BEARER one"}) EXPECT_TRUE(Check(authorization).ok()) << authorization;
  EXPECT_EQ(client_, "of_one");
  EXPECT_TRUE(Check({}, "one").ok());
  EXPECT_TRUE(Check("Basic b25lOg==", "one").ok());
}

TEST_F(AccessControlTest, WhoHasNoKey) {
  for (const char* const authorization : {"", "Bearer", "Bearer ", "Basic one", "one", "Bearerone"}) {
    EXPECT_EQ(Check(authorization).ToString(), "UNAUTHENTICATED: an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
        << authorization;
  }
  for (const char* const key : {"One", "one ", "on", "one, one", "two2"}) {
    EXPECT_EQ(Check(std::string("Bearer ") + key).ToString(), "UNAUTHENTICATED: the API key is not known") << key;
    EXPECT_EQ(client_, "");
  }
  EXPECT_EQ(Check("Bearer one", "wrong").code(), StatusCode::kUnauthenticated);
}

TEST_F(AccessControlTest, AKeyAsLongAsTheLimitAndOneLonger) {
  const std::string longest(AccessControl::kMaxKeyChars, 'k');
  access_.Replace({Key(longest, Scope::kInference), Key(longest + "k", Scope::kInference)});
  EXPECT_TRUE(Check({}, longest).ok());
  EXPECT_EQ(Check({}, longest + "k").code(), StatusCode::kUnauthenticated);
}

TEST_F(AccessControlTest, ScopesAreNotForEachOther) {
  EXPECT_EQ(Check("Bearer one", {}, Scope::kAdmin).ToString(), "PERMISSION_DENIED: the API key of of_one is not for admin");
  EXPECT_EQ(Check("Bearer two").ToString(), "PERMISSION_DENIED: the API key of of_two is not for inference");
  EXPECT_TRUE(Check("Bearer two", {}, Scope::kAdmin).ok());
}

TEST_F(AccessControlTest, ARateLetsABurstThroughAndThenSoManyASecond) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Check("Bearer slow").ok());
  EXPECT_TRUE(Check("Bearer slow", {}, Scope::kInference, false).ok()) << "of which none is taken";
  EXPECT_EQ(Check("Bearer slow").ToString(), "RESOURCE_EXHAUSTED: of_slow has had its 2 requests a second; try again later");
  EXPECT_TRUE(Check("Bearer one").ok());
  clock_.now += std::chrono::milliseconds(499);
  EXPECT_FALSE(Check("Bearer slow").ok());
  clock_.now += std::chrono::milliseconds(1);
  EXPECT_TRUE(Check("Bearer slow").ok());
  EXPECT_FALSE(Check("Bearer slow").ok());
  clock_.now += std::chrono::hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Check("Bearer slow").ok());
  EXPECT_FALSE(Check("Bearer slow").ok());
}

TEST_F(AccessControlTest, KeysAreReplaced) {
  access_.Replace({Key("three", Scope::kInference)});
  EXPECT_FALSE(Check("Bearer one").ok());
  EXPECT_TRUE(Check("Bearer three").ok());
  access_.Replace({});
  EXPECT_FALSE(Check("Bearer three").ok());
}

TEST_F(AccessControlTest, RefusalsAreLoggedOnceASecondWithoutKeys) {
  testing::internal::CaptureStderr();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(Check("Bearer a_secret").ok());
  clock_.now += std::chrono::seconds(1);
  EXPECT_FALSE(Check("").ok());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(log, '\n'), 2) << log;
  EXPECT_THAT(log, HasSubstr("1 request(s) refused; the last one: the API key is not known"));
  EXPECT_THAT(log, HasSubstr("10 request(s) refused; the last one: an API key is needed"));
  EXPECT_EQ(log.find("a_secret"), std::string::npos);
}

TEST_F(AccessControlTest, AGuardedMethodIsCalledForWhoMay) {
  int calls = 0;
  const RequestObservers nobody;
  std::vector<GrpcMethod> methods = {{"/s/M", [&calls](GrpcCall& call) {
                                        ++calls;
                                        call.Finish(OkStatus());
                                      }}};
  Guard(methods, [](std::string_view path) { return path == "/s/M" ? Scope::kInference : Scope::kAdmin; }, access_, nobody);
  FakeGrpcCall without("");
  methods[0].handler(without);
  EXPECT_EQ(without.Wait().code(), StatusCode::kUnauthenticated);
  FakeGrpcCall with("");
  with.set_metadata("x-api-key", "one");
  methods[0].handler(with);
  EXPECT_TRUE(with.Wait().ok());
  EXPECT_EQ(with.ids().client, "of_one");
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace tflite_serving
