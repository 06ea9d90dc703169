// Why a request is not served.
#pragma once

#include <string_view>

namespace tflite_serving {

// The status to answer with and a sentence for the error body. True if there is something to refuse.
struct HttpRefusal {
  int status = 0;
  std::string_view message = {};  // a literal without characters that JSON escapes

  explicit operator bool() const { return status != 0; }
};

inline constexpr HttpRefusal kOutOfMemory = {503,
                                             "the requests that this server is busy with leave no memory for another of this size, try again later"};

}  // namespace tflite_serving
