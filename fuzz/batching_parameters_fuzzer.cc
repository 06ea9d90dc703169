// Batching parameters as text: whatever the bytes are, reading them ends with parameters that fit together or with a reason, which names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/batching_parameters_file.h"

namespace {

using tflite_serving::BatchingParameters;
using tflite_serving::StatusCode;
using tflite_serving::StatusOr;

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const StatusOr<BatchingParameters> parameters =
      tflite_serving::ParseBatchingParametersText(std::string_view(reinterpret_cast<const char*>(data), size), "FILE");
  if (parameters.ok()) {
    Require(tflite_serving::Check(*parameters).ok());
  } else {
    Require(parameters.status().code() == StatusCode::kInvalidArgument);
    Require(parameters.status().message().find("'FILE'") != std::string::npos);
  }
  return 0;
}
