// Fuzzes the way of a gRPC predict request: parse, decode, encode the decoded tensors as a response, decode that.
//
// The input's first byte chooses the signature and the response's encoding, the second says how many of the following bytes are lengths of pieces;
// the rest is the message. What must hold: reading it in pieces gives what reading it whole gives; decoded tensors have the size of their type and
// shape; a response is exactly as long as announced and decodes to the tensors it was made of.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "codec/predict_proto.h"
#include "codec/tensor_proto_decoder.h"
#include "servable/signature.h"

namespace tflite_serving {
namespace {

using Pieces = std::vector<std::span<const std::byte>>;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::cerr << "does not hold: " << what << '\n';
  std::abort();
}

Signature MakeSignature(const std::vector<std::string>& names) {
  Signature signature;
  signature.key = "serving_default";
  for (const std::string& name : names) signature.inputs.push_back({name, name + ":0"});
  signature.outputs = signature.inputs;
  return signature;
}

struct Decoded {
  Status status;
  PredictRequestParts parts;
  std::vector<Tensor> inputs;
};

Decoded Decode(const Pieces& pieces, const Signature& signature) {
  Decoded decoded;
  decoded.status = ParsePredictRequest(pieces, decoded.parts);
  if (!decoded.status.ok()) return decoded;
  decoded.status = DecodePredictInputs(decoded.parts, signature, decoded.inputs);
  return decoded;
}

void RequireEqual(const TensorView& a, const TensorView& b) {
  Require(a.dtype == b.dtype && a.shape == b.shape, "equal type and shape");
  // A few bytes may ask for 64 MiB of repeated values (kMaxFilledTensorBytes): compare them at once, not one by one under instrumentation.
  Require(a.bytes.size() == b.bytes.size() && (a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0), "equal bytes");
}

void RequireSame(const Decoded& whole, const Decoded& split) {
  Require(whole.status == split.status, "a message in pieces has the same status");
  Require(whole.parts.model_spec.ToString() == split.parts.model_spec.ToString(), "a message in pieces has the same model spec");
  Require(whole.parts.output_filter == split.parts.output_filter, "a message in pieces has the same output filter");
  Require(whole.inputs.size() == split.inputs.size(), "a message in pieces has the same number of tensors");
  for (size_t i = 0; i < whole.inputs.size(); ++i) RequireEqual(whole.inputs[i].view(), split.inputs[i].view());
}

void RequireSound(const TensorView& tensor) {
  const StatusOr<size_t> size = TensorSizeBytes(tensor.dtype, tensor.shape);
  Require(size.ok(), "a decoded tensor has a size");
  if (tensor.dtype == DType::kString) {
    Require(ValidateStrings(tensor.bytes, *tensor.shape.NumElements()).ok(), "decoded strings are sound");
  } else {
    Require(tensor.bytes.size() == *size, "a decoded tensor has the size of its type and shape");
  }
}

// The tensors of a PredictResponse, in the order in which they were written.
std::vector<Tensor> DecodeResponse(std::span<const std::byte> message) {
  std::vector<Tensor> tensors;
  MessageReader response(WireRange(std::span(&message, 1)));
  for (WireField output; response.Next(output);) {
    if (!output.Is(1, WireType::kLengthDelimited)) continue;
    MessageReader entry(output.range);
    for (WireField field; entry.Next(field);) {
      if (!field.Is(2, WireType::kLengthDelimited)) continue;
      StatusOr<Tensor> tensor = DecodeTensorProto(field.range);
      Require(tensor.ok(), "an encoded tensor decodes");
      tensors.push_back(*std::move(tensor));
    }
    Require(!entry.malformed(), "a response's entry is well-formed");
  }
  Require(!response.malformed(), "a response is well-formed");
  return tensors;
}

void RoundTrip(const Decoded& decoded, const Signature& signature, bool as_tensor_content) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : decoded.inputs) views.push_back(tensor.view());
  std::vector<int> selected;
  if (!SelectOutputs(signature, decoded.parts.output_filter, selected).ok()) return;
  const ServableId servable{decoded.parts.model_spec.name, decoded.parts.model_spec.version.value_or(1)};
  PredictResponseEncoder response;
  Require(response.Prepare({servable, signature, views, selected, as_tensor_content}).ok(), "decoded tensors can be encoded");
  // On two backgrounds, to see bytes that are not written.
  std::vector<std::byte> message(response.size(), std::byte{0x00});
  std::vector<std::byte> again(response.size(), std::byte{0xFF});
  response.Write(message);
  response.Write(again);
  Require(message == again, "every byte of a response is written");
  const std::vector<Tensor> tensors = DecodeResponse(message);
  Require(tensors.size() == selected.size(), "a response has the selected outputs");
  for (size_t i = 0; i < tensors.size(); ++i) RequireEqual(tensors[i].view(), views[static_cast<size_t>(selected[i])]);
}

int TestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Signature> signatures{MakeSignature({"x"}), MakeSignature({"b", "a"}), MakeSignature({}), MakeSignature({"x", "y", "z"})};
  if (size < 2) return 0;
  const Signature& signature = signatures[data[0] % signatures.size()];
  const bool as_tensor_content = (data[0] & 0x80) != 0;
  const size_t num_lengths = std::min<size_t>(data[1], size - 2);
  const std::span<const uint8_t> lengths(data + 2, num_lengths);
  // A copy of its own, so that reading past the end is noticed.
  const std::vector<uint8_t> message(data + 2 + num_lengths, data + size);

  std::vector<std::vector<std::byte>> owned;
  std::span<const std::byte> left = std::as_bytes(std::span(message));
  for (const uint8_t length : lengths) {
    const std::span<const std::byte> piece = left.first(std::min<size_t>(length, left.size()));
    owned.emplace_back(piece.begin(), piece.end());
    left = left.subspan(piece.size());
  }
  owned.emplace_back(left.begin(), left.end());
  const Pieces pieces(owned.begin(), owned.end());

  const Decoded whole = Decode({std::as_bytes(std::span(message))}, signature);
  RequireSame(whole, Decode(pieces, signature));
  if (!whole.status.ok()) return 0;
  for (const Tensor& tensor : whole.inputs) RequireSound(tensor.view());
  RoundTrip(whole, signature, as_tensor_content);
  return 0;
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { return tflite_serving::TestOneInput(data, size); }
