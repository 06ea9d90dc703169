#include "tensor/shape.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(ShapeTest, CountsElements) {
  EXPECT_EQ(Shape({2, 3}).NumElements(), 6);
  EXPECT_EQ(Shape().NumElements(), 1);
  EXPECT_EQ(Shape({0, 5}).NumElements(), 0);
  EXPECT_EQ(Shape({-1, 5}).NumElements(), std::nullopt);
  EXPECT_EQ(Shape({int64_t{1} << 40, int64_t{1} << 40}).NumElements(), std::nullopt);
  EXPECT_EQ(Shape({int64_t{1} << 40, int64_t{1} << 40, 0}).NumElements(), std::nullopt);
}

TEST(ShapeTest, PrintsAsPeopleWriteIt) {
  EXPECT_EQ(Shape({-1, 224, 3}).ToString(), "[?,224,3]");
  EXPECT_EQ(Shape().ToString(), "[]");
}

TEST(ShapeTest, HoldsEightDimensionsAndNotNine) {
  Shape shape;
  for (int i = 0; i < Shape::kMaxRank; ++i) EXPECT_TRUE(shape.Append(i));
  EXPECT_FALSE(shape.Append(9));
  EXPECT_EQ(shape.rank(), 8);
}

TEST(FitShapeTest, EqualRank) {
  EXPECT_EQ(FitShape({2, 4}, {-1, 4}), Shape({2, 4}));
  EXPECT_EQ(FitShape({0, 4}, {-1, 4}), Shape({0, 4}));
  EXPECT_EQ(FitShape({2, 5}, {-1, 4}), std::nullopt);
  EXPECT_EQ(FitShape({}, {}), Shape());
}

TEST(FitShapeTest, AddsOnesToALowerRank) {
  EXPECT_EQ(FitShape({1}, {1, 1}), Shape({1, 1}));
  EXPECT_EQ(FitShape({}, {1, 1}), Shape({1, 1}));
  EXPECT_EQ(FitShape({3}, {-1, 1}), Shape({3, 1}));
  EXPECT_EQ(FitShape({4}, {-1, 4}), Shape({1, 4})) << "one row without its batch dimension";
  EXPECT_EQ(FitShape({28, 28}, {-1, 28, 28, 1}), Shape({1, 28, 28, 1})) << "ones on both sides";
  EXPECT_EQ(FitShape({2, 28, 28}, {-1, 28, 28, 1}), Shape({2, 28, 28, 1}));
  EXPECT_EQ(FitShape({1, 1, 5}, {1, 1, 1, 5}), Shape({1, 1, 1, 5}));
}

TEST(FitShapeTest, NeverDropsOrStretchesADimension) {
  EXPECT_EQ(FitShape({1, 1}, {1}), std::nullopt);
  EXPECT_EQ(FitShape({3}, {2, 2}), std::nullopt);
  EXPECT_EQ(FitShape({2}, {3}), std::nullopt);
  EXPECT_EQ(FitShape({2, 2}, {2, 1, 3}), std::nullopt);
}

}  // namespace
}  // namespace tflite_serving
