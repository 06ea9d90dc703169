#include "codec/json_reader.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/json_value_text.h"
#include "codec/padded_document.h"

namespace tflite_serving {
namespace {

constexpr int kDeep = 500'000;

std::string Repeat(std::string_view text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

// How far SkipValue gets, or its fault without the common beginning.
std::string Skip(std::string_view text) {
  PaddedDocument document(text);
  JsonReader json(document.text());
  if (!json.EnterDocument() || !json.SkipValue()) {
    const Status fault = json.Fault();
    EXPECT_EQ(fault.code(), StatusCode::kInvalidArgument);
    constexpr std::string_view kStart = "JSON Parse error: ";
    EXPECT_TRUE(fault.message().starts_with(kStart)) << fault.message();
    return fault.message().substr(kStart.size());
  }
  return fmt::format("ok {}", json.position() - document.body().data());
}

TEST(JsonReaderTest, SkipsEveryKindOfValue) {
  for (const std::string text : {"null", "true", "false", "0", "-1.5e+3", "NaN", "-Infinity", "\"\"", "\"a\\n\\u00e4\\ud83d\\ude00\\/\"", "[]", "{}",
                                 "[1,[2,{\"a\":[]}],\"x\"]", "{\"a\":{\"b\":null},\"c\":[true]}", "[ 1 , 2 ]", "{ \"a\" : 1 , \"b\" : [ ] }"}) {
    EXPECT_EQ(Skip(text), fmt::format("ok {}", text.size())) << text;
    EXPECT_EQ(Skip(text + " \t\r\n trailing"), fmt::format("ok {}", text.size())) << text;
  }
  EXPECT_EQ(Skip("\xEF\xBB\xBF[1]"), "ok 6");
}

TEST(JsonReaderTest, FaultsHaveRapidJsonsMessagesAndOffsets) {
  const std::pair<std::string, std::string> kFaults[] = {
      {" ", "The document is empty. at offset: 1"},
      {"[", "Invalid value. at offset: 1"},
      {"[1,]", "Invalid value. at offset: 3"},
      {"[,1]", "Invalid value. at offset: 1"},
      {"nul", "Invalid value. at offset: 3"},
      {"tru\"", "Invalid value. at offset: 3"},
      {"x", "Invalid value. at offset: 0"},
      {"[1 2]", "Missing a comma or ] after an array element. at offset: 3"},
      {"[1}", "Missing a comma or ] after an array element. at offset: 2"},
      {"[01]", "Missing a comma or ] after an array element. at offset: 2"},
      {"{1:2}", "Missing a name for object member. at offset: 1"},
      {"{\"a\":1,}", "Missing a name for object member. at offset: 7"},
      {"{\"a\" 1}", "Missing a colon after a name of object member. at offset: 5"},
      {"{\"a\":1 \"b\":2}", "Missing a comma or } after an object member. at offset: 7"},
      {"{\"a\":1]", "Missing a comma or } after an object member. at offset: 6"},
      {"{\"a\":1", "Missing a comma or } after an object member. at offset: 6"},
      {"\"abc", "Missing a closing quotation mark in string. at offset: 4"},
      {"\"a\\x\"", "Invalid escape character in string. at offset: 2"},
      {"\"a\nb\"", "Invalid escape character in string. at offset: 2"},
      {"\"\\u12g4\"", "Incorrect hex digit after \\u escape in string. at offset: 1"},
      {"\"\\ud800\"", "The surrogate pair in string is invalid. at offset: 1"},
      {"\"\\ud800\\u0041\"", "The surrogate pair in string is invalid. at offset: 1"},
      {"\"\\udc00\"", "The surrogate pair in string is invalid. at offset: 1"},
      {"\"\\ud83d\\uDEXX\"", "Incorrect hex digit after \\u escape in string. at offset: 1"},
      {"[1.]", "Miss fraction part in number. at offset: 3"},
      {"[1e]", "Miss exponent in number. at offset: 3"},
      {"[2,1e999]", "Number too big to be stored in double. at offset: 3"},
  };
  for (const auto& [text, fault] : kFaults) EXPECT_EQ(Skip(text), fault) << text;
  EXPECT_EQ(Skip(std::string("[1,\0", 4)), "Invalid value. at offset: 3");
}

TEST(JsonReaderTest, DeepNestingIsSkippedWithoutAStack) {
  EXPECT_EQ(Skip(Repeat("[", kDeep) + Repeat("]", kDeep)), fmt::format("ok {}", 2 * kDeep));
  EXPECT_EQ(Skip(Repeat("{\"a\":", kDeep) + "1" + Repeat("}", kDeep)), fmt::format("ok {}", 6 * kDeep + 1));
  EXPECT_EQ(Skip(Repeat("[", kDeep)), fmt::format("Invalid value. at offset: {}", kDeep));
}

TEST(JsonReaderTest, ReadsStringsWithEveryEscape) {
  const std::pair<std::string, std::string> kStrings[] = {
      {R"("")", ""},
      {R"("plain text of more than sixteen bytes")", "plain text of more than sixteen bytes"},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u0041\u00e4\u20AC\ud83d\ude00!")", "A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80!"},
      {"\"\xFF\xC3 raw\"", "\xFF\xC3 raw"},
      {R"("0123456\t89012345\n")", "0123456\t89012345\n"},
  };
  for (const auto& [text, content] : kStrings) {
    PaddedDocument document(text);
    JsonReader json(document.text());
    std::string_view read;
    ASSERT_TRUE(json.ReadString(read)) << text;
    EXPECT_EQ(read, content);
    EXPECT_EQ(json.Peek(), '\0');
  }
  PaddedDocument with_zero(R"("a\u0000b")");
  JsonReader json(with_zero.text());
  std::string_view read;
  ASSERT_TRUE(json.ReadString(read));
  EXPECT_EQ(read, std::string_view("a\0b", 3));
}

TEST(JsonReaderTest, EverySpecialByteIsFoundAtEveryPlace) {
  for (size_t before = 0; before < 20; ++before) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text = fmt::format("\"{}{}", std::string(before, '\xE9'), static_cast<char>(byte)) + "\"";
      const bool is_control = byte < 0x20;
      const bool is_fault = is_control || byte == '\\';
      EXPECT_EQ(Skip(text).starts_with("ok"), !is_fault) << before << " " << byte;
    }
  }
}

TEST(JsonReaderTest, WalksObjectsAndArrays) {
  PaddedDocument document(R"( { "a" : [ 1 , "x" ] , "b\u0063" : {} } )");
  JsonReader json(document.text());
  std::vector<std::string> seen;
  std::string_view key;
  ASSERT_EQ(json.Peek(), '{');
  for (JsonStep step = json.EnterObject(key); step != JsonStep::kEnd; step = json.NextMember(key)) {
    ASSERT_EQ(step, JsonStep::kItem);
    seen.emplace_back(key);
    if (json.Peek() != '[') {
      ASSERT_TRUE(json.SkipValue());
      continue;
    }
    for (JsonStep element = json.EnterArray(); element != JsonStep::kEnd; element = json.NextElement()) {
      ASSERT_EQ(element, JsonStep::kItem);
      seen.emplace_back(1, json.Peek());
      ASSERT_TRUE(json.SkipValue());
    }
  }
  EXPECT_THAT(seen, testing::ElementsAre("a", "1", "\"", "bc"));
}

TEST(JsonReaderTest, Base64ObjectsHaveOneKeyAndAString) {
  const auto read = [](std::string_view text) -> std::string {
    PaddedDocument document(text);
    JsonReader json(document.text());
    std::string_view encoded;
    if (ReadBase64Object(json, encoded)) return fmt::format("{} {}", encoded, json.position() - document.body().data());
    EXPECT_EQ(json.position(), document.body().data());
    return "no";
  };
  EXPECT_EQ(read(R"({"b64":"Zg=="})"), "Zg== 14");
  EXPECT_EQ(read(R"({ "\u006264" : "a\/b" } )"), "a/b 23");
  for (const char* text :
       {"{}", R"({"b64":1})", R"({"b64":"Zg==","x":1})", R"({"b64":"Zg==","b64":"Zg=="})", R"({"B64":"Zg=="})", R"({"x":"Zg=="})"}) {
    EXPECT_EQ(read(text), "no") << text;
  }
}

std::string TextOf(std::string_view text) {
  PaddedDocument document(text);
  const JsonReader json(document.text());
  return JsonValueText(json, document.body().data());
}

TEST(JsonValueTextTest, LaysOutAsRapidJsonsPrettyWriter) {
  EXPECT_EQ(TextOf("5"), "5");
  EXPECT_EQ(TextOf("-1.50"), "-1.5");
  EXPECT_EQ(TextOf("1.0"), "1.0");
  EXPECT_EQ(TextOf("NaN"), "NaN");
  EXPECT_EQ(TextOf("null"), "null");
  EXPECT_EQ(TextOf(R"("a\u000a\"\u00e4")"), "\"a\\n\\\"\xC3\xA4\"");
  EXPECT_EQ(TextOf("[ ]"), "[]");
  EXPECT_EQ(TextOf("{ }"), "{}");
  EXPECT_EQ(TextOf(R"({"a":[1,{"b":true}],"c":{}})"),
            "{\n    \"a\": [\n        1,\n        {\n            \"b\": true\n        }\n    ],\n    \"c\": {}\n}");
}

TEST(JsonValueTextTest, IsCutAtACharactersEnd) {
  const std::string exact = '"' + std::string(kMaxJsonValueTextBytes - 2, 'x') + '"';
  EXPECT_EQ(TextOf(exact), exact);
  const std::string longer = '"' + std::string(kMaxJsonValueTextBytes - 1, 'x') + '"';
  EXPECT_EQ(TextOf(longer), '"' + std::string(kMaxJsonValueTextBytes - 1, 'x') + "...");
  const std::string wide = '"' + Repeat("\xE2\x82\xAC", 1000) + '"';
  EXPECT_EQ(TextOf(wide), '"' + Repeat("\xE2\x82\xAC", (kMaxJsonValueTextBytes - 1) / 3) + "...");
  EXPECT_LE(TextOf(Repeat("[", kDeep) + Repeat("]", kDeep)).size(), kMaxJsonValueTextBytes + 3);
}

TEST(JsonValueTextTest, EndsWhereTheSyntaxBreaks) {
  EXPECT_EQ(TextOf("[1,"), "[\n    1,\n    ");
  EXPECT_EQ(TextOf("{\"a\""), "{");
  EXPECT_EQ(TextOf("tru"), "");
}

}  // namespace
}  // namespace tflite_serving
