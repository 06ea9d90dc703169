// Quantised models as their users think of them: floats in, floats out.
//
// A fully quantised model takes and gives integers that stand for real numbers, real = (q - zero_point) * scale. A client may ask to have that done
// here. It then sees the signature of DequantizedSignature; its requests are decoded against it, quantised, run, and the outputs dequantised. The
// rounding is TFLite's: to the nearest integer, halves away from zero, and what lies outside of the type's range becomes its nearest end.
//
// All functions are thread-safe.
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Whether this server converts the tensor: an int8, uint8 or int16 one with a known scale.
bool IsQuantized(const TensorSpec& spec);

// The signature with float in place of each quantised element type; nothing else changes, so inputs and outputs keep their places.
Signature DequantizedSignature(const Signature& signature);

// Replaces each float tensor whose input is quantised by its integers; not-a-number becomes the zero point. Tensors of other types stay as they are,
// so a client may still send integers. `inputs`: one for each input of `signature`, the model's own. RESOURCE_EXHAUSTED: no memory.
Status QuantizeInputs(const Signature& signature, std::span<Tensor> inputs);

// The outputs of a run (one for each of `signature`, the model's own) as the DequantizedSignature has them: `views` holds one for each, pointing into
// `memory` where it was converted. The memory of both is reused.
void DequantizeOutputs(const Signature& signature, std::span<const TensorView> outputs, std::vector<std::vector<float>>& memory,
                       std::vector<TensorView>& views);

}  // namespace tflite_serving
