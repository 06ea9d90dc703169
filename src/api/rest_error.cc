#include "api/rest_error.h"

#include "codec/json_writer.h"

namespace tflite_serving {

int HttpStatusOf(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kCancelled:
      return 499;
    case StatusCode::kInvalidArgument:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kOutOfRange:
      return 400;
    case StatusCode::kUnauthenticated:
      return 401;
    case StatusCode::kPermissionDenied:
      return 403;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kAlreadyExists:
    case StatusCode::kAborted:
      return 409;
    case StatusCode::kResourceExhausted:
      return 429;
    case StatusCode::kUnimplemented:
      return 501;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kDeadlineExceeded:
      return 504;
    case StatusCode::kUnknown:
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
      return 500;
  }
  return 500;
}

void WriteError(const Status& status, HttpResponse& response) {
  response.status = HttpStatusOf(status.code());
  response.content_type = "application/json";
  response.body = ErrorJson(status.message());
  // For proxies and clients that come again by themselves.
  if (status.code() == StatusCode::kUnavailable) response.headers.emplace_back("Retry-After", "1");
}

void FinishWithError(HttpCall& call, const Status& status) {
  WriteError(status, call.response());
  call.Finish();
}

}  // namespace tflite_serving
