#include "servable/signature.h"

#include <fmt/format.h>

namespace tflite_serving {
namespace {

int Find(const std::vector<TensorSpec>& specs, std::string_view name) {
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Status CheckInput(const TensorSpec& spec, const Shape& expected, TensorView& input) {
  const std::optional<Shape> fitted = FitShape(input.shape, expected);
  if (input.dtype != spec.dtype || !fitted) {
    return InvalidArgumentError(fmt::format("input \"{}\": expected {}{}, got {}{}", spec.name, DTypeName(spec.dtype), expected.ToString(),
                                            DTypeName(input.dtype), input.shape.ToString()));
  }
  input.shape = *fitted;
  TFLS_ASSIGN_OR_RETURN(const size_t size_bytes, TensorSizeBytes(input.dtype, input.shape));
  if (input.dtype == DType::kString) return ValidateStrings(input.bytes, *input.shape.NumElements());
  if (input.bytes.size() != size_bytes) {
    return InvalidArgumentError(fmt::format("input \"{}\": {}{} needs {} bytes, got {}", spec.name, DTypeName(input.dtype), input.shape.ToString(),
                                            size_bytes, input.bytes.size()));
  }
  return OkStatus();
}

}  // namespace

std::string TensorSpec::ToString() const { return fmt::format("{}{}", DTypeName(dtype), shape.ToString()); }

int Signature::FindInput(std::string_view name) const { return Find(inputs, name); }
int Signature::FindOutput(std::string_view name) const { return Find(outputs, name); }

std::string Signature::ToString() const {
  const auto list = [](const std::vector<TensorSpec>& specs) {
    std::string text;
    for (const TensorSpec& spec : specs) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", spec.name, spec.ToString());
    return text;
  };
  return fmt::format("{}: {} -> {}", key, list(inputs), list(outputs));
}

Shape Signature::RequestShape(size_t i) const {
  Shape shape = inputs[i].shape;
  if (batch_of_one_is_free && shape.rank() > 0) shape.set(0, -1);
  return shape;
}

Status CheckInputs(const Signature& signature, std::span<TensorView> inputs) {
  if (inputs.size() != signature.inputs.size()) {
    return InternalError(fmt::format("signature \"{}\" takes {} inputs, got {}", signature.key, signature.inputs.size(), inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) TFLS_RETURN_IF_ERROR(CheckInput(signature.inputs[i], signature.RequestShape(i), inputs[i]));
  if (!signature.batch_of_one_is_free) return OkStatus();
  // The file says one row for every input: however many rows come now, they must be the same for all of them.
  for (size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i].shape.rank() > 0 && inputs[0].shape.rank() > 0 && inputs[i].shape[0] != inputs[0].shape[0]) {
      return InvalidArgumentError(fmt::format("input \"{}\" has {} rows, input \"{}\" has {}", signature.inputs[0].name, inputs[0].shape[0],
                                              signature.inputs[i].name, inputs[i].shape[0]));
    }
  }
  return OkStatus();
}

const Signature* FindSignature(std::span<const Signature> signatures, std::string_view key) {
  if (key.empty()) key = kDefaultSignatureKey;
  for (const Signature& signature : signatures) {
    if (signature.key == key) return &signature;
  }
  return nullptr;
}

}  // namespace tflite_serving
