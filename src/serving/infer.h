// Classify and Regress, as every protocol means them: Examples to the inputs of a signature, a run, and its outputs to classes or numbers.
#pragma once

#include <functional>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "example/serialized_examples.h"
#include "servable/inference_result.h"
#include "servable/servable.h"

namespace tflite_serving {

// Whether `signature` can be asked this way: CheckClassifySignature or CheckRegressSignature, and before it, if `check_method_name`
// (--enable_signature_method_name_check), that its method is this one. INVALID_ARGUMENT otherwise.
Status CheckInferSignature(InferenceMethod method, const Signature& signature, bool check_method_name);

// The signature of that name ("" means the default one), if CheckInferSignature accepts it. INVALID_ARGUMENT `No signature was found with the name:
// S`.
StatusOr<const Signature*> FindInferSignature(InferenceMethod method, std::span<const Signature> signatures, std::string_view name,
                                              bool check_method_name);

// All of it is borrowed, and must stay alive until `done` has been called.
struct InferCall {
  InferenceMethod method;
  Servable& servable;
  const Signature& signature;  // one of the servable's, which CheckInferSignature has accepted
  const SerializedExamples& examples;
  std::vector<Tensor>& inputs;     // working memory
  std::vector<TensorView>& views;  // working memory
  TimePoint deadline = kNoDeadline;
  const Cancellation* cancellation = nullptr;
  RunTimeline* times = nullptr;  // null: nobody asks
};

// The end of an inference: its status and, if that is OK, its result, whose labels are valid only until the callback returns: write the reply inside.
using InferDone = std::function<void(const Status& status, const InferenceResult& result)>;

// Calls `done` exactly once, here or later on another thread. Errors: ExamplesToInputs, Predict, ToClassifications and ToRegressions.
void Infer(const InferCall& call, const Clock& clock, InferDone done);

}  // namespace tflite_serving
