#include "codec/predict_proto.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "wire/message_writer.h"

namespace tflite_serving {
namespace {

// PredictRequest
constexpr uint32_t kRequestModelSpecField = 1;
constexpr uint32_t kRequestInputsField = 2;
constexpr uint32_t kRequestOutputFilterField = 3;
// PredictResponse
constexpr uint32_t kResponseOutputsField = 1;
constexpr uint32_t kResponseModelSpecField = 2;
// ModelSpec
constexpr uint32_t kSpecNameField = 1;
constexpr uint32_t kSpecVersionField = 2;
constexpr uint32_t kSpecSignatureNameField = 3;
constexpr uint32_t kSpecVersionLabelField = 4;
// google.protobuf.Int64Value
constexpr uint32_t kWrappedValueField = 1;
// The entries of a map
constexpr uint32_t kKeyField = 1;
constexpr uint32_t kValueField = 2;

Status ReadWrappedInt64(const WireRange& message, int64_t& value) {
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kWrappedValueField, WireType::kVarint)) value = static_cast<int64_t>(field.number_value);
  }
  return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus();
}

// Version and label are a oneof: the one that comes last counts.
Status MergeModelSpec(const WireRange& message, ModelSpec& spec) {
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.type != WireType::kLengthDelimited) continue;
    if (field.number == kSpecNameField) {
      TFLS_RETURN_IF_ERROR(ReadName(field.range, spec.name));
    } else if (field.number == kSpecVersionField) {
      int64_t version = spec.version.value_or(0);
      TFLS_RETURN_IF_ERROR(ReadWrappedInt64(field.range, version));
      spec.version = version;
      spec.version_label.clear();
    } else if (field.number == kSpecVersionLabelField) {
      TFLS_RETURN_IF_ERROR(ReadName(field.range, spec.version_label));
      spec.version.reset();
    } else if (field.number == kSpecSignatureNameField) {
      TFLS_RETURN_IF_ERROR(ReadName(field.range, spec.signature_name));
    }
  }
  return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus();
}

StatusOr<PredictRequestParts::Input> ReadInput(const WireRange& entry) {
  PredictRequestParts::Input input;
  MessageReader reader(entry);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kKeyField, WireType::kLengthDelimited)) {
      TFLS_ASSIGN_OR_RETURN(input.name, ReadName(field.range));
    } else if (field.Is(kValueField, WireType::kLengthDelimited)) {
      input.tensor = field.range;
    }
  }
  if (reader.malformed()) return InvalidArgumentError(reader.problem());
  return input;
}

Status ReadRequest(const WireRange& message, PredictRequestParts& parts) {
  size_t inputs = 0;
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.type != WireType::kLengthDelimited) continue;
    if (field.number == kRequestModelSpecField) {
      parts.has_model_spec = true;
      TFLS_RETURN_IF_ERROR(MergeModelSpec(field.range, parts.model_spec));
    } else if (field.number == kRequestInputsField) {
      if (++inputs > kMaxRequestNames) return InvalidArgumentError(fmt::format("more than {} inputs", kMaxRequestNames));
      TFLS_ASSIGN_OR_RETURN(PredictRequestParts::Input input, ReadInput(field.range));
      const auto same = std::ranges::find(parts.inputs, input.name, &PredictRequestParts::Input::name);
      if (same == parts.inputs.end()) {
        parts.inputs.push_back(std::move(input));
      } else {
        same->tensor = input.tensor;
      }
    } else if (field.number == kRequestOutputFilterField) {
      if (parts.output_filter.size() == kMaxRequestNames) return InvalidArgumentError(fmt::format("more than {} output names", kMaxRequestNames));
      TFLS_ASSIGN_OR_RETURN(std::string name, ReadName(field.range));
      parts.output_filter.push_back(std::move(name));
    }
  }
  return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus();
}

// Of an Int64Value message; a zero is left out, as proto3 does.
size_t WrappedInt64Size(int64_t value) { return value == 0 ? 0 : TagSize(kWrappedValueField) + VarintSize(static_cast<uint64_t>(value)); }

using Names = std::vector<std::string_view>;

template <typename Named>
Names SortedNames(const std::vector<Named>& named) {
  Names names;
  for (const Named& one : named) names.push_back(one.name);
  std::ranges::sort(names);
  return names;
}

Names Difference(const Names& all, const Names& without) {
  Names names;
  std::ranges::set_difference(all, without, std::back_inserter(names));
  return names;
}

Status WrongNumberOfInputs(const Names& sent, const Names& wanted) {
  return InvalidArgumentError(
      fmt::format("input size does not match signature: {}!={} len({{{}}}) != len({{{}}}). Sent extra: {{{}}}. Missing but required: {{{}}}.",
                  sent.size(), wanted.size(), fmt::join(sent, ","), fmt::join(wanted, ","), fmt::join(Difference(sent, wanted), ","),
                  fmt::join(Difference(wanted, sent), ",")));
}

}  // namespace

void PredictRequestParts::Clear() {
  has_model_spec = false;
  model_spec.name.clear();
  model_spec.version.reset();
  model_spec.version_label.clear();
  model_spec.signature_name.clear();
  inputs.clear();
  output_filter.clear();
}

Status ParsePredictRequest(std::span<const std::span<const std::byte>> pieces, PredictRequestParts& parts) {
  parts.Clear();
  const Status status = ReadRequest(WireRange(pieces), parts);
  return status.ok() ? status : InvalidArgumentError(fmt::format("malformed PredictRequest: {}", status.message()));
}

Status DecodePredictInputs(const PredictRequestParts& request, const Signature& signature, std::vector<Tensor>& inputs, BorrowedContents* contents) {
  if (request.inputs.size() != signature.inputs.size()) return WrongNumberOfInputs(SortedNames(request.inputs), SortedNames(signature.inputs));
  inputs.resize(signature.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    const auto input = std::ranges::find(request.inputs, spec.name, &PredictRequestParts::Input::name);
    if (input == request.inputs.end()) {
      return InvalidArgumentError(fmt::format(
          "Signature input alias: {}(feed name: {}) not found in request and no default value provided. Inputs expected to be in the request "
          "{{{}}}, or default input alias set: ",
          spec.name, spec.tensor_name, fmt::join(SortedNames(request.inputs), ",")));
    }
    StatusOr<Tensor> tensor = DecodeTensorProto(input->tensor, std::move(inputs[i]).ReleaseBuffer(), contents);
    if (!tensor.ok()) return {tensor.status().code(), fmt::format("tensor parsing error: {}: {}", spec.name, tensor.status().message())};
    inputs[i] = *std::move(tensor);
  }
  return OkStatus();
}

Status SelectOutputs(const Signature& signature, std::span<const std::string> output_filter, std::vector<int>& selected) {
  selected.clear();
  if (output_filter.empty()) {
    for (size_t i = 0; i < signature.outputs.size(); ++i) selected.push_back(static_cast<int>(i));
    return OkStatus();
  }
  for (const std::string& name : output_filter) {
    const int found = signature.FindOutput(name);
    if (found < 0) {
      return InvalidArgumentError(fmt::format("output tensor alias not found in signature: {} Outputs expected to be in the set {{{}}}.", name,
                                              fmt::join(SortedNames(signature.outputs), ",")));
    }
    if (std::ranges::find(selected, found) != selected.end()) return InvalidArgumentError(fmt::format("duplicate output tensor alias: {}", name));
    selected.push_back(found);
  }
  return OkStatus();
}

size_t PredictResponseEncoder::Output::EntrySize() const { return DelimitedSize(kKeyField, name.size()) + DelimitedSize(kValueField, tensor.size()); }

Status PredictResponseEncoder::Prepare(const PredictResponseParts& parts) {
  model_name_ = parts.servable.name;
  signature_key_ = parts.signature.key;
  version_ = parts.servable.version;
  size_ = DelimitedSize(kResponseModelSpecField, ModelSpecSize());
  outputs_.clear();
  for (const int i : parts.selected) {
    const auto at = static_cast<size_t>(i);
    const std::string_view name = parts.signature.outputs[at].name;
    StatusOr<TensorProtoEncoder> tensor = TensorProtoEncoder::Create(parts.outputs[at], parts.as_tensor_content);
    if (!tensor.ok()) return {tensor.status().code(), fmt::format("output \"{}\": {}", name, tensor.status().message())};
    outputs_.push_back({name, *std::move(tensor)});
    size_ += DelimitedSize(kResponseOutputsField, outputs_.back().EntrySize());
  }
  if (size_ <= kMaxResponseBytes) return OkStatus();
  return ResourceExhaustedError(fmt::format("the response has {} bytes, the limit is {}", size_, kMaxResponseBytes));
}

size_t PredictResponseEncoder::ModelSpecSize() const {
  return DelimitedSize(kSpecNameField, model_name_.size()) + DelimitedSize(kSpecVersionField, WrappedInt64Size(version_)) +
         DelimitedSize(kSpecSignatureNameField, signature_key_.size());
}

void PredictResponseEncoder::Write(std::span<std::byte> out) const {
  MessageWriter writer(out.first(size_));
  for (const Output& output : outputs_) {
    writer.Delimited(kResponseOutputsField, output.EntrySize());
    writer.Delimited(kKeyField, output.name.size());
    writer.Text(output.name);
    writer.Delimited(kValueField, output.tensor.size());
    output.tensor.Write(writer);
  }
  writer.Delimited(kResponseModelSpecField, ModelSpecSize());
  writer.Delimited(kSpecNameField, model_name_.size());
  writer.Text(model_name_);
  writer.Delimited(kSpecVersionField, WrappedInt64Size(version_));
  if (version_ != 0) {
    writer.Tag(kWrappedValueField, WireType::kVarint);
    writer.Varint(static_cast<uint64_t>(version_));
  }
  writer.Delimited(kSpecSignatureNameField, signature_key_.size());
  writer.Text(signature_key_);
}

}  // namespace tflite_serving
