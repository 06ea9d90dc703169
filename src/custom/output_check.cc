#include "custom/output_check.h"

#include <algorithm>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

bool Fits(const Shape& shape, const Shape& spec) {
  return std::ranges::equal(shape.dims(), spec.dims(), [](int64_t dim, int64_t wanted) { return wanted < 0 || dim == wanted; });
}

}  // namespace

Status CheckSpec(const Signature& signature, const TensorSpec& spec) {
  if (DTypeSize(spec.dtype) != 0 || spec.dtype == DType::kString) return OkStatus();
  return InvalidArgumentError(fmt::format("signature \"{}\": {} cannot be of type {}", signature.key, spec.name, DTypeName(spec.dtype)));
}

Status CheckOutput(const TensorSpec& spec, const TensorView& output) {
  const StatusOr<size_t> size = TensorSizeBytes(output.dtype, output.shape);
  const bool is_text = output.dtype == DType::kString;
  if (output.dtype != spec.dtype || !Fits(output.shape, spec.shape) || !size.ok() || (!is_text && *size != output.bytes.size())) {
    return InternalError(fmt::format("output \"{}\": expected {}{}, got {}{} of {} bytes", spec.name, DTypeName(spec.dtype), spec.shape.ToString(),
                                     DTypeName(output.dtype), output.shape.ToString(), output.bytes.size()));
  }
  if (!is_text) return OkStatus();
  const Status strings = ValidateStrings(output.bytes, *output.shape.NumElements());
  return strings.ok() ? strings : InternalError(fmt::format("output \"{}\": {}", spec.name, strings.message()));
}

}  // namespace tflite_serving
