#include "serving/regress.h"

#include <fmt/format.h>

#include "serving/real_values.h"

namespace tflite_serving {

Status CheckRegressSignature(const Signature& signature) {
  if (signature.outputs.size() != 1) return InvalidArgumentError("Expected one output Tensor.");
  if (!HasRealValues(signature.outputs[0])) {
    return InvalidArgumentError(fmt::format("Expected output Tensor of DT_FLOAT.  Got: {}", DTypeProtoName(signature.outputs[0].dtype)));
  }
  return OkStatus();
}

StatusOr<Regressions> ToRegressions(const Signature& signature, std::span<const TensorView> outputs, size_t num_examples) {
  const Shape& shape = outputs[0].shape;
  if (shape.rank() != 1 && (shape.rank() != 2 || shape[1] != 1)) {
    return InvalidArgumentError(
        fmt::format("Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {}", shape.ToString()));
  }
  if (shape[0] != static_cast<int64_t>(num_examples)) {
    return InvalidArgumentError(fmt::format("Input batch size did not match output batch size: {} vs. {}", num_examples, shape[0]));
  }
  std::vector<float> memory;
  const std::span<const float> values = RealValues(signature.outputs[0], outputs[0], memory);
  return Regressions{{values.begin(), values.end()}};
}

}  // namespace tflite_serving
