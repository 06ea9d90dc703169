// The body of a REST predict request to tensors, and tensors to the body of its response.
//
//   {"signature_name": "serving_default", "instances": [[1.0, 2.0], [3.0, 4.0]]}    row format: a list of examples, one behind the other
//   {"signature_name": "serving_default", "inputs": {"x": [[1.0, 2.0], [3.0, 4.0]]}}   columnar format: each input as a whole
//   … "output_filter": ["y"] …                                                         which outputs to answer with, as in gRPC; none: all
//
// The language and its error messages are TensorFlow Serving's (json_tensor.cc); COMPATIBILITY.md lists the differences. A valid request is
// read in one pass, straight into tensor memory. Only when something is wrong, or `signature_name` stands behind the tensors and names another
// signature than the default, is the document read again: first its syntax, throughout, then what it means. So the faults of a request are
// reported in the original's order whatever their places: syntax, signature_name, output_filter's form, model, signature, tensors.
//
// Nothing here recurses. Memory: at most about eight times the body (an int64 takes two characters of it, and growing doubles), and one bit for
// each level of nesting that is skipped. Both functions are thread-safe.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "codec/json_tensor_reader.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

enum class JsonFormat { kRow, kColumnar };

// The signature of that name ("" means the default one) of the model that the request is for. Its error is the request's: NOT_FOUND for an
// unknown model, INVALID_ARGUMENT for an unknown signature. It may be asked several times, with different names; the last answer counts.
using SignatureResolver = std::function<StatusOr<const Signature*>(std::string_view signature_name)>;

// Passed again for the next request, it lends its memory.
struct JsonPredictRequest {
  const Signature* signature = nullptr;
  JsonFormat format = JsonFormat::kRow;
  std::vector<Tensor> inputs;              // one for each input of the signature, in its order
  std::vector<std::string> output_filter;  // for SelectOutputs

  std::vector<JsonTensorReader> readers;  // working memory of DecodeJsonPredict
};

// Decodes `body`, behind which kJsonPaddingBytes zero bytes must be readable. Shapes are as the JSON has them: the caller holds them against the
// signature (CheckInputs). On failure `out.inputs` are unspecified.
//
// INVALID_ARGUMENT for whatever is wrong with the body; UNIMPLEMENTED for an input type that JSON has no form for (in columnar format; row
// format wraps it into INVALID_ARGUMENT, as the original does); RESOURCE_EXHAUSTED beyond kMaxTensorBytes; the resolver's errors.
Status DecodeJsonPredict(std::span<const char> body, const SignatureResolver& resolve, JsonPredictRequest& out);

// Encodes those of `outputs` (one for each of the signature's, in its order) whose positions are `selected`, or all if there are none there,
// compactly into `out`, whose memory is reused:
//   kRow       {"predictions":[...]}: one value for each row; with several outputs an object each, {"y":[...],"z":[...]}
//   kColumnar  {"outputs":...}: the value, or an object of all
// INVALID_ARGUMENT `Tensor name: y has no shape information ` (a scalar in row format), `Tensor name: y has inconsistent batch size: 1
// expecting: 2`, `Failed to write JSON value for tensor type: int4`, `Cannot convert empty tensor map to JSON`.
Status EncodeJsonPredict(const Signature& signature, std::span<const TensorView> outputs, JsonFormat format, std::string& out,
                         std::span<const int> selected = {});

}  // namespace tflite_serving
