// How REST reports a failure. All functions are thread-safe.
#pragma once

#include "base/status.h"
#include "transport/http_call.h"

namespace tflite_serving {

// The HTTP code that TensorFlow Serving answers for a canonical code (http_server.cc): NOT_FOUND -> 404, UNAVAILABLE -> 503, …
int HttpStatusOf(StatusCode code);

// Makes `response` what FinishWithError answers.
void WriteError(const Status& status, HttpResponse& response);

// Finishes the call with the code of `status` and the body {"error": "<message>"}.
void FinishWithError(HttpCall& call, const Status& status);

}  // namespace tflite_serving
