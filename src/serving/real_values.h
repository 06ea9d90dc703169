// The real numbers that a tensor's elements stand for: floating-point ones are themselves, those of a quantised tensor (q - zero_point) * scale.
// All functions are thread-safe.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Whether the tensor has floating-point elements, or integers with a scale.
bool HasRealValues(const TensorSpec& spec);

// The elements of `tensor` as floats; requires HasRealValues. The result lies in `memory`, or, where they are floats already, in the tensor.
std::span<const float> RealValues(const TensorSpec& spec, const TensorView& tensor, std::vector<float>& memory);

// The smallest and largest real number that a quantised tensor of Integers can hold.
template <typename Integer>
double SmallestQuantized(const Quantization& quantization) {
  return static_cast<double>(std::numeric_limits<Integer>::min() - quantization.zero_point) * static_cast<double>(quantization.scale);
}
template <typename Integer>
double LargestQuantized(const Quantization& quantization) {
  return static_cast<double>(std::numeric_limits<Integer>::max() - quantization.zero_point) * static_cast<double>(quantization.scale);
}

// The nearest number that `Integer` can stand for, half away from zero as TFLite's QUANTIZE rounds; what lies outside becomes the end of the range.
// Requires that `value` is not NaN.
template <typename Integer>
Integer Quantize(const Quantization& quantization, double value) {
  if (value <= SmallestQuantized<Integer>(quantization)) return std::numeric_limits<Integer>::min();
  if (value >= LargestQuantized<Integer>(quantization)) return std::numeric_limits<Integer>::max();
  return static_cast<Integer>(std::llround(value / static_cast<double>(quantization.scale)) + quantization.zero_point);
}

}  // namespace tflite_serving
