#include "example/example_reader.h"

#include <initializer_list>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MessageBuilder Feature(FeatureKind kind, const MessageBuilder& list) { return MessageBuilder().Message(static_cast<uint32_t>(kind), list); }
MessageBuilder Floats(std::initializer_list<float> values) { return Feature(FeatureKind::kFloat, MessageBuilder().PackedFixed(1, values)); }
MessageBuilder Int64s(std::initializer_list<int64_t> values) { return Feature(FeatureKind::kInt64, MessageBuilder().PackedVarints(1, values)); }
MessageBuilder Bytes(std::initializer_list<std::string> values) {
  MessageBuilder list;
  for (const std::string& value : values) list.Delimited(1, value);
  return Feature(FeatureKind::kBytes, list);
}

std::string Example(std::initializer_list<std::pair<std::string, MessageBuilder>> features) {
  MessageBuilder map;
  for (const auto& [name, feature] : features) map.Message(1, MessageBuilder().Delimited(1, name).Message(2, feature));
  return MessageBuilder().Message(1, map).text();
}

std::vector<float> FloatsOf(const ExampleFeature* feature) {
  std::vector<float> values;
  if (feature != nullptr && feature->kind() == FeatureKind::kFloat) feature->ForEachFloat([&](float value) { values.push_back(value); });
  EXPECT_EQ(values.size(), feature == nullptr ? 0 : feature->count());
  return values;
}

std::vector<int64_t> Int64sOf(const ExampleFeature* feature) {
  std::vector<int64_t> values;
  if (feature != nullptr && feature->kind() == FeatureKind::kInt64) feature->ForEachInt64([&](int64_t value) { values.push_back(value); });
  EXPECT_EQ(values.size(), feature == nullptr ? 0 : feature->count());
  return values;
}

std::vector<std::string> BytesOf(const ExampleFeature* feature) {
  std::vector<std::string> values;
  if (feature != nullptr && feature->kind() == FeatureKind::kBytes)
    feature->ForEachBytes([&](std::string_view value) { values.emplace_back(value); });
  EXPECT_EQ(values.size(), feature == nullptr ? 0 : feature->count());
  return values;
}

TEST(ExampleReader, ReadsEachKind) {
  const std::string bytes = Example({{"f", Floats({1.5F, -2})}, {"i", Int64s({-1, 1LL << 40})}, {"b", Bytes({"", "ab"})}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_EQ(example.size(), 3);
  EXPECT_THAT(FloatsOf(example.Find("f")), ElementsAre(1.5F, -2));
  EXPECT_THAT(Int64sOf(example.Find("i")), ElementsAre(-1, 1LL << 40));
  EXPECT_THAT(BytesOf(example.Find("b")), ElementsAre("", "ab"));
  EXPECT_EQ(example.Find("g"), nullptr);
}

TEST(ExampleReader, BytesLieInTheMessage) {
  const std::string bytes = Example({{"b", Bytes({"abc"})}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  example.Find("b")->ForEachBytes([&](std::string_view value) {
    EXPECT_GE(value.data(), bytes.data());
    EXPECT_LE(value.data() + value.size(), bytes.data() + bytes.size());
  });
}

TEST(ExampleReader, NumbersMayBeUnpacked) {
  const MessageBuilder floats = MessageBuilder().Fixed(1, 1.0F).PackedFixed(1, {2.0F, 3.0F}).Fixed(1, 4.0F);
  const MessageBuilder ints = MessageBuilder().Varint(1, 5).PackedVarints(1, {6, -7});
  const std::string bytes = Example({{"f", Feature(FeatureKind::kFloat, floats)}, {"i", Feature(FeatureKind::kInt64, ints)}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_THAT(FloatsOf(example.Find("f")), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Int64sOf(example.Find("i")), ElementsAre(5, 6, -7));
}

TEST(ExampleReader, TheLastEntryOfANameWins) {
  const std::string bytes = Example({{"x", Floats({1, 2})}, {"y", Floats({9})}, {"x", Int64s({3})}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_EQ(example.size(), 2);
  EXPECT_THAT(Int64sOf(example.Find("x")), ElementsAre(3));
}

TEST(ExampleReader, AnExampleOverridesTheContextBeforeIt) {
  const std::string bytes = Example({{"x", Floats({1, 2})}, {"only", Bytes({"c"})}}) + Example({{"x", Floats({3})}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_THAT(FloatsOf(example.Find("x")), ElementsAre(3));
  EXPECT_THAT(BytesOf(example.Find("only")), ElementsAre("c"));
}

// As protobuf merges: within one Feature lists of one kind join, and another kind replaces what came before.
TEST(ExampleReader, ListsOfOneFeatureMerge) {
  MessageBuilder twice = Floats({1});
  twice.Raw(Floats({2, 3}).text());
  MessageBuilder replaced = Int64s({7});
  replaced.Raw(Floats({4}).text()).Raw(Int64s({8}).text()).Raw(Int64s({9}).text());
  MessageBuilder two_values = MessageBuilder().Delimited(1, "v").Message(2, Floats({5})).Message(2, Floats({6}));
  const std::string bytes =
      Example({{"twice", twice}, {"replaced", replaced}}) + MessageBuilder().Message(1, MessageBuilder().Message(1, two_values)).text();
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_THAT(FloatsOf(example.Find("twice")), ElementsAre(1, 2, 3));
  EXPECT_THAT(Int64sOf(example.Find("replaced")), ElementsAre(8, 9));
  EXPECT_THAT(FloatsOf(example.Find("v")), ElementsAre(5, 6));
}

TEST(ExampleReader, EmptyThingsAreAllowed) {
  ExampleReader example;
  EXPECT_TRUE(example.Parse("").ok());
  EXPECT_EQ(example.size(), 0);
  const std::string bytes = Example({{"", MessageBuilder()}, {"none", Feature(FeatureKind::kFloat, MessageBuilder())}});
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_EQ(example.Find("")->kind(), FeatureKind::kNone);
  EXPECT_EQ(example.Find("none")->kind(), FeatureKind::kFloat);
  EXPECT_EQ(example.Find("none")->count(), 0);
}

TEST(ExampleReader, UnknownFieldsArePassedOver) {
  const MessageBuilder list = MessageBuilder().Varint(9, 1).Fixed(1, 2.0F).Varint(1, 3);  // of which the last is of a wrong type
  const MessageBuilder feature = MessageBuilder().Varint(2, 4).Message(2, list).Delimited(4, "?");
  const std::string bytes = MessageBuilder().Varint(7, 7).text() + Example({{"x", feature}});
  ExampleReader example;
  ASSERT_TRUE(example.Parse(bytes).ok());
  EXPECT_THAT(FloatsOf(example.Find("x")), ElementsAre(2));
}

TEST(ExampleReader, AnyCutIsRefusedOrEndsBetweenFields) {
  const std::string bytes = Example({{"f", Floats({1, 2})}, {"i", Int64s({300, 4})}, {"b", Bytes({"ab", "c"})}});
  ExampleReader example;
  for (size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_EQ(example.Parse(bytes.substr(0, size)).code(), StatusCode::kInvalidArgument) << size;
    EXPECT_EQ(example.size(), 0);
  }
}

TEST(ExampleReader, MalformedListsAreRefused) {
  ExampleReader example;
  EXPECT_THAT(example.Parse(Example({{"f", Feature(FeatureKind::kFloat, MessageBuilder().Delimited(1, "abc"))}})).message(),
              HasSubstr("a list of floats has 3 bytes"));
  EXPECT_THAT(example.Parse(Example({{"i", Feature(FeatureKind::kInt64, MessageBuilder().Delimited(1, "\xFF"))}})).message(),
              HasSubstr("a number in a list is cut off"));
  EXPECT_THAT(example.Parse(Example({{"b", MessageBuilder().Delimited(1, "\x0A\x05z")}})).message(), HasSubstr("claims 5 bytes where 1 are left"));
}

TEST(ExampleReader, FeaturesAreLimited) {
  MessageBuilder map;
  for (size_t i = 0; i < ExampleReader::kMaxFeatures; ++i) map.Message(1, MessageBuilder());
  ExampleReader example;
  ASSERT_TRUE(example.Parse(MessageBuilder().Message(1, map).text()).ok());
  EXPECT_EQ(example.size(), 1);  // all of one name
  map.Message(1, MessageBuilder());
  EXPECT_THAT(example.Parse(MessageBuilder().Message(1, map).text()).message(), HasSubstr("more than 65536 features"));
}

}  // namespace
}  // namespace tflite_serving
