#include "serving/real_values.h"

#include "tensor/half.h"

namespace tflite_serving {
namespace {

template <typename Element, typename Convert>
std::span<const float> ConvertAll(const TensorView& tensor, std::vector<float>& memory, Convert convert) {
  memory.clear();
  memory.reserve(tensor.values<Element>().size());
  for (const Element element : tensor.values<Element>()) memory.push_back(convert(element));
  return memory;
}

template <typename Integer>
std::span<const float> Dequantize(const Quantization& quantization, const TensorView& tensor, std::vector<float>& memory) {
  return ConvertAll<Integer>(tensor, memory, [&](Integer element) {
    return static_cast<float>(static_cast<double>(element - quantization.zero_point) * static_cast<double>(quantization.scale));
  });
}

}  // namespace

bool HasRealValues(const TensorSpec& spec) {
  switch (spec.dtype) {
    case DType::kFloat:
    case DType::kDouble:
    case DType::kHalf:
    case DType::kBfloat16:
      return true;
    case DType::kInt8:
    case DType::kUint8:
    case DType::kInt16:
      return spec.quantization.has_value();
    default:
      return false;
  }
}

std::span<const float> RealValues(const TensorSpec& spec, const TensorView& tensor, std::vector<float>& memory) {
  switch (spec.dtype) {
    case DType::kDouble:
      return ConvertAll<double>(tensor, memory, [](double value) { return static_cast<float>(value); });
    case DType::kHalf:
      return ConvertAll<uint16_t>(tensor, memory, FloatFromHalf);
    case DType::kBfloat16:
      return ConvertAll<uint16_t>(tensor, memory, FloatFromBfloat16);
    case DType::kInt8:
      return Dequantize<int8_t>(*spec.quantization, tensor, memory);
    case DType::kUint8:
      return Dequantize<uint8_t>(*spec.quantization, tensor, memory);
    case DType::kInt16:
      return Dequantize<int16_t>(*spec.quantization, tensor, memory);
    default:
      return tensor.values<float>();
  }
}

}  // namespace tflite_serving
