// What a servable of foreign code answers, held against its signature before it is used.
#pragma once

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Whether a signature may have this tensor: of a type with elements of a fixed size, or of strings. INVALID_ARGUMENT, naming both, if not.
Status CheckSpec(const Signature& signature, const TensorSpec& spec);

// Type, shape and number of bytes; for strings the layout too. INTERNAL `output "y": expected float[?], got int32[2] of 8 bytes`.
Status CheckOutput(const TensorSpec& spec, const TensorView& output);

}  // namespace tflite_serving
