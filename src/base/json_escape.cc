#include "base/json_escape.h"

namespace tflite_serving {

char* PutJsonEscape(char* out, char c) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  const char escape = kJsonEscapes[static_cast<unsigned char>(c)];
  *out++ = '\\';
  *out++ = escape;
  if (escape != 'u') return out;
  *out++ = '0';
  *out++ = '0';
  *out++ = kHexDigits[static_cast<size_t>(c >> 4)];
  *out++ = kHexDigits[static_cast<size_t>(c & 0xF)];
  return out;
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (!NeedsJsonEscape(c)) {
      out += c;
      continue;
    }
    char escaped[kMaxJsonEscapeChars];
    out.append(escaped, PutJsonEscape(escaped, c));
  }
  out += '"';
}

}  // namespace tflite_serving
