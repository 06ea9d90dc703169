// Rows of several tensors in one, and of one in several. A row is what one index of the first dimension selects. Elements of fixed size alone.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// The rows of all `parts`, which are of one type and rank >= 1, one after the other, followed by copies of the last part's first row until there are
// `rows`. Parts that are smaller in another dimension than the largest are filled up there, at the end, with `pad_value` as their type has it.
// Errors: those of Tensor::Create. Requires at least one part, one row in each, and no more rows than `rows`.
StatusOr<Tensor> ConcatenateRows(std::span<const TensorView> parts, int64_t rows, double pad_value);

// Some rows of a tensor, where they are. Requires them to be there.
TensorView SliceRows(const TensorView& tensor, int64_t first, int64_t rows);

}  // namespace tflite_serving
