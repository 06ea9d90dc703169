// Strings in JSON. The characters that RFC 8259 requires to be escaped are, in RapidJSON's form; other bytes go out as they are, so who wants valid
// UTF-8 sees to it before (base/utf8.h). All functions are thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace tflite_serving {

inline constexpr size_t kMaxJsonEscapeChars = 6;

// For each byte the escape that JSON requires: 0 none, 'u' \u00XX, else a backslash and this character.
inline constexpr std::array<char, 256> kJsonEscapes = [] {
  std::array<char, 256> escapes{};
  std::fill_n(escapes.begin(), ' ', 'u');
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  return escapes;
}();
constexpr bool NeedsJsonEscape(char c) { return kJsonEscapes[static_cast<unsigned char>(c)] != 0; }
// Writes the escape of such a character, at most kMaxJsonEscapeChars; returns its end.
char* PutJsonEscape(char* out, char c);

// Adds `text` to `out`, in quotes.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace tflite_serving
