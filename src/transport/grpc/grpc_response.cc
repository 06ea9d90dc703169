#include "transport/grpc/grpc_response.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "transport/grpc/grpc_protocol.h"

namespace tflite_serving {
namespace {

constexpr uint8_t kLiteral = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

nghttp2_nv Field(std::string_view name, std::string_view value, uint8_t flags = kLiteral) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())), reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

std::string_view CodeText(StatusCode code) {
  static constexpr std::array<std::string_view, 17> kTexts = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                              "9", "10", "11", "12", "13", "14", "15", "16"};
  return kTexts.at(static_cast<size_t>(code));
}

// Room for every field of a response.
struct Fields {
  std::array<nghttp2_nv, 7> array{};
  size_t count = 0;

  void Add(const nghttp2_nv& field) { array[count++] = field; }
  void AddIds(const CallIds& ids) {
    if (!ids.request_id.empty()) Add(Field("x-request-id", ids.request_id, NGHTTP2_NV_FLAG_NO_COPY_NAME));
    if (!ids.traceparent.empty()) Add(Field("traceparent", ids.traceparent, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  }
  void AddStatus(const Status& status, const std::string& message) {
    Add(Field("grpc-status", CodeText(status.code())));
    if (!message.empty()) Add(Field("grpc-message", message, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  }
};

}  // namespace

int SubmitResponseHead(nghttp2_session* http2, int32_t stream_id, const CallIds& ids, const nghttp2_data_provider& body) {
  Fields fields;
  fields.Add(Field(":status", "200"));
  fields.Add(Field("content-type", "application/grpc"));
  fields.AddIds(ids);
  return nghttp2_submit_response(http2, stream_id, fields.array.data(), fields.count, &body);
}

int SubmitTrailers(nghttp2_session* http2, int32_t stream_id, const Status& status) {
  const std::string message = EncodeStatusMessage(status.message());
  Fields fields;
  fields.AddStatus(status, message);
  return nghttp2_submit_trailer(http2, stream_id, fields.array.data(), fields.count);
}

int SubmitStatus(nghttp2_session* http2, int32_t stream_id, const Status& status, const CallIds& ids, bool with_encodings) {
  const std::string message = EncodeStatusMessage(status.message());
  Fields fields;
  fields.Add(Field(":status", "200"));
  fields.Add(Field("content-type", "application/grpc"));
  fields.AddStatus(status, message);
  fields.AddIds(ids);
  if (with_encodings) fields.Add(Field("grpc-accept-encoding", kAcceptedEncodings));
  return nghttp2_submit_response(http2, stream_id, fields.array.data(), fields.count, nullptr);
}

int SubmitHttpStatus(nghttp2_session* http2, int32_t stream_id, int http_status) {
  const std::string status = std::to_string(http_status);
  Fields fields;
  fields.Add(Field(":status", status, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  fields.Add(Field("content-length", "0"));
  if (http_status == 405) fields.Add(Field("allow", "POST"));
  return nghttp2_submit_response(http2, stream_id, fields.array.data(), fields.count, nullptr);
}

}  // namespace tflite_serving
