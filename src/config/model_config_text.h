// The text of a model configuration as people write it, made such that libprotobuf reads it.
#pragma once

#include <string>
#include <string_view>

namespace tflite_serving {

// Two things are rewritten, within their line:
//   model_type: "word"                          model_kind: "word", which is as long: libprotobuf takes no string for an enum, and has no hook for it
//   custom_model_config { threshold: 0.5 }      custom_model_config { parameters { key: "threshold" value: "0.5" } }, for a key that the message
//                                               does not have, with a string, a number or a word
// Anything else, and text that is not of the format, stays as it is. Thread-safe.
std::string ReadableModelConfig(std::string_view text);

}  // namespace tflite_serving
