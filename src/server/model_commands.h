// The commands of tflite_model_server that look at one file and end: `inspect FILE` and `bench FILE`.
#pragma once

#include <optional>
#include <span>

namespace tflite_serving {

// Runs the command that `arguments` (without the program's name) begin with: its exit status, 0 or 1. Nothing if they begin with none. Results go
// to standard output, errors to standard error.
std::optional<int> RunModelCommand(std::span<const char* const> arguments);

}  // namespace tflite_serving
