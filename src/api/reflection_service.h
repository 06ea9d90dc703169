// grpc.reflection.v1.ServerReflection, and v1alpha, which is the same under its former name: what grpcurl and others ask to learn the API.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "transport/grpc_call.h"
#include "transport/grpc_stream_call.h"

namespace tflite_serving {

// Immutable. Tells of every message that is linked into the program. Must outlive the server of its methods.
class ReflectionService {
 public:
  // Lists the services of these methods, and itself.
  ReflectionService(std::span<const GrpcMethod> methods, std::span<const GrpcStreamMethod> stream_methods);

  // The service's methods, for the gRPC server. They borrow this object.
  std::vector<GrpcStreamMethod> stream_methods() const;

 private:
  std::vector<std::string> services_;  // "tensorflow.serving.PredictionService", sorted
};

}  // namespace tflite_serving
