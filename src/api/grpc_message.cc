#include "api/grpc_message.h"

#include <string>

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

namespace tflite_serving {

Status ParseMessage(const GrpcCall& call, google::protobuf::MessageLite& message, size_t max_bytes) {
  if (call.request_size_bytes() > max_bytes) {
    return ResourceExhaustedError(fmt::format("a {} of {} bytes, and the limit is {}", message.GetTypeName(), call.request_size_bytes(), max_bytes));
  }
  std::string bytes;
  bytes.reserve(call.request_size_bytes());
  for (const auto piece : call.request()) bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  const google::protobuf::LogSilencer silencer;  // clients must not write to the server's standard error
  if (!message.ParseFromString(bytes)) return InvalidArgumentError(fmt::format("the request is not a valid {}", message.GetTypeName()));
  return OkStatus();
}

StatusOr<size_t> WriteMessage(GrpcCall& call, const google::protobuf::MessageLite& message) {
  const std::span<std::byte> reply = call.AllocateReply(message.ByteSizeLong());
  if (message.SerializeToArray(reply.data(), static_cast<int>(reply.size()))) return reply.size();
  return InternalError(fmt::format("a {} of {} bytes cannot be serialized", message.GetTypeName(), reply.size()));
}

void FinishWithMessage(GrpcCall& call, const google::protobuf::MessageLite& message) { call.Finish(WriteMessage(call, message).status()); }

ModelSpec FromProto(const tensorflow::serving::ModelSpec& proto) {
  ModelSpec spec{.name = proto.name(), .version_label = proto.version_label(), .signature_name = proto.signature_name()};
  if (proto.has_version()) spec.version = proto.version().value();
  return spec;
}

StatusOr<ServableHandle> LookUp(const ServableSource& servables, bool has_model_spec, const ModelSpec& spec) {
  if (!has_model_spec) return InvalidArgumentError("Missing ModelSpec");
  if (spec.name.empty()) return InvalidArgumentError("ModelSpec has no name specified.");
  return servables.GetServable(spec);
}

}  // namespace tflite_serving
