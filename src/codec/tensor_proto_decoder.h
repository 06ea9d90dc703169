// A serialized tensorflow.TensorProto -> Tensor, without a protobuf object in between.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "tensor/tensor.h"
#include "wire/message_reader.h"

namespace tflite_serving {

// A tensor whose message holds fewer values than elements (the last one is repeated) may have this size, so that a request of a few bytes cannot
// demand gigabytes.
inline constexpr size_t kMaxFilledTensorBytes = size_t{64} << 20;

// Where requests have their elements.
struct BorrowedContents {
  std::span<const std::byte> largest;  // tensor_content that was, or with another alignment could have been, borrowed
};

// Decodes as TensorFlow's Tensor::FromProto does:
//  - a tensor_content that is not empty wins over the values, and must have exactly the bytes of the elements (strings: their lengths as varints,
//  then
//    all of their bytes);
//  - else the values count: those behind the last element are ignored, and the last one is repeated when there are too few; none at all means zeros
//    (empty strings, false);
//  - integers are cut to the element type modulo 2^n; any non-zero bool is true; values in the field of another type are ignored;
//  - numbers may be packed or not, and fields come in any order; a message without a shape is a scalar.
// Elements are copied at most once, from the pieces of the request into the tensor's aligned memory.
//
// INVALID_ARGUMENT, with the reason, for a message that is cut off, an unknown or missing dtype, an unknown rank, more than Shape::kMaxRank or
// negative dimensions, more than kMaxTensorBytes, and for what kMaxFilledTensorBytes forbids; RESOURCE_EXHAUSTED if memory is short.
//
// `memory` is used for a tensor of numbers, if it is large enough. With `contents`, a tensor_content that lies in one piece is borrowed where
// Tensor::CanBorrow allows it, so the pieces must fulfil what Tensor::Borrow asks for.
StatusOr<Tensor> DecodeTensorProto(const WireRange& message, AlignedBuffer memory = {}, BorrowedContents* contents = nullptr);

}  // namespace tflite_serving
