#include "batching/batch_tensors.h"

#include <cstring>
#include <limits>
#include <string>
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

Tensor StringsOf(const Shape& shape, const std::vector<std::string>& values) {
  StringTensorBuilder builder;
  EXPECT_TRUE(builder.Start(static_cast<int64_t>(values.size())).ok());
  for (const std::string& value : values) EXPECT_TRUE(builder.Add(value).ok());
  return Tensor(DType::kString, shape, builder.Finish());
}

std::vector<std::string> Texts(const TensorView& view) {
  const int64_t count = view.shape.NumElements().value_or(-1);
  EXPECT_TRUE(ValidateStrings(view.bytes, count).ok());
  std::vector<std::string> texts;
  for (int64_t i = 0; i < count; ++i) texts.emplace_back(view.StringAt(i));
  return texts;
}

const std::string kZeroBytes("\0a\0", 3);

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
  std::vector<Tensor> memory;
  std::vector<TensorView> slices(1);
  const TensorView view = whole->view();
  EXPECT_TRUE(SliceRows({&view, 1}, 1, 2, slices, memory).ok());
  EXPECT_EQ(slices[0].shape, Shape({2, 0}));
}

TEST(BatchTensorsTest, ASliceOfNumbersIsWhereItWas) {
  const std::vector<int16_t> values = {1, 2, 3, 4, 5, 6};
  const TensorView whole = ViewOf(DType::kInt16, {3, 2}, values);
  std::vector<Tensor> memory;
  TensorView slice;
  ASSERT_TRUE(SliceRows({&whole, 1}, 1, 2, {&slice, 1}, memory).ok());
  EXPECT_EQ(slice.shape, Shape({2, 2}));
  EXPECT_THAT(Values<int16_t>(slice), ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(slice.bytes.data(), whole.bytes.data() + 4);
  EXPECT_TRUE(memory.empty());
}

TEST(BatchTensorsTest, ASliceOfStringsIsATensorThatTheRuntimeCanRead) {
  const Tensor text = StringsOf({3, 2}, {"a", "", kZeroBytes, "dd", "e", "f"});
  const std::vector<int32_t> numbers = {1, 2, 3};
  const std::vector<TensorView> tensors = {ViewOf(DType::kInt32, {3}, numbers), text.view()};
  std::vector<Tensor> memory;
  std::vector<TensorView> slices(2);
  for (int64_t first = 0; first < 3; ++first) {
    for (int64_t rows = 0; first + rows <= 3; ++rows) {
      ASSERT_TRUE(SliceRows(tensors, first, rows, slices, memory).ok());
      EXPECT_EQ(slices[1].shape, Shape({rows, 2}));
      const std::vector<std::string> all = Texts(text.view());
      EXPECT_THAT(Texts(slices[1]), ElementsAreArray(all.begin() + 2 * first, all.begin() + 2 * (first + rows)));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(slices[1].bytes.data()) % kTensorAlignment, 0u);
      EXPECT_EQ(Values<int32_t>(slices[0]), std::vector<int32_t>(numbers.begin() + first, numbers.begin() + first + rows));
    }
  }
}

TEST(BatchTensorsTest, StringsFollowEachOtherAndTheFirstRowOfTheLastPartFillsUp) {
  const Tensor a = StringsOf({1, 2}, {"", "b"});
  const Tensor b = StringsOf({2, 2}, {kZeroBytes, "dd", "", ""});
  const std::vector<TensorView> parts = {a.view(), b.view()};
  for (const int64_t rows : {3, 5}) {
    const StatusOr<Tensor> whole = ConcatenateRows(parts, rows, 7);
    ASSERT_TRUE(whole.ok());
    EXPECT_EQ(whole->shape(), Shape({rows, 2}));
    std::vector<std::string> expected = {"", "b", kZeroBytes, "dd", "", ""};
    for (int64_t filler = 3; filler < rows; ++filler) expected.insert(expected.end(), {kZeroBytes, "dd"});
    EXPECT_EQ(Texts(whole->view()), expected);
  }
}

// As the runtime leaves them: not every layout begins where it could, nor ends there.
TEST(BatchTensorsTest, StringsOfALayoutWithGaps) {
  const std::vector<int32_t> header = {2, 20, 22, 23};  // behind it 4 bytes that are of no string
  std::vector<std::byte> bytes(30, std::byte{'-'});
  std::memcpy(bytes.data(), header.data(), 16);
  std::memcpy(bytes.data() + 20, "abc", 3);
  const TensorView part{DType::kString, {2}, bytes};
  EXPECT_THAT(Texts(ConcatenateRows(std::vector{part, part}, 5, 0)->view()), ElementsAre("ab", "c", "ab", "c", "ab"));
  std::vector<Tensor> memory;
  TensorView slice;
  ASSERT_TRUE(SliceRows({&part, 1}, 1, 1, {&slice, 1}, memory).ok());
  EXPECT_THAT(Texts(slice), ElementsAre("c"));
}

TEST(BatchTensorsTest, SmallerPartsAreFilledUpWithEmptyStrings) {
  const Tensor a = StringsOf({1, 2, 3}, {"1", "2", "3", "4", "5", "6"});
  const Tensor b = StringsOf({2, 3, 1}, {"a", "b", "c", "d", "e", "f"});
  const Tensor none = StringsOf({1, 0, 2}, {});
  const StatusOr<Tensor> whole = ConcatenateRows(std::vector{a.view(), none.view(), b.view()}, 5, 0.5);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->shape(), Shape({5, 3, 3}));
  const std::vector<std::string> padded_b = {"a", "", "", "b", "", "", "c", "", ""};
  std::vector<std::string> expected = {"1", "2", "3", "4", "5", "6", "", "", ""};
  expected.resize(18);  // the rows of `none`
  expected.insert(expected.end(), padded_b.begin(), padded_b.end());
  expected.insert(expected.end(), {"d", "", "", "e", "", "", "f", "", ""});
  expected.insert(expected.end(), padded_b.begin(), padded_b.end());  // filler
  EXPECT_EQ(Texts(whole->view()), expected);
}

TEST(BatchTensorsTest, RowsWithoutStrings) {
  const Tensor part = StringsOf({2, 0}, {});
  const StatusOr<Tensor> whole = ConcatenateRows(std::vector{part.view(), part.view()}, 7, 0);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->shape(), Shape({7, 0}));
  EXPECT_TRUE(Texts(whole->view()).empty());
}

// A time that grows with the square of their number would be minutes.
TEST(BatchTensorsTest, ManyStrings) {
  constexpr int64_t kParts = 100'000;
  const Tensor part = StringsOf({1, 3}, {"a", "", "bcd"});
  const StatusOr<Tensor> whole = ConcatenateRows(std::vector(kParts, part.view()), 2 * kParts, 0);
  ASSERT_TRUE(whole.ok());
  const TensorView view = whole->view();
  EXPECT_EQ(view.StringsAt(0, 6 * kParts).size(), 8 * kParts);
  std::vector<Tensor> memory;
  for (const int64_t row : {int64_t{0}, kParts, 2 * kParts - 1}) {
    TensorView slice;
    ASSERT_TRUE(SliceRows({&view, 1}, row, 1, {&slice, 1}, memory).ok());
    EXPECT_THAT(Texts(slice), ElementsAre("a", "", "bcd"));
  }
}

TEST(BatchTensorsTest, WhatIsTooLargeIsRefused) {
  const std::vector<float> row(1 << 10);
  const TensorView part = ViewOf(DType::kFloat, {1, 1 << 10}, row);
  EXPECT_FALSE(ConcatenateRows({&part, 1}, int64_t{1} << 30, 0).ok());
}

TEST(BatchTensorsTest, TooManyBytesOfStringsAreRefusedBeforeThereIsMemoryForThem) {
  const Tensor megabyte = StringsOf({1}, {std::string(1 << 20, 'x')});
  const TensorView part = megabyte.view();
  const Status too_large = ResourceExhaustedError("a string tensor exceeds the limit of 2147483647 bytes");
  EXPECT_EQ(ConcatenateRows({&part, 1}, 2048, 0).status(), too_large);
  EXPECT_EQ(ConcatenateRows(std::vector(2048, part), 2048, 0).status(), too_large);
  EXPECT_FALSE(ConcatenateRows({&part, 1}, int64_t{1} << 40, 0).ok());
}

}  // namespace
}  // namespace tflite_serving
