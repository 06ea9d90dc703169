// What the gRPC methods share: generated protobuf classes in and out of a GrpcCall, for those that are not in the hot path, and model specs.
#pragma once

#include <google/protobuf/message_lite.h>

#include "base/status.h"
#include "servable/model_spec.h"
#include "servable/servable.h"
#include "tensorflow_serving/apis/model.pb.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// Of a message that names things and has no data. As objects it may take forty times its bytes, which nothing counts.
inline constexpr size_t kMaxParsedMessageBytes = size_t{64} << 10;

// INVALID_ARGUMENT when the bytes are not such a message; RESOURCE_EXHAUSTED when there are more than `max_bytes`.
Status ParseMessage(const GrpcCall& call, google::protobuf::MessageLite& message, size_t max_bytes = kMaxParsedMessageBytes);

// Makes `message` the call's reply, which is then to be finished. INTERNAL if it cannot be.
StatusOr<size_t> WriteMessage(GrpcCall& call, const google::protobuf::MessageLite& message);

// Finishes the call with `message` as its reply.
void FinishWithMessage(GrpcCall& call, const google::protobuf::MessageLite& message);

ModelSpec FromProto(const tensorflow::serving::ModelSpec& proto);

// The servable that an inference request is for. INVALID_ARGUMENT for a request without a spec or a spec without a name; the source's errors.
StatusOr<ServableHandle> LookUp(const ServableSource& servables, bool has_model_spec, const ModelSpec& spec);

}  // namespace tflite_serving
