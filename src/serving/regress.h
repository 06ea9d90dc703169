// Regress: what a signature must have to be asked for one number for each example, and its output as these numbers. Messages and rules are TensorFlow
// Serving's (regressor.cc): one output, "outputs", float [examples] or [examples, 1]. Beyond them it may have any name, and any element type with
// real values, quantised ones among them. All functions are thread-safe.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "servable/inference_result.h"
#include "servable/signature.h"

namespace tflite_serving {

// INVALID_ARGUMENT if the signature cannot be regressed with.
Status CheckRegressSignature(const Signature& signature);

// Requires that CheckRegressSignature accepted the signature. INVALID_ARGUMENT when the output has not one number for each of the examples.
StatusOr<Regressions> ToRegressions(const Signature& signature, std::span<const TensorView> outputs, size_t num_examples);

}  // namespace tflite_serving
