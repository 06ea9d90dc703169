// A pull reader for JSON text: the caller asks for what it expects next, nothing is built that it did not ask for.
//
//   JsonReader json(document);
//   std::string_view key;
//   for (auto step = json.EnterObject(key); step != JsonStep::kEnd; step = json.NextMember(key)) {
//     if (step == JsonStep::kFault) return json.Fault();
//     if (key == "x") Use(json); else if (!json.SkipValue()) return json.Fault();
//   }
//
// The language is RapidJSON's with the flags that TensorFlow Serving sets, since its clients rely on it: NaN, Inf and Infinity are numbers, a
// UTF-8 byte order mark is skipped, text behind the document is not looked at, strings are not checked to be UTF-8. Messages and offsets of
// faults are RapidJSON's too.
//
// No function here recurses; SkipValue needs one bit for each level of nesting. Thread-compatible.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"
#include "codec/json_numbers.h"

namespace tflite_serving {

enum class JsonStep { kItem, kEnd, kFault };

// What a value is, told by its first character.
enum class JsonType { kNull, kFalse, kTrue, kObject, kArray, kString, kNumber, kNone };

JsonType JsonTypeOf(char first);
// "Object", as in error messages.
std::string_view JsonTypeName(JsonType type);

class JsonReader {
 public:
  // Borrows `document`, behind which kJsonPaddingBytes zero bytes must be readable. A zero byte inside ends the document there.
  explicit JsonReader(std::string_view document);

  // The place of the next character. Seek accepts what position() has returned.
  const char* position() const { return position_; }
  void Seek(const char* position) { position_ = position; }
  std::string_view document() const { return document_; }

  // Passes white space. The next character, or a zero byte at the end.
  char Peek() {
    while (*position_ == ' ' || *position_ == '\n' || *position_ == '\r' || *position_ == '\t') ++position_;
    return *position_;
  }
  // Passes one character that Peek has shown.
  void Advance() { ++position_; }

  // At the start: to the document's value. False: there is none, which is a fault.
  bool EnterDocument();

  // At '{' or behind a member's value: to the next value, with its key (valid until the next string is read); or behind the '}'.
  JsonStep EnterObject(std::string_view& key);
  JsonStep NextMember(std::string_view& key);

  // At '[' or behind an element: to the next element; or behind the ']'.
  JsonStep EnterArray();
  JsonStep NextElement();

  // At '"': the text without its escapes, valid until the next string is read, as long as the document. False: a fault.
  bool ReadString(std::string_view& text);

  // Passes any value and checks its syntax throughout. False: a fault.
  bool SkipValue();

  // INVALID_ARGUMENT `JSON Parse error: Invalid value. at offset: 12`. Requires that a function has just reported a fault.
  Status Fault() const;

 private:
  bool SetFault(const char* message, const char* where);
  JsonStep ReadKey(std::string_view& key);
  bool SkipKey();
  bool SkipScalar();
  // From behind the opening quote to behind the closing one.
  bool SkipString(bool& has_escapes);
  // From a backslash to behind its escape.
  bool SkipEscape();

  std::string_view document_;
  const char* position_;
  const char* fault_message_ = nullptr;
  const char* fault_position_ = nullptr;
  std::string unescaped_;
};

// If the object at the reader's position is {"b64": "<text>"} and has no other key: passes it and returns true. Otherwise stays there.
bool ReadBase64Object(JsonReader& json, std::string_view& encoded);

}  // namespace tflite_serving
