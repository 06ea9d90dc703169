#include "codec/json_predict.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codec/json_reader.h"
#include "codec/json_request.h"
#include "codec/json_tensor_writer.h"
#include "codec/json_value_text.h"
#include "codec/predict_proto.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kSignatureKey = "signature_name";
constexpr std::string_view kInstancesKey = "instances";
constexpr std::string_view kInputsKey = "inputs";
constexpr std::string_view kFilterKey = "output_filter";

// The reader stands at '{'.
bool IsBase64Object(const JsonReader& json) {
  JsonReader ahead(json.document());
  ahead.Seek(json.position());
  std::string_view encoded;
  return ReadBase64Object(ahead, encoded);
}

// INVALID_ARGUMENT `<place>. Error: INVALID_ARGUMENT: <why>`, as the original wraps the faults of a row; a lack of memory stays what it is.
Status RowError(const std::string& place, const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kInternal) return status;
  return InvalidArgumentError(fmt::format("Failed to process element: {} of 'instances' list. Error: {}", place, status.ToString()));
}

// Reads the tensors of one request for one signature.
class TensorsDecoder {
 public:
  TensorsDecoder(const Signature& signature, JsonPredictRequest& out) : signature_(signature), out_(out), readers_(out.readers) {
    out_.signature = &signature;
    out_.inputs.resize(signature.inputs.size());
    readers_.resize(signature.inputs.size());
  }

  // The reader stands at the value of "instances".
  Status DecodeInstances(JsonReader& json);
  // The reader stands at the value of "inputs".
  Status DecodeInputs(JsonReader& json);

 private:
  // The first row is no object: all of them are the only input's.
  Status DecodeListRows(JsonReader& json, const char* list);
  Status ExplainListRows(JsonReader& json, const Status& found);
  // The rows are objects with a member for each input.
  Status DecodeObjectRows(JsonReader& json);
  Status DecodeObjectRow(JsonReader& json, int64_t row);
  Status DecodeNamedInputs(JsonReader& json);

  void StartReader(size_t input, const JsonReader& json) {
    const auto left = static_cast<size_t>(json.document().data() + json.document().size() - json.position());
    readers_[input].Start(signature_.inputs[input].dtype, signature_.inputs[input].shape, left, std::move(out_.inputs[input]).ReleaseBuffer());
    out_.inputs[input] = Tensor();
  }
  void StartAllReaders(const JsonReader& json) {
    for (size_t i = 0; i < readers_.size(); ++i) StartReader(i, json);
  }

  const Signature& signature_;
  JsonPredictRequest& out_;
  std::vector<JsonTensorReader>& readers_;
};

Status TensorsDecoder::DecodeInstances(JsonReader& json) {
  out_.format = JsonFormat::kRow;
  StartAllReaders(json);
  const char* const list = json.position();
  json.Advance();
  const bool objects = json.Peek() == '{' && !IsBase64Object(json);
  if (objects) return DecodeObjectRows(json);
  if (signature_.inputs.size() > 1) {
    return InvalidArgumentError("instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map");
  }
  return DecodeListRows(json, list);
}

Status TensorsDecoder::DecodeListRows(JsonReader& json, const char* list) {
  // The rows agree with each other exactly when the list of them is one tensor, which is the faster thing to read.
  json.Seek(list);
  if (const Status status = readers_[0].ReadValue(json); !status.ok()) {
    json.Seek(list);
    return ExplainListRows(json, status);
  }
  TFLS_ASSIGN_OR_RETURN(out_.inputs[0], readers_[0].FinishListOfRows());
  return OkStatus();
}

Status TensorsDecoder::ExplainListRows(JsonReader& json, const Status& found) {
  StartReader(0, json);
  JsonStep step = json.EnterArray();
  for (int64_t row = 0; step == JsonStep::kItem; ++row, step = json.NextElement()) {
    if (json.Peek() == '{' && !IsBase64Object(json)) {
      return InvalidArgumentError(fmt::format("Expecting value/list but got object at item {} of input list", row));
    }
    if (const Status status = readers_[0].ReadRow(json); !status.ok()) return RowError(fmt::to_string(row), status);
  }
  return found;
}

Status TensorsDecoder::DecodeObjectRows(JsonReader& json) {
  for (int64_t row = 0;; ++row) {
    TFLS_RETURN_IF_ERROR(DecodeObjectRow(json, row));
    const JsonStep step = json.NextElement();
    if (step == JsonStep::kFault) return json.Fault();
    if (step == JsonStep::kEnd) break;
  }
  for (size_t i = 0; i < readers_.size(); ++i) {
    TFLS_ASSIGN_OR_RETURN(out_.inputs[i], readers_[i].FinishRows());
  }
  return OkStatus();
}

Status TensorsDecoder::DecodeObjectRow(JsonReader& json, int64_t row) {
  if (json.Peek() != '{' || IsBase64Object(json)) {
    return InvalidArgumentError(fmt::format("Expecting object but got list at item {} of input list", row));
  }
  const char* const object = json.position();
  size_t inputs_read = 0;
  std::string_view key;
  JsonStep step = json.EnterObject(key);
  for (; step == JsonStep::kItem; step = json.NextMember(key)) {
    const int input = signature_.FindInput(key);
    if (input < 0) {
      return RowError(fmt::format("{} key: {}", row, key), InvalidArgumentError(fmt::format("JSON object: does not have named input: {}", key)));
    }
    JsonTensorReader& reader = readers_[static_cast<size_t>(input)];
    if (reader.rows() > row) {  // a key for the second time: the first one counts
      if (!json.SkipValue()) return json.Fault();
      continue;
    }
    if (const Status status = reader.ReadRow(json); !status.ok()) {
      return RowError(fmt::format("{} key: {}", row, signature_.inputs[static_cast<size_t>(input)].name), status);
    }
    ++inputs_read;
  }
  if (step == JsonStep::kFault) return json.Fault();
  if (inputs_read == signature_.inputs.size()) return OkStatus();
  std::vector<std::string_view> names;
  names.reserve(signature_.inputs.size());
  for (const TensorSpec& input : signature_.inputs) names.emplace_back(input.name);
  std::ranges::sort(names);
  return InvalidArgumentError(fmt::format("Failed to process element: {} of 'instances' list. JSON object: {} keys must be equal to: {}", row,
                                          JsonValueText(json, object), fmt::join(names, ",")));
}

Status TensorsDecoder::DecodeInputs(JsonReader& json) {
  out_.format = JsonFormat::kColumnar;
  StartAllReaders(json);
  if (json.Peek() == '{' && !IsBase64Object(json)) return DecodeNamedInputs(json);
  if (signature_.inputs.size() > 1) {
    return InvalidArgumentError("inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map");
  }
  TFLS_RETURN_IF_ERROR(readers_[0].ReadValue(json));
  TFLS_ASSIGN_OR_RETURN(out_.inputs[0], readers_[0].Finish());
  return OkStatus();
}

Status TensorsDecoder::DecodeNamedInputs(JsonReader& json) {
  std::string_view key;
  JsonStep step = json.EnterObject(key);
  for (; step == JsonStep::kItem; step = json.NextMember(key)) {
    const int input = signature_.FindInput(key);
    if (input < 0 || out_.inputs[static_cast<size_t>(input)].dtype() != DType::kInvalid) {
      if (!json.SkipValue()) return json.Fault();
      continue;
    }
    JsonTensorReader& reader = readers_[static_cast<size_t>(input)];
    TFLS_RETURN_IF_ERROR(reader.ReadValue(json));
    TFLS_ASSIGN_OR_RETURN(out_.inputs[static_cast<size_t>(input)], reader.Finish());
  }
  if (step == JsonStep::kFault) return json.Fault();
  for (size_t i = 0; i < out_.inputs.size(); ++i) {
    if (out_.inputs[i].dtype() == DType::kInvalid) {
      return InvalidArgumentError(fmt::format("Missing named input: {} in 'inputs' object.", signature_.inputs[i].name));
    }
  }
  return OkStatus();
}

// One of the outputs that are written.
struct NamedOutput {
  std::string_view name;
  const Shape& shape;
  JsonTensorWriter writer;
};

// How many rows all of them have.
StatusOr<int64_t> CountRows(std::span<const NamedOutput> outputs) {
  std::optional<int64_t> rows;
  for (const auto& [name, shape, writer] : outputs) {
    if (shape.rank() == 0) return InvalidArgumentError(fmt::format("Tensor name: {} has no shape information ", name));
    if (rows && *rows != shape[0]) {
      return InvalidArgumentError(fmt::format("Tensor name: {} has inconsistent batch size: {} expecting: {}", name, shape[0], *rows));
    }
    rows = shape[0];
  }
  return *rows;
}

// Where the members stand that mean something; nullptr for one that is missing. Of several with the same key the first counts.
struct Members {
  const char* signature_name = nullptr;
  const char* instances = nullptr;
  const char* inputs = nullptr;
  const char* output_filter = nullptr;

  const char** Find(std::string_view key) {
    if (key == kInstancesKey) return &instances;
    if (key == kInputsKey) return &inputs;
    if (key == kFilterKey) return &output_filter;
    return key == kSignatureKey ? &signature_name : nullptr;
  }
};

// Reads the list of names at the reader's position. False: it is none, or too long.
bool ReadNames(JsonReader& json, std::vector<std::string>& names) {
  if (json.Peek() != '[') return false;
  JsonStep step = json.EnterArray();
  for (; step == JsonStep::kItem; step = json.NextElement()) {
    std::string_view name;
    if (names.size() == kMaxRequestNames || json.Peek() != '"' || !json.ReadString(name)) return false;
    names.emplace_back(name);
  }
  return step == JsonStep::kEnd;
}

Status DecodeTensors(JsonReader& json, const char* document, const Members& members, const Signature& signature, JsonPredictRequest& out) {
  if (members.instances == nullptr && members.inputs == nullptr) return InvalidArgumentError("Missing 'inputs' or 'instances' key");
  if (members.instances != nullptr && members.inputs != nullptr) {
    return DocumentError(json, document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ");
  }
  TensorsDecoder decoder(signature, out);
  if (members.inputs != nullptr) {
    json.Seek(members.inputs);
    return decoder.DecodeInputs(json);
  }
  json.Seek(members.instances);
  if (json.Peek() != '[') return DocumentError(json, document, "Expecting 'instances' to be an list/array");
  if (JsonReader ahead = json; ahead.EnterArray() == JsonStep::kEnd) return DocumentError(json, document, "No values in 'instances' array");
  return decoder.DecodeInstances(json);
}

// The whole of a valid request in one go. False: something is wrong, or in an order that one pass cannot follow; DecodeThoroughly will tell.
class SinglePass {
 public:
  SinglePass(std::span<const char> body, const SignatureResolver& resolve, JsonPredictRequest& out)
      : json_({body.data(), body.size()}), resolve_(resolve), out_(out) {}

  bool Decode() {
    if (json_.Peek() != '{') return false;
    document_ = json_.position();
    std::string_view key;
    JsonStep step = json_.EnterObject(key);
    for (; step == JsonStep::kItem; step = json_.NextMember(key)) {
      const char** const member = members_.Find(key);
      const bool passed = member == nullptr || *member != nullptr ? json_.SkipValue() : DecodeMember(*member);
      if (!passed) return false;
    }
    return step == JsonStep::kEnd && decoded_;
  }

 private:
  bool DecodeMember(const char*& member) {
    member = json_.position();
    if (member == members_.signature_name) {
      std::string_view name;
      if (json_.Peek() != '"' || !json_.ReadString(name)) return false;
      // What was decoded before it was the default signature's. Addresses do not tell: a resolver may use one again.
      return (!decoded_ || name.empty() || name == kDefaultSignatureKey) && Resolve(name);
    }
    if (member == members_.output_filter) return ReadNames(json_, out_.output_filter);
    if (signature_ == nullptr && !Resolve("")) return false;
    decoded_ = true;
    return DecodeTensors(json_, document_, members_, *signature_, out_).ok();
  }

  bool Resolve(std::string_view name) {
    const StatusOr<const Signature*> signature = resolve_(name);
    if (!signature.ok()) return false;
    signature_ = *signature;
    return !signature_->inputs.empty();
  }

  JsonReader json_;
  const SignatureResolver& resolve_;
  JsonPredictRequest& out_;
  const char* document_ = nullptr;
  Members members_;
  const Signature* signature_ = nullptr;
  bool decoded_ = false;
};

// Any request: its syntax, throughout; then, in the original's order, what it means.
Status DecodeThoroughly(std::span<const char> body, const SignatureResolver& resolve, JsonPredictRequest& out) {
  JsonReader json({body.data(), body.size()});
  const char* document = nullptr;
  Members members;
  TFLS_RETURN_IF_ERROR(FindMembers(json, [&](std::string_view key) { return members.Find(key); }, document));
  std::string_view name;
  TFLS_RETURN_IF_ERROR(ReadSignatureName(json, document, members.signature_name, name));
  out.output_filter.clear();
  if (members.output_filter != nullptr) {
    JsonReader filter = json;
    filter.Seek(members.output_filter);
    if (!ReadNames(filter, out.output_filter)) {
      return DocumentError(json, document,
                           fmt::format("not formatted correctly. 'output_filter' key must be a list of at most {} strings.", kMaxRequestNames));
    }
  }
  TFLS_ASSIGN_OR_RETURN(const Signature* const signature, resolve(name));
  if (signature->inputs.empty()) {
    return InvalidArgumentError(fmt::format("Failed to get input map for signature: {}", name.empty() ? "DEFAULT" : name));
  }
  return DecodeTensors(json, document, members, *signature, out);
}

}  // namespace

Status DecodeJsonPredict(std::span<const char> body, const SignatureResolver& resolve, JsonPredictRequest& out) {
  out.output_filter.clear();
  if (SinglePass(body, resolve, out).Decode()) return OkStatus();
  const Status status = DecodeThoroughly(body, resolve, out);
  if (!status.ok()) out.readers.clear();  // they hold what was read so far
  return status;
}

Status EncodeJsonPredict(const Signature& signature, std::span<const TensorView> outputs, JsonFormat format, std::string& out,
                         std::span<const int> selected) {
  if (outputs.empty()) return InvalidArgumentError("Cannot convert empty tensor map to JSON");
  if (outputs.size() != signature.outputs.size()) {
    return InternalError(fmt::format("signature \"{}\" has {} outputs, got {}", signature.key, signature.outputs.size(), outputs.size()));
  }
  static thread_local std::vector<NamedOutput> written;  // so that its memory is used again
  written.clear();
  const size_t count = selected.empty() ? outputs.size() : selected.size();
  written.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = selected.empty() ? i : static_cast<size_t>(selected[i]);
    const std::string& name = signature.outputs[at].name;
    TFLS_ASSIGN_OR_RETURN(const JsonTensorWriter writer, JsonTensorWriter::Create(name, outputs[at]));
    written.push_back({name, outputs[at].shape, writer});
  }
  const bool named = count > 1;
  // One value: that of the only output, or an object of all.
  const auto write_value = [&](JsonBuffer& buffer, const auto& write_tensor) {
    for (size_t i = 0; i < count; ++i) {
      if (named) {
        buffer.Append(i == 0 ? '{' : ',');
        buffer.AppendString(written[i].name);
        buffer.Append(':');
      }
      write_tensor(written[i].writer, buffer);
    }
    if (named) buffer.Append('}');
  };
  if (format == JsonFormat::kColumnar) {
    JsonBuffer buffer(out);
    buffer.Append("{\"outputs\":");
    write_value(buffer, [](JsonTensorWriter& tensor, JsonBuffer& to) { tensor.WriteAll(to); });
    buffer.Append('}');
    buffer.Finish();
    return OkStatus();
  }
  TFLS_ASSIGN_OR_RETURN(const int64_t rows, CountRows(written));
  JsonBuffer buffer(out);
  buffer.Append("{\"predictions\":[");
  for (int64_t row = 0; row < rows; ++row) {
    if (row > 0) buffer.Append(',');
    write_value(buffer, [](JsonTensorWriter& tensor, JsonBuffer& to) { tensor.WriteRow(to); });
  }
  buffer.Append("]}");
  buffer.Finish();
  return OkStatus();
}

}  // namespace tflite_serving
