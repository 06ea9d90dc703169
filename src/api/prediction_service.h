// tensorflow.serving.PredictionService over gRPC: Predict and GetModelMetadata. Its other methods are in inference_service.h.
#pragma once

#include <memory>
#include <vector>

#include "api/request_record.h"
#include "base/clock.h"
#include "base/object_pool.h"
#include "base/worker_pool.h"
#include "codec/predict_proto.h"
#include "servable/servable.h"
#include "serving/quantization.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// Thread-safe. Must outlive every call that it was handed.
class PredictionService {
 public:
  struct Options {
    bool tensor_content_in_replies = false;  // --enable_serialization_as_tensor_content; otherwise float_val and its like
    bool check_method_names = false;         // --enable_signature_method_name_check
    RequestObservers observers;
  };

  // Everything is borrowed and must outlive this object.
  PredictionService(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options);

  // The service's methods, for the gRPC server. They borrow this object.
  std::vector<GrpcMethod> methods();

 private:
  // One Predict on its way; reused, so that its memory is.
  struct PredictTask {
    GrpcCall* call = nullptr;
    PredictRequestParts parts;
    ServableHandle servable;
    SignatureView view;
    const Signature* signature = nullptr;  // as the client sees it
    std::vector<int> selected_outputs;
    std::vector<Tensor> inputs;
    std::vector<TensorView> views;
    PredictResponseEncoder response;
    std::string json;    // of RunJson
    Signature answered;  // and what came of it
    RequestRecord record;
  };

  void Predict(GrpcCall& call);
  void RunPredict(PredictTask* task);
  // For a servable that takes JSON: the request is written as a REST client's.
  void RunJson(PredictTask* task);
  Status WriteJsonReply(PredictTask& task, const JsonAnswer& answer) const;
  Status WriteReply(PredictTask& task, std::span<const TensorView> outputs) const;
  void FinishPredict(PredictTask* task, const Status& status);
  void GetModelMetadata(GrpcCall& call);
  StatusOr<tensorflow::serving::GetModelMetadataResponse> Metadata(const tensorflow::serving::GetModelMetadataRequest& request) const;

  const ServableSource& servables_;
  WorkerPool& workers_;
  const Clock& clock_;
  const Options options_;
  ObjectPool<PredictTask> tasks_;
};

}  // namespace tflite_serving
