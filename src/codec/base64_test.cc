#include "codec/base64.h"

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

std::string Encode(std::string_view bytes) {
  std::string text(Base64EncodedSize(bytes.size()), '?');
  EXPECT_EQ(EncodeBase64(bytes, text.data()), text.data() + text.size());
  return text;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string bytes = "kept:";
  if (!DecodeBase64(text, bytes)) {
    EXPECT_EQ(bytes, "kept:");
    return std::nullopt;
  }
  EXPECT_TRUE(bytes.starts_with("kept:"));
  return bytes.substr(5);
}

TEST(Base64Test, VectorsOfRfc4648) {
  const std::pair<std::string, std::string> kVectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kVectors) {
    EXPECT_EQ(Encode(bytes), text);
    EXPECT_EQ(Decode(text), bytes);
  }
}

TEST(Base64Test, AnyBytesSurvive) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_EQ(Decode(Encode(bytes)), bytes);
  }
}

TEST(Base64Test, PaddingMayBeMissing) {
  EXPECT_EQ(Decode("Zg"), "f");
  EXPECT_EQ(Decode("Zm8"), "fo");
  EXPECT_EQ(Decode("Zm9vYg"), "foob");
}

TEST(Base64Test, WhiteSpaceMayStandAnywhere) {
  EXPECT_EQ(Decode(" Zm9v\r\nYmFy\t"), "foobar");
  EXPECT_EQ(Decode("Z m 8 ="), "fo");
  EXPECT_EQ(Decode("Z\ng = ="), "f");
  EXPECT_EQ(Decode(" \f\v"), "");
}

TEST(Base64Test, WhatIsNoBase64) {
  for (const char* text : {"Z", "Zg=", "Zg===", "Zm8==", "Zm9v=", "=", "Zg=a", "Zg==Zg==", "Zm9*", "Zm-_", "Zm9vYmF\xC3", "Zm9v!"}) {
    EXPECT_EQ(Decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(Decode(std::string_view("Zm9\0", 4)), std::nullopt);
}

}  // namespace
}  // namespace tflite_serving
