// Text that others will read as UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace tflite_serving {

// `text` with U+FFFD in place of each byte that belongs to no character (RFC 3629: no surrogates, shortest form only).
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace tflite_serving
