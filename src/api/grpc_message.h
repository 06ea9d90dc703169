// Generated protobuf classes in and out of a GrpcCall, for the methods that are not in the hot path.
#pragma once

#include <google/protobuf/message_lite.h>

#include "base/status.h"
#include "servable/model_spec.h"
#include "tensorflow_serving/apis/model.pb.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// INVALID_ARGUMENT when the bytes are not such a message.
Status ParseMessage(const GrpcCall& call, google::protobuf::MessageLite& message);

// Finishes the call with `message` as its reply.
void FinishWithMessage(GrpcCall& call, const google::protobuf::MessageLite& message);

ModelSpec FromProto(const tensorflow::serving::ModelSpec& proto);

}  // namespace tflite_serving
