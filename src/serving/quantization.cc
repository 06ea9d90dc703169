#include "serving/quantization.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "serving/real_values.h"

namespace tflite_serving {
namespace {

bool IsQuantized(const TensorSpec& spec) {
  return spec.quantization && (spec.dtype == DType::kInt8 || spec.dtype == DType::kUint8 || spec.dtype == DType::kInt16);
}

template <class Integer>
void QuantizeAll(const Quantization& quantization, std::span<const float> values, std::span<std::byte> out) {
  std::ranges::transform(values, reinterpret_cast<Integer*>(out.data()),
                         [&](float value) { return Quantize<Integer>(quantization, std::isnan(value) ? 0 : value); });
}

}  // namespace

const Signature* SignatureView::See(const Signature* own) {
  own_ = own;
  if (!as_floats_) return own;
  seen_ = *own;
  for (std::vector<TensorSpec>* specs : {&seen_.inputs, &seen_.outputs}) {
    for (TensorSpec& spec : *specs) {
      if (IsQuantized(spec)) spec.dtype = DType::kFloat;
    }
  }
  return &seen_;
}

Status SignatureView::QuantizeInputs(std::span<Tensor> inputs) const {
  if (!as_floats_ || inputs.size() != own_->inputs.size()) return OkStatus();  // CheckInputs says what is wrong
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = own_->inputs[i];
    if (!IsQuantized(spec) || inputs[i].dtype() != DType::kFloat) continue;
    TFLS_ASSIGN_OR_RETURN(Tensor quantized, Tensor::Create(spec.dtype, inputs[i].shape()));
    const std::span<const float> values = inputs[i].view().values<float>();
    switch (spec.dtype) {
      case DType::kInt8:
        QuantizeAll<int8_t>(*spec.quantization, values, quantized.bytes());
        break;
      case DType::kUint8:
        QuantizeAll<uint8_t>(*spec.quantization, values, quantized.bytes());
        break;
      default:  // IsQuantized
        QuantizeAll<int16_t>(*spec.quantization, values, quantized.bytes());
        break;
    }
    inputs[i] = std::move(quantized);
  }
  return OkStatus();
}

std::span<const TensorView> SignatureView::DequantizeOutputs(std::span<const TensorView> outputs) {
  if (!as_floats_) return outputs;
  floats_.resize(outputs.size());
  outputs_.assign(outputs.begin(), outputs.end());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = own_->outputs[i];
    if (!IsQuantized(spec) || outputs[i].dtype != spec.dtype) continue;
    outputs_[i] = {DType::kFloat, outputs[i].shape, std::as_bytes(RealValues(spec, outputs[i], floats_[i]))};
  }
  return outputs_;
}

void SignatureView::Trim(size_t max_bytes) {
  size_t bytes = 0;
  for (const std::vector<float>& floats : floats_) bytes += floats.capacity() * sizeof(float);
  if (bytes > max_bytes) floats_ = {};
}

}  // namespace tflite_serving
