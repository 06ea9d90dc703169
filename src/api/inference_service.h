// tensorflow.serving.PredictionService over gRPC: Classify, Regress and MultiInference, which take tf.Examples. The service's other methods are in
// prediction_service.h.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "api/request_record.h"
#include "base/clock.h"
#include "base/worker_pool.h"
#include "example/serialized_examples.h"
#include "servable/inference_result.h"
#include "servable/servable.h"
#include "tensorflow_serving/apis/inference.pb.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// Thread-safe. Must outlive every call that it was handed.
class InferenceService {
 public:
  struct Options {
    bool check_method_names = false;  // --enable_signature_method_name_check
    RequestObservers observers;
  };

  // Everything is borrowed and must outlive this object.
  InferenceService(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options);

  // The service's methods, for the gRPC server. They borrow this object.
  std::vector<GrpcMethod> methods();

 private:
  enum class Rpc { kClassify, kRegress, kMultiInference };
  // One signature's run, of which MultiInference asks for several.
  struct Run {
    InferenceMethod method = InferenceMethod::kClassify;
    const Signature* signature = nullptr;
    std::vector<Tensor> inputs;
    std::vector<TensorView> views;
    Status status;
  };
  // One request on its way. Its runs may end on several threads; each touches its own run and result only.
  struct Task {
    GrpcCall* call = nullptr;
    Rpc rpc = Rpc::kClassify;
    ServableHandle servable;
    SerializedExamples examples;
    std::vector<Run> runs;
    tensorflow::serving::MultiInferenceResponse response;  // a result for each run, whatever the method
    std::atomic<size_t> unfinished_runs = 0;
    RequestRecord record;
  };

  static ApiMethod MetricOf(Rpc rpc);
  void Handle(GrpcCall& call, Rpc rpc);
  void Prepare(const std::shared_ptr<Task>& task, bool on_worker);
  // Parses the request, and finds what it asks for.
  Status Parse(Task& task) const;
  template <typename Request>
  Status ParseSingle(Task& task, InferenceMethod method) const;
  Status ParseMulti(Task& task) const;
  void RunAll(const std::shared_ptr<Task>& task);
  static void FinishRun(Task& task, size_t i, const Status& status, const InferenceResult& result);
  static void Reply(Task& task);
  // The end of a call: with `status`, or if that is OK the response.
  static void Finish(Task& task, const Status& status);
  // How long it is.
  static StatusOr<size_t> WriteReply(Task& task);

  const ServableSource& servables_;
  WorkerPool& workers_;
  const Clock& clock_;
  const Options options_;
};

}  // namespace tflite_serving
