#include "serving/classify.h"

#include <vector>

#include <fmt/format.h>

#include "serving/real_values.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kClassesOutputName = "classes";
constexpr std::string_view kScoresOutputName = "scores";

// Positions in Signature::outputs, or -1.
struct ClassifyOutputs {
  int classes = -1;
  int scores = -1;
};

ClassifyOutputs FindOutputs(const Signature& signature) {
  ClassifyOutputs found{.classes = signature.FindOutput(kClassesOutputName), .scores = signature.FindOutput(kScoresOutputName)};
  const bool only_one = found.classes < 0 && found.scores < 0 && signature.outputs.size() == 1;
  if (only_one && HasRealValues(signature.outputs[0])) found.scores = 0;
  return found;
}

Status CheckShape(const TensorView& output, std::string_view what, size_t num_examples) {
  const Shape& shape = output.shape;
  if (shape.rank() != 2) return InvalidArgumentError(fmt::format("Expected Tensor shape: [batch_size num_classes] but got {}", shape.ToString()));
  if (shape[0] != static_cast<int64_t>(num_examples)) {
    return InvalidArgumentError(fmt::format("Expected {} output batch size of {}. Got: {}", what, num_examples, shape[0]));
  }
  return OkStatus();
}

}  // namespace

Status CheckClassifySignature(const Signature& signature) {
  const size_t num_outputs = signature.outputs.size();
  if (num_outputs != 1 && num_outputs != 2) return InvalidArgumentError(fmt::format("Expected one or two output Tensors, found {}", num_outputs));
  const ClassifyOutputs found = FindOutputs(signature);
  if (found.classes < 0 && found.scores < 0) {
    return InvalidArgumentError(
        fmt::format("Expected classification signature outputs to contain at least one of \"{}\" or \"{}\". Signature was: {}", kClassesOutputName,
                    kScoresOutputName, signature.ToString()));
  }
  if (found.classes >= 0 && signature.outputs[found.classes].dtype != DType::kString) {
    return InvalidArgumentError(fmt::format("Expected classes Tensor of DT_STRING. Got: {}", DTypeProtoName(signature.outputs[found.classes].dtype)));
  }
  if (found.scores >= 0 && !HasRealValues(signature.outputs[found.scores])) {
    return InvalidArgumentError(fmt::format("Expected scores Tensor of DT_FLOAT. Got: {}", DTypeProtoName(signature.outputs[found.scores].dtype)));
  }
  return OkStatus();
}

StatusOr<Classifications> ToClassifications(const Signature& signature, std::span<const TensorView> outputs, size_t num_examples) {
  const ClassifyOutputs found = FindOutputs(signature);
  const TensorView* const classes = found.classes >= 0 ? &outputs[found.classes] : nullptr;
  const TensorView* const scores = found.scores >= 0 ? &outputs[found.scores] : nullptr;
  if (classes != nullptr) TFLS_RETURN_IF_ERROR(CheckShape(*classes, kClassesOutputName, num_examples));
  if (scores != nullptr) TFLS_RETURN_IF_ERROR(CheckShape(*scores, kScoresOutputName, num_examples));
  if (classes != nullptr && scores != nullptr && classes->shape[1] != scores->shape[1]) {
    return InvalidArgumentError(
        fmt::format("Tensors class and score should match in dim_size(1). Got {} vs. {}", classes->shape[1], scores->shape[1]));
  }
  const auto num_classes = static_cast<size_t>(outputs[found.classes >= 0 ? found.classes : found.scores].shape[1]);
  Classifications result{.num_examples = num_examples, .classes_per_example = num_classes};
  if (num_classes * num_examples > kMaxClassScores) {
    return ResourceExhaustedError(fmt::format("{} classes for each of {} examples are more than {}", num_classes, num_examples, kMaxClassScores));
  }
  result.classes.resize(num_examples * num_classes);
  if (classes != nullptr) {
    TFLS_RETURN_IF_ERROR(ValidateStrings(classes->bytes, static_cast<int64_t>(result.classes.size())));
    for (size_t i = 0; i < result.classes.size(); ++i) result.classes[i].label = classes->StringAt(static_cast<int64_t>(i));
  }
  if (scores == nullptr) return result;
  std::vector<float> memory;
  const TensorSpec& spec = signature.outputs[found.scores];
  const std::span<const float> values = RealValues(spec, *scores, memory);
  for (size_t i = 0; i < result.classes.size(); ++i) {
    const size_t number = i % num_classes;
    result.classes[i].score = values[i];
    if (classes == nullptr && number < spec.class_labels.size()) result.classes[i].label = spec.class_labels[number];
  }
  return result;
}

}  // namespace tflite_serving
