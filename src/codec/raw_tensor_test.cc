#include "codec/raw_tensor.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using testing::ElementsAre;

std::span<const std::byte> AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

Signature OneInput(DType dtype, const Shape& shape) {
  return {.key = "serving_default",
          .inputs = {{.name = "x", .dtype = dtype, .shape = shape}},
          .outputs = {{.name = "y", .dtype = dtype, .shape = shape}}};
}

// "[2,3]", or why not.
std::string Decode(const Signature& signature, std::string_view body) {
  Tensor tensor;
  const Status status = DecodeRawTensor(signature, 0, AsBytes(body), tensor);
  if (!status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  }
  EXPECT_EQ(tensor.dtype(), signature.inputs[0].dtype);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.view().bytes.data()) % kTensorAlignment, 0U);
  if (tensor.dtype() == DType::kString) {
    EXPECT_EQ(tensor.view().StringAt(0), body);
  } else {
    EXPECT_TRUE(std::ranges::equal(tensor.view().bytes, AsBytes(body)));
  }
  return tensor.shape().ToString();
}

TEST(RawTensorTest, TheShapeIsTheSignaturesAndTheBytesTellTheRest) {
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {1, 2}), "12345678"), "[1,2]");
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {-1, 2}), "1234567812345678"), "[2,2]");
  EXPECT_EQ(Decode(OneInput(DType::kUint8, {2, -1, 3}), "123456"), "[2,1,3]");
  EXPECT_EQ(Decode(OneInput(DType::kInt16, {}), "12"), "[]");
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {-1, 2}), ""), "[0,2]");
  Signature free = OneInput(DType::kUint8, {1, 3});
  EXPECT_EQ(Decode(free, "123456"), "input \"x\": a body for uint8[1,3] has 3 bytes, got 6");
  free.batch_of_one_is_free = true;
  EXPECT_EQ(Decode(free, "123456"), "[2,3]");
  free.inputs[0].shape = {1, -1};
  EXPECT_EQ(Decode(free, "123456"), "[1,6]") << "the batch is one where the bytes tell another dimension";
}

TEST(RawTensorTest, BytesThatDoNotFit) {
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {-1, 4}), "12345678123456781"), "input \"x\": a body for float[?,4] has a multiple of 16 bytes, got 17");
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {2}), "1234567"), "input \"x\": a body for float[2] has 8 bytes, got 7");
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {-1, 0}), "1"), "input \"x\": a body for float[?,0] has a multiple of 0 bytes, got 1");
  EXPECT_EQ(Decode(OneInput(DType::kFloat, {-1, -1}), "1234"),
            "input \"x\": the bytes of a raw body cannot tell the shape of float[?,?]; send it as .npy or TensorProto");
}

TEST(RawTensorTest, ABodyIsOneString) {
  EXPECT_EQ(Decode(OneInput(DType::kString, {-1}), "a compressed image"), "[1]");
  EXPECT_EQ(Decode(OneInput(DType::kString, {}), ""), "[]");
  EXPECT_EQ(Decode(OneInput(DType::kString, {-1, 1, -1}), "x"), "[1,1,1]");
  EXPECT_EQ(Decode(OneInput(DType::kString, {-1, 3}), "x"), "input \"x\": a raw body is one string, expected string[1,3]");
}

TEST(RawTensorTest, ElementsAreCopiedIntoTheMemoryThatIsThere) {
  Tensor tensor;
  ASSERT_TRUE(TakeElements(DType::kUint8, {4}, AsBytes("1234"), tensor).ok());
  const std::byte* const memory = tensor.view().bytes.data();
  ASSERT_TRUE(TakeElements(DType::kUint8, {2}, AsBytes("56"), tensor).ok());
  EXPECT_EQ(tensor.view().bytes.data(), memory);
  EXPECT_EQ(tensor.shape(), Shape({2}));
  ASSERT_TRUE(TakeElements(DType::kBool, {4}, AsBytes(std::string_view("\0\1\2\xff", 4)), tensor).ok());
  EXPECT_THAT(tensor.view().values<uint8_t>(), ElementsAre(0, 1, 1, 1)) << "a bool is 0 or 1 in every tensor";
}

TEST(RawTensorTest, ManyElementsStayWhereTheyLie) {
  AlignedBuffer body;
  ASSERT_TRUE(body.Resize(kMinBorrowedBytes));
  Tensor tensor;
  ASSERT_TRUE(TakeElements(DType::kInt16, {static_cast<int64_t>(kMinBorrowedBytes / 2)}, body.bytes(), tensor).ok());
  EXPECT_EQ(tensor.view().bytes.data(), body.data());
  ASSERT_TRUE(TakeElements(DType::kUint8, {2}, AsBytes("56"), tensor).ok());
  EXPECT_THAT(tensor.view().values<uint8_t>(), ElementsAre('5', '6'));
}

TEST(RawTensorTest, RawBytesOfOutputs) {
  const std::vector<float> values = {1, 2};
  const Signature numbers = OneInput(DType::kFloat, {2});
  EXPECT_EQ(RawBytes(numbers.outputs[0], {DType::kFloat, {2}, std::as_bytes(std::span(values))})->size(), 8U);

  const Signature strings = OneInput(DType::kString, {-1});
  StringTensorBuilder one;
  ASSERT_TRUE(one.Start(1).ok() && one.Add("text").ok());
  const Tensor single(DType::kString, {1}, one.Finish());
  const StatusOr<std::span<const std::byte>> text = RawBytes(strings.outputs[0], single.view());
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(std::ranges::equal(*text, AsBytes("text")));

  StringTensorBuilder two;
  ASSERT_TRUE(two.Start(2).ok());
  const Tensor several(DType::kString, {2}, two.Finish());
  EXPECT_EQ(RawBytes(strings.outputs[0], several.view()).status().message(), "output \"y\": a raw body holds one string, got string[2]");
}

}  // namespace
}  // namespace tflite_serving
