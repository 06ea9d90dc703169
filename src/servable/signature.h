// What a servable takes and gives: the signatures of one model version.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// The signature that is meant when a request names none, as in TensorFlow Serving.
inline constexpr std::string_view kDefaultSignatureKey = "serving_default";
inline constexpr std::string_view kPredictMethodName = "tensorflow/serving/predict";
inline constexpr std::string_view kClassifyMethodName = "tensorflow/serving/classify";
inline constexpr std::string_view kRegressMethodName = "tensorflow/serving/regress";

// What the integers of a quantised tensor stand for: (q - zero_point) * scale.
struct Quantization {
  float scale = 1;
  int64_t zero_point = 0;
};

// One input or output of a signature.
struct TensorSpec {
  std::string name;         // the key that clients use
  std::string tensor_name;  // the graph's own name ("serving_default_x:0"), shown in metadata
  DType dtype = DType::kInvalid;
  Shape shape;                                    // -1 for dimensions that each request chooses
  std::optional<Quantization> quantization = {};  // of int8, uint8 and int16 tensors that have one scale for all their elements
  std::vector<std::string> class_labels = {};     // by class number, from the label file in the model's TFLite metadata; empty: none there

  // "float[?,4]"
  std::string ToString() const;
};

// Immutable once its servable is loaded, so thread-safe; lives as long as the servable.
struct Signature {
  std::string key;
  std::string method_name{kPredictMethodName};
  std::vector<TensorSpec> inputs;   // in the model file's order
  std::vector<TensorSpec> outputs;  // in the model file's order
  // The file fixes the first dimension of every input to 1, but the graph was found at load to take any number of rows, each answered alone.
  bool batch_of_one_is_free = false;
  // The shape of an output may depend on the data: requests must not be put together into one run, whose answers nobody could tell apart.
  bool runs_alone = false;

  // Position in `inputs` (`outputs`), or -1.
  int FindInput(std::string_view name) const;
  int FindOutput(std::string_view name) const;

  // "serving_default: x float[?,4] -> y float[?]", for messages.
  std::string ToString() const;

  // The shape that requests are held against: inputs[i].shape, with a first dimension of -1 if batch_of_one_is_free.
  Shape RequestShape(size_t i) const;
};

// Checks one request's tensors (one for each input of `signature`, in its order) before any memory is touched: element type, shape, and byte size.
// A tensor of lower rank is accepted when ones added to its shape make it fit (FitShape), and its shape is then changed to the fitted one.
// INVALID_ARGUMENT: `input "x": expected float[?,4], got int64[2,3]`.
Status CheckInputs(const Signature& signature, std::span<TensorView> inputs);

// The signature with this key ("" means kDefaultSignatureKey), or nullptr.
const Signature* FindSignature(std::span<const Signature> signatures, std::string_view key);

}  // namespace tflite_serving
