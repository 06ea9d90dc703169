// The body of a REST classify or regress request to tf.Examples, and results to the body of its response.
//
//   {"signature_name": "s", "context": {"unit": "m"}, "examples": [{"age": 3, "height": [1.5, 2.5]}, {"age": 4, "height": 1.0}]}
//
// An example is an object of features, each a value or a flat list of values of one kind: integers and booleans (1 and 0) are int64, other numbers
// float, strings and {"b64": "…"} bytes. The features of the context hold for every example that does not have them itself. Rules and messages are
// TensorFlow Serving's (json_tensor.cc). All functions are thread-safe.
#pragma once

#include <span>
#include <string>

#include "base/status.h"
#include "example/serialized_examples.h"
#include "servable/inference_result.h"

namespace tflite_serving {

// Decodes `body`, behind which kJsonPaddingBytes zero bytes must be readable. The examples' memory is reused. What is wrong is reported in this order
// whatever its place: syntax, signature_name, context, examples. INVALID_ARGUMENT for all of it; SerializedExamples::Add's errors.
Status DecodeJsonExamples(std::span<const char> body, std::string& signature_name, SerializedExamples& examples);

// Replaces `out`, whose memory is reused, compactly: classes as {"results":[[["label",0.5],…],…]}, numbers as {"results":[3.5,4.0]}.
void EncodeJsonResults(const InferenceResult& result, std::string& out);

}  // namespace tflite_serving
