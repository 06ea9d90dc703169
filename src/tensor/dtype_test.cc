#include "tensor/dtype.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(DTypeTest, SizesAndNames) {
  EXPECT_EQ(DTypeSize(DType::kFloat), 4u);
  EXPECT_EQ(DTypeSize(DType::kComplex128), 16u);
  EXPECT_EQ(DTypeSize(DType::kString), 0u);
  EXPECT_EQ(DTypeName(DType::kHalf), "half");
  EXPECT_EQ(DTypeProtoName(DType::kBfloat16), "DT_BFLOAT16");
}

TEST(DTypeTest, UnknownNumbersAreInvalid) {
  EXPECT_EQ(DTypeFromNumber(1), DType::kFloat);
  for (const int number : {-1, 11, 20, 24, 28, 30, 101, 1 << 30}) EXPECT_EQ(DTypeFromNumber(number), DType::kInvalid) << number;
  EXPECT_EQ(DTypeSize(static_cast<DType>(1000)), 0u);
}

}  // namespace
}  // namespace tflite_serving
