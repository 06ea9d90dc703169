// tensorflow.serving.PredictRequest -> tensors, and tensors -> PredictResponse, on the wire, without a protobuf object in between.
// Messages and errors: proto/tensorflow_serving/apis/predict.proto and TensorFlow Serving's predict_util.cc.
//
//   TFLS_RETURN_IF_ERROR(ParsePredictRequest(call.request(), request));
//   … look the model and the signature up by request.model_spec …
//   TFLS_RETURN_IF_ERROR(DecodePredictInputs(request, signature, inputs));
//   TFLS_RETURN_IF_ERROR(SelectOutputs(signature, request.output_filter, selected));
//   … CheckInputs, run …
//   TFLS_RETURN_IF_ERROR(response.Prepare({…}));
//   response.Write(call.AllocateReply(response.size()));
//
// What they fill is used again for the next request, so that its memory is.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "codec/tensor_proto_decoder.h"
#include "codec/tensor_proto_encoder.h"
#include "servable/model_spec.h"
#include "servable/signature.h"
#include "tensor/tensor.h"
#include "wire/message_reader.h"

namespace tflite_serving {

// What a request may repeat: its inputs, and the names in its output_filter. Far more than any signature has.
inline constexpr size_t kMaxRequestNames = 4096;
// A longer reply cannot be sent: protobuf counts a message's bytes in int32.
inline constexpr size_t kMaxResponseBytes = (size_t{1} << 31) - 1;

struct PredictRequestParts {
  struct Input {
    std::string name;
    WireRange tensor;  // a TensorProto, inside the pieces that were parsed; empty if the entry had none
  };

  bool has_model_spec = false;
  ModelSpec model_spec;
  std::vector<Input> inputs;  // each name once, in the order of their first appearance
  std::vector<std::string> output_filter;

  // Empties it.
  void Clear();
};

// Makes `parts` those of a serialized PredictRequest, or GetModelMetadataRequest and the like as far as they share field 1. As protobuf wants it: the
// last of several inputs of one name counts, several model specs are merged, unknown fields are passed over. `pieces` must outlive the result.
// INVALID_ARGUMENT `malformed PredictRequest: …` for bytes that are none.
Status ParsePredictRequest(std::span<const std::span<const std::byte>> pieces, PredictRequestParts& parts);

// Decodes the inputs into `inputs`, in the order of the signature. INVALID_ARGUMENT, with TensorFlow Serving's words, when names are missing or too
// many: `input size does not match signature: 2!=1 len({a,b}) != len({x}). Sent extra: {a,b}. Missing but required: {x}.`, or when a tensor is not
// sound (DecodeTensorProto, which says what `contents` is for): `tensor parsing error: x: …`. Whether types and shapes fit the signature is for
// CheckInputs to say.
Status DecodePredictInputs(const PredictRequestParts& request, const Signature& signature, std::vector<Tensor>& inputs,
                           BorrowedContents* contents = nullptr);

// Makes `selected` the positions in signature.outputs that `output_filter` names, in its order; all of them if it is empty. INVALID_ARGUMENT for an
// unknown name, or one that is there twice.
Status SelectOutputs(const Signature& signature, std::span<const std::string> output_filter, std::vector<int>& selected);

// What a response is made of; all of it must stay valid until it has been written.
struct PredictResponseParts {
  const ServableId& servable;
  const Signature& signature;
  std::span<const TensorView> outputs;  // one for each of the signature's, in its order
  std::span<const int> selected;        // positions in `outputs`
  bool as_tensor_content = false;       // --enable_serialization_as_tensor_content; else float_val and the like
};

// The size is known before anything is written, so the reply can be written in place. Thread-compatible.
class PredictResponseEncoder {
 public:
  // RESOURCE_EXHAUSTED beyond kMaxResponseBytes, and TensorProtoEncoder's errors.
  Status Prepare(const PredictResponseParts& parts);

  // Of the response that was prepared last.
  size_t size() const { return size_; }
  // Requires size() bytes.
  void Write(std::span<std::byte> out) const;

 private:
  struct Output {
    std::string_view name;
    TensorProtoEncoder tensor;
    size_t EntrySize() const;
  };

  size_t ModelSpecSize() const;

  std::string_view model_name_;
  std::string_view signature_key_;
  int64_t version_ = 0;
  std::vector<Output> outputs_;
  size_t size_ = 0;
};

}  // namespace tflite_serving
