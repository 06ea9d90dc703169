// Owners of LiteRT's handles: each destroys its handle when it goes. Not thread-safe, as the handles.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "runtime/litert_c_api.h"

namespace tflite_serving {

template <auto Destroy>
struct LiteRtDeleter {
  template <typename T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};

using EnvironmentPtr = std::unique_ptr<LiteRtEnvironmentT, LiteRtDeleter<LiteRtDestroyEnvironment>>;
using ModelPtr = std::unique_ptr<LiteRtModelT, LiteRtDeleter<LiteRtDestroyModel>>;
using OptionsPtr = std::unique_ptr<LiteRtOptionsT, LiteRtDeleter<LiteRtDestroyOptions>>;
using CompiledModelPtr = std::unique_ptr<LiteRtCompiledModelT, LiteRtDeleter<LiteRtDestroyCompiledModel>>;
using TensorBufferPtr = std::unique_ptr<LiteRtTensorBufferT, LiteRtDeleter<LiteRtDestroyTensorBuffer>>;

// What `compiled` reported since the last call, on one line without a full stop; it is forgotten then. Empty if it reported nothing.
std::string TakeErrorMessages(LiteRtCompiledModel compiled);

// "runtime failure" for status 3, and so on.
std::string_view LiteRtStatusText(LiteRtStatus status);

}  // namespace tflite_serving
