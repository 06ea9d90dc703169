#include "storage/aws_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

// 20130524T000000Z
constexpr std::chrono::system_clock::time_point kTime{std::chrono::seconds(1369353600)};
const AwsCredentials kExample = {.access_key_id = "AKIAIOSFODNN7EXAMPLE", .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

std::string AuthorizationOf(HttpClientRequest request, const AwsCredentials& credentials = kExample, const std::string& region = "us-east-1") {
  SignForAws(request, credentials, region, kTime);
  for (const auto& [name, value] : request.headers) {
    if (name == "Authorization") return value;
  }
  return {};
}

// The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
TEST(AwsSignatureTest, AmazonsExamples) {
  EXPECT_EQ(AuthorizationOf({.url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"}),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  EXPECT_THAT(AuthorizationOf({.url = "https://examplebucket.s3.amazonaws.com/?lifecycle"}),
              HasSubstr("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(AwsSignatureTest, TheOrderOfParametersAndTheSchemesPortMakeNoDifference) {
  const std::string authorization = AuthorizationOf({.url = "https://host/b/?a=1&b=2"});
  EXPECT_EQ(AuthorizationOf({.url = "https://host/b/?b=2&a=1"}), authorization);
  EXPECT_EQ(AuthorizationOf({.url = "https://host:443/b/?a=1&b=2"}), authorization);
  EXPECT_NE(AuthorizationOf({.url = "https://host:80/b/?a=1&b=2"}), authorization);
  EXPECT_EQ(AuthorizationOf({.url = "http://host:80/b"}), AuthorizationOf({.url = "http://host/b"}));
}

TEST(AwsSignatureTest, HeadersOfAmazonAreSignedAndNoOthers) {
  const HttpClientRequest request{.url = "https://host/b/k", .headers = {{"Range", "bytes=1-"}, {"X-Amz-Checksum-Mode", "ENABLED"}}};
  AwsCredentials temporary = kExample;
  temporary.session_token = "token";
  EXPECT_THAT(AuthorizationOf(request, temporary),
              HasSubstr("SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
  EXPECT_NE(AuthorizationOf(request, temporary), AuthorizationOf(request));
  EXPECT_NE(AuthorizationOf(request), AuthorizationOf(request, kExample, "eu-west-1"));
}

}  // namespace
}  // namespace tflite_serving
