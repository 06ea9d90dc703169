// The header fields of gRPC's responses, submitted to nghttp2. Each function returns nghttp2's result: 0, or one of its errors.
#pragma once

#include <cstdint>

#include <nghttp2/nghttp2.h>

#include "base/status.h"
#include "transport/call_ids.h"

namespace tflite_serving {

// The head of a response with messages, which `body` brings.
int SubmitResponseHead(nghttp2_session* http2, int32_t stream_id, const CallIds& ids, const nghttp2_data_provider& body);
// What follows the messages.
int SubmitTrailers(nghttp2_session* http2, int32_t stream_id, const Status& status);
// A whole response without messages. With the list of encodings that a request may use, if `with_encodings`.
int SubmitStatus(nghttp2_session* http2, int32_t stream_id, const Status& status, const CallIds& ids, bool with_encodings);
// The answer to what is no gRPC request.
int SubmitHttpStatus(nghttp2_session* http2, int32_t stream_id, int http_status);

}  // namespace tflite_serving
