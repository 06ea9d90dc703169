#include "batching/batch_tensors.h"

#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

template <typename T>
TensorView ViewOf(DType dtype, const Shape& shape, const std::vector<T>& values) {
  return {dtype, shape, std::as_bytes(std::span(values))};
}

template <typename T>
std::vector<T> Values(const TensorView& view) {
  return {view.values<T>().begin(), view.values<T>().end()};
}

TEST(BatchTensorsTest, RowsFollowEachOther) {
  const std::vector<int32_t> a = {1, 2};
  const std::vector<int32_t> b = {3, 4, 5, 6};
  const std::vector<TensorView> parts = {ViewOf(DType::kInt32, {1, 2}, a), ViewOf(DType::kInt32, {2, 2}, b)};
  const StatusOr<Tensor> whole = ConcatenateRows(parts, 3, 0);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->shape(), Shape({3, 2}));
  EXPECT_THAT(Values<int32_t>(whole->view()), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(BatchTensorsTest, FillerIsTheFirstRowOfTheLastPart) {
  const std::vector<int64_t> a = {1};
  const std::vector<int64_t> b = {2, 3};
  const std::vector<TensorView> parts = {ViewOf(DType::kInt64, {1}, a), ViewOf(DType::kInt64, {2}, b)};
  EXPECT_THAT(Values<int64_t>(ConcatenateRows(parts, 5, 0)->view()), ElementsAre(1, 2, 3, 2, 2));
}

TEST(BatchTensorsTest, SmallerPartsAreFilledUpAtTheEndOfEachDimension) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::vector<float> b = {7, 8, 9};
  const std::vector<TensorView> parts = {ViewOf(DType::kFloat, {1, 2, 3}, a), ViewOf(DType::kFloat, {1, 3, 1}, b)};
  const StatusOr<Tensor> whole = ConcatenateRows(parts, 3, 0.5);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->shape(), Shape({3, 3, 3}));
  constexpr float kP = 0.5;
  const std::vector<float> padded_b = {7, kP, kP, 8, kP, kP, 9, kP, kP};
  std::vector<float> expected = {1, 2, 3, 4, 5, 6, kP, kP, kP};
  expected.insert(expected.end(), padded_b.begin(), padded_b.end());
  expected.insert(expected.end(), padded_b.begin(), padded_b.end());  // filler
  EXPECT_THAT(Values<float>(whole->view()), ElementsAreArray(expected));
}

template <typename T>
T Pad(DType dtype, double value) {
  const std::vector<T> a(2);
  const std::vector<T> b(1);
  const std::vector<TensorView> parts = {ViewOf(dtype, {1, 2}, a), ViewOf(dtype, {1, 1}, b)};
  return Values<T>(ConcatenateRows(parts, 2, value)->view())[3];
}

TEST(BatchTensorsTest, ThePadValueIsTheNearestOfTheType) {
  EXPECT_EQ(Pad<float>(DType::kFloat, 0.1), 0.1F);
  EXPECT_EQ(Pad<double>(DType::kDouble, 0.1), 0.1);
  EXPECT_EQ(Pad<int8_t>(DType::kInt8, -1), -1);
  EXPECT_EQ(Pad<int8_t>(DType::kInt8, -1000), -128);
  EXPECT_EQ(Pad<uint8_t>(DType::kUint8, 1000), 255);
  EXPECT_EQ(Pad<int32_t>(DType::kInt32, 7), 7);
  EXPECT_EQ(Pad<int64_t>(DType::kInt64, 1e300), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Pad<uint64_t>(DType::kUint64, -1), 0u);
  EXPECT_EQ(Pad<uint16_t>(DType::kHalf, 1), 0x3C00);
  EXPECT_EQ(Pad<uint16_t>(DType::kBfloat16, 1), 0x3F80);
  EXPECT_EQ(Pad<uint8_t>(DType::kBool, 3), 1);
}

TEST(BatchTensorsTest, RowsWithoutElements) {
  const std::vector<float> none;
  const std::vector<TensorView> parts = {ViewOf(DType::kFloat, {1, 0}, none), ViewOf(DType::kFloat, {2, 0}, none)};
  const StatusOr<Tensor> whole = ConcatenateRows(parts, 4, 0);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->shape(), Shape({4, 0}));
  EXPECT_EQ(SliceRows(whole->view(), 1, 2).shape, Shape({2, 0}));
}

TEST(BatchTensorsTest, ASliceIsWhereItWas) {
  const std::vector<int16_t> values = {1, 2, 3, 4, 5, 6};
  const TensorView whole = ViewOf(DType::kInt16, {3, 2}, values);
  const TensorView slice = SliceRows(whole, 1, 2);
  EXPECT_EQ(slice.shape, Shape({2, 2}));
  EXPECT_THAT(Values<int16_t>(slice), ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(slice.bytes.data(), whole.bytes.data() + 4);
}

TEST(BatchTensorsTest, WhatIsTooLargeIsRefused) {
  const std::vector<float> row(1 << 10);
  const TensorView part = ViewOf(DType::kFloat, {1, 1 << 10}, row);
  EXPECT_FALSE(ConcatenateRows({&part, 1}, int64_t{1} << 30, 0).ok());
}

}  // namespace
}  // namespace tflite_serving
