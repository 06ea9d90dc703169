// Tensors whose elements come as they lie in memory: little-endian, row-major, without gaps. All functions are thread-safe.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Makes `tensor`, whose memory is reused, borrow `elements` where Tensor::CanBorrow allows it and else a copy of them. They have exactly the bytes
// that a shape of this type wants (never strings), and fulfil what Tensor::Borrow asks for. RESOURCE_EXHAUSTED when there is no memory.
Status TakeElements(DType dtype, const Shape& shape, std::span<const std::byte> elements, Tensor& tensor);

// `body`, taken as by TakeElements, as the tensor of the signature's input `i`. Its shape is the input's; one dimension that requests choose follows
// from the number of bytes. For an input of strings the body is one string, such as a compressed image. INVALID_ARGUMENT when the bytes do not fit or
// do not tell the shape: `input "x": a body for float[?,4] has a multiple of 16 bytes, got 17`.
Status DecodeRawTensor(const Signature& signature, size_t i, std::span<const std::byte> body, Tensor& tensor);

// What a raw body holds of an output: its elements, or its only string. INVALID_ARGUMENT for several strings.
StatusOr<std::span<const std::byte>> RawBytes(const TensorSpec& output, const TensorView& tensor);

}  // namespace tflite_serving
