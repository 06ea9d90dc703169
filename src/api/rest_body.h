// The bodies of a REST predict and of its reply, in each of their formats. Content-Type names a request's:
//
//   application/json, and whatever is none of the others    as codec/json_predict.h has it
//   application/x-protobuf, application/protobuf            a serialized PredictRequest, answered with a PredictResponse. A model_spec in it may
//                                                           complete the URL's, and must not contradict it
//   application/octet-stream                                the elements of one tensor, for a signature with one input (codec/raw_tensor.h)
//   application/x-npy                                       one array of NumPy, for a signature with one input (codec/npy.h)
//
// The reply has the first of these formats that Accept names, or else the request's; a raw one tells its tensor's type and shape in the headers
// X-Tensor-Dtype ("float32", as NumPy names it; "string") and X-Tensor-Shape ("[2,3]"). A JSON reply to another format is columnar. Errors are always
// JSON.
//
// For the formats that have no place for them, the query may hold signature_name=S and output_filter=a,b.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "codec/json_predict.h"
#include "codec/predict_proto.h"
#include "codec/rest_path.h"
#include "servable/model_spec.h"
#include "transport/http_call.h"

namespace tflite_serving {

enum class BodyFormat { kJson, kProto, kRaw, kNpy };

// By Content-Type, whose parameters are ignored.
BodyFormat RequestFormat(std::string_view content_type);
// By Accept, whose weights are ignored.
BodyFormat ReplyFormat(std::string_view accept, BodyFormat request);

// One request from its body to its reply; used again for the next one, so that its memory is. Thread-compatible. Open, Decode and Encode are called
// once each, in this order; the call's request must stay valid until Encode.
class RestPredictBody {
 public:
  // Finds the formats, and what the body and the query say about the model: completes `spec`, which the URL gave. INVALID_ARGUMENT for a message that
  // is none, or contradicts the URL.
  Status Open(const HttpRequest& request, std::string_view query, ModelSpec& spec);

  // Whether request and reply are JSON.
  bool is_json() const { return format_ == BodyFormat::kJson && reply_format_ == BodyFormat::kJson; }

  // Decodes the tensors. Its errors are those of the format's decoder and of `resolve`.
  Status Decode(const HttpRequest& request, const SignatureResolver& resolve);
  const Signature& signature() const { return *decoded_.signature; }
  std::span<Tensor> inputs() { return decoded_.inputs; }

  // Encodes `outputs`, one for each of the signature's, in its order. INVALID_ARGUMENT if they have no place in the reply's format.
  Status Encode(const ServableId& servable, std::span<const TensorView> outputs, bool as_tensor_content, HttpResponse& response) const;

  // Frees tensors of more than `max_bytes` in all.
  void Trim(size_t max_bytes);

 private:
  Status DecodeSingleInput(std::span<const std::byte> body);
  StatusOr<size_t> SingleOutput() const;
  Status EncodeProto(const ServableId& servable, std::span<const TensorView> outputs, bool as_tensor_content, HttpResponse& response) const;
  Status EncodeRaw(std::span<const TensorView> outputs, HttpResponse& response) const;
  Status EncodeNpy(std::span<const TensorView> outputs, HttpResponse& response) const;

  BodyFormat format_ = BodyFormat::kJson;
  BodyFormat reply_format_ = BodyFormat::kJson;
  std::array<std::span<const std::byte>, 1> pieces_;  // the body, for `parts_`
  PredictRequestParts parts_;                         // of kProto, and what the query says
  JsonPredictRequest decoded_;                        // the tensors of every format
  std::vector<int> selected_;                         // the outputs of the reply
};

}  // namespace tflite_serving
