#include "codec/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/json_escape.h"
#include "base/utf8.h"
#include "codec/base64.h"

namespace tflite_serving {
namespace {

char* Put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

template <class Float>
char* WriteFloat(char* out, Float value) {
  constexpr Float kShortWhole = 100000;  // whole numbers below it are never written with an exponent
  char* const limit = out + kMaxNumberChars;
  if (std::fabs(value) < kShortWhole) {
    const auto whole = static_cast<int32_t>(value);
    if (static_cast<Float>(whole) != value) return std::to_chars(out, limit, value).ptr;  // a fraction has a point or an exponent
    return whole == 0 && std::signbit(value) ? Put(out, "-0.0") : Put(std::to_chars(out, limit, whole).ptr, ".0");
  }
  if (std::isnan(value)) return Put(out, "NaN");
  if (std::isinf(value)) return Put(out, value > 0 ? "Infinity" : "-Infinity");
  char* const end = std::to_chars(out, limit, value).ptr;
  const bool is_whole = std::none_of(out, end, [](char c) { return c == '.' || c == 'e'; });
  return is_whole ? Put(end, ".0") : end;
}

template <class Integer>
char* WriteInteger(char* out, Integer value) {
  return std::to_chars(out, out + kMaxNumberChars, value).ptr;
}

}  // namespace

char* WriteNumber(char* out, float value) { return WriteFloat(out, value); }
char* WriteNumber(char* out, double value) { return WriteFloat(out, value); }
char* WriteNumber(char* out, int8_t value) { return WriteInteger(out, static_cast<int32_t>(value)); }
char* WriteNumber(char* out, uint8_t value) { return WriteInteger(out, static_cast<uint32_t>(value)); }
char* WriteNumber(char* out, int16_t value) { return WriteInteger(out, static_cast<int32_t>(value)); }
char* WriteNumber(char* out, uint16_t value) { return WriteInteger(out, static_cast<uint32_t>(value)); }
char* WriteNumber(char* out, int32_t value) { return WriteInteger(out, value); }
char* WriteNumber(char* out, uint32_t value) { return WriteInteger(out, value); }
char* WriteNumber(char* out, int64_t value) { return WriteInteger(out, value); }
char* WriteNumber(char* out, uint64_t value) { return WriteInteger(out, value); }
char* WriteNumber(char* out, bool value) { return Put(out, value ? "true" : "false"); }

void JsonBuffer::Grow(size_t size) {
  constexpr size_t kFirstBytes = 256;
  text_.resize(std::max({used_ + size, 2 * text_.size(), kFirstBytes}));
}

void JsonBuffer::Append(std::string_view bytes) { Commit(Put(Reserve(bytes.size()), bytes)); }

void JsonBuffer::AppendString(std::string_view text) {
  Reserve(text.size() + 2);
  Append('"');
  while (!text.empty()) {
    const auto* const special = std::find_if(text.begin(), text.end(), NeedsJsonEscape);
    const auto plain = static_cast<size_t>(special - text.begin());
    char* out = Put(Reserve(plain + kMaxJsonEscapeChars), text.substr(0, plain));
    if (special != text.end()) out = PutJsonEscape(out, *special);
    Commit(out);
    text.remove_prefix(std::min(plain + 1, text.size()));
  }
  Append('"');
}

void JsonBuffer::AppendBase64(std::string_view bytes) {
  Append(R"({"b64":")");
  Commit(EncodeBase64(bytes, Reserve(Base64EncodedSize(bytes.size()))));
  Append(R"("})");
}

std::string ErrorJson(std::string_view message) {
  std::string body;
  JsonBuffer buffer(body);
  buffer.Append("{\n    \"error\": ");
  buffer.AppendString(ReplaceInvalidUtf8(message));
  buffer.Append("\n}");
  buffer.Finish();
  return body;
}

}  // namespace tflite_serving
