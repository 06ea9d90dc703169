// tf.Examples to the input tensors of a signature, which takes them in one of two ways:
//
//   serialized  its only input is a string tensor named "inputs": the Examples are fed as they are, as TensorFlow Serving does, and the model parses
//               them itself
//   dense       any other signature: each input gets the feature of its name, one row for each Example. (TensorFlow Serving refuses such models.)
//
// How the feature of one Example becomes a row of a dense input:
//
//   bool                            int64, 0 or 1
//   integers                        int64, within the type's range
//   float, double, half, bfloat16   float; or int64, since a JSON client that writes 6 for 6.0 sends that
//   quantised integers              float or int64, as the real numbers that the model was made for (raw integers are Predict's): a float outside of
//   the
//                                   range becomes its end, an int64 there is refused, since it is most likely meant raw
//   string                          bytes
//
// An Example must have as many values as the row has elements. One dimension of a row may be open: all Examples then agree with the first.
#pragma once

#include <vector>

#include "base/status.h"
#include "example/serialized_examples.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// The input of signatures that take serialized Examples.
inline constexpr std::string_view kExamplesInputName = "inputs";

bool TakesSerializedExamples(const Signature& signature);

// Sets `inputs`, whose memory is reused, to one tensor for each input of the signature, in its order; CheckInputs is still to be asked. Thread-safe.
//
// INVALID_ARGUMENT `Input is empty.` without any Example; `feature "x" of example 1: expected 4 values, got 3`, or kind, or range; for an input whose
// shape has no place for Examples. RESOURCE_EXHAUSTED beyond kMaxTensorBytes.
Status ExamplesToInputs(const Signature& signature, const SerializedExamples& examples, std::vector<Tensor>& inputs);

}  // namespace tflite_serving
