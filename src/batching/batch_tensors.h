// Rows of several tensors in one, and of one in several. A row is what one index of the first dimension selects.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// The rows of all `parts`, which are of one type and rank >= 1, one after the other, followed by copies of the last part's first row until there are
// `rows`. Parts that are smaller in another dimension than the largest are filled up there, at the end, with `pad_value` as their type has it, or
// with empty strings. Errors: those of Tensor::Create and StringTensorBuilder::Start, before anything is copied. Requires at least one part, one row
// in each, and no more rows than `rows`.
StatusOr<Tensor> ConcatenateRows(std::span<const TensorView> parts, int64_t rows, double pad_value);

// The same rows of each of the tensors, into as many `slices`: numbers where they are, strings, whose layout begins with how many they are, in
// tensors of their own that are added to `memory`. RESOURCE_EXHAUSTED when there is no memory for them. Requires the rows to be there.
Status SliceRows(std::span<const TensorView> tensors, int64_t first, int64_t rows, std::span<TensorView> slices, std::vector<Tensor>& memory);

}  // namespace tflite_serving
