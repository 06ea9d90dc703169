// A JSON value as text for an error message.
#pragma once

#include <cstddef>
#include <string>

#include "codec/json_reader.h"

namespace tflite_serving {

// What JsonValueText is cut at: a message shall name the value, not repeat the request.
inline constexpr size_t kMaxJsonValueTextBytes = 256;

// The value at `position` of the reader's document, laid out as RapidJSON's PrettyWriter does (four spaces), since that is the text in
// TensorFlow Serving's messages. A longer one is cut at a character's end and "..." is added. Where the syntax is broken the text ends.
std::string JsonValueText(const JsonReader& json, const char* position);

}  // namespace tflite_serving
