#include "tensor/tensor.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(AlignedBufferTest, IsAlignedAndKeepsItsBytesWhenItGrows) {
  AlignedBuffer buffer;
  ASSERT_TRUE(buffer.Resize(3));
  std::memcpy(buffer.data(), "abc", 3);
  ASSERT_TRUE(buffer.Resize(100000));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kTensorAlignment, 0u);
  EXPECT_EQ(std::memcmp(buffer.data(), "abc", 3), 0);
  AlignedBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.size(), 100000u);
}

TEST(AlignedBufferTest, SaysWhenThereIsNoMemory) {
  AlignedBuffer buffer;
  ASSERT_TRUE(buffer.Resize(8));
  EXPECT_FALSE(buffer.Resize(size_t{1} << 60));
  EXPECT_EQ(buffer.size(), 8u);
}

TEST(TensorTest, SizeIsCheckedBeforeAnythingIsAllocated) {
  EXPECT_EQ(*TensorSizeBytes(DType::kInt64, {2, 3}), 48u);
  EXPECT_EQ(*TensorSizeBytes(DType::kFloat, {}), 4u);
  EXPECT_FALSE(TensorSizeBytes(DType::kFloat, {int64_t{1} << 40}).ok());
  EXPECT_FALSE(TensorSizeBytes(DType::kFloat, {-1}).ok());
  EXPECT_FALSE(TensorSizeBytes(DType::kInvalid, {1}).ok());
  EXPECT_FALSE(Tensor::Create(DType::kUint8, {1 << 20, 1 << 20}).ok());
}

TEST(TensorTest, BorrowsNumbersThatLieWellAndAreMany) {
  AlignedBuffer memory;
  ASSERT_TRUE(memory.Resize(2 * kMinBorrowedBytes));
  const std::span<const std::byte> elements = std::span<const std::byte>(memory.bytes()).first(kMinBorrowedBytes);
  EXPECT_TRUE(Tensor::CanBorrow(DType::kInt8, elements));
  EXPECT_FALSE(Tensor::CanBorrow(DType::kString, elements));
  EXPECT_FALSE(Tensor::CanBorrow(DType::kBool, elements));
  EXPECT_FALSE(Tensor::CanBorrow(DType::kInt8, elements.first(kMinBorrowedBytes - 1)));
  EXPECT_FALSE(Tensor::CanBorrow(DType::kInt8, std::span<const std::byte>(memory.bytes()).subspan(1, kMinBorrowedBytes)));

  AlignedBuffer own;
  ASSERT_TRUE(own.Resize(100));
  const std::byte* const kept = own.data();
  Tensor tensor = Tensor::Borrow(DType::kInt8, Shape({static_cast<int64_t>(kMinBorrowedBytes)}), elements, std::move(own));
  EXPECT_EQ(tensor.view().bytes.data(), elements.data());
  EXPECT_EQ(tensor.view().bytes.size(), elements.size());
  EXPECT_TRUE(tensor.bytes().empty());
  EXPECT_EQ(std::move(tensor).ReleaseBuffer().data(), kept);
}

TEST(StringTensorTest, RoundTrip) {
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(4).ok());
  ASSERT_TRUE(builder.Add("one").ok());
  ASSERT_TRUE(builder.Add("").ok());
  ASSERT_TRUE(builder.Add(std::string_view("t\0o", 3)).ok());
  const Tensor tensor(DType::kString, {2, 2}, builder.Finish());
  ASSERT_TRUE(ValidateStrings(tensor.view().bytes, 4).ok());
  EXPECT_EQ(tensor.view().StringAt(0), "one");
  EXPECT_EQ(tensor.view().StringAt(1), "");
  EXPECT_EQ(tensor.view().StringAt(2), std::string_view("t\0o", 3));
  EXPECT_EQ(tensor.view().StringAt(3), "") << "strings not added are empty";
}

TEST(StringTensorTest, RunsOfAnotherTensor) {
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(3).ok());
  for (const std::string_view text : {"one", "", "three"}) ASSERT_TRUE(builder.Add(text).ok());
  const Tensor from(DType::kString, {3}, builder.Finish());
  EXPECT_EQ(from.view().StringsAt(0, 3), "onethree");
  EXPECT_EQ(from.view().StringsAt(3, 0), "");
  ASSERT_TRUE(builder.Start(7, 13).ok());
  ASSERT_TRUE(builder.AddRun(from.view(), 1, 2).ok());
  builder.AddEmpty(1);
  ASSERT_TRUE(builder.AddRun(from.view(), 3, 0).ok());
  ASSERT_TRUE(builder.AddRun(from.view(), 0, 3).ok());
  const Tensor tensor(DType::kString, {7}, builder.Finish());
  ASSERT_TRUE(ValidateStrings(tensor.view().bytes, 7).ok());
  const std::string_view expected[] = {"", "three", "", "one", "", "three", ""};
  for (int i = 0; i < 7; ++i) EXPECT_EQ(tensor.view().StringAt(i), expected[i]) << i;
}

TEST(StringTensorTest, MoreThanTheLimitIsRefusedBeforeThereIsMemoryForIt) {
  StringTensorBuilder builder;
  EXPECT_EQ(builder.Start(1, kMaxTensorBytes - 11).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(builder.Start(1, ~size_t{0}).code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(builder.Start(int64_t{1} << 29).ok());
}

TEST(StringTensorTest, ForeignLayoutsAreChecked) {
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(2).ok());
  ASSERT_TRUE(builder.Add("ab").ok());
  ASSERT_TRUE(builder.Add("cd").ok());
  const AlignedBuffer sound = builder.Finish();
  std::vector<std::byte> bytes(sound.bytes().begin(), sound.bytes().end());
  EXPECT_TRUE(ValidateStrings(bytes, 2).ok());
  EXPECT_FALSE(ValidateStrings(bytes, 1).ok());
  EXPECT_FALSE(ValidateStrings(bytes, -1).ok());
  EXPECT_FALSE(ValidateStrings(std::span(bytes).first(8), 2).ok());
  for (const int32_t wrong : {-1, 0, 15, 1000, 1 << 30}) {
    std::vector<std::byte> broken = bytes;
    std::memcpy(broken.data() + 8, &wrong, 4);  // the offset between the two strings
    EXPECT_FALSE(ValidateStrings(broken, 2).ok()) << wrong;
  }
}

}  // namespace
}  // namespace tflite_serving
