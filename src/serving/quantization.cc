#include "serving/quantization.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace tflite_serving {
namespace {

// Calls `convert` with a value of the integer type of `dtype`.
template <class Convert>
void WithInteger(DType dtype, const Convert& convert) {
  switch (dtype) {
    case DType::kInt8:
      return convert(int8_t{});
    case DType::kUint8:
      return convert(uint8_t{});
    case DType::kInt16:
      return convert(int16_t{});
    default:
      return;  // IsQuantized
  }
}

template <class Integer>
Integer Quantize(float value, const Quantization& quantization) {
  if (std::isnan(value)) value = 0;
  const float shifted = std::round(value / quantization.scale) + static_cast<float>(quantization.zero_point);
  return static_cast<Integer>(
      std::clamp(shifted, static_cast<float>(std::numeric_limits<Integer>::min()), static_cast<float>(std::numeric_limits<Integer>::max())));
}

template <class Integer>
float Dequantize(Integer value, const Quantization& quantization) {
  return quantization.scale * static_cast<float>(value - quantization.zero_point);
}

}  // namespace

bool IsQuantized(const TensorSpec& spec) {
  return spec.quantization && (spec.dtype == DType::kInt8 || spec.dtype == DType::kUint8 || spec.dtype == DType::kInt16);
}

Signature DequantizedSignature(const Signature& signature) {
  Signature dequantized = signature;
  for (std::vector<TensorSpec>* specs : {&dequantized.inputs, &dequantized.outputs}) {
    for (TensorSpec& spec : *specs) {
      if (IsQuantized(spec)) spec.dtype = DType::kFloat;
    }
  }
  return dequantized;
}

Status QuantizeInputs(const Signature& signature, std::span<Tensor> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    if (!IsQuantized(spec) || inputs[i].dtype() != DType::kFloat) continue;
    TFLS_ASSIGN_OR_RETURN(Tensor quantized, Tensor::Create(spec.dtype, inputs[i].shape()));
    WithInteger(spec.dtype, [&](auto integer) {
      using Integer = decltype(integer);
      std::ranges::transform(inputs[i].view().values<float>(), reinterpret_cast<Integer*>(quantized.bytes().data()),
                             [&](float value) { return Quantize<Integer>(value, *spec.quantization); });
    });
    inputs[i] = std::move(quantized);
  }
  return OkStatus();
}

Status DequantizeOutputs(const Signature& signature, std::span<const TensorView> outputs, std::vector<Tensor>& memory,
                         std::vector<TensorView>& views) {
  memory.clear();
  views.assign(outputs.begin(), outputs.end());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = signature.outputs[i];
    if (!IsQuantized(spec) || outputs[i].dtype != spec.dtype) continue;
    TFLS_ASSIGN_OR_RETURN(Tensor dequantized, Tensor::Create(DType::kFloat, outputs[i].shape));
    WithInteger(spec.dtype, [&](auto integer) {
      using Integer = decltype(integer);
      std::ranges::transform(outputs[i].values<Integer>(), reinterpret_cast<float*>(dequantized.bytes().data()),
                             [&](Integer value) { return Dequantize(value, *spec.quantization); });
    });
    memory.push_back(std::move(dequantized));
    views[i] = memory.back().view();
  }
  return OkStatus();
}

}  // namespace tflite_serving
