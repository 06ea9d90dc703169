#include "codec/json_writer.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "base/json_escape.h"

namespace tflite_serving {
namespace {

template <class Number>
std::string Text(Number value) {
  char text[kMaxNumberChars];
  return {text, WriteNumber(text, value)};
}

TEST(JsonWriterTest, FloatsAreShortAndNeverLookLikeIntegers) {
  EXPECT_EQ(Text(0.0F), "0.0");
  EXPECT_EQ(Text(-0.0F), "-0.0");
  EXPECT_EQ(Text(3.0F), "3.0");
  EXPECT_EQ(Text(-250.0F), "-250.0");
  EXPECT_EQ(Text(99999.0F), "99999.0");
  EXPECT_EQ(Text(123456.0F), "123456.0");
  EXPECT_EQ(Text(16777216.0F), "16777216.0");
  EXPECT_EQ(Text(9000000.0F), "9e+06");
  EXPECT_EQ(Text(0.00003F), "3e-05");
  EXPECT_EQ(Text(1 / 3.0F), "0.33333334");
  EXPECT_EQ(Text(0.1F), "0.1");
  EXPECT_EQ(Text(1e20F), "1e+20");
  EXPECT_EQ(Text(1e-45F), "1e-45");
  EXPECT_EQ(Text(0.1), "0.1");
  EXPECT_EQ(Text(100.0), "100.0");
  EXPECT_EQ(Text(std::numeric_limits<double>::lowest()), "-1.7976931348623157e+308");
}

TEST(JsonWriterTest, SpecialFloatsAreBareWords) {
  EXPECT_EQ(Text(std::numeric_limits<float>::quiet_NaN()), "NaN");
  EXPECT_EQ(Text(-std::numeric_limits<float>::quiet_NaN()), "NaN");
  EXPECT_EQ(Text(std::numeric_limits<float>::infinity()), "Infinity");
  EXPECT_EQ(Text(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(JsonWriterTest, RandomFloatsReadBackAsThemselves) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    const auto wide = std::bit_cast<double>(random());
    if (!std::isfinite(value) || !std::isfinite(wide)) continue;
    const std::string text = Text(value);
    ASSERT_EQ(std::bit_cast<uint32_t>(std::strtof(text.c_str(), nullptr)), std::bit_cast<uint32_t>(value)) << text;
    ASSERT_NE(text.find_first_of(".e"), std::string::npos) << text;
    ASSERT_EQ(std::bit_cast<uint64_t>(std::strtod(Text(wide).c_str(), nullptr)), std::bit_cast<uint64_t>(wide)) << Text(wide);
  }
}

TEST(JsonWriterTest, Integers) {
  EXPECT_EQ(Text(std::numeric_limits<int8_t>::min()), "-128");
  EXPECT_EQ(Text(uint8_t{255}), "255");
  EXPECT_EQ(Text(std::numeric_limits<int16_t>::min()), "-32768");
  EXPECT_EQ(Text(uint16_t{65535}), "65535");
  EXPECT_EQ(Text(std::numeric_limits<int32_t>::min()), "-2147483648");
  EXPECT_EQ(Text(std::numeric_limits<uint32_t>::max()), "4294967295");
  EXPECT_EQ(Text(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(Text(std::numeric_limits<uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(Text(true), "true");
  EXPECT_EQ(Text(false), "false");
}

std::string Quoted(std::string_view text) {
  std::string out = "<";
  AppendJsonString(out, text);
  EXPECT_EQ(out[0], '<');
  return out.substr(1);
}

TEST(JsonWriterTest, StringsAreEscapedAsRapidJsonDoes) {
  EXPECT_EQ(Quoted(""), R"("")");
  EXPECT_EQ(Quoted("a/b"), R"("a/b")");
  EXPECT_EQ(Quoted("\"\\\b\f\n\r\t"), R"("\"\\\b\f\n\r\t")");
  EXPECT_EQ(Quoted(std::string_view("\x00\x1F\x7F", 3)), "\"\\u0000\\u001F\x7F\"");
  EXPECT_EQ(Quoted("\xC3\xA4\xFF"), "\"\xC3\xA4\xFF\"");
  EXPECT_EQ(Quoted(std::string(1000, '\n')).size(), 2002U);
}

TEST(JsonWriterTest, BufferReplacesAndGrows) {
  std::string text = "old";
  JsonBuffer buffer(text);
  for (int i = 0; i < 1000; ++i) buffer.Append("0123456789");
  buffer.Append(',');
  buffer.AppendBase64("foobar");
  buffer.AppendBase64("");
  buffer.Finish();
  ASSERT_EQ(text.size(), 10'001U + 18 + 10);
  EXPECT_EQ(text.substr(0, 12), "012345678901");
  EXPECT_EQ(text.substr(10'000), R"(,{"b64":"Zm9vYmFy"}{"b64":""})");
}

TEST(JsonWriterTest, ErrorBodies) {
  EXPECT_EQ(ErrorJson("Servable not found for request: Latest(m)"), "{\n    \"error\": \"Servable not found for request: Latest(m)\"\n}");
  EXPECT_EQ(ErrorJson(""), "{\n    \"error\": \"\"\n}");
  EXPECT_EQ(ErrorJson("a \"b\"\n"), "{\n    \"error\": \"a \\\"b\\\"\\n\"\n}");
}

TEST(JsonWriterTest, ErrorBodiesAreValidUtf8) {
  const auto message_of = [](std::string_view text) {
    const std::string body = ErrorJson(text);
    constexpr size_t kBefore = 16;  // {\n    "error": "
    return body.substr(kBefore, body.size() - kBefore - 3);
  };
  for (const char* valid : {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "\xEF\xBF\xBD"}) {
    EXPECT_EQ(message_of(valid), valid);
  }
  EXPECT_EQ(message_of("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(message_of("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(message_of("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");                                  // not the shortest form
  EXPECT_EQ(message_of("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");                  // a surrogate
  EXPECT_EQ(message_of("\xF4\x90\x80\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // beyond Unicode
}

}  // namespace
}  // namespace tflite_serving
