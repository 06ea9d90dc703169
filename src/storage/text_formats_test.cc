#include "storage/text_formats.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::string Page(std::string_view content) {
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</ListBucketResult>)", content);
}

TEST(ObjectsPageTest, ObjectsAndTheNextPage) {
  const StatusOr<ObjectsPage> page =
      ParseObjectsPage(Page("<IsTruncated>true</IsTruncated><NextContinuationToken>a/b+c==</NextContinuationToken>"
                            "<Contents><Key>m/1/a &amp; b.tflite</Key><Size>18446744073709551615</Size><ETag>&quot;tag&quot;</ETag></Contents>"
                            "<Contents><Key>m/</Key><Size>0</Size><ETag>x</ETag></Contents>"));
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_THAT(page->objects, ElementsAre(RemoteObject{"m/1/a & b.tflite", UINT64_MAX, "\"tag\""}, RemoteObject{"m/", 0, "x"}));
  EXPECT_EQ(page->next_page, "a/b+c==");
  EXPECT_THAT(ParseObjectsPage(Page(""))->objects, IsEmpty());
}

TEST(ObjectsPageTest, WhatIsNone) {
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("<Error/>"), Page("<IsTruncated>true</IsTruncated>"),
        Page("<Contents><Key>a</Key><ETag>x</ETag></Contents>"), Page("<Contents><Key>a</Key><Size>-1</Size><ETag>x</ETag></Contents>"),
        Page("<Contents><Size>1</Size><ETag>x</ETag></Contents>"), Page("<Contents><Key>a</Key><Size>1</Size></Contents>"),
        Page("<Contents><Key>a</Key><Size>1</Size><ETag>x&#13;&#10;Evil: 1</ETag></Contents>"), Page("<Contents>")}) {
    EXPECT_EQ(ParseObjectsPage(text).status().code(), StatusCode::kUnavailable) << text;
  }
}

TEST(StoreErrorTest, CodesAndMessages) {
  EXPECT_EQ(ParseStoreError("<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>"),
            "NoSuchBucket: It is not there");
  EXPECT_EQ(ParseStoreError("<ErrorResponse><Error><Code>ExpiredToken</Code><Message>m</Message></Error></ErrorResponse>"), "ExpiredToken: m");
  EXPECT_EQ(ParseStoreError("<html>502</html>"), "");
  EXPECT_EQ(ParseStoreError("nothing"), "");
}

TEST(DirectoryPageTest, WhatServersWrite) {
  // nginx, Apache (with links to sort by), Python, Caddy, and one with whole paths.
  EXPECT_THAT(ParseDirectoryPage(R"(<a href="../">../</a><a href="1/">1/</a> <a href="a%20b.tflite">a b.tflite</a>)", "m"),
              ElementsAre("1/", "a b.tflite"));
  EXPECT_THAT(ParseDirectoryPage(R"(<A HREF="?C=N;O=D">Name</A><a href="/models/">Parent Directory</a><a href="2/">)", "models/m"),
              ElementsAre("2/"));
  EXPECT_THAT(ParseDirectoryPage("<a href='model.tflite'>x</a><a href=10/>", ""), ElementsAre("10/", "model.tflite"));
  EXPECT_THAT(ParseDirectoryPage(R"(<a href="./3/"><a href="./?sort=name"><a href="./a&amp;b">)", "m"), ElementsAre("3/", "a&b"));
  EXPECT_THAT(ParseDirectoryPage(R"(<a href="/m/4/"><a href="/m/model.tflite?v=1#x">)", "m"), ElementsAre("4/", "model.tflite"));
}

TEST(DirectoryPageTest, WhatIsNotInTheDirectory) {
  EXPECT_THAT(
      ParseDirectoryPage(R"(<a href="https://other/1/"><a href="//other/1/"><a href="/1/"><a href="a/b/"><a href="..%2F..%2Fetc"><a href="%">)"
                         R"(<a href="mailto:me"><a href=""><a href="."><a href="#top"><a href="1/)",
                         "m"),
      ElementsAre("1/"));
  EXPECT_THAT(ParseDirectoryPage("no page href=", "m"), IsEmpty());
}

TEST(JsonMembersTest, TextsAndNumbers) {
  EXPECT_THAT(*ParseJsonMembers(R"({"a": "x\n", "n": 3599, "o": {"a": 1}, "t": true, "z": null})"),
              UnorderedElementsAre(Pair("a", "x\n"), Pair("n", "3599")));
  for (const char* const text : {"", "[]", "{", "1"}) EXPECT_EQ(ParseJsonMembers(text).status().code(), StatusCode::kInvalidArgument) << text;
}

TEST(IniSectionTest, OneSection) {
  constexpr std::string_view kText = "[a]\nkey = 1\r\n# key = 2\n[ b ]\nkey=a=b\nother =\n[a]\nlast= 3";
  EXPECT_THAT(ParseIniSection(kText, "a"), UnorderedElementsAre(Pair("key", "1"), Pair("last", "3")));
  EXPECT_THAT(ParseIniSection(kText, "b"), UnorderedElementsAre(Pair("key", "a=b"), Pair("other", "")));
  EXPECT_THAT(ParseIniSection(kText, "c"), IsEmpty());
}

}  // namespace
}  // namespace tflite_serving
