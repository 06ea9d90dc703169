#include "codec/metadata_json.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// A string as protobuf's JSON escapes it: like others, and also what would be harmful inside of HTML.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
    constexpr std::string_view kLetters = "\"\\bfnrt";
    constexpr char kDelete = 0x7F;
    const bool is_control = (c >= 0 && c < ' ') || c == kDelete;
    if (const size_t i = kShort.find(c); i != std::string_view::npos) {
      quoted += {'\\', kLetters[i]};
    } else if (is_control || c == '<' || c == '>') {
      quoted += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// Builds protobuf's layout: a member or element a line, one space for each level, "{}" and "[]" for empty ones.
class Layout {
 public:
  void Open(char bracket) {
    StartItem();
    OpenHere(bracket);
  }
  void Open(std::string_view name, char bracket) {
    StartMember(name);
    OpenHere(bracket);
  }
  void Close() {
    const char bracket = closing_.back();
    closing_.pop_back();
    if (!is_empty_) StartLine();
    is_empty_ = false;
    text_ += bracket;
  }
  void String(std::string_view name, std::string_view value) { Value(name, Quoted(value)); }
  void Bool(std::string_view name, bool value) { Value(name, value ? "true" : "false"); }
  void Float(std::string_view name, float value) { Value(name, fmt::format("{}", value)); }

  // The text, once everything is closed.
  std::string Finish() && { return std::move(text_) + '\n'; }

 private:
  void Value(std::string_view name, std::string_view text) {
    StartMember(name);
    text_ += text;
  }
  void StartMember(std::string_view name) {
    StartItem();
    text_ += Quoted(name) + ": ";
  }
  void StartItem() {
    if (closing_.empty()) return;
    if (!is_empty_) text_ += ',';
    is_empty_ = false;
    StartLine();
  }
  void OpenHere(char bracket) {
    text_ += bracket;
    closing_.push_back(bracket == '{' ? '}' : ']');
    is_empty_ = true;
  }
  void StartLine() {
    text_ += '\n';
    text_.append(closing_.size(), ' ');
  }

  std::string text_;
  std::string closing_;    // the brackets that are still to come, the last one first to close
  bool is_empty_ = false;  // nothing stands in the innermost bracket yet
};

// The elements of `items`, sorted by what `key` says.
template <class Item>
std::vector<const Item*> SortedBy(std::span<const Item> items, std::string Item::* key) {
  std::vector<const Item*> sorted;
  for (const Item& item : items) sorted.push_back(&item);
  std::ranges::sort(sorted, {}, [key](const Item* item) -> const std::string& { return item->*key; });
  return sorted;
}

void AddTensors(Layout& json, std::string_view name, std::span<const TensorSpec> tensors, bool with_quantization) {
  json.Open(name, '{');
  for (const TensorSpec* tensor : SortedBy(tensors, &TensorSpec::name)) {
    json.Open(tensor->name, '{');
    json.String("dtype", DTypeProtoName(tensor->dtype));
    json.Open("tensor_shape", '{');
    json.Open("dim", '[');
    for (const int64_t dim : tensor->shape.dims()) {
      json.Open('{');
      json.String("size", fmt::to_string(dim));
      json.String("name", "");
      json.Close();
    }
    json.Close();
    json.Bool("unknown_rank", false);
    json.Close();
    json.String("name", tensor->tensor_name);
    if (with_quantization && tensor->quantization) {
      json.Open("quantization", '{');
      json.Float("scale", tensor->quantization->scale);
      json.String("zero_point", fmt::to_string(tensor->quantization->zero_point));
      json.Close();
    }
    json.Close();
  }
  json.Close();
}

// `with_memory` is for lists of our own; to the original's messages nothing may be added.
void AddVersions(Layout& json, std::string_view name, std::span<const VersionStatus> versions, bool with_memory) {
  json.Open(name, '[');
  for (const VersionStatus& version : versions) {
    json.Open('{');
    json.String("version", fmt::to_string(version.version));
    json.String("state", VersionStateName(version.state));
    json.Open("status", '{');
    json.String("error_code", StatusCodeName(version.status.code()));
    json.String("error_message", version.status.message());
    json.Close();
    if (with_memory) json.String("memory_bytes", fmt::to_string(version.memory_bytes));
    json.Close();
  }
  json.Close();
}

std::string SignaturesJson(std::span<const Signature> signatures, bool with_quantization) {
  Layout json;
  json.Open('{');
  json.Open("signature_def", '{');
  for (const Signature* signature : SortedBy(signatures, &Signature::key)) {
    json.Open(signature->key, '{');
    AddTensors(json, "inputs", signature->inputs, with_quantization);
    AddTensors(json, "outputs", signature->outputs, with_quantization);
    json.String("method_name", signature->method_name);
    json.Open("defaults", '{');
    json.Close();
    json.Close();
  }
  json.Close();
  json.Close();
  return std::move(json).Finish();
}

}  // namespace

std::string ModelStatusJson(std::span<const VersionStatus> versions) {
  Layout json;
  json.Open('{');
  AddVersions(json, "model_version_status", versions, false);
  json.Close();
  return std::move(json).Finish();
}

std::string ModelListJson(std::span<const ModelStatus> models) {
  Layout json;
  json.Open('{');
  json.Open("models", '[');
  for (const ModelStatus& model : models) {
    json.Open('{');
    json.String("name", model.name);
    AddVersions(json, "versions", model.versions, true);
    json.Close();
  }
  json.Close();
  json.Close();
  return std::move(json).Finish();
}

std::string ReadinessJson(bool ready, bool draining, std::span<const std::pair<std::string, std::string>> not_serving) {
  Layout json;
  json.Open('{');
  json.Bool("ready", ready);
  json.Bool("draining", draining);
  json.Open("models", '{');
  for (const auto& [model, why] : not_serving) json.String(model, why);
  json.Close();
  json.Close();
  return std::move(json).Finish();
}

std::string ModelMetadataJson(const ServableId& id, std::span<const Signature> signatures, bool with_quantization) {
  Layout spec;
  spec.Open('{');
  spec.String("name", id.name);
  spec.String("signature_name", "");
  spec.String("version", fmt::to_string(id.version));
  spec.Close();
  return fmt::format("{{\n\"model_spec\":{},\n\"metadata\": {{\"signature_def\": {}}}\n}}\n", std::move(spec).Finish(),
                     SignaturesJson(signatures, with_quantization));
}

}  // namespace tflite_serving
