// tensorflow.serving.ModelService over gRPC: GetModelStatus and HandleReloadConfigRequest.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/request_record.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "servable/servable.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "transport/grpc_call.h"

namespace tensorflow::serving {
class ModelServerConfig;
}

namespace tflite_serving {

// Replaces the whole configuration by `config`, which is a model_config_list of any content and lives for the call alone. Calls `done` once, from any
// thread, when the models are there or the reason why not is known. It is called on threads that serve requests, so it waits for nothing itself.
using ReloadConfig = std::function<void(const tensorflow::serving::ModelServerConfig& config, std::function<void(const Status&)> done)>;

// The values now of counters with these names, TensorFlow's ("/tensorflow/core/graph_runs"); nothing for one that there is not. Thread-safe.
using ReadCounters = std::function<std::vector<std::optional<int64_t>>(const std::vector<std::string>& names)>;

// Thread-safe. `servables`, `workers` and what `observers` names are borrowed and must outlive this object, and no `done` may be called
// after it.
class ModelService {
 public:
  ModelService(const ServableSource& servables, WorkerPool& workers, ReloadConfig reload, ReadCounters counters,
               const RequestObservers& observers = {})
      : servables_(servables), workers_(workers), reload_(std::move(reload)), counters_(std::move(counters)), observers_(observers) {}

  // The service's methods, for the gRPC server. They borrow this object.
  std::vector<GrpcMethod> methods();

 private:
  void GetModelStatus(GrpcCall& call);
  StatusOr<tensorflow::serving::GetModelStatusResponse> StatusOf(const tensorflow::serving::GetModelStatusRequest& request) const;
  // Its failures are the call's status, as the original's are, and a line of the log; the reply has a status of its own, which is always OK, and by
  // how much the counters grew meanwhile that the request names.
  void HandleReloadConfigRequest(GrpcCall& call);
  void ReloadConfigOnThisThread(GrpcCall& call);

  const ServableSource& servables_;
  WorkerPool& workers_;
  const ReloadConfig reload_;
  const ReadCounters counters_;
  const RequestObservers observers_;
};

}  // namespace tflite_serving
