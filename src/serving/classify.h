// Classify: what a signature must have to be asked for classes, and its outputs as classes. Messages and rules are TensorFlow Serving's
// (classifier.cc); what is accepted beyond them is marked [ours]. All functions are thread-safe.
//
//   classes   optional: the output "classes", strings [examples, classes]
//   scores    optional if there are classes: the output "scores", float [examples, classes]; [ours] or the only output, whatever its name; [ours] or
//   of
//             any element type with real values, quantised ones among them
//
// Without an output "classes" the labels are those in the model's TFLite metadata (TensorSpec::class_labels) [ours], or empty.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "servable/inference_result.h"
#include "servable/signature.h"

namespace tflite_serving {

// INVALID_ARGUMENT if the signature cannot be classified with.
Status CheckClassifySignature(const Signature& signature);

// Requires that CheckClassifySignature accepted the signature. The labels lie in `outputs` and in `signature`.
// INVALID_ARGUMENT when the outputs have not one row for each of the examples, or do not fit each other; RESOURCE_EXHAUSTED beyond kMaxClassScores.
StatusOr<Classifications> ToClassifications(const Signature& signature, std::span<const TensorView> outputs, size_t num_examples);

}  // namespace tflite_serving
