#include "codec/json_request.h"

#include <fmt/format.h>

#include "codec/json_value_text.h"

namespace tflite_serving {

Status FindMembers(JsonReader& json, const std::function<const char**(std::string_view key)>& find, const char*& document) {
  if (json.document().empty()) return InvalidArgumentError("JSON Parse error: The document is empty");
  if (!json.EnterDocument()) return json.Fault();
  document = json.position();
  if (*document != '{') {
    if (!json.SkipValue()) return json.Fault();
    return DocumentError(json, document, "Is not object");
  }
  std::string_view key;
  JsonStep step = json.EnterObject(key);
  for (; step == JsonStep::kItem; step = json.NextMember(key)) {
    const char** const member = find(key);
    if (member != nullptr && *member == nullptr) *member = json.position();
    if (!json.SkipValue()) return json.Fault();
  }
  return step == JsonStep::kFault ? json.Fault() : OkStatus();
}

Status ReadSignatureName(JsonReader& json, const char* document, const char* member, std::string_view& name) {
  name = {};
  if (member == nullptr) return OkStatus();
  json.Seek(member);
  if (json.Peek() != '"') return DocumentError(json, document, "not formatted correctly. 'signature_name' key must be a string value.");
  return json.ReadString(name) ? OkStatus() : json.Fault();
}

Status DocumentError(const JsonReader& json, const char* document, std::string_view what) {
  return InvalidArgumentError(fmt::format("JSON Value: {} {}", JsonValueText(json, document), what));
}

}  // namespace tflite_serving
