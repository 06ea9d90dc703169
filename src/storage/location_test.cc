#include "storage/location.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LocationTest, RootsAndPaths) {
  struct Case {
    std::string url, root, path;
    StoreKind kind;
  };
  const Case cases[] = {
      {"s3://bucket", "s3://bucket", "", StoreKind::kS3},
      {"s3://bucket/models/a b%20/", "s3://bucket", "models/a b%20", StoreKind::kS3},
      {"gs://my.bucket/m", "gs://my.bucket", "m", StoreKind::kGoogle},
      {"https://host:8443/a%20b/m.tflite", "https://host:8443", "a b/m.tflite", StoreKind::kWeb},
      {"http://[::1]:80//m", "http://[::1]:80", "m", StoreKind::kWeb},
  };
  for (const Case& one : cases) {
    EXPECT_TRUE(IsRemotePath(one.url));
    const StatusOr<Location> location = ParseLocation(one.url);
    ASSERT_TRUE(location.ok()) << one.url << ": " << location.status().ToString();
    EXPECT_EQ(location->root, one.root);
    EXPECT_EQ(location->path, one.path);
    EXPECT_EQ(location->kind, one.kind);
  }
  EXPECT_EQ(ParseLocation("s3://bucket/m")->host(), "bucket");
}

TEST(LocationTest, LocalPathsAreNotRemote) {
  for (const char* const path : {"", "/models", "models/s3://x", "file:///models", "S3://bucket/m", "hdfs://host/m"})
    EXPECT_FALSE(IsRemotePath(path)) << path;
}

TEST(LocationTest, WhatCannotBe) {
  for (const char* const url :
       {"s3://", "s3:///m", "https://?a", "s3://a b/m", "s3://bucket/a//b", "s3://bucket/../m", "gs://bucket/m/.", "https://host/%2e%2e/m",
        "https://host/%00", "https://host/%2", "https://host/m?x", "https://host/m#x", "ftp://host/m"}) {
    EXPECT_EQ(ParseLocation(url).status().code(), StatusCode::kInvalidArgument) << url;
  }
  EXPECT_FALSE(ParseLocation("s3://bucket/" + std::string(256, 'a')).ok());
  EXPECT_TRUE(ParseLocation("s3://bucket/" + std::string(255, 'a')).ok());
}

TEST(LocationTest, PasswordsAreNotShown) {
  const Status status = ParseLocation("https://me:secret@host/m").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
}

TEST(EscapeUrlTest, AllBytesThereAndBack) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const bool with_slashes : {false, true}) {
    const std::string escaped = EscapeUrl(all, with_slashes);
    EXPECT_EQ(escaped.find_first_of(" +&=?#\"<>"), std::string::npos);
    EXPECT_EQ(escaped.find('/') == std::string::npos, with_slashes);
    EXPECT_EQ(*UnescapeUrl(escaped), all);
  }
  EXPECT_EQ(EscapeUrl("a/ä~b c"), "a/%C3%A4~b%20c");
}

}  // namespace
}  // namespace tflite_serving
