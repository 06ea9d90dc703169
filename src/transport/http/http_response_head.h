// The bytes before a response's body, and the bodies of the responses that the server gives by itself.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "transport/http_call.h"

namespace tflite_serving {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), rendered again when the second changes. Thread-compatible: every event loop has one.
class HttpDate {
 public:
  std::string_view At(std::time_t now);

 private:
  std::time_t rendered_ = -1;
  char text_[32] = {};
};

enum class HttpPersistence {
  kKeepAlive,        // HTTP/1.1 says nothing about it
  kKeepAliveHttp10,  // HTTP/1.0 has to be told
  kClose,
};

// Replaces `head` by the status line and headers of `response`, the blank line included, keeping its memory. Control characters in a header's value
// become spaces, so that no value taken from a request can begin a header of its own.
void RenderResponseHead(const HttpResponse& response, std::string_view date, HttpPersistence persistence, std::string& head);

// Whether a response of this status has a body at all: 204 and 304 have not.
bool StatusHasBody(int status);

// The form of TensorFlow Serving's errors. `message` must not need escaping.
std::string HttpErrorBody(std::string_view message);

}  // namespace tflite_serving
