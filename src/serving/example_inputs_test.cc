#include "serving/example_inputs.h"

#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "example/example_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;

Signature OneInput(DType dtype, const Shape& shape, std::optional<Quantization> quantization = {}) {
  return {.key = "serving_default", .inputs = {{.name = "x", .dtype = dtype, .shape = shape, .quantization = quantization}}};
}

class ExampleInputsTest : public testing::Test {
 protected:
  // "OK", or the status. Keeps the tensors for the next call, as a server does.
  std::string Convert(const Signature& signature, const std::vector<std::string>& serialized) {
    SerializedExamples examples;
    for (const std::string& example : serialized) EXPECT_TRUE(examples.Add(example).ok());
    return ExamplesToInputs(signature, examples, inputs_).ToString();
  }

  template <typename T>
  std::vector<T> Values(size_t input = 0) const {
    const std::span<const T> values = inputs_.at(input).view().values<T>();
    return {values.begin(), values.end()};
  }

  std::vector<Tensor> inputs_;
};

TEST_F(ExampleInputsTest, SerializedExamplesAreFedAsTheyAre) {
  const Signature signature{.inputs = {{.name = "inputs", .dtype = DType::kString, .shape = {-1}}}};
  EXPECT_TRUE(TakesSerializedExamples(signature));
  EXPECT_EQ(Convert(signature, {"any bytes", ""}), "OK");
  EXPECT_EQ(inputs_[0].shape(), Shape({2}));
  EXPECT_TRUE(ValidateStrings(inputs_[0].view().bytes, 2).ok());
  EXPECT_EQ(inputs_[0].view().StringAt(0), "any bytes");
  EXPECT_EQ(Convert(signature, {}), "INVALID_ARGUMENT: Input is empty.");

  EXPECT_FALSE(TakesSerializedExamples({.inputs = {{.name = "inputs", .dtype = DType::kFloat}}}));
  EXPECT_FALSE(TakesSerializedExamples({.inputs = {{.name = "text", .dtype = DType::kString}}}));
  EXPECT_FALSE(TakesSerializedExamples({.inputs = {signature.inputs[0], signature.inputs[0]}}));
}

TEST_F(ExampleInputsTest, FeaturesBecomeRowsOfTheInputsOfTheirName) {
  const Signature signature{.inputs = {{.name = "f", .dtype = DType::kFloat, .shape = {-1, 2}},
                                       {.name = "i", .dtype = DType::kInt32, .shape = {-1}},
                                       {.name = "s", .dtype = DType::kString, .shape = {-1, 1}}}};
  const std::string first = Example({{"f", Floats({1.5F, 2})}, {"i", Int64s({-7})}, {"s", Bytes({"a"})}, {"unused", Floats({})}});
  const std::string second = Example({{"s", Bytes({"bc"})}, {"f", Int64s({3, 4})}, {"i", Int64s({8})}});
  for (int again = 0; again < 2; ++again) {
    ASSERT_EQ(Convert(signature, {first, second}), "OK");
    EXPECT_EQ(inputs_[0].shape(), Shape({2, 2}));
    EXPECT_THAT(Values<float>(0), ElementsAre(1.5F, 2, 3, 4)) << "whole numbers are taken for float too";
    EXPECT_EQ(inputs_[1].shape(), Shape({2}));
    EXPECT_THAT(Values<int32_t>(1), ElementsAre(-7, 8));
    EXPECT_EQ(inputs_[2].shape(), Shape({2, 1}));
    EXPECT_EQ(inputs_[2].view().StringAt(1), "bc");
  }
}

TEST_F(ExampleInputsTest, AnExampleBehindItsContextWins) {
  SerializedExamples examples;
  examples.SetContext(Example({{"x", Floats({1})}}));
  ASSERT_TRUE(examples.Add(Example({})).ok());
  ASSERT_TRUE(examples.Add(Example({{"x", Floats({2})}})).ok());
  ASSERT_TRUE(ExamplesToInputs(OneInput(DType::kFloat, {-1}), examples, inputs_).ok());
  EXPECT_THAT(Values<float>(), ElementsAre(1, 2));
}

TEST_F(ExampleInputsTest, EveryElementType) {
  const auto convert = [&](DType dtype, const MessageBuilder& feature) { return Convert(OneInput(dtype, {-1, 2}), {Example({{"x", feature}})}); };
  EXPECT_EQ(convert(DType::kDouble, Floats({0.5F, -1})), "OK");
  EXPECT_THAT(Values<double>(), ElementsAre(0.5, -1));
  EXPECT_EQ(convert(DType::kHalf, Floats({1.5F, 1e6F})), "OK");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(0x3E00, 0x7C00));
  EXPECT_EQ(convert(DType::kBfloat16, Int64s({1, -2})), "OK");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(0x3F80, 0xC000));
  EXPECT_EQ(convert(DType::kBool, Int64s({1, 0})), "OK");
  EXPECT_THAT(Values<uint8_t>(), ElementsAre(1, 0));
  EXPECT_EQ(convert(DType::kInt8, Int64s({-128, 127})), "OK");
  EXPECT_THAT(Values<int8_t>(), ElementsAre(-128, 127));
  EXPECT_EQ(convert(DType::kUint8, Int64s({0, 255})), "OK");
  EXPECT_THAT(Values<uint8_t>(), ElementsAre(0, 255));
  EXPECT_EQ(convert(DType::kInt16, Int64s({-32768, 32767})), "OK");
  EXPECT_THAT(Values<int16_t>(), ElementsAre(-32768, 32767));
  EXPECT_EQ(convert(DType::kUint16, Int64s({0, 65535})), "OK");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(0, 65535));
  EXPECT_EQ(convert(DType::kUint32, Int64s({0, 4294967295})), "OK");
  EXPECT_THAT(Values<uint32_t>(), ElementsAre(0, 4294967295));
  EXPECT_EQ(convert(DType::kInt64, Int64s({INT64_MIN, INT64_MAX})), "OK");
  EXPECT_THAT(Values<int64_t>(), ElementsAre(INT64_MIN, INT64_MAX));
  EXPECT_EQ(convert(DType::kUint64, Int64s({0, INT64_MAX})), "OK");
  EXPECT_THAT(Values<uint64_t>(), ElementsAre(0, INT64_MAX));
}

TEST_F(ExampleInputsTest, WhatIsOutOfRangeIsRefused) {
  const auto refusal = [&](DType dtype, int64_t value) { return Convert(OneInput(dtype, {-1}), {Example({{"x", Int64s({value})}})}); };
  EXPECT_EQ(refusal(DType::kUint8, 300), "INVALID_ARGUMENT: feature \"x\" of example 0: 300 is out of range for uint8");
  EXPECT_EQ(refusal(DType::kInt8, -129), "INVALID_ARGUMENT: feature \"x\" of example 0: -129 is out of range for int8");
  EXPECT_EQ(refusal(DType::kInt32, int64_t{1} << 31), "INVALID_ARGUMENT: feature \"x\" of example 0: 2147483648 is out of range for int32");
  EXPECT_EQ(refusal(DType::kUint64, -1), "INVALID_ARGUMENT: feature \"x\" of example 0: -1 is out of range for uint64");
  EXPECT_EQ(refusal(DType::kBool, 2), "INVALID_ARGUMENT: feature \"x\" of example 0: 2 is out of range for bool");
}

TEST_F(ExampleInputsTest, QuantizedInputsTakeRealNumbers) {
  const Signature signature = OneInput(DType::kInt8, {-1, 3}, Quantization{0.0625F, -128});
  EXPECT_EQ(Convert(signature, {Example({{"x", Floats({0, 1.5F, 99})}})}), "OK");
  EXPECT_THAT(Values<int8_t>(), ElementsAre(-128, -104, 127)) << "a float beyond the range is its end";
  EXPECT_EQ(Convert(signature, {Example({{"x", Int64s({0, 1, 15})}})}), "OK");
  EXPECT_THAT(Values<int8_t>(), ElementsAre(-128, -112, 112));
  EXPECT_EQ(Convert(signature, {Example({{"x", Int64s({0, 16, 1})}})}),
            "INVALID_ARGUMENT: feature \"x\" of example 0: 16 is out of range for int8 with scale 0.0625 and zero point -128");
  EXPECT_EQ(Convert(signature, {Example({{"x", Floats({0, NAN, 1})}})}),
            "INVALID_ARGUMENT: feature \"x\" of example 0: nan is out of range for int8 with scale 0.0625 and zero point -128");
}

TEST_F(ExampleInputsTest, WhatIsMissingOrOfAnotherKindOrCountIsNamed) {
  const Signature floats = OneInput(DType::kFloat, {-1, 2});
  const std::string good = Example({{"x", Floats({1, 2})}});
  const std::string missing = "INVALID_ARGUMENT: example 1: Feature: x (data type: float) is required but could not be found.";
  EXPECT_EQ(Convert(floats, {good, Example({{"y", Floats({1, 2})}})}), missing);
  EXPECT_EQ(Convert(floats, {good, Example({{"x", MessageBuilder()}})}), missing) << "a feature without a list is none";
  EXPECT_EQ(Convert(floats, {good, Example({{"x", Floats({1, 2, 3})}})}), "INVALID_ARGUMENT: feature \"x\" of example 1: expected 2 values, got 3");
  EXPECT_EQ(Convert(floats, {Example({{"x", Floats({})}})}), "INVALID_ARGUMENT: feature \"x\" of example 0: expected 2 values, got 0");
  EXPECT_EQ(Convert(floats, {Example({{"x", Bytes({"a", "b"})}})}), "INVALID_ARGUMENT: feature \"x\" of example 0: expected float values, got bytes");
  EXPECT_EQ(Convert(OneInput(DType::kInt32, {-1}), {Example({{"x", Floats({1})}})}),
            "INVALID_ARGUMENT: feature \"x\" of example 0: expected int64 values, got float");
  EXPECT_EQ(Convert(OneInput(DType::kString, {-1}), {Example({{"x", Int64s({1})}})}),
            "INVALID_ARGUMENT: feature \"x\" of example 0: expected bytes values, got int64");
  EXPECT_EQ(Convert(floats, {"\xff"}).substr(0, 42), "INVALID_ARGUMENT: example 0 is malformed: ");
}

TEST_F(ExampleInputsTest, OneOpenDimensionIsTheFirstExamples) {
  const Signature open = OneInput(DType::kFloat, {-1, -1, 2});
  EXPECT_EQ(Convert(open, {Example({{"x", Floats({1, 2, 3, 4})}}), Example({{"x", Floats({5, 6, 7, 8})}})}), "OK");
  EXPECT_EQ(inputs_[0].shape(), Shape({2, 2, 2}));
  EXPECT_EQ(Convert(open, {Example({{"x", Floats({})}})}), "OK");
  EXPECT_EQ(inputs_[0].shape(), Shape({1, 0, 2}));
  EXPECT_EQ(Convert(open, {Example({{"x", Floats({1, 2, 3})}})}), "INVALID_ARGUMENT: feature \"x\" of example 0: expected 2 values, got 3");
  EXPECT_EQ(Convert(open, {Example({{"x", Floats({1, 2})}}), Example({{"x", Floats({1, 2, 3, 4})}})}),
            "INVALID_ARGUMENT: feature \"x\" of example 1: expected 2 values, got 4");
  EXPECT_EQ(Convert(OneInput(DType::kFloat, {-1, -1, -1}), {Example({{"x", Floats({1})}})}),
            "INVALID_ARGUMENT: input \"x\": float[?,?,?] has more than one dimension that an Example does not tell");
}

TEST_F(ExampleInputsTest, SomeInputsCannotBeMade) {
  const std::vector<std::string> example = {Example({{"x", Floats({1})}})};
  EXPECT_EQ(Convert(OneInput(DType::kFloat, {}), example), "INVALID_ARGUMENT: input \"x\": float[] cannot be made from Examples");
  EXPECT_EQ(Convert(OneInput(DType::kComplex64, {-1}), example), "INVALID_ARGUMENT: input \"x\": complex64[?] cannot be made from Examples");
  const std::string too_large = Convert(OneInput(DType::kFloat, {-1, int64_t{1} << 40}), example);
  EXPECT_NE(too_large, "OK");
}

}  // namespace
}  // namespace tflite_serving
