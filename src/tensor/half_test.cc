#include "tensor/half.h"

#include <cmath>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(HalfTest, RoundsToNearestEvenAndBack) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = FloatFromHalf(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromHalf(HalfFromDouble(static_cast<double>(value)))));
    } else {
      EXPECT_EQ(HalfFromDouble(static_cast<double>(value)), half);
    }
    const float brain = FloatFromBfloat16(half);
    if (!std::isnan(brain)) {
      EXPECT_EQ(Bfloat16FromDouble(static_cast<double>(brain)), half);
    }
  }
  EXPECT_EQ(HalfFromDouble(1 + 0x1p-11), 0x3C00);      // a tie goes to the even neighbour below
  EXPECT_EQ(HalfFromDouble(1 + 3 * 0x1p-11), 0x3C02);  // and above
  EXPECT_EQ(HalfFromDouble(1 + 0x1.001p-11), 0x3C01);
  EXPECT_EQ(HalfFromDouble(65519.99), 0x7BFF);
  EXPECT_EQ(HalfFromDouble(65520), 0x7C00);
  EXPECT_EQ(HalfFromDouble(0x1p-25), 0);
  EXPECT_EQ(HalfFromDouble(0x1.8p-25), 1);
  EXPECT_EQ(HalfFromDouble(-0x1p-24), 0x8001);
  EXPECT_EQ(HalfFromDouble(1e-300), 0);
  EXPECT_EQ(Bfloat16FromDouble(1 + 0x1p-8), 0x3F80);
  EXPECT_EQ(Bfloat16FromDouble(1 + 3 * 0x1p-8), 0x3F82);
  EXPECT_EQ(Bfloat16FromDouble(3.4e38), 0x7F80);
}

}  // namespace
}  // namespace tflite_serving
