// Predict requests as JSON and JSON answers as tensors: how gRPC reaches a servable that takes JSON alone (Servable::TakesJson).
// All functions are thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

struct NamedTensor {
  std::string_view name;
  TensorView tensor;
};

// Makes `json` the body of a REST predict with these inputs, as a client would write it: rows in "instances", bare ones of a single input, objects of
// several; "inputs" if they have no rows, or not the same number of them. `signature_name` is left out if it is empty.
// INVALID_ARGUMENT for a type that JSON has no form for.
Status WriteJsonRequest(std::string_view signature_name, std::span<const NamedTensor> inputs, std::string& json);

// The answer that a servable gives to such a body.
struct JsonAnswerTensors {
  Signature signature;  // of its outputs alone: the keys of the rows or columns, or "predictions" or "outputs" where those are bare
  std::vector<Tensor> outputs;
};

// Reads {"predictions": rows} or {"outputs": columns}. JSON says no types: whole numbers become int64, others float, text a string, true and false
// bool. INTERNAL, since it is the servable's fault, for anything else.
StatusOr<JsonAnswerTensors> ReadJsonAnswer(std::string_view text);

// What {"error": …} says; the whole text if that is no string.
std::string ErrorOfJsonAnswer(std::string_view text);

}  // namespace tflite_serving
