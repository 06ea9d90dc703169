// Requests and responses as messages of the original's logs, whatever form they came in.
#pragma once

#include <span>

#include "base/status.h"
#include "example/serialized_examples.h"
#include "servable/inference_result.h"
#include "servable/model_spec.h"
#include "servable/signature.h"
#include "tensor/tensor.h"
#include "tensorflow_serving/apis/inference.pb.h"
#include "tensorflow_serving/apis/prediction_log.pb.h"

namespace tflite_serving {

// What was run: `inputs` and `outputs`, one for each of the signature's, in its order. Errors: TensorProtoEncoder's.
StatusOr<tensorflow::serving::PredictionLog> PredictLogOf(const ServableId& servable, const Signature& signature, std::span<const TensorView> inputs,
                                                          std::span<const TensorView> outputs);

// A context that the examples had in common is in each of them. DATA_LOSS for examples that are none.
StatusOr<tensorflow::serving::PredictionLog> InferLogOf(const ServableId& servable, const Signature& signature, const SerializedExamples& examples,
                                                        const InferenceResult& result);

// The result as the messages of gRPC have it.
void FillResult(const InferenceResult& result, tensorflow::serving::InferenceResult& out);

}  // namespace tflite_serving
