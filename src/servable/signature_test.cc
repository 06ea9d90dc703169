#include "servable/signature.h"

#include <array>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

Signature OneInput(DType dtype, Shape shape) {
  Signature signature;
  signature.key = "serving_default";
  signature.inputs.push_back({"x", "x:0", dtype, shape});
  return signature;
}

Status Check(const Signature& signature, DType dtype, Shape shape, size_t bytes) {
  static const std::array<std::byte, 4096> memory{};
  TensorView view{dtype, shape, std::span(memory).first(bytes)};
  return CheckInputs(signature, {&view, 1});
}

TEST(CheckInputsTest, NamesTheInputAndBothValues) {
  const Signature signature = OneInput(DType::kFloat, {-1, 4});
  EXPECT_TRUE(Check(signature, DType::kFloat, {2, 4}, 32).ok());
  EXPECT_EQ(Check(signature, DType::kInt64, {2, 3}, 48).message(), "input \"x\": expected float[?,4], got int64[2,3]");
  EXPECT_EQ(Check(signature, DType::kFloat, {2, 3}, 24).code(), StatusCode::kInvalidArgument);
}

TEST(CheckInputsTest, SameByteCountOfAnotherTypeIsRefused) {
  EXPECT_EQ(Check(OneInput(DType::kFloat, {-1}), DType::kInt32, {4}, 16).message(), "input \"x\": expected float[?], got int32[4]");
}

TEST(CheckInputsTest, TheBytesMustBeThere) {
  EXPECT_EQ(Check(OneInput(DType::kFloat, {-1}), DType::kFloat, {4}, 12).message(), "input \"x\": float[4] needs 16 bytes, got 12");
  EXPECT_FALSE(Check(OneInput(DType::kFloat, {-1}), DType::kFloat, {int64_t{1} << 40}, 12).ok());
  EXPECT_FALSE(Check(OneInput(DType::kString, {-1}), DType::kString, {2}, 7).ok());
}

TEST(CheckInputsTest, LowerRankIsFitted) {
  const Signature signature = OneInput(DType::kFloat, {1, 1});
  const float one = 1;
  TensorView view{DType::kFloat, {1}, std::as_bytes(std::span(&one, 1))};
  ASSERT_TRUE(CheckInputs(signature, {&view, 1}).ok());
  EXPECT_EQ(view.shape, Shape({1, 1}));
}

TEST(CheckInputsTest, AFreeBatchOfOneTakesAnyEqualNumberOfRows) {
  Signature signature = OneInput(DType::kUint8, {1, 2});
  EXPECT_FALSE(Check(signature, DType::kUint8, {3, 2}, 6).ok());
  signature.batch_of_one_is_free = true;
  EXPECT_TRUE(Check(signature, DType::kUint8, {3, 2}, 6).ok());

  signature.inputs.push_back({"y", "y:0", DType::kUint8, {1}});
  const std::array<std::byte, 6> memory{};
  std::array<TensorView, 2> views = {TensorView{DType::kUint8, {3, 2}, memory}, TensorView{DType::kUint8, {2}, std::span(memory).first(2)}};
  EXPECT_EQ(CheckInputs(signature, views).message(), "input \"x\" has 3 rows, input \"y\" has 2");
}

TEST(FindSignatureTest, AnEmptyKeyIsTheDefault) {
  std::vector<Signature> signatures(2);
  signatures[0].key = "other";
  signatures[1].key = "serving_default";
  EXPECT_EQ(FindSignature(signatures, ""), &signatures[1]);
  EXPECT_EQ(FindSignature(signatures, "other"), &signatures[0]);
  EXPECT_EQ(FindSignature(signatures, "none"), nullptr);
}

TEST(SignatureTest, AsText) {
  const Signature signature{.key = "s",
                            .inputs = {{.name = "a", .dtype = DType::kFloat, .shape = {-1, 4}}, {.name = "b", .dtype = DType::kInt8, .shape = {}}},
                            .outputs = {{.name = "y", .dtype = DType::kString, .shape = {-1}}}};
  EXPECT_EQ(signature.ToString(), "s: a float[?,4], b int8[] -> y string[?]");
}

}  // namespace
}  // namespace tflite_serving
