// Made-up inputs, to run a model with before any request has come.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/model_graph.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// What to try for dimensions that requests choose, in this order. For pictures and spectra whose sides are open: convolutions without padding and
// pooling need some length, and strides a power of two.
inline constexpr std::array<int64_t, 3> kOpenDims = {1, 32, 256};

// One tensor for each input of the signature, all zeros (strings: empty, or the smallest Example that the graph can parse), with `open_dim` for
// dimensions that requests choose.
StatusOr<std::vector<Tensor>> ZeroInputs(const GraphSignature& graph, int64_t open_dim);

// The same with random content that nearly any model can digest: numbers as a normalised picture or text index has them, a few letters, one
// of `words`, or Examples of such. Indices stay 0 or 1, since a model may look them up in a table of unknown length. Where the first dimension is
// open it is `open_rows`.
StatusOr<std::vector<Tensor>> RandomInputs(const GraphSignature& graph, std::span<const std::string> words, int64_t open_rows, int64_t open_dim,
                                           std::mt19937& random);

std::vector<TensorView> ViewsOf(const std::vector<Tensor>& tensors);

}  // namespace tflite_serving
