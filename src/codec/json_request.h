// What the bodies of all REST inference requests are: a JSON object of which some members mean something. All functions are thread-safe.
#pragma once

#include <functional>
#include <string_view>

#include "base/status.h"
#include "codec/json_reader.h"

namespace tflite_serving {

// Checks the syntax of the whole document, and that it is an object. `find` tells for each key where the place of its value is to be noted: null for
// one that means nothing. Of several members with the same key the first counts. Sets `document` to where the object begins.
// INVALID_ARGUMENT `JSON Parse error: …`, or `JSON Value: <V> Is not object`.
Status FindMembers(JsonReader& json, const std::function<const char**(std::string_view key)>& find, const char*& document);

// Reads the value of `signature_name` at `member`, or none if that is null, to `name`, which is valid until the next string is read.
// INVALID_ARGUMENT if it is no string.
Status ReadSignatureName(JsonReader& json, const char* document, const char* member, std::string_view& name);

// INVALID_ARGUMENT `JSON Value: <document> <what>`.
Status DocumentError(const JsonReader& json, const char* document, std::string_view what);

}  // namespace tflite_serving
