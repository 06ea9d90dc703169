// Writing JSON: numbers into raw memory, strings and error bodies.
//
// The writers of numbers know nothing about space: the caller has kMaxNumberChars left. They return the end of what they wrote.
// All functions are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tflite_serving {

// The longest number: "-2.2250738585072014e-308".
inline constexpr size_t kMaxNumberChars = 32;

// Floating-point numbers are written as the shortest text that reads back as the same value, with ".0" behind whole ones, so that a client
// cannot take them for integers; NaN, Infinity and -Infinity bare, as TensorFlow Serving does (that is not JSON as RFC 8259 has it).
char* WriteNumber(char* out, float value);
char* WriteNumber(char* out, double value);
char* WriteNumber(char* out, int8_t value);
char* WriteNumber(char* out, uint8_t value);
char* WriteNumber(char* out, int16_t value);
char* WriteNumber(char* out, uint16_t value);
char* WriteNumber(char* out, int32_t value);
char* WriteNumber(char* out, uint32_t value);
char* WriteNumber(char* out, int64_t value);
char* WriteNumber(char* out, uint64_t value);
char* WriteNumber(char* out, bool value);

// A string that grows while raw memory is written. Its content is complete once Finish has been called.
class JsonBuffer {
 public:
  // Replaces the content of `text`, whose memory is reused.
  explicit JsonBuffer(std::string& text) : text_(text) { text_.clear(); }

  // Where the next `size` bytes may be written.
  char* Reserve(size_t size) {
    if (text_.size() - used_ < size) Grow(size);
    return text_.data() + used_;
  }
  // Takes what was written from Reserve's result up to `end`.
  void Commit(const char* end) { used_ = static_cast<size_t>(end - text_.data()); }

  void Append(char c) {
    char* const out = Reserve(1);
    *out = c;
    Commit(out + 1);
  }
  void Append(std::string_view bytes);
  // As AppendJsonString of base/json_escape.h.
  void AppendString(std::string_view text);
  // {"b64":"<standard base64 with padding>"}
  void AppendBase64(std::string_view bytes);

  void Finish() { text_.resize(used_); }

 private:
  void Grow(size_t size);

  std::string& text_;
  size_t used_ = 0;
};

// The body of every error answer, laid out as TensorFlow Serving does: {\n    "error": "<message>"\n}. Bytes of `message` that are not UTF-8
// become U+FFFD, so that a client can always read the body.
std::string ErrorJson(std::string_view message);

}  // namespace tflite_serving
