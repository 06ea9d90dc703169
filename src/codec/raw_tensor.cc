#include "codec/raw_tensor.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

int64_t NumOpen(const Shape& shape) { return std::ranges::count(shape.dims(), -1); }

// `expected` with the dimension that is open, if one is, chosen so that the tensor has `size` bytes.
StatusOr<Shape> ShapeOfBytes(const TensorSpec& input, const Shape& expected, size_t size) {
  Shape shape = expected;
  int open = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != -1) continue;
    open = i;
    shape.set(i, 1);
  }
  TFLS_ASSIGN_OR_RETURN(const size_t unit, TensorSizeBytes(input.dtype, shape));
  const bool fits = open < 0 ? size == unit : unit > 0 && size % unit == 0;
  if (!fits) {
    return InvalidArgumentError(fmt::format("input \"{}\": a body for {}{} has {}{} bytes, got {}", input.name, DTypeName(input.dtype),
                                            expected.ToString(), open < 0 ? "" : "a multiple of ", unit, size));
  }
  if (open >= 0) shape.set(open, static_cast<int64_t>(size / unit));
  return shape;
}

// The only element of a tensor of strings.
Status MakeString(const TensorSpec& input, Shape shape, std::span<const std::byte> text, Tensor& tensor) {
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1) shape.set(i, 1);
  }
  if (shape.NumElements() != 1) {
    return InvalidArgumentError(fmt::format("input \"{}\": a raw body is one string, expected string{}", input.name, shape.ToString()));
  }
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(1));
  TFLS_RETURN_IF_ERROR(builder.Add({reinterpret_cast<const char*>(text.data()), text.size()}));
  tensor = Tensor(DType::kString, shape, builder.Finish());
  return OkStatus();
}

}  // namespace

Status TakeElements(DType dtype, const Shape& shape, std::span<const std::byte> elements, Tensor& tensor) {
  AlignedBuffer buffer = std::move(tensor).ReleaseBuffer();
  if (Tensor::CanBorrow(dtype, elements)) {
    tensor = Tensor::Borrow(dtype, shape, elements, std::move(buffer));
    return OkStatus();
  }
  // Nothing of it is worth keeping: without this, growing would copy it.
  if (!buffer.Resize(0) || !buffer.Resize(elements.size())) {
    return ResourceExhaustedError(fmt::format("no memory for a tensor of {} bytes", elements.size()));
  }
  if (dtype == DType::kBool) {
    std::ranges::transform(elements, buffer.data(), [](std::byte value) { return value == std::byte{0} ? value : std::byte{1}; });
  } else {
    std::ranges::copy(elements, buffer.data());
  }
  tensor = Tensor(dtype, shape, std::move(buffer));
  return OkStatus();
}

Status DecodeRawTensor(const Signature& signature, size_t i, std::span<const std::byte> body, Tensor& tensor) {
  const TensorSpec& input = signature.inputs[i];
  // Where the batch is free although the file fixes it, that is one dimension more; it is given up if the bytes have to tell another.
  const Shape request_shape = signature.RequestShape(i);
  const Shape& expected = NumOpen(request_shape) > 1 ? input.shape : request_shape;
  if (input.dtype == DType::kString) return MakeString(input, expected, body, tensor);
  if (NumOpen(expected) > 1) {
    return InvalidArgumentError(fmt::format("input \"{}\": the bytes of a raw body cannot tell the shape of {}; send it as .npy or TensorProto",
                                            input.name, input.ToString()));
  }
  TFLS_ASSIGN_OR_RETURN(const Shape shape, ShapeOfBytes(input, expected, body.size()));
  return TakeElements(input.dtype, shape, body, tensor);
}

StatusOr<std::span<const std::byte>> RawBytes(const TensorSpec& output, const TensorView& tensor) {
  if (tensor.dtype != DType::kString) return tensor.bytes;
  if (tensor.shape.NumElements() != 1) {
    return InvalidArgumentError(fmt::format("output \"{}\": a raw body holds one string, got string{}", output.name, tensor.shape.ToString()));
  }
  return std::as_bytes(std::span(tensor.StringAt(0)));
}

}  // namespace tflite_serving
