#include "api/rest_body.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "codec/npy.h"
#include "codec/raw_tensor.h"

namespace tflite_serving {
namespace {

struct MediaType {
  std::string_view name;
  BodyFormat format;
};

// The first of a format is what its replies are called.
constexpr MediaType kMediaTypes[] = {{"application/json", BodyFormat::kJson},
                                     {"application/x-protobuf", BodyFormat::kProto},
                                     {"application/octet-stream", BodyFormat::kRaw},
                                     {"application/x-npy", BodyFormat::kNpy},
                                     {"application/protobuf", BodyFormat::kProto}};

std::string_view MediaTypeOf(BodyFormat format) { return std::ranges::find(kMediaTypes, format, &MediaType::format)->name; }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | ' ') : c; }

// The format of " application/json; charset=utf-8", if it is one.
std::optional<BodyFormat> FormatOf(std::string_view media_type) {
  constexpr std::string_view kSpaces = " \t";
  media_type = media_type.substr(0, media_type.find(';'));
  media_type.remove_prefix(std::min(media_type.find_first_not_of(kSpaces), media_type.size()));
  media_type = media_type.substr(0, media_type.find_last_not_of(kSpaces) + 1);
  for (const MediaType& known : kMediaTypes) {
    if (media_type == known.name || std::ranges::equal(media_type, known.name, {}, Lower)) return known.format;
  }
  return std::nullopt;
}

// Adds what the body says about the model to what the URL said.
Status CompleteSpec(const ModelSpec& body, ModelSpec& url) {
  if (!body.name.empty() && body.name != url.name) {
    return InvalidArgumentError(fmt::format("the URL names model \"{}\", the model_spec of the body \"{}\"", url.name, body.name));
  }
  const bool chosen_by_url = url.version || !url.version_label.empty();
  const bool chosen_by_body = body.version || !body.version_label.empty();
  if (chosen_by_url && chosen_by_body && (body.version != url.version || body.version_label != url.version_label)) {
    return InvalidArgumentError(fmt::format("the URL and the model_spec of the body choose different versions of model \"{}\"", url.name));
  }
  if (chosen_by_body) {
    url.version = body.version;
    url.version_label = body.version_label;
  }
  return OkStatus();
}

std::vector<std::string> SplitNames(std::string_view list) {
  std::vector<std::string> names;
  for (;;) {
    const size_t comma = list.find(',');
    names.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return names;
    list.remove_prefix(comma + 1);
  }
}

std::span<const std::byte> Bytes(const HttpRequest& request) { return std::as_bytes(request.body); }

}  // namespace

BodyFormat RequestFormat(std::string_view content_type) { return FormatOf(content_type).value_or(BodyFormat::kJson); }

BodyFormat ReplyFormat(std::string_view accept, BodyFormat request) {
  while (!accept.empty()) {
    const std::string_view media_type = accept.substr(0, accept.find(','));
    if (const std::optional<BodyFormat> format = FormatOf(media_type)) return *format;
    accept.remove_prefix(std::min(media_type.size() + 1, accept.size()));
  }
  return request;
}

Status RestPredictBody::Open(const HttpRequest& request, std::string_view query, ModelSpec& spec) {
  format_ = RequestFormat(request.content_type);
  reply_format_ = ReplyFormat(request.accept, format_);
  parts_.Clear();
  if (format_ == BodyFormat::kJson) return OkStatus();
  if (format_ == BodyFormat::kProto) {
    pieces_ = {Bytes(request)};
    TFLS_RETURN_IF_ERROR(ParsePredictRequest(pieces_, parts_));
    TFLS_RETURN_IF_ERROR(CompleteSpec(parts_.model_spec, spec));
  }
  std::string& signature_name = parts_.model_spec.signature_name;
  if (signature_name.empty()) signature_name = FindQueryParameter(query, "signature_name").value_or("");
  if (parts_.output_filter.empty()) {
    if (const std::optional<std::string> filter = FindQueryParameter(query, "output_filter")) parts_.output_filter = SplitNames(*filter);
  }
  return OkStatus();
}

Status RestPredictBody::Decode(const HttpRequest& request, const SignatureResolver& resolve) {
  if (format_ == BodyFormat::kJson) {
    TFLS_RETURN_IF_ERROR(DecodeJsonPredict(request.body, resolve, decoded_));
    std::swap(parts_.output_filter, decoded_.output_filter);
  } else {
    TFLS_ASSIGN_OR_RETURN(decoded_.signature, resolve(parts_.model_spec.signature_name));
    decoded_.format = JsonFormat::kColumnar;
    TFLS_RETURN_IF_ERROR(format_ == BodyFormat::kProto ? DecodePredictInputs(parts_, signature(), decoded_.inputs)
                                                       : DecodeSingleInput(Bytes(request)));
  }
  return SelectOutputs(signature(), parts_.output_filter, selected_);
}

Status RestPredictBody::DecodeSingleInput(std::span<const std::byte> body) {
  const std::vector<TensorSpec>& inputs = signature().inputs;
  if (inputs.size() != 1) {
    return InvalidArgumentError(
        fmt::format("a body of {} is one tensor, but signature \"{}\" has {} inputs", MediaTypeOf(format_), signature().key, inputs.size()));
  }
  decoded_.inputs.resize(1);
  if (format_ == BodyFormat::kRaw) return DecodeRawTensor(signature(), 0, body, decoded_.inputs[0]);
  TFLS_ASSIGN_OR_RETURN(const NpyArray array, ParseNpy(body));
  return TakeElements(array.dtype, array.shape, array.elements, decoded_.inputs[0]);
}

Status RestPredictBody::Encode(const ServableId& servable, std::span<const TensorView> outputs, bool as_tensor_content,
                               HttpResponse& response) const {
  response.content_type = MediaTypeOf(reply_format_);
  switch (reply_format_) {
    case BodyFormat::kJson:
      return EncodeJsonPredict(signature(), outputs, decoded_.format, response.body, selected_);
    case BodyFormat::kProto:
      return EncodeProto(servable, outputs, as_tensor_content, response);
    case BodyFormat::kRaw:
      return EncodeRaw(outputs, response);
    case BodyFormat::kNpy:
      break;
  }
  return EncodeNpy(outputs, response);
}

Status RestPredictBody::EncodeProto(const ServableId& servable, std::span<const TensorView> outputs, bool as_tensor_content,
                                    HttpResponse& response) const {
  PredictResponseEncoder encoder;
  TFLS_RETURN_IF_ERROR(encoder.Prepare(
      {.servable = servable, .signature = signature(), .outputs = outputs, .selected = selected_, .as_tensor_content = as_tensor_content}));
  response.body.resize(encoder.size());
  encoder.Write(std::as_writable_bytes(std::span(response.body)));
  return OkStatus();
}

StatusOr<size_t> RestPredictBody::SingleOutput() const {
  if (selected_.size() == 1) return static_cast<size_t>(selected_[0]);
  return InvalidArgumentError(fmt::format("a reply of {} is one tensor, but signature \"{}\" has {} outputs; choose one with ?output_filter=NAME",
                                          MediaTypeOf(reply_format_), signature().key, selected_.size()));
}

Status RestPredictBody::EncodeRaw(std::span<const TensorView> outputs, HttpResponse& response) const {
  TFLS_ASSIGN_OR_RETURN(const size_t i, SingleOutput());
  TFLS_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, RawBytes(signature().outputs[i], outputs[i]));
  const std::string_view name = NumpyName(outputs[i].dtype);
  response.headers.emplace_back("X-Tensor-Dtype", name.empty() ? DTypeName(outputs[i].dtype) : name);
  response.headers.emplace_back("X-Tensor-Shape", outputs[i].shape.ToString());
  response.body.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return OkStatus();
}

Status RestPredictBody::EncodeNpy(std::span<const TensorView> outputs, HttpResponse& response) const {
  TFLS_ASSIGN_OR_RETURN(const size_t i, SingleOutput());
  const TensorView& output = outputs[i];
  if (NumpyName(output.dtype).empty()) {
    return InvalidArgumentError(fmt::format("output \"{}\": a .npy file cannot hold type {}", signature().outputs[i].name, DTypeName(output.dtype)));
  }
  response.body = NpyHeader(output.dtype, output.shape);
  response.body.append(reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size());
  return OkStatus();
}

void RestPredictBody::Trim(size_t max_bytes) {
  size_t size = 0;
  for (const Tensor& input : decoded_.inputs) size += input.view().bytes.size();
  if (size > max_bytes) decoded_.inputs.clear();
}

}  // namespace tflite_serving
