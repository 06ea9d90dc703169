#include "codec/json_bridge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "codec/json_numbers.h"
#include "codec/json_predict.h"
#include "codec/json_reader.h"
#include "codec/json_request.h"
#include "codec/json_tensor_writer.h"
#include "codec/json_writer.h"
#include "codec/predict_proto.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kPredictions = "predictions";
constexpr std::string_view kOutputs = "outputs";
constexpr std::string_view kError = "error";

// `text` with the zero bytes behind it that JsonReader may read.
std::string Padded(std::string_view text) {
  std::string padded;
  padded.reserve(text.size() + kJsonPaddingBytes);
  padded.append(text).append(kJsonPaddingBytes, '\0');
  return padded;
}
std::string_view Unpadded(const std::string& padded) { return std::string_view(padded).substr(0, padded.size() - kJsonPaddingBytes); }

struct Column {
  std::string_view name;
  JsonTensorWriter writer;
};

// How many rows all of these have; nothing if that is not one number.
std::optional<int64_t> RowsOf(std::span<const NamedTensor> inputs) {
  std::optional<int64_t> rows;
  for (const auto& [name, tensor] : inputs) {
    if (tensor.shape.rank() == 0 || (rows && *rows != tensor.shape[0])) return std::nullopt;
    rows = tensor.shape[0];
  }
  return rows;
}

void WriteRows(std::span<Column> columns, int64_t rows, JsonBuffer& out) {
  out.Append('[');
  for (int64_t row = 0; row < rows; ++row) {
    if (row > 0) out.Append(',');
    if (columns.size() > 1) out.Append('{');
    for (Column& column : columns) {
      if (&column != columns.data()) out.Append(',');
      if (columns.size() > 1) {
        out.AppendString(column.name);
        out.Append(':');
      }
      column.writer.WriteRow(out);
    }
    if (columns.size() > 1) out.Append('}');
  }
  out.Append(']');
}

void WriteColumns(std::span<Column> columns, JsonBuffer& out) {
  out.Append('{');
  for (Column& column : columns) {
    if (&column != columns.data()) out.Append(',');
    out.AppendString(column.name);
    out.Append(':');
    column.writer.WriteAll(out);
  }
  out.Append('}');
}

// The type of a tensor whose text this is, or a part of it.
DType TypeOf(std::string_view text) {
  const size_t first = text.find_first_not_of("[] \t\r\n,");
  if (first == std::string_view::npos) return DType::kFloat;  // of no elements
  switch (JsonTypeOf(text[first])) {
    case JsonType::kString:
    case JsonType::kObject:  // {"b64": …}
      return DType::kString;
    case JsonType::kTrue:
    case JsonType::kFalse:
      return DType::kBool;
    default:
      return text.find_first_of(".eEnN") == std::string_view::npos ? DType::kInt64 : DType::kFloat;  // "Infinity" has an n
  }
}

bool IsNamed(JsonReader json) {
  std::string_view encoded;
  return json.Peek() == '{' && !ReadBase64Object(json, encoded);
}

// Notes the members of the object at the reader's position as outputs.
void SeeMembers(JsonReader& json, std::vector<TensorSpec>& specs) {
  std::string_view key;
  for (JsonStep step = json.EnterObject(key); step == JsonStep::kItem; step = json.NextMember(key)) {
    const std::string name(key);
    json.Peek();
    const char* const start = json.position();
    if (!json.SkipValue()) return;
    const DType type = TypeOf({start, json.position()});
    const auto known = std::ranges::find(specs, name, &TensorSpec::name);
    if (known == specs.end()) {
      specs.push_back({.name = name, .tensor_name = name, .dtype = type});
    } else if (known->dtype == DType::kInt64 && type == DType::kFloat) {
      known->dtype = type;
    }
  }
}

// The outputs in the value at the reader's position: rows, or columns.
std::vector<TensorSpec> SeeOutputs(JsonReader json, std::string_view bare_name, bool is_rows, std::string_view value) {
  std::vector<TensorSpec> specs;
  if (!is_rows && IsNamed(json)) {
    SeeMembers(json, specs);
    return specs;
  }
  if (is_rows && json.Peek() == '[') {
    for (JsonStep step = json.EnterArray(); step == JsonStep::kItem && IsNamed(json); step = json.NextElement()) {
      json.Peek();
      SeeMembers(json, specs);
    }
  }
  if (specs.empty()) specs.push_back({.name = std::string(bare_name), .tensor_name = std::string(bare_name), .dtype = TypeOf(value)});
  return specs;
}

Status AnswerError(std::string_view what) { return InternalError(fmt::format("the servable's answer: {}", what)); }

}  // namespace

Status WriteJsonRequest(std::string_view signature_name, std::span<const NamedTensor> inputs, std::string& json) {
  std::vector<Column> columns;
  for (const auto& [name, tensor] : inputs) {
    TFLS_ASSIGN_OR_RETURN(const JsonTensorWriter writer, JsonTensorWriter::Create(name, tensor));
    columns.push_back({name, writer});
  }
  JsonBuffer out(json);
  out.Append('{');
  if (!signature_name.empty()) {
    out.Append("\"signature_name\":");
    out.AppendString(signature_name);
    out.Append(',');
  }
  if (const std::optional<int64_t> rows = RowsOf(inputs); rows && *rows > 0) {
    out.Append("\"instances\":");
    WriteRows(columns, *rows, out);
  } else {
    out.Append("\"inputs\":");
    WriteColumns(columns, out);
  }
  out.Append('}');
  out.Finish();
  return OkStatus();
}

StatusOr<JsonAnswerTensors> ReadJsonAnswer(std::string_view text) {
  const std::string padded = Padded(text);
  JsonReader json(Unpadded(padded));
  const char* document = nullptr;
  const char* predictions = nullptr;
  const char* outputs = nullptr;
  const Status found = FindMembers(
      json,
      [&](std::string_view key) -> const char** {
        if (key == kPredictions) return &predictions;
        return key == kOutputs ? &outputs : nullptr;
      },
      document);
  if (!found.ok()) return AnswerError(found.message());
  if ((predictions == nullptr) == (outputs == nullptr)) return AnswerError("expected an object with either \"predictions\" or \"outputs\"");

  const bool is_rows = predictions != nullptr;
  json.Seek(is_rows ? predictions : outputs);
  json.Peek();
  const JsonReader at_value = json;
  const char* const start = json.position();
  if (!json.SkipValue()) return AnswerError(json.Fault().message());
  const std::string_view value(start, json.position());
  JsonAnswerTensors answer;
  std::vector<TensorSpec> specs = SeeOutputs(at_value, is_rows ? kPredictions : kOutputs, is_rows, value);
  if (specs.size() > kMaxRequestNames) return AnswerError(fmt::format("{} outputs, where {} are allowed", specs.size(), kMaxRequestNames));
  // Read as a request would be that has these as its inputs.
  Signature as_inputs;
  as_inputs.inputs = specs;
  answer.signature.outputs = std::move(specs);
  std::string request = Padded(fmt::format("{{\"{}\":{}}}", is_rows ? "instances" : "inputs", value));
  JsonPredictRequest decoded;
  const Status status = DecodeJsonPredict(
      {request.data(), request.size() - kJsonPaddingBytes}, [&](std::string_view) -> StatusOr<const Signature*> { return &as_inputs; }, decoded);
  if (!status.ok()) return AnswerError(status.message());
  answer.outputs = std::move(decoded.inputs);
  return answer;
}

std::string ErrorOfJsonAnswer(std::string_view text) {
  const std::string padded = Padded(text);
  JsonReader json(Unpadded(padded));
  const char* document = nullptr;
  const char* error = nullptr;
  const Status found = FindMembers(json, [&](std::string_view key) { return key == kError ? &error : nullptr; }, document);
  std::string_view message;
  if (found.ok() && error != nullptr) {
    json.Seek(error);
    if (json.Peek() == '"' && json.ReadString(message)) return std::string(message);
  }
  return std::string(text);
}

}  // namespace tflite_serving
