#include "codec/json_value_text.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include "base/json_escape.h"
#include "codec/json_writer.h"

namespace tflite_serving {
namespace {

class Printer {
 public:
  Printer(const JsonReader& json, const char* position) : json_(json.document()) { json_.Seek(position); }

  std::string Print() && {
    bool going_on = true;
    while (going_on && text_.size() <= kMaxJsonValueTextBytes) going_on = PrintOne();
    CutText();
    return std::move(text_);
  }

 private:
  // One scalar, or a container's opening, and what ends behind it. False: the value is complete, or broken.
  bool PrintOne() {
    const char first = json_.Peek();
    JsonStep step = JsonStep::kEnd;
    if (first == '{' || first == '[') {
      text_ += first;
      step = first == '{' ? json_.EnterObject(key_) : json_.EnterArray();
      if (step == JsonStep::kEnd) {
        text_ += first == '{' ? '}' : ']';
      } else if (step == JsonStep::kItem) {
        in_object_.push_back(first == '{');
        StartLine();
        return true;
      }
    } else if (!PrintScalar(first)) {
      return false;
    }
    return step != JsonStep::kFault && PrintEnds();
  }

  // Behind a value: to the next one.
  bool PrintEnds() {
    while (!in_object_.empty()) {
      const bool is_object = in_object_.back();
      const JsonStep step = is_object ? json_.NextMember(key_) : json_.NextElement();
      if (step == JsonStep::kFault) return false;
      if (step == JsonStep::kItem) {
        text_ += ',';
        StartLine();
        return true;
      }
      in_object_.pop_back();
      Indent();
      text_ += is_object ? '}' : ']';
    }
    return false;
  }

  bool PrintScalar(char first) {
    const char* const start = json_.position();
    if (first == '"') {
      std::string_view content;
      if (!json_.ReadString(content)) return false;
      AppendJsonString(text_, content.substr(0, kMaxJsonValueTextBytes + 1));
      return true;
    }
    if (JsonTypeOf(first) == JsonType::kNumber) {
      const NumberToken number = ScanNumber(start);
      if (number.fault != nullptr) return false;
      PrintNumber(start, number);
    }
    if (!json_.SkipValue()) return false;
    if (JsonTypeOf(first) != JsonType::kNumber) text_.append(start, json_.position());
    return true;
  }

  // An integer as it stands, unless it is one that RapidJSON holds as a double.
  void PrintNumber(const char* start, const NumberToken& number) {
    int64_t integer;
    uint64_t natural;
    const bool fits = std::from_chars(start, number.end, integer).ec == std::errc() || std::from_chars(start, number.end, natural).ec == std::errc();
    if (number.is_integer && fits) {
      text_.append(start, number.end);
      return;
    }
    std::array<char, kMaxNumberChars> chars;
    text_.append(chars.data(), WriteNumber(chars.data(), NumberValue(start, number)));
  }

  void Indent() {
    constexpr size_t kSpaces = 4;
    text_ += '\n';
    text_.append(kSpaces * in_object_.size(), ' ');
  }

  void StartLine() {
    Indent();
    if (!in_object_.back()) return;
    AppendJsonString(text_, key_.substr(0, kMaxJsonValueTextBytes + 1));
    text_ += ": ";
  }

  void CutText() {
    if (text_.size() <= kMaxJsonValueTextBytes) return;
    constexpr size_t kMaxContinuationBytes = 3;
    size_t end = kMaxJsonValueTextBytes;
    while (end > kMaxJsonValueTextBytes - kMaxContinuationBytes && (text_[end] & 0xC0) == 0x80) --end;
    text_.resize(end);
    text_ += "...";
  }

  JsonReader json_;
  std::string_view key_;
  std::vector<bool> in_object_;  // the open containers, the outermost first
  std::string text_;
};

}  // namespace

std::string JsonValueText(const JsonReader& json, const char* position) { return Printer(json, position).Print(); }

}  // namespace tflite_serving
