// Quantised models as their users think of them: floats in, floats out.
//
// A fully quantised model takes and gives integers that stand for real numbers, real = (q - zero_point) * scale. A client may ask to have that done
// here. It then sees a signature with float in place of each quantised element type; its request is decoded against that, quantised, run, and the
// outputs dequantised. The rounding is TFLite's: to the nearest integer, halves away from zero, and what lies outside of the type's range becomes its
// nearest end.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// How one request sees its model; used again for the next request, so that its memory is. Thread-compatible.
//
//   Begin; See, as often as the signature has to be looked up; then QuantizeInputs, and DequantizeOutputs after the run
class SignatureView {
 public:
  // `as_floats`: whether the client asked for that. Otherwise nothing is changed by any of the following.
  void Begin(bool as_floats) {
    as_floats_ = as_floats;
    own_ = nullptr;
  }

  // What the client sees of `own`, a signature of the model: valid until the next See, and as long as `*own`.
  const Signature* See(const Signature* own);
  // The model's own signature that was seen last; null before there is one.
  const Signature* own() const { return own_; }

  // Replaces each float tensor whose input is quantised by its integers; not-a-number becomes the zero point. Tensors of other types stay as they
  // are, so a client may still send integers. `inputs`: one for each input of the signature. RESOURCE_EXHAUSTED: no memory.
  Status QuantizeInputs(std::span<Tensor> inputs) const;

  // The outputs of the run (one for each of the signature) as the client sees them; valid until the next call, and as long as `outputs`.
  std::span<const TensorView> DequantizeOutputs(std::span<const TensorView> outputs);

  // Frees the memory of outputs if it is more than `max_bytes`.
  void Trim(size_t max_bytes);

 private:
  bool as_floats_ = false;
  const Signature* own_ = nullptr;
  Signature seen_;
  std::vector<std::vector<float>> floats_;  // of each output that was dequantised
  std::vector<TensorView> outputs_;
};

}  // namespace tflite_serving
