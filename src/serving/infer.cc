#include "serving/infer.h"

#include <utility>

#include <fmt/format.h>

#include "serving/classify.h"
#include "serving/example_inputs.h"
#include "serving/predict.h"
#include "serving/regress.h"

namespace tflite_serving {
namespace {

StatusOr<InferenceResult> ToResult(InferenceMethod method, const Signature& signature, std::span<const TensorView> outputs, size_t num_examples) {
  if (method == InferenceMethod::kRegress) {
    TFLS_ASSIGN_OR_RETURN(Regressions regressions, ToRegressions(signature, outputs, num_examples));
    return InferenceResult(std::move(regressions));
  }
  TFLS_ASSIGN_OR_RETURN(Classifications classifications, ToClassifications(signature, outputs, num_examples));
  return InferenceResult(std::move(classifications));
}

}  // namespace

Status CheckInferSignature(InferenceMethod method, const Signature& signature, bool check_method_name) {
  const bool classify = method == InferenceMethod::kClassify;
  const std::string_view expected = classify ? kClassifyMethodName : kRegressMethodName;
  if (check_method_name && signature.method_name != expected) {
    return InvalidArgumentError(fmt::format("Expected {} signature method_name to be {}. Was: {}", classify ? "classification" : "regression",
                                            expected, signature.method_name));
  }
  return classify ? CheckClassifySignature(signature) : CheckRegressSignature(signature);
}

StatusOr<const Signature*> FindInferSignature(InferenceMethod method, std::span<const Signature> signatures, std::string_view name,
                                              bool check_method_name) {
  const Signature* const signature = FindSignature(signatures, name);
  if (signature == nullptr) {
    return InvalidArgumentError(fmt::format("No signature was found with the name: {}", name.empty() ? kDefaultSignatureKey : name));
  }
  TFLS_RETURN_IF_ERROR(CheckInferSignature(method, *signature, check_method_name));
  return signature;
}

void Infer(const InferCall& call, const Clock& clock, InferDone done) {
  if (const Status status = ExamplesToInputs(call.signature, call.examples, call.inputs); !status.ok()) return done(status, {});
  Predict({.servable = call.servable,
           .signature = call.signature,
           .inputs = call.inputs,
           .views = call.views,
           .deadline = call.deadline,
           .cancellation = call.cancellation,
           .times = call.times},
          clock,
          [method = call.method, &signature = call.signature, num_examples = call.examples.size(), done = std::move(done)](
              const Status& status, std::span<const TensorView> outputs) {
            if (!status.ok()) return done(status, {});
            const StatusOr<InferenceResult> result = ToResult(method, signature, outputs, num_examples);
            if (!result.ok()) return done(result.status(), {});
            done(OkStatus(), *result);
          });
}

}  // namespace tflite_serving
