#include "codec/json_examples.h"

#include <array>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "codec/base64.h"
#include "codec/json_numbers.h"
#include "codec/json_reader.h"
#include "codec/json_request.h"
#include "codec/json_value_text.h"
#include "codec/json_writer.h"
#include "example/example_reader.h"
#include "wire/message_writer.h"

namespace tflite_serving {
namespace {

void AppendVarint(std::string& out, uint64_t value) {
  const size_t at = out.size();
  out.resize(at + VarintSize(value));
  MessageWriter(std::as_writable_bytes(std::span(out).subspan(at))).Varint(value);
}

void AppendDelimited(std::string& out, uint32_t number, std::string_view inside) {
  const size_t at = out.size();
  out.resize(at + DelimitedSize(number, inside.size()));
  MessageWriter writer(std::as_writable_bytes(std::span(out).subspan(at)));
  writer.Delimited(number, inside.size());
  writer.Text(inside);
}

// Reads JSON objects as serialized Examples; reused, so that its memory is. The document's syntax has been checked.
class ExampleDecoder {
 public:
  // The serialized example that stands at the reader's position; valid until the next one is read.
  StatusOr<std::string_view> Read(JsonReader& json) {
    if (json.Peek() != '{') {
      return InvalidArgumentError(fmt::format("Example must be JSON object but got JSON {}", JsonTypeName(JsonTypeOf(json.Peek()))));
    }
    features_.clear();
    std::string_view key;
    JsonStep step = json.EnterObject(key);
    for (; step == JsonStep::kItem; step = json.NextMember(key)) {
      name_ = key;
      TFLS_RETURN_IF_ERROR(ReadFeature(json));
    }
    if (step == JsonStep::kFault) return json.Fault();
    example_.clear();
    AppendDelimited(example_, 1, features_);
    return std::string_view(example_);
  }

 private:
  // A value or a flat list becomes an entry of the map Features.feature.
  Status ReadFeature(JsonReader& json) {
    kind_ = FeatureKind::kNone;
    values_.clear();
    if (json.Peek() == '[') {
      JsonStep step = json.EnterArray();
      for (; step == JsonStep::kItem; step = json.NextElement()) TFLS_RETURN_IF_ERROR(ReadValue(json));
      if (step == JsonStep::kFault) return json.Fault();
    } else {
      TFLS_RETURN_IF_ERROR(ReadValue(json));
    }
    list_.clear();
    feature_.clear();
    entry_.clear();
    if (kind_ != FeatureKind::kNone) {
      const bool packed = kind_ != FeatureKind::kBytes;
      if (packed) AppendDelimited(list_, 1, values_);
      AppendDelimited(feature_, static_cast<uint32_t>(kind_), packed ? list_ : values_);
    }
    AppendDelimited(entry_, 1, name_);
    AppendDelimited(entry_, 2, feature_);
    AppendDelimited(features_, 1, entry_);
    return OkStatus();
  }

  Status ReadValue(JsonReader& json) {
    const JsonType type = JsonTypeOf(json.Peek());
    switch (type) {
      case JsonType::kTrue:
      case JsonType::kFalse:
        TFLS_RETURN_IF_ERROR(TakeKind(FeatureKind::kInt64));
        AppendVarint(values_, type == JsonType::kTrue ? 1 : 0);
        return json.SkipValue() ? OkStatus() : json.Fault();
      case JsonType::kNumber:
        return ReadNumber(json);
      case JsonType::kString: {
        TFLS_RETURN_IF_ERROR(TakeKind(FeatureKind::kBytes));
        std::string_view text;
        if (!json.ReadString(text)) return json.Fault();
        AppendDelimited(values_, 1, text);
        return OkStatus();
      }
      case JsonType::kObject: {
        std::string_view encoded;
        if (!ReadBase64Object(json, encoded)) break;
        TFLS_RETURN_IF_ERROR(TakeKind(FeatureKind::kBytes));
        bytes_.clear();
        if (!DecodeBase64(encoded, bytes_)) return InvalidArgumentError("Unable to base64 decode");
        AppendDelimited(values_, 1, bytes_);
        return OkStatus();
      }
      default:
        break;
    }
    return InvalidArgumentError(fmt::format("Feature: {} has element with unexpected JSON type: {}", name_, JsonTypeName(type)));
  }

  // A whole number is an int64, one beyond uint64 a float, as in RapidJSON.
  Status ReadNumber(JsonReader& json) {
    const char* position = json.position();
    std::array<std::byte, sizeof(uint64_t)> bytes{};
    const bool is_whole = ScanNumber(position).is_integer;
    const bool is_int64 = is_whole && integers_.read_one(position, bytes.data()) == NumberResult::kOk;
    const bool is_uint64 = is_whole && !is_int64 && naturals_.read_one(position, bytes.data()) == NumberResult::kOk;
    TFLS_RETURN_IF_ERROR(TakeKind(is_int64 || is_uint64 ? FeatureKind::kInt64 : FeatureKind::kFloat));
    if (is_uint64) return InvalidArgumentError(fmt::format("Feature: {} has uint64_t element. Only int64_t is supported.", name_));
    if (is_int64) {
      uint64_t value = 0;
      std::memcpy(&value, bytes.data(), sizeof(value));
      AppendVarint(values_, value);
    } else {
      if (floats_.read_one(position, bytes.data()) != NumberResult::kOk) return InternalError("a number that was accepted cannot be read");
      values_.append(reinterpret_cast<const char*>(bytes.data()), sizeof(float));
    }
    json.Seek(position);
    return OkStatus();
  }

  // The first value of a feature decides the kind of all of them.
  Status TakeKind(FeatureKind kind) {
    if (kind_ == FeatureKind::kNone) kind_ = kind;
    if (kind_ == kind) return OkStatus();
    return InvalidArgumentError(fmt::format("Unexpected element type in feature: {} expecting type: {}", name_, FeatureKindName(kind_)));
  }

  const NumberReader& integers_ = *NumberReaderFor(DType::kInt64);
  const NumberReader& naturals_ = *NumberReaderFor(DType::kUint64);
  const NumberReader& floats_ = *NumberReaderFor(DType::kFloat);

  // The feature being read.
  std::string name_;
  FeatureKind kind_ = FeatureKind::kNone;
  std::string values_;  // packed numbers, or fields of bytes
  std::string list_;
  std::string feature_;
  std::string entry_;
  std::string bytes_;

  std::string features_;
  std::string example_;
};

struct Members {
  const char* signature_name = nullptr;
  const char* context = nullptr;
  const char* examples = nullptr;

  const char** Find(std::string_view key) {
    if (key == "signature_name") return &signature_name;
    if (key == "context") return &context;
    return key == "examples" ? &examples : nullptr;
  }
};

}  // namespace

Status DecodeJsonExamples(std::span<const char> body, std::string& signature_name, SerializedExamples& examples) {
  JsonReader json({body.data(), body.size()});
  const char* document = nullptr;
  Members members;
  TFLS_RETURN_IF_ERROR(FindMembers(json, [&](std::string_view key) { return members.Find(key); }, document));
  std::string_view name;
  TFLS_RETURN_IF_ERROR(ReadSignatureName(json, document, members.signature_name, name));
  signature_name = name;

  examples.Clear();
  ExampleDecoder decoder;
  if (members.context != nullptr) {
    json.Seek(members.context);
    TFLS_ASSIGN_OR_RETURN(const std::string_view context, decoder.Read(json));
    examples.SetContext(context);
  }
  // The words are the original's, whatever the method.
  if (members.examples == nullptr) {
    return DocumentError(json, document, "When method is classify, key 'examples' is expected and was not found");
  }
  json.Seek(members.examples);
  if (json.Peek() != '[') return DocumentError(json, document, "Expecting 'examples' value to be an list/array");
  JsonStep step = json.EnterArray();
  if (step == JsonStep::kEnd) return DocumentError(json, document, "'examples' value is an empty array");
  for (; step == JsonStep::kItem; step = json.NextElement()) {
    TFLS_ASSIGN_OR_RETURN(const std::string_view example, decoder.Read(json));
    TFLS_RETURN_IF_ERROR(examples.Add(example));
  }
  return step == JsonStep::kFault ? json.Fault() : OkStatus();
}

namespace {

void AppendNumber(JsonBuffer& buffer, float value) { buffer.Commit(WriteNumber(buffer.Reserve(kMaxNumberChars), value)); }

void AppendResults(JsonBuffer& buffer, const Regressions& regressions) {
  for (size_t i = 0; i < regressions.values.size(); ++i) {
    if (i > 0) buffer.Append(',');
    AppendNumber(buffer, regressions.values[i]);
  }
}

void AppendResults(JsonBuffer& buffer, const Classifications& classifications) {
  for (size_t i = 0; i < classifications.num_examples; ++i) {
    buffer.Append(i == 0 ? "[" : ",[");
    for (size_t c = 0; c < classifications.classes_per_example; ++c) {
      const ClassScore& one = classifications.classes[i * classifications.classes_per_example + c];
      buffer.Append(c == 0 ? "[" : ",[");
      buffer.AppendString(one.label);
      buffer.Append(',');
      AppendNumber(buffer, one.score);
      buffer.Append(']');
    }
    buffer.Append(']');
  }
}

}  // namespace

void EncodeJsonResults(const InferenceResult& result, std::string& out) {
  JsonBuffer buffer(out);
  buffer.Append("{\"results\":[");
  std::visit([&](const auto& results) { AppendResults(buffer, results); }, result);
  buffer.Append("]}");
  buffer.Finish();
}

}  // namespace tflite_serving
