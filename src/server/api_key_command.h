// `tflite_model_server api_key NAME SCOPES`: makes the API key of a client.
#pragma once

#include <optional>
#include <span>

namespace tflite_serving {

// Runs the command if `arguments` (without the program's name) begin with it: its exit status, 0 or 1. The line for --api_keys_file goes to standard
// output, the key to standard error, so that the first can be added to the file and the second is shown once.
std::optional<int> RunApiKeyCommand(std::span<const char* const> arguments);

}  // namespace tflite_serving
