// tensorflow.serving.ModelService over gRPC: GetModelStatus.
#pragma once

#include <vector>

#include "servable/servable.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// Thread-safe. `servables` is borrowed and must outlive this object.
class ModelService {
 public:
  explicit ModelService(const ServableSource& servables) : servables_(servables) {}

  // The service's methods, for the gRPC server. They borrow this object.
  std::vector<GrpcMethod> methods();

 private:
  void GetModelStatus(GrpcCall& call);

  const ServableSource& servables_;
};

}  // namespace tflite_serving
