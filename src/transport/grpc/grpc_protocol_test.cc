#include "transport/grpc/grpc_protocol.h"

#include <chrono>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "transport/grpc/grpc_request_head.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

TEST(GrpcProtocolTest, ContentTypes) {
  for (const char* good : {"application/grpc", "application/grpc+proto", "application/grpc;x=y", "application/grpc+proto; x=y"}) {
    EXPECT_TRUE(IsGrpcContentType(good)) << good;
  }
  for (const char* bad : {"", "application/grp", "application/grpc-web", "application/grpcx", "application/grpc+json", "application/json"}) {
    EXPECT_FALSE(IsGrpcContentType(bad)) << bad;
  }
}

TEST(GrpcProtocolTest, Timeouts) {
  EXPECT_EQ(ParseGrpcTimeout("2H"), std::chrono::hours(2));
  EXPECT_EQ(ParseGrpcTimeout("3M"), std::chrono::minutes(3));
  EXPECT_EQ(ParseGrpcTimeout("4S"), std::chrono::seconds(4));
  EXPECT_EQ(ParseGrpcTimeout("5m"), std::chrono::milliseconds(5));
  EXPECT_EQ(ParseGrpcTimeout("6u"), std::chrono::microseconds(6));
  EXPECT_EQ(ParseGrpcTimeout("0n"), nanoseconds(0));
  EXPECT_EQ(ParseGrpcTimeout("99999999n"), nanoseconds(99'999'999));
  EXPECT_EQ(ParseGrpcTimeout("99999999H"), nanoseconds::max());
  for (const char* bad : {"", "S", "1", "123456789S", "1s", "-1S", "+1S", "1.5S", " 1S", "1 S", "1S ", "0x1S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(bad).has_value()) << bad;
  }
}

TEST(GrpcProtocolTest, Encodings) {
  EXPECT_EQ(ParseGrpcEncoding("identity"), GrpcEncoding::kIdentity);
  EXPECT_EQ(ParseGrpcEncoding("gzip"), GrpcEncoding::kGzip);
  EXPECT_EQ(ParseGrpcEncoding("deflate"), GrpcEncoding::kDeflate);
  EXPECT_FALSE(ParseGrpcEncoding("GZIP").has_value());
  EXPECT_FALSE(ParseGrpcEncoding("").has_value());
}

TEST(GrpcProtocolTest, StatusMessages) {
  EXPECT_EQ(EncodeStatusMessage("input \"x\": ~ 100%\t\xC3\xA9\x7F"), "input \"x\": ~ 100%25%09%C3%A9%7F");
  const std::string longest(kMaxStatusMessageBytes, 'm');
  EXPECT_EQ(EncodeStatusMessage(longest), longest);
  EXPECT_EQ(EncodeStatusMessage(longest + "m"), longest + "...TRUNCATED");
  // Not inside of a character: of three bytes each, 341 fit.
  std::string euros;
  std::string encoded;
  for (int i = 0; i < 400; ++i) euros += "\xE2\x82\xAC";
  for (int i = 0; i < 341; ++i) encoded += "%E2%82%AC";
  EXPECT_EQ(EncodeStatusMessage(euros), encoded + "...TRUNCATED");
}

TEST(GrpcRequestHeadTest, KeepsMetadataUpToTheLimit) {
  GrpcRequestHead head;
  head.Add(":method", "POST", 200);
  head.Add("content-type", "application/grpc", 200);
  EXPECT_FALSE(head.Check(200));
  head.Add("key", "value", 200);
  EXPECT_EQ(head.metadata("key"), "value");
  EXPECT_EQ(head.size_bytes(), 7U + 4 + 12 + 16 + 3 + 5 + 3 * 32);
  const size_t left = 200 - head.size_bytes();
  head.Add("fits", std::string(left - 36, 'f'), 200);
  EXPECT_FALSE(head.Check(200));
  head.Add("", "", 200);
  EXPECT_EQ(head.Check(200).status, ResourceExhaustedError("received metadata size exceeds limit (232 vs. 200)"));
  head.Clear();
  EXPECT_EQ(head.metadata("key"), "");
  EXPECT_EQ(head.Check(200).http_status, 405);
}

}  // namespace
}  // namespace tflite_serving
