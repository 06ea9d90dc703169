#include "codec/json_examples.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/padded_document.h"
#include "example/example_builder.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

// The features by the order of their names: "f=float[1.5,2] i=int64[3] s=bytes[a]".
std::string Describe(std::string_view serialized, std::initializer_list<std::string_view> names) {
  ExampleReader example;
  EXPECT_TRUE(example.Parse(serialized).ok());
  std::string text;
  for (const std::string_view name : names) {
    const ExampleFeature* const feature = example.Find(name);
    if (feature == nullptr) continue;
    std::string values;
    const auto add = [&](const auto& value) { values += fmt::format("{}{}", values.empty() ? "" : ",", value); };
    if (feature->kind() == FeatureKind::kBytes) feature->ForEachBytes(add);
    if (feature->kind() == FeatureKind::kFloat) feature->ForEachFloat(add);
    if (feature->kind() == FeatureKind::kInt64) feature->ForEachInt64(add);
    text += fmt::format("{}{}={}[{}]", text.empty() ? "" : " ", name, FeatureKindName(feature->kind()), values);
  }
  EXPECT_EQ(example.size(), names.size());
  return text;
}

class JsonExamplesTest : public testing::Test {
 protected:
  Status Decode(std::string_view text) {
    PaddedDocument document(text);
    return DecodeJsonExamples(document.body(), signature_name_, examples_);
  }
  // The message of a body that must be refused.
  std::string Refusal(std::string_view text) {
    const Status status = Decode(text);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
    return status.message();
  }
  // Of one example with this feature.
  std::string RefusedFeature(std::string_view value) { return Refusal(fmt::format(R"({{"examples": [{{"f": {}}}]}})", value)); }
  std::string Feature(std::string_view value) {
    const Status status = Decode(fmt::format(R"({{"examples": [{{"f": {}}}]}})", value));
    EXPECT_TRUE(status.ok()) << status.ToString();
    return Describe(examples_[0], {"f"});
  }

  std::string signature_name_ = "left over";
  SerializedExamples examples_;
};

TEST_F(JsonExamplesTest, ExamplesWithFeaturesOfEveryKind) {
  ASSERT_TRUE(Decode(R"({"examples": [{"f": [1.5, 2e3], "i": [3, -4], "s": ["a", "é\n"]}, {"f": 0.5}], "other": {"examples": []}})").ok());
  ASSERT_EQ(examples_.size(), 2u);
  EXPECT_EQ(signature_name_, "");
  EXPECT_EQ(Describe(examples_[0], {"f", "i", "s"}), "f=float[1.5,2000] i=int64[3,-4] s=bytes[a,é\n]");
  EXPECT_EQ(Describe(examples_[1], {"f"}), "f=float[0.5]");
  EXPECT_EQ(examples_[0], Example({{"f", Floats({1.5F, 2000})}, {"i", Int64s({3, -4})}, {"s", Bytes({"a", "é\n"})}}));
}

TEST_F(JsonExamplesTest, TheTokenDecidesTheKind) {
  EXPECT_EQ(Feature("true"), "f=int64[1]");
  EXPECT_EQ(Feature("[true, false, 7]"), "f=int64[1,0,7]");
  EXPECT_EQ(Feature("-0"), "f=int64[0]");
  EXPECT_EQ(Feature("[9223372036854775807, -9223372036854775808]"), "f=int64[9223372036854775807,-9223372036854775808]");
  EXPECT_EQ(Feature("18446744073709551616"), "f=float[1.8446744e+19]") << "beyond uint64 a number is no integer";
  EXPECT_EQ(Feature("-9223372036854775809"), "f=float[-9.223372e+18]");
  EXPECT_EQ(Feature("[1.0, 1e2]"), "f=float[1,100]");
  EXPECT_EQ(Feature("[NaN, Inf, -Infinity, 1e39]"), "f=float[nan,inf,-inf,inf]");
  EXPECT_EQ(Feature(R"(["a", {"b64": "AP8="}])"), std::string("f=bytes[a,\0\xff]", 13));
  EXPECT_EQ(Feature("[]"), "f=nothing[]");
}

TEST_F(JsonExamplesTest, OfFeaturesOfOneNameTheLastCounts) {
  ASSERT_TRUE(Decode(R"({"examples": [{"f": [1, 2], "f": "a"}], "examples": 5})").ok()) << "of members of one name the first";
  EXPECT_EQ(Describe(examples_[0], {"f"}), "f=bytes[a]");
}

TEST_F(JsonExamplesTest, TheContextHoldsForAllExamplesWhereverItStands) {
  for (const std::string_view body :
       {R"({"context": {"c": 1, "f": 2}, "examples": [{"f": 3}, {}]})", R"({"examples": [{"f": 3}, {}], "context": {"c": 1, "f": 2}})"}) {
    ASSERT_TRUE(Decode(body).ok());
    EXPECT_EQ(Describe(examples_[0], {"c", "f"}), "c=int64[1] f=int64[3]");
    EXPECT_EQ(Describe(examples_[1], {"c", "f"}), "c=int64[1] f=int64[2]");
  }
  ASSERT_TRUE(Decode(R"({"examples": [{}]})").ok());
  EXPECT_EQ(Describe(examples_[0], {}), "") << "the next request has no context";
}

TEST_F(JsonExamplesTest, TheSignatureName) {
  ASSERT_TRUE(Decode(R"({"examples": [{}], "signature_name": "s\u0031"})").ok());
  EXPECT_EQ(signature_name_, "s1");
  EXPECT_THAT(Refusal(R"({"signature_name": 5, "context": 1})"), HasSubstr("not formatted correctly. 'signature_name' key must be a string value."));
}

TEST_F(JsonExamplesTest, Syntax) {
  EXPECT_EQ(Refusal(""), "JSON Parse error: The document is empty");
  EXPECT_EQ(Refusal(R"({"examples": 5, "signature_name": 5)"), "JSON Parse error: Missing a comma or } after an object member. at offset: 35");
  EXPECT_EQ(Refusal(R"({"examples": [{"f": 1e400}]})"), "JSON Parse error: Number too big to be stored in double. at offset: 20");
  EXPECT_EQ(Refusal("[1]"), "JSON Value: [\n    1\n] Is not object");
}

TEST_F(JsonExamplesTest, WhatIsNoListOfExamples) {
  EXPECT_EQ(Refusal("{}"), "JSON Value: {} When method is classify, key 'examples' is expected and was not found");
  EXPECT_EQ(Refusal(R"({"examples": {}})"), "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array");
  EXPECT_EQ(Refusal(R"({"examples": []})"), "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array");
  EXPECT_EQ(Refusal(R"({"examples": [{}, [1]]})"), "Example must be JSON object but got JSON Array");
  EXPECT_EQ(Refusal(R"({"examples": [null]})"), "Example must be JSON object but got JSON Null");
  EXPECT_EQ(Refusal(R"({"context": "c"})"), "Example must be JSON object but got JSON String") << "the context comes before the examples";
}

TEST_F(JsonExamplesTest, WhatIsNoFeature) {
  EXPECT_EQ(RefusedFeature("null"), "Feature: f has element with unexpected JSON type: Null");
  EXPECT_EQ(RefusedFeature("{}"), "Feature: f has element with unexpected JSON type: Object");
  EXPECT_EQ(RefusedFeature("[1, [2]]"), "Feature: f has element with unexpected JSON type: Array");
  EXPECT_EQ(RefusedFeature(R"({"b64": "a", "c": 1})"), "Feature: f has element with unexpected JSON type: Object");
  EXPECT_EQ(RefusedFeature(R"({"b64": "!"})"), "Unable to base64 decode");
  EXPECT_EQ(RefusedFeature("[10, 10.0]"), "Unexpected element type in feature: f expecting type: int64");
  EXPECT_EQ(RefusedFeature("[10.0, true]"), "Unexpected element type in feature: f expecting type: float");
  EXPECT_EQ(RefusedFeature(R"(["a", 1])"), "Unexpected element type in feature: f expecting type: bytes");
  EXPECT_EQ(RefusedFeature("9223372036854775808"), "Feature: f has uint64_t element. Only int64_t is supported.");
  EXPECT_EQ(RefusedFeature("[0.5, 9223372036854775808]"), "Unexpected element type in feature: f expecting type: float");
}

TEST_F(JsonExamplesTest, DeepNestingIsNoDanger) {
  constexpr size_t kDeep = 500'000;
  const std::string open(kDeep, '[');
  const std::string close(kDeep, ']');
  ASSERT_TRUE(Decode(R"({"x": )" + open + close + R"(, "examples": [{}]})").ok());
  EXPECT_EQ(RefusedFeature(open + close), "Feature: f has element with unexpected JSON type: Array");
}

TEST_F(JsonExamplesTest, AContextIsNotRepeatedWithoutEnd) {
  const std::string context(SerializedExamples::kMaxContextCopiesBytes / 2, 'c');
  EXPECT_EQ(Decode(R"({"context": {"c": ")" + context + R"("}, "examples": [{}]})"), OkStatus());
  EXPECT_EQ(Decode(R"({"context": {"c": ")" + context + R"("}, "examples": [{}, {}]})").code(), StatusCode::kResourceExhausted);
}

TEST(JsonResultsTest, Classes) {
  std::string out = "left over";
  Classifications result{.num_examples = 2, .classes_per_example = 2, .classes = {{"cat", 0.5F}, {"\"dog\"\n", 1}, {"", -3e-5F}, {"é", 0}}};
  EncodeJsonResults(result, out);
  EXPECT_EQ(out, R"({"results":[[["cat",0.5],["\"dog\"\n",1.0]],[["",-3e-05],["é",0.0]]]})");
  EncodeJsonResults(Classifications{.num_examples = 2}, out);
  EXPECT_EQ(out, R"({"results":[[],[]]})");
}

TEST(JsonResultsTest, Numbers) {
  std::string out;
  EncodeJsonResults(Regressions{{3.5F, 4, NAN, -std::numeric_limits<float>::infinity(), 0.1F}}, out);
  EXPECT_EQ(out, R"({"results":[3.5,4.0,NaN,-Infinity,0.1]})");
}

}  // namespace
}  // namespace tflite_serving
