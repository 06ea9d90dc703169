// Base64 as JSON clients send it: the standard alphabet (RFC 4648, section 4). All functions are thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tflite_serving {

constexpr size_t Base64EncodedSize(size_t bytes) { return (bytes + 2) / 3 * 4; }

// Writes Base64EncodedSize(bytes.size()) characters, padded with '=', to `out`; their end.
char* EncodeBase64(std::string_view bytes, char* out);

// Appends the bytes to `out`. As lenient as TensorFlow Serving (absl::Base64Unescape): white space may stand anywhere, the padding may be
// missing, but not be wrong. False if `text` is not base64; `out` is then as it was.
[[nodiscard]] bool DecodeBase64(std::string_view text, std::string& out);

}  // namespace tflite_serving
