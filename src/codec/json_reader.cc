#include "codec/json_reader.h"

#include <bit>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

constexpr char kInvalidValue[] = "Invalid value.";
constexpr char kNoName[] = "Missing a name for object member.";
constexpr char kNoColon[] = "Missing a colon after a name of object member.";
constexpr char kNoCommaInObject[] = "Missing a comma or } after an object member.";
constexpr char kNoCommaInArray[] = "Missing a comma or ] after an array element.";
constexpr char kNoQuote[] = "Missing a closing quotation mark in string.";
constexpr char kBadEscape[] = "Invalid escape character in string.";
constexpr char kBadHex[] = "Incorrect hex digit after \\u escape in string.";
constexpr char kBadSurrogate[] = "The surrogate pair in string is invalid.";
constexpr char kEmpty[] = "The document is empty.";

constexpr uint64_t EveryByte(uint64_t byte) { return byte * 0x0101010101010101; }

// The first byte of eight that may be below 0x20, a quote or a backslash. A byte above 0x7F may be taken for one behind a true one, never before.
uint64_t SpecialBytes(uint64_t word) {
  const auto zero_bytes = [](uint64_t x) { return (x - EveryByte(0x01)) & ~x & EveryByte(0x80); };
  const uint64_t controls = (word - EveryByte(0x20)) & ~word & EveryByte(0x80);
  return controls | zero_bytes(word ^ EveryByte('"')) | zero_bytes(word ^ EveryByte('\\'));
}

// To the next quote, backslash or control character. The zero bytes behind the document are of the last kind.
const char* FindSpecial(const char* p) {
  for (;; p += 8) {
    uint64_t word;
    std::memcpy(&word, p, sizeof(word));
    if (const uint64_t special = SpecialBytes(word); special != 0) return p + std::countr_zero(special) / 8;
  }
}

// The value of four hex digits, or -1.
int HexValue(const char* p) {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    const char letter = static_cast<char>(c | ' ');
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (letter >= 'a' && letter <= 'f') {
      digit = letter - 'a' + 10;
    } else {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

constexpr bool IsHighSurrogate(int unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
constexpr bool IsLowSurrogate(int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

void AppendUtf8(std::string& text, int code_point) {
  const auto put = [&text](int byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

// Appends what the escape at the backslash `p` stands for; its end. Requires that SkipEscape has accepted it.
const char* AppendUnescaped(std::string& text, const char* p) {
  switch (p[1]) {
    case 'b':
      text += '\b';
      return p + 2;
    case 'f':
      text += '\f';
      return p + 2;
    case 'n':
      text += '\n';
      return p + 2;
    case 'r':
      text += '\r';
      return p + 2;
    case 't':
      text += '\t';
      return p + 2;
    case 'u': {
      const int unit = HexValue(p + 2);
      if (!IsHighSurrogate(unit)) {
        AppendUtf8(text, unit);
        return p + 6;
      }
      AppendUtf8(text, 0x10000 + ((unit - 0xD800) << 10) + (HexValue(p + 8) - 0xDC00));
      return p + 12;
    }
    default:
      text += p[1];
      return p + 2;
  }
}

}  // namespace

JsonType JsonTypeOf(char first) {
  switch (first) {
    case 'n':
      return JsonType::kNull;
    case 'f':
      return JsonType::kFalse;
    case 't':
      return JsonType::kTrue;
    case '{':
      return JsonType::kObject;
    case '[':
      return JsonType::kArray;
    case '"':
      return JsonType::kString;
    default:
      return (first >= '0' && first <= '9') || first == '-' || first == 'N' || first == 'I' ? JsonType::kNumber : JsonType::kNone;
  }
}

std::string_view JsonTypeName(JsonType type) {
  constexpr std::string_view kNames[] = {"Null", "False", "True", "Object", "Array", "String", "Number", "None"};
  return kNames[static_cast<size_t>(type)];
}

JsonReader::JsonReader(std::string_view document) : document_(document), position_(document.data()) {
  if (document.starts_with(kByteOrderMark)) position_ += kByteOrderMark.size();
}

bool JsonReader::SetFault(const char* message, const char* where) {
  fault_message_ = message;
  fault_position_ = where;
  return false;
}

Status JsonReader::Fault() const {
  if (fault_message_ == nullptr) return InternalError("JsonReader::Fault without a fault");
  return InvalidArgumentError(fmt::format("JSON Parse error: {} at offset: {}", fault_message_, fault_position_ - document_.data()));
}

JsonStep JsonReader::ReadKey(std::string_view& key) {
  if (Peek() != '"') {
    SetFault(kNoName, position_);
    return JsonStep::kFault;
  }
  if (!ReadString(key)) return JsonStep::kFault;
  if (Peek() != ':') {
    SetFault(kNoColon, position_);
    return JsonStep::kFault;
  }
  Advance();
  Peek();
  return JsonStep::kItem;
}

bool JsonReader::SkipKey() {
  if (Peek() != '"') return SetFault(kNoName, position_);
  Advance();
  bool has_escapes;
  if (!SkipString(has_escapes)) return false;
  if (Peek() != ':') return SetFault(kNoColon, position_);
  Advance();
  return true;
}

bool JsonReader::EnterDocument() {
  if (Peek() != '\0') return true;
  return SetFault(kEmpty, position_);
}

JsonStep JsonReader::EnterObject(std::string_view& key) {
  Advance();
  if (Peek() != '}') return ReadKey(key);
  Advance();
  return JsonStep::kEnd;
}

JsonStep JsonReader::NextMember(std::string_view& key) {
  const char next = Peek();
  if (next != ',' && next != '}') {
    SetFault(kNoCommaInObject, position_);
    return JsonStep::kFault;
  }
  Advance();
  return next == ',' ? ReadKey(key) : JsonStep::kEnd;
}

JsonStep JsonReader::EnterArray() {
  Advance();
  if (Peek() != ']') return JsonStep::kItem;
  Advance();
  return JsonStep::kEnd;
}

JsonStep JsonReader::NextElement() {
  const char next = Peek();
  if (next != ',' && next != ']') {
    SetFault(kNoCommaInArray, position_);
    return JsonStep::kFault;
  }
  Advance();
  if (next == ']') return JsonStep::kEnd;
  Peek();
  return JsonStep::kItem;
}

bool JsonReader::SkipEscape() {
  const char* const backslash = position_;
  const char kind = backslash[1];
  if (kind != 'u') {
    if (kind == '\0' || std::strchr("\"\\/bfnrt", kind) == nullptr) return SetFault(kBadEscape, backslash);
    position_ += 2;
    return true;
  }
  const int unit = HexValue(backslash + 2);
  if (unit < 0) return SetFault(kBadHex, backslash);
  position_ += 6;
  if (IsLowSurrogate(unit)) return SetFault(kBadSurrogate, backslash);
  if (!IsHighSurrogate(unit)) return true;
  if (position_[0] != '\\' || position_[1] != 'u') return SetFault(kBadSurrogate, backslash);
  const int second = HexValue(position_ + 2);
  if (second < 0) return SetFault(kBadHex, backslash);
  if (!IsLowSurrogate(second)) return SetFault(kBadSurrogate, backslash);
  position_ += 6;
  return true;
}

bool JsonReader::SkipString(bool& has_escapes) {
  has_escapes = false;
  for (;;) {
    position_ = FindSpecial(position_);
    if (*position_ == '"') break;
    if (*position_ == '\0') return SetFault(kNoQuote, position_);
    if (*position_ != '\\') return SetFault(kBadEscape, position_);
    has_escapes = true;
    if (!SkipEscape()) return false;
  }
  Advance();
  return true;
}

bool JsonReader::ReadString(std::string_view& text) {
  Advance();
  const char* p = position_;
  bool has_escapes;
  if (!SkipString(has_escapes)) return false;
  const char* const end = position_ - 1;
  text = {p, static_cast<size_t>(end - p)};
  if (!has_escapes) return true;
  unescaped_.clear();
  while (p != end) {
    const auto* backslash = static_cast<const char*>(std::memchr(p, '\\', static_cast<size_t>(end - p)));
    unescaped_.append(p, backslash == nullptr ? end : backslash);
    p = backslash == nullptr ? end : AppendUnescaped(unescaped_, backslash);
  }
  text = unescaped_;
  return true;
}

bool JsonReader::SkipScalar() {
  const auto skip_word = [this](const char* word) {
    for (; *word != '\0'; ++word, ++position_) {
      if (*position_ != *word) return SetFault(kInvalidValue, position_);
    }
    return true;
  };
  switch (*position_) {
    case 't':
      return skip_word("true");
    case 'f':
      return skip_word("false");
    case 'n':
      return skip_word("null");
    case '"': {
      Advance();
      bool has_escapes;
      return SkipString(has_escapes);
    }
    default: {
      const NumberToken number = ScanNumber(position_);
      if (number.fault != nullptr) return SetFault(number.fault, number.end);
      position_ = number.end;
      return true;
    }
  }
}

bool JsonReader::SkipValue() {
  std::vector<bool> in_object;  // the open containers, the outermost first
  for (;;) {
    const char first = Peek();
    if (first == '{' || first == '[') {
      Advance();
      const bool is_object = first == '{';
      if (Peek() != (is_object ? '}' : ']')) {
        in_object.push_back(is_object);
        if (is_object && !SkipKey()) return false;
        continue;
      }
      Advance();
    } else if (!SkipScalar()) {
      return false;
    }
    for (;;) {  // behind a value
      if (in_object.empty()) return true;
      const char next = Peek();
      const bool is_object = in_object.back();
      if (next == ',') {
        Advance();
        if (is_object && !SkipKey()) return false;
        break;
      }
      if (next != (is_object ? '}' : ']')) return SetFault(is_object ? kNoCommaInObject : kNoCommaInArray, position_);
      Advance();
      in_object.pop_back();
    }
  }
}

bool ReadBase64Object(JsonReader& json, std::string_view& encoded) {
  const char* const start = json.position();
  std::string_view key;
  const bool is_base64 = json.EnterObject(key) == JsonStep::kItem && key == "b64" && json.Peek() == '"' && json.ReadString(encoded);
  if (is_base64 && json.Peek() == '}') {
    json.Advance();
    return true;
  }
  json.Seek(start);
  return false;
}

}  // namespace tflite_serving
