// The predict request decoder and the response encoder against any bytes.
//
// The first byte chooses a signature, the rest is the body. What must hold: a request that is accepted is well-formed JSON; its tensors are
// sound; its fault, if it has one, is never an internal one; the two ways of reading a document give the same; and its tensors, written as a
// columnar response and read again, are the same bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/json_predict.h"
#include "codec/json_reader.h"
#include "codec/json_writer.h"
#include "codec/padded_document.h"

namespace tflite_serving {
namespace {

void Require(bool holds, const char* what, std::string_view detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "%s %.*s\n", what, static_cast<int>(detail.size()), detail.data());
  std::abort();
}

Signature OneOf(DType dtype) { return {.key = "one", .inputs = {{.name = "x", .dtype = dtype, .shape = {-1, 2}}}}; }

// Every element type alone, and one signature of many inputs.
const std::vector<Signature>& Signatures() {
  static const auto* const signatures = [] {
    auto* list = new std::vector<Signature>;
    for (const DType dtype :
         {DType::kFloat, DType::kString, DType::kInt32, DType::kUint8, DType::kBool, DType::kDouble, DType::kInt64, DType::kUint64, DType::kInt8,
          DType::kInt16, DType::kUint16, DType::kUint32, DType::kHalf, DType::kBfloat16, DType::kComplex64}) {
      list->push_back(OneOf(dtype));
    }
    list->push_back({.key = "many",
                     .inputs = {{.name = "x", .dtype = DType::kFloat, .shape = {-1, 2}},
                                {.name = "s", .dtype = DType::kString, .shape = {-1}},
                                {.name = "i", .dtype = DType::kInt32, .shape = {}}}});
    for (Signature& signature : *list) signature.outputs = signature.inputs;
    return list;
  }();
  return *signatures;
}

// The elements that text cannot tell apart are the NaNs: only one is written, and so only that is compared.
bool IsNan(DType dtype, const std::byte* element) {
  const auto load = [element](auto value) {
    std::memcpy(&value, element, sizeof(value));
    return value;
  };
  switch (dtype) {
    case DType::kFloat: {
      const auto value = load(0.0F);
      return value != value;
    }
    case DType::kDouble: {
      const auto value = load(0.0);
      return value != value;
    }
    case DType::kHalf:
      return (load(uint16_t{0}) & 0x7FFF) > 0x7C00;
    case DType::kBfloat16:
      return (load(uint16_t{0}) & 0x7FFF) > 0x7F80;
    default:
      return false;
  }
}

// A complex number is compared part by part.
DType PartOf(DType dtype) { return dtype == DType::kComplex64 ? DType::kFloat : dtype; }

void RequireSame(const TensorView& a, const TensorView& b, const char* what) {
  Require(a.dtype == b.dtype && a.shape == b.shape && a.bytes.size() == b.bytes.size(), what, "shape");
  const DType part = PartOf(a.dtype);
  const size_t step = part == DType::kString ? 1 : DTypeSize(part);
  for (size_t i = 0; i < a.bytes.size(); i += step) {
    const bool same = std::memcmp(&a.bytes[i], &b.bytes[i], step) == 0 || (IsNan(part, &a.bytes[i]) && IsNan(part, &b.bytes[i]));
    Require(same, what, "bytes");
  }
}

void RequireSound(const TensorView& view) {
  if (view.dtype == DType::kString) {
    Require(ValidateStrings(view.bytes, *view.shape.NumElements()).ok(), "unsound strings");
  } else {
    const StatusOr<size_t> size = TensorSizeBytes(view.dtype, view.shape);
    Require(size.ok() && *size == view.bytes.size(), "wrong size");
  }
}

std::vector<TensorView> ViewsOf(const JsonPredictRequest& request) {
  std::vector<TensorView> views;
  views.reserve(request.inputs.size());
  for (const Tensor& input : request.inputs) views.push_back(input.view());
  return views;
}

// The tensors as a response, and that as a request.
void RoundTrip(const Signature& signature, const JsonPredictRequest& request, const SignatureResolver& resolve) {
  const std::vector<TensorView> views = ViewsOf(request);
  std::string response;
  const Status row = EncodeJsonPredict(signature, views, JsonFormat::kRow, response);
  Require(row.ok() || row.code() == StatusCode::kInvalidArgument, "row encoding:", row.message());
  const Status encoded = EncodeJsonPredict(signature, views, JsonFormat::kColumnar, response);
  Require(encoded.ok(), "columnar encoding:", encoded.message());
  constexpr std::string_view kOutputs = "{\"outputs\":";
  Require(response.starts_with(kOutputs), "unexpected response", response);
  PaddedDocument again("{\"inputs\":" + response.substr(kOutputs.size()));
  JsonPredictRequest reread;
  const Status decoded = DecodeJsonPredict(again.body(), resolve, reread);
  Require(decoded.ok(), "our own response:", decoded.message());
  for (size_t i = 0; i < views.size(); ++i) RequireSame(views[i], reread.inputs[i].view(), "changed by a round trip");
}

void Run(const Signature& signature, std::string_view body) {
  const SignatureResolver resolve = [&](std::string_view name) -> StatusOr<const Signature*> {
    if (name == "none") return NotFoundError("no such signature");
    return &signature;
  };
  PaddedDocument document(body);
  JsonPredictRequest request;
  const Status status = DecodeJsonPredict(document.body(), resolve, request);
  Require(document.text() == body, "the body was changed");
  if (!status.ok()) {
    Require(status.code() != StatusCode::kInternal, "internal:", status.message());
    Require(ErrorJson(status.message()).size() > status.message().size(), "no error body");
    return;
  }
  JsonReader json(document.text());
  Require(json.EnterDocument() && json.SkipValue(), "accepted, but no JSON");
  Require(request.inputs.size() == signature.inputs.size(), "wrong number of inputs");
  for (const Tensor& input : request.inputs) RequireSound(input.view());

  // A resolver that first refuses makes the decoder read the document in two passes, which must agree with one.
  bool refused = false;
  const SignatureResolver hesitant = [&](std::string_view name) -> StatusOr<const Signature*> {
    if (!std::exchange(refused, true)) return NotFoundError("not yet");
    return resolve(name);
  };
  JsonPredictRequest other;
  Require(DecodeJsonPredict(document.body(), hesitant, other).ok(), "refused when read in two passes");
  for (size_t i = 0; i < request.inputs.size(); ++i) RequireSame(request.inputs[i].view(), other.inputs[i].view(), "differs in two passes");
  RoundTrip(signature, request, resolve);
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto& signatures = tflite_serving::Signatures();
  tflite_serving::Run(signatures[data[0] % signatures.size()], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
