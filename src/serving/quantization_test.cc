#include "serving/quantization.h"

#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using testing::ElementsAre;

template <class T>
Tensor TensorOf(DType dtype, const std::vector<T>& values) {
  Tensor tensor = *Tensor::Create(dtype, Shape({static_cast<int64_t>(values.size())}));
  std::memcpy(tensor.bytes().data(), values.data(), tensor.bytes().size());
  return tensor;
}

template <class T>
std::vector<T> ValuesOf(const TensorView& tensor) {
  const auto values = tensor.values<T>();
  return {values.begin(), values.end()};
}

// x -> y, both of this type, scale 0.5 and zero point 3.
Signature QuantizedSignature(DType dtype) {
  Signature signature = IdentitySignature(dtype, {-1});
  signature.inputs[0].quantization = signature.outputs[0].quantization = {.scale = 0.5, .zero_point = 3};
  return signature;
}

// Of one request that asked for floats.
SignatureView Floats(const Signature& signature) {
  SignatureView view;
  view.Begin(true);
  view.See(&signature);
  return view;
}

TEST(QuantizationTest, OnlyQuantisedTypesBecomeFloat) {
  const Signature quantized = QuantizedSignature(DType::kInt8);
  SignatureView view;
  view.Begin(true);
  EXPECT_EQ(view.See(&quantized)->inputs[0].dtype, DType::kFloat);
  EXPECT_EQ(view.See(&quantized)->outputs[0].dtype, DType::kFloat);
  EXPECT_EQ(view.own(), &quantized);
  const Signature no_scale = IdentitySignature(DType::kInt8, {-1});
  EXPECT_EQ(view.See(&no_scale)->inputs[0].dtype, DType::kInt8);
  const Signature other_type = QuantizedSignature(DType::kInt32);
  EXPECT_EQ(view.See(&other_type)->inputs[0].dtype, DType::kInt32);
}

TEST(QuantizationTest, WhoDoesNotAskSeesTheModelAsItIs) {
  const Signature quantized = QuantizedSignature(DType::kInt8);
  SignatureView view = Floats(quantized);
  view.Begin(false);
  EXPECT_EQ(view.See(&quantized), &quantized);
  std::vector<Tensor> inputs;
  inputs.push_back(TensorOf<float>(DType::kFloat, {1}));
  ASSERT_TRUE(view.QuantizeInputs(inputs).ok());
  EXPECT_EQ(inputs[0].dtype(), DType::kFloat);
  const Tensor output = TensorOf<int8_t>(DType::kInt8, {1});
  const TensorView outputs[] = {output.view()};
  EXPECT_EQ(view.DequantizeOutputs(outputs).data(), outputs);
}

TEST(QuantizationTest, TensorsOfAnotherSignatureAreLeftAlone) {
  const Signature signature = QuantizedSignature(DType::kInt8);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 3; ++i) inputs.push_back(TensorOf<float>(DType::kFloat, {1}));
  EXPECT_TRUE(Floats(signature).QuantizeInputs(inputs).ok());
  EXPECT_EQ(inputs[0].dtype(), DType::kFloat);
}

TEST(QuantizationTest, LargeOutputsAreNotKept) {
  const Signature signature = QuantizedSignature(DType::kInt8);
  const Tensor output = TensorOf<int8_t>(DType::kInt8, std::vector<int8_t>(1000));
  const TensorView outputs[] = {output.view()};
  SignatureView view = Floats(signature);
  const void* const memory = view.DequantizeOutputs(outputs)[0].bytes.data();
  view.Trim(4000);
  EXPECT_EQ(view.DequantizeOutputs(outputs)[0].bytes.data(), memory);
  view.Trim(3999);
  EXPECT_EQ(view.DequantizeOutputs(outputs)[0].bytes.size(), 4000U);
}

TEST(QuantizationTest, InputsAreRoundedToTheNearestAndClamped) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Signature signature = QuantizedSignature(DType::kInt8);
  std::vector<Tensor> inputs;
  inputs.push_back(TensorOf<float>(DType::kFloat, {0, 1, -1, 0.25, -0.25, 0.2F, 1e30F, -1e30F, kInfinity, std::numeric_limits<float>::quiet_NaN()}));
  ASSERT_TRUE(Floats(signature).QuantizeInputs(inputs).ok());
  EXPECT_EQ(inputs[0].dtype(), DType::kInt8);
  EXPECT_THAT(ValuesOf<int8_t>(inputs[0].view()), ElementsAre(3, 5, 1, 4, 2, 3, 127, -128, 127, 3));
}

TEST(QuantizationTest, EachTypeHasItsRange) {
  const Signature bytes = QuantizedSignature(DType::kUint8);
  std::vector<Tensor> inputs;
  inputs.push_back(TensorOf<float>(DType::kFloat, {-1e6, 1e6}));
  ASSERT_TRUE(Floats(bytes).QuantizeInputs(inputs).ok());
  EXPECT_THAT(ValuesOf<uint8_t>(inputs[0].view()), ElementsAre(0, 255));
  const Signature shorts = QuantizedSignature(DType::kInt16);
  inputs[0] = TensorOf<float>(DType::kFloat, {-1e6, 1e6});
  ASSERT_TRUE(Floats(shorts).QuantizeInputs(inputs).ok());
  EXPECT_THAT(ValuesOf<int16_t>(inputs[0].view()), ElementsAre(-32768, 32767));
}

TEST(QuantizationTest, IntegersOfTheClientStayAsTheyAre) {
  const Signature signature = QuantizedSignature(DType::kInt8);
  std::vector<Tensor> inputs;
  inputs.push_back(TensorOf<int8_t>(DType::kInt8, {-128, 0, 127}));
  ASSERT_TRUE(Floats(signature).QuantizeInputs(inputs).ok());
  EXPECT_THAT(ValuesOf<int8_t>(inputs[0].view()), ElementsAre(-128, 0, 127));
}

TEST(QuantizationTest, OutputsBecomeWhatTheyStandFor) {
  Signature signature = QuantizedSignature(DType::kUint8);
  signature.outputs.push_back({"plain", "plain:0", DType::kUint8, {-1}});
  const Tensor quantized = TensorOf<uint8_t>(DType::kUint8, {0, 3, 255});
  const TensorView outputs[] = {quantized.view(), quantized.view()};
  SignatureView view = Floats(signature);
  const std::span<const TensorView> seen = view.DequantizeOutputs(outputs);
  EXPECT_EQ(seen[0].dtype, DType::kFloat);
  EXPECT_THAT(ValuesOf<float>(seen[0]), ElementsAre(-1.5F, 0, 126));
  EXPECT_THAT(ValuesOf<uint8_t>(seen[1]), ElementsAre(0, 3, 255));
}

}  // namespace
}  // namespace tflite_serving
