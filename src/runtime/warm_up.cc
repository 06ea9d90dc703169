#include "runtime/warm_up.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/sample_inputs.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

bool HasOpenDim(const Signature& signature) {
  return std::ranges::any_of(signature.inputs,
                             [](const TensorSpec& spec) { return std::ranges::any_of(spec.shape.dims(), [](int64_t dim) { return dim < 0; }); });
}

Status RunOnZeros(const Model& model, size_t number, int64_t open_dim, Interpreter& interpreter) {
  TFLS_ASSIGN_OR_RETURN(const std::vector<Tensor> inputs, ZeroInputs(model.graph().signatures[number], open_dim));
  const std::vector<TensorView> views = ViewsOf(inputs);
  const Status status = interpreter.Run(number, views, kNoDeadline).status();
  interpreter.Restore();
  return status;
}

Status WarmUpSignature(const Model& model, size_t number, Interpreter& interpreter) {
  const Signature& signature = model.graph().signatures[number].signature;
  const Status first = RunOnZeros(model, number, kOpenDims[0], interpreter);
  if (first.ok()) return OkStatus();
  const auto fail = [&] { return Status(first.code(), fmt::format("{}: {}", model.path(), first.message())); };
  if (first.code() == StatusCode::kUnimplemented || !HasOpenDim(signature)) return fail();
  for (size_t i = 1; i < kOpenDims.size(); ++i) {
    if (RunOnZeros(model, number, kOpenDims[i], interpreter).ok()) return OkStatus();
  }
  TFLS_WARNING("{}: signature \"{}\" could not be tried, since it runs with none of the sizes {} for its open dimensions: {}", model.path(),
               signature.key, fmt::join(kOpenDims, ", "), first.message());
  return OkStatus();
}

}  // namespace

Status WarmUp(const Model& model, Interpreter& interpreter) {
  for (size_t number = 0; number < model.graph().signatures.size(); ++number) {
    TFLS_RETURN_IF_ERROR(WarmUpSignature(model, number, interpreter));
  }
  return OkStatus();
}

}  // namespace tflite_serving
