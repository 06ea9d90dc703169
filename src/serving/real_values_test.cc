#include "serving/real_values.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;

template <typename T>
std::vector<float> Reals(const TensorSpec& spec, const std::vector<T>& elements) {
  const TensorView view{spec.dtype, {static_cast<int64_t>(elements.size())}, std::as_bytes(std::span(elements))};
  std::vector<float> memory = {99};
  const std::span<const float> values = RealValues(spec, view, memory);
  return {values.begin(), values.end()};
}

TEST(RealValuesTest, FloatingPointNumbersAreThemselves) {
  EXPECT_THAT(Reals<float>({.dtype = DType::kFloat}, {1.5F, -2}), ElementsAre(1.5F, -2));
  EXPECT_THAT(Reals<double>({.dtype = DType::kDouble}, {1.5, -2}), ElementsAre(1.5F, -2));
  EXPECT_THAT(Reals<uint16_t>({.dtype = DType::kHalf}, {0x3E00, 0xC000}), ElementsAre(1.5F, -2));
  EXPECT_THAT(Reals<uint16_t>({.dtype = DType::kBfloat16}, {0x3FC0, 0xC000}), ElementsAre(1.5F, -2));
}

TEST(RealValuesTest, QuantizedIntegersStandForOthers) {
  EXPECT_THAT(Reals<int8_t>({.dtype = DType::kInt8, .quantization = Quantization{0.5F, -128}}, {-128, -126, 127}), ElementsAre(0, 1, 127.5F));
  EXPECT_THAT(Reals<uint8_t>({.dtype = DType::kUint8, .quantization = Quantization{0.25F, 128}}, {0, 128, 255}), ElementsAre(-32, 0, 31.75F));
  EXPECT_THAT(Reals<int16_t>({.dtype = DType::kInt16, .quantization = Quantization{2, 0}}, {-3, 32767}), ElementsAre(-6, 65534));
}

TEST(RealValuesTest, OtherTypesHaveNone) {
  EXPECT_TRUE(HasRealValues({.dtype = DType::kHalf}));
  EXPECT_TRUE(HasRealValues({.dtype = DType::kInt8, .quantization = Quantization{}}));
  EXPECT_FALSE(HasRealValues({.dtype = DType::kInt8}));
  EXPECT_FALSE(HasRealValues({.dtype = DType::kInt64}));
  EXPECT_FALSE(HasRealValues({.dtype = DType::kString}));
}

TEST(RealValuesTest, QuantizingRoundsToNearestAndEndsAtTheRange) {
  const Quantization half_steps{0.5F, -128};
  EXPECT_EQ(Quantize<int8_t>(half_steps, 0), -128);
  EXPECT_EQ(Quantize<int8_t>(half_steps, 0.74), -127);
  EXPECT_EQ(Quantize<int8_t>(half_steps, 0.75), -126);
  EXPECT_EQ(Quantize<int8_t>(half_steps, 127.5), 127);
  EXPECT_EQ(Quantize<int8_t>(half_steps, 127.6), 127);
  EXPECT_EQ(Quantize<int8_t>(half_steps, -1), -128);
  EXPECT_EQ(Quantize<int8_t>({1, 0}, -2.5), -3);
  EXPECT_EQ(Quantize<uint8_t>({1, 3}, std::numeric_limits<double>::infinity()), 255);
  EXPECT_EQ(Quantize<int16_t>({1e-30F, 0}, -1e300), -32768);
}

}  // namespace
}  // namespace tflite_serving
