// What a client says of its trace and its request: a traceparent that is taken reads the same when it is written again, and an id that is taken has
// nothing in it that could forge a line of a log.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto context = tflite_serving::ParseTraceParent(text)) {
    const std::string again = tflite_serving::FormatTraceParent(*context);
    Require(tflite_serving::ParseTraceParent(again) == context);
    Require(text.substr(2, 50) == std::string_view(again).substr(2, 50));
  }
  if (tflite_serving::IsValidRequestId(text)) {
    Require(size >= 1 && size <= 128 && tflite_serving::EscapeControls(text) == text && text.find_first_of(" \"'\\") == std::string_view::npos);
  }
  if (tflite_serving::IsValidTraceState(text)) Require(size <= 512 && tflite_serving::EscapeControls(text) == text);
  return 0;
}
